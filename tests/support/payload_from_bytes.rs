//! Makes payloads of arbitrary bytes. The bytes choose among unusual names, numbers and shapes, so that a fuzzer that changes
//! a byte changes one thing in a payload that is still JSON. On request, parts of the payload are broken.

/// The bytes that make the choices, one by one. After the last of them come zeros, and a zero ends an object or array.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(self.next()) % end
    }

    fn pick<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.below(texts.len())]
    }
}

/// One payload, written in three ways.
#[derive(Default)]
pub(crate) struct Payload {
    /// Strict JSON, with nothing broken.
    pub(crate) whole: String,
    /// The payload with its broken parts. The same as `whole` unless breaks were requested.
    pub(crate) broken: Vec<u8>,
    /// Strict JSON that must give the same document as `broken`. A broken value or a missing element is replaced by a number
    /// that is out of range, and a member with a broken name is left out.
    pub(crate) equivalent: String,
    /// The number of breaks.
    pub(crate) breaks: u64,
}

/// Unusual names, as they are written in a payload. There are only a few, so that names clash often.
#[rustfmt::skip]
const NAMES: &[&str] = &[
    "a", "b", "c", "a.b", "a#2", "a#3", "_value", "a._value", "a_b", "a.b.c", "b.", ".c", "a..b", ".", "..", "", " ", "\\t\\n",
    "\u{3000}", "\u{85}", "\\u001f.\\u0001", "\\u0061", "\\ud83d\\ude00", "\u{1f600}", "\u{e9}", "\u{65e5}\u{672c}", "_", "_id",
    "_source", "_id.x", "vars", "vars._id", "@timestamp", "@timestamp.x", "service", "service.name", "service.name.x",
    "service.name#2", "host", "host.name", "expvastic", "expvastic.restarted", "name", "restarted", "cmdline", "memstats",
    "BySize", "PauseNs", "NumGC", "PauseTotalNs", "q\\\"", "\\\\", "\\/", "/", "\u{fffd}", "x\\ud83d", "\\ude00\\ud83d", "#2", "\\u0000",
    "\u{7f}", "\u{2028}", "*", "**", "\\ud83d",
];

#[rustfmt::skip]
const SCALARS: &[&str] = &[
    "0", "null", "true", "false", "-0", "-0.0", "0e0", "1E+2", "1e-400", "1e400", "-1E400", "1.7976931348623157e308",
    "1.7976931348623159e308", "18446744073709551615", "18446744073709551616", "-9223372036854775808", "-9223372036854775809",
    "123456789012345678901234567890.5", "5e-324", "0.1e+1", "0.1000", "\"\"", "\"\\u2028\\n\"", "\"\u{e9}\u{7f}\"",
    "\"\\ud800x\"", "\"\\ud83d\\ude00\"", "\"{[,:\\\"\"", "\"\\\\\"", "\"NaN\"",
    "\"1.5s\"", "\"-3m\"", "\"1.5\\u00b5s\"", "\"512MiB\"", "\"1.5 kB\"", "\"+007.50\"", "\"0\"", "\"1e3\"",
];

const BLANKS: &[&str] = &["", "", "", "", "", " ", "\n", "\r\n\t "];

