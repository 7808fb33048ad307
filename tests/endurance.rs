//! Tests that take long: hundreds of kills, a spool that is damaged between runs, a server that is down for a day's worth of
//! documents, and a backlog of tens of thousands. They run the program over real sockets and on a real disk.
//!
//! `cargo test` runs a part of them, and `EXPVASTIC_ENDURANCE=full`, which `ci/validate` sets, runs all. The debug binary
//! suffices, because they check memory, order and loss; only the backlog has a limit of time, and that one is generous.

#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::disallowed_methods, reason = "a test has a clock, and threads")]
#![allow(clippy::format_push_string, reason = "a configuration is put together for reading, not for speed")]
#![allow(clippy::print_stderr, reason = "a test that takes long says what it has seen")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/polled_app.rs"]
mod polled_app;
#[path = "support/program.rs"]
mod program;
#[path = "support/recorded.rs"]
mod recorded;

use loopback::{Reply, Request, Reserved, Server, wait_until};
use polled_app::{App, Doubt, check_of};
use program::Program;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SYNC: Duration = Duration::from_millis(100);
/// Polls in which the program, whose one thread does both, has to save what is due: 0.3 s, if nothing holds it up.
const POLLS_TO_SAVE: usize = 30;

fn is_full() -> bool {
    std::env::var("EXPVASTIC_ENDURANCE").is_ok_and(|value| value == "full")
}

/// One of the loops at a time: they are about moments.
static ONE_LOOP: Mutex<()> = Mutex::new(());

/// A server that does well half of the time, until it is told to do well.
struct Flaky {
    server: Server,
    kept: Arc<Mutex<Seen>>,
    is_well: Arc<AtomicBool>,
}

/// What it has stored: ids, and the numbers of the documents.
#[derive(Default)]
struct Seen {
    ids: BTreeSet<String>,
    numbers: BTreeSet<u64>,
}

impl Seen {
    /// Takes in what is not refused.
    fn take(&mut self, body: &[u8], refuses: impl Fn(usize) -> bool) -> Reply {
        let mut items = Vec::new();
        for (at, (_, id, document)) in loopback::bulk_documents(body).into_iter().enumerate() {
            let number = document["poll_seq"].as_u64().expect("a number");
            assert_eq!(document["check"], check_of(number), "a document is unharmed");
            items.push(if refuses(at) {
                r#"{"create":{"status":429,"error":{"type":"es_rejected_execution_exception"}}}"#
            } else if self.ids.insert(id) {
                assert!(self.numbers.insert(number), "document {number} is stored twice");
                r#"{"create":{"status":201}}"#
            } else {
                r#"{"create":{"status":409}}"#
            });
        }
        Reply::ok(format!("{{\"errors\":true,\"items\":[{}]}}", items.join(",")))
    }
}

impl Flaky {
    fn start(seed: u64) -> Self {
        let (kept, is_well) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let (stored, well) = (Arc::clone(&kept), Arc::clone(&is_well));
        let random = Mutex::new(fastrand::Rng::with_seed(seed));
        let server = Server::start(move |request| {
            let kind = random.lock().expect("random").u8(..12);
            let mut store = stored.lock().expect("no document was stored twice or harmed");
            if well.load(Ordering::SeqCst) {
                store.take(&request.body, |_| false)
            } else {
                unwell(kind, request, &mut store)
            }
        });
        Self { server, kept, is_well }
    }

    fn numbers(&self) -> BTreeSet<u64> {
        self.kept.lock().expect("no document was stored twice or harmed").numbers.clone()
    }
}

fn unwell(kind: u8, request: &Request, seen: &mut Seen) -> Reply {
    match kind {
        0 | 1 => Reply::Full(503, String::new(), Vec::new()),
        2 => Reply::Raw(Vec::new()),
        3 => Reply::Hang(Vec::new()),
        4 => {
            seen.take(&request.body, |_| false);
            Reply::Raw(Vec::new())
        }
        5 => seen.take(&request.body, |at| at % 3 == 0),
        _ => seen.take(&request.body, |_| false),
    }
}

