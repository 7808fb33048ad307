//! The live page in a real browser, headless Chromium: what people see, and what they can do with it. Wants Chromium, and
//! axe-core from `npm ci` in the folder `page`, so `ci/validate` runs it. Screenshots:
//! `cargo test --test browser -- --ignored`.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/chromium.rs"]
mod chromium;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use chromium::Browser;
use loopback::{Reply, Reserved, Server, overloaded_server, storing_server, wait_until};
use program::Program;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// An endpoint with a counter, a gauge, numbers that no double holds, and values that are left out. It fails as long as it
/// is told to.
fn app() -> (Server, Arc<AtomicBool>) {
    let (polls, fails) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
    let is_failing = Arc::clone(&fails);
    let server = Server::start(move |_| {
        if is_failing.load(Ordering::SeqCst) {
            return Reply::Full(500, String::new(), Vec::new());
        }
        let poll = polls.fetch_add(1, Ordering::SeqCst);
        let body = format!(
            "{{\n\"requests\": {},\n\"big\": 9223372036854775807,\n\"exact\": 0.10000000000000000555,\n\"cache\": ,\n\
             \"goroutines\": {},\n\"markup\": \"<b>bold</b>\",\n\"memstats\": {{\"HeapAlloc\": {}, \"HeapInuse\": {}, \
             \"PauseTotalNs\": {}}},\n\"list\": [1, 2.50]\n}}\n",
            poll * 3,
            40 + poll % 7,
            20_000_000 + poll % 40 * 300_000,
            31_000_000 + poll % 40 * 200_000,
            poll * 70_000,
        );
        Reply::Chunked(body.into_bytes())
    });
    (server, fails)
}

/// Readers of these names and endpoints, which all feed every one of these recorders.
fn config(listen: &str, readers: &[(&str, &str)], recorders: &[(&str, &str)]) -> String {
    let mut text = format!("settings: {{listen: \"{listen}\", shutdown_timeout: 100ms}}\nreaders:\n");
    for (name, address) in readers {
        let name = serde_json::json!(name);
        let _ = writeln!(text, "  {name}: {{type_name: app, endpoint: \"{address}\", interval: 200ms, backoff: 4}}");
    }
    text.push_str("recorders:\n");
    for (name, address) in recorders {
        let _ = writeln!(text, "  {name}: {{endpoint: \"{address}\", backoff: 4}}");
    }
    let [readers, recorders] = [readers, recorders].map(|all| all.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    let _ = writeln!(text, "routes: {{r: {{readers: {readers:?}, recorders: {recorders:?}}}}}");
    text
}

/// The text of a card with this name.
fn card(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('#flow li')].find((li) => li.querySelector('.name').textContent === {name:?})?.innerText ?? ''"
    )
}

const VERDICT: &str = "document.getElementById('verdict').textContent";
/// The row of a variable, which is `$1`.
const ROW: &str =
    "[...document.querySelectorAll('#document tbody tr')].find((row) => row.cells[0].firstChild.textContent === '$1')";

fn row(variable: &str) -> String {
    ROW.replace("$1", variable)
}

/// Nothing is wider than the window.
fn fits(browser: &mut Browser) {
    let widths = browser.value("[document.documentElement.scrollWidth, document.documentElement.clientWidth]");
    assert!(widths[0].as_u64() <= widths[1].as_u64(), "{widths}");
}

#[test]
fn states_change_when_an_application_or_a_server_fails_and_comes_back() {
    let ((app, fails), (server, _store, is_well)) = (app(), overloaded_server());
    is_well.store(true, Ordering::SeqCst);
    let reserved = Reserved::new();
    let listen = &reserved.address;
    let program = Program::start(&[], &config(listen, &[("shop", &app.address)], &[("search", &server.address)]));
    wait_until("it serves", || program.read("stderr").contains("status pages at"));
    let mut browser = Browser::start();
    browser.open(&format!("http://{listen}/"));
    browser.wait(&format!("{VERDICT} === 'All is well: 1 reader, 1 recorder'"));
    browser.wait(&format!("/Elasticsearch 9\\.0.*documents\\/s.*acked/s.test({})", card("search")));
    browser.value("window.changes = 0; new MutationObserver(() => changes++).observe(document.getElementById('verdict'), {childList: true}); 0");
    fails.store(true, Ordering::SeqCst);
    browser.wait(&format!("{VERDICT} === 'shop failing' || {VERDICT} === 'shop down'"));
    browser.wait(&format!("{VERDICT} === 'shop down'"));
    browser.wait(&format!("/down for .*status 500, expected 200.*in a row/s.test({})", card("shop")));
    assert_eq!(browser.value("document.querySelector('#readers li').className"), "down");
    is_well.store(false, Ordering::SeqCst);
    fails.store(false, Ordering::SeqCst);
    browser.wait(&format!("{VERDICT} === 'search down'"));
    browser.wait(&format!("/down for .*503.*waiting: [1-9]/s.test({})", card("search")));
    is_well.store(true, Ordering::SeqCst);
    program.signal("USR1");
    browser.wait(&format!("{VERDICT}.startsWith('All is well')"));
    browser.wait(&format!("/last error, .*ago: .*500/s.test({})", card("shop")));
    let changes = browser.value("changes").as_u64().expect("a count");
    assert!((2..12).contains(&changes), "the verdict is announced only when it changes, not {changes} times");
}

