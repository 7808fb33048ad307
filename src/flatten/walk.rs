//! The walk over the structural index: checks the grammar that stage 1 leaves open, and writes the flat members.
//!
//! It never looks at a byte twice without need: a scalar is checked and copied as it stands, an array of scalars is
//! checked element by element and copied as one span, a member that is out is skipped by counting brackets. What is
//! broken is one token that is left out: the member's mark in `out` is restored and the walk goes on behind it.

use super::scalar::{self, Escapes};
use super::{Cause, FlattenError, Report, rules};
use crate::limits;
use bumpalo::Bump;

/// The state of one walk.
pub(super) struct Walk<'a> {
    body: &'a [u8],
    offsets: &'a [u32],
    /// The token that is looked at: an index into `offsets`.
    at: usize,
    /// Offset of the first backslash not before the token last looked at: strings before it hold no escape.
    next_backslash: usize,
    pub(super) path: &'a mut Vec<u8>,
    pub(super) out: &'a mut Vec<u8>,
    out_bytes_max: usize,
    pub(super) arena: &'a Bump,
    pub(super) report: Report,
    depth: usize,
}

/// What an array turned out to be.
enum ArrayKind {
    /// Valid, and nothing in it is an object: it can be copied as it stands.
    Plain,
    /// Something in it is broken or must be mended.
    Blemished,
    /// There are objects in it.
    Objects,
}

/// A value within its container, for those who write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Yes,
    No,
}

type Outcome<T> = Result<T, FlattenError>;

impl<'a> Walk<'a> {
    pub(super) fn new(
        body: &'a [u8],
        offsets: &'a [u32],
        path: &'a mut Vec<u8>,
        out: &'a mut Vec<u8>,
        arena: &'a Bump,
    ) -> Self {
        let next_backslash = memchr::memchr(b'\\', body).unwrap_or(body.len());
        let out_bytes_max = out.len() + limits::DOCUMENT_BYTES_MAX;
        Self {
            body,
            offsets,
            at: 0,
            next_backslash,
            path,
            out,
            out_bytes_max,
            arena,
            report: Report::default(),
            depth: 0,
        }
    }

    /// Walks the whole body.
    pub(super) fn run(mut self) -> Outcome<Report> {
        self.at = 1; // Behind the brace that the index begins with.
        self.object()?;
        if self.at < self.offsets.len() {
            return Err(self.error_at_cursor(Cause::TrailingData));
        }
        Ok(self.report)
    }

