//! `/metrics`, which is sent piece by piece: with a thousand readers it has a megabyte, and many clients may be slow at the
//! same time. A client sees by the chunks whether it has all of it.

use super::request::Method;
use super::{Page, Status, write_all, write_head};
use crate::metrics::prometheus;
use std::io;
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Instant;

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The length of a chunk, which is filled in when the chunk is there.
const LENGTH: &[u8] = b"00000000\r\n";

/// Answers a request for `/metrics`. A client of HTTP/1.0 knows no chunks.
pub(super) async fn send(
    stream: &Rc<TcpStream>,
    method: Method,
    is_chunked: bool,
    render: &impl Fn(&Page, &mut Vec<u8>) -> Status,
    deadline: Instant,
) -> io::Result<()> {
    let mut text = Vec::new();
    let framing = if is_chunked { "Transfer-Encoding: chunked\r\n" } else { "" };
    write_head(Status::Ok.line(), CONTENT_TYPE, &framing, &mut text);
    if method == Method::Head {
        return write_all(stream, &text, deadline).await;
    }
    for piece in 0..prometheus::PIECES {
        let start = text.len();
        text.extend_from_slice(if is_chunked { LENGTH } else { b"" });
        let begin = text.len();
        render(&Page::Metrics(piece), &mut text);
        let bytes = text.len() - begin;
        if bytes == 0 {
            // An empty chunk would be the end.
            text.truncate(start);
            continue;
        }
        if is_chunked {
            let digits = text[start..begin - 2].iter_mut().rev();
            for (place, digit) in digits.enumerate() {
                *digit = b"0123456789abcdef"[bytes >> (4 * place) & 15];
            }
            text.extend_from_slice(b"\r\n");
        }
        write_all(stream, &text, deadline).await?;
        text.clear();
    }
    text.extend_from_slice(if is_chunked { b"0\r\n\r\n" } else { b"" });
    write_all(stream, &text, deadline).await
}
