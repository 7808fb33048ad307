//! Servers that repeat secrets that they were sent, in every form and cut anywhere: the program writes none of them.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/secret_forms.rs"]
mod forms;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use forms::{FORMS, Telltales, repeated};
use loopback::{Reply, Request, Server, bulk_documents, wait_until};
use program::Program;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What stands around secrets: nothing of a secret is in it by chance.
const AROUND: [&str; 6] =
    ["\u{3b1}\u{3b2}", " \u{3b3}\u{3b4}\u{3b5} ", "\n\u{3b6}", "\u{3b7}/\u{3b8}", "=\u{3b9}&", "\"\u{3ba}\""];

/// Of each kind as many as the program is given, with the secrets of each.
const READERS: usize = 4;
const RECORDERS: usize = 4;

/// Lines of a file that are read: what is said over and over is not said otherwise the next time.
const LINES_READ: usize = 2_000;

/// A server that knows all secrets and repeats them.
struct Gossip {
    secrets: Vec<String>,
    random: Mutex<fastrand::Rng>,
}

impl Gossip {
    fn below(&self, end: usize) -> usize {
        self.random.lock().expect("random numbers").usize(..end)
    }

    /// Some secrets in some forms between other things, cut anywhere.
    fn text(&self) -> String {
        let mut text = AROUND[0].repeat(self.below(80));
        for _ in 0..=self.below(4) {
            text.push_str(AROUND[self.below(AROUND.len())]);
            let secret = &self.secrets[self.below(self.secrets.len())];
            text.push_str(&repeated(secret, self.below(FORMS), &mut |end| self.below(end)));
        }
        text.push_str(AROUND[self.below(AROUND.len())]);
        let end = text.len() - if self.below(2) == 0 { self.below(40).min(text.len()) } else { 0 };
        (0..=end).rev().find(|&end| text.is_char_boundary(end)).map(|end| text[..end].to_owned()).unwrap_or_default()
    }

    /// The same on one line.
    fn field(&self) -> String {
        self.text().replace(char::is_control, "")
    }