#[test]
fn when_the_program_stops_the_page_says_so_and_keeps_what_it_has() {
    let ((app, _fails), (server, _store)) = (app(), storing_server());
    let reserved = Reserved::new();
    let listen = &reserved.address;
    let config = config(listen, &[("shop", &app.address)], &[("search", &server.address)]);
    let mut program = Program::start(&[], &config);
    wait_until("it serves", || program.read("stderr").contains("status pages at"));
    let mut browser = Browser::start();
    browser.open(&format!("http://{listen}/#reader/shop"));
    browser.wait(&row("requests"));
    browser.value(&format!("{}.querySelector('button').click()", row("requests")));
    let points = "Number(document.querySelector('#charts figure')?.dataset.points ?? 0)";
    browser.wait(&format!("{points} > 3"));
    program.kill();
    browser.wait("!document.getElementById('contact').hidden && /does not answer since/.test(document.getElementById('contact').textContent)");
    let before = browser.value(points).as_u64().expect("a number");
    assert!(before > 3 && browser.value(&format!("!!{}", row("requests"))) == true);
    let _program = program.start_again(&[], &config);
    browser.wait("document.getElementById('contact').hidden");
    browser.wait(&format!("{points} > {before} + 2"));
    browser.wait("document.getElementById('process').textContent.includes('has just restarted')");
}

#[test]
fn a_document_has_every_digit_can_be_searched_and_its_numbers_become_charts() {
    let ((app, _fails), (server, _store)) = (app(), storing_server());
    let reserved = Reserved::new();
    let listen = &reserved.address;
    let name = "<script>alert(1)</script>/&amp;?#";
    let program = Program::start(&[], &config(listen, &[(name, &app.address)], &[("search", &server.address)]));
    wait_until("it serves", || program.read("stderr").contains("status pages at"));
    let mut browser = Browser::start();
    browser.open(&format!("http://{listen}/"));
    browser.wait("document.querySelector('#readers a')");
    assert_eq!(browser.text("document.querySelector('#readers a').textContent"), name, "a name is text");
    // By keyboard alone.
    browser.value("document.querySelector('#readers a').focus()");
    browser.press("Enter");
    browser.wait(&row("requests"));
    assert_eq!(browser.text("document.activeElement.id"), "reader-name");
    for (variable, value) in
        [("big", "9223372036854775807"), ("exact", "0.10000000000000000555"), ("markup", "<b>bold</b>")]
    {
        assert_eq!(browser.text(&format!("{}.cells[1].textContent.trim()", row(variable))), value);
    }
    browser.wait("document.getElementById('findings').innerText.includes('1 value left out: not valid JSON, or a number that no server can store: cache')");
    browser.value(&format!(
        "{}.querySelector('button').focus(); window.focused = document.activeElement; 0",
        row("requests")
    ));
    browser.press("Enter");
    browser.wait(&format!("/\\d\\/s/.test({}.cells[2].textContent)", row("requests")));
    assert_eq!(browser.value("document.activeElement === focused && focused.isConnected"), true, "the focus stays");
    browser.value(&format!("{}.querySelectorAll('button')[1].click()", row("requests")));
    for variable in ["memstats.HeapAlloc", "memstats.HeapInuse"] {
        browser.value(&format!("{}.querySelector('button').click()", row(variable)));
    }
    browser.wait("document.querySelectorAll('#charts figure canvas').length === 3");
    let caption = "[...document.querySelectorAll('#charts figcaption')].map((one) => one.innerText).join(' ')";
    browser.wait(&format!(
        "/requests per second\\s.*\\/s/s.test({caption}) && /HeapAlloc.*MB.*HeapInuse.*MB/s.test({caption})"
    ));
    let points =
        browser.value("Number(document.querySelector('#charts figure').dataset.points)").as_u64().expect("a number");
    browser.wait(&format!("Number(document.querySelector('#charts figure').dataset.points) > {points} + 2"));
    assert!(
        browser
            .text("document.querySelector('#charts .plot').getAttribute('aria-label')")
            .starts_with("Chart of requests: ")
    );
    browser.press("/");
    assert_eq!(browser.text("document.activeElement.id"), "find-variable");
    browser.enter("HEAP");
    browser.wait("document.querySelectorAll('#document tbody tr').length === 2");
    browser.wait("document.getElementById('found').textContent.startsWith('2 of ')");
    browser.press("Escape");
    browser.value("document.getElementById('find-variable').value = ''; document.activeElement.blur(); 0");
    browser.press("Escape");
    browser.wait("!document.getElementById('flow').hidden && document.activeElement.matches('#readers a')");
    assert_eq!(browser.value("document.querySelectorAll('#readers script').length"), 0);
}

