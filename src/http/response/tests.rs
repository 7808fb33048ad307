use super::*;
use crate::http::retry_after_header::RetryAfter;
use proptest::prelude::*;

const CAPS: Caps = Caps { success: 100_000, other: 50 };

/// What becomes of an answer: status, body, and whether the connection can be used again.
type Outcome = Result<(u16, Vec<u8>, Progress, bool), AnswerError>;

/// Decodes an answer that comes in these pieces and then ends.
fn decode_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, caps: Caps) -> Outcome {
    let mut decoder = Decoder::new(caps, false);
    let mut buffer = Vec::new();
    let mut progress = Progress::More;
    for piece in pieces {
        if progress != Progress::More {
            // Bytes behind an answer do not belong to it. If they arrive late they are not read here, but the connection
            // is not used again either.
            break;
        }
        buffer.extend_from_slice(piece);
        progress = decoder.decode(&mut buffer)?;
        let bound = CAPS.success + limits::HEAD_BYTES_MAX + piece.len();
        assert!(buffer.len() <= bound, "{} bytes are kept", buffer.len());
    }
    if progress == Progress::More {
        decoder.end(&buffer)?;
        progress = Progress::Whole;
    }
    let head = decoder.into_head().expect("an answer that is over has a head");
    Ok((head.status, buffer, progress, head.keep_alive))
}

fn decode(bytes: &[u8]) -> Outcome {
    decode_pieces([bytes], CAPS)
}

#[allow(clippy::unnecessary_wraps, reason = "the tables hold errors, too")]
fn whole(status: u16, body: &str, keep_alive: bool) -> Outcome {
    Ok((status, body.as_bytes().to_vec(), Progress::Whole, keep_alive))
}

/// Answers as servers give them, and what each must become.
fn answers() -> Vec<(String, Outcome)> {
    let long = "x".repeat(5_000);
    let table = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}", whole(200, "{\"a\":1}", true)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", whole(200, "", true)),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nCONTENT-LENGTH: 2\r\n\r\n{}", whole(200, "{}", true)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", whole(200, "{}", false)),
        ("HTTP/1.1 200 OK\r\nConnection: x , Close\r\nContent-Length: 2\r\n\r\n{}", whole(200, "{}", false)),
        ("HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", whole(200, "{}", true)),
        ("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}", whole(200, "{}", true)),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", whole(200, "{}", false)),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}", whole(200, "{}", true)),
        ("HTTP/1.0 200 OK\r\n\r\nuntil the end", whole(200, "until the end", false)),
        ("HTTP/1.1 200 OK\r\n\r\n", whole(200, "", false)),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", whole(204, "", true)),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", whole(304, "", true)),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found", whole(404, "not found", true)),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            whole(200, "{}", true),
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", whole(200, "", true)),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\n{\r\n5;x=\"y\"\r\n\"a\":1\r\n000001\r\n}\r\n0\r\n\r\n",
            whole(200, "{\"a\":1}", true),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\nExpires: never\r\nX: y\r\n\r\n",
            whole(200, "0123456789", true),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            whole(200, "{}", false),
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n", whole(200, "{}", false)),
    ];
    let mut answers: Vec<(String, Outcome)> = table.map(|(bytes, outcome)| (bytes.to_owned(), outcome)).into();
    answers.push((
        format!("HTTP/1.1 200 OK\r\nServer: {long}\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n{long}\r\n0\r\n\r\n"),
        whole(200, &long, true),
    ));
    answers.push((
        "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n\r\n".to_owned() + &long,
        Ok((503, long.as_bytes()[..CAPS.other].to_vec(), Progress::TooLong, false)),
    ));
    answers
}

#[test]
fn answers_are_read_as_they_are_meant() {
    for (bytes, outcome) in answers() {
        assert_eq!(decode(bytes.as_bytes()), outcome, "{bytes:?}");
    }
}

