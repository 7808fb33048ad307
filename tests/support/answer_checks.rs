//! The assertions of the fuzz targets for answers of servers: the result does not depend on the pieces in which an answer
//! arrives, no more of it is kept than the bounds allow, and a naive reader of the whole text gets the same result.
#![allow(dead_code, reason = "the targets take one each")]

#[path = "strict_json.rs"]
mod strict_json;

use expvastic::answers::{BulkOutcome, BulkTrial, Decoded, decode};
use strict_json::Json;

/// The most bytes that may be kept of an answer to a bulk: the beginnings of a few texts, 4 KiB each, in buffers that double,
/// and half a megabyte for refusals.
const HELD_BYTES_MAX: usize = 8 * (8 << 10) + (513 << 10);
/// The most bytes that are kept of a text from the server.
const SAID_BYTES_MAX: usize = 1_003;
/// The most bytes of a text in an error that are read.
const EXCERPT_BYTES_MAX: usize = 4 << 10;
/// The types of errors from shards that are being relocated or recovered.
const SHARDS: [&str; 7] = [
    "shard_not_found_exception",
    "illegal_index_shard_state_exception",
    "index_shard_closed_exception",
    "index_shard_not_started_exception",
    "index_shard_recovering_exception",
    "index_shard_relocated_exception",
    "no_shard_available_action_exception",
];
/// Levels of nested objects and arrays in an answer.
const DEPTH_MAX: usize = 128;
/// The longest head of an answer, and the longest line in it.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// The numbers on the first line, and the rest of the input.
fn numbers(input: &[u8]) -> ([usize; 4], &[u8]) {
    let end = input.iter().position(|&byte| byte == b'\n');
    let (head, rest) = end.map_or((&input[..0], input), |end| (&input[..end], &input[end + 1..]));
    let mut numbers = [0; 4];
    for (number, text) in numbers.iter_mut().zip(head.split(|&byte| byte == b' ')) {
        *number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    }
    (numbers, rest)
}

