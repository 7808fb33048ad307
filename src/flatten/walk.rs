//! The walk over the structural index: checks the grammar that stage 1 leaves open, and writes the flat members.
//!
//! It never looks at a byte twice without need: a scalar is checked and copied as it stands, an array of scalars is
//! checked element by element and copied as one span, a member that is out is skipped by counting brackets. A single token
//! in the place of a value that is none is left out. Whatever else is no JSON ends the walk ([`Stop::Tangled`]), and a copy
//! of the body is followed in which it is ([`super::untangle`]).

use super::convert::Conversion;
use super::fit::{self, Met};
use super::gc::Totals;
use super::guide::{Guide, Member, Stop};
use super::layout::Traits;
use super::lost::LostAt;
use super::piece;
use super::rates::Number;
use super::rings::Pauses;
use super::scalar::{self, Escapes};
use super::{Cause, FlattenError, GcPauses, Report};
use crate::limits;
use bumpalo::Bump;

/// The state of one walk.
pub(super) struct Walk<'a, G> {
    pub(super) guide: G,
    pub(super) body: &'a [u8],
    pub(super) offsets: &'a [u32],
    /// The token that is looked at: an index into `offsets`.
    pub(super) at: usize,
    /// Offset of the first backslash not before `backslash_sought_from`: strings between the two hold no escape.
    next_backslash: usize,
    backslash_sought_from: usize,
    /// Name of the member of an array's element that the walk is in, relative to the array.
    pub(super) path: &'a mut Vec<u8>,
    /// Keys in it.
    pub(super) path_keys: usize,
    pub(super) out: &'a mut Vec<u8>,
    out_bytes_max: usize,
    pub(super) arena: &'a Bump,
    pub(super) report: Report,
    pub(super) depth: usize,
    pub(super) options: Options,
    pub(super) pauses: Pauses,
    /// What the array that is scanned, or was last, holds.
    pub(super) met: Met,
    /// How many gaps in columns may still be filled.
    pub(super) gaps_left: usize,
    /// Where something is lost.
    pub(super) lost: &'a mut Vec<LostAt>,
    /// The body is written a variable a line: what is broken must have a line to itself.
    pub(super) by_lines: bool,
    /// Up to where it is known to have.
    pub(super) alone_until: usize,
    pub(super) tangled: bool,
}

/// What the walk is to do with values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) gc_pauses: GcPauses,
    pub(super) dots_underscore: bool,
    /// The totals of the last document of the same reader.
    pub(super) totals_before: Option<Totals>,
}

/// A value within its container, for those who write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Yes,
    No,
}

/// What a step of the walk gives, or why it ends.
pub(super) type Outcome<T> = Result<T, Stop>;

impl<'a, G: Guide> Walk<'a, G> {
    pub(super) fn new(
        guide: G,
        options: Options,
        (body, offsets): (&'a [u8], &'a [u32]),
        path: &'a mut Vec<u8>,
        out: &'a mut Vec<u8>,
        lost: &'a mut Vec<LostAt>,
        arena: &'a Bump,
    ) -> Self {
        lost.clear();
        let next_backslash = memchr::memchr(b'\\', body).unwrap_or(body.len());
        let out_bytes_max = out.len() + limits::DOCUMENT_BYTES_MAX;
        Self {
            guide,
            options,
            pauses: Pauses::default(),
            body,
            offsets,
            at: 0,
            next_backslash,
            backslash_sought_from: 0,
            path,
            path_keys: 0,
            out,
            out_bytes_max,
            arena,
            report: Report::default(),
            depth: 0,
            met: Met::default(),
            gaps_left: limits::GAPS_MAX,
            lost,
            by_lines: body.starts_with(b"{\n") || body.starts_with(b"{\r\n"),
            alone_until: 0,
            tangled: false,
        }
    }

    /// Walks the whole body; gives the totals that the next document is compared with, if there are any.
    pub(super) fn run(mut self) -> Outcome<(Report, Option<Totals>)> {
        self.at = 1; // Behind the brace that the index begins with.
        self.object()?;
        if self.at < self.offsets.len() {
            return Err(Stop::Tangled);
        }
        let totals = if G::LEARNS { None } else { self.fill_rings()? };
        if self.tangled {
            return Err(Stop::Tangled);
        }
        Ok((self.report, totals))
    }

