//! The walk over the structural index: checks the grammar that stage 1 leaves open, and writes the flat members.
//!
//! It never looks at a byte twice without need: a scalar is checked and copied as it stands, an array of scalars is
//! checked element by element and copied as one span, a member that is out is skipped by counting brackets. What is
//! broken is one token that is left out: the member's mark in `out` is restored and the walk goes on behind it.

use super::convert::Conversion;
use super::fit::{self, Met};
use super::gc::{self, Totals};
use super::guide::{Guide, Member, Stop};
use super::layout::Role;
use super::names;
use super::piece;
use super::scalar::{self, Escapes};
use super::{Cause, FlattenError, GcPauses, Report};
use crate::json;
use crate::limits;
use bumpalo::Bump;

/// The state of one walk.
pub(super) struct Walk<'a, G> {
    pub(super) guide: G,
    body: &'a [u8],
    offsets: &'a [u32],
    /// The token that is looked at: an index into `offsets`.
    at: usize,
    /// Offset of the first backslash not before the token last looked at: strings before it hold no escape.
    next_backslash: usize,
    /// Name of the member of an array's element that the walk is in, relative to the array.
    pub(super) path: &'a mut Vec<u8>,
    /// Keys in it.
    pub(super) path_keys: usize,
    pub(super) out: &'a mut Vec<u8>,
    out_bytes_max: usize,
    pub(super) arena: &'a Bump,
    pub(super) report: Report,
    depth: usize,
    options: Options,
    pauses: Pauses,
    /// What the array that is scanned, or was last, holds.
    pub(super) met: Met,
}

/// What the walk is to do with values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) gc_pauses: GcPauses,
    pub(super) dots_underscore: bool,
    /// The totals of the last document of the same reader.
    pub(super) totals_before: Option<Totals>,
}

/// What has been met of the count of garbage collections.
#[derive(Debug, Default)]
struct Pauses {
    pause_ns: Option<Ring>,
    pause_end: Option<Ring>,
    collections: Option<u64>,
    pause_total_ns: Option<u64>,
}

/// An array of [`gc::RING`] scalars, which is written when the totals are known.
#[derive(Debug, Clone, Copy)]
struct Ring {
    /// The token of its bracket.
    token: usize,
    /// Where in `out` its text is missing; none if it is not shipped.
    hole: Option<usize>,
    conversion: Conversion,
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

type Outcome<T> = Result<T, Stop>;

impl<'a, G: Guide> Walk<'a, G> {
    pub(super) fn new(
        guide: G,
        options: Options,
        body: &'a [u8],
        offsets: &'a [u32],
        path: &'a mut Vec<u8>,
        out: &'a mut Vec<u8>,
        arena: &'a Bump,
    ) -> Self {
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
            path,
            path_keys: 0,
            out,
            out_bytes_max,
            arena,
            report: Report::default(),
            depth: 0,
            met: Met::default(),
        }
    }

