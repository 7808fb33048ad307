//! The documentation matches the program: its links have targets, it names every key of the configuration, its examples load,
//! and the messages and tests that it mentions exist.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/config_keys.rs"]
mod config_keys;
#[path = "support/markdown.rs"]
mod markdown;
#[path = "support/rust_text.rs"]
mod rust_text;

use config_keys::{Key, problems_of};
use markdown::{Page, cells, code_spans, pages};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

const README_LINES_MAX: usize = 150;
const QUESTIONS_MIN: usize = 20;
/// Characters of a message, or a part of one, that is looked for in the sources: less is in any text.
const MESSAGE_CHARS_MIN: usize = 10;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> Page {
    let text = std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    Page::new(name, &text)
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn each_link_leads_somewhere() {
    let pages = pages(&root());
    assert!(pages.len() > 15, "only {} pages", pages.len());
    assert_none(&dead_links(&pages, &|path| root().join(path).exists()));
}

#[test]
fn each_key_is_in_the_pages_and_in_the_reference() {
    let keys = config_keys::all();
    assert!(keys.len() > 60, "only {} keys", keys.len());
    assert_none(&missing_rows(&page("docs/configuration.md"), &keys));
    let reference = std::fs::read_to_string(root().join("expvastic.reference.yml")).expect("readable");
    let missing = config_keys::missing_in(&reference, &keys);
    assert_none(&missing.iter().map(|key| format!("expvastic.reference.yml lacks {key}")).collect::<Vec<_>>());
}

#[test]
fn the_reference_has_the_defaults_and_each_line_that_is_commented_out_can_be_used() {
    let reference = std::fs::read_to_string(root().join("expvastic.reference.yml")).expect("readable");
    assert_eq!(config_keys::as_loaded(&reference), config_keys::as_loaded(config_keys::WITHOUT_OPTIONAL_KEYS));
    let variants = config_keys::variants(&reference);
    assert!(variants.len() > 15, "only {} lines are commented out", variants.len());
    for (line, text) in variants {
        assert_none(&problems_of(&text).iter().map(|problem| format!("{line}: {problem}")).collect::<Vec<_>>());
    }
}

#[test]
fn each_configuration_in_the_pages_loads() {
    let mut problems = Vec::new();
    let mut seen = 0;
    for page in pages(&root()) {
        for (line, text) in page.code("yaml") {
            for config in config_keys::configurations_in(&text) {
                seen += 1;
                let found = problems_of(&config);
                problems.extend(found.iter().map(|problem| format!("{}:{line}: {problem}", page.name())));
            }
        }
    }
    assert!(seen > 12, "only {seen} configurations");
    assert_none(&problems);
}

#[test]
fn each_message_that_is_explained_is_one_of_the_program() {
    let texts = rust_text::texts_below(&root().join("src"));
    assert!(texts.len() > 1_000, "only {} texts", texts.len());
    let page = page("docs/troubleshooting.md");
    let messages = explained(&page);
    assert!(messages.len() > 40, "only {} messages", messages.len());
    assert_none(&unknown_messages(&messages, &texts));
}

#[test]
fn each_guarantee_has_its_tests() {
    let page = page("docs/guarantees.md");
    let (count, problems) = missing_tests(&page, &|path| std::fs::read_to_string(root().join(path)).ok());
    assert!(count > 80, "only {count} tests are named");
    assert_none(&problems);
}

#[test]
fn the_readme_is_short_and_every_answer_is_two_clicks_away() {
    let readme = page("README.md");
    let index = page("docs/README.md");
    let lines = readme.text.lines().count();
    assert!(lines <= README_LINES_MAX, "README.md has {lines} lines, at most {README_LINES_MAX}");
    assert!(
        readme.links().iter().any(|(_, target)| target == "docs/README.md"),
        "README.md does not link to the index"
    );
    let questions: Vec<&str> = index.prose().map(|(_, line)| line).filter(|line| line.contains("?](")).collect();
    assert!(questions.len() >= QUESTIONS_MIN, "only {} questions in the index", questions.len());
    let unanswered = questions.iter().filter(|line| !line.contains(".md#"));
    assert_none(&unanswered.map(|line| format!("leads to no anchor: {line}")).collect::<Vec<_>>());
    let linked: BTreeSet<String> = index.links().into_iter().map(|(_, target)| target).collect();
    let is_linked = |name: &str| linked.iter().any(|target| target.split('#').next() == Some(name));
    let others = pages(&root().join("docs")).into_iter().map(|page| page.name());
    let others = others.filter(|name| !name.contains('/') && name != "README.md");
    assert_none(&others.filter(|name| !is_linked(name)).collect::<Vec<_>>());
}

/// The links of `pages` that lead nowhere; `exists` knows files.
fn dead_links(pages: &[Page], exists: &dyn Fn(&Path) -> bool) -> Vec<String> {
    let anchors: BTreeMap<&Path, BTreeSet<String>> =
        pages.iter().map(|page| (page.path.as_path(), page.anchors())).collect();
    let mut dead = Vec::new();
    for page in pages {
        for (line, target) in page.links() {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').map_or((&*target, None), |(file, anchor)| (file, Some(anchor)));
            let folder = page.path.parent().unwrap_or_else(|| Path::new(""));
            let path = if file.is_empty() { page.path.clone() } else { resolved(&folder.join(file)) };
            let is_there = match anchor {
                None => exists(&path),
                Some(anchor) => anchors.get(path.as_path()).is_some_and(|known| known.contains(anchor)),
            };
            if !is_there {
                dead.push(format!("{}:{line}: {target}", page.name()));
            }
        }
    }
    dead
}

/// The path without `.` and `..`.
fn resolved(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                parts.pop();
            }
            Component::CurDir => {}
            other => parts.push(other),
        }
    }
    parts
}