    /// The members of an object whose brace is behind us, up to and with its closing brace.
    fn object(&mut self) -> Outcome<()> {
        self.enter()?;
        if self.peek()? == b'}' {
            self.at += 1;
            self.depth -= 1;
            return self.guide.end();
        }
        loop {
            match self.plain_member() {
                Some(b',') => continue,
                Some(_) => break,
                None => self.member()?,
            }
            match self.next()? {
                b'}' => break,
                b',' => {}
                _ => return Err(Stop::Tangled),
            }
        }
        self.depth -= 1;
        self.guide.end()
    }

    /// One member; leaves the cursor at the `,` or `}` behind it.
    fn member(&mut self) -> Outcome<()> {
        if self.peek()? != b'"' {
            return Err(Stop::Tangled);
        }
        let token = self.at;
        let Some(key) = self.key()? else { return self.skip_broken_member(token) };
        let traits = match self.guide.member(key) {
            Ok(Member::Out) => return self.skip_out(),
            Ok(Member::In(traits)) => traits,
            // A key that is broken has never been learned.
            Err(Stop::OtherLayout) if scalar::escapes(key) == Escapes::Bad => return self.skip_broken_member(token),
            Err(stop) => return Err(stop),
        };
        match self.peek()? {
            b'{' | b'[' => self.container_member(traits),
            first => self.scalar_member(traits, first),
        }
    }

    /// The common member in one go: a key that was learned, a sound scalar that is shipped as it is, a separator, which is
    /// given and stepped over. None, and nothing done, if it is any other: [`Walk::member`] then looks at it closely.
    #[inline]
    fn plain_member(&mut self) -> Option<u8> {
        let tokens = self.offsets.get(self.at..)?.first_chunk::<4>()?;
        let [key, colon, value, next] = tokens.map(|offset| offset as usize);
        let separator = self.body[next];
        let quoted = self.body[key] == b'"' && self.body[colon - 1] == b'"' && colon > key + 1;
        if !quoted || self.body[colon] != b':' || !matches!(separator, b',' | b'}') {
            return None;
        }
        let path_bytes = self.guide.plain_leaf(self.body, key + 1, colon - 1)?;
        let end = self.trimmed(next);
        let first = self.body[value];
        let sound = match first {
            b'"' => self.next_backslash >= end && self.body[end - 1] == b'"',
            b't' => &self.body[value..end] == b"true",
            b'f' => &self.body[value..end] == b"false",
            _ => self.is_plain_number(value, end),
        };
        if !sound || self.out.len() + path_bytes + (colon - key) + (end - value) > self.out_bytes_max {
            return None;
        }
        self.guide.step_plain_leaf(colon - key - 2, self.out);
        piece::append::<32>(self.out, self.body, key + 1, colon + 1);
        piece::append::<32>(self.out, self.body, value, end);
        self.count(first);
        self.at += 4;
        Some(separator)
    }

    /// Whether `body[start..end]` is a number that is shipped as it is.
    #[allow(clippy::inline_always, reason = "a fifth of the instructions of a member")]
    #[inline(always)]
    pub(super) fn is_plain_number(&self, start: usize, end: usize) -> bool {
        scalar::is_short_integer(self.body, start, end) || scalar::is_plain_number(self.body, start, end)
    }

    /// End of what stands before `next`, less its trailing blanks.
    #[inline]
    pub(super) fn trimmed(&self, next: usize) -> usize {
        let mut end = next;
        while is_blank(self.body[end - 1]) {
            end -= 1;
        }
        end
    }

    /// A member whose value is an object or an array; leaves the cursor at the `,` or `}` behind it.
    fn container_member(&mut self, traits: Traits) -> Outcome<()> {
        if self.peek()? == b'{' {
            self.at += 1;
            self.report.objects += 1;
            self.guide.object()?;
            self.object()?;
        } else {
            self.array_member(traits.role, traits.conversion)?;
        }
        self.end_of_member()
    }

