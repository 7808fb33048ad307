//! What a load asks of a program, and the configuration that makes the program do it.

use std::{fmt::Write as _, path::Path, time::Duration};

use crate::servers::{Loopback, Servers};

/// How the servers are reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// All by IP addresses.
    Number,
    /// The sink by a name and by way of a proxy, which is the sink itself, so that no name is looked up; endpoints by IP
    /// addresses. expvastic takes libcurl for that.
    Proxy,
    /// All by a host name.
    Name,
    /// All by a host name over TLS, with the certificate of the CA as `ca_file`.
    Tls,
    /// The same, with the CA among all those that the system trusts.
    SystemTls,
}

impl Way {
    pub(crate) fn is_tls(self) -> bool {
        matches!(self, Self::Tls | Self::SystemTls)
    }

    /// Whether a name has to be looked up.
    pub(crate) fn has_name(self) -> bool {
        !matches!(self, Self::Number | Self::Proxy)
    }
}

/// What is asked of a program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) way: Way,
    /// Whether bulks are compressed.
    pub(crate) gzip: bool,
}

impl Load {
    pub(crate) fn of(way: Way) -> Self {
        Self { way, gzip: false }
    }
}

/// Where one program finds the servers.
pub(crate) struct Places<'l> {
    load: Load,
    interval: Duration,
    pub(crate) ca_file: Option<&'l Path>,
    /// URLs of the expvar endpoints, without their path.
    readers: Vec<String>,
    sink: String,
}

impl<'l> Places<'l> {
    pub(crate) fn new(
        load: Load,
        interval: Duration,
        readers: usize,
        loopback: &'l Loopback,
        servers: &Servers,
    ) -> Self {
        let scheme = if load.way.is_tls() { "https" } else { "http" };
        let number = "127.0.0.1";
        let (app, sink) = match load.way {
            Way::Number => (number, number),
            Way::Proxy => (number, "search.test"),
            Way::Name | Way::Tls | Way::SystemTls => (loopback.name.host, loopback.name.host),
        };
        let urls = servers.app.ports[..readers].iter().map(|port| format!("{scheme}://{app}:{port}"));
        Self {
            load,
            interval,
            ca_file: loopback.ca_file().filter(|_| load.way == Way::Tls),
            readers: urls.collect(),
            sink: format!("{scheme}://{sink}:{}", servers.sink.port),
        }
    }

    /// The configuration of expvastic.
    pub(crate) fn expvastic(&self) -> String {
        let tls = self.ca_file.map_or_else(String::new, |file| format!(", tls: {{ca_file: \"{}\"}}", file.display()));
        let compression = if self.load.gzip { "gzip" } else { "none" };
        self.yaml(&tls, &format!(", compression: {compression}{tls}"))
    }

    /// The configuration of the Go program of 2017. It takes whom it trusts from the environment.
    pub(crate) fn original(&self) -> String {
        self.yaml("", "")
    }

    fn yaml(&self, reader_keys: &str, recorder_keys: &str) -> String {
        let mut text = String::from("readers:\n");
        let mut names = Vec::new();
        for (number, url) in self.readers.iter().enumerate() {
            let name = format!("app_{number}");
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "  {name}: {{type: expvar, type_name: app, endpoint: \"{url}/debug/vars\", interval: {}ms, \
                 timeout: 3s{reader_keys}}}",
                self.interval.as_millis()
            );
            names.push(name);
        }
        let _ = write!(
            text,
            "recorders:\n  es: {{type: elasticsearch, endpoint: \"{}\", index_name: expvastic, timeout: 5s{recorder_keys}}}\n\
             routes:\n  r: {{readers: [{}], recorders: [es]}}\n",
            self.sink,
            names.join(", ")
        );
        text
    }

    /// The configuration of Telegraf, as docs/migrate.md has it. It compresses nothing, as expvastic does on one machine.
    pub(crate) fn telegraf(&self) -> String {
        let urls: Vec<String> = self.readers.iter().map(|url| format!("\"{url}/debug/vars\"")).collect();
        let tls = self.ca_file.map_or_else(String::new, |file| format!("  tls_ca = \"{}\"\n", file.display()));
        let (interval, urls, sink) = (self.interval.as_millis(), urls.join(", "), &self.sink);
        format!(
            "[agent]\n  interval = \"{interval}ms\"\n  flush_interval = \"{interval}ms\"\n\
             [[inputs.http]]\n  urls = [{urls}]\n  data_format = \"json\"\n  timeout = \"3s\"\n{tls}\
             [[outputs.elasticsearch]]\n  urls = [\"{sink}\"]\n  index_name = \"expvastic\"\n  timeout = \"5s\"\n  \
             enable_sniffer = false\n  enable_gzip = false\n  health_check_interval = \"0s\"\n  \
             manage_template = false\n{tls}"
        )
    }
}
