//! A SOCKS 5 proxy (RFC 1928) that demands a name and a password (RFC 1929), and connects to one server whatever it is asked
//! for.
#![allow(clippy::disallowed_methods, reason = "the other side of the socket has threads of its own")]

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

const VERSION: u8 = 5;
const BY_PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xFF;
const BY_NUMBER: u8 = 1;
const BY_NAME: u8 = 3;

/// Runs until the test process ends.
pub(crate) struct SocksProxy {
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    /// What it was asked for: an address or a name, and a port.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl SocksProxy {
    pub(crate) fn start(server: &str, user: &'static str, password: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (server, noted) = (server.to_owned(), Arc::clone(&asked));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (server, noted) = (server.clone(), Arc::clone(&noted));
                std::thread::spawn(move || {
                    let Ok(Some(place)) = negotiated(&client, user, password) else { return };
                    noted.lock().expect("the list").push(place);
                    let _ = relay(client, &server);
                });
            }
        });
        Self { address, asked }
    }
}

/// What the client wants to be connected to, if its password is right.
fn negotiated(mut client: &TcpStream, user: &str, password: &str) -> io::Result<Option<String>> {
    let [_version, count] = read(client)?;
    let mut methods = vec![0; count.into()];
    client.read_exact(&mut methods)?;
    if !methods.contains(&BY_PASSWORD) {
        client.write_all(&[VERSION, NO_METHOD])?;
        return Ok(None);
    }
    client.write_all(&[VERSION, BY_PASSWORD])?;
    let [version] = read(client)?;
    let given = (short_text(client)?, short_text(client)?);
    let is_right = given == (user.to_owned(), password.to_owned());
    client.write_all(&[version, u8::from(!is_right)])?;
    if !is_right {
        return Ok(None);
    }
    let [_version, _command, _reserved, kind] = read(client)?;
    let host = match kind {
        BY_NUMBER => Ipv4Addr::from(read::<4>(client)?).to_string(),
        BY_NAME => short_text(client)?,
        other => panic!("an address of kind {other}"),
    };
    let port = u16::from_be_bytes(read(client)?);
    client.write_all(&[VERSION, 0, 0, BY_NUMBER, 0, 0, 0, 0, 0, 0])?;
    Ok(Some(format!("{host}:{port}")))
}

fn read<const BYTES: usize>(mut client: &TcpStream) -> io::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A text behind a byte with its length.
fn short_text(mut client: &TcpStream) -> io::Result<String> {
    let [length] = read(client)?;
    let mut text = vec![0; length.into()];
    client.read_exact(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn relay(mut client: TcpStream, server: &str) -> io::Result<()> {
    let mut server = TcpStream::connect(server)?;
    let (mut requests, mut sent) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut requests, &mut sent);
        let _ = sent.shutdown(Shutdown::Write);
    });
    io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)
}
