//! Scans a YAML text before it is parsed, and refuses texts that would take the parser much time or memory. Pure, in a
//! single pass, in time linear in the length of the text.
//!
//! The parser (libyaml, through `serde_yaml`) takes time that is quadratic in the depth of brackets, in the number of
//! `%TAG` lines, and in the length of runs of blanks within a scalar, and about 300 bytes for each key and value. So
//! the text is split into tokens by libyaml's own rules, and these things are counted. Where a text is not valid YAML,
//! the scan ends and leaves it to the parser, whose message is better.

mod cursor;
mod scalar;

use super::error::{Location, Problem};
use crate::limits::{
    CONFIG_BLANKS_WORK_MAX, CONFIG_DEPTH_MAX, CONFIG_DIRECTIVES_MAX, CONFIG_NODES_MAX, CONFIG_SIMPLE_KEY_BYTES_MAX,
};
use cursor::Cursor;
use std::fmt;

/// What a text contains that can be parsed within the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Keys, values, lists and sections: at least as many as there are; 0 if the text is empty.
    pub(super) nodes: usize,
    /// How deep lists and sections are nested. Those without a bracket or an indentation of their own (`[a: b]`, or a
    /// list that is not deeper than its key) are not counted; there is at most one of them for each that is.
    pub(super) depth: usize,
    /// Whether some number may be written in another way than a program would write it: `1.10`, `0x1F`, `+5`.
    pub(super) has_odd_numbers: bool,
}

/// Scans the text, as far as it is YAML.
///
/// # Errors
/// What there is too much of, and where it becomes too much.
pub(super) fn scan(text: &str) -> Result<Shape, Problem> {
    let mut scan = Scan::new(text);
    match scan.tokens() {
        Ok(()) | Err(Stop::NotYaml) => Ok(scan.shape),
        Err(Stop::TooMuch(excess)) => Err(Problem::at(scan.token, excess.to_string())),
    }
}

/// Why the scan ends before the end of the text.
enum Stop {
    /// The text is not valid YAML: the parser will fail here, too.
    NotYaml,
    TooMuch(Excess),
}

/// What there is too much of. A configuration that somebody has written by hand has none of this.
enum Excess {
    /// Lines that begin with `%`.
    Directives,
    /// Keys and values.
    Nodes,
    /// Levels of nesting. The most likely one: something that was opened is not closed.
    Depth,
    /// Blanks or line ends within a scalar, the most of them in a row.
    Blanks { longest: usize },
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directives => write!(
                f,
                "more than {CONFIG_DIRECTIVES_MAX} lines that begin with %: remove them, a configuration needs none"
            ),
            Self::Nodes => write!(
                f,
                "more than {CONFIG_NODES_MAX} keys and values: split the file, and run one process for each part"
            ),
            Self::Depth => {
                write!(f, "nested more than {CONFIG_DEPTH_MAX} levels deep: is a bracket, brace or quote not closed?")
            }
            Self::Blanks { longest } => {
                write!(f, "a text with {longest} spaces or newlines in a row: remove some")
            }
        }
    }
}

/// A list or section in brackets or braces.
struct Flow {
    is_map: bool,
    /// Whether there is something after the last comma, and whether there is a colon.
    has_content: bool,
    has_colon: bool,
}

/// A token that is a key if a colon follows.
#[derive(Clone, Copy)]
struct Key {
    line: usize,
    column: isize,
    /// Its offset in the text.
    at: usize,
    /// Whether a value was expected in its place.
    is_wanted: bool,
}

/// The state of a scan.
struct Scan<'t> {
    cursor: Cursor<'t>,
    /// Where the current token begins.
    token: Location,
    shape: Shape,
    directives: usize,
    blanks_work: usize,
    flows: Vec<Flow>,
    /// The column of the innermost block, -1 outside of all blocks; and those of the blocks around it.
    indent: isize,
    indents: Vec<isize>,
    /// The first token of what may be the next key of the innermost block.
    key: Option<Key>,
    is_key_allowed: bool,
    /// Whether a value is expected: after `-`, `?`, `:`, an anchor or a tag.
    is_wanted: bool,
}

