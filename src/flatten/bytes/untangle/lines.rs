//! Bodies with one variable per line, as Go's handler writes them: `{`, then the variables, each at the beginning of a
//! line and after `,` and a line end, then `}` on a line of its own. The lines may be indented, all in the same way.

use super::{Cause, FlattenError, LOST, Mender, Mode, Unreadable};
use crate::bytes::scalar::is_blank;
use crate::limits::GAPS_MAX;
use memchr::memmem;

/// How many times the length of a body may be read in vain: a variable may have several lines, and to find out, all of
/// it has to be read.
const LOOKS_MAX: usize = 4;

/// How much work may still be done.
struct Left {
    /// Bytes that may be read in vain.
    looks: usize,
    /// How many more [`LOST`] may make the copy longer.
    gaps: usize,
}

/// A body with one variable per line.
#[derive(Clone, Copy)]
pub(super) struct Lines<'b> {
    body: &'b [u8],
    /// The text before each variable: a line end, and blanks.
    gap: &'b [u8],
    /// Where the last variable ends.
    end: usize,
}

impl<'b> Lines<'b> {
    /// None if the body is not written that way.
    pub(super) fn of(body: &'b [u8]) -> Option<Self> {
        let gap = gap(body)?;
        let inside = body.trim_ascii_end().strip_suffix(b"}")?;
        let end = inside.trim_ascii_end().len();
        let lines = Self { body, gap, end };
        (inside[end..].contains(&b'\n') && lines.begins(1 + gap.len())).then_some(lines)
    }

    /// Whether it has more than one.
    pub(super) fn are_several(self) -> bool {
        self.end_of_line(1 + self.gap.len()) < self.end
    }

    /// Writes the copy.
    ///
    /// # Errors
    /// There are two bodies, or a variable is nested too deep.
    pub(super) fn untangle(self, copy: &mut Vec<u8>) -> Result<(), FlattenError> {
        if let Some(offset) = self.next_body() {
            return Err(FlattenError { cause: Cause::TrailingData, offset });
        }
        copy.clear();
        copy.push(b'{');
        let mut left = Left { looks: LOOKS_MAX * self.body.len(), gaps: GAPS_MAX };
        let mut at = 1 + self.gap.len();
        loop {
            at = self.variable(at, copy, &mut left)?;
            if at >= self.end {
                break;
            }
            copy.push(b',');
            at += 1 + self.gap.len();
        }
        copy.push(b'}');
        Ok(())
    }

    /// Copies the variable at `at`. Gives where it ends.
    fn variable(self, at: usize, copy: &mut Vec<u8>, left: &mut Left) -> Result<usize, FlattenError> {
        let body = self.body;
        let mark = copy.len();
        let mut line_end = None;
        let mut line_end_of = |at: usize| *line_end.get_or_insert_with(|| self.end_of_line(at));
        let look_end = if left.looks > 0 { self.end } else { line_end_of(at) };
        let mut mender = Mender { at, depth: 1, ..Mender::new(body, look_end, copy, Mode::Strict) };
        let read = mender.member_alone();
        let (stop, has_lost) = (mender.at, mender.has_lost);
        if read.is_ok() && self.is_end(stop) && (!has_lost || may_lose(&body[at..stop])) {
            return Ok(stop);
        }
        left.looks = left.looks.saturating_sub(stop - at);
        copy.truncate(mark);
        let line_end = line_end_of(at);
        if read == Err(Unreadable::TooDeep) && is_balanced(&body[at..line_end]) {
            return Err(FlattenError { cause: Cause::TooDeep, offset: stop });
        }
        let gaps_left = left.gaps;
        let mut mender = Mender { at, depth: 1, gaps_left, ..Mender::new(body, line_end, copy, Mode::Tolerant) };
        let is_whole = mender.member_alone().is_ok() && {
            mender.skip_commas();
            mender.at >= line_end
        };
        if is_whole {
            left.gaps = mender.gaps_left;
        } else {
            copy.truncate(mark);
            let mut mender = Mender { at, ..Mender::new(body, line_end, copy, Mode::Tolerant) };
            let _ = mender.key();
            copy.push(LOST);
        }
        Ok(line_end)
    }

    /// Where the variable at `at` ends: before the next one, or where the last one does.
    fn end_of_line(self, at: usize) -> usize {
        let gaps = memmem::find_iter(&self.body[at..self.end], self.gap).map(|found| at + found);
        let mut ends = gaps.filter(|&gap| self.body[gap - 1] == b',' && self.begins(gap + self.gap.len()));
        ends.next().map_or(self.end, |gap| gap - 1)
    }

