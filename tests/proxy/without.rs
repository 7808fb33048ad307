//! A program that is built without proxies.

use super::loopback::{counting_app, wait_until};
use super::program::Program;

#[test]
fn a_program_without_proxies_says_so_and_reaches_what_is_exempt() {
    let app = counting_app();
    let config = format!(
        "readers:\n  app: {{type_name: app, endpoint: \"{}\", interval: 100ms}}\n  \
         far: {{type_name: far, endpoint: \"far.test:8080\", interval: 100ms}}\n\
         recorders:\n  es: {{endpoint: \"es.test:9200\"}}\n  near: {{endpoint: \"near.test:9200\"}}\n  \
         out: {{type: file, path: out.ndjson, bulk: {{age: 20ms}}}}\n\
         routes: {{r: {{readers: [app, far], recorders: [es, near, out]}}}}\nsettings: {{shutdown_timeout: 1s}}\n",
        app.address
    );
    let environment = [("http_proxy", "http://planted-user:planted-pass@127.0.0.1:9"), ("no_proxy", "near.test")];
    let said = |place: &str| {
        format!("the variable http_proxy names a proxy for {place}, but this expvastic was built without proxies")
    };

    let mut check = Program::start_with(&environment, &["check"], &config);
    assert_eq!(check.wait(), Some(0));
    let warned = check.read("stderr");
    assert_eq!(warned.lines().count(), 2, "{warned}");
    assert!(warned.contains(&said("far.test:8080")) && warned.contains(&said("es.test:9200")), "{warned}");
    let mut check = Program::start_with(&[("http_proxy", ""), ("no_proxy", "")], &["check"], &config);
    assert_eq!((check.wait(), check.read("stderr")), (Some(0), String::new()));

    let mut program = Program::start_with(&environment, &[], &config);
    wait_until("both say so", || {
        let log = program.read("stderr");
        log.contains(&said("far.test:8080")) && log.contains(&said("es.test:9200"))
    });
    wait_until("what is on this machine is reached", || program.documents("out.ndjson").len() >= 3);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(1), "{}", program.read("stderr"));
    assert!(!program.read("stderr").contains(&said("near.test:9200")));
}
