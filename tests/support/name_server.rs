//! A name server for the tests, which answers what the test wants.
#![allow(clippy::disallowed_methods, reason = "the other side of the socket has threads of its own")]

use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};
use std::sync::{Arc, Mutex};

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const NO_SUCH_NAME: u8 = 3;

/// What is answered to a question about a name. A name that the test has not set does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    Addresses(Vec<IpAddr>),
    Silence,
}

/// Runs until the test process ends.
#[derive(Default)]
pub(crate) struct NameServer {
    zone: Arc<Mutex<Zone>>,
}

#[derive(Default)]
struct Zone {
    known: BTreeMap<String, Known>,
    /// The questions for IPv4 addresses, of which each lookup has one, and whether the name had any address then.
    asked: Vec<(String, bool)>,
}

impl NameServer {
    /// Listens on port 53 of this address.
    pub(crate) fn start(address: &str) -> Self {
        let socket = UdpSocket::bind((address, 53)).expect("port 53, in a namespace");
        let server = Self::default();
        let answered = Arc::clone(&server.zone);
        std::thread::spawn(move || {
            let mut packet = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut packet) {
                let answer = answered.lock().expect("the zone").answer(&packet[..length]);
                if let Some(answer) = answer {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        server
    }

    pub(crate) fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().expect("an address")).collect();
        self.put(name, Known::Addresses(addresses));
    }

    pub(crate) fn silence(&self, name: &str) {
        self.put(name, Known::Silence);
    }

    fn put(&self, name: &str, known: Known) {
        self.zone.lock().expect("the zone").known.insert(name.to_owned(), known);
    }

    /// How many lookups of this name have asked: while it had no address, and since it has one.
    pub(crate) fn lookups(&self, name: &str) -> (usize, usize) {
        let zone = self.zone.lock().expect("the zone");
        let of_name = |had: bool| zone.asked.iter().filter(|(asked, known)| asked == name && *known == had).count();
        (of_name(false), of_name(true))
    }
}

impl Zone {
    fn answer(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let (name, end) = name_in(packet)?;
        let kind = u16::from_be_bytes([*packet.get(end)?, *packet.get(end + 1)?]);
        let known = self.known.get(&name).cloned();
        if kind == TYPE_A {
            self.asked.push((name, matches!(known, Some(Known::Addresses(_)))));
        }
        let (code, addresses) = match known {
            Some(Known::Silence) => return None,
            Some(Known::Addresses(addresses)) => (0, addresses),
            None => (NO_SUCH_NAME, Vec::new()),
        };
        let wanted: Vec<IpAddr> = addresses
            .into_iter()
            .filter(|address| kind == if address.is_ipv4() { TYPE_A } else { TYPE_AAAA })
            .collect();
        let count = u8::try_from(wanted.len()).expect("few");
        // The number of the question, flags, and how many questions and answers follow.
        let mut answer = vec![packet[0], packet[1], 0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0];
        answer.extend(packet.get(12..end + 4)?);
        for address in wanted {
            let bytes = match address {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            };
            let length = u8::try_from(bytes.len()).expect("16 at most");
            // The name of the question, its type, the Internet, no time to live.
            answer.extend([0xC0, 12]);
            answer.extend(kind.to_be_bytes());
            answer.extend([0, 1, 0, 0, 0, 0, 0, length]);
            answer.extend(bytes);
        }
        Some(answer)
    }
}

/// The name that a packet asks for, in lower case, and where it ends.
fn name_in(packet: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at) = (Vec::new(), 12);
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        let label = packet.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        at += length;
    }
}