    /// Nothing may stand between a value and the `,` or `}` behind it.
    #[inline]
    pub(super) fn end_of_member(&self) -> Outcome<()> {
        if matches!(self.peek()?, b',' | b'}') { Ok(()) } else { Err(Stop::Tangled) }
    }

    /// A member whose value is a scalar, or missing; leaves the cursor at the `,` or `}` behind it.
    #[inline]
    fn scalar_member(&mut self, traits: Traits, first: u8) -> Outcome<()> {
        let mark = self.out.len();
        let named = self.guide.leaf(self.out)?;
        let start = self.out.len();
        let written = self.scalar(first);
        self.end_of_member()?;
        if written == Written::Yes {
            self.note_total(traits.role, start);
            if named {
                self.guide.value()?;
                self.count(first);
                if !matches!(first, b'"' | b't' | b'f') {
                    self.finish_number(traits, start);
                }
            }
        }
        if G::LEARNS || !named || written == Written::No {
            // What is written while a layout is learned has no name yet.
            self.out.truncate(mark);
        }
        self.check_length()
    }

    /// Gives the number that has been written from `start` on its unit and a form that servers take, and its rate.
    #[inline]
    fn finish_number(&mut self, traits: Traits, start: usize) {
        let counter = if traits.rated { Number::of(&self.out[start..]) } else { None };
        if traits.conversion != Conversion::None {
            self.report.sizes += u64::from(traits.conversion.size(self.out, start));
        }
        fit::number(self.out, start);
        if let Some(number) = counter {
            self.report.numbers += u64::from(self.guide.rate(number, self.out));
        }
    }

