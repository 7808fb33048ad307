//! The walk over the structural index. It checks the part of the grammar that simd-json's first stage leaves open, and
//! writes the flat members.
//!
//! It avoids looking at a byte twice. A scalar is checked and copied as it stands, an array of scalars is checked
//! element by element and copied as a whole, and a member that is left out is skipped by counting brackets. A single
//! token in the place of a value that is not JSON is left out. Anything else that is not JSON ends the walk
//! ([`Stop::Tangled`]); the caller then walks a repaired copy of the body ([`crate::bytes::untangle`]).

mod arrays;
mod broken;
mod columns;
mod cursor;
mod fit;
pub(crate) mod gc;
mod keyed;
pub(crate) mod report;
mod rings;
mod scalars;
mod texts;

use crate::bytes::piece;
use crate::bytes::scalar::{self, Escapes};
use crate::error::Stop;
use crate::layout::Traits;
use crate::layout::convert::Conversion;
use crate::layout::guide::{Guide, Known, Member};
use crate::layout::keyed::KeyedArray;
use crate::layout::lost::LostAt;
use crate::layout::rates::Number;
use crate::layout::rules::GcPauses;
use crate::limits;
use bumpalo::Bump;
use fit::ElementKinds;
use gc::{Pauses, Totals};
use report::Report;
use scalars::Written;

/// The state of one walk.
pub(super) struct Walk<'a, G> {
    guide: G,
    body: &'a [u8],
    offsets: &'a [u32],
    /// The current token: an index into `offsets`.
    at: usize,
    /// Offset of the first backslash at or after `backslash_sought_from`. Strings between the two contain no escape.
    next_backslash: usize,
    backslash_sought_from: usize,
    /// The name of the current column, relative to its array.
    path: &'a mut Vec<u8>,
    /// The number of keys in it.
    path_keys: usize,
    out: &'a mut Vec<u8>,
    out_bytes_max: usize,
    arena: &'a Bump,
    report: Report,
    depth: usize,
    options: Options<'a>,
    pauses: Pauses,
    /// What the current array contains, or the last one.
    element_kinds: ElementKinds,
    /// How many gaps in columns may still be filled with `null`.
    gaps_left: usize,
    /// Where something in the payload is lost.
    lost: &'a mut Vec<LostAt>,
    /// The token of the member that is the key of the object at hand, and therefore not shipped itself.
    key_token: usize,
    /// Whether the body has one variable per line. A broken value must then be on the line of one variable only, or the
    /// walk may have misunderstood which brackets and quotes belong together.
    by_lines: bool,
    /// Up to which offset that has been checked.
    alone_until: usize,
    /// Whether that check has failed.
    tangled: bool,
}

/// How values are treated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options<'r> {
    pub(super) keyed_arrays: &'r [KeyedArray],
    pub(super) gc_pauses: GcPauses,
    pub(super) dots_underscore: bool,
    /// The totals in the reader's last document that had them.
    pub(super) totals_before: Option<Totals>,
}

/// The result of a step of the walk, or why the walk ends.
pub(super) type Outcome<T> = Result<T, Stop>;

