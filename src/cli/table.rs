//! The commands and flags, as the help, the completions of the shells and the man page show them, and as arguments are
//! read. To add a command or a flag, add its line here. A test takes each line at its word.

/// A way to call the program.
pub(super) struct Usage {
    /// Empty for a run without the name of a command.
    pub(super) command: &'static str,
    /// If the command has actions, they come first, separated by `|`.
    pub(super) arguments: &'static str,
    pub(super) about: &'static str,
}

/// A flag.
pub(super) struct Flag {
    /// With its dashes.
    pub(super) name: &'static str,
    /// The letter that stands for it behind a single dash; empty if there is none.
    pub(super) letter: &'static str,
    /// What the value is; empty for a switch. `FILE` and `LEVEL` can be completed.
    pub(super) value: &'static str,
    /// The environment variable that has the same meaning; empty if there is none.
    pub(super) variable: &'static str,
    /// The only commands that have it, separated by `|`; empty if all have it.
    pub(super) commands: &'static str,
    /// Whether it describes the single engine of a run without a file.
    pub(super) describes_engine: bool,
    /// Up to a `[`, it contains nothing that shells treat specially. Its default comes after that.
    pub(super) about: &'static str,
}

/// The flags that can be given more than once. Their values are joined by line ends.
pub(super) const REPEATED: [&str; 2] = [CONFIG, INCLUDE];
pub(super) const CONFIG: &str = "--config";
pub(super) const INCLUDE: &str = "--include";

/// What a line of [`FLAGS`] says if it does not say otherwise.
const FLAG: Flag =
    Flag { name: "", letter: "", value: "", variable: "", commands: "", describes_engine: false, about: "" };

/// A flag that describes the engine of a run without a file.
const fn engine(name: &'static str, value: &'static str, variable: &'static str, about: &'static str) -> Flag {
    Flag { name, value, variable, about, describes_engine: true, ..FLAG }
}

/// A switch that only these commands have.
const fn switch(name: &'static str, commands: &'static str, variable: &'static str, about: &'static str) -> Flag {
    Flag { name, variable, commands, about, ..FLAG }
}

const fn usage(command: &'static str, arguments: &'static str, about: &'static str) -> Usage {
    Usage { command, arguments, about }
}

pub(super) const ABOUT: &str = "polls Go expvar endpoints and ships flat documents to Elasticsearch or OpenSearch";

pub(super) const USAGES: &[Usage] = &[
    usage("", "-c conf.yml", "run until stopped"),
    usage("", "--reader localhost:1234/debug/vars --recorder localhost:9200", "run without a file"),
    usage("run", "-c conf.yml", "the same as without a command"),
    usage("check", "-c conf.yml", "validate the configuration and print the routes"),
    usage("check", "--resolved -c conf.yml", "print the configuration as it is in force, without secrets"),
    usage("once", "-c conf.yml", "poll every reader once, ship, exit (0: every document was accepted)"),
    usage("once", "--dry-run -c conf.yml", "the same, but print the bulk text instead of sending it"),
    usage("setup", "-c conf.yml", "create or update the index templates"),
    usage("setup", "--print -c conf.yml", "only print them, for each kind of server"),
    usage("test", "-c conf.yml", "try every endpoint, server, file and address; change nothing (0: all is well)"),
    usage(
        "spool",
        "ls|verify|dump|drop -c conf.yml",
        "documents waiting on disk. ls: list them; verify: look for damage (1: found); dump: print their bulk text; drop: \
         delete all of them",
    ),
    usage(
        "dead-letters",
        "ls|retry -c conf.yml",
        "documents that the server rejected. ls: list them, and why; retry: send them again unchanged (0: all of them were \
         accepted)",
    ),
    usage(
        "health",
        "[URL]",
        "whether a running expvastic answers (0: it does); the URL may name another page than healthz",
    ),
    usage("health", "-c conf.yml", "the same, at the address in settings.listen or --listen"),
    usage("sample", "", "print a configuration with every key, its default and what it means"),
    usage("completions", "bash|zsh|fish", "print the completion script for a shell"),
    usage("man", "", "print the man page"),
    usage(
        "dashboards",
        "-c conf.yml",
        "print dashboards for Kibana and OpenSearch Dashboards that fit what is shipped",
    ),
    usage("dashboards", "--import http://localhost:5601 -c conf.yml", "the same, but import them"),
    usage("help", "[COMMAND]", "show this help, or that of one command"),
    usage("version", "", "show the version"),
];

