//! Which hosts are on this machine: its own addresses, and names that stand for one of them.
//!
//! Nothing here asks a name server, which could take long: names are looked up in the system's hosts file, as the
//! system itself does first. A name that only a name server knows counts as remote until a connection to it has been
//! made; the addresses of both ends then tell where it is.

use crate::limits;
use crate::regular_file;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::Path;

/// The system's hosts file.
const HOSTS_FILE: &str = "/etc/hosts";
/// The port of a connection that is never made.
const ANY_PORT: u16 = 9;

/// The addresses of a host that is an address, `localhost`, or a name below it (RFC 6761): these never change.
pub(super) fn fixed_addresses(host: &str) -> Option<Vec<IpAddr>> {
    if let Ok(address) = host.parse() {
        return Some(vec![address]);
    }
    let is_localhost = host.eq_ignore_ascii_case("localhost") || is_below_localhost(without_dot(host));
    is_localhost.then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
}

/// The addresses that the hosts file has for a name of this machine. Empty if a name server would have to be asked.
pub(super) fn own_addresses(host: &str) -> Vec<IpAddr> {
    let addresses = addresses_in_file(host);
    // An address elsewhere is not used: the system may know others as well.
    if addresses.iter().all(|address| is_local(*address)) { addresses } else { Vec::new() }
}

/// Whether a host is on this machine, as far as that is known without asking anybody.
pub(super) fn is_neighbour(host: &str) -> bool {
    if let Some(addresses) = fixed_addresses(host) {
        return addresses.iter().all(|address| is_local(*address));
    }
    if host.is_empty() {
        return false;
    }
    let addresses = addresses_in_file(host);
    if !addresses.is_empty() {
        return addresses.iter().all(|address| is_local(*address));
    }
    let own_name = rustix::system::uname();
    own_name.nodename().to_str().is_ok_and(|own| own.eq_ignore_ascii_case(without_dot(host)))
}

/// The addresses that the hosts file has for a name.
pub(super) fn addresses_in_file(host: &str) -> Vec<IpAddr> {
    let file = regular_file::read(Path::new(HOSTS_FILE), limits::HOSTS_FILE_BYTES_MAX).unwrap_or_default();
    addresses_in(&String::from_utf8_lossy(&file), without_dot(host))
}

/// A name without the dot at its end that makes it absolute.
fn without_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

/// All names that end in `.localhost` are this machine's.
fn is_below_localhost(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, last)| last.eq_ignore_ascii_case("localhost"))
}

/// The addresses that a file such as `/etc/hosts` has for a name, without those that are there twice.
fn addresses_in(file: &str, name: &str) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for line in file.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
        if words.any(|word| word.eq_ignore_ascii_case(name)) && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

/// Whether this is an address of this machine. The system sends to an address of its own from that same address, and tells
/// which one it would use without sending anything.
fn is_local(address: IpAddr) -> bool {
    if address.is_loopback() || address.is_unspecified() {
        return true;
    }
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let own = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, ANY_PORT))?;
        socket.local_addr()
    });
    own.is_ok_and(|own| own.ip() == address)
}

/// Whether the other end of a connection between these addresses is on this machine.
pub(super) fn is_same_machine(local: IpAddr, remote: IpAddr) -> bool {
    remote.to_canonical().is_loopback() || remote == local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_are_known_without_asking() {
        let name = rustix::system::uname().nodename().to_str().unwrap().to_owned();
        for host in [name.as_str(), &name.to_uppercase(), "localhost", "LocalHost", "es.localhost", "a.b.LOCALHOST"] {
            assert!(is_neighbour(host), "{host}");
        }
        for host in ["es", "localhost.example", "notlocalhost", &format!("{name}.invalid"), "", "10.0.0"] {
            assert!(!is_neighbour(host), "{host}");
        }
    }

    #[test]
    fn own_addresses_are_told_from_others() {
        for address in ["127.0.0.1", "127.9.8.7", "::1", "0.0.0.0", "::"] {
            assert!(is_neighbour(address), "{address}");
        }
        for address in ["203.0.113.77", "2001:db8::1", "224.0.0.1"] {
            assert!(!is_neighbour(address), "{address}");
        }
        // The address by which this machine would go out is its own; where there is no way out, there is none to test with.
        let socket = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
        if socket.connect(("203.0.113.77", ANY_PORT)).is_ok() {
            let own = socket.local_addr().unwrap().ip();
            assert!(is_local(own), "{own}");
        }
    }

    #[test]
    fn a_file_of_hosts_is_read_as_the_system_does() {
        let file = "# 1.2.3.4 vm\n127.0.0.1\tlocalhost\n127.0.1.1 vm.example.org vm # own\n\n::1 ip6 vm\nnonsense vm\n\
                    10.0.0.5 VM other\n127.0.1.1 vm\n10.0.0.6 vmx";
        let net = |address: &str| -> IpAddr { address.parse().unwrap() };
        let expected = [net("127.0.1.1"), net("::1"), net("10.0.0.5")];
        assert_eq!(addresses_in(file, "vm"), expected);
        assert_eq!(addresses_in(file, "Vm.Example.Org"), [net("127.0.1.1")]);
        assert!(addresses_in(file, "own").is_empty());
        assert!(addresses_in(file, "127.0.0.1").is_empty());
    }

    #[test]
    fn both_ends_of_a_connection_say_where_it_leads() {
        let is_local = |local: &str, remote: &str| is_same_machine(local.parse().unwrap(), remote.parse().unwrap());
        assert!(is_local("127.0.0.1", "127.0.1.1") && is_local("10.0.0.5", "10.0.0.5") && is_local("::1", "::1"));
        assert!(is_local("::ffff:127.0.0.1", "::ffff:127.0.0.1"));
        assert!(!is_local("10.0.0.5", "10.0.0.6") && !is_local("fe80::1", "fe80::2"));
    }
}
