//! A position in a YAML text, and the steps from there. Lines and columns are counted as libyaml counts them.

use crate::config::error::Location;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A position in a text.
pub(super) struct Cursor<'t> {
    text: &'t [u8],
    /// Offset in the text.
    pub(super) at: usize,
    /// Line and column count from 0. A column is one character.
    pub(super) line: usize,
    pub(super) column: isize,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text: text.as_bytes(), at: 0, line: 0, column: 0 }
    }

    pub(super) fn location(&self) -> Location {
        Location { line: self.line + 1, column: self.column.unsigned_abs() + 1 }
    }

    /// The byte that is `ahead` bytes after the current one.
    pub(super) fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    /// The current byte.
    pub(super) fn peek(&self) -> Option<u8> {
        self.byte(0)
    }

    /// The text from offset `start` to here.
    pub(super) fn since(&self, start: usize) -> &'t [u8] {
        &self.text[start..self.at]
    }

    /// Steps over one character, which must not be the end of a line.
    pub(super) fn skip(&mut self) {
        self.at += 1;
        while self.peek().is_some_and(|byte| byte & 0xC0 == 0x80) {
            self.at += 1;
        }
        self.column += 1;
    }

    /// Steps over `count` bytes of ASCII, none of which ends the line.
    pub(super) fn skip_bytes(&mut self, count: u8) {
        self.at += usize::from(count);
        self.column += isize::from(count);
    }

    pub(super) fn skip_while(&mut self, is_wanted: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&is_wanted) {
            self.skip();
        }
    }

    pub(super) fn skip_byte_order_mark(&mut self) {
        if self.text[self.at..].starts_with(BYTE_ORDER_MARK) {
            self.skip();
        }
    }

    /// The length of the end of a line that is `ahead` bytes after here, by the rules of YAML 1.1. 0 if there is none.
    fn break_bytes(&self, ahead: usize) -> usize {
        match (self.byte(ahead), self.byte(ahead + 1)) {
            (Some(b'\r'), Some(b'\n')) | (Some(0xC2), Some(0x85)) => 2,
            (Some(b'\r' | b'\n'), _) => 1,
            (Some(0xE2), Some(0x80)) if matches!(self.byte(ahead + 2), Some(0xA8 | 0xA9)) => 3,
            _ => 0,
        }
    }

    pub(super) fn is_break(&self) -> bool {
        self.break_bytes(0) > 0
    }

    /// Steps over the end of a line. False if there is none.
    pub(super) fn skip_break(&mut self) -> bool {
        let bytes = self.break_bytes(0);
        if bytes == 0 {
            return false;
        }
        self.at += bytes;
        self.line += 1;
        self.column = 0;
        true
    }

    pub(super) fn skip_to_break(&mut self) {
        while !self.is_break_or_end(0) {
            self.skip();
        }
    }

    pub(super) fn is_blank(&self) -> bool {
        matches!(self.peek(), Some(b' ' | b'\t'))
    }

    pub(super) fn is_break_or_end(&self, ahead: usize) -> bool {
        self.byte(ahead).is_none() || self.break_bytes(ahead) > 0
    }

    pub(super) fn is_blank_or_end(&self, ahead: usize) -> bool {
        matches!(self.byte(ahead), Some(b' ' | b'\t')) || self.is_break_or_end(ahead)
    }

    /// Whether there is `---` or `...`, alone at the start of a line.
    pub(super) fn is_at_document_mark(&self) -> bool {
        let rest = &self.text[self.at..];
        self.column == 0 && (rest.starts_with(b"---") || rest.starts_with(b"...")) && self.is_blank_or_end(3)
    }

    /// Steps over a tag. If it has no proper end, stops where the next token begins.
    pub(super) fn skip_tag(&mut self) {
        let is_verbatim = self.byte(1) == Some(b'<');
        while !self.is_blank_or_end(0) {
            let byte = self.peek();
            if !is_verbatim && matches!(byte, Some(b',' | b'[' | b']' | b'{' | b'}')) {
                return;
            }
            self.skip();
            if is_verbatim && byte == Some(b'>') {
                return;
            }
        }
    }
}
