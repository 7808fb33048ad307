//! Repairs bodies that the walk cannot read: writes a copy, in which the value of each variable that is not JSON is
//! replaced by [`LOST`]. The walk then reads the copy.
//!
//! The walk itself reads JSON, in which the place of a value may be taken by a single broken token. Everything else
//! comes here: commas within a value, brackets and quotes without a partner, bytes that are not text. In a body with
//! one variable per line, as Go's handler writes it, a broken variable ends where the next one begins, whatever it
//! contains ([`lines`]). In any other body brackets and quotes have to match, as only they show where a variable ends.
//!
//! None of this runs for a body that is JSON. Each byte is read a bounded number of times.

mod density;
mod keys;
mod lines;

use super::scalar::{self, Escapes, is_blank};
use crate::error::{Cause, FlattenError};
use crate::limits::{DEPTH_MAX, GAPS_MAX};

pub(crate) use density::is_too_dense;
use lines::Lines;
pub(crate) use lines::{holds_a_variable, stands_alone};

/// The token that takes the place of a lost value. It is not JSON, so the walk counts it as broken.
const LOST: u8 = b'?';

/// Written at the beginning of a broken key: an escape that JSON does not have, by which the walk recognises it.
pub(crate) const BROKEN_KEY: &[u8] = b"\\?";

/// Writes the copy of `body`, which begins with the brace of an object.
///
/// # Errors
/// The end of a broken variable cannot be found, or it is nested too deep. The copy is then useless.
#[cold]
#[inline(never)]
pub(crate) fn untangle(body: &[u8], copy: &mut Vec<u8>) -> Result<(), FlattenError> {
    let lines = Lines::of(body);
    if let Some(lines) = lines.filter(|lines| lines.are_several()) {
        return lines.untangle(copy);
    }
    match (untangle_whole(body, copy), lines) {
        (Err(_), Some(line)) => line.untangle(copy),
        (outcome, _) => outcome,
    }
}

/// [`untangle`] for a body in which only brackets and quotes show where variables end.
fn untangle_whole(body: &[u8], copy: &mut Vec<u8>) -> Result<(), FlattenError> {
    copy.clear();
    let mut mender = Mender::new(body, body.len(), copy, Mode::Tolerant);
    mender.skip_blanks();
    let read = mender.object();
    let (at, suspect) = (mender.at, mender.suspect);
    let refused = |cause, offset| Err(FlattenError { cause, offset });
    match (read, suspect) {
        (Ok(()), _) => match body[at..].iter().position(|byte| !is_blank(*byte)) {
            None => Ok(()),
            Some(blanks) => refused(Cause::TrailingData, at + blanks),
        },
        (Err(Unreadable::TooDeep), _) => refused(Cause::TooDeep, at),
        _ if !body.trim_ascii_end().ends_with(b"}") => refused(Cause::CutOff, body.len()),
        (_, Some(offset)) => refused(Cause::Broken, offset),
        (_, None) => refused(Cause::Unclosed, body.len()),
    }
}

/// Why a value cannot be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unreadable {
    /// A bracket or quote has no partner, or, in [`Mode::Strict`], more than single tokens are wrong.
    Open,
    TooDeep,
}

type Read<T> = Result<T, Unreadable>;

/// What a [`Mender`] accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// What the walk can read: JSON, except for single broken tokens in the place of values.
    Strict,
    /// Everything in which brackets and quotes match.
    Tolerant,
}

/// Reads a text and writes its copy.
struct Mender<'b, 'o> {
    text: &'b [u8],
    at: usize,
    /// Where the text ends for this reader.
    end: usize,
    out: &'o mut Vec<u8>,
    mode: Mode,
    depth: usize,
    /// Whether any value is lost.
    has_lost: bool,
    /// How many more [`LOST`] may be written where they make the copy longer than the text.
    gaps_left: usize,
    /// Where the first value begins that is not JSON by more than a token.
    suspect: Option<usize>,
}

impl<'b, 'o> Mender<'b, 'o> {
    fn new(text: &'b [u8], end: usize, out: &'o mut Vec<u8>, mode: Mode) -> Self {
        Self { text, at: 0, end, out, mode, depth: 0, has_lost: false, gaps_left: GAPS_MAX, suspect: None }
    }

    fn peek(&self) -> Option<u8> {
        if self.at < self.end { Some(self.text[self.at]) } else { None }
    }

    /// Steps over blanks.
    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    /// Steps over blanks and commas. Gives the number of commas.
    fn skip_commas(&mut self) -> usize {
        let mut commas = 0;
        while let Some(byte) = self.peek().filter(|&byte| byte == b',' || is_blank(byte)) {
            commas += usize::from(byte == b',');
            self.at += 1;
        }
        commas
    }

    /// Records that the value at `at` is not JSON by more than a token. In [`Mode::Strict`], that ends the reading.
    fn note_suspect(&mut self, at: usize) -> Read<()> {
        self.suspect.get_or_insert(at);
        if self.mode == Mode::Strict { Err(Unreadable::Open) } else { Ok(()) }
    }