fn config(app: &str, server: &str, run: usize) -> String {
    format!(
        "settings: {{shutdown_timeout: 20s}}\n\
         readers: {{app: {{type_name: app, endpoint: \"{app}/?run={run}\", interval: 5ms, timeout: 2s}}}}\n\
         recorders:\n  es: {{endpoint: \"{server}\", timeout: 400ms, spool: {{path: spool, sync: {}ms}}}}\n\
         routes: {{r: {{readers: [app], recorders: [es]}}}}\n",
        SYNC.as_millis()
    )
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// The numbers of the documents in a segment, as far as it can be read.
fn numbers_in(path: &Path) -> Vec<u64> {
    let text = std::fs::read(path.with_extension("ndjson")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let numbers = text.split("\"poll_seq\":").skip(1);
    numbers.filter_map(|rest| rest.split(',').next()?.parse().ok()).collect()
}

/// Flips, cuts or removes something in a file of the spool. Gives the documents that this may cost.
fn damage(folder: &Path, random: &mut fastrand::Rng) -> Vec<u64> {
    let Some(path) = random.choice(files(folder)) else { return Vec::new() };
    let numbers = numbers_in(&path);
    let mut bytes = std::fs::read(&path).expect("read");
    if bytes.is_empty() {
        return numbers;
    }
    let at = random.usize(..bytes.len());
    match random.u8(..8) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..(at + 50).min(bytes.len()))),
        2 => bytes[at..].fill(0),
        3 => {
            std::fs::remove_file(&path).expect("removed");
            return numbers;
        }
        _ => bytes[at] ^= 1 << random.u8(..8),
    }
    std::fs::write(&path, bytes).expect("written");
    numbers
}

/// Kills the program again and again, at random moments; damages its spool in between if `damages`.
fn kill_loop(kills: usize, seed: u64, damages: bool) {
    let _alone = ONE_LOOP.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (app, server) = (App::start(), Flaky::start(seed));
    let config = |run| config(&app.server.address, &server.server.address, run);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut forgivable = BTreeSet::new();
    let mut program = Program::start(&[], &config(0));
    let (mut spooled_kills, mut found, mut kills_at) = (0, 0, Vec::new());
    for kill in 0..kills {
        let moment = Instant::now() + Duration::from_millis(random.u64(20..1300));
        std::thread::sleep(moment.saturating_duration_since(Instant::now()));
        assert!(program.is_running(), "kill {kill}: it had ended by itself: {}", program.read("stderr"));
        kills_at.push(Instant::now());
        program.kill();
        let said = program.read("stderr");
        assert!(!said.contains("cannot use") && !said.contains("in use"), "kill {kill}: {said}");
        found += usize::from(said.contains("recovered from the spool"));
        let folder = program.path("spool");
        spooled_kills += usize::from(files(&folder).len() > 1);
        if damages {
            for _ in 0..random.u8(1..4) {
                forgivable.extend(damage(&folder, &mut random));
            }
        }
        program = program.start_again(&[], &config(kill + 1));
    }
    server.is_well.store(true, Ordering::SeqCst);
    wait_until("the last one is at work", || app.polls_of(kills) > 10);
    let polls = app.polls();
    let is_drained = |program: &Program| {
        files(&program.path("spool")).iter().all(|path| path.extension().is_none_or(|kind| kind != "ndjson"))
    };
    wait_until("the backlog is delivered", || is_drained(&program) || !program.is_running());
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0), "{}", program.read("stderr"));
    assert!(program.read("stderr").contains("+ waiting 0"), "{}", program.read("stderr"));

    let doubt = |(run, &at)| Doubt { run, at, before: SYNC, polls: POLLS_TO_SAVE, after: None };
    forgivable.extend(app.doubtful(&kills_at.iter().enumerate().map(doubt).collect::<Vec<_>>()));
    let stored = server.numbers();
    let required: BTreeSet<u64> = (0..polls).filter(|number| !forgivable.contains(number)).collect();
    let missing: Vec<u64> = required.difference(&stored).copied().collect();
    let told = app.ages(&missing, &kills_at);
    assert!(missing.is_empty(), "{} of {} are missing, with their age: {told:?}", missing.len(), required.len());
    let lost: Vec<u64> = (0..polls).filter(|number| !stored.contains(number)).collect();
    let ages = app.ages(&lost, &kills_at);
    eprintln!(
        "{kills} kills, {spooled_kills} of them with documents on disk, {found} starts found some: {polls} polls, {} of \
         them within {SYNC:?} and {POLLS_TO_SAVE} polls of a kill{}, {} lost, half of them younger than {:?} when it came",
        forgivable.len(),
        if damages { " or in damaged files" } else { "" },
        lost.len(),
        ages.get(ages.len() / 2).map(|(age, _)| *age).unwrap_or_default(),
    );
    assert!(spooled_kills > kills / 4, "only {spooled_kills} kills met documents on disk");
    assert!(required.len() as u64 > polls / 10, "most polls are forgivable: {} of {polls}", forgivable.len());
}

