//! Finds the end of a scalar: plain, quoted, or a block of lines.

use super::{Scan, Stop};

/// The runs of blanks, or of ends of lines, in one scalar.
#[derive(Default)]
struct Runs {
    count: usize,
    longest: usize,
}

impl Runs {
    fn add(&mut self, length: usize) {
        self.count += 1;
        self.longest = self.longest.max(length);
    }
}

impl Scan<'_> {
    /// Steps over text without quotes. It ends at `: `, at ` #`, before a line that is less indented, and in brackets
    /// also at a comma or a bracket.
    pub(super) fn plain(&mut self) -> Result<(), Stop> {
        self.save_key();
        self.begin_node()?;
        let is_flow = !self.flows.is_empty();
        let start = self.cursor.at;
        let mut runs = Runs::default();
        let mut is_after_break = false;
        loop {
            if self.cursor.is_at_document_mark() || self.cursor.peek() == Some(b'#') {
                break;
            }
            let word = self.cursor.at;
            self.skip_word(is_flow)?;
            if self.cursor.at > word {
                is_after_break = false;
            }
            if word == start {
                self.shape.has_odd_numbers |= is_odd_number(self.cursor.since(start));
            }
            if !self.cursor.is_blank() && !self.cursor.is_break() {
                break;
            }
            is_after_break = self.skip_space(is_after_break, self.indent, &mut runs)?;
            if !is_flow && self.cursor.column <= self.indent {
                break;
            }
        }
        self.is_key_allowed |= is_after_break;
        self.count_blanks(runs.count, runs.longest)
    }

    /// Steps over a word of text without quotes.
    fn skip_word(&mut self, is_flow: bool) -> Result<(), Stop> {
        while !self.cursor.is_blank_or_end(0) {
            match self.cursor.peek() {
                Some(b':') if self.cursor.is_blank_or_end(1) => return Ok(()),
                Some(b':')
                    if is_flow && matches!(self.cursor.byte(1), Some(b',' | b'?' | b'[' | b']' | b'{' | b'}')) =>
                {
                    return Err(Stop::NotYaml);
                }
                Some(b',' | b'[' | b']' | b'{' | b'}') if is_flow => return Ok(()),
                _ => self.cursor.skip(),
            }
        }
        Ok(())
    }

    /// Steps over blanks and ends of lines. After the end of a line, there may be no tab up to column `indent`. Takes
    /// and gives whether the end of a line has been passed since the last word.
    fn skip_space(&mut self, mut is_after_break: bool, indent: isize, runs: &mut Runs) -> Result<bool, Stop> {
        let (mut blanks, mut breaks) = (0, 0);
        loop {
            if self.cursor.skip_break() {
                is_after_break = true;
                breaks += 1;
            } else if self.cursor.is_blank() {
                if is_after_break && self.cursor.column <= indent && self.cursor.peek() == Some(b'\t') {
                    return Err(Stop::NotYaml);
                }
                self.cursor.skip();
                blanks += usize::from(!is_after_break);
            } else {
                runs.add(blanks.max(breaks));
                return Ok(is_after_break);
            }
        }
    }

    /// Steps over text in quotes.
    pub(super) fn quoted(&mut self, quote: u8) -> Result<(), Stop> {
        self.save_key();
        self.begin_node()?;
        self.cursor.skip();
        let mut runs = Runs::default();
        loop {
            if self.cursor.is_at_document_mark() {
                return Err(Stop::NotYaml);
            }
            self.skip_quoted_word(quote);
            match self.cursor.peek() {
                None => return Err(Stop::NotYaml),
                Some(byte) if byte == quote => break,
                Some(_) => {}
            }
            // In quotes, tabs are allowed anywhere.
            self.skip_space(false, isize::MIN, &mut runs)?;
        }
        self.cursor.skip();
        self.count_blanks(runs.count, runs.longest)
    }

    /// Steps over a word of text in quotes, up to the closing quote or to space.
    fn skip_quoted_word(&mut self, quote: u8) {
        while !self.cursor.is_blank_or_end(0) {
            match (self.cursor.peek(), self.cursor.byte(1)) {
                (Some(b'\''), Some(b'\'')) if quote == b'\'' => self.cursor.skip_bytes(2),
                (Some(byte), _) if byte == quote => return,
                (Some(b'\\'), _) if quote == b'"' => {
                    self.cursor.skip();
                    if self.cursor.skip_break() {
                        return;
                    }
                    if self.cursor.peek().is_some() {
                        self.cursor.skip();
                    }
                }
                _ => self.cursor.skip(),
            }
        }
    }

    /// Steps over a block: `|` or `>`, and the indented lines below.
    pub(super) fn block_scalar(&mut self) -> Result<(), Stop> {
        self.begin_node()?;
        self.is_key_allowed = true;
        self.key = None;
        self.cursor.skip();
        let mut indent = self.block_header()?;
        let mut runs = Runs::default();
        self.skip_block_breaks(&mut indent, &mut runs)?;
        while self.cursor.column == indent && self.cursor.peek().is_some() {
            self.cursor.skip_to_break();
            self.cursor.skip_break();
            self.skip_block_breaks(&mut indent, &mut runs)?;
        }
        self.count_blanks(runs.count, runs.longest)
    }

    /// Steps over the rest of the line with `|` or `>`. Gives the column of the lines of the block; 0 if their first
    /// one decides.
    fn block_header(&mut self) -> Result<isize, Stop> {
        let (mut increment, mut has_chomping) = (0, false);
        while let Some(byte) = self.cursor.peek() {
            match byte {
                b'+' | b'-' if !has_chomping => has_chomping = true,
                b'1'..=b'9' if increment == 0 => increment = isize::from(byte - b'0'),
                _ => break,
            }
            self.cursor.skip();
        }
        self.cursor.skip_while(|byte| byte == b' ' || byte == b'\t');
        if self.cursor.peek() == Some(b'#') {
            self.cursor.skip_to_break();
        }
        if !self.cursor.skip_break() && self.cursor.peek().is_some() {
            return Err(Stop::NotYaml);
        }
        Ok(if increment == 0 { 0 } else { self.indent.max(0) + increment })
    }

    /// Steps over empty lines, and over the indentation of the line after them.
    fn skip_block_breaks(&mut self, indent: &mut isize, runs: &mut Runs) -> Result<(), Stop> {
        let (mut breaks, mut widest) = (0, 0);
        loop {
            let is_before = |column: isize, indent: isize| indent == 0 || column < indent;
            while is_before(self.cursor.column, *indent) && self.cursor.peek() == Some(b' ') {
                self.cursor.skip();
            }
            widest = self.cursor.column.max(widest);
            if is_before(self.cursor.column, *indent) && self.cursor.peek() == Some(b'\t') {
                return Err(Stop::NotYaml);
            }
            if !self.cursor.skip_break() {
                break;
            }
            breaks += 1;
        }
        runs.add(breaks);
        if *indent == 0 {
            *indent = widest.max(self.indent + 1).max(1);
        }
        Ok(())
    }
}

/// Whether a plain scalar may be a number that a program would write differently.
fn is_odd_number(text: &[u8]) -> bool {
    const DIGITS_MAX: usize = 19;
    let is_digits = text.iter().all(u8::is_ascii_digit);
    let is_canonical = is_digits && text.len() <= DIGITS_MAX && (text == b"0" || !text.starts_with(b"0"));
    let is_number_like = text.first().is_some_and(|first| first.is_ascii_digit() || b"+-.".contains(first))
        && text.iter().all(|byte| byte.is_ascii_hexdigit() || b"+-.xXoOiInNfFaA".contains(byte));
    is_number_like && !is_canonical
}