#[test]
fn an_answer_is_the_same_in_whatever_pieces_it_comes() {
    for (text, outcome) in answers() {
        let bytes = text.as_bytes();
        // What stands behind an answer is only seen if it comes together with its end.
        let is_same = |found: Outcome| match (&found, &outcome) {
            (Ok((status, body, progress, _)), Ok(wanted)) => {
                (*status, body, *progress) == (wanted.0, &wanted.1, wanted.2)
            }
            _ => found == outcome,
        };
        for length in [1, 2, 3, 7, 64, 1000] {
            assert!(is_same(decode_pieces(bytes.chunks(length), CAPS)), "{text:?} in pieces of {length}");
        }
        for cut in 0..bytes.len().min(400) {
            let pieces = [&bytes[..cut], &bytes[cut..]];
            assert!(is_same(decode_pieces(pieces, CAPS)), "{text:?} in two pieces, cut at {cut}");
        }
    }
}

#[test]
fn an_answer_that_is_cut_off_is_an_error_wherever_that_is() {
    for (text, outcome) in answers() {
        let is_until_close = !text.contains("ontent-") && !text.contains("CONTENT") && !text.contains("chunked");
        let Ok((status, body, ..)) = outcome else { panic!("these are good answers") };
        let bytes = text.as_bytes();
        for cut in 0..bytes.len() {
            match decode(&bytes[..cut]) {
                Err(AnswerError::Nothing) => assert_eq!(cut, 0),
                Err(error) => assert_eq!(error, AnswerError::CutOff, "{text:?} cut at {cut}"),
                // Only where nothing says how long a body is can it end anywhere; the others were whole already.
                Ok((found, short, ..)) => {
                    assert_eq!(found, status);
                    assert!(body.starts_with(&short));
                    assert!(short == body || is_until_close, "{text:?} cut at {cut}: {short:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_no_answer_is_refused() {
    let fields = |count: usize| "X: y\r\n".repeat(count);
    let head = |rest: &str| format!("HTTP/1.1 200 OK\r\n{rest}");
    let chunked = |rest: &str| head(&format!("Transfer-Encoding: chunked\r\n\r\n{rest}"));
    let long = "x".repeat(limits::HEAD_BYTES_MAX);
    let table = [
        (String::new(), AnswerError::Nothing),
        ("\u{15}\u{3}\u{3}\0\u{2}\u{2}F".to_owned(), AnswerError::Tls),
        ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), AnswerError::NotHttp),
        ("HTTP/2 200\r\n\r\n".to_owned(), AnswerError::NotHttp),
        ("HTTP/1.1 xxx OK\r\n\r\n".to_owned(), AnswerError::NotHttp),
        ("HTTP/1.1 101 Switching\r\n\r\n".to_owned(), AnswerError::NotHttp),
        ("<html>\n".to_owned(), AnswerError::NotHttp),
        (head(" folded: x\r\n\r\n"), AnswerError::NotHttp),
        (head(&format!("X: {long}")), AnswerError::HeadTooLong),
        (head(&format!("X: {long}\r\n\r\n")), AnswerError::HeadTooLong),
        (head(&fields(limits::HEAD_FIELDS_MAX + 1)), AnswerError::TooManyFields),
        (head("Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), AnswerError::BadLength),
        (head("Content-Length: +1\r\n\r\n"), AnswerError::BadLength),
        (head("Content-Length: \r\n\r\n"), AnswerError::BadLength),
        (head("Content-Length: 1, 1\r\n\r\n"), AnswerError::BadLength),
        (head("Content-Length: 99999999999999999999\r\n\r\n"), AnswerError::BadLength),
        (head("Transfer-Encoding: gzip, chunked\r\n\r\n"), AnswerError::UnknownCoding),
        (head("Transfer-Encoding: gzip\r\n\r\n"), AnswerError::UnknownCoding),
        (chunked("x\r\n"), AnswerError::BadChunk),
        (chunked("\r\n"), AnswerError::BadChunk),
        (chunked("-1\r\n"), AnswerError::BadChunk),
        (chunked("2;x=\n\r\n{}\r\n0\r\n\r\n"), AnswerError::BadChunk),
        (chunked("2\n{}\r\n0\r\n\r\n"), AnswerError::BadChunk),
        (chunked("2\r\n{}0\r\n\r\n"), AnswerError::BadChunk),
        (chunked("11112222333344445\r\n"), AnswerError::BadChunk),
        (chunked(&format!("2;{long}")), AnswerError::BadChunk),
        (chunked(&format!("0\r\n{long}x")), AnswerError::HeadTooLong),
        (chunked(&format!("0\r\n{}", "X: y\r\n".repeat(limits::HEAD_BYTES_MAX / 6 + 1))), AnswerError::HeadTooLong),
    ];
    for (bytes, error) in table {
        let shown = &bytes[..bytes.len().min(80)];
        assert_eq!(decode(bytes.as_bytes()), Err(error), "{shown:?}");
        assert_eq!(decode_pieces(bytes.as_bytes().chunks(1), CAPS), Err(error), "{shown:?} byte by byte");
    }
}

#[test]
fn a_body_over_the_cap_is_given_up_early() {
    let caps = Caps { success: 4, other: 2 };
    let too_long = |status, body: &str| Ok((status, body.as_bytes().to_vec(), Progress::TooLong, false));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let table = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd".to_owned(), whole(200, "abcd", true)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_owned(), too_long(200, "")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde".to_owned(), too_long(200, "abcd")),
        ("HTTP/1.1 500 Oh\r\nContent-Length: 5\r\n\r\nabcde".to_owned(), too_long(500, "ab")),
        ("HTTP/1.1 200 OK\r\n\r\nabcd".to_owned(), whole(200, "abcd", false)),
        ("HTTP/1.1 200 OK\r\n\r\nabcde".to_owned(), too_long(200, "abcd")),
        (format!("{chunked}2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"), whole(200, "abcd", true)),
        (format!("{chunked}2\r\nab\r\n3\r\n"), too_long(200, "ab")),
        (format!("{chunked}ffffffffffffffff\r\n"), too_long(200, "")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n".to_owned(), too_long(200, "")),
    ];
    for (bytes, outcome) in table {
        assert_eq!(decode_pieces([bytes.as_bytes()], caps), outcome, "{bytes:?}");
    }
}

#[test]
fn what_matters_of_a_head_is_kept() {
    let mut decoder = Decoder::new(CAPS, false);
    let mut buffer =
        b"HTTP/1.1 302 Found\r\nLocation: /x?y\r\nretry-after: 120\r\nDate: then\r\nContent-Length: 50\r\n\r\nab"
            .to_vec();
    assert_eq!(decoder.decode(&mut buffer), Ok(Progress::More));
    assert_eq!((buffer.as_slice(), decoder.bytes_to_come()), (&b"ab"[..], 48));
    let head = decoder.head().expect("it is whole");
    let retry_after = RetryAfter { asked: "120".to_owned(), date: Some("then".to_owned()) };
    assert_eq!((head.location.as_deref(), &head.retry_after), (Some("/x?y"), &Some(retry_after)));
}

proptest! {
    /// Bytes of any kind, the way they look when a server means ill.
    #[test]
    fn any_bytes_give_an_answer_or_an_error_and_the_same_in_pieces(
        bytes in prop::collection::vec(
            prop_oneof![
                Just("HTTP/1.1 200 OK\r\n".to_owned()),
                Just("HTTP/1.1 100 C\r\n\r\n".to_owned()),
                Just("Transfer-Encoding: chunked\r\n".to_owned()),
                (0_u32..30).prop_map(|length| format!("Content-Length: {length}\r\n")),
                Just("\r\n".to_owned()),
                Just("\n".to_owned()),
                (0_u32..30).prop_map(|size| format!("{size:x}\r\n")),
                "[ -~]{0,20}",
                "\\PC{0,5}",
            ],
            0..12,
        ),
        length in 1_usize..20,
    ) {
        let bytes = bytes.concat().into_bytes();
        let caps = Caps { success: 60, other: 20 };
        let at_once = decode_pieces([bytes.as_slice()], caps);
        let in_pieces = decode_pieces(bytes.chunks(length), caps);
        match (at_once, in_pieces) {
            (Ok((status, body, progress, _)), Ok(found)) => {
                prop_assert!(body.len() <= caps.success);
                prop_assert_eq!((status, progress), (found.0, found.2));
                // Of a body that is too long the beginning is kept, as far as it had come.
                prop_assert!(body == found.1 || progress == Progress::TooLong);
            }
            (at_once, in_pieces) => prop_assert_eq!(at_once, in_pieces),
        }
    }
}
