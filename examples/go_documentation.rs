//! The example of the Go package's documentation: one reader, one recorder, both made by hand, and a payload
//! `{"the key": "is the value!"}` that goes all the way through. Reader and recorder talk to two small servers on this
//! machine, so that it runs anywhere:
//!
//!     cargo run --example go_documentation
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use expvastic::{Engine, Reader, Recorder};
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let (application, _) = serve(r#"{"the key": "is the value!"}"#)?;
    let (server, received) = serve(r#"{"errors":false,"items":[{"create":{"status":201}}]}"#)?;

    let reader = Reader::expvar("my_reader", "my_app", &application)?.interval(Duration::from_millis(100));
    let recorder = Recorder::elasticsearch("my_recorder", &server, "expvastic")?.timeout(Duration::from_secs(5));
    let engine = Engine::with_reader_recorders(reader, vec![recorder])?;

    // A real program would give a future that completes when it is time to stop, and no number of polls.
    let report = engine.polls(1).start(std::future::pending())?;

    let bulk = received.recv_timeout(Duration::from_secs(5))?;
    print!("{bulk}");
    assert!(bulk.contains(r#""the key":"is the value!""#), "the payload has gone all the way through");
    assert!(report.all_taken(), "and was taken: {report:?}");
    Ok(())
}

/// Answers every request on a free port with `body`; gives the address, and the bodies of the requests.
fn serve(body: &'static str) -> Result<(String, mpsc::Receiver<String>), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let (sender, receiver) = mpsc::channel();
    #[allow(clippy::disallowed_methods, reason = "the servers of this example, not the shipper")]
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || answer(connection, body, &sender));
        }
    });
    Ok((address, receiver))
}

fn answer(mut connection: TcpStream, body: &str, sender: &mpsc::Sender<String>) -> std::io::Result<()> {
    let mut requests = BufReader::new(connection.try_clone()?);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if requests.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut request = vec![0; length];
        requests.read_exact(&mut request)?;
        // Before its first bulk a server is asked what it is, and for its template.
        if !request.is_empty() {
            let _ = sender.send(String::from_utf8_lossy(&request).into_owned());
        }
        write!(connection, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    }
}
