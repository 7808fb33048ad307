//! The library within another program: engines beside each other, and what they have done, asked while they run.

#![allow(clippy::disallowed_methods, reason = "threads of the program around the library")]
#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;

use expvastic::{Config, Engine, Reader, Recorder, Report, Settings, observer, start_engines_observed};
use loopback::{Server, counting_app, sequence, storing_server, wait_until};
use std::thread;

const DOCUMENTS: usize = 20;

fn config(app: &Server, server: &Server) -> Config {
    let file = format!(
        "readers: {{app: {{type_name: app, endpoint: \"{}\", interval: 5ms}}}}\nrecorders: {{es: {{endpoint: \"{}\"}}}}\n\
         routes: {{r: {{readers: app, recorders: es}}}}\n",
        app.address, server.address
    );
    Config::parse("conf.yml", &file, &|_| None).expect("a configuration")
}

/// Whether everything that a recorder was given is accounted for, and it was given something.
fn is_sound(report: &Report) -> bool {
    report.ledgers.len() == 1 && report.ledgers.iter().all(|(_, ledger)| ledger.balances()) && report.polls > 0
}

#[test]
fn two_configurations_run_in_one_process_and_are_observed_from_a_third_thread() {
    let runs = [(); 2].map(|()| {
        let (app, (server, store)) = (counting_app(), storing_server());
        let (config, (watcher, observed)) = (config(&app, &server), observer());
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        let stopped = async move { _ = stopped.recv().await };
        let engines = thread::spawn(move || start_engines_observed(&config, observed, stopped).expect("it runs"));
        (app, server, store, watcher, stop, engines)
    });
    for (_, _, store, watcher, _, _) in &runs {
        let mut polls = 0;
        wait_until("it has shipped enough", || {
            let report = smol::block_on(watcher.report()).expect("it runs");
            assert!(report.polls >= polls && report.ledgers[0].1.balances(), "{report:?}");
            polls = report.polls;
            report.ledgers[0].1.acked >= DOCUMENTS as u64 && sequence(store).len() >= DOCUMENTS
        });
    }
    for (_app, _server, store, watcher, stop, engines) in runs {
        drop(stop);
        let report = engines.join().expect("its thread");
        assert!(is_sound(&report) && report.all_taken(), "{report:?}");
        assert_eq!(report.ledgers[0].1.acked, sequence(&store).len() as u64, "its own documents, and no others");
        assert!(smol::block_on(watcher.report()).is_none(), "it has ended");
    }
}

#[test]
fn an_engine_made_of_yaml_is_observed_by_its_own_stop() {
    let (app, (server, store)) = (counting_app(), storing_server());
    let reader = format!("endpoint: {}\ninterval: 5ms\nlabels: {{env: test}}", app.address);
    let recorder = format!("endpoint: {}\nindex_name: by-hand\nbulk: {{documents: 3}}", server.address);
    let reader = Reader::from_yaml("shop", &reader).expect("a reader");
    let recorder = Recorder::from_yaml("es", &recorder).expect("a recorder");
    let engine = Engine::with_reader_recorders(reader, vec![recorder]).expect("an engine");
    let settings = Settings::from_yaml("memory_limit: 1MiB\nshutdown_timeout: 5s").expect("settings");
    let ((watcher, observed), mut seen) = (observer(), 0);
    // It is polled on the thread of the engine, whose answer it awaits.
    let stop = async {
        while seen < DOCUMENTS as u64 {
            let report = watcher.report().await.expect("it runs");
            seen = report.ledgers[0].1.acked;
            smol::future::yield_now().await;
        }
    };
    let report = engine.settings(settings).start_observed(observed, stop).expect("it runs");
    assert!(is_sound(&report) && report.all_taken() && seen >= DOCUMENTS as u64, "{report:?}");
    let store = store.lock().expect("the store");
    let document = store.documents.values().next().expect("a document");
    assert_eq!(document["service.name"], "shop");
    assert_eq!(document["env"], "test");
}

#[test]
fn engines_that_never_start_are_not_waited_for() {
    let (watcher, observed) = observer();
    let early = watcher.report();
    let early = smol::block_on(async {
        let mut early = std::pin::pin!(early);
        assert!(smol::future::poll_once(early.as_mut()).await.is_none(), "they may still start");
        drop(observed);
        early.await
    });
    assert!(early.is_none() && smol::block_on(watcher.report()).is_none());
}
