//! Dead letters: the commands that list them and send them again. Runs the program with real files and real sockets.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/dead_letters.rs"]
mod dead_letters;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use dead_letters::{LS, RETRY, action, config, files, ids, judge, judging_server, letter, line, said, with_files};
use loopback::{Reply, Server, Store, bulk_documents, counting_app, storing_server, wait_until};
use program::Program;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

#[test]
fn a_document_is_sent_again_byte_for_byte_and_its_letter_goes() {
    let documents = [
        r#"{"n":9007199254740993,"m":18446744073709551615,"f":0.1000000000000000055511151231257827,"z":-0.0,"e":1E+7}"#,
        r#"{"s":"a\",\"document\":{\"x\":1}}","t":"}{\\","u":"größe 😀 \ud83d\ude00 \/ \u0001"}"#,
        r#"{"a,\"document\":":[1,"]",null,{"action":{}}],"document":"}","ключ":"值"}"#,
    ];
    let ids = ["one", "ljo7zxuww_IZAAAAAAAA", "größe"];
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&bodies);
    let store = Mutex::new(Store::default());
    let server = Server::start(move |request| {
        seen.lock().expect("the bodies").extend_from_slice(&request.body);
        judge(request, &store, &|_| false)
    });
    let letters: Vec<String> = ids.iter().zip(documents).map(|(id, document)| letter(id, document)).collect();
    let older = format!("{}{}", letters[0], letters[1]);
    let (program, _) = with_files(&server.address, "", &[("dead.ndjson.1", &older), ("dead.ndjson", &letters[2])]);
    let (code, out, err) = said(&program.beside(&RETRY));
    assert_eq!(code, Some(0), "{out}{err}");
    assert_eq!(out, "es: 3 dead letters: 3 stored, 0 already stored, 0 rejected again, 0 not accepted for now\n");
    assert_eq!(files(&program), BTreeMap::new());
    let expected: String = ids
        .iter()
        .zip(documents)
        .flat_map(|(id, document)| [action(id), document.to_owned()])
        .fold(String::new(), line);
    assert_eq!(String::from_utf8_lossy(&bodies.lock().expect("the bodies")), expected);

    let (code, out, err) = said(&program.beside(&RETRY));
    let nothing = "es: 0 dead letters: 0 stored, 0 already stored, 0 rejected again, 0 not accepted for now\n";
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), nothing, ""));
}

