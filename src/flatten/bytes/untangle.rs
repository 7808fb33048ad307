//! Repairs bodies that the walk cannot follow: writes a copy in which each variable that is not JSON is replaced by
//! [`LOST`], and the walk follows the copy.
//!
//! The walk itself handles JSON, and single broken tokens in the place of a value. Everything else comes here: a comma
//! within a value, brackets and quotes without a partner, bytes that are not text. In a body with one variable per
//! line, as Go's handler writes it, a broken variable ends where the next one begins, whatever it contains ([`lines`]).
//! In any other body its brackets and quotes must match, because nothing else tells where it ends.
//!
//! None of this runs for a body that is JSON. Each byte is looked at a bounded number of times.

mod density;
mod keys;
mod lines;

use super::scalar::{self, Escapes, is_blank};
use crate::error::{Cause, FlattenError};
use crate::limits::{DEPTH_MAX, GAPS_MAX};

pub(crate) use density::is_too_dense;
use lines::Lines;
pub(crate) use lines::{holds_a_variable, stands_alone};

/// The token that stands for a value that is lost.
const LOST: u8 = b'?';

/// The key of a broken key begins with this escape, which JSON does not have.
pub(crate) const BROKEN_KEY: &[u8] = b"\\?";

/// Writes the copy of `body`, which begins an object.
///
/// # Errors
/// Where a broken variable ends cannot be told, or it is too deep; the copy is then of no use.
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

/// [`untangle`] for a body of which brackets and quotes alone tell where variables end.
fn untangle_whole(body: &[u8], copy: &mut Vec<u8>) -> Result<(), FlattenError> {
    copy.clear();
    let mut mender = Mender::new(body, body.len(), copy, Mode::Tolerant);
    mender.blanks();
    let read = mender.object();
    let (at, suspect) = (mender.at, mender.suspect);
    let refused = |cause, offset| Err(FlattenError { cause, offset });
    match (read, suspect) {
        (Ok(()), _) => match body[at..].iter().position(|byte| !is_blank(*byte)) {
            None => Ok(()),
            Some(behind) => refused(Cause::TrailingData, at + behind),
        },
        (Err(Unreadable::TooDeep), _) => refused(Cause::TooDeep, at),
        _ if !body.trim_ascii_end().ends_with(b"}") => refused(Cause::CutOff, body.len()),
        (_, Some(offset)) => refused(Cause::Broken, offset),
        (_, None) => refused(Cause::Unclosed, body.len()),
    }
}

/// Why something cannot be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unreadable {
    /// A bracket or a quote lacks its partner, or (in [`Mode::Strict`]) there is more wrong than single tokens.
    Open,
    TooDeep,
}

type Read<T> = Result<T, Unreadable>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// JSON, but for single tokens in the place of values: what the walk follows.
    Strict,
    /// Whatever has matching brackets and quotes.
    Tolerant,
}

/// Reads a text and writes its copy.
struct Mender<'b, 'o> {
    text: &'b [u8],
    at: usize,
    /// What is behind is not looked at.
    end: usize,
    out: &'o mut Vec<u8>,
    mode: Mode,
    depth: usize,
    /// Whether any value is lost.
    has_lost: bool,
    /// How many more marks there may be that are longer than what they stand for.
    gaps_left: usize,
    /// Where the first value begins that is more than one token and no JSON.
    suspect: Option<usize>,
}

impl<'b, 'o> Mender<'b, 'o> {
    fn new(text: &'b [u8], end: usize, out: &'o mut Vec<u8>, mode: Mode) -> Self {
        Self { text, at: 0, end, out, mode, depth: 0, has_lost: false, gaps_left: GAPS_MAX, suspect: None }
    }