/// The keys that have no row in a table of their section.
fn missing_rows(page: &Page, keys: &[Key]) -> Vec<String> {
    let has_row = |key: &Key| {
        let section = page.section_of(&key.section)?;
        let name = format!("`{}`", key.name);
        section.lines.iter().filter_map(|line| cells(line)).find(|cells| cells[0].contains(&name)).map(|_| ())
    };
    let missing = keys.iter().filter(|key| match key.section.as_str() {
        // A section of its own stands for a row.
        "" => page.section_of(&key.name).is_none(),
        _ => has_row(key).is_none(),
    });
    missing.map(|key| format!("{} has no row for `{}` below `{}`", page.name(), key.name, key.section)).collect()
}

/// The messages that a page explains: headings of the third level that are code.
fn explained(page: &Page) -> Vec<String> {
    let is_message = |level: usize, heading: &str| level == 3 && heading.starts_with('`');
    page.sections(is_message).iter().flat_map(|section| code_spans(section.heading)).map(str::to_owned).collect()
}

/// Those of `messages` that no text of the sources holds.
fn unknown_messages(messages: &[String], texts: &[String]) -> Vec<String> {
    let is_there = |part: &str| texts.iter().any(|text| text.contains(part));
    let is_filled_in = |message: &str| texts.iter().any(|text| is_made_of(message, text));
    let is_known = |message: &&String| {
        let parts = || message.split(rust_text::VALUE).map(str::trim).filter(|part| !part.is_empty());
        is_there(message)
            || is_filled_in(message)
            || parts().any(|part| part.chars().count() >= MESSAGE_CHARS_MIN) && parts().all(is_there)
    };
    messages.iter().filter(|message| !is_known(message)).map(|message| format!("no source says `{message}`")).collect()
}

/// Whether `message` is `text` with some of its values filled in: most of it is what `text` says, in that order.
fn is_made_of(message: &str, text: &str) -> bool {
    let (mut rest, mut taken) = (message, 0);
    for part in text.split(rust_text::VALUE).filter(|part| !part.is_empty()) {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        (rest, taken) = (behind, taken + part.len());
    }
    text.contains(rust_text::VALUE) && taken >= MESSAGE_CHARS_MIN && taken * 2 >= message.len()
}

/// How many tests a page's tables name, and which of them are not there; `read` gives a file's text.
fn missing_tests(page: &Page, read: &dyn Fn(&str) -> Option<String>) -> (usize, Vec<String>) {
    let (mut count, mut missing) = (0, Vec::new());
    for (line, text) in page.prose() {
        let Some(cells) = cells(text).filter(|cells| cells.len() == 2) else { continue };
        let mut file = None;
        for span in code_spans(cells[1]) {
            if span.contains('/') {
                file = read(span);
                if file.is_none() {
                    missing.push(format!("{}:{line}: there is no file {span}", page.name()));
                }
            } else if span.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
                count += 1;
                if !file.as_deref().is_some_and(|text| is_test(text, span)) {
                    missing.push(format!("{}:{line}: there is no test {span}", page.name()));
                }
            }
        }
        if file.is_none() && cells[1] != "test" && !cells[1].starts_with('`') {
            missing.push(format!("{}:{line}: no test is named", page.name()));
        }
    }
    (count, missing)
}

