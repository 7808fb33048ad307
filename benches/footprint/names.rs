//! A host name that the system's resolver has to look up, without a change to the machine.
//!
//! No name that is there already will do: expvastic takes `localhost` and all own names of the hosts file without asking the
//! resolver, `ip6-localhost` is not on every machine, and `127.1` cannot be in a certificate. So the bench starts itself again
//! in mount and network namespaces of its own (`unshare`, of util-linux), which end with it. There, `/etc/resolv.conf` names
//! a name server on port 53 of the namespace's loopback: a thread of the bench. So `getaddrinfo` does all that it does in
//! production: it reads its files, opens a socket, and asks for both kinds of addresses.
//!
//! An ordinary user may have such namespaces on Debian; some containers and hardened systems refuse them. The name is
//! `localhost` then, and the report says so.

use std::{
    env, fs,
    net::{IpAddr, Ipv4Addr, ToSocketAddrs as _, UdpSocket},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, send, socket};

use crate::Outcome;

/// Set in the namespaces.
const INSIDE: &str = "EXPVASTIC_FOOTPRINT_INSIDE";
/// The name that is looked up. No real host can have it (RFC 6761).
const HOST: &str = "search.test";
/// The same in a message to a name server.
const HOST_QUESTION: &[u8] = b"\x06search\x04test\x00";
/// The name where namespaces are refused.
const HOST_WITHOUT_LOOKUP: &str = "localhost";
/// As root, and as an ordinary user.
const PERMISSIONS: [&[&str]; 2] = [&["--mount", "--net"], &["--user", "--map-root-user", "--mount", "--net"]];
/// Puts the files of the folder `$0` in place, then becomes the command. A system without glibc may lack the second file.
const MOUNT: &str = r#"
set -e
mount --bind "$0/resolv.conf" /etc/resolv.conf
if [ -e /etc/nsswitch.conf ]; then mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf; fi
exec "$@"
"#;

/// The name of the servers on loopback.
pub(crate) struct Name {
    pub(crate) host: &'static str,
    /// How it is resolved, for the report.
    pub(crate) resolved: String,
}

/// Goes into the namespaces, which starts the bench again, or says why there is only `localhost`.
pub(crate) fn enter() -> Outcome<Name> {
    if env::var_os(INSIDE).is_some() {
        start_loopback().map_err(|error| format!("the loopback interface: {error}"))?;
        start_server().map_err(|error| format!("the name server: {error}"))?;
        let found = (HOST, 0).to_socket_addrs().map_err(|error| format!("{HOST}: {error}"))?;
        let found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
        if found.iter().any(|address| *address != Ipv4Addr::LOCALHOST) {
            return Err(format!("{HOST} has the addresses {found:?}").into());
        }
        return Ok(Name { host: HOST, resolved: "getaddrinfo asks a name server in a network namespace".to_owned() });
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("footprint-names");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("resolv.conf"), format!("nameserver {}\n", Ipv4Addr::LOCALHOST))?;
    fs::write(folder.join("nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n")?;
    let mut reason = String::new();
    for permissions in PERMISSIONS {
        let within = || {
            let mut command = Command::new("unshare");
            command.args(permissions).args(["--", "sh", "-c", MOUNT]).arg(&folder).stdin(Stdio::null());
            command
        };
        match within().arg("true").output() {
            Ok(trial) if trial.status.success() => {
                let error = within().arg(env::current_exe()?).args(env::args_os().skip(1)).env(INSIDE, "1").exec();
                return Err(format!("unshare: {error}").into());
            }
            Ok(trial) => reason = String::from_utf8_lossy(&trial.stderr).trim().replace('\n', "; "),
            Err(error) => reason = format!("unshare: {error}"),
        }
    }
    Ok(Name::without_lookup(format!("which needs no lookup, since there is no namespace: {reason}")))
}

impl Name {
    /// The name that needs no lookup, and why it is that.
    pub(crate) fn without_lookup(reason: String) -> Self {
        Self { host: HOST_WITHOUT_LOOKUP, resolved: reason }
    }
}

/// A new network namespace has a loopback interface that is down. `ip link set lo up`, where iproute2 need not be installed.
fn start_loopback() -> Outcome<()> {
    const NEW_LINK: u16 = 16;
    const REQUEST_AND_ACKNOWLEDGE: u16 = 1 | 4;
    const LOOPBACK_INDEX: u32 = 1;
    const UP: u32 = 1;
    const LENGTH: u32 = 32;
    let mut message = Vec::new();
    message.extend(LENGTH.to_ne_bytes());
    message.extend(NEW_LINK.to_ne_bytes());
    message.extend(REQUEST_AND_ACKNOWLEDGE.to_ne_bytes());
    // Number and sender of the message, then the kind of the interface: none of them matters.
    message.extend([0; 4 + 4 + 4]);
    for word in [LOOPBACK_INDEX, UP, UP] {
        message.extend(word.to_ne_bytes());
    }
    // The first protocol of netlink, NETLINK_ROUTE, is the default.
    let link = socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    send(&link, &message, SendFlags::empty())?;
    let mut answer = [0; 256];
    recv(&link, &mut answer, RecvFlags::empty())?;
    // The error stands behind the head of the answer; zero is success.
    match i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]) {
        0 => Ok(()),
        error => Err(std::io::Error::from_raw_os_error(-error).into()),
    }
}

/// A name server that knows one name. Its thread ends with the process.
fn start_server() -> Outcome<()> {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53))?;
    thread::Builder::new().spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, client)) = server.recv_from(&mut query) {
            if let Some(answer) = answer(&query[..length]) {
                // A client that has gone needs no answer.
                let _ = server.send_to(&answer, client);
            }
        }
    })?;
    Ok(())
}

/// An IPv4 address for our name, no address of another kind, and no other name.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    const HEAD_BYTES: usize = 12;
    const ADDRESS_IN_INTERNET: [u8; 4] = [0, 1, 0, 1];
    let question = query.get(HEAD_BYTES..)?;
    let name_bytes = question.iter().position(|byte| *byte == 0)? + 1;
    let (name, kind) = (&question[..name_bytes], question.get(name_bytes..name_bytes + 4)?);
    let is_known = name.eq_ignore_ascii_case(HOST_QUESTION);
    let has_address = is_known && kind == ADDRESS_IN_INTERNET;
    // An answer, recursion available; 3 says that there is no such name.
    let flags = [0x81, if is_known { 0x80 } else { 0x83 }];
    let mut answer = [&query[..2], &flags, &[0, 1, 0, u8::from(has_address), 0, 0, 0, 0], name, kind].concat();
    if has_address {
        // The name of the question; then kind, class, seconds that this holds, and the address with its length.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(Ipv4Addr::LOCALHOST.octets());
    }
    Some(answer)
}