#[test]
fn kills_cost_at_most_what_was_not_yet_synced() {
    kill_loop(if is_full() { 300 } else { 8 }, 1, false);
}

#[test]
fn kills_and_damage_cost_at_most_what_was_damaged() {
    kill_loop(if is_full() { 100 } else { 8 }, 2, true);
}

/// Twenty endpoints with payloads of real programs.
fn twenty_apps() -> Vec<Server> {
    let payloads =
        recorded::payloads().into_iter().map(|(_, payload)| payload).filter(|payload| payload.len() < 40_000);
    let apps: Vec<Server> =
        payloads.take(20).map(|payload| Server::start(move |_| Reply::ok(payload.clone()))).collect();
    assert_eq!(apps.len(), 20);
    apps
}

fn twenty_readers(apps: &[Server], interval: &str, settings: &str, recorder: &str) -> String {
    let mut text = format!("settings: {{{settings}}}\nreaders:\n");
    for (number, app) in apps.iter().enumerate() {
        let endpoint = &app.address;
        text +=
            &format!("  app_{number}: {{type_name: app_{number}, endpoint: \"{endpoint}\", interval: {interval}}}\n");
    }
    let names: Vec<String> = (0..20).map(|number| format!("app_{number}")).collect();
    text +=
        &format!("recorders:\n  es: {recorder}\nroutes: {{r: {{readers: [{}], recorders: [es]}}}}\n", names.join(", "));
    text
}

fn polls(apps: &[Server]) -> usize {
    apps.iter().map(Server::request_count).sum()
}

/// A server that keeps ids only, however many documents there are.
#[derive(Default)]
struct Ids {
    seen: BTreeSet<Vec<u8>>,
    /// Documents by the process that made them: the first 12 characters of their ids.
    by_process: BTreeMap<Vec<u8>, usize>,
}

impl Ids {
    fn start() -> (Server, Arc<Mutex<Self>>) {
        let ids = Arc::new(Mutex::new(Self::default()));
        let kept = Arc::clone(&ids);
        (Server::start(move |request| kept.lock().expect("the ids").take(&request.body)), ids)
    }

    fn take(&mut self, body: &[u8]) -> Reply {
        let mut answer = String::from("{\"errors\":false,\"items\":[");
        for line in body.split(|&byte| byte == b'\n').step_by(2).filter(|line| !line.is_empty()) {
            let id = line[line.len() - 23..line.len() - 3].to_vec();
            let is_new = self.seen.insert(id.clone());
            *self.by_process.entry(id[..12].to_vec()).or_default() += usize::from(is_new);
            answer += if is_new { "{\"create\":{\"status\":201}}," } else { "{\"create\":{\"status\":409}}," };
        }
        answer.truncate(answer.trim_end_matches(',').len());
        Reply::ok(answer + "]}")
    }
}

/// Bytes that a folder takes on disk, its own entry aside.
fn used_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let blocks =
        files(folder).into_iter().filter_map(|path| path.metadata().ok()).map(|metadata| metadata.blocks() * 512);
    blocks.sum()
}