    fn peek(&self) -> Option<u8> {
        if self.at < self.end { Some(self.text[self.at]) } else { None }
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    /// Steps over blanks and commas; gives the number of the latter.
    fn commas(&mut self) -> usize {
        let mut commas = 0;
        while let Some(byte) = self.peek().filter(|&byte| byte == b',' || is_blank(byte)) {
            commas += usize::from(byte == b',');
            self.at += 1;
        }
        commas
    }

    /// Something is no JSON, and it is more than one token.
    fn suspect(&mut self, at: usize) -> Read<()> {
        self.suspect.get_or_insert(at);
        if self.mode == Mode::Strict { Err(Unreadable::Open) } else { Ok(()) }
    }

    fn open<T>(&mut self, at: usize) -> Read<T> {
        self.suspect.get_or_insert(at);
        Err(Unreadable::Open)
    }

    fn enter(&mut self, bracket: u8) -> Read<()> {
        if self.depth == DEPTH_MAX {
            return Err(Unreadable::TooDeep);
        }
        self.depth += 1;
        self.at += 1;
        self.out.push(bracket);
        Ok(())
    }

    fn leave(&mut self, bracket: u8) {
        self.depth -= 1;
        self.at += 1;
        self.out.push(bracket);
    }

    /// The object at the cursor, which is then behind it.
    fn object(&mut self) -> Read<()> {
        self.enter(b'{')?;
        let mut is_first = true;
        loop {
            let commas = self.commas();
            let is_end = self.peek() == Some(b'}');
            if commas > usize::from(!is_first && !is_end) {
                // Nothing is lost by it.
                self.superfluous_comma()?;
            }
            match self.peek() {
                Some(b'}') => {
                    self.leave(b'}');
                    return Ok(());
                }
                Some(b']') => return self.open(self.at),
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

    fn superfluous_comma(&self) -> Read<()> {
        if self.mode == Mode::Strict { Err(Unreadable::Open) } else { Ok(()) }
    }

    fn member(&mut self) -> Read<()> {
        let start = self.at;
        let Some(is_sound) = self.key() else {
            self.suspect(start)?;
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

    /// A member that nothing but blanks may follow.
    fn member_alone(&mut self) -> Read<()> {
        let Some(is_sound) = self.key() else { return self.open(self.at) };
        self.blanks();
        let mark = self.out.len();
        if !self.value()? || !is_sound {
            self.lose(mark);
        }
        self.blanks();
        Ok(())
    }

    /// Copies the key at the cursor and steps over it and its colon, if there is one; false if it is broken.
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
        self.blanks();
        self.at += 1;
        Some(is_sound)
    }

    /// Where the key that begins at `start` ends, if there is one with its colon.
    fn key_end(&self, start: usize) -> Option<usize> {
        let end = self.string_end(start)?;
        let behind = self.text[end..self.end].iter().find(|byte| !is_blank(**byte));
        (behind == Some(&b':')).then_some(end)
    }

    /// Offset behind the string that begins at `start`, if one does that ends.
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

    fn lose(&mut self, mark: usize) {
        self.has_lost = true;
        self.out.truncate(mark);
        self.out.push(LOST);
    }

    /// The array at the cursor, which is then behind it.
    fn array(&mut self) -> Read<()> {
        self.enter(b'[')?;
        let mut is_first = true;
        loop {
            let commas = self.commas();
            match self.peek() {
                Some(b']') => {
                    if commas > 0 {
                        self.superfluous_comma()?;
                    }
                    self.leave(b']');
                    return Ok(());
                }
                Some(b'}') => return self.open(self.at),
                None => return Err(Unreadable::Open),
                Some(_) => {}
            }
            // An element that is missing has its place.
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

    fn take_gap(&mut self) -> Read<()> {
        match self.gaps_left.checked_sub(1) {
            Some(left) => {
                self.gaps_left = left;
                Ok(())
            }
            None => self.open(self.at),
        }
    }

    fn comma_unless(&mut self, is_first: bool) {
        if !is_first {
            self.out.push(b',');
        }
    }

    /// The value of a member, or an element, with all that stands before the next one: if that is more than a value, it is
    /// lost. Leaves the cursor at the comma or bracket behind it.
    fn entry(&mut self, is_member: bool) -> Read<()> {
        self.blanks();
        let (mark, start) = (self.out.len(), self.at);
        let mut is_sound = self.value()?;
        loop {
            self.blanks();
            match self.peek() {
                Some(b',') if is_member => match self.junk_behind_commas() {
                    None => break,
                    Some(junk) => {
                        self.suspect(start)?;
                        is_sound = false;
                        self.at = junk;
                    }
                },
                Some(b',') => break,
                Some(close @ (b'}' | b']')) if is_member == (close == b'}') => break,
                None if is_sound => return Err(Unreadable::Open),
                None | Some(b'}' | b']') => return self.open(start),
                Some(_) => {
                    self.suspect(start)?;
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

    /// What begins behind the commas at the cursor, unless it is a member or the end of the object.
    fn junk_behind_commas(&mut self) -> Option<usize> {
        let before = self.at;
        self.commas();
        let junk = std::mem::replace(&mut self.at, before);
        let is_junk = junk < self.end && !matches!(self.text[junk], b'}' | b']') && self.key_end(junk).is_none();
        is_junk.then_some(junk)
    }

    /// Copies the value at the cursor and steps over it. False if it is missing, or a token that is none; then nothing or
    /// anything has been written.
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
        let Some(end) = self.string_end(start) else { return self.open(start) };
        let text = &self.text[start..end];
        if self.mode == Mode::Strict && text.contains(&b'\n') {
            // It began in another variable.
            return self.open(start);
        }
        self.at = end;
        self.out.extend_from_slice(text);
        Ok(is_sound_text(&text[1..text.len() - 1]))
    }

    /// A number, a literal, or any other word.
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
        // At least one byte, such as a colon.
        self.at += 1;
        while self.peek().is_some_and(|byte| !is_end(byte)) {
            self.at += 1;
        }
    }

    /// Steps over a token that is no part of a value: over all of it, if it is a bracket.
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

/// Whether it can stand between the quotes of a JSON string.
fn is_sound_text(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok() && !text.iter().any(|&byte| byte < b' ') && scalar::escapes(text) != Escapes::Bad
}

const _: () = assert!(DEPTH_MAX <= u64::BITS as usize);

#[cfg(test)]
mod tests;
