// The live page: /api/status and, while a reader is open, /api/documents/NAME, once a second as long as it is visible.
// Names and values are only ever set as text. The history of numbers is kept here, within bounds.
(() => {
  "use strict";
  const POLL_MS = 1000, PATIENCE_MS = 5000, HISTORY = 600, READERS_KEPT = 3, RATE_SECONDS = 10, MANY = 12;

  // ---- elements

  const $ = (id) => document.getElementById(id);
  const make = (tag, properties, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };
  /** Sets a text, and touches nothing if it is there already: a selection in it stays. */
  const put = (node, text) => {
    if (node.shown !== text) {
      node.shown = text;
      node.textContent = text;
    }
  };
  const hide = (node, isHidden) => {
    if (node.hidden !== isHidden) node.hidden = isHidden;
  };
  const svg = (tag) => document.createElementNS("http://www.w3.org/2000/svg", tag);

  /** Makes the children of a parent those of `items`, in their order. Each keeps its element, its focus and its selection. */
  const arrange = (parent, known, items, keyOf, create, update) => {
    const left = new Set(known.keys());
    const focused = document.activeElement;
    let place = parent.firstElementChild;
    for (const item of items) {
      const key = keyOf(item);
      let part = known.get(key);
      if (!part) known.set(key, (part = create(item)));
      left.delete(key);
      update(part, item);
      if (part.root === place) place = place.nextElementSibling;
      else parent.insertBefore(part.root, place);
    }
    for (const key of left) {
      known.get(key).root.remove();
      known.delete(key);
    }
    if (focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
  };

  // ---- figures in words

  const count = (number) => number.toLocaleString("en");
  const few = (number) => (Math.abs(number) >= 100 ? count(Math.round(number)) : String(Number(number.toPrecision(3))));
  const scaled = (number, steps) => {
    const [size, unit] = steps.find(([size]) => Math.abs(number) >= size) ?? steps.at(-1);
    return `${few(number / size)} ${unit}`;
  };
  const bytes = (number) => scaled(number, [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [1, "B"]]);
  const nanos = (number) => (number === 0 ? "0 s" : scaled(number, [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]]));
  const span = (seconds) => {
    if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
    if (seconds < 10) return `${Number.isInteger(seconds) ? seconds : seconds.toFixed(1)} s`;
    if (seconds < 120) return `${Math.round(seconds)} s`;
    if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
    if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
    return `${Math.floor(seconds / 86400)} d`;
  };
  /** Ages change all the time: whole seconds from one second on are calmer to look at. */
  const ago = (seconds) => (seconds < 1 ? "just now" : seconds < 120 ? `${Math.floor(seconds)} s ago` : `${span(seconds)} ago`);
  const several = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;
  const list = (names, most = 3) => {
    const short = names.slice(0, most).map((name) => (name.length > 60 ? `${name.slice(0, 59)}…` : name));
    return short.join(", ") + (names.length > most ? ` and ${count(names.length - most)} more` : "");
  };

  /** The unit of a variable, by its name: expvar itself has none. */
  const SIZES = /(^|\.)memstats\.(Alloc|TotalAlloc|Sys|Heap(Alloc|Sys|Idle|Inuse|Released)|(Stack|MSpan|MCache)(Inuse|Sys)|(BuckHash|GC|Other)Sys|NextGC)$|bytes$/i;
  const unitOf = (name) => {
    if (SIZES.test(name)) return "bytes";
    if (/memstats\.LastGC$/.test(name)) return "instant";
    return /(PauseTotalNs|_ns|Nanos|nanoseconds)$/.test(name) ? "nanos" : /_?seconds$/i.test(name) ? "seconds" : "";
  };
  const inUnit = (unit, number) => {
    switch (unit) {
      case "bytes": return bytes(number);
      case "nanos": return nanos(number);
      case "seconds": return span(number);
      case "instant": return new Date(number / 1e6).toLocaleString();
      default: return few(number);
    }
  };

  // ---- JSON whose numbers keep their digits

  class Digits {
    constructor(text) {
      this.text = text;
    }
    toString() {
      return this.text;
    }
  }
  const exact = (text) => {
    const token = /\s*([{}[\]:,]|"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null)/y;
    const next = () => token.exec(text)?.[1];
    const value = (first) => {
      if (first === undefined) throw new SyntaxError("no JSON");
      if (first === "{") {
        const members = new Map();
        for (let key = next(); key !== "}"; key = next()) {
          if (key === ",") key = next();
          next();
          members.set(JSON.parse(key), value(next()));
        }
        return members;
      }
      if (first === "[") {
        const items = [];
        for (let item = next(); item !== "]"; item = next()) items.push(value(item === "," ? next() : item));
        return items;
      }
      return /^[-\d]/.test(first) ? new Digits(first) : JSON.parse(first);
    };
    return value(next());
  };
  /** The difference of two numbers, without loss if they are whole. */
  const difference = (before, after) =>
    /^-?\d+$/.test(before) && /^-?\d+$/.test(after) ? Number(BigInt(after) - BigInt(before)) : Number(after) - Number(before);

  // ---- what is known

  const RANK = { down: 0, ended: 1, failing: 2, waiting: 3, up: 4 };
  const FATES = [["acked", "acked"], ["duplicate", "duplicate"], ["waiting", "waits"], ["dead_lettered", "dead"], ["dropped", "dropped"]];
  const REASONS = {
    memory_limit: "made room within memory_limit", spool_full: "made room within spool.bytes", damaged: "damaged in the spool",
    spool_removed: "their spool files were removed", shutdown: "still waiting when shutdown_timeout was over",
    recorder_gone: "the output was closed", dead_letter_unwritable: "their dead letters could not be written",
  };
  let status = null, contactLost = 0, restarted = 0, opened = null, shown = null;
  const cards = { readers: new Map(), recorders: new Map() };
  const shipped = new Map(); // recorder → [[seconds, documents, lost], …]

  const wordsOf = (one) => {
    switch (one.state) {
      case "waiting": return "not known yet";
      case "failing": return `failing for ${span(one.failing_seconds ?? 0)}`;
      case "down": return `down for ${span(one.failing_seconds ?? 0)}`;
      default: return one.state;
    }
  };
  const losses = (reader) => {
    const { broken_values = 0, out_of_range_numbers = 0, beyond_columns = 0, unkeyed_elements = 0 } = reader.counts;
    return broken_values + out_of_range_numbers + beyond_columns + unkeyed_elements + (reader.mended_names.over_max_fields ?? 0);
  };
  const dropped = ({ ledger }) => Object.entries(ledger).filter(([name, documents]) => name.startsWith("dropped.") && documents > 0)
    .map(([name, documents]) => [REASONS[name.slice(8)] ?? name.slice(8), documents]);
  const droppedTotal = (recorder) => dropped(recorder).reduce((sum, [, documents]) => sum + documents, 0);

  const factsOf = (reader) => {
    const parts = [];
    if (reader.failures_in_a_row > 0) {
      parts.push(`${several(reader.failures_in_a_row, "failure")} in a row`);
      if (reader.next_poll_seconds !== undefined) parts.push(`next poll in ${span(reader.next_poll_seconds)}`);
    } else if (reader.last_poll_age_seconds !== undefined) {
      parts.push(`polled ${ago(reader.last_poll_age_seconds)} in ${span(reader.last_poll_seconds)}`);
    }
    parts.push(`every ${span(reader.interval_seconds)}`);
    if (reader.document_bytes) parts.push(`body ${bytes(reader.body_bytes)}, document ${bytes(reader.document_bytes)}`);
    if (losses(reader)) parts.push(`${several(losses(reader), "value")} left out so far`);
    return parts.join(" · ");
  };
  const putError = (node, one) => {
    hide(node, !one.error);
    if (!one.error) return;
    const isPast = one.state === "up" || one.state === "waiting";
    node.classList.toggle("past", isPast);
    put(node, isPast ? `last error, ${ago(one.error_age_seconds)}: ${one.error}` : one.error);
  };

  // ---- charts in a line

  const spark = () => {
    const root = svg("svg");
    root.setAttribute("class", "spark");
    root.setAttribute("viewBox", "0 0 100 20");
    root.setAttribute("preserveAspectRatio", "none");
    root.setAttribute("aria-hidden", "true");
    root.append(svg("path"));
    return root;
  };
  const drawSpark = (root, times, values) => {
    const points = [];
    values.forEach((value, at) => value !== null && value !== undefined && points.push([times[at], value]));
    let line = "";
    if (points.length > 1) {
      const ys = points.map(([, y]) => y), low = Math.min(...ys), range = Math.max(...ys) - low;
      const begin = points[0][0], length = points.at(-1)[0] - begin || 1;
      line = `M${points.map(([x, y]) => `${(((x - begin) / length) * 100).toFixed(1)} ${range ? (18.5 - ((y - low) / range) * 17).toFixed(1) : 10}`).join("L")}`;
    }
    const path = root.firstChild;
    if (path.line !== line) path.setAttribute("d", (path.line = line));
  };

  // ---- the overview

  const newReader = (reader) => {
    const name = make("a", { className: "name", textContent: reader.name, href: `#reader/${encodeURIComponent(reader.name)}` });
    const card = { name, state: make("span", { className: "state" }), facts: make("p", { className: "facts" }), to: make("p", { className: "facts" }), error: make("p", { className: "error" }) };
    card.root = make("li", {}, make("div", { className: "line" }, name, card.state), card.error, card.facts, card.to);
    return card;
  };
  const drawReader = (card, reader) => {
    if (card.root.className !== reader.state) card.root.className = reader.state;
    put(card.state, wordsOf(reader));
    put(card.facts, factsOf(reader));
    put(card.to, `→ ${list(reader.recorders, 6)}`);
    putError(card.error, reader);
  };

  const newRecorder = (recorder) => {
    const card = { state: make("span", { className: "state" }), facts: make("p", { className: "facts" }), rate: make("p", { className: "facts" }), spark: spark(), bar: make("div", { className: "ledger" }), keys: make("p", { className: "keys" }), waits: make("p", { className: "facts" }), dropped: make("p", { className: "error" }), error: make("p", { className: "error" }), fates: {} };
    card.bar.setAttribute("role", "img");
    for (const [fate, color] of FATES) {
      const part = make("i", { className: color }), text = document.createTextNode("");
      const key = make("span", {}, make("i", { className: color }), text);
      card.fates[fate] = { part, key, text };
      card.bar.append(part);
      card.keys.append(key);
    }
    card.root = make("li", {}, make("div", { className: "line" }, make("span", { className: "name", textContent: recorder.name }), card.state), card.error, card.facts, make("div", { className: "line" }, card.rate, card.spark), card.bar, card.keys, card.waits, card.dropped);
    return card;
  };
  const rates = (recorder) => {
    const points = shipped.get(recorder.name) ?? [];
    const before = points.findLast(([seconds]) => seconds <= points.at(-1)[0] - RATE_SECONDS) ?? points[0];
    const last = points.at(-1);
    return last && last[0] > before[0] ? (last[1] - before[1]) / (last[0] - before[0]) : null;
  };
  const drawRecorder = (card, recorder) => {
    const { ledger } = recorder, waits = ledger.waiting;
    if (card.root.className !== recorder.state) card.root.className = recorder.state;
    put(card.state, wordsOf(recorder));
    const facts = [recorder.target || "server not identified yet"];
    if (recorder.last_ack_age_seconds !== undefined) facts.push(`last ack ${ago(recorder.last_ack_age_seconds)}`);
    if (recorder.state !== "up" && recorder.next_attempt_seconds !== undefined) facts.push(`next try in ${span(recorder.next_attempt_seconds)}`);
    put(card.facts, facts.join(" · "));
    const rate = rates(recorder), points = shipped.get(recorder.name) ?? [];
    put(card.rate, rate === null ? "measuring documents/s" : `${rate.toFixed(1)} documents/s`);
    drawSpark(card.spark, points.slice(1).map(([at]) => at), points.slice(1).map(([at, documents], i) => (documents - points[i][1]) / (at - points[i][0])));
    const fates = { ...ledger, dropped: droppedTotal(recorder) };
    const words = [];
    for (const [fate] of FATES) {
      const { part, key, text } = card.fates[fate], documents = fates[fate], isThere = documents > 0;
      hide(part, !isThere);
      hide(key, !isThere && fate !== "acked");
      const flex = `${documents} 0 ${isThere ? "3px" : "0"}`;
      if (part.flex !== flex) part.style.flex = part.flex = flex;
      const said = `${fate.replace("_", "-")} ${count(documents)}`;
      put(text, said);
      if (isThere) words.push(said);
    }
    const label = `of ${several(ledger.made, "document")}: ${words.join(", ") || "none yet"}`;
    if (card.bar.label !== label) card.bar.setAttribute("aria-label", (card.bar.label = label));
    hide(card.waits, waits === 0);
    const oldest = recorder.oldest_age_seconds;
    const age = oldest === undefined ? "" : `, the oldest ${recorder.has_older_from_disk ? "from before the start" : `for ${span(oldest)}`}`;
    const disk = recorder.waiting_disk_bytes ? `, ${bytes(recorder.waiting_disk_bytes)} on disk` : "";
    put(card.waits, `waiting: ${several(waits, "document")}, ${bytes(recorder.waiting_memory_bytes)} in memory${disk}${age}`);
    const lost = dropped(recorder);
    hide(card.dropped, lost.length === 0);
    put(card.dropped, `dropped: ${lost.map(([reason, documents]) => `${count(documents)} (${reason})`).join(", ")}`);
    putError(card.error, recorder);
  };

  const statesOf = (all) => {
    const words = { up: "up", failing: "failing", down: "down", waiting: "not known yet", ended: "ended" };
    return Object.entries(words).map(([state, word]) => [all.filter((one) => one.state === state).length, word])
      .filter(([number]) => number).map(([number, word]) => `${count(number)} ${word}`).join(" · ");
  };

  const drawWires = () => {
    if (!status || opened !== null || getComputedStyle($("wires")).display === "none") return;
    const box = $("flow").getBoundingClientRect(), lines = {};
    const ends = new Map(status.recorders.map((recorder) => [recorder.name, [recorder.state, cards.recorders.get(recorder.name)?.root.getBoundingClientRect()]]));
    for (const reader of status.readers) {
      const from = cards.readers.get(reader.name)?.root.getBoundingClientRect();
      // Of many readers, only those that can be seen have wires.
      const isSeen = from && (status.readers.length <= MANY || (from.bottom > 0 && from.top < innerHeight));
      for (const name of isSeen ? reader.recorders : []) {
        const [state, to] = ends.get(name) ?? [];
        if (!to) continue;
        const worst = RANK[state] < RANK[reader.state] ? state : reader.state;
        const x = from.right - box.left, y = from.top - box.top + Math.min(20, from.height / 2);
        const x2 = to.left - box.left, y2 = to.top - box.top + 20, bend = (x2 - x) / 2;
        lines[worst] = `${lines[worst] ?? ""}M${x} ${y}C${x + bend} ${y} ${x2 - bend} ${y2} ${x2} ${y2}`;
      }
    }
    for (const state of Object.keys(RANK)) {
      let path = $("wires").querySelector(`.${state}`);
      if (!path) {
        path = svg("path");
        path.setAttribute("class", state);
        $("wires").append(path);
      }
      if (path.line !== lines[state]) path.setAttribute("d", (path.line = lines[state]) ?? "");
    }
  };

  const drawOverview = () => {
    const { readers, recorders } = status, wanted = $("find-reader").value.trim().toLowerCase();
    const sorted = [...readers].sort((a, b) => RANK[a.state] - RANK[b.state]);
    const found = sorted.filter((reader) => [reader.name, wordsOf(reader), ...reader.recorders].some((text) => text.toLowerCase().includes(wanted)));
    $("flow").classList.toggle("many", readers.length > MANY);
    arrange($("readers").querySelector("ul"), cards.readers, found, (reader) => reader.name, newReader, drawReader);
    arrange($("recorders").querySelector("ul"), cards.recorders, recorders, (recorder) => recorder.name, newRecorder, drawRecorder);
    put($("readers").querySelector(".states"), statesOf(readers));
    put($("recorders").querySelector(".states"), statesOf(recorders));
    const none = $("readers").querySelector(".none");
    hide(none, found.length > 0);
    put(none, readers.length ? `none of ${several(readers.length, "reader")} matches` : "no reader has a route");
    drawWires();
  };

  // ---- the verdict

  const drawVerdict = () => {
    const { readers, recorders } = status, all = [...readers, ...recorders];
    const of = (state) => all.filter((one) => one.state === state).map((one) => one.name);
    const losing = recorders.filter(({ name }) => {
      const points = shipped.get(name);
      return points && points.at(-1)[2] > (points.findLast(([at]) => at <= points.at(-1)[0] - 60) ?? points[0])[2];
    }).map(({ name }) => name);
    const parts = [["down", " down"], ["ended", " ended"], ["failing", " failing"]].map(([state, word]) => [of(state), word]);
    parts.push([losing, " losing documents"]);
    const wrong = parts.filter(([names]) => names.length);
    const starting = of("waiting");
    const state = wrong.length ? (wrong[0][1] === " failing" ? "failing" : "down") : starting.length ? "waiting" : "up";
    const text = wrong.length ? wrong.map(([names, word]) => list(names) + word).join("; ")
      : starting.length ? `Starting: nothing is known yet of ${list(starting)}`
      : `All is well: ${several(readers.length, "reader")}, ${several(recorders.length, "recorder")}`;
    put($("verdict"), text);
    $("verdict").className = `state ${state}`;
    const title = `${wrong.length ? "⚠ " : ""}expvastic on ${status.host}`;
    if (document.title !== title) document.title = title;
    const color = { up: "0f7a57", waiting: "5b6570", failing: "e08a1e", down: "d8303c" }[contactLost ? "waiting" : state];
    const icon = `data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><circle cx='4' cy='4' r='4' fill='%23${color}'/></svg>`;
    if ($("icon").shown !== icon) $("icon").href = $("icon").shown = icon;
  };

  const facts = new Map();
  const drawProcess = (before) => {
    const cpu = before && status.uptime_seconds > before.uptime_seconds
      ? ((status.cpu_seconds - before.cpu_seconds) / (status.uptime_seconds - before.uptime_seconds)) * 100 : null;
    const rows = [["on", status.host], ["version", status.version], ["up", span(status.uptime_seconds)], ["memory", bytes(status.resident_bytes)]];
    if (cpu !== null) rows.push(["CPU", `${cpu.toFixed(1)} %`]);
    if (restarted && Date.now() - restarted < 60000) rows.push(["", "has just restarted"]);
    arrange($("process"), facts, rows, ([name]) => name, ([name]) => {
      const value = make("dd");
      return { root: make("div", {}, make("dt", { textContent: name }), value), value };
    }, ({ value }, [, text]) => put(value, text));
  };

  // ---- one reader

  const histories = new Map(); // reader → what is known of its numbers, the last one opened last
  const historyOf = (reader) => {
    const history = histories.get(reader) ?? { times: [], values: new Map(), digits: new Map(), at: null, perSecond: new Map(), falls: new Set(), moved: new Set(), charted: new Map() };
    histories.delete(reader);
    histories.set(reader, history);
    if (histories.size > READERS_KEPT) histories.delete(histories.keys().next().value);
    return history;
  };
  const remember = (history, variables, interval, hasRestarted) => {
    const stamp = variables.get("@timestamp"), time = Date.parse(stamp) / 1000;
    if (history.at === stamp || !(time > (history.times.at(-1) ?? 0))) return;
    history.at = stamp;
    const passed = history.times.length ? time - history.times.at(-1) : null;
    const add = (time, valueOf) => {
      history.times.push(time);
      for (const [name, values] of history.values) values.push(valueOf(name));
      if (history.times.length > HISTORY) {
        history.times.shift();
        for (const values of history.values.values()) values.shift();
      }
    };
    // A gap is no line.
    if (passed > Math.max(5, 3 * interval)) add(time - passed / 2, () => null);
    for (const [name, value] of variables) {
      if (value instanceof Digits && !history.values.has(name)) history.values.set(name, history.times.map(() => null));
    }
    history.perSecond.clear();
    for (const [name, value] of variables) {
      const before = history.digits.get(name);
      if (!(value instanceof Digits) || before === undefined) continue;
      const change = difference(before, value.text);
      // A number that falls is no counter, unless its program has restarted.
      if (change < 0 && !hasRestarted) history.falls.add(name);
      if (change !== 0) history.moved.add(name);
      if (change >= 0 && passed) history.perSecond.set(name, change / passed);
    }
    history.digits.clear();
    for (const [name, value] of variables) if (value instanceof Digits) history.digits.set(name, value.text);
    add(time, (name) => (history.digits.has(name) ? Number(history.digits.get(name)) : null));
    for (const name of history.values.keys()) {
      if (!history.digits.has(name) && history.values.get(name).every((value) => value === null)) history.values.delete(name);
    }
  };

  const SAID = {
    broken_values: (n) => `${several(n, "value")} left out: not valid JSON, or a number that no server can store`,
    beyond_columns: (n) => `${several(n, "value")} left out: the objects of an array have too many different members`,
    unkeyed_elements: (n) => `${several(n, "element")} of arrays left out: without a key of their own`,
    unconverted_texts: (n) => `${several(n, "text")} shipped as they are: not what convert says`,
    over_max_fields: (n) => `${several(n, "variable")} left out: more than max_fields`,
    mended_strings: (n) => `${several(n, "half of a character", "halves of characters")} in texts, replaced by U+FFFD`,
    empty_segment: (n) => `${several(n, "name")} with an empty part, which became _`,
    reserved: (n) => `${several(n, "name")} that servers reserve, now with the prefix vars.`,
    too_deep: (n) => `${several(n, "name")} with too many parts, shortened`,
    too_long: (n) => `${several(n, "name")} too long: cut, with a hash at the end`,
    repeated: (n) => `${several(n, "name")} given more than once: the next ones are NAME#2, NAME#3`,
    value_and_object: (n) => `${several(n, "name")} of both a value and an object: the value moved to NAME._value`,
    gc_missed: (n) => `${several(n, "garbage collection")} missed: more than 256 since the poll before`,
    gc_doubtful: () => "the totals of garbage collections contradict each other",
    restarts: () => "the program has restarted since the poll before",
  };
  const NAMES = { broken_values: "broken", beyond_columns: "columns", unkeyed_elements: "unkeyed", over_max_fields: "over_max_fields" };
  const findings = new Map();
  const drawFindings = (answer) => {
    const counts = new Map([...answer.get("counts"), ...answer.get("mended_names")].map(([kind, number]) => [kind, Number(number.text)]));
    const broken = (counts.get("broken_values") ?? 0) + (counts.get("out_of_range_numbers") ?? 0);
    if (broken) counts.set("broken_values", broken);
    const leftOut = answer.get("left_out"), rows = [];
    for (const [kind, number] of counts) {
      const names = leftOut.get(NAMES[kind]);
      if (SAID[kind]) rows.push([kind, SAID[kind](number) + (names ? `: ${list(names, 50)}` : "")]);
    }
    hide($("findings"), rows.length === 0);
    arrange($("findings"), findings, rows, ([kind]) => kind, () => ({ root: make("li") }), ({ root }, [, text]) => put(root, text));
    return counts;
  };
  /** Why a name is not the program's own, as far as that can be seen. */
  const tagOf = (name, counts) => {
    if (counts.has("repeated") && /#\d+$/.test(name)) return "repeated";
    if (counts.has("value_and_object") && name.endsWith("._value")) return "moved";
    if (counts.has("reserved") && name.startsWith("vars.")) return "reserved";
    return counts.has("empty_segment") && /(^|\.)_(\.|$)/.test(name) ? "empty part" : "";
  };

  const rows = new Map();
  const visible = new Set();
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      isIntersecting ? visible.add(target.variable) : visible.delete(target.variable);
    }
    if (shown) drawSparks();
  });
  const toggle = (name, mode) => {
    const { charted } = historyOf(opened), key = `${mode}\n${name}`;
    charted.has(key) ? charted.delete(key) : charted.set(key, { name, mode });
    drawReaderView();
  };
  const chartButton = (name, mode) => make("button", { type: "button", onclick: () => toggle(name, mode) });
  const newRow = ([name]) => {
    const row = { tag: make("span", { className: "tag" }), value: make("td"), rate: make("td"), spark: spark(), text: make("span"), about: make("span", { className: "about" }), isNumber: null };
    row.button = chartButton(name, "value");
    row.rateButton = chartButton(name, "rate");
    const head = make("th", { scope: "row" }, make("span", { textContent: name }), row.tag);
    row.root = make("tr", { variable: name }, head, row.value, row.rate, make("td", {}, row.spark));
    watcher.observe(row.root);
    return row;
  };
  const drawRow = (row, [name, value], history, counts) => {
    const isNumber = value instanceof Digits, isList = Array.isArray(value), tag = tagOf(name, counts);
    hide(row.tag, !tag);
    put(row.tag, tag);
    if (row.isNumber !== isNumber || row.isList !== isList) {
      row.isNumber = isNumber;
      row.isList = isList;
      row.details = isList ? make("details", {}, make("summary"), make("span")) : null;
      row.value.replaceChildren(...(isNumber ? [row.button, " ", row.about] : [row.details ?? row.text]));
      row.rate.replaceChildren(row.rateButton);
    }
    if (isNumber) {
      const unit = unitOf(name), rate = history.moved.has(name) && !history.falls.has(name) ? history.perSecond.get(name) : undefined;
      put(row.button, value.text);
      put(row.about, unit ? `${inUnit(unit, Number(value.text))}` : "");
      const text = rate === undefined || unit === "instant" ? "" : `${inUnit(unit, rate)}/s`;
      put(row.rateButton, text);
      hide(row.rateButton, text === "" && !history.charted.has(`rate\n${name}`));
      for (const [button, mode] of [[row.button, "value"], [row.rateButton, "rate"]]) {
        const pressed = String(history.charted.has(`${mode}\n${name}`));
        if (button.ariaPressed !== pressed) button.ariaPressed = pressed;
      }
    } else {
      hide(row.rateButton, true);
      if (isList) {
        put(row.details.firstChild, `${several(value.length, "value")}${value.length ? `, last ${value.at(-1)}` : ""}`);
        put(row.details.lastChild, value.join(", "));
      } else {
        put(row.text, String(value));
      }
    }
  };
  const drawSparks = () => {
    const history = histories.get(opened);
    for (const name of history ? visible : []) {
      const row = rows.get(name), values = history.values.get(name);
      if (row && values) drawSpark(row.spark, history.times.slice(-120), values.slice(-120));
    }
  };

  const drawDocument = () => {
    const history = historyOf(opened), counts = drawFindings(shown), variables = shown.get("document");
    const wanted = $("find-variable").value.trim().toLowerCase();
    const found = [...variables].filter(([name, value]) => name.toLowerCase().includes(wanted) || (typeof value === "string" && value.toLowerCase().includes(wanted)));
    put($("found"), `${wanted ? `${count(found.length)} of ` : ""}${several(variables.size, "variable")}, polled ${ago(Number(shown.get("age_seconds")))}`);
    arrange($("document").querySelector("tbody"), rows, found, ([name]) => name, newRow, (row, one) => drawRow(row, one, history, counts));
    for (const name of visible) if (!rows.has(name)) visible.delete(name);
    drawSparks();
    drawCharts(history);
  };

  const drawReaderView = () => {
    const reader = status?.readers.find((one) => one.name === opened);
    put($("reader-name"), opened);
    hide($("reader-state"), !reader);
    hide($("reader-facts"), !reader);
    hide($("reader-error"), true);
    if (reader) {
      put($("reader-state"), wordsOf(reader));
      $("reader-state").className = `state ${reader.state}`;
      const { polls = 0, failures = 0, late_ticks = 0, down_ticks = 0, restarts = 0 } = reader.counts;
      const skipped = late_ticks + down_ticks;
      put($("reader-facts"), [factsOf(reader), several(polls, "poll"), `${count(failures)} failed`, ...(skipped ? [`${several(skipped, "tick")} skipped`] : []), ...(restarts ? [several(restarts, "restart")] : []), `→ ${list(reader.recorders, 6)}`].join(" · "));
      putError($("reader-error"), reader);
    }
    const hasDocument = shown?.has("document") ?? false;
    const note = !status ? "" : shown?.get("error") ?? (!reader ? "There is no reader of this name." : hasDocument ? "" : shown ? `The next poll brings the document (every ${span(reader.interval_seconds)}).` : "Asking for the last document …");
    hide($("reader-note"), !note);
    put($("reader-note"), note);
    hide($("document"), !hasDocument);
    if (hasDocument) drawDocument();
    else hide($("findings"), true);
  };

  // ---- charts

  const charts = new Map();
  const COLORS = ["--accent", "--failing", "--up", "--dead", "--down", "--quiet"];
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const ratesOf = (times, values) => values.map((value, at) => {
    const before = at > 0 ? values[at - 1] : null, change = value - before;
    return value === null || before === null || change < 0 ? null : change / (times[at] - times[at - 1]);
  });
  const dataOf = (history, series) => [history.times, ...series.map(({ name, mode }) => {
    const values = history.values.get(name) ?? history.times.map(() => null);
    return mode === "rate" ? ratesOf(history.times, values) : values;
  })];
  const perUnit = (unit, mode, number) => (number === null || number === undefined ? "–" : inUnit(unit, number) + (mode === "rate" ? "/s" : ""));

  const newChart = ({ series, unit, mode }) => {
    const chart = { unit, mode, series, caption: make("figcaption"), box: make("div", { className: "plot" }), plot: null, chips: new Map() };
    chart.box.setAttribute("role", "img");
    chart.root = make("figure", {}, chart.caption, chart.box);
    return chart;
  };
  const plot = (chart, data) => {
    const line = style("--line"), quiet = style("--quiet"), font = "12px system-ui, sans-serif";
    const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font };
    chart.plot?.destroy();
    chart.isZoomed = false;
    chart.plot = new uPlot({
      width: Math.max(200, chart.box.clientWidth), height: 170, legend: { show: false },
      cursor: { sync: { key: "expvastic" }, points: { size: 6 } },
      padding: [12, 28, 0, 0],
      axes: [{ ...axis, space: 75, size: 30, values: (_, splits) => splits.map((split) => new Date(split * 1000).toLocaleTimeString("en-GB")) },
        { ...axis, size: (_, labels) => 20 + 7 * Math.max(4, ...(labels ?? []).map((label) => label.length)), values: (_, splits) => splits.map((split) => perUnit(chart.unit, chart.mode, split)) }],
      series: [{}, ...chart.series.map(({ name }, at) => ({ label: name, stroke: style(COLORS[at % COLORS.length]), width: 1.75, points: { show: data[0].length < 3 } }))],
      hooks: {
        setCursor: [() => drawCaption(chart)],
        setSelect: [(plot) => { if (plot.select.width > 0) chart.isZoomed = true; }],
      },
    }, data, chart.box);
    chart.plot.over.addEventListener("dblclick", () => { chart.isZoomed = false; });
    chart.drawn = chart.series.map(({ name }) => name).join("\n");
  };
  const drawCaption = (chart) => {
    const at = chart.plot?.cursor.idx ?? chart.data[0].length - 1;
    arrange(chart.caption, chart.chips, chart.series.map((one, place) => ({ ...one, place })), ({ name }) => name, ({ name, mode }) => {
      const chip = { color: make("i"), value: make("b") };
      const close = make("button", { type: "button", textContent: "×", onclick: () => toggle(name, mode) });
      close.setAttribute("aria-label", `close the chart of ${name}`);
      chip.root = make("span", {}, chip.color, make("span", { textContent: mode === "rate" ? `${name} per second` : name }), chip.value, close);
      return chip;
    }, (chip, { place }) => {
      chip.color.style.background = `var(${COLORS[place % COLORS.length]})`;
      put(chip.value, perUnit(chart.unit, chart.mode, chart.data[place + 1][at]));
    });
  };
  const drawChart = (chart, { series }, history) => {
    chart.series = series;
    chart.data = dataOf(history, series);
    if (chart.drawn !== series.map(({ name }) => name).join("\n")) {
      queueMicrotask(() => chart.root.isConnected && plot(chart, chart.data));
    } else if (chart.plot && chart.isZoomed) {
      const { min, max } = chart.plot.scales.x;
      chart.plot.setData(chart.data, false);
      chart.plot.setScale("x", { min, max });
    } else {
      chart.plot?.setData(chart.data);
    }
    drawCaption(chart);
    const label = series.map(({ name, mode }, at) => {
      const values = chart.data[at + 1].filter((value) => value !== null);
      const of = (value) => perUnit(chart.unit, chart.mode, value);
      return `${name}${mode === "rate" ? " per second" : ""}: ${values.length ? `${of(values.at(-1))}, from ${of(Math.min(...values))} to ${of(Math.max(...values))}` : "no values yet"}`;
    }).join("; ");
    chart.box.setAttribute("aria-label", `Chart of ${label}`);
    chart.root.dataset.points = chart.data[0].length;
  };
  /** Numbers of one unit share a chart; those without a unit have one each. */
  const drawCharts = (history) => {
    const groups = new Map();
    for (const one of history.charted.values()) {
      const unit = unitOf(one.name), key = `${one.mode}\n${unit || (one.mode === "rate" ? "" : one.name)}`;
      if (!groups.has(key)) groups.set(key, { key, unit, mode: one.mode, series: [] });
      groups.get(key).series.push(one);
    }
    arrange($("charts"), charts, groups.values(), ({ key }) => key, newChart, (chart, group) => drawChart(chart, group, history));
  };
  const clearCharts = () => {
    for (const { plot } of charts.values()) plot?.destroy();
    charts.clear();
    $("charts").replaceChildren();
  };
  new ResizeObserver(() => {
    for (const { plot, box } of charts.values()) plot?.setSize({ width: Math.max(200, box.clientWidth), height: 170 });
  }).observe($("charts"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const chart of charts.values()) plot(chart, chart.data);
  });

  // ---- asking

  const ask = async (path) => {
    const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    return answer.text();
  };
  const take = (next) => {
    const before = status;
    status = next;
    const now = performance.now() / 1000;
    const isNew = before !== null && next.uptime_seconds < before.uptime_seconds;
    if (isNew) {
      restarted = Date.now();
      shipped.clear();
    }
    const names = new Set(next.recorders.map(({ name }) => name));
    for (const name of shipped.keys()) if (!names.has(name)) shipped.delete(name);
    for (const recorder of next.recorders) {
      const points = shipped.get(recorder.name) ?? shipped.set(recorder.name, []).get(recorder.name);
      points.push([now, recorder.ledger.acked + recorder.ledger.duplicate, droppedTotal(recorder)]);
      if (points.length > 120) points.shift();
    }
    return isNew ? null : before;
  };
  const drawContact = () => {
    hide($("contact"), !contactLost);
    if (contactLost) put($("contact"), `expvastic does not answer since ${new Date(contactLost).toLocaleTimeString()}: it has stopped, or cannot be reached. ${status ? "What is shown is from then. " : ""}Trying again every second.`);
  };
  const documentIn = (text) => {
    try {
      return exact(text);
    } catch {
      return new Map([["error", "There is no document under this name."]]);
    }
  };
  let timer = 0, isAsking = false, askAgain = false;
  const poll = async () => {
    clearTimeout(timer);
    if (document.hidden) return;
    if (isAsking) {
      askAgain = true;
      return;
    }
    isAsking = true;
    const started = performance.now(), name = opened;
    const [state, text] = await Promise.allSettled([ask("api/status"), name === null ? null : ask(`api/documents/${encodeURIComponent(name)}`)]);
    try {
      if (state.status === "rejected") throw state.reason;
      const before = take(JSON.parse(state.value));
      contactLost = 0;
      drawVerdict();
      drawProcess(before);
      if (name !== null && name === opened && text.status === "fulfilled") {
        shown = documentIn(text.value);
        const reader = status.readers.find((one) => one.name === name);
        if (shown.has("document")) remember(historyOf(name), shown.get("document"), reader?.interval_seconds ?? 1, shown.get("counts").has("restarts"));
      }
      draw();
    } catch (error) {
      contactLost ||= Date.now();
      if (status) drawVerdict();
      if (!(error instanceof TypeError || error.name === "TimeoutError" || error.name === "SyntaxError")) console.error(error);
    }
    drawContact();
    isAsking = false;
    timer = setTimeout(poll, askAgain ? 0 : Math.max(100, POLL_MS - (performance.now() - started)));
    askAgain = false;
  };
  const draw = () => {
    if (opened !== null) drawReaderView();
    else if (status) drawOverview();
  };

  // ---- what people do

  const open = () => {
    const before = opened, [, name] = location.hash.match(/^#reader\/(.+)$/s) ?? [];
    try {
      opened = name === undefined ? null : decodeURIComponent(name);
    } catch {
      opened = null;
    }
    if (before === opened) return;
    shown = null;
    clearCharts();
    hide($("flow"), opened !== null);
    hide($("reader"), opened === null);
    $("find-variable").value = "";
    draw();
    if (opened !== null) {
      scrollTo(0, 0);
      $("reader-name").focus({ preventScroll: true });
    } else if (before !== null) {
      cards.readers.get(before)?.name.focus();
    }
    poll();
  };
  addEventListener("hashchange", open);
  addEventListener("resize", drawWires);
  addEventListener("scroll", () => requestAnimationFrame(drawWires), { passive: true });
  document.addEventListener("visibilitychange", poll);
  $("find-reader").addEventListener("input", () => status && drawOverview());
  $("find-variable").addEventListener("input", () => shown?.has("document") && drawDocument());
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target instanceof HTMLInputElement;
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      $(opened === null ? "find-reader" : "find-variable").focus();
    } else if (event.key === "Escape" && opened !== null && !(isTyping && event.target.value)) {
      location.hash = "";
    }
  });
  open();
  poll();
})();