/// Invalid texts in place of a value. The first one is empty, so it is not used in arrays: there would be no element.
#[rustfmt::skip]
const BROKEN_VALUES: &[&[u8]] = &[
    b"", b"NaN", b"+Inf", b"-Inf", b"Infinity", b"152.295657ms", b"01", b"1.", b"-", b".5", b"+1", b"0x1F", b"1_000", b"1e", b"1e+",
    b"tru", b"nulll", b"truefalse", b"\"\\xe9\"", b"\"\\ud8\"", b"\"\\x\\\"\"", b"\"\\u00zz\"", b"1 2", b"x y", b"\"x\" y", b"y \"x\"",
    b"\"x\"\"y\"", b"1\"x\"", b"\"x\"1", b"true false", b"'x'", b"\\xe9", b"// x", b"\"a\x01b\"", b"\"\n\"", b"\"\\\t\"", b"\"\0\"", b"\x01",
    b"1\x0c", b"\xff", b"\"\xff\"", b"\"x\xc3\"", b"\"\xed\xa0\x80\"", b"\"\xc0\x80\"", b"\"\\\xff\"", b"1\xff", b"\"\\\\\\\xff\\\"\"",
    "\u{feff}1".as_bytes(), "\u{a0}1".as_bytes(), "\u{e9}".as_bytes(), b"1:2", b":", b"\"x\":1", b"NaN{\"a\":[1,2]}", b"1[{},{}]",
];

/// Invalid names.
#[rustfmt::skip]
const BROKEN_NAMES: &[&[u8]] = &[
    b"\"caf\\xe9\":", b"\"\\u12\":", b"\"a\x01\":", b"\"a\n\":", b"\"\xff\":", b"\"\xc3\":", b"\"\\\xff\":", b"\"\\?\" :",
];

/// Texts in place of a name and its colon. What follows them counts as a part of the previous value.
#[rustfmt::skip]
const NO_NAMES: &[&[u8]] = &[
    b"a:", b"1:", b"NaN:", b"\"a\"", b"\"a\" ", b":", b"", b"\"a\"=", b"'a':", b"\"a\"\"b\":", b"null:", b"\\:",
];

/// Texts after an object or an array that make it invalid.
const JUNK: &[&[u8]] = &[b" 1", b"x", b"\"x\"", b" NaN", b"\xff", b"{}", b"[1]", b":1"];

/// The deepest nesting of objects and arrays. The program refuses payloads with more than 64 levels.
const DEPTH_MAX: usize = 62;

/// Bytes after which no further member or element begins. Longer payloads would slow down a fuzzer.
const BYTES_MAX: usize = 4_000;

/// Makes a payload of the bytes. With `breaking`, some bytes choose whether a part of it is broken.
pub(crate) fn payload(bytes: &[u8], breaking: bool) -> Payload {
    let mut writer = Writer { bytes: Bytes(bytes), breaking, depth: 0, payload: Payload::default() };
    if breaking && writer.bytes.next() == 1 {
        writer.payload.broken.extend_from_slice("\u{feff}".as_bytes());
    }
    writer.object();
    writer.payload
}

/// A member that may be broken by what follows it.
struct Member {
    /// Where its value begins in `equivalent`, if it is there.
    value_at: Option<usize>,
    breaks_before: u64,
}

struct Writer<'a> {
    bytes: Bytes<'a>,
    breaking: bool,
    /// The number of objects and arrays that have not ended yet.
    depth: usize,
    payload: Payload,
}