/// Cuts a text into pieces of one length, or of different lengths.
fn pieces(text: &[u8], cut: usize) -> Vec<&[u8]> {
    if cut < 64 {
        return text.chunks(cut.max(1)).collect();
    }
    let (mut rest, mut random, mut pieces) = (text, cut, Vec::new());
    while !rest.is_empty() {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (piece, behind) = rest.split_at((random >> 33) % 97 % rest.len() + 1);
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

/// Input: `STATUS DOCUMENTS CUT`, then the body of an answer to a bulk of `DOCUMENTS`, which arrives in pieces.
pub(crate) fn bulk_answer(input: &[u8]) {
    let ([status, documents, cut, _], body) = numbers(input);
    let status = u16::try_from(status).unwrap_or_default();
    let status = if (200..=599).contains(&status) { status } else { 200 };
    let names: Vec<_> = (0..=(documents % 24)).map(|at| (["i", "j-1"][at % 2], ["a", "größe"][at / 2 % 2])).collect();
    let [mut whole, mut trial] = [(); 2].map(|()| BulkTrial::new(&names));
    // Mapping types that were learned from one answer apply when it is read again.
    for _ in 0..3 {
        let (outcome, held) = trial.answer(status, pieces(body, cut));
        assert_eq!(outcome, whole.answer(status, [body]).0, "in pieces as in one");
        assert!(held <= HELD_BYTES_MAX, "{held} bytes are held");
        check_outcome(&outcome, &trial, twin(status, body, names.len()), status);
        check_sent(&trial.sent(), &trial);
    }
}

fn check_outcome(outcome: &BulkOutcome, trial: &BulkTrial, expected: Option<Vec<&'static str>>, status: u16) {
    match outcome {
        BulkOutcome::Again(reason) => {
            assert!(status != 413 && expected.is_none(), "{reason}: expected {expected:?}");
            assert!(reason.len() <= SAID_BYTES_MAX, "{reason}");
        }
        BulkOutcome::Halves([first, second]) => {
            assert!(status == 413 && !first.is_empty() && !second.is_empty());
            assert_eq!([first.as_slice(), second].concat(), trial.documents(), "halves are all of it, in order");
        }
        BulkOutcome::Judged(fates, letters) => {
            let expected = expected.unwrap_or_else(|| vec!["dead"]);
            assert_eq!(fates.len(), expected.len());
            // Documents that were refused only because of their type are sent again.
            let is_same = |(found, wanted): (&&str, &&str)| found == wanted || (*found, *wanted) == ("retry", "dead");
            assert!(fates.iter().zip(&expected).all(is_same), "{fates:?}, expected {expected:?}");
            let dead: Vec<usize> = (0..fates.len()).filter(|&at| fates[at] == "dead").collect();
            assert_eq!(letters.iter().map(|letter| letter.0).collect::<Vec<_>>(), dead);
            assert!(letters.iter().all(|letter| letter.2.len() <= 123 && letter.3.len() <= 303), "{letters:?}");
        }
    }
}

/// Checks that a bulk has two lines for each document, whatever the names of types in the answer are.
fn check_sent(sent: &[u8], trial: &BulkTrial) {
    let text = std::str::from_utf8(sent).expect("a bulk is UTF-8");
    let lines: Vec<&str> = text.lines().collect();
    let documents = trial.documents();
    assert_eq!((lines.len(), text.ends_with('\n')), (2 * documents.len(), true), "{text}");
    for (pair, document) in lines.chunks(2).zip(&documents) {
        assert!(matches!(Json::parse(pair[0]), Ok(Json::Object(members)) if members.len() == 1), "{}", pair[0]);
        assert!(document.ends_with(format!("{}\n", pair[1]).as_bytes()), "documents stay as they are: {}", pair[1]);
    }
}

/// The fates of the documents, from a parser of the whole text. None if it is not an answer to the bulk.
fn twin(status: u16, body: &[u8], documents: usize) -> Option<Vec<&'static str>> {
    let text = strict_json::without_lone_surrogates(std::str::from_utf8(body).ok()?);
    let json = Json::parse(&text).ok().filter(|json| (200..=299).contains(&status) && depth(json) <= DEPTH_MAX)?;
    let Json::Array(items) = only(&json, "items")?? else { return None };
    let fates = items.iter().map(|item| {
        let Json::Object(members) = item else { return None };
        let [(_, outcome)] = members.as_slice() else { return None };
        let Json::Number(status) = only(outcome, "status")?? else { return None };
        let status: u64 = status.parse().ok()?;
        let error = only(outcome, "error")?;
        let said = |wanted: &str| match error {
            Some(Json::Object(members)) => members
                .iter()
                .find_map(|(name, value)| match value {
                    Json::String(text) if name == wanted && !text.is_empty() => Some(text.clone()),
                    _ => None,
                })
                .unwrap_or_default(),
            Some(Json::String(text)) if wanted == "reason" => text.clone(),
            _ => String::new(),
        };
        Some(fate(status, &said("type"), &said("reason")))
    });
    fates.collect::<Option<Vec<_>>>().filter(|fates| fates.len() == documents)
}

/// The rules for one document, written independently of the program.
fn fate(status: u64, kind: &str, reason: &str) -> &'static str {
    // The program looks only at the beginning of a long text.
    let reason = String::from_utf8_lossy(&reason.as_bytes()[..reason.len().min(EXCERPT_BYTES_MAX)]);
    let is_limit = reason.starts_with("Validation Failed: ") && reason.contains("maximum ");
    let is_alias = reason.starts_with("no write index is defined for ")
        || (reason.starts_with("Alias [") && reason.contains("] has more than one ind"));
    let is_pipeline = reason.starts_with("pipeline with id [") && reason.contains("] does not exist");
    match (status, kind) {
        (200..=299, _) => "acked",
        (409, _) => "duplicate",
        (408 | 429, _) | (400..=499, "cluster_block_exception" | "index_create_block_exception") => "retry",
        (400..=499, kind) if SHARDS.contains(&kind) => "retry",
        (400..=499, "security_exception" | "index_not_found_exception" | "index_closed_exception") => "mend",
        (400..=499, "status_exception") if reason.starts_with("a following engine does not accept operations") => {
            "mend"
        }
        (400..=499, "validation_exception") if is_limit => "mend",
        (400..=499, "illegal_argument_exception") if is_limit || is_alias || is_pipeline => "mend",
        (400..=499, _) => "dead",
        _ => "retry",
    }
}

/// The member of this name. `None` if there is none, if there are several, or if the value is not an object.
#[allow(clippy::option_option, reason = "there may be none, and there may be no answer")]
fn only<'j>(json: &'j Json, wanted: &str) -> Option<Option<&'j Json>> {
    let Json::Object(members) = json else { return None };
    let mut found = members.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value);
    let first = found.next();
    found.next().is_none().then_some(first)
}