    /// Ends the reading because a bracket or quote of the value at `at` has no partner.
    fn unclosed<T>(&mut self, at: usize) -> Read<T> {
        self.suspect.get_or_insert(at);
        Err(Unreadable::Open)
    }

    /// Copies an opening bracket.
    fn enter(&mut self, bracket: u8) -> Read<()> {
        if self.depth == DEPTH_MAX {
            return Err(Unreadable::TooDeep);
        }
        self.depth += 1;
        self.at += 1;
        self.out.push(bracket);
        Ok(())
    }

    /// Copies a closing bracket.
    fn leave(&mut self, bracket: u8) {
        self.depth -= 1;
        self.at += 1;
        self.out.push(bracket);
    }

    /// Copies the object at the cursor and steps over it.
    fn object(&mut self) -> Read<()> {
        self.enter(b'{')?;
        let mut is_first = true;
        loop {
            let commas = self.skip_commas();
            let is_end = self.peek() == Some(b'}');
            if commas > usize::from(!is_first && !is_end) {
                // In an object no value is lost by that.
                self.superfluous_comma()?;
            }
            match self.peek() {
                Some(b'}') => {
                    self.leave(b'}');
                    return Ok(());
                }
                Some(b']') => return self.unclosed(self.at),
                None => return Err(Unreadable::Open),
                Some(_) => {}
            }
            if !is_first {
                self.out.push(b',');
            }
            is_first = false;
            self.member()?;
        }
    }

    /// There is a comma too much: that ends the reading in [`Mode::Strict`].
    fn superfluous_comma(&self) -> Read<()> {
        if self.mode == Mode::Strict { Err(Unreadable::Open) } else { Ok(()) }
    }

    /// Copies the member at the cursor, up to the comma or brace after it.
    fn member(&mut self) -> Read<()> {
        let start = self.at;
        let Some(is_sound) = self.key() else {
            self.note_suspect(start)?;
            self.take_gap()?;
            let mark = self.out.len();
            self.entry(true)?;
            self.out.truncate(mark);
            self.write_keyless(start);
            return Ok(());
        };
        let mark = self.out.len();
        self.entry(true)?;
        if !is_sound {
            self.lose(mark);
        }
        Ok(())
    }

    /// Copies the member at the cursor and the blanks after it. Whatever follows is left to the caller.
    fn member_alone(&mut self) -> Read<()> {
        let Some(is_sound) = self.key() else { return self.unclosed(self.at) };
        self.skip_blanks();
        let mark = self.out.len();
        if !self.value()? || !is_sound {
            self.lose(mark);
        }
        self.skip_blanks();
        Ok(())
    }

    /// Copies the key at the cursor and steps over it and its colon. None if there is no key; false if it is broken.
    fn key(&mut self) -> Option<bool> {
        let end = self.key_end(self.at)?;
        let key = &self.text[self.at + 1..end - 1];
        let is_sound = is_sound_text(key);
        self.out.push(b'"');
        if is_sound {
            self.out.extend_from_slice(key);
        } else {
            self.write_broken_key(key);
        }
        self.out.extend_from_slice(b"\":");
        self.at = end;
        self.skip_blanks();
        self.at += 1;
        Some(is_sound)
    }

    /// Where the key that begins at `start` ends; none if there is no string, or no colon after it.
    fn key_end(&self, start: usize) -> Option<usize> {
        let end = self.string_end(start)?;
        let next = self.text[end..self.end].iter().find(|byte| !is_blank(**byte));
        (next == Some(&b':')).then_some(end)
    }

    /// Where the string that begins at `start` ends; none if there is none, or it does not end.
    fn string_end(&self, start: usize) -> Option<usize> {
        let text = self.text.get(..self.end)?;
        if text.get(start) != Some(&b'"') {
            return None;
        }
        let mut at = start + 1;
        loop {
            at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
            if text[at] == b'"' {
                return Some(at + 1);
            }
            at += 2;
        }
    }

    /// Replaces what has been written after `mark` by [`LOST`].
    fn lose(&mut self, mark: usize) {
        self.has_lost = true;
        self.out.truncate(mark);
        self.out.push(LOST);
    }

    /// Copies the array at the cursor and steps over it.
    fn array(&mut self) -> Read<()> {
        self.enter(b'[')?;
        let mut is_first = true;
        loop {
            let commas = self.skip_commas();
            match self.peek() {
                Some(b']') => {
                    if commas > 0 {
                        self.superfluous_comma()?;
                    }
                    self.leave(b']');
                    return Ok(());
                }
                Some(b'}') => return self.unclosed(self.at),
                None => return Err(Unreadable::Open),
                Some(_) => {}
            }
            // Two commas in a row have a missing element between them, and the others must keep their positions.
            for _ in usize::from(!is_first)..commas {
                self.superfluous_comma()?;
                self.take_gap()?;
                self.comma_unless(is_first);
                self.out.push(LOST);
                is_first = false;
            }
            self.comma_unless(is_first);
            is_first = false;
            self.entry(false)?;
        }
    }

