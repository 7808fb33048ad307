//! The part of HTTP/1.1 that a loopback server needs: keep-alive, and requests with a length or with chunks.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
};

/// Threads that only read and answer need little of a stack.
const STACK_BYTES: usize = 256 * 1024;

/// A request, read to its end.
#[derive(Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// `Content-Encoding`, empty if there is none.
    pub(crate) encoding: String,
    pub(crate) body: Vec<u8>,
    /// All that came over the socket for it, head and chunk lines included.
    pub(crate) wire_bytes: u64,
}

/// One accepted connection.
pub(crate) struct Connection {
    reader: BufReader<Counted>,
}

struct Counted {
    stream: Box<dyn Stream>,
    bytes: u64,
}

/// A socket, or what speaks TLS over one.
pub(crate) trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

/// What makes a stream of a socket that was accepted.
pub(crate) type Opening = Arc<dyn Fn(Socket) -> io::Result<Box<dyn Stream>> + Send + Sync>;

/// Plain HTTP.
pub(crate) fn plain() -> Opening {
    Arc::new(|stream| Ok(Box::new(stream)))
}

/// A socket that the server can close while a connection uses it.
pub(crate) struct Socket(Arc<TcpStream>);

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self.0).flush()
    }
}

/// The sockets of a server's connections.
#[derive(Default)]
pub(crate) struct Sockets(Mutex<Vec<Weak<TcpStream>>>);

impl Sockets {
    fn add(&self, stream: &Arc<TcpStream>) {
        let mut sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.retain(|socket| socket.strong_count() > 0);
        sockets.push(Arc::downgrade(stream));
    }

    /// Closes all connections without a word, as the kernel does for a process that ends.
    pub(crate) fn close(&self) {
        for socket in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Fails only if the client has closed already.
            let _ = socket.upgrade().map(|socket| socket.shutdown(Shutdown::Both));
        }
    }
}

/// A server that listens.
pub(crate) struct Listening {
    pub(crate) port: u16,
    pub(crate) sockets: Arc<Sockets>,
}

/// Listens on a free port of loopback. For each connection a thread runs `serve` over what `open` makes of it, until it fails
/// or the client closes. The threads end with the process: a bench has no better moment.
pub(crate) fn listen<S, F>(shared: &Arc<S>, open: &Opening, serve: F) -> io::Result<Listening>
where
    S: Send + Sync + 'static,
    F: Fn(&S, Connection) -> io::Result<()> + Copy + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let listening = Listening { port: listener.local_addr()?.port(), sockets: Arc::default() };
    let (shared, open, sockets) = (Arc::clone(shared), Arc::clone(open), Arc::clone(&listening.sockets));
    let accept = move || {
        while let Ok((stream, _)) = listener.accept() {
            let (shared, open, stream) = (Arc::clone(&shared), Arc::clone(&open), Arc::new(stream));
            sockets.add(&stream);
            let serve_one = move || {
                let opened = stream.set_nodelay(true).and_then(|()| open(Socket(stream)));
                // A client that is killed resets its connections; that is how each of its runs ends.
                let _ = opened.and_then(|stream| serve(&shared, Connection::new(stream)));
            };
            if thread::Builder::new().stack_size(STACK_BYTES).spawn(serve_one).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().stack_size(STACK_BYTES).spawn(accept)?;
    Ok(listening)
}

impl Connection {
    fn new(stream: Box<dyn Stream>) -> Self {
        Self { reader: BufReader::with_capacity(64 * 1024, Counted { stream, bytes: 0 }) }
    }

    /// Reads the next request; `false` if the client has closed.
    pub(crate) fn request(&mut self, request: &mut Request) -> io::Result<bool> {
        let before = self.reader.get_ref().bytes;
        request.body.clear();
        request.encoding.clear();
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        let mut words = line.split_ascii_whitespace();
        request.method = words.next().unwrap_or_default().to_owned();
        request.path = words.next().unwrap_or_default().to_owned();
        let (mut length, mut chunked) = (0, false);
        loop {
            line.clear();
            self.reader.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().map_err(io::Error::other)?,
                "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
                "content-encoding" => value.clone_into(&mut request.encoding),
                "expect" => self.write(b"HTTP/1.1 100 Continue\r\n\r\n")?,
                _ => {}
            }
        }
        if chunked {
            self.chunks(&mut request.body)?;
        } else {
            self.bytes(length, &mut request.body)?;
        }
        // Nothing is pipelined, so what was read until now belongs to this request.
        request.wire_bytes = self.reader.get_ref().bytes - before;
        Ok(true)
    }

    /// Sends these bytes at once.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = &mut self.reader.get_mut().stream;
        stream.write_all(bytes)?;
        stream.flush()
    }

    fn bytes(&mut self, count: usize, body: &mut Vec<u8>) -> io::Result<()> {
        let start = body.len();
        body.resize(start + count, 0);
        self.reader.read_exact(&mut body[start..])
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        let mut line = String::new();
        loop {
            line.clear();
            self.reader.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            self.bytes(size, body)?;
            line.clear();
            self.reader.read_line(&mut line)?;
            if size == 0 {
                return Ok(());
            }
        }
    }
}