pub(super) const FLAGS: &[Flag] = &[
    Flag {
        name: CONFIG,
        letter: "c",
        value: "FILE",
        variable: "EXPVASTIC_CONFIG",
        about: "configuration; .yml or .yaml may be omitted; a folder stands for its files; may be repeated",
        ..FLAG
    },
    engine("--reader", "URL", "EXPVASTIC_READER", "endpoint to poll [localhost:1234/debug/vars]"),
    engine(
        "--recorder",
        "URL",
        "EXPVASTIC_RECORDER",
        "server to ship to; with dead-letters or dashboards: name of the one recorder to use [localhost:9200]",
    ),
    engine("--index", "NAME", "EXPVASTIC_INDEX", "index to write to [expvastic]"),
    engine("--type", "NAME", "EXPVASTIC_TYPE", "service.name of the documents [expvastic]"),
    engine("--int", "TIME", "EXPVASTIC_INT", "interval between polls [1s]"),
    engine("--timeout", "TIME", "EXPVASTIC_TIMEOUT", "limit for each request [30s]"),
    engine("--backoff", "N", "EXPVASTIC_BACKOFF", "consecutive failures until an endpoint is down [15]"),
    Flag {
        name: "--loglevel",
        value: "LEVEL",
        variable: "EXPVASTIC_LOGLEVEL",
        about: "error, warn, info, debug or trace [info]",
        ..FLAG
    },
    Flag {
        name: "--listen",
        value: "ADDRESS",
        variable: "EXPVASTIC_LISTEN",
        about: "serve the status pages here, such as 127.0.0.1:9102, whatever settings.listen says",
        ..FLAG
    },
    switch("--resolved", "check", "EXPVASTIC_RESOLVED", "print the configuration as it is in force, without secrets"),
    switch("--dry-run", "once", "EXPVASTIC_DRY_RUN", "send nothing, print the bulk text"),
    switch("--print", "setup", "EXPVASTIC_PRINT", "change nothing, print the templates"),
    switch("--json", "test", "EXPVASTIC_JSON", "print one JSON object per line"),
    switch("--summary", "spool", "EXPVASTIC_SUMMARY", "ls shows only totals and ages"),
    Flag {
        name: INCLUDE,
        value: "GLOB",
        variable: "EXPVASTIC_INCLUDE",
        commands: "dashboards",
        about: "variables that get a panel of their own; may be repeated",
        ..FLAG
    },
    Flag {
        name: "--import",
        value: "URL",
        variable: "EXPVASTIC_IMPORT",
        commands: "dashboards",
        about: "Kibana or OpenSearch Dashboards to send them to",
        ..FLAG
    },
    switch("--overwrite", "dashboards", "EXPVASTIC_OVERWRITE", "with --import: replace what exists"),
    Flag { name: "--help", letter: "h", about: "show the help", ..FLAG },
    Flag { name: "--version", letter: "V", about: "show the version", ..FLAG },
];

/// What else the help and the man page say: title and text.
pub(super) const NOTES: &[(&str, &str)] = &[
    ("Secrets", "Put passwords and keys in the file (auth): a command line is visible to every user of the machine."),
    ("Spelling", "Single dashes (-reader=URL) work too."),
    (
        "Signals",
        "SIGINT or SIGTERM: ship what is waiting, log the ledger, exit; again after a second: exit without flushing. \
         SIGHUP: reload the configuration. SIGUSR1: ship what is waiting now.",
    ),
    (
        "Exit status",
        "0 success, 64 usage error, 78 invalid configuration, 1 any other failure. once: 0 only if every document was \
         accepted. health: 0 if the page was served, else 1. After SIGINT or SIGTERM: 0 if everything still waiting was shipped or spooled; see the ledger for \
         the rest.",
    ),
];

impl Usage {
    /// What follows the command's name: the names of its actions.
    pub(super) fn actions(&self) -> impl Iterator<Item = &'static str> {
        let first = self.arguments.split(' ').next().unwrap_or_default();
        first.split('|').filter(|action| action.starts_with(|c: char| c.is_ascii_lowercase()))
    }
}

impl Flag {
    pub(super) fn is_switch(&self) -> bool {
        self.value.is_empty()
    }

    /// Whether this command has it. Commands without a configuration have only those that every program has.
    pub(super) fn belongs_to(&self, command: &str) -> bool {
        if self.commands.is_empty() {
            let mut usages = USAGES.iter().filter(|usage| usage.command == command);
            return self.variable.is_empty() || usages.any(|usage| usage.arguments.contains("-c "));
        }
        self.commands.split('|').any(|own| own == command)
    }
}

/// The names of all commands, each once: the lines of one stand together.
pub(super) fn commands() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    let names = USAGES.iter().map(|usage| usage.command);
    names.filter(move |name| std::mem::replace(&mut last, name) != *name && !name.is_empty())
}