    fn answer(&self, request: &Request) -> Reply {
        if request.target.starts_with("/_bulk") {
            return self.answer_to_bulk(request);
        }
        let secret = || self.secrets[self.below(self.secrets.len())].clone();
        let redirect = |to: String| Reply::Full(302, format!("Location: {to}\r\n"), Vec::new());
        // The one that can be the name of a host as it is.
        let host = || self.secrets[4].clone();
        let again = || forms::percent(&secret(), &mut |end| self.below(end));
        let is_question = request.target == "/" || request.target.starts_with("/_index_template");
        match self.below(if is_question { 3 } else { 8 }) {
            0 => Reply::Full(503, format!("Retry-After: {}\r\n", self.field()), self.text().into_bytes()),
            1 => Reply::Full(401, format!("WWW-Authenticate: {}\r\n", self.field()), self.text().into_bytes()),
            2 if is_question => Reply::ok(r#"{"version":{"number":"9.0.4"}}"#),
            2 => Reply::Full(200, format!("Content-Type: {}\r\n", self.field()), self.text().into_bytes()),
            3 => redirect(format!("ftp://{}", self.field())),
            4 => redirect(format!("http://{}.invalid:1/", host())),
            5 => redirect(format!("http://localhost:1/{}", self.field())),
            6 if !request.target.starts_with("/again") => redirect(format!("/again?{}", again())),
            6 => redirect(format!("ftp:/{}", request.target)),
            _ => Reply::ok(format!("{{{}: nothing, \"x\": 1}}", json!(self.text()))),
        }
    }

    fn answer_to_bulk(&self, request: &Request) -> Reply {
        let error = || json!({"type": self.text(), "reason": self.text()});
        match self.below(4) {
            0 => Reply::Full([400, 401, 403, 404, 500][self.below(5)], String::new(), self.text().into_bytes()),
            1 => Reply::Full(
                [400, 401, 403, 404, 500][self.below(5)],
                String::new(),
                json!({"error": error()}).to_string().into(),
            ),
            2 => Reply::ok(self.text()),
            _ => {
                let documents = bulk_documents(&request.unpacked()).len();
                let item = |_| json!({"create": {"status": ([400, 429, 503][self.below(3)]), "error": error()}});
                Reply::ok(json!({"items": (0..documents).map(item).collect::<Vec<_>>()}).to_string())
            }
        }
    }
}

fn config(address: &str, secrets: &[String]) -> String {
    let quoted = |secret: &String| json!(secret).to_string();
    let [password, header, token, key, bearer] = secrets else { panic!("five secrets") };
    let access = [
        format!("auth: {{user: me, password: {}}}, headers: {{X-Key: {}}}", quoted(password), quoted(header)),
        format!("auth: {{bearer: {}}}", quoted(token)),
        format!("auth: {{api_key: {}}}", quoted(&format!("id:{key}"))),
        format!("auth: {{bearer: {}}}", quoted(bearer)),
    ];
    let readers: Vec<String> = (0..READERS)
        .map(|at| {
            format!("  r{at}: {{type_name: r, endpoint: \"{address}/vars\", interval: 20ms, {}}}\n", access[at % 4])
        })
        .collect();
    let recorders: Vec<String> = (0..RECORDERS)
        .map(|at| {
            let access = access[at % 4].split(", headers").next().unwrap_or_default();
            format!(
                "  s{at}: {{endpoint: \"{address}\", dead_letter: dead{at}.ndjson, bulk: {{age: 20ms}}, {access}}}\n"
            )
        })
        .collect();
    format!(
        "settings: {{shutdown_timeout: 50ms}}\nreaders:\n  own: {{type: self, type_name: own, interval: 20ms}}\n{}recorders:\n\
         \x20 out: {{type: file, path: out.ndjson}}\n{}routes:\n  a: {{readers: own, recorders: [s0, s1, s2, s3]}}\n\
         \x20 b: {{readers: [r0, r1, r2, r3], recorders: out}}\n",
        readers.concat(),
        recorders.concat()
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_is_written_tells_a_secret(
        password in "[ -#%-~\u{e4}\u{df}\u{20ac}]{8,30}",
        header in "[!-#%-~]{8,30}",
        token in "[!-#%-~]{8,40}",
        key in "[!-#%-9;-~]{8,40}",
        bearer in "[A-Za-z0-9]{20,40}",
        seed: u64,
    ) {
        let secrets = vec![password, header, token, key, bearer];
        // What consists of blanks and backslashes is compared as something shorter.
        let is_long = |text: &String| text.trim().chars().filter(|c| *c != '\\').count() >= 8;
        prop_assume!(secrets.iter().all(is_long));
        let gossip = Gossip { secrets: secrets.clone(), random: Mutex::new(fastrand::Rng::with_seed(seed)) };
        let server = Server::bare(move |request| gossip.answer(request));
        let mut program = Program::start(&["--loglevel=trace"], &config(&server.address, &secrets));
        let has_said_much = || {
            let log = program.read("stderr");
            if log.contains("recorder=s0 ") {
                // Nobody has to wait for the next try.
                program.signal("USR1");
            }
            let lines = |field: &str| log.lines().filter(|line| line.contains(" WARN ") && line.contains(field)).count();
            (0..READERS).all(|at| lines(&format!("reader=r{at} ")) >= 6)
                && (0..RECORDERS).all(|at| lines(&format!("recorder=s{at} ")) >= 4)
        };
        wait_until("each part has met several faults", has_said_much);
        let set_up = program.beside(&["setup"]);
        program.signal("TERM");
        program.wait();
        let mut written: BTreeMap<String, String> = std::fs::read_dir(program.path(""))
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .filter(|name| name != "conf.yml" && !name.starts_with("out.ndjson"))
            .map(|name| (name.clone(), program.read(&name)))
            .collect();
        written.insert("setup".to_owned(), String::from_utf8_lossy(&[set_up.stdout, set_up.stderr].concat()).into_owned());
        let hidden = written.values().map(|text| text.matches("***").count()).sum::<usize>();
        prop_assert!(hidden >= 20, "only {} secrets were repeated", hidden);
        let telltales = Telltales::of(&secrets);
        for (name, text) in &written {
            for line in text.lines().take(LINES_READ) {
                prop_assert_eq!(telltales.find(line), None, "in {}: {}", name, line);
            }
        }
    }
}
