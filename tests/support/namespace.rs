//! A test in network and mount namespaces of its own: with addresses that are other machines' as far as the program can
//! tell, and with its own `hosts`, `resolv.conf` and `nsswitch.conf`.
#![allow(clippy::print_stderr, reason = "it says why a test was not run")]

use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Set in the process that runs in the namespaces.
const MARK: &str = "EXPVASTIC_TEST_IN_NAMESPACES";

/// As root, and as a user who may become root in a user namespace.
const WAYS: [&[&str]; 2] = [&["--net", "--mount"], &["--net", "--mount", "--user", "--map-root-user"]];

/// Of the developer's machine, which must not matter.
const VARIABLES: [&str; 9] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "RES_OPTIONS",
    "LOCALDOMAIN",
    "HOSTALIASES",
];

/// Addresses in 10.9.0.0/24, 10.9.1.2 and `fd09::/64` can be listened on. They are reached from other addresses, so they do not
/// count as this machine's. Packets to 10.66.0.0/24, `fd66::/64`, and other addresses in 10.9.1.0/24 are lost; after
/// a second, the system says that those with IPv6 are unreachable.
const NETWORK: &str = "\
    ip link set lo up
    ip addr add 10.8.0.1/32 dev lo
    ip addr add fd08::1/128 dev lo
    ip route add local 10.9.0.0/24 dev lo src 10.8.0.1
    ip route add 10.9.1.0/24 dev lo src 10.8.0.1
    ip route add local 10.9.1.2/32 dev lo src 10.8.0.1
    ip -6 route add local fd09::/64 dev lo src fd08::1
    ip route add 10.66.0.0/24 dev lo src 10.8.0.1
    ip -6 route add fd66::/64 dev lo src fd08::1
    echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind";

/// What is in the namespaces besides the network.
pub(crate) struct Machine {
    folder: TempDir,
}

impl Machine {
    /// Runs this test once more in namespaces, and returns `None` when that has succeeded; there, it returns the machine.
    /// Where the system does not let the test have namespaces, it is not run.
    pub(crate) fn enter(test: &str, resolv_conf: &str) -> Option<Self> {
        if std::env::var_os(MARK).is_some() {
            return Some(Self::set_up(resolv_conf));
        }
        let Some(way) = WAYS.into_iter().find(|way| works(way)) else {
            eprintln!("{test} is not run: it needs `unshare` with namespaces for the network and for mounts, and `ip`");
            return None;
        };
        let mut again = Command::new("unshare");
        again.args(way).arg(std::env::current_exe().expect("this test")).args(["--exact", test, "--nocapture"]);
        again.env(MARK, "1");
        for name in VARIABLES {
            again.env_remove(name);
        }
        let done = again.output().expect("unshare starts");
        let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(
            done.status.success() && out.contains("1 passed"),
            "{test} in namespaces: {}\n{out}\n{err}",
            done.status
        );
        None
    }

    fn set_up(resolv_conf: &str) -> Self {
        let machine = Self { folder: tempfile::tempdir().expect("a folder") };
        machine.write("hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost\n10.9.0.2 listed\n");
        machine.write("resolv.conf", resolv_conf);
        machine.write("nsswitch.conf", "hosts: files dns\n");
        shell(NETWORK);
        for name in ["hosts", "resolv.conf", "nsswitch.conf"] {
            // musl needs no nsswitch.conf.
            if Path::new("/etc").join(name).exists() {
                shell(&format!("mount --bind {} /etc/{name}", machine.folder.path().join(name).display()));
            }
        }
        machine
    }

    /// Writes a file in `/etc`.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("written");
    }
}

/// Runs a script in the namespaces.
pub(crate) fn shell(script: &str) {
    let done = Command::new("sh").args(["-e", "-c", script]).output().expect("sh starts");
    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
}

fn works(way: &[&str]) -> bool {
    let tried = Command::new("unshare").args(way).args(["ip", "link", "set", "lo", "up"]).output();
    tried.is_ok_and(|done| done.status.success())
}