/// Whether `source` has a test of that name, written out or made by a macro.
fn is_test(source: &str, name: &str) -> bool {
    let written = format!("fn {name}(");
    let lines: Vec<&str> = source.lines().collect();
    let is_marked = |at: usize| {
        lines[..at].iter().rev().take_while(|line| !line.trim().is_empty()).any(|line| line.trim() == "#[test]")
    };
    let by_macro = |line: &&str| source.contains("fn $test()") && line.split_whitespace().next() == Some(name);
    lines.iter().enumerate().any(|(at, line)| line.contains(&written) && is_marked(at)) || lines.iter().any(by_macro)
}

#[test]
fn dead_links_and_anchors_are_found() {
    let first =
        "# Top `x`\n[a](b.md#part-1) [b](docs/c.md) [c](#top-x) `[no](link)`\n```\n[no](link)\n```\n[w](https://h/)\n";
    let pages = |second: &str| [Page::new("a.md", first), Page::new("b.md", second)];
    let good = pages("## Part 1\n");
    assert_eq!(dead_links(&good, &|path| path == Path::new("docs/c.md")), [""; 0]);
    assert_eq!(dead_links(&good, &|_| false), ["a.md:2: docs/c.md"]);
    assert_eq!(dead_links(&pages("## Part 2\n"), &|_| true), ["a.md:2: b.md#part-1"]);
    let above = [Page::new("docs/d.md", "[up](../a.md) [none](#none)")];
    assert_eq!(dead_links(&above, &|path| path == Path::new("a.md")), ["docs/d.md:1: #none"]);
}

#[test]
fn keys_without_a_row_are_found() {
    let keys = [("", "settings"), ("settings", "listen"), ("settings", "sync")];
    let keys = keys.map(|(section, name)| Key { section: section.to_owned(), name: name.to_owned(), path: Vec::new() });
    let page = Page::new("p.md", "## `settings`\n| `listen` | x |\n## `spool`\n| `sync` | y |\n");
    assert_eq!(missing_rows(&page, &keys), ["p.md has no row for `sync` below `settings`"]);
    assert_eq!(missing_rows(&Page::new("p.md", ""), &keys).len(), 3);
    assert_eq!(config_keys::missing_in("settings: {listen: off}\n", &config_keys::all()[..0]), [""; 0]);
    let lacking = config_keys::missing_in("settings: {}\n#settings: {listen: off}\n", &config_keys::all());
    assert!(lacking.iter().any(|key| key == "settings.memory_limit"), "{lacking:?}");
    assert!(!lacking.iter().any(|key| key == "settings.listen"), "{lacking:?}");
}

#[test]
fn messages_that_nobody_says_are_found() {
    let source = r##"fn a(c: char) { if c == '"' || c == '\'' { say("reading \
        failed: {error:?}", r#"a "raw" {} text"#); } } // "a comment"
        const B: &str = "braces {{x}}";"##;
    let texts = rust_text::texts_of(source);
    assert_eq!(texts, ["reading failed: …", "a \"raw\" … text", "braces {x}"]);
    let known = ["reading failed: …", "reading failed: … a \"raw\" …", "a \"raw\" 7 text"].map(str::to_owned);
    assert_eq!(unknown_messages(&known, &texts), [""; 0]);
    let unknown = ["writing failed: …", "braces {x} and more", "failed at reading: …"].map(str::to_owned);
    assert_eq!(unknown_messages(&unknown, &texts).len(), 3);
    let page = Page::new("p.md", "### `one` or `two`\n### no message\n## `three`\n");
    assert_eq!(explained(&page), ["one", "two"]);
}

#[test]
fn tests_that_are_not_there_are_found() {
    let source =
        "#[test]\nfn one() {}\n\nfn two() {}\nmacro_rules! m { () => { fn $test() {} } }\nm! {\n    three 0\n}\n";
    let read = |path: &str| (path == "tests/t.rs").then(|| source.to_owned());
    let table = "| promise | test |\n|---|---|\n| a | `tests/t.rs`: `one`, `three` |\n";
    assert_eq!(missing_tests(&Page::new("g.md", table), &read), (2, Vec::new()));
    let table = "| a | `tests/t.rs`: `two` |\n| b | `tests/u.rs` |\n| c | none |\n";
    let problems = ["g.md:1: there is no test two", "g.md:2: there is no file tests/u.rs", "g.md:3: no test is named"];
    assert_eq!(missing_tests(&Page::new("g.md", table), &read), (1, problems.map(str::to_owned).to_vec()));
}