#[test]
fn memory_and_disk_stay_bounded_while_the_server_is_down() {
    const MEMORY_LIMIT_KB: u64 = 8 << 10;
    const SPOOL_BYTES: u64 = 16 << 20;
    let documents = if is_full() { 86_400 } else { 4_000 };
    let settings = format!("memory_limit: {MEMORY_LIMIT_KB}KiB, shutdown_timeout: 100ms, log_level: error");
    let (server, ids) = Ids::start();
    let apps = twenty_apps();
    let text = twenty_readers(&apps, "20ms", &settings, &format!("{{endpoint: \"{}\"}}", server.address));
    let mut program = Program::start(&[], &text);
    wait_until("documents that are shipped at once", || ids.lock().expect("the ids").seen.len() >= 2000);
    let idle_kb = program.status("RssAnon");
    program.signal("TERM");
    program.wait();

    let nobody = Reserved::new();
    for spool in ["", &format!(", spool: {{path: spool, bytes: {SPOOL_BYTES}}}")] {
        let before = polls(&apps);
        let text = twenty_readers(&apps, "20ms", &settings, &format!("{{endpoint: \"{}\"{spool}}}", nobody.address));
        let mut program = Program::start(&[], &text);
        // What is not code: how much of that is resident depends on which of it has run, and on the system.
        let (mut spool_max, mut peak_kb) = (0, 0);
        let mut deadline = Instant::now() + Duration::from_secs(50);
        let mut seen = before;
        // As long as there is progress.
        while polls(&apps) - before < documents {
            spool_max = spool_max.max(used_bytes(&program.path("spool")));
            peak_kb = peak_kb.max(program.status("RssAnon"));
            std::thread::sleep(Duration::from_millis(5));
            if polls(&apps) > seen + 1000 {
                (seen, deadline) = (polls(&apps), Instant::now() + Duration::from_secs(50));
            }
            assert!(Instant::now() < deadline, "it polls no more");
        }
        program.signal("TERM");
        program.wait();
        let said = program.read("stderr");
        eprintln!(
            "{documents} documents{spool}: RssAnon {peak_kb} kB, idle {idle_kb} kB, spool up to {spool_max} bytes"
        );
        // Beside what waits there are the open bulk, the one that is tried, and the blocks that are being filled.
        assert!(peak_kb <= idle_kb + MEMORY_LIMIT_KB + 1536, "{peak_kb} kB, idle {idle_kb} kB: {said}");
        assert!(spool_max <= SPOOL_BYTES, "{spool_max} bytes");
        assert_eq!(spool_max > SPOOL_BYTES / 4, !spool.is_empty(), "the spool is made use of: {spool_max}");
    }
}

#[test]
fn a_backlog_drains_fast_while_fresh_documents_go_first() {
    let documents = if is_full() { 50_000 } else { 3_000 };
    let apps = twenty_apps();
    let (server, ids) = Ids::start();
    let nobody = Reserved::new();
    let settings = "shutdown_timeout: 10s";
    let recorder = |address: &str| format!("{{endpoint: \"{address}\", spool: {{path: spool, bytes: 4GiB}}}}");
    let filling = twenty_readers(&apps, "20ms", settings, &recorder(&nobody.address));
    let mut program = Program::start(&[], &filling);
    let mut seen = 0;
    while seen < documents {
        wait_until("more polls", || polls(&apps) >= documents.min(seen + 1000));
        seen = polls(&apps);
    }
    program.kill();

    let draining = twenty_readers(&apps, "1s", settings, &recorder(&server.address));
    let mut program = program.start_again(&[], &draining);
    wait_until("the first bulk", || server.request_count() > 0);
    let begun = Instant::now();
    let is_drained = |program: &Program| files(&program.path("spool")).len() == 1;
    wait_until("the backlog is delivered", || is_drained(&program));
    let took = begun.elapsed();
    let (backlog, fresh) = {
        let ids = ids.lock().expect("the ids");
        let backlog = ids.by_process.values().max().copied().unwrap_or_default();
        (backlog, ids.seen.len() - backlog)
    };
    let per_second = backlog as u128 * 1000 / took.as_millis().max(1);
    // The last tick may be under way.
    let due = u128::from(took.as_secs().saturating_sub(1)) * 20;
    eprintln!(
        "{backlog} documents in {took:?}, {per_second} a second (twenty times the production: 400); {fresh} fresh ones \
         meanwhile, of {due}"
    );
    assert!(per_second >= 400, "{per_second} a second");
    assert!(fresh as u128 >= due, "{fresh} fresh ones, of {due}");
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0), "{}", program.read("stderr"));
}