    /// Whether a variable ends at `at`.
    fn is_end(self, at: usize) -> bool {
        let rest = self.body[..self.end].get(at..).unwrap_or_default();
        let behind = rest.strip_prefix(b",").and_then(|rest| rest.strip_prefix(self.gap));
        rest.is_empty() || (behind.is_some() && self.begins(at + 1 + self.gap.len()))
    }

    /// Whether a variable begins at `at`: its key and a colon, on one line.
    fn begins(self, at: usize) -> bool {
        key_end(self.body, at, self.end).is_some_and(|end| self.body.get(end) == Some(&b':'))
    }

    /// Where another body begins after the first one, if there is one.
    fn next_body(self) -> Option<usize> {
        memmem::find_iter(&self.body[..self.end], b"\n}").find_map(|end| {
            let behind = end + 2;
            let blanks = self.body[behind..].iter().take_while(|byte| is_blank(**byte)).count();
            let next = self.body[behind + blanks..].strip_prefix(b"{")?;
            let is_body = blanks > 0 && next.strip_prefix(self.gap).is_some_and(|next| next.starts_with(b"\""));
            is_body.then_some(behind + blanks)
        })
    }
}

/// The text between the brace of a body and its first key, if it is a line end and blanks.
fn gap(body: &[u8]) -> Option<&[u8]> {
    let behind = body.strip_prefix(b"{")?;
    let blanks = behind.iter().take_while(|byte| is_blank(**byte)).count();
    let lines = memchr::memchr_iter(b'\n', &behind[..blanks]).count();
    let is_line = lines == 1 && matches!(behind[..blanks], [b'\n', ..] | [b'\r', b'\n', ..]);
    (is_line && behind.get(blanks) == Some(&b'"')).then(|| &behind[..blanks])
}

/// Whether one of the variables of a body begins in `text`, which is a part of the body.
pub(crate) fn holds_a_variable(body: &[u8], text: &[u8]) -> bool {
    let Some(gap) = gap(body) else { return false };
    memmem::find_iter(text, gap).any(|at| at > 0 && text[at - 1] == b',' && text.get(at + gap.len()) == Some(&b'"'))
}

/// Whether broken values in this text certainly belong to one variable: the text is on one line, or has a line end
/// after its first bracket, so it was written over several lines on purpose. Otherwise its lines may be those of
/// several variables.
fn may_lose(variable: &[u8]) -> bool {
    let Some(line_end) = memchr::memchr(b'\n', variable) else { return true };
    matches!(variable[..line_end].trim_ascii_end(), [.., b'{' | b'['])
}

/// Where the string that begins at `at` ends; none if there is none, or it does not end on its line and before `end`.
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

/// Whether all brackets outside of strings have partners.
fn is_balanced(text: &[u8]) -> bool {
    depth_after(text, |_, _| {}).is_some_and(|depth| depth == 0)
}

/// How many brackets are open after a text. None if one is closed that was not opened, or a string does not end. Calls
/// `comma` with the offset of each comma, and the number of brackets that are open there.
fn depth_after(text: &[u8], mut comma: impl FnMut(usize, usize)) -> Option<usize> {
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

/// Whether the line with byte `offset` contains exactly one variable, or a part of one in which all brackets have
/// partners. Also gives where the line ends.
pub(crate) fn stands_alone(body: &[u8], offset: usize) -> (bool, usize) {
    let start = memchr::memrchr(b'\n', &body[..offset]).map_or(0, |at| at + 1);
    let end = memchr::memchr(b'\n', &body[offset..]).map_or(body.len(), |at| offset + at);
    let line = &body[start..end];
    let (mut commas, mut last) = (0_usize, 0);
    let depth = depth_after(line, |at, depth| {
        if depth == 0 {
            (commas, last) = (commas + 1, at);
        }
    });
    let indent = gap(body).and_then(|gap| gap.split(|&byte| byte == b'\n').next_back());
    let is_variable =
        indent.is_some_and(|indent| line.strip_prefix(indent).is_some_and(|line| line.starts_with(b"\"")));
    let one_comma = commas == 0 || (commas == 1 && line[last + 1..].iter().all(|byte| is_blank(*byte)));
    (depth == Some(0) && (one_comma || !is_variable), end)
}