impl<'t> Scan<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            cursor: Cursor::new(text),
            token: Location { line: 1, column: 1 },
            shape: Shape { nodes: 0, depth: 0, has_odd_numbers: false },
            directives: 0,
            blanks_work: 0,
            flows: Vec::new(),
            indent: -1,
            indents: Vec::new(),
            key: None,
            is_key_allowed: true,
            is_wanted: false,
        }
    }

    /// Reads all tokens.
    fn tokens(&mut self) -> Result<(), Stop> {
        loop {
            self.skip_to_token();
            self.token = self.cursor.location();
            if self.flows.is_empty() {
                self.close_blocks(self.cursor.column)?;
            }
            let Some(byte) = self.cursor.peek() else {
                return self.close_blocks(-1);
            };
            if self.cursor.column == 0 && byte == b'%' {
                self.directive()?;
            } else if self.cursor.is_at_document_mark() {
                self.close_blocks(-1)?;
                self.is_key_allowed = false;
                self.cursor.skip_bytes(3);
                self.count(1)?;
            } else {
                self.token_of(byte)?;
            }
        }
    }

    /// Steps over blanks, ends of lines and comments.
    fn skip_to_token(&mut self) {
        loop {
            if self.cursor.column == 0 {
                self.cursor.skip_byte_order_mark();
            }
            let may_be_tabs = !self.flows.is_empty() || !self.is_key_allowed;
            while self.cursor.peek() == Some(b' ') || (may_be_tabs && self.cursor.peek() == Some(b'\t')) {
                self.cursor.skip();
            }
            if self.cursor.peek() == Some(b'#') {
                self.cursor.skip_to_break();
            }
            if !self.cursor.skip_break() {
                return;
            }
            self.is_key_allowed |= self.flows.is_empty();
        }
    }

    fn directive(&mut self) -> Result<(), Stop> {
        self.close_blocks(-1)?;
        self.is_key_allowed = false;
        self.directives += 1;
        self.cursor.skip_to_break();
        if self.directives > CONFIG_DIRECTIVES_MAX {
            return Err(Stop::TooMuch(Excess::Directives));
        }
        Ok(())
    }

    fn token_of(&mut self, byte: u8) -> Result<(), Stop> {
        let is_flow = !self.flows.is_empty();
        let is_alone = self.cursor.is_blank_or_end(1);
        match byte {
            b'[' | b'{' => self.open_flow(byte == b'{'),
            b']' | b'}' => self.close_flow(),
            b',' => self.comma(),
            b'-' if is_alone => self.dash(),
            b'?' if is_flow || is_alone => self.question(),
            b':' if is_flow || is_alone => self.colon(),
            b'*' => self.alias(),
            b'&' => {
                self.property();
                self.cursor.skip();
                self.cursor.skip_while(is_of_anchor);
                Ok(())
            }
            b'!' => {
                self.property();
                // A tag can make a number even of a quoted scalar.
                self.shape.has_odd_numbers = true;
                self.cursor.skip_tag();
                Ok(())
            }
            b'|' | b'>' if !is_flow => self.block_scalar(),
            b'\'' | b'"' => self.quoted(byte),
            b'#' | b'|' | b'>' | b'%' | b'@' | b'`' | b' ' | b'\t' | 0 => Err(Stop::NotYaml),
            _ => self.plain(),
        }
    }

    /// An anchor or a tag. The value or key that it belongs to follows; if nothing does, that is an empty value.
    fn property(&mut self) {
        self.save_key();
        self.is_wanted = true;
        if let Some(flow) = self.flows.last_mut() {
            flow.has_content = true;
        }
    }

    /// Counts a key, a value, a list or a section where it begins.
    fn begin_node(&mut self) -> Result<(), Stop> {
        self.is_wanted = false;
        if let Some(flow) = self.flows.last_mut() {
            flow.has_content = true;
        }
        self.count(1)
    }

    fn count(&mut self, nodes: usize) -> Result<(), Stop> {
        self.shape.nodes += nodes;
        if self.shape.nodes > CONFIG_NODES_MAX {
            return Err(Stop::TooMuch(Excess::Nodes));
        }
        Ok(())
    }

    /// Records the depth after a list or section has begun.
    fn deepen(&mut self) -> Result<(), Stop> {
        let depth = self.flows.len() + self.indents.len();
        self.shape.depth = self.shape.depth.max(depth);
        if depth > CONFIG_DEPTH_MAX {
            return Err(Stop::TooMuch(Excess::Depth));
        }
        Ok(())
    }

    /// Remembers the current token as the first one of what may be a key.
    fn save_key(&mut self) {
        if !self.is_key_allowed {
            return;
        }
        self.is_key_allowed = false;
        if self.flows.is_empty() {
            let Cursor { line, column, at, .. } = self.cursor;
            self.key = Some(Key { line, column, at, is_wanted: self.is_wanted });
        }
    }

    fn open_flow(&mut self, is_map: bool) -> Result<(), Stop> {
        self.save_key();
        self.begin_node()?;
        self.flows.push(Flow { is_map, has_content: false, has_colon: false });
        self.is_key_allowed = true;
        self.cursor.skip();
        self.deepen()
    }

    fn close_flow(&mut self) -> Result<(), Stop> {
        self.end_entry()?;
        self.flows.pop();
        self.is_key_allowed = false;
        self.cursor.skip();
        Ok(())
    }

    fn comma(&mut self) -> Result<(), Stop> {
        self.end_entry()?;
        if let Some(flow) = self.flows.last_mut() {
            (flow.has_content, flow.has_colon) = (false, false);
        }
        self.is_key_allowed = true;
        self.cursor.skip();
        Ok(())
    }

    /// Ends an entry. What it lacks is an empty value.
    fn end_entry(&mut self) -> Result<(), Stop> {
        let is_key_alone = self.flows.last().is_some_and(|flow| flow.is_map && flow.has_content && !flow.has_colon);
        let empty = usize::from(self.is_wanted) + usize::from(is_key_alone);
        self.is_wanted = false;
        self.count(empty)
    }

    /// Expects a value. If one was expected before and has not come, that one is an empty value.
    fn want(&mut self) -> Result<(), Stop> {
        let empty = usize::from(self.is_wanted);
        self.is_wanted = true;
        self.count(empty)
    }

    fn dash(&mut self) -> Result<(), Stop> {
        if self.flows.is_empty() {
            self.open_block(self.cursor.column)?;
        }
        self.want()?;
        self.is_key_allowed = true;
        self.cursor.skip();
        Ok(())
    }

    fn question(&mut self) -> Result<(), Stop> {
        if self.flows.is_empty() {
            self.open_block(self.cursor.column)?;
        }
        // This key may lack a value, and so may the key before it; in a list, `?` also begins a section.
        self.count(2)?;
        self.want()?;
        self.is_key_allowed = self.flows.is_empty();
        self.cursor.skip();
        Ok(())
    }

    fn colon(&mut self) -> Result<(), Stop> {
        if let Some(flow) = self.flows.last_mut() {
            // There may be a section of one pair without braces, and the key may be left out.
            let more = usize::from(!flow.is_map) + usize::from(!flow.has_content);
            (flow.has_content, flow.has_colon) = (true, true);
            self.count(more)?;
            self.is_key_allowed = false;
        } else {
            self.block_colon()?;
        }
        self.want()?;
        self.cursor.skip();
        Ok(())
    }

    fn block_colon(&mut self) -> Result<(), Stop> {
        let Cursor { line, at, column, .. } = self.cursor;
        let is_near = |key: &Key| key.line == line && at - key.at <= CONFIG_SIMPLE_KEY_BYTES_MAX;
        if let Some(key) = self.key.take().filter(is_near) {
            // A key may be left out after its anchor, and so may the value before it.
            self.count(usize::from(self.is_wanted))?;
            let is_opened = self.open_block(key.column)?;
            self.is_key_allowed = false;
            return self.count(usize::from(key.is_wanted && !is_opened));
        }
        if !self.is_key_allowed {
            return Err(Stop::NotYaml);
        }
        self.open_block(column)?;
        // Its key may be left out.
        self.count(1)
    }

    fn alias(&mut self) -> Result<(), Stop> {
        self.save_key();
        self.begin_node()?;
        self.cursor.skip();
        self.cursor.skip_while(is_of_anchor);
        Ok(())
    }

    /// Begins a block at `column`, unless the current one has that column. True if so.
    fn open_block(&mut self, column: isize) -> Result<bool, Stop> {
        if column <= self.indent {
            return Ok(false);
        }
        self.indents.push(self.indent);
        self.indent = column;
        self.is_wanted = false;
        self.count(1)?;
        self.deepen()?;
        Ok(true)
    }

    /// Ends the blocks that are deeper than `column`.
    fn close_blocks(&mut self, column: isize) -> Result<(), Stop> {
        while self.indent > column {
            self.count(usize::from(self.is_wanted))?;
            self.is_wanted = false;
            self.indent = self.indents.pop().unwrap_or(-1);
        }
        Ok(())
    }

    /// Counts the blanks in one scalar: `runs` runs of blanks or ends of lines, the longest with `longest` bytes. For
    /// each run, the parser clears a buffer that is as long as the longest.
    fn count_blanks(&mut self, runs: usize, longest: usize) -> Result<(), Stop> {
        self.blanks_work = self.blanks_work.saturating_add(runs.saturating_mul(longest));
        if self.blanks_work > CONFIG_BLANKS_WORK_MAX {
            return Err(Stop::TooMuch(Excess::Blanks { longest }));
        }
        Ok(())
    }
}

/// Whether it can be in the name of an anchor.
fn is_of_anchor(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

#[cfg(test)]
mod tests;
