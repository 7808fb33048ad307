//! Arguments as people give them.

use super::table::{FLAGS, USAGES, commands};
use super::*;

fn parsed(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Invocation, String> {
    let variable =
        |name: &str| environment.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
    let arguments = arguments.iter().map(OsString::from).collect();
    Invocation::parse(arguments, &variable).map_err(|failure| {
        assert_eq!(failure.code(), USAGE);
        failure.to_string().lines().next().unwrap_or_default().to_owned()
    })
}

fn file(path: &str) -> Source {
    Source::Files(vec![path.into()])
}

#[test]
fn every_spelling_of_a_flag_is_the_same_flag() {
    for arguments in [
        &["-c", "conf.yml"][..],
        &["-c=conf.yml"],
        &["--config", "conf.yml"],
        &["--config=conf.yml"],
        &["-config=conf.yml"],
        &["-config", "conf.yml"],
        &["run", "-c", "conf.yml"],
    ] {
        let invocation = parsed(arguments, &[]).expect("good arguments");
        assert_eq!((invocation.command, invocation.source), (Command::Run, file("conf.yml")), "{arguments:?}");
    }
    for (arguments, command, dry_run) in [
        (&["check", "-c", "x"][..], Command::Check, false),
        (&["once", "-c", "x"], Command::Once, false),
        (&["once", "--dry-run", "-c", "x"], Command::Once, true),
        (&["once", "-c", "x", "-dry-run"], Command::Once, true),
        (&["setup", "-c", "x"], Command::Setup, false),
        (&["setup", "--print", "-c", "x"], Command::Setup, true),
        (&["-h"], Command::Help(None), false),
        (&["check", "--help"], Command::Help(Some("check")), false),
        (&["help", "spool"], Command::Help(Some("spool")), false),
        (&["spool", "-h"], Command::Help(Some("spool")), false),
        (&["-V"], Command::Version, false),
    ] {
        let invocation = parsed(arguments, &[]).expect("good arguments");
        assert_eq!((invocation.command, invocation.only_shows()), (command, dry_run), "{arguments:?}");
    }
}

#[test]
fn a_configuration_may_have_several_files() {
    let files = Source::Files(["a", "b", "c=d"].map(PathBuf::from).to_vec());
    for arguments in [&["-c", "a", "-c", "b", "-c", "c=d"][..], &["check", "-c=a", "--config=b", "-config", "c=d"]] {
        assert_eq!(parsed(arguments, &[("EXPVASTIC_CONFIG", "e")]).expect("good").source, files, "{arguments:?}");
    }
}

#[test]
fn a_single_engine_needs_no_file() {
    let arguments = [
        "-reader=localhost:1/x?r=y",
        "--recorder",
        "es:9200",
        "-int=500ms",
        "--timeout=3s",
        "-backoff",
        "10",
        "--index=i",
        "-type",
        "app",
        "-loglevel=debug",
    ];
    let invocation = parsed(&arguments, &[]).expect("good arguments");
    let expected = SingleEngine {
        reader: "localhost:1/x?r=y".to_owned(),
        recorder: "es:9200".to_owned(),
        index: "i".to_owned(),
        type_name: "app".to_owned(),
        interval: Duration::from_millis(500),
        timeout: Duration::from_secs(3),
        backoff: 10,
    };
    assert_eq!(invocation.source, Source::Flags(Box::new(expected)));
    assert_eq!(invocation.log_level, Some(LogLevel::Debug));
    let Source::Flags(single) = parsed(&["--reader", "localhost:1"], &[]).expect("defaults").source else { panic!() };
    assert_eq!((single.recorder.as_str(), single.index.as_str(), single.backoff), ("localhost:9200", "expvastic", 15));
}

#[test]
fn a_flag_beats_its_variable_beats_the_default() {
    let environment = [("EXPVASTIC_READER", "env:1"), ("EXPVASTIC_INT", "2s"), ("EXPVASTIC_LOGLEVEL", "warn")];
    let invocation = parsed(&["--reader=flag:1"], &environment).expect("good");
    let Source::Flags(single) = invocation.source else { panic!() };
    assert_eq!((single.reader.as_str(), single.interval), ("flag:1", Duration::from_secs(2)));
    assert_eq!(invocation.log_level, Some(LogLevel::Warn));
    let Source::Flags(single) = parsed(&[], &environment).expect("good").source else { panic!() };
    assert_eq!(single.reader, "env:1");
    assert_eq!(parsed(&["-c", "f"], &environment).expect("good").source, file("f"));
    assert_eq!(parsed(&["check"], &[("EXPVASTIC_CONFIG", "e")]).expect("good").source, file("e"));
    for (value, expected) in [("1", true), ("TRUE", true), ("on", true), ("0", false), ("False", false), ("no", false)]
    {
        let invocation = parsed(&["once", "-c", "f"], &[("EXPVASTIC_DRY_RUN", value)]).expect("good");
        assert_eq!(invocation.only_shows(), expected, "{value}");
    }
    let neither = parsed(&["once", "-c", "f"], &[("EXPVASTIC_DRY_RUN", "maybe")]).expect_err("neither");
    assert!(neither.contains("EXPVASTIC_DRY_RUN: expected true or false, found \"maybe\""), "{neither}");
}

#[test]
fn wrong_usage_is_refused_with_a_hint() {
    for (arguments, message) in [
        (&[][..], "nothing to do: give a configuration (-c conf.yml), or --reader and --recorder"),
        (&["--confg", "x"], "unknown flag --confg, did you mean --config?"),
        (&["-redaer=x"], "unknown flag -redaer, did you mean --reader?"),
        (&["--zzz"], "unknown flag --zzz"),
        (&["---config", "x"], "unknown flag ---config, did you mean --config?"),
        (&["-c", "--config", "b"], "--config needs a value, found \"--config\""),
        (&["-c"], "--config needs a value"),
        (&["-c="], "--config needs a value, found an empty one"),
        (&["--reader", "a", "-reader=b"], "--reader is given twice"),
        (&["-h=1"], "--help takes no value"),
        (&["--", "-c", "a"], "unexpected argument \"--\""),
        (&["-c", "a", "b"], "unexpected argument \"b\""),
        (&["chekc", "-c", "a"], "unknown command \"chekc\", did you mean check?"),
        (&["check", "check", "-c", "a"], "unexpected argument \"check\""),
        (&["-c", "a", "--reader", "b"], "--reader cannot be combined with --config: set it in the file"),
        (&["--dry-run", "-c", "a"], "--dry-run works only with once: expvastic once --dry-run"),
        (&["setup", "--dry-run", "-c", "a"], "--dry-run works only with once: expvastic once --dry-run"),
        (&["once", "--print", "-c", "a"], "--print works only with setup: expvastic setup --print"),
        (&["--reader=a", "--int=0"], "--int: cannot be zero, expected a duration such as 500ms or 1s"),
        (&["--reader=a", "--int=999us"], "--int: cannot be shorter than 1ms, found 999µs"),
        (&["--reader=a", "--int=5"], "--int: the duration \"5\" has no unit: write 5s or 5ms"),
        (&["--reader=a", "--backoff=-1"], "--backoff: expected an integer from 1 to 1000000, found \"-1\""),
        (
            &["--recorder=https://elastic:hunter2@h:9200/x"],
            "--recorder: credentials on a command line are visible to every user of the machine: put them in a file (auth)",
        ),
        (
            &["--reader=a", "--loglevel=loud"],
            "--loglevel: expected one of error, warn, info, debug, trace, found \"loud\"",
        ),
    ] {
        assert_eq!(parsed(arguments, &[]).expect_err("wrong usage"), format!("expvastic: {message}"), "{arguments:?}");
    }
    let from_variable = parsed(&[], &[("EXPVASTIC_INT", "soon")]).expect_err("wrong variable");
    assert!(from_variable.starts_with("expvastic: EXPVASTIC_INT: "), "{from_variable}");
}

#[test]
fn each_line_of_the_table_can_be_used_as_it_stands() {
    for usage in USAGES {
        let alternatives: Vec<&str> = usage.arguments.split(' ').next().unwrap_or_default().split('|').collect();
        let rest = usage.arguments.split(' ').skip(1);
        for first in alternatives {
            let first = match first {
                "[COMMAND]" => "check",
                "[URL]" => "localhost:9102",
                first => first,
            };
            let line = [usage.command, first].into_iter().chain(rest.clone()).filter(|part| !part.is_empty());
            let line: Vec<&str> = line.collect();
            let command = parsed(&line, &[]).unwrap_or_else(|error| panic!("{line:?}: {error}")).command;
            let is_a_run = usage.command.is_empty() || usage.command == "run";
            assert_eq!(command == Command::Run, is_a_run, "{line:?}");
        }
    }
    for flag in FLAGS {
        let example = match flag.name {
            "--int" | "--timeout" => "1s",
            "--backoff" => "1",
            "--loglevel" => "info",
            "--listen" => ":9102",
            _ => "x",
        };
        let command = flag.commands.split('|').next().filter(|command| !command.is_empty());
        let usage = USAGES.iter().find(|usage| Some(usage.command) == command);
        let action = usage.and_then(|usage| usage.actions().next());
        let mut line: Vec<&str> = command.into_iter().chain(action).chain([flag.name]).collect();
        assert_eq!(flag.is_switch(), !parsed(&line, &[]).is_err_and(|error| error.contains("needs a value")));
        line.extend(Some(example).filter(|_| !flag.is_switch()));
        line.extend(Some("--config=f").filter(|_| !flag.describes_engine && flag.name != "--config"));
        parsed(&line, &[]).unwrap_or_else(|error| panic!("{line:?}: {error}"));
    }
}

#[test]
fn the_table_is_in_the_form_that_shells_and_man_pages_need() {
    let texts = FLAGS.iter().map(|flag| flag.about.split(" [").next().unwrap_or_default());
    for text in texts.chain(USAGES.iter().map(|usage| usage.about)) {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || " .,;:()-".contains(c);
        assert!(
            text.chars().all(is_plain) && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.'),
            "{text}"
        );
    }
    let names: Vec<&str> = commands().collect();
    for (at, name) in names.iter().enumerate() {
        assert!(!names[..at].contains(name), "the lines of {name} stand apart");
    }
    for flag in FLAGS {
        assert!(flag.name.starts_with("--") && flag.letter.len() < 2, "{}", flag.name);
        let variable = format!("EXPVASTIC_{}", flag.name[2..].replace('-', "_").to_ascii_uppercase());
        assert!(flag.variable == variable || ["--help", "--version"].contains(&flag.name), "{}", flag.name);
        assert!(flag.commands.split('|').all(|own| own.is_empty() || names.contains(&own)), "{}", flag.name);
    }
}

#[test]
fn the_recorder_of_dead_letters_is_named_and_stands_for_no_engine() {
    for (arguments, action, recorder) in [
        (&["dead-letters", "ls", "-c", "f"][..], dead_letters::Action::Ls, None),
        (&["dead-letters", "retry", "-c", "f", "--recorder", "es"], dead_letters::Action::Retry, Some("es")),
    ] {
        // Of a variable that names a server nothing is taken.
        let invocation = parsed(arguments, &[("EXPVASTIC_RECORDER", "h:9200")]).expect("good arguments");
        assert_eq!((invocation.command, invocation.source), (Command::DeadLetters(action), file("f")));
        assert_eq!(invocation.recorder.as_deref(), recorder);
    }
    let message = parsed(&["spool", "ls", "-c", "f", "--recorder", "es"], &[]).expect_err("no server beside a file");
    assert!(message.contains("--recorder cannot be combined with --config"), "{message}");
}