#[test]
fn what_is_refused_again_stays_with_its_new_reason_and_what_is_no_letter_as_it_is() {
    let is_mended = Arc::new(AtomicBool::new(false));
    let mended = Arc::clone(&is_mended);
    let (server, store) = judging_server(move |id| id == "b" && !mended.load(Ordering::SeqCst));
    let torn = r#"{"time":"2026-11-22T05:06:07.000000Z","recorder":"es","sta"#;
    let text = [&letter("a", r#"{"n":1}"#), torn, "\n", &letter("b", r#"{"n":9007199254740993}"#), "\n"].concat();
    let (program, _) = with_files(&server.address, "", &[("dead.ndjson", &text)]);

    let (code, out, err) = said(&program.beside(&RETRY));
    let expected = "es: 2 dead letters: 1 stored, 0 already stored, 1 rejected again, 0 not accepted for now\n\
                    es: rejected again:\n  1 × status 400 strict_dynamic_mapping_exception\n      as the test wants it\n";
    assert!(out.starts_with(expected), "{out}{err}");
    assert!(out.contains("dead.ndjson line 2: it is truncated\n") && out.ends_with("dead.ndjson\n"), "{out}");
    assert_eq!((code, out.contains("es: 1 dead letter left in ")), (Some(1), true), "{out}");
    let left = program.read("dead.ndjson");
    let lines: Vec<&str> = left.lines().collect();
    let letter: serde_json::Value = serde_json::from_str(lines[0]).expect("a letter");
    assert_eq!((lines.len(), lines[1], files(&program).len()), (2, torn, 1));
    assert_eq!(letter["reason"], "strict_dynamic_mapping_exception");
    assert_ne!(letter["time"], "2026-11-22T05:06:07.000000Z");
    assert!(lines[0].ends_with(&format!("\"action\":{},\"document\":{{\"n\":9007199254740993}}}}", action("b"))));

    is_mended.store(true, Ordering::SeqCst);
    let (code, out, _) = said(&program.beside(&RETRY));
    assert_eq!((code, program.read("dead.ndjson")), (Some(1), format!("{torn}\n")), "a line is left: {out}");
    assert_eq!(store.lock().expect("the store").documents.len(), 2);
}

#[test]
fn ls_says_what_is_there_and_changes_nothing() {
    let many: String = (0..30).map(|n| letter(&n.to_string(), &format!("{{\"n\":{n}}}"))).collect();
    let newer = letter("x", "{}").replace("05:06:07", "23:00:00").replace("400", "413").replace("[n]", "\\u001b[2J");
    let (program, _) =
        with_files("localhost:1", "", &[("dead.ndjson.1", &many), ("dead.ndjson", &format!("{newer}{{"))]);
    let before = files(&program);
    let (code, out, err) = said(&program.beside(&LS));
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let folder = program.path("");
    let out = out.replace(folder.to_str().expect("UTF-8"), "").replace("./", "");
    let bytes = [many.len(), newer.len() + 1];
    let expected = format!(
        "dead.ndjson.1: 30 letters, {} bytes, 2026-11-22T05:06:07.000000Z to 2026-11-22T05:06:07.000000Z\n  \
         30 × status 400 mapper_parsing_exception\n      failed to parse [n]\n\
         dead.ndjson: 1 letter, {} bytes, 2026-11-22T23:00:00.000000Z to 2026-11-22T23:00:00.000000Z\n  \
         1 × status 413 mapper_parsing_exception\n      failed to parse \\u001b[2J\n  \
         not a dead letter, left unchanged: dead.ndjson line 2: it is truncated\n\
         es: 31 dead letters in dead.ndjson\n",
        bytes[0], bytes[1]
    );
    assert_eq!(out, expected);
    assert_eq!(files(&program), before);
}

#[test]
fn what_the_server_does_not_take_for_now_stays_as_it_is() {
    let text: String = (0..5).map(|n| letter(&n.to_string(), &format!("{{\"n\":{n}}}"))).collect();
    let refusing = |status: u16, error: &'static str| {
        let store = Mutex::new(Store::default());
        Server::start(move |request| {
            store
                .lock()
                .expect("the store")
                .take(&request.body, |position| (position % 2 == 0).then_some((status, error)))
        })
    };
    let unauthorized = Server::start(|_| Reply::Full(401, String::new(), Vec::new()));
    let foreign = Server::start(|_| Reply::ok("<html>"));
    let nobody = "127.0.0.1:1".to_owned();
    let overloaded = refusing(429, "es_rejected_execution_exception");
    for (server, left, reason) in [
        (&nobody, 5, "gave up, the server accepts nothing: "),
        (&unauthorized.address, 5, "gave up, the server accepts nothing: status 401"),
        (&foreign.address, 5, "status 200 but the body is not a bulk response: <html>"),
        // Of five three go again, of three two, then one.
        (&overloaded.address, 1, "  1 × item status 429: es_rejected_execution_exception"),
        (&refusing(403, "cluster_block_exception").address, 1, "  1 × item status 403: cluster_block_exception"),
    ] {
        let (program, _) = with_files(server, "", &[("dead.ndjson", &text)]);
        let (code, out, err) = said(&program.beside(&RETRY));
        assert_eq!(code, Some(1), "{out}{err}");
        assert!(out.contains(reason), "{reason}: {out}");
        let (found, lines) = (program.read("dead.ndjson"), text.lines().collect::<Vec<_>>());
        assert!(found.lines().all(|line| lines.contains(&line)), "{found}");
        assert_eq!((found.lines().count(), files(&program).len()), (left, 1), "{out}");
    }
}

/// How a server fails.
type Failure = fn() -> Reply;

/// They are found by sending less at a time, and the others are taken.
#[test]
fn documents_that_the_server_fails_with_keep_no_other_from_being_sent() {
    let letters = |numbers: &[usize]| -> String {
        numbers.iter().map(|n| letter(&n.to_string(), &format!("{{\"n\":{n}}}"))).collect()
    };
    let text = letters(&(0..40).collect::<Vec<_>>());
    let page: Failure = || Reply::Full(500, String::new(), b"<html>".to_vec());
    let error: Failure =
        || Reply::Full(400, String::new(), br#"{"error":{"type":"illegal_argument_exception"}}"#.into());
    let cases: [(&'static [usize], Failure, &str); 4] = [
        (&[0], page, "10s"),
        (&[20, 21, 22], page, "10s"),
        (&[9, 10], error, "4s"),
        // A server that says nothing may be away: it is waited for before others have their turn.
        (&[13], || Reply::Raw(Vec::new()), "10s"),
    ];
    for (bad, failure, patience) in cases {
        let (store, failed) = (Arc::new(Mutex::new(Store::default())), Arc::new(AtomicUsize::new(0)));
        let (stored, failed_since) = (Arc::clone(&store), Arc::clone(&failed));
        let server = Server::start(move |request| {
            let is_bad = |id: &str| bad.iter().any(|bad| bad.to_string() == id);
            if bulk_documents(&request.body).iter().any(|(_, id, _)| is_bad(id)) {
                failed_since.fetch_add(1, Ordering::SeqCst);
                return failure();
            }
            failed_since.store(0, Ordering::SeqCst);
            judge(request, &stored, &|_| false)
        });
        let (program, config) = with_files(&server.address, ", bulk: {documents: 10}", &[("dead.ndjson", &text)]);
        let mut program = program.start_again(&RETRY, &config.replace("300ms", patience));
        // What comes after the last answer that was good shows that this was read.
        wait_until("all others are stored", || {
            let is_all = store.lock().expect("the store").documents.len() == 40 - bad.len();
            is_all && failed.load(Ordering::SeqCst) > 0
        });
        program.signal("TERM");
        assert_eq!(
            (program.wait(), program.read("dead.ndjson")),
            (Some(1), letters(bad)),
            "{}",
            program.read("stdout")
        );
    }
}

#[test]
fn a_bulk_that_is_too_large_is_halved_and_one_that_is_refused_for_types_goes_with_the_right_ones() {
    let text: String =
        (0..9).map(|n| letter(&n.to_string(), &format!("{{\"n\":{n},\"service.name\":\"shop\"}}"))).collect();
    let store = Arc::new(Mutex::new(Store::default()));
    let stored = Arc::clone(&store);
    let small = Server::start(move |request| {
        let is_large = bulk_documents(&request.body).len() > 2;
        if is_large { Reply::Full(413, String::new(), Vec::new()) } else { judge(request, &stored, &|_| false) }
    });
    let (program, _) = with_files(&small.address, "", &[("dead.ndjson", &text)]);
    assert_eq!(program.beside(&RETRY).status.code(), Some(0));
    assert_eq!(store.lock().expect("the store").documents.len(), 9);

    let types = Arc::new(Mutex::new(Vec::new()));
    let (seen, store) = (Arc::clone(&types), Mutex::new(Store::default()));
    let old = Server::bare(move |request| match request.target.as_str() {
        "/" => Reply::ok(r#"{"version":{"number":"6.8.23"}}"#),
        target if target.starts_with("/_bulk") => {
            let text = String::from_utf8(request.body.clone()).expect("UTF-8");
            seen.lock().expect("types").extend(text.lines().step_by(2).map(str::to_owned));
            judge(request, &store, &|_| false)
        }
        _ => Reply::ok("{}"),
    });
    let (program, _) = with_files(&old.address, "", &[("dead.ndjson", &text)]);
    assert_eq!(program.beside(&RETRY).status.code(), Some(0));
    let types = types.lock().expect("types");
    assert_eq!((types.len(), types[8].as_str()), (9, r#"{"create":{"_index":"i","_type":"shop","_id":"8"}}"#));
}

#[test]
fn at_a_signal_what_has_no_answer_stays() {
    for signal in ["INT", "TERM"] {
        let answered = Arc::new(AtomicUsize::new(0));
        let (counted, store) = (Arc::clone(&answered), Mutex::new(Store::default()));
        let server = Server::start(move |request| {
            if counted.fetch_add(1, Ordering::SeqCst) < 2 {
                judge(request, &store, &|_| false)
            } else {
                Reply::Hang(Vec::new())
            }
        });
        let text: String = (0..20).map(|n| letter(&n.to_string(), &format!("{{\"n\":{n}}}"))).collect();
        let files_before = [("dead.ndjson.1", text.as_str()), ("dead.ndjson", &letter("last", "{}"))];
        let (program, config) = with_files(&server.address, ", bulk: {documents: 5}", &files_before);
        let mut program = program.start_again(&RETRY, &config);
        wait_until("the third bulk is under way", || answered.load(Ordering::SeqCst) == 3);
        let (code, out, _) = said(&program.beside(&RETRY));
        assert_eq!(code, Some(1));
        assert!(out.contains("nothing was sent: ") && out.contains("in use by another `dead-letters retry`"), "{out}");
        program.signal(signal);
        assert_eq!(program.wait(), Some(1));
        let out = program.read("stdout");
        assert!(out.contains(&format!("SIG{signal} received: unanswered dead letters are kept")), "{out}");
        assert!(out.contains("es: 21 dead letters: 10 stored") && out.contains("es: 11 dead letters left"), "{out}");
        let left = text.lines().skip(10).fold(String::new(), line);
        let expected = [("dead.ndjson".to_owned(), letter("last", "{}")), ("dead.ndjson.1".to_owned(), left)];
        assert_eq!(files(&program), BTreeMap::from(expected));
    }
}

#[test]
fn only_the_recorder_that_is_named_is_meant() {
    let (server, store) = storing_server();
    let recorder = |name: &str, more: &str| format!("  {name}: {{endpoint: \"{}\"{more}}}\n", server.address);
    let config = format!(
        "readers: {{app: {{type_name: app, endpoint: \"localhost:1\"}}}}\nrecorders:\n{}{}{}\
         routes: {{r: {{readers: [app], recorders: [one]}}}}\n",
        recorder("one", ", dead_letter: dead.ndjson.one"),
        recorder("two", ", dead_letter: dead.ndjson.two"),
        recorder("none", "")
    );
    let mut program = Program::start(&["check"], &config);
    assert_eq!(program.wait(), Some(0));
    for name in ["one", "two"] {
        std::fs::write(program.path(&format!("dead.ndjson.{name}")), letter(name, "{}")).expect("written");
    }
    for (arguments, code, expected) in [
        (&["dead-letters"][..], 64, "expvastic: dead-letters: expected ls or retry, found \"\""),
        (&["dead-letters", "drop"], 64, "expvastic: dead-letters: expected ls or retry, found \"drop\""),
        (&["dead-letters", "retry", "--recorder", "tow"], 64, "no recorder is named \"tow\", did you mean \"two\"?"),
        (&["dead-letters", "retry", "--recorder", "none"], 64, "--recorder: none has no dead_letter file"),
        (&["dead-letters", "retry", "--recorder", "two"], 0, ""),
    ] {
        let (found, out, err) = said(&program.beside(arguments));
        assert!(found == Some(code) && err.contains(expected), "{arguments:?}: {out}{err}");
    }
    assert_eq!(files(&program).into_keys().collect::<Vec<_>>(), ["dead.ndjson.one"]);
    assert_eq!(program.beside(&RETRY).status.code(), Some(0));
    assert_eq!(store.lock().expect("the store").documents.len(), 2);
    assert_eq!(files(&program), BTreeMap::new());
}

/// Whenever it is killed, each letter is in its file or stored; the next one goes on.
#[test]
fn a_kill_in_the_middle_of_a_retry_loses_nothing_and_stores_nothing_twice() {
    const LETTERS: usize = 300;
    let is_mended = Arc::new(AtomicBool::new(false));
    let (mended, bulks, store) = (Arc::clone(&is_mended), Arc::new(AtomicUsize::new(0)), Arc::default());
    let (counted, stored): (_, Arc<Mutex<Store>>) = (Arc::clone(&bulks), Arc::clone(&store));
    let server = Server::start(move |request| {
        let is_refused = |id: &str| id.ends_with('7') && !mended.load(Ordering::SeqCst);
        let reply = judge(request, &stored, &is_refused);
        counted.fetch_add(1, Ordering::SeqCst);
        reply
    });
    let all: BTreeSet<String> = (0..LETTERS).map(|n| format!("id{n}")).collect();
    let text: String =
        all.iter().map(|id| letter(id, &format!("{{\"n\":9007199254740993,\"id\":\"{id}\"}}"))).collect();
    let half = text.match_indices('\n').nth(LETTERS / 3).expect("a line").0 + 1;
    let parts = [("dead.ndjson.1", &text[..half]), ("dead.ndjson", &text[half..])];
    let (mut program, config) = with_files(&server.address, ", bulk: {documents: 7}", &parts);
    let check = |program: &Program| {
        let mut found = ids(program);
        found.extend(store.lock().expect("the store").documents.keys().map(|(_, id)| id.clone()));
        assert_eq!(found, all);
    };
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..40 {
        let from = bulks.load(Ordering::SeqCst);
        program = program.start_again(&RETRY, &config);
        let until = from + random.usize(0..60);
        // Towards the end of one there is no such number.
        wait_until("some bulks", || bulks.load(Ordering::SeqCst) >= until || !program.is_running());
        (0..random.u32(0..2_000)).for_each(|_| std::hint::spin_loop());
        program.kill();
        check(&program);
        if round == 20 {
            // The rest is sent, and what is refused stays.
            assert_eq!(program.beside(&RETRY).status.code(), Some(1));
            check(&program);
            assert!(ids(&program).iter().all(|id| id.ends_with('7')));
        }
    }
    is_mended.store(true, Ordering::SeqCst);
    let (code, out, err) = said(&program.beside(&RETRY));
    assert_eq!((code, files(&program)), (Some(0), BTreeMap::new()), "{out}{err}");
    let store = store.lock().expect("the store");
    assert_eq!(store.documents.len(), LETTERS);
    assert!(store.documents.values().all(|document| document["n"] == 9_007_199_254_740_993_u64));
}

/// Each document is refused when it first comes, by a running expvastic, and taken when it comes again.
#[test]
fn beside_a_running_expvastic_no_letter_is_lost() {
    let (seen, store) = (Mutex::new(BTreeSet::new()), Arc::new(Mutex::new(Store::default())));
    let stored = Arc::clone(&store);
    let server = Server::start(move |request| {
        let is_first = |id: &str| seen.lock().expect("the ids").insert(id.to_owned());
        judge(request, &stored, &is_first)
    });
    let app = counting_app();
    let mut program = Program::start(&[], &config(&app.address, &server.address, ""));
    for round in 1..=15 {
        wait_until("some are refused", || app.request_count() > 20 * round);
        let (code, out, err) = said(&program.beside(&RETRY));
        assert_eq!(code, Some(0), "{out}{err}");
    }
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0), "refusals are in the ledger, not in the exit code");
    let (code, out, err) = said(&program.beside(&RETRY));
    assert_eq!((code, files(&program)), (Some(0), BTreeMap::new()), "{out}{err}");
    let log = program.read("stderr");
    let stored = store.lock().expect("the store").documents.len();
    // One that could not be written down at once, as the file was locked, was sent again by the process itself.
    assert!(
        log.contains(&format!("ledger: made {stored} = ")) && log.contains(" + dropped 0 + waiting 0"),
        "{stored}: {log}"
    );
}

#[test]
fn the_folder_of_the_file_is_made_for_its_owner_only() {
    let (server, _) = judging_server(|_| true);
    let app = counting_app();
    let text = config(&app.address, &server.address, "").replace("dead.ndjson", "not/there/dead.ndjson");
    let mut program = Program::start(&["once"], &text);
    assert_eq!(program.wait(), Some(1), "a dead letter is no document that was taken");
    assert_eq!(program.read("not/there/dead.ndjson").lines().count(), 1, "{}", program.read("stderr"));
    for folder in ["not", "not/there"] {
        let mode = std::fs::metadata(program.path(folder)).expect("a folder").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{folder}");
    }
}