    /// Counts a [`LOST`] that makes the copy longer.
    fn take_gap(&mut self) -> Read<()> {
        match self.gaps_left.checked_sub(1) {
            Some(left) => {
                self.gaps_left = left;
                Ok(())
            }
            None => self.unclosed(self.at),
        }
    }

    fn comma_unless(&mut self, is_first: bool) {
        if !is_first {
            self.out.push(b',');
        }
    }

    /// Copies the value of a member, or an element, up to the next one. More than a value is lost as a whole.
    fn entry(&mut self, is_member: bool) -> Read<()> {
        self.skip_blanks();
        let (mark, start) = (self.out.len(), self.at);
        let mut is_sound = self.value()?;
        loop {
            self.skip_blanks();
            match self.peek() {
                Some(b',') if is_member => match self.junk_after_commas() {
                    None => break,
                    Some(junk) => {
                        self.note_suspect(start)?;
                        is_sound = false;
                        self.at = junk;
                    }
                },
                Some(b',') => break,
                Some(close @ (b'}' | b']')) if is_member == (close == b'}') => break,
                None if is_sound => return Err(Unreadable::Open),
                None | Some(b'}' | b']') => return self.unclosed(start),
                Some(_) => {
                    self.note_suspect(start)?;
                    is_sound = false;
                    self.skip_token()?;
                }
            }
        }
        if !is_sound {
            self.lose(mark);
        }
        Ok(())
    }

    /// Where the text after the commas at the cursor begins, if it is neither a member nor the end of the object.
    fn junk_after_commas(&mut self) -> Option<usize> {
        let before = self.at;
        self.skip_commas();
        let junk = std::mem::replace(&mut self.at, before);
        let is_junk = junk < self.end && !matches!(self.text[junk], b'}' | b']') && self.key_end(junk).is_none();
        is_junk.then_some(junk)
    }

    /// Copies the value at the cursor and steps over it. False if it is missing or broken; the output is then junk.
    fn value(&mut self) -> Read<bool> {
        match self.peek() {
            None | Some(b',' | b'}' | b']') => Ok(false),
            Some(b'{') => self.object().map(|()| true),
            Some(b'[') => self.array().map(|()| true),
            Some(b'"') => self.string(),
            Some(_) => Ok(self.word()),
        }
    }

    fn string(&mut self) -> Read<bool> {
        let start = self.at;
        let Some(end) = self.string_end(start) else { return self.unclosed(start) };
        let text = &self.text[start..end];
        if self.mode == Mode::Strict && text.contains(&b'\n') {
            // Its first quote is the last one of a string whose own first quote is missing, in a variable before.
            return self.unclosed(start);
        }
        self.at = end;
        self.out.extend_from_slice(text);
        Ok(is_sound_text(&text[1..text.len() - 1]))
    }

    /// Copies a number or a literal. False for any other word, which is only stepped over.
    fn word(&mut self) -> bool {
        let start = self.at;
        self.skip_word();
        let word = &self.text[start..self.at];
        let is_value = matches!(word, b"true" | b"false" | b"null")
            || scalar::number_end(word, 0).is_some_and(|end| end == word.len());
        if is_value {
            self.out.extend_from_slice(word);
        }
        is_value
    }

    fn skip_word(&mut self) {
        let is_end = |byte: u8| is_blank(byte) || matches!(byte, b'{' | b'}' | b'[' | b']' | b'"' | b',');
        // A word has at least one byte, even if it is a colon.
        self.at += 1;
        while self.peek().is_some_and(|byte| !is_end(byte)) {
            self.at += 1;
        }
    }

    /// Steps over a token that does not belong to a value; from an opening bracket, up to its partner.
    fn skip_token(&mut self) -> Read<()> {
        let (mut kinds, mut depth) = (0_u64, 0_usize);
        loop {
            match self.peek() {
                None => return Err(Unreadable::Open),
                Some(open @ (b'{' | b'[')) => {
                    if self.depth + depth >= DEPTH_MAX {
                        return Err(Unreadable::TooDeep);
                    }
                    kinds = kinds << 1 | u64::from(open == b'{');
                    depth += 1;
                    self.at += 1;
                }
                Some(close @ (b'}' | b']')) => {
                    if depth == 0 || (kinds & 1 == 1) != (close == b'}') {
                        return Err(Unreadable::Open);
                    }
                    kinds >>= 1;
                    depth -= 1;
                    self.at += 1;
                }
                Some(b'"') => self.at = self.string_end(self.at).ok_or(Unreadable::Open)?,
                Some(b',') => self.at += 1,
                Some(byte) if is_blank(byte) => self.at += 1,
                Some(_) => self.skip_word(),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }
}

/// Whether a text can stand between the quotes of a JSON string.
fn is_sound_text(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok() && !text.iter().any(|&byte| byte < b' ') && scalar::escapes(text) != Escapes::Bad
}

const _: () = assert!(DEPTH_MAX <= u64::BITS as usize);

#[cfg(test)]
mod tests;