impl Writer<'_> {
    fn put(&mut self, text: &str) {
        self.payload.whole.push_str(text);
        self.payload.broken.extend_from_slice(text.as_bytes());
        self.payload.equivalent.push_str(text);
    }

    fn blank(&mut self) {
        let blank = self.bytes.pick(BLANKS);
        self.put(blank);
    }

    /// Whether to break what comes next. This is rare enough that most of the payload stays valid.
    fn breaks(&mut self) -> bool {
        self.breaking && self.bytes.next() % 8 == 7
    }

    /// Whether another member or element comes.
    fn goes_on(&mut self) -> bool {
        self.payload.whole.len() < BYTES_MAX && !self.bytes.next().is_multiple_of(8)
    }

    fn object(&mut self) {
        let mut previous = None;
        self.container("{", "}", |writer, without| writer.member(without, &mut previous));
    }

    fn array(&mut self) {
        self.container("[", "]", |writer, _| writer.value(true));
    }

    /// Writes an object or array. `entry` writes a member or an element; its argument is the length of `equivalent` without
    /// that.
    fn container(&mut self, open: &str, close: &str, mut entry: impl FnMut(&mut Self, usize)) {
        self.depth += 1;
        self.put(open);
        let (mut first, start) = (true, self.payload.equivalent.len());
        while self.goes_on() {
            let end = self.payload.equivalent.len();
            if !std::mem::take(&mut first) {
                self.payload.whole.push(',');
                self.payload.broken.push(b',');
            }
            if end > start {
                self.payload.equivalent.push(',');
            }
            if self.superfluous_comma() && open == "[" {
                self.payload.equivalent.push_str("1e400,");
                self.payload.breaks += 1;
            }
            entry(self, end);
        }
        self.superfluous_comma();
        self.put(close);
        self.depth -= 1;
    }

    /// May write a comma without a member or element before it. Returns whether it has: in an array, an element is missing
    /// there.
    fn superfluous_comma(&mut self) -> bool {
        let breaks = self.breaks();
        if breaks {
            self.payload.broken.push(b',');
        }
        breaks
    }

    fn member(&mut self, without: usize, previous: &mut Option<Member>) {
        let breaks_before = self.payload.breaks;
        if self.depth == 1 && self.bytes.next() % 16 == 15 {
            self.put("\"memstats\":");
            *previous = Some(Member { value_at: Some(self.payload.equivalent.len()), breaks_before });
            return self.memstats();
        }
        if !self.breaks() {
            self.name();
            *previous = Some(Member { value_at: Some(self.payload.equivalent.len()), breaks_before });
            return self.value(false);
        }
        let is_no_name = self.breaks();
        let names = if is_no_name { NO_NAMES } else { BROKEN_NAMES };
        let name = names[self.bytes.below(names.len())];
        self.payload.broken.extend_from_slice(name);
        self.payload.whole.push_str("\"lost\":");
        // With a broken value after it, the member could be valid again.
        self.breaking = false;
        self.value(false);
        self.breaking = true;
        self.payload.equivalent.truncate(without);
        let lost = Member { value_at: None, breaks_before };
        let member = if is_no_name { previous.get_or_insert(lost) } else { previous.insert(lost) };
        self.payload.breaks = member.breaks_before + 1;
        if let Some(value_at) = member.value_at {
            self.payload.equivalent.truncate(value_at);
            self.payload.equivalent.push_str("1e400");
        }
    }

    fn name(&mut self) {
        self.blank();
        self.put("\"");
        match self.bytes.below(16) {
            0 => {
                let text = self.bytes.pick(&["xxxx", "\u{e9}", "\u{65e5}", "a.", ".", "\\u00e9", "yyyyyyyyyyyyyyy."]);
                let times = usize::from(self.bytes.next());
                // Names with hundreds of segments would make the twin very slow.
                self.put(&text.repeat(if text.ends_with('.') { times % 40 } else { times }));
            }
            1 | 2 => {
                let text = char::from(self.bytes.next() | 0x40).to_string();
                self.put(if text == "\\" { "\\\\" } else { &text });
            }
            _ => {
                let text = self.bytes.pick(NAMES);
                self.put(text);
            }
        }
        self.put("\"");
        self.blank();
        self.put(":");
    }

    fn value(&mut self, is_element: bool) {
        self.blank();
        if self.breaks() {
            self.broken_value(is_element);
        } else if self.depth >= DEPTH_MAX {
            self.put("1");
        } else {
            let before = (self.payload.equivalent.len(), self.payload.breaks);
            match self.bytes.below(16) {
                0..=8 => return self.scalar(),
                9..=11 => self.object(),
                12 | 13 => self.array(),
                _ => self.chain(),
            }
            if self.breaks() {
                self.lose_container(before);
            }
        }
        self.blank();
    }

    /// Breaks an object or array that has just been written. Everything in it is lost.
    fn lose_container(&mut self, (equivalent, breaks): (usize, u64)) {
        let junk = JUNK[self.bytes.below(JUNK.len())];
        self.payload.broken.extend_from_slice(junk);
        self.payload.equivalent.truncate(equivalent);
        self.payload.equivalent.push_str("1e400");
        self.payload.breaks = breaks + 1;
    }

    fn broken_value(&mut self, is_element: bool) {
        let values = &BROKEN_VALUES[usize::from(is_element)..];
        let value = values[self.bytes.below(values.len())];
        self.payload.broken.extend_from_slice(value);
        self.payload.whole.push('7');
        self.payload.equivalent.push_str("1e400");
        self.payload.breaks += 1;
    }

    fn scalar(&mut self) {
        match self.bytes.below(8) {
            0..=3 => {
                let text = self.bytes.pick(SCALARS);
                self.put(text);
            }
            4 => {
                let digits = [308, 309, 400, 999, 1000, 1001][self.bytes.below(6)];
                let start = self.bytes.pick(&["", "-", "0."]);
                self.put(start);
                self.put(&"9".repeat(digits - start.len()));
            }
            5 => {
                self.put("\"");
                let text = self.bytes.pick(NAMES);
                self.put(text);
                self.put("\"");
            }
            _ => {
                let mut number = [0; 8];
                number.fill_with(|| self.bytes.next());
                let number = i64::from_le_bytes(number) >> (8 * self.bytes.below(8));
                self.put(&number.to_string());
                let fraction = self.bytes.pick(&["", "", ".5", ".000", "e5", "E-7"]);
                self.put(fraction);
            }
        }
        self.blank();
    }

    /// Writes a deep nesting of objects or arrays, which takes only a few bytes of the input.
    fn chain(&mut self) {
        const LINKS: [(&str, &str); 5] =
            [("{\"a\":", "}"), ("{\"x.y\":", "}"), ("{\"\":", "}"), ("[", "]"), ("{\"_value\":1,\"a\":", "}")];
        let (open, close) = LINKS[self.bytes.below(LINKS.len())];
        let links = self.bytes.below(DEPTH_MAX).min(DEPTH_MAX - self.depth);
        (0..links).for_each(|_| self.put(open));
        let text = self.bytes.pick(SCALARS);
        self.put(text);
        (0..links).for_each(|_| self.put(close));
    }

    /// Writes the value of `memstats`: rings of pauses, and their number and total. Some of it may be wrong.
    fn memstats(&mut self) {
        let collections = usize::from(self.bytes.next()) * (1 + self.bytes.below(3));
        let pause = 1 + self.bytes.below(3);
        let lie = self.bytes.next() / 128;
        let odd = self.bytes.pick(&["", "", "", "", "[1]", "\"x\"", "true", "null", "-1", "1.5", "1e400", "{}"]);
        let length = [256, 256, 256, 256, 255, 257, 0][self.bytes.below(7)];
        let mut ring = vec![0; length];
        (1..=collections).for_each(|number| {
            if let Some(entry) = ring.get_mut((number + 255) % 256) {
                *entry = number * pause;
            }
        });
        let total = (1..=collections).map(|number| number * pause).sum::<usize>() + usize::from(lie);
        let mut elements: Vec<String> = ring.iter().map(usize::to_string).collect();
        if let Some(first) = elements.first_mut().filter(|_| !odd.is_empty()) {
            odd.clone_into(first);
        }
        let comma = self.bytes.pick(&[",", ", ", ",\n"]);
        let ring = elements.join(comma);
        let members = [
            format!("\"PauseNs\":[{ring}]"),
            format!("\"PauseEnd\":[{ring}]"),
            format!("\"NumGC\":{collections}"),
            format!("\"PauseTotalNs\":{total}"),
        ];
        let first = self.bytes.below(4);
        let order = [first, (first + 1) % 4, (first + 2) % 4, (first + 3) % 4];
        let members: Vec<&str> = order.iter().map(|&at| members[at].as_str()).collect();
        self.put(&format!("{{{}}}", members.join(",")));
    }
}