#[test]
fn it_fits_phones_and_desktops_in_light_and_dark_with_two_hundred_readers() {
    let ((app, _fails), (server, _store)) = (app(), storing_server());
    let (reserved, nobody) = (Reserved::new(), Reserved::new());
    let listen = &reserved.address;
    let long = format!("long {}", "x".repeat(400));
    let names: Vec<String> = (0..197).map(|number| format!("worker-{number}")).collect();
    let mut readers =
        vec![("<script>alert(1)</script>", &*app.address), (&long, &*app.address), ("mailer", &*nobody.address)];
    readers.extend(names.iter().map(|name| (&**name, &*app.address)));
    let program = Program::start(&[], &config(listen, &readers, &[("search", &server.address)]));
    wait_until("it serves", || program.read("stderr").contains("status pages at"));
    let mut browser = Browser::start();
    browser.open(&format!("http://{listen}/"));
    browser.wait(&format!("document.querySelectorAll('#readers li').length === 200 && {VERDICT} === 'mailer down'"));
    assert_eq!(
        browser.text("document.querySelector('#readers li .name').textContent"),
        "mailer",
        "what is wrong comes first"
    );
    browser.value("document.querySelector('#find-reader').focus()");
    browser.enter("worker-19");
    browser.wait("document.querySelectorAll('#readers li').length === 8");
    for hash in ["", "#reader/worker-7"] {
        browser.value(&format!("location.hash = '{hash}'"));
        if !hash.is_empty() {
            browser.wait(&row("requests"));
            browser.value(&format!("{}.querySelector('button').click()", row("requests")));
            browser.wait("document.querySelector('#charts canvas')");
        }
        for width in [320, 1600] {
            browser.resize(width, 900);
            for scheme in ["light", "dark"] {
                browser.prefer(scheme);
                fits(&mut browser);
                assert_eq!(browser.serious_faults(), [""; 0], "{width} {scheme} {hash}");
            }
        }
    }
}

#[test]
#[ignore = "it writes docs/page.png and docs/page-reader.png, for people to look at"]
fn screenshots() {
    let ((app, _fails), (well, _store), (busy, _, _)) = (app(), storing_server(), overloaded_server());
    let (reserved, nobody) = (Reserved::new(), Reserved::new());
    let listen = &reserved.address;
    let readers =
        [("shop", &*app.address), ("cart", &app.address), ("payments", &app.address), ("mailer", &nobody.address)];
    let recorders = [("search", &*well.address), ("archive", &busy.address)];
    let program = Program::start(&[], &config(listen, &readers, &recorders));
    wait_until("it serves", || program.read("stderr").contains("status pages at"));
    let mut browser = Browser::start();
    browser.resize(1280, 720);
    browser.open(&format!("http://{listen}/"));
    browser.wait(&format!("/mailer, archive down/.test({VERDICT}) && /[1-9] s ago|[5-9] s/.test({})", card("archive")));
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    browser.screenshot(&docs.join("page.png"));
    browser.value("location.hash = '#reader/shop'");
    browser.wait(&row("requests"));
    for variable in ["goroutines", "memstats.HeapAlloc", "memstats.HeapInuse"] {
        browser.value(&format!("{}.querySelector('button').click()", row(variable)));
    }
    browser.wait("Number(document.querySelector('#charts figure')?.dataset.points ?? 0) > 20");
    browser.prefer("dark");
    browser.wait("getComputedStyle(document.body).colorScheme !== ''");
    browser.screenshot(&docs.join("page-reader.png"));
}