    /// Walks the whole body; gives the totals that the next document is compared with, if there are any.
    pub(super) fn run(mut self) -> Outcome<(Report, Option<Totals>)> {
        self.at = 1; // Behind the brace that the index begins with.
        self.object()?;
        if self.at < self.offsets.len() {
            return Err(self.error_at_cursor(Cause::TrailingData));
        }
        let totals = if G::LEARNS { None } else { self.fill_rings()? };
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
                other => return Err(self.unexpected(other)),
            }
        }
        self.depth -= 1;
        self.guide.end()
    }

    /// One member; leaves the cursor at the `,` or `}` behind it.
    fn member(&mut self) -> Outcome<()> {
        if self.peek()? != b'"' {
            return self.skip_broken();
        }
        let token = self.at;
        let Some(key) = self.key()? else { return self.skip_broken_member(token) };
        let (role, conversion) = match self.guide.member(key) {
            Ok(Member::Out) => return self.skip_to_separator(),
            Ok(Member::In(role, conversion)) => (role, conversion),
            // A key that is broken has never been learned.
            Err(Stop::OtherLayout) if scalar::escapes(key) == Escapes::Bad => return self.skip_broken_member(token),
            Err(stop) => return Err(stop),
        };
        match self.peek()? {
            b'{' | b'[' => self.container_member(role, conversion),
            first => self.scalar_member(role, conversion, first),
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

    /// The common element of an array in one go: a sound number and a separator, which is given and stepped over.
    #[inline]
    fn plain_element(&mut self) -> Option<u8> {
        let [value, next] = self.offsets.get(self.at..)?.first_chunk::<2>()?.map(|offset| offset as usize);
        let separator = self.body[next];
        let end = self.trimmed(next);
        if !matches!(separator, b',' | b']') || !self.is_plain_number(value, end) {
            return None;
        }
        self.met.number();
        self.at += 2;
        Some(separator)
    }

    /// Whether `body[start..end]` is a number that is shipped as it is.
    #[allow(clippy::inline_always, reason = "a fifth of the instructions of a member")]
    #[inline(always)]
    fn is_plain_number(&self, start: usize, end: usize) -> bool {
        scalar::is_short_integer(self.body, start, end) || scalar::is_plain_number(self.body, start, end)
    }

    /// End of what stands before `next`, less its trailing blanks.
    #[inline]
    fn trimmed(&self, next: usize) -> usize {
        let mut end = next;
        while is_blank(self.body[end - 1]) {
            end -= 1;
        }
        end
    }

    /// A member whose value is an object or an array; leaves the cursor at the `,` or `}` behind it.
    fn container_member(&mut self, role: Role, conversion: Conversion) -> Outcome<()> {
        let (out_bytes, report) = (self.out.len(), self.report);
        if self.peek()? == b'{' {
            self.at += 1;
            self.report.objects += 1;
            self.guide.object()?;
            self.object()?;
        } else {
            self.array_member(role, conversion)?;
        }
        if matches!(self.peek()?, b',' | b'}') {
            return Ok(());
        }
        // Something follows the value: it was not the value that it seemed to be.
        self.out.truncate(out_bytes);
        self.report = report;
        self.pauses.forget(out_bytes);
        self.skip_broken()
    }

    /// A member whose value is a scalar, or missing; leaves the cursor at the `,` or `}` behind it.
    #[inline]
    fn scalar_member(&mut self, role: Role, conversion: Conversion, first: u8) -> Outcome<()> {
        let mark = self.out.len();
        let named = self.guide.leaf(self.out)?;
        let (start, broken) = (self.out.len(), self.report.broken);
        let written = self.scalar(first);
        let separated = matches!(self.peek()?, b',' | b'}');
        if written == Written::Yes && separated {
            self.note_total(role, start);
            if named {
                self.count(first);
                if !matches!(first, b'"' | b't' | b'f') {
                    if conversion != Conversion::None {
                        self.report.sizes += u64::from(conversion.size(self.out, start));
                    }
                    fit::number(self.out, start);
                }
            }
        }
        if G::LEARNS || !named || written == Written::No || !separated {
            // What is written while a layout is learned has no name yet.
            self.out.truncate(mark);
        }
        if separated {
            return self.check_length();
        }
        if self.report.broken == broken {
            self.broken();
        }
        self.skip_to_separator()
    }

    /// The key at the cursor, which is a string, and its colon; none if either is broken.
    pub(super) fn key(&mut self) -> Outcome<Option<&'a [u8]>> {
        let (start, end) = self.string_text();
        self.at += 1;
        let key = &self.body[start..end];
        if self.peek()? != b':' || (G::LEARNS && scalar::escapes(key) == Escapes::Bad) {
            return Ok(None);
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// What is written while a layout is learned has no name yet.
    fn drop_if_learning(&mut self, mark: usize) {
        if G::LEARNS {
            self.out.truncate(mark);
        }
    }

    /// Takes note of the total that has been written from `start`.
    fn note_total(&mut self, role: Role, start: usize) {
        match role {
            Role::NumGc => self.pauses.collections = integer(&self.out[start..]),
            Role::PauseTotalNs => self.pauses.pause_total_ns = integer(&self.out[start..]),
            _ => {}
        }
    }

    pub(super) fn dots_underscore(&self) -> bool {
        self.options.dots_underscore
    }

    fn count(&mut self, first: u8) {
        match first {
            b'"' => self.report.strings += 1,
            b't' | b'f' => self.report.booleans += 1,
            _ => self.report.numbers += 1,
        }
    }

    fn array_member(&mut self, role: Role, conversion: Conversion) -> Outcome<()> {
        if !G::LEARNS && self.options.gc_pauses == GcPauses::New && self.is_ring(role) {
            return self.ring(role, conversion);
        }
        let (mark, first) = (self.out.len(), self.at);
        self.met = Met::default();
        let kind = self.scan_array()?;
        if matches!(kind, ArrayKind::Objects) {
            self.rewind(first);
            if self.guide.columns()? {
                return self.columns_member();
            }
            return self.skip_to_separator();
        }
        let named = self.guide.leaf(self.out)?;
        let start = self.out.len();
        self.copy_array(&kind, first)?;
        conversion.list(self.out, start);
        self.fit_array(start)?;
        if named {
            self.report.lists += 1;
            self.report.gc_lists += u64::from(role.is_ring());
        } else {
            self.out.truncate(mark);
        }
        self.drop_if_learning(mark);
        self.check_length()
    }

    /// Gives the array that has been written from `start` on a form that servers take.
    pub(super) fn fit_array(&mut self, start: usize) -> Outcome<()> {
        if !self.met.is_odd() || fit::array(self.out, start, self.arena) {
            return Ok(());
        }
        Err(self.error_before(Cause::DocumentTooLong))
    }

    /// Whether the array at the cursor is a ring buffer of the runtime: as many scalars, and nothing else.
    fn is_ring(&self, role: Role) -> bool {
        let free = match role {
            Role::PauseNs => self.pauses.pause_ns.is_none(),
            Role::PauseEnd => self.pauses.pause_end.is_none(),
            _ => false,
        };
        let Some(tokens) = self.offsets.get(self.at + 1..=self.at + 2 * gc::RING) else { return false };
        let byte = |token: u32| self.body[token as usize];
        free && byte(tokens[2 * gc::RING - 1]) == b']'
            && tokens.chunks_exact(2).enumerate().all(|(at, pair)| {
                !matches!(byte(pair[0]), b'{' | b'[' | b']' | b'}' | b',' | b':')
                    && (at == gc::RING - 1 || byte(pair[1]) == b',')
            })
    }

    /// Steps over a ring buffer: what is new in it is known only with the totals, which come later.
    fn ring(&mut self, role: Role, conversion: Conversion) -> Outcome<()> {
        let token = self.at;
        let hole = self.guide.leaf(self.out)?.then_some(self.out.len());
        let ring = Some(Ring { token, hole, conversion });
        if role == Role::PauseNs {
            self.pauses.pause_ns = ring;
        } else {
            self.pauses.pause_end = ring;
        }
        self.at += 2 * gc::RING + 1;
        if hole.is_some() {
            self.report.lists += 1;
            self.report.gc_lists += 1;
        }
        Ok(())
    }

    /// Writes the new entries of the ring buffers to where they belong.
    fn fill_rings(&mut self) -> Outcome<Option<Totals>> {
        let Pauses { pause_ns, pause_end, collections, pause_total_ns } = self.pauses;
        let totals = collections.zip(pause_total_ns).map(|(collections, pause_ns)| Totals { collections, pause_ns });
        let known = totals.zip(pause_ns);
        let fresh = known.map(|(totals, ring)| {
            gc::fresh(self.options.totals_before, totals, |entry| self.entry(&ring, entry).unwrap_or_default())
        });
        // The hole behind the other first: filling one moves what is behind it.
        let mut rings = [pause_ns, pause_end];
        rings.sort_by_key(|ring| std::cmp::Reverse(ring.and_then(|ring| ring.hole)));
        for ring in rings.into_iter().flatten() {
            let Some(hole) = ring.hole else { continue };
            let end = self.out.len();
            self.met = Met::default();
            match &fresh {
                Some(fresh) => self.write_entries(&ring, fresh),
                None => self.write_ring(&ring)?,
            }
            ring.conversion.list(self.out, end);
            self.fit_array(end)?;
            let written = self.out.len() - end;
            self.out[hole..].rotate_right(written);
        }
        if let Some(fresh) = fresh {
            self.report.gc_missed = fresh.missed;
            self.report.gc_doubtful = u64::from(fresh.doubtful);
            self.report.restarted = fresh.restarted;
            if fresh.restarted {
                self.out.extend_from_slice(b",\"");
                self.out.extend_from_slice(names::RESTARTED.as_bytes());
                self.out.extend_from_slice(b"\":true");
            }
        }
        self.check_length()?;
        Ok(totals)
    }

    /// A ring buffer as it stands.
    fn write_ring(&mut self, ring: &Ring) -> Outcome<()> {
        self.rewind(ring.token);
        let kind = self.scan_array()?;
        self.copy_array(&kind, ring.token)
    }

    fn write_entries(&mut self, ring: &Ring, fresh: &gc::Fresh) {
        self.out.push(b'[');
        let empty = self.out.len();
        for collection in fresh.collections.clone() {
            let Some(value) = self.entry(ring, gc::entry(collection)) else { continue };
            if self.out.len() > empty {
                self.out.push(b',');
            }
            let start = self.out.len();
            json::write_u64(self.out, value);
            self.met.scalar(&self.out[start..]);
        }
        self.out.push(b']');
    }

    /// An entry of a ring, if it is an integer.
    fn entry(&self, ring: &Ring, entry: usize) -> Option<u64> {
        let token = ring.token + 1 + 2 * entry;
        let text = &self.body[self.offset(token)..self.offset(token + 1)];
        integer(text.trim_ascii_end())
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
            match self.plain_element() {
                Some(b',') => continue,
                Some(_) => break,
                None => {}
            }
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
        let start = self.offset(self.at);
        let (end, sound) = match first {
            b'"' => (start + 1, self.escapes_of(self.string_text()) == Escapes::Fine),
            _ => match self.bare_end(first) {
                Some(end) => (end, !self.is_out_of_range(first, end)),
                None => (start, false),
            },
        };
        self.met.scalar(&self.body[start..end]);
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

    /// Whether the scalar at the cursor, up to `end`, is a number that no server can store.
    fn is_out_of_range(&self, first: u8, end: usize) -> bool {
        matches!(first, b'-' | b'0'..=b'9') && scalar::is_out_of_range(&self.body[self.offset(self.at)..end])
    }

    /// Start and end of the string at the cursor, without its quotes. Stage 1 has made sure that it is closed.
    #[inline]
    fn string_text(&self) -> (usize, usize) {
        let start = self.offset(self.at) + 1;
        (start, self.trimmed(self.next_offset()) - 1)
    }

    #[inline]
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

    pub(super) fn enter(&mut self) -> Outcome<()> {
        self.depth += 1;
        if self.depth > limits::DEPTH_MAX { Err(self.error_before(Cause::TooDeep)) } else { Ok(()) }
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    #[inline]
    pub(super) fn check_length(&self) -> Outcome<()> {
        if self.out.len() > self.out_bytes_max { Err(self.error_before(Cause::DocumentTooLong)) } else { Ok(()) }
    }

    pub(super) fn broken(&mut self) {
        self.broken_at(self.at);
    }

    fn broken_at(&mut self, token: usize) {
        self.report.broken += 1;
        let offset = self.offset(token);
        self.report.first_broken.get_or_insert(offset);
    }

    /// Counts something broken at the cursor and goes to the separator behind it.
    pub(super) fn skip_broken(&mut self) -> Outcome<()> {
        self.broken();
        self.skip_to_separator()
    }

    /// Counts a member whose key, at `token`, is broken and goes to the separator behind it.
    pub(super) fn skip_broken_member(&mut self, token: usize) -> Outcome<()> {
        self.broken_at(token);
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
    #[inline]
    pub(super) fn peek(&self) -> Outcome<u8> {
        match self.offsets.get(self.at) {
            Some(&offset) => Ok(self.body[offset as usize]),
            None => Err(Stop::Refused(FlattenError { cause: Cause::CutOff, offset: self.body.len() })),
        }
    }

    #[inline]
    pub(super) fn next(&mut self) -> Outcome<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    /// The token that is looked at.
    pub(super) fn cursor(&self) -> usize {
        self.at
    }

    /// Steps over the token at the cursor.
    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    #[inline]
    fn offset(&self, token: usize) -> usize {
        self.offsets.get(token).map_or(self.body.len(), |&offset| offset as usize)
    }

    #[inline]
    fn next_offset(&self) -> usize {
        self.offset(self.at + 1)
    }

    pub(super) fn unexpected(&self, byte: u8) -> Stop {
        self.error_before(Cause::Unexpected(byte))
    }

    pub(super) fn error_at_cursor(&self, cause: Cause) -> Stop {
        Stop::Refused(FlattenError { cause, offset: self.offset(self.at) })
    }

    fn error_before(&self, cause: Cause) -> Stop {
        Stop::Refused(FlattenError { cause, offset: self.offset(self.at.saturating_sub(1)) })
    }
}

impl Pauses {
    /// The member that was written from `mark` on is left out after all.
    fn forget(&mut self, mark: usize) {
        for ring in [&mut self.pause_ns, &mut self.pause_end] {
            if ring.is_some_and(|ring| ring.hole.is_some_and(|hole| hole > mark)) {
                *ring = None;
            }
        }
    }
}

/// The value of a non-negative integer.
fn integer(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit) && (text[0] != b'0' || text.len() == 1);
    digits.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