impl<'a, G: Guide> Walk<'a, G> {
    pub(super) fn new(
        guide: G,
        options: Options<'a>,
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
            element_kinds: ElementKinds::default(),
            gaps_left: limits::GAPS_MAX,
            lost,
            key_token: usize::MAX,
            by_lines: body.starts_with(b"{\n") || body.starts_with(b"{\r\n"),
            alone_until: 0,
            tangled: false,
        }
    }

    /// Walks the whole body. Also gives the totals of garbage collections, if the payload has them.
    pub(super) fn run(mut self) -> Outcome<(Report, Option<Totals>)> {
        self.at = 1; // After the opening brace, with which the index begins.
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

    /// Walks the members of an object whose opening brace has been passed, and passes its closing brace.
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

    /// Walks one member, up to the `,` or `}` after it.
    fn member(&mut self) -> Outcome<()> {
        if self.peek()? != b'"' {
            return Err(Stop::Tangled);
        }
        let token = self.at;
        let Some(key) = self.key()? else { return self.skip_broken_member(token) };
        if token == self.key_token {
            self.at += 1;
            return self.end_of_member();
        }
        let traits = match self.guide.member(key) {
            Ok(Member::Skip) => return self.skip_value(),
            Ok(Member::Walk(traits)) => traits,
            // A layout never contains broken keys, so the mismatch does not mean that the layout has changed.
            Err(Stop::OtherLayout) if scalar::escapes(key) == Escapes::Bad => return self.skip_broken_member(token),
            Err(stop) => return Err(stop),
        };
        match self.peek()? {
            b'{' | b'[' => self.container_member(traits),
            first => self.scalar_member(traits, first),
        }
    }

    /// A fast path for the most common member: its key is the next one in the layout, and its value is a valid scalar
    /// that is shipped unchanged. Steps over the separator after it and gives that. For any other member it does
    /// nothing and gives none; [`Walk::member`] then takes its time.
    #[inline]
    fn plain_member(&mut self) -> Option<u8> {
        let tokens = self.offsets.get(self.at..)?.first_chunk::<4>()?;
        let [key, colon, value, next] = tokens.map(|offset| offset as usize);
        let separator = self.body[next];
        let quoted = self.body[key] == b'"' && self.body[colon - 1] == b'"' && colon > key + 1;
        if !quoted || self.body[colon] != b':' || !matches!(separator, b',' | b'}') {
            return None;
        }
        let path_bytes = self.guide.known()?.plain_leaf(self.body, key + 1, colon - 1)?;
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
        self.guide.known()?.step_plain_leaf(colon - key - 2, self.out);
        piece::append::<32>(self.out, self.body, key + 1, colon + 1);
        piece::append::<32>(self.out, self.body, value, end);
        self.count(first);
        self.at += 4;
        Some(separator)
    }

    /// Walks a member whose value is an object or an array, up to the `,` or `}` after it.
    fn container_member(&mut self, traits: Traits) -> Outcome<()> {
        if self.peek()? == b'{' {
            self.at += 1;
            self.report.objects += 1;
            self.guide.object()?;
            self.object()?;
        } else {
            self.array_member(traits)?;
        }
        self.end_of_member()
    }

    /// Walks a member whose value is a scalar, or missing, up to the `,` or `}` after it.
    #[inline]
    fn scalar_member(&mut self, traits: Traits, mut first: u8) -> Outcome<()> {
        let (mark, token) = (self.out.len(), self.at);
        let named = self.guide.leaf(self.out)?;
        let start = self.out.len();
        let written = self.scalar(first);
        self.end_of_member()?;
        if written == Written::Yes {
            self.note_total(traits.role, start);
            if named {
                self.guide.value()?;
                if let (b'"', Some(unit)) = (first, traits.text)
                    && self.convert_text(unit, token, start)
                {
                    first = b'0';
                }
                self.count(first);
                if !matches!(first, b'"' | b't' | b'f') {
                    self.finish_number(traits, start);
                }
            }
        }
        if G::LEARNS || !named || written == Written::No {
            // While a layout is learned, there are no names yet.
            self.out.truncate(mark);
        }
        self.check_length()
    }

    /// Converts the number that begins at `start` to its unit and to a form that servers accept, and writes its rate.
    #[inline]
    fn finish_number(&mut self, traits: Traits, start: usize) {
        let counter = if traits.rated { Number::of(&self.out[start..]) } else { None };
        if traits.conversion != Conversion::None {
            self.report.sizes += u64::from(traits.conversion.size(self.out, start));
        }
        fit::number(self.out, start);
        if let Some(number) = counter {
            let has_rate = self.guide.known().is_some_and(|known| known.rate(number, self.out));
            self.report.numbers += u64::from(has_rate);
        }
    }

    /// Reads the key at the cursor, which is a string, and its colon. None if the key is broken.
    fn key(&mut self) -> Outcome<Option<&'a [u8]>> {
        let (start, end) = self.string_text();
        self.at += 1;
        let key = &self.body[start..end];
        if self.next()? != b':' {
            return Err(Stop::Tangled);
        }
        let is_broken = G::LEARNS && scalar::escapes(key) == Escapes::Bad;
        Ok(if is_broken { None } else { Some(key) })
    }

    fn dots_underscore(&self) -> bool {
        self.options.dots_underscore
    }

    /// Counts a scalar that is shipped, by its first byte.
    fn count(&mut self, first: u8) {
        match first {
            b'"' => self.report.strings += 1,
            b't' | b'f' => self.report.booleans += 1,
            _ => self.report.numbers += 1,
        }
    }

    /// Whether anything has been written to the document.
    fn has_written(&self) -> bool {
        self.out.len() + limits::DOCUMENT_BYTES_MAX > self.out_bytes_max
    }
}