    /// The key at the cursor, which is a string, and its colon; none if the key is broken.
    pub(super) fn key(&mut self) -> Outcome<Option<&'a [u8]>> {
        let (start, end) = self.string_text();
        self.at += 1;
        let key = &self.body[start..end];
        if self.next()? != b':' {
            return Err(Stop::Tangled);
        }
        let is_broken = G::LEARNS && scalar::escapes(key) == Escapes::Bad;
        Ok(if is_broken { None } else { Some(key) })
    }

    pub(super) fn dots_underscore(&self) -> bool {
        self.options.dots_underscore
    }

    pub(super) fn count(&mut self, first: u8) {
        match first {
            b'"' => self.report.strings += 1,
            b't' | b'f' => self.report.booleans += 1,
            _ => self.report.numbers += 1,
        }
    }

    /// Looks at token `first` again.
    pub(super) fn rewind(&mut self, first: usize) {
        self.at = first;
        // Nothing is sought twice, however many arrays are looked at again.
        if self.offset(first) < self.backslash_sought_from {
            self.seek_backslash(self.offset(first));
        }
    }

    /// Writes the scalar at the cursor and steps over it. One that is missing or broken is counted and not written.
    #[inline]
    pub(super) fn scalar(&mut self, first: u8) -> Written {
        let start = self.offset(self.at);
        match first {
            b'"' => return self.string(),
            b',' | b'}' | b']' => {
                self.broken();
                return Written::No;
            }
            _ => {}
        }
        let Some(end) = self.bare_end(first) else {
            self.broken();
            self.at += 1;
            return Written::No;
        };
        let out_of_range = self.is_out_of_range(first, end);
        self.at += 1;
        if first == b'n' {
            self.report.nulls += 1;
            return Written::No;
        }
        if out_of_range {
            self.report.out_of_range += 1;
            self.note_lost(self.at - 1, b"");
            return Written::No;
        }
        self.out.extend_from_slice(&self.body[start..end]);
        Written::Yes
    }

    #[inline]
    fn string(&mut self) -> Written {
        let text = self.string_text();
        match self.escapes_of(text) {
            Escapes::Fine => self.out.extend_from_slice(&self.body[text.0 - 1..=text.1]),
            Escapes::LoneSurrogate => {
                self.out.push(b'"');
                self.report.mended += scalar::write_mended(self.out, &self.body[text.0..text.1]);
                self.out.push(b'"');
            }
            Escapes::Bad => {
                self.broken();
                self.at += 1;
                return Written::No;
            }
        }
        self.at += 1;
        Written::Yes
    }

    /// Offset behind the number or literal at the cursor, if it is one and nothing but blanks follows it.
    #[inline]
    pub(super) fn bare_end(&self, first: u8) -> Option<usize> {
        let start = self.offset(self.at);
        let literal = |text: &[u8]| self.body[start..].starts_with(text).then_some(start + text.len());
        let end = match first {
            b'-' | b'0'..=b'9' => scalar::number_end(self.body, start),
            b't' => literal(b"true"),
            b'f' => literal(b"false"),
            b'n' => literal(b"null"),
            _ => None,
        }?;
        let next = self.next_offset();
        (end == next || self.body[end..next].iter().all(|&byte| is_blank(byte))).then_some(end)
    }

    /// Whether the scalar at the cursor, up to `end`, is a number that no server can store.
    pub(super) fn is_out_of_range(&self, first: u8, end: usize) -> bool {
        matches!(first, b'-' | b'0'..=b'9') && scalar::is_out_of_range(&self.body[self.offset(self.at)..end])
    }

    /// Start and end of the string at the cursor, without its quotes. Stage 1 has made sure that it is closed.
    #[inline]
    pub(super) fn string_text(&self) -> (usize, usize) {
        let start = self.offset(self.at) + 1;
        (start, self.trimmed(self.next_offset()) - 1)
    }

    #[inline]
    pub(super) fn escapes_of(&mut self, (start, end): (usize, usize)) -> Escapes {
        if self.next_backslash < start {
            self.seek_backslash(start);
        }
        if self.next_backslash >= end {
            return Escapes::Fine;
        }
        scalar::escapes(&self.body[start..end])
    }

    fn seek_backslash(&mut self, start: usize) {
        self.backslash_sought_from = start;
        self.next_backslash = memchr::memchr(b'\\', &self.body[start..]).map_or(self.body.len(), |found| start + found);
    }

    pub(super) fn enter(&mut self) -> Outcome<()> {
        self.depth += 1;
        if self.depth <= limits::DEPTH_MAX {
            return Ok(());
        }
        // Of many lines only one may be too deep, and no JSON.
        Err(if self.by_lines { Stop::Tangled } else { self.error_before(Cause::TooDeep) })
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    #[inline]
    pub(super) fn check_length(&self) -> Outcome<()> {
        if self.out.len() > self.out_bytes_max { Err(self.error_before(Cause::DocumentTooLong)) } else { Ok(()) }
    }

    /// Whether anything of this payload is in the document.
    pub(super) fn has_written(&self) -> bool {
        self.out.len() + limits::DOCUMENT_BYTES_MAX > self.out_bytes_max
    }

    /// Goes to the next `,`, `}` or `]` of the container that the cursor is in.
    pub(super) fn skip_to_separator(&mut self) -> Outcome<()> {
        let mut nested = 0_usize;
        loop {
            match self.peek()? {
                b'{' | b'[' => nested += 1,
                b'}' | b']' | b',' if nested == 0 => return Ok(()),
                b'}' | b']' => nested -= 1,
                _ => {}
            }
            self.at += 1;
        }
    }

    /// The first byte of the token at the cursor.
    #[inline]
    pub(super) fn peek(&self) -> Outcome<u8> {
        match self.offsets.get(self.at) {
            Some(&offset) => Ok(self.body[offset as usize]),
            None => Err(Stop::Tangled),
        }
    }

    #[inline]
    pub(super) fn next(&mut self) -> Outcome<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    pub(super) fn offset(&self, token: usize) -> usize {
        self.offsets.get(token).map_or(self.body.len(), |&offset| offset as usize)
    }

    #[inline]
    fn next_offset(&self) -> usize {
        self.offset(self.at + 1)
    }

    pub(super) fn error_at_cursor(&self, cause: Cause) -> Stop {
        Stop::Refused(FlattenError { cause, offset: self.offset(self.at) })
    }

    pub(super) fn error_before(&self, cause: Cause) -> Stop {
        Stop::Refused(FlattenError { cause, offset: self.offset(self.at.saturating_sub(1)) })
    }
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