    /// The members of an object whose brace is behind us, up to and with its closing brace.
    fn object(&mut self) -> Outcome<()> {
        self.enter()?;
        if self.peek()? == b'}' {
            self.at += 1;
            self.depth -= 1;
            return Ok(());
        }
        loop {
            self.member()?;
            match self.next()? {
                b'}' => break,
                b',' => {}
                other => return Err(self.unexpected(other)),
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// One member; leaves the cursor at the `,` or `}` behind it.
    fn member(&mut self) -> Outcome<()> {
        if self.peek()? != b'"' {
            return self.skip_broken();
        }
        let Some((key, escapes)) = self.key()? else { return self.skip_broken() };
        if self.depth <= 2 && rules::excluded(self.path, key) {
            return self.skip_to_separator();
        }
        let (path_bytes, out_bytes, report) = (self.path.len(), self.out.len(), self.report);
        if self.depth > 1 {
            self.path.push(b'.');
        }
        self.push_name(key, escapes);
        self.value()?;
        self.path.truncate(path_bytes);
        if matches!(self.peek()?, b',' | b'}') {
            return Ok(());
        }
        // Something follows the value: it was not the value that it seemed to be.
        self.out.truncate(out_bytes);
        self.report = report;
        self.skip_broken()
    }

    /// The name at the cursor, which is a string, and its colon; none if either is broken.
    pub(super) fn key(&mut self) -> Outcome<Option<(&'a [u8], Escapes)>> {
        let text = self.string_text();
        let escapes = self.escapes_of(text);
        self.at += 1;
        if escapes == Escapes::Bad || self.peek()? != b':' {
            return Ok(None);
        }
        self.at += 1;
        Ok(Some((&self.body[text.0..text.1], escapes)))
    }

    pub(super) fn push_name(&mut self, key: &[u8], escapes: Escapes) {
        if escapes == Escapes::Fine {
            self.path.extend_from_slice(key);
        } else {
            self.report.mended += scalar::write_mended(self.path, key);
        }
    }

    /// A member's value; leaves the cursor behind it, or at it if it is missing or broken.
    fn value(&mut self) -> Outcome<()> {
        match self.peek()? {
            b'{' => {
                self.at += 1;
                self.report.objects += 1;
                self.object()
            }
            b'[' => self.array_member(),
            b',' | b'}' | b']' => {
                self.broken();
                Ok(())
            }
            first => {
                let mark = self.out.len();
                self.write_name();
                if self.scalar(first) == Written::No {
                    self.out.truncate(mark);
                } else {
                    self.count(first);
                }
                self.check_length()
            }
        }
    }

    fn count(&mut self, first: u8) {
        match first {
            b'"' => self.report.strings += 1,
            b't' | b'f' => self.report.booleans += 1,
            _ => self.report.numbers += 1,
        }
    }

    fn array_member(&mut self) -> Outcome<()> {
        let mark = self.out.len();
        self.write_name();
        if !self.array_text()? {
            self.out.truncate(mark);
            return self.columns_member();
        }
        self.report.lists += 1;
        if rules::is_gc_ring(self.path) {
            self.report.gc_lists += 1;
        }
        self.check_length()
    }

    /// Writes the array that begins at token `first` and has just been scanned.
    fn copy_array(&mut self, kind: &ArrayKind, first: usize) -> Outcome<()> {
        let span = &self.body[self.offset(first)..=self.offset(self.at - 1)];
        if matches!(kind, ArrayKind::Plain) && memchr::memchr2(b'\n', b'\r', span).is_none() {
            self.out.extend_from_slice(span);
            return Ok(());
        }
        self.rewind(first);
        self.copy_elements()
    }

    /// Looks at token `first` again.
    fn rewind(&mut self, first: usize) {
        self.at = first;
        self.next_backslash = self.backslash_from(self.offset(first));
    }

    /// Writes the array at the cursor, without a name; false, and the cursor where it was, if there are objects in it.
    pub(super) fn array_text(&mut self) -> Outcome<bool> {
        let first = self.at;
        match self.scan_array()? {
            ArrayKind::Objects => {
                self.rewind(first);
                Ok(false)
            }
            kind => self.copy_array(&kind, first).map(|()| true),
        }
    }

    /// Checks an array of scalars and arrays; leaves the cursor behind it (or anywhere, if there are objects in it).
    fn scan_array(&mut self) -> Outcome<ArrayKind> {
        self.at += 1;
        self.enter()?;
        let mut sound = true;
        if self.peek()? == b']' {
            self.at += 1;
            self.depth -= 1;
            return Ok(ArrayKind::Plain);
        }
        loop {
            match self.peek()? {
                b'{' => {
                    self.depth -= 1;
                    return Ok(ArrayKind::Objects);
                }
                b'[' => match self.scan_array()? {
                    ArrayKind::Plain => {}
                    ArrayKind::Blemished => sound = false,
                    ArrayKind::Objects => {
                        self.depth -= 1;
                        return Ok(ArrayKind::Objects);
                    }
                },
                first => sound &= self.scan_scalar(first),
            }
            if !matches!(self.peek()?, b',' | b']') {
                sound = false;
                self.skip_to_separator()?;
            }
            match self.next()? {
                b',' => {}
                b']' => break,
                other => return Err(self.unexpected(other)),
            }
        }
        self.depth -= 1;
        Ok(if sound { ArrayKind::Plain } else { ArrayKind::Blemished })
    }

    /// Whether the scalar at the cursor can be copied as it stands; steps over it unless it is missing.
    fn scan_scalar(&mut self, first: u8) -> bool {
        if matches!(first, b',' | b']' | b'}' | b':') {
            return false;
        }
        let sound = match first {
            b'"' => self.escapes_of(self.string_text()) == Escapes::Fine,
            _ => self.bare_end(first).is_some(),
        };
        self.at += 1;
        sound
    }

    /// Writes an array element by element, leaving out what is broken.
    fn copy_elements(&mut self) -> Outcome<()> {
        self.at += 1;
        self.out.push(b'[');
        let mut empty = true;
        loop {
            let mark = self.out.len();
            if !empty {
                self.out.push(b',');
            }
            let written = match self.peek()? {
                b']' if empty => {
                    self.at += 1;
                    break;
                }
                b'[' => self.copy_elements().map(|()| Written::Yes)?,
                b'n' => self.null_element(),
                first => self.scalar(first),
            };
            let separated = matches!(self.peek()?, b',' | b']');
            if written == Written::Yes && separated {
                empty = false;
            } else {
                self.out.truncate(mark);
            }
            if !separated {
                self.skip_broken()?;
            }
            match self.next()? {
                b',' => {}
                b']' => break,
                other => return Err(self.unexpected(other)),
            }
        }
        self.out.push(b']');
        self.check_length()
    }

    /// A `null` within an array keeps its place; outside of one it is left out.
    fn null_element(&mut self) -> Written {
        if self.bare_end(b'n').is_none() {
            self.broken();
            return Written::No;
        }
        self.at += 1;
        self.out.extend_from_slice(b"null");
        Written::Yes
    }

    /// Writes the scalar at the cursor and steps over it. One that is missing or broken is counted and not written.
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
        self.at += 1;
        if first == b'n' {
            self.report.nulls += 1;
            return Written::No;
        }
        self.out.extend_from_slice(&self.body[start..end]);
        Written::Yes
    }

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
    fn bare_end(&self, first: u8) -> Option<usize> {
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

    /// Start and end of the string at the cursor, without its quotes. Stage 1 has made sure that it is closed.
    fn string_text(&self) -> (usize, usize) {
        let start = self.offset(self.at) + 1;
        let mut end = self.next_offset();
        while is_blank(self.body[end - 1]) {
            end -= 1;
        }
        (start, end - 1)
    }

    fn escapes_of(&mut self, (start, end): (usize, usize)) -> Escapes {
        if self.next_backslash < start {
            self.next_backslash = self.backslash_from(start);
        }
        if self.next_backslash >= end {
            return Escapes::Fine;
        }
        scalar::escapes(&self.body[start..end])
    }

    fn backslash_from(&self, start: usize) -> usize {
        memchr::memchr(b'\\', &self.body[start..]).map_or(self.body.len(), |found| start + found)
    }

    fn write_name(&mut self) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(self.path);
        self.out.extend_from_slice(b"\":");
    }

    pub(super) fn enter(&mut self) -> Outcome<()> {
        self.depth += 1;
        if self.depth > limits::DEPTH_MAX { Err(self.error_before(Cause::TooDeep)) } else { Ok(()) }
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    pub(super) fn check_length(&self) -> Outcome<()> {
        if self.out.len() > self.out_bytes_max { Err(self.error_before(Cause::DocumentTooLong)) } else { Ok(()) }
    }

    pub(super) fn broken(&mut self) {
        self.report.broken += 1;
        let offset = self.offset(self.at);
        self.report.first_broken.get_or_insert(offset);
    }

    /// Counts something broken at the cursor and goes to the separator behind it.
    pub(super) fn skip_broken(&mut self) -> Outcome<()> {
        self.broken();
        self.skip_to_separator()
    }

    /// Goes to the next `,`, `}` or `]` of the container that the cursor is in.
    fn skip_to_separator(&mut self) -> Outcome<()> {
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
    pub(super) fn peek(&self) -> Outcome<u8> {
        match self.offsets.get(self.at) {
            Some(&offset) => Ok(self.body[offset as usize]),
            None => Err(FlattenError { cause: Cause::CutOff, offset: self.body.len() }),
        }
    }

    pub(super) fn next(&mut self) -> Outcome<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    /// Steps over the token at the cursor.
    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    fn offset(&self, token: usize) -> usize {
        self.offsets.get(token).map_or(self.body.len(), |&offset| offset as usize)
    }

    fn next_offset(&self) -> usize {
        self.offset(self.at + 1)
    }

    pub(super) fn unexpected(&self, byte: u8) -> FlattenError {
        self.error_before(Cause::Unexpected(byte))
    }

    pub(super) fn error_at_cursor(&self, cause: Cause) -> FlattenError {
        FlattenError { cause, offset: self.offset(self.at) }
    }

    fn error_before(&self, cause: Cause) -> FlattenError {
        FlattenError { cause, offset: self.offset(self.at.saturating_sub(1)) }
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
