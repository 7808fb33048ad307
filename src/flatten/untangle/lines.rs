//! Bodies that are written a variable a line, as Go's handler writes them: `{`, then the variables, each at the beginning of a
//! line behind `,` and a line end, then `}` on a line of its own.

use super::{Cause, FlattenError, LOST, Mender, Mode, Unreadable};
use crate::walk::is_blank;
use memchr::memmem;

const BEGIN: &[u8] = b"{\n\"";
const END: &[u8] = b"\n}";
/// Between two variables.
const BETWEEN: &[u8] = b",\n";
/// Between two whole bodies.
const NEXT_BODY: &[u8] = b"\n}\n{\n\"";

/// How many times the length of a body may be looked at in vain: a variable may be of more than one line, and whether it is
/// takes a look at all of it.
const LOOKS_MAX: usize = 4;

/// Whether a body is written a variable a line.
pub(super) fn is_by_lines(body: &[u8]) -> bool {
    body.starts_with(BEGIN) && body.trim_ascii_end().ends_with(END) && begins(body, 2, body.len())
}

/// Writes the copy of a body that is written a variable a line. False if it is not, after all.
///
/// # Errors
/// Two bodies, or a variable that is too deep.
pub(super) fn untangle(body: &[u8], copy: &mut Vec<u8>) -> Result<bool, FlattenError> {
    let end = body.trim_ascii_end().len() - END.len();
    if let Some(at) = memmem::find(body, NEXT_BODY) {
        return Err(FlattenError { cause: Cause::TrailingData, offset: at + NEXT_BODY.len() - BEGIN.len() });
    }
    copy.clear();
    copy.push(b'{');
    let mut looks = LOOKS_MAX * body.len();
    let mut at = BEGIN.len() - 1;
    loop {
        at = variable(body, at, end, copy, &mut looks)?;
        if at >= end {
            break;
        }
        copy.push(b',');
        at += BETWEEN.len();
    }
    copy.push(b'}');
    Ok(true)
}

/// Copies the variable at `at`; gives where it ends.
fn variable(body: &[u8], at: usize, end: usize, copy: &mut Vec<u8>, looks: &mut usize) -> Result<usize, FlattenError> {
    let mark = copy.len();
    let mut line_end = None;
    let mut line_end_of = |at: usize| *line_end.get_or_insert_with(|| next(body, at, end));
    let look_end = if *looks > 0 { end } else { line_end_of(at) };
    let mut mender = Mender { at, ..Mender::new(body, look_end, copy, Mode::Strict) };
    mender.depth = 1;
    let read = mender.member_alone();
    let (stop, has_lost) = (mender.at, mender.has_lost);
    if read.is_ok() && is_end(body, stop, end) && (!has_lost || may_lose(&body[at..stop])) {
        return Ok(stop);
    }
    *looks = looks.saturating_sub(stop - at);
    copy.truncate(mark);
    let line_end = line_end_of(at);
    if read == Err(Unreadable::TooDeep) && is_balanced(&body[at..line_end]) {
        return Err(FlattenError { cause: Cause::TooDeep, offset: stop });
    }
    let mut mender = Mender { at, ..Mender::new(body, line_end, copy, Mode::Tolerant) };
    mender.depth = 1;
    let is_whole = mender.member_alone().is_ok() && {
        mender.commas();
        mender.at >= line_end
    };
    if !is_whole {
        copy.truncate(mark);
        let mut mender = Mender { at, ..Mender::new(body, line_end, copy, Mode::Tolerant) };
        let _ = mender.key();
        copy.push(LOST);
    }
    Ok(line_end)
}

/// Whether what is broken in this variable is a part of it: it is in one line, or it is written over several on purpose, with a
/// line end behind its first bracket. Else its lines may be those of several variables.
fn may_lose(variable: &[u8]) -> bool {
    let Some(line_end) = memchr::memchr(b'\n', variable) else { return true };
    matches!(variable[..line_end].trim_ascii_end(), [.., b'{' | b'['])
}

/// Where the variable ends that is at `at`: before the next one, or where all do.
fn next(body: &[u8], at: usize, end: usize) -> usize {
    let between = memmem::find_iter(&body[at..end], BETWEEN).map(|found| at + found);
    between.into_iter().find(|&found| begins(body, found + BETWEEN.len(), end)).unwrap_or(end)
}

/// Whether a variable ends at `at`.
fn is_end(body: &[u8], at: usize, end: usize) -> bool {
    at >= end || body[at..].starts_with(BETWEEN) && begins(body, at + BETWEEN.len(), end)
}

/// Whether a variable begins at `at`: its key and a colon, on one line.
fn begins(body: &[u8], at: usize, end: usize) -> bool {
    key_end(body, at, end).is_some_and(|end| body.get(end) == Some(&b':'))
}

fn key_end(body: &[u8], at: usize, end: usize) -> Option<usize> {
    let text = body.get(..end)?;
    if text.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        at += memchr::memchr3(b'"', b'\\', b'\n', text.get(at..)?)?;
        match text[at] {
            b'"' => return Some(at + 1),
            b'\n' => return None,
            _ => at += 1 + usize::from(text.get(at + 1) != Some(&b'\n')),
        }
    }
}

/// Whether each bracket outside of strings has its partner.
fn is_balanced(text: &[u8]) -> bool {
    depth_behind(text, |_, _| {}).is_some_and(|depth| depth == 0)
}

/// How many brackets are open behind a text; none if one is closed that was not open, or a string does not end. Hands the
/// offset of each comma, and how many are open there, to `comma`.
fn depth_behind(text: &[u8], mut comma: impl FnMut(usize, usize)) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b',' => comma(at, depth),
            b'"' => at = key_end(text, at, text.len())? - 1,
            _ => {}
        }
        at += 1;
    }
    Some(depth)
}

/// Whether the line with byte `offset` holds one variable and nothing else, or a part of one in which no bracket lacks its
/// partner. Gives where the line ends, too.
pub(crate) fn stands_alone(body: &[u8], offset: usize) -> (bool, usize) {
    let start = memchr::memrchr(b'\n', &body[..offset]).map_or(0, |at| at + 1);
    let end = memchr::memchr(b'\n', &body[offset..]).map_or(body.len(), |at| offset + at);
    let line = &body[start..end];
    let (mut commas, mut last) = (0_usize, 0);
    let depth = depth_behind(line, |at, depth| {
        if depth == 0 {
            (commas, last) = (commas + 1, at);
        }
    });
    let is_variable = line.first() == Some(&b'"');
    let one_comma = commas == 0 || (commas == 1 && line[last + 1..].iter().all(|byte| is_blank(*byte)));
    (depth == Some(0) && (one_comma || !is_variable), end)
}