fn depth(json: &Json) -> usize {
    match json {
        Json::Array(elements) => 1 + elements.iter().map(depth).max().unwrap_or(0),
        Json::Object(members) => 1 + members.iter().map(|(_, value)| depth(value)).max().unwrap_or(0),
        _ => 0,
    }
}

/// Input: `SUCCESS OTHER CUT`, then an HTTP answer, which arrives in pieces. The first two numbers are the caps for the body of
/// a success and of any other answer.
pub(crate) fn http_answer(input: &[u8]) {
    let ([success, other, cut, _], answer) = numbers(input);
    let (success, other) = (success % 10_000, other % 10_000);
    let longest = pieces(answer, cut).iter().map(|piece| piece.len()).max().unwrap_or(0);
    for is_streamed in [false, true] {
        let at_once = decode([answer], success, other, is_streamed);
        let in_pieces = decode(pieces(answer, cut), success, other, is_streamed);
        match (&at_once, &in_pieces) {
            (Ok(whole), Ok(pieces)) => {
                assert_eq!((whole.status, whole.is_whole), (pieces.status, pieces.is_whole));
                // Bytes after an answer are noticed only if they arrive together with its end. Of a body that is too long,
                // the buffer has as much as had arrived.
                let is_same = whole.body == pieces.body || !whole.is_whole;
                assert!(is_same, "{whole:?}, but {pieces:?} if passed on is {is_streamed}");
                assert!(pieces.keep_alive || !whole.keep_alive, "{whole:?}, {pieces:?}");
                check_bounds(pieces, if is_streamed { 0 } else { success.max(other) } + longest, [success, other]);
            }
            (Err(whole), Err(pieces)) => assert_eq!(whole, pieces),
            (whole, pieces) => panic!("{whole:?}, but {pieces:?} if passed on is {is_streamed}"),
        }
        if let Ok(whole) = &at_once {
            check_bounds(whole, answer.len(), [success, other]);
            if whole.is_whole {
                assert_eq!(naive(answer), Some((whole.status, whole.body.clone())), "{whole:?}");
            }
        }
    }
}

fn check_bounds(decoded: &Decoded, beside_head: usize, [success, other]: [usize; 2]) {
    let cap = if (200..=299).contains(&decoded.status) { success } else { other };
    assert!(decoded.body.len() <= cap, "{} bytes, {cap} are allowed", decoded.body.len());
    assert!(decoded.is_whole || !decoded.keep_alive, "what is not read to its end is not used again");
    assert!(decoded.buffered_bytes <= beside_head + HEAD_BYTES_MAX, "{} bytes", decoded.buffered_bytes);
}

/// Status and body of an answer that was accepted, read again by the rules alone.
fn naive(mut answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    loop {
        let (status, fields, body) = naive_head(answer)?;
        answer = body;
        if status < 200 {
            continue;
        }
        let field = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let body = if matches!(status, 204 | 304) {
            Vec::new()
        } else if field("transfer-encoding").is_some() {
            naive_chunks(body)?
        } else if let Some(length) = field("content-length") {
            body.get(..length.parse().ok()?)?.to_vec()
        } else {
            body.to_vec()
        };
        return Some((status, body));
    }
}

type Fields = Vec<(String, String)>;

fn naive_head(answer: &[u8]) -> Option<(u16, Fields, &[u8])> {
    let (mut rest, mut lines) = (answer, Vec::new());
    loop {
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        let line = String::from_utf8_lossy(&rest[..end]).trim_end_matches('\r').to_owned();
        rest = &rest[end + 1..];
        match (line.is_empty(), lines.is_empty()) {
            // Empty lines before the first line are skipped.
            (true, true) => {}
            (true, false) => break,
            (false, _) => lines.push(line),
        }
    }
    let status = lines[0].split(' ').nth(1)?.parse().ok()?;
    let fields = lines[1..].iter().filter_map(|line| line.split_once(':'));
    Some((status, fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect(), rest))
}

fn naive_chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        let size = line.trim_end_matches('\r').split(';').next()?.trim().to_owned();
        let size = usize::from_str_radix(&size, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(end + 1..end + 1 + size)?);
        rest = rest[end + 1 + size..].strip_prefix(b"\r\n")?;
    }
}
