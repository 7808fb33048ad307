//! A JSON scanner for text that arrives in pieces. It checks every byte, and keeps no more than one name or value at a
//! time. Pure.
//!
//! It is as strict as a parser of the whole text, with one exception: a lone surrogate is read as U+FFFD, because servers
//! that count UTF-16 units may cut a text within a character.

use crate::limits;

/// Receives the events of a scan, in the order of the text.
pub(super) trait Listener {
    /// `path` has a step for each container around the value. Values deeper than [`STEPS_MAX`] are not reported.
    fn hear(&mut self, path: &[Step], event: Event<'_>);
}

/// A value, or the end of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event<'t> {
    Object,
    Array,
    /// The end of an object or an array.
    End,
    Text(Excerpt<'t>),
    /// The text of a number.
    Number(Excerpt<'t>),
    /// `true`, `false` or `null`.
    Literal,
}

/// A text, or the beginning of a long one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Excerpt<'t> {
    pub(super) bytes: &'t [u8],
    /// Whether the text was longer.
    pub(super) is_cut: bool,
}

/// A step from a container to a value in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// To an element of an array.
    Element,
    /// To a member of an object whose name is not one of those below.
    Other,
    Items,
    Status,
    Error,
    RootCause,
    Type,
    Reason,
}

/// The longest path that is tracked.
pub(super) const STEPS_MAX: usize = 6;

/// Reads one JSON object.
#[derive(Debug)]
pub(super) struct Scanner {
    state: State,
    /// The number of open containers. For each, `objects` has a bit that is set if it is an object.
    depth: usize,
    objects: u128,
    path: [Step; STEPS_MAX],
    /// The current name or value, or its beginning.
    text: Vec<u8>,
    is_cut: bool,
    is_name: bool,
    /// A high surrogate that may be followed by a low one.
    half: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the outermost object.
    Root,
    Value,
    FirstElement,
    FirstName,
    Name,
    Colon,
    /// After a value.
    Comma,
    Text,
    /// Within a character of several bytes: `left` bytes follow, the next of which must be between `least` and `most`.
    Continuation {
        left: u8,
        least: u8,
        most: u8,
    },
    Escape,
    Unicode {
        digits: u8,
        unit: u16,
    },
    Number(Digits),
    /// Within a literal, of which these bytes are left.
    Literal(&'static [u8]),
    Over,
    Broken,
}

/// The part of a number that was read last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Digits {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigit,
}

impl Step {
    fn named(name: &[u8]) -> Self {
        match name {
            b"items" => Self::Items,
            b"status" => Self::Status,
            b"error" => Self::Error,
            b"root_cause" => Self::RootCause,
            b"type" => Self::Type,
            b"reason" => Self::Reason,
            _ => Self::Other,
        }
    }
}

impl Digits {
    /// Whether a number may end here.
    fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Integer | Self::Fraction | Self::ExponentDigit)
    }

    fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus | Self::Integer, b'0'..=b'9') => Self::Integer,
            (Self::Zero | Self::Integer, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::ExponentSign,
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigit, b'0'..=b'9') => Self::ExponentDigit,
            _ => return None,
        })
    }
}

impl Scanner {
    pub(super) fn new() -> Self {
        Self {
            state: State::Root,
            depth: 0,
            objects: 0,
            path: [Step::Other; STEPS_MAX],
            text: Vec::new(),
            is_cut: false,
            is_name: false,
            half: None,
        }
    }

    /// Scans the next piece. Returns false if the text is not a JSON object, whatever follows.
    pub(super) fn read(&mut self, piece: &[u8], listener: &mut impl Listener) -> bool {
        let mut at = 0;
        while at < piece.len() && self.state != State::Broken {
            if self.state == State::Text {
                at += self.plain(&piece[at..]);
            }
            if let Some(&byte) = piece.get(at) {
                at += usize::from(self.step(byte, listener));
            }
        }
        self.state != State::Broken
    }

    /// Bytes of memory that are allocated.
    pub(super) fn memory_bytes(&self) -> usize {
        self.text.capacity()
    }

    /// Whether the end of the object was reached.
    pub(super) fn is_complete(&self) -> bool {
        self.state == State::Over
    }

    /// Consumes the bytes at the beginning that are ASCII characters without an escape, and returns their number.
    fn plain(&mut self, bytes: &[u8]) -> usize {
        let is_plain = |byte: &u8| (0x20..0x80).contains(byte) && !matches!(byte, b'"' | b'\\');
        let length = bytes.iter().position(|byte| !is_plain(byte)).unwrap_or(bytes.len());
        if length > 0 {
            self.append(&bytes[..length]);
        }
        length
    }

    /// Consumes a byte. Returns false if it ends a number, so that it has to be read once more in the new state.
    fn step(&mut self, byte: u8, listener: &mut impl Listener) -> bool {
        let is_blank = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.state = match (self.state, byte) {
            (
                State::Root
                | State::Value
                | State::FirstElement
                | State::FirstName
                | State::Name
                | State::Colon
                | State::Comma
                | State::Over,
                _,
            ) if is_blank => self.state,
            (State::Root, b'{') => self.open(true, listener),
            (State::Value | State::FirstElement, _) => self.value(byte, listener),
            (State::FirstName | State::Name, b'"') => self.begin_text(true),
            (State::FirstName, b'}') => self.close(true, listener),
            (State::Colon, b':') => State::Value,
            (State::Comma, b',') => {
                if self.is_in_object() {
                    State::Name
                } else {
                    State::Value
                }
            }
            (State::Comma, b'}' | b']') => self.close(byte == b'}', listener),
            (State::Text, _) => self.text(byte, listener),
            (State::Continuation { left, least, most }, _) if (least..=most).contains(&byte) => {
                self.append(&[byte]);
                let left = left - 1;
                if left == 0 { State::Text } else { State::Continuation { left, least: 0x80, most: 0xbf } }
            }
            (State::Escape, _) => self.escape(byte),
            (State::Unicode { digits, unit }, _) => self.unicode(digits, unit, byte),
            (State::Number(digits), _) => match digits.next(byte) {
                Some(digits) => {
                    self.append(&[byte]);
                    State::Number(digits)
                }
                None if digits.may_end() => {
                    let number = Event::Number(Excerpt { bytes: &self.text, is_cut: self.is_cut });
                    tell(&self.path, self.depth, number, listener);
                    self.state = State::Comma;
                    return false;
                }
                None => State::Broken,
            },
            (State::Literal([first, rest @ ..]), _) if *first == byte => match rest {
                [] => {
                    tell(&self.path, self.depth, Event::Literal, listener);
                    State::Comma
                }
                _ => State::Literal(rest),
            },
            _ => State::Broken,
        };
        true
    }

    fn value(&mut self, byte: u8, listener: &mut impl Listener) -> State {
        match byte {
            b'{' | b'[' => self.open(byte == b'{', listener),
            b']' if self.state == State::FirstElement => self.close(false, listener),
            b'"' => self.begin_text(false),
            b't' => State::Literal(b"rue"),
            b'f' => State::Literal(b"alse"),
            b'n' => State::Literal(b"ull"),
            b'-' | b'0'..=b'9' => {
                self.begin_text(false);
                self.append(&[byte]);
                State::Number(match byte {
                    b'-' => Digits::Minus,
                    b'0' => Digits::Zero,
                    _ => Digits::Integer,
                })
            }
            _ => State::Broken,
        }
    }

    fn is_in_object(&self) -> bool {
        self.depth > 0 && self.objects >> (self.depth - 1) & 1 == 1
    }

    fn open(&mut self, is_object: bool, listener: &mut impl Listener) -> State {
        if self.depth == limits::ANSWER_DEPTH_MAX {
            return State::Broken;
        }
        tell(&self.path, self.depth, if is_object { Event::Object } else { Event::Array }, listener);
        let bit = 1 << self.depth;
        self.objects = if is_object { self.objects | bit } else { self.objects & !bit };
        if let Some(step) = self.path.get_mut(self.depth) {
            *step = Step::Element;
        }
        self.depth += 1;
        if is_object { State::FirstName } else { State::FirstElement }
    }

    fn close(&mut self, is_object: bool, listener: &mut impl Listener) -> State {
        if self.depth == 0 || self.is_in_object() != is_object {
            return State::Broken;
        }
        self.depth -= 1;
        tell(&self.path, self.depth, Event::End, listener);
        if self.depth == 0 { State::Over } else { State::Comma }
    }

    fn begin_text(&mut self, is_name: bool) -> State {
        self.text.clear();
        (self.is_cut, self.is_name, self.half) = (false, is_name, None);
        State::Text
    }

    fn text(&mut self, byte: u8, listener: &mut impl Listener) -> State {
        let (left, least, most) = match byte {
            b'"' => return self.end_text(listener),
            b'\\' => return State::Escape,
            0xc2..=0xdf => (1, 0x80, 0xbf),
            0xe0 => (2, 0xa0, 0xbf),
            0xed => (2, 0x80, 0x9f),
            0xe1..=0xef => (2, 0x80, 0xbf),
            0xf0 => (3, 0x90, 0xbf),
            0xf1..=0xf3 => (3, 0x80, 0xbf),
            0xf4 => (3, 0x80, 0x8f),
            _ => return State::Broken,
        };
        self.append(&[byte]);
        State::Continuation { left, least, most }
    }

    fn end_text(&mut self, listener: &mut impl Listener) -> State {
        self.append(&[]);
        if !self.is_name {
            let text = Event::Text(Excerpt { bytes: &self.text, is_cut: self.is_cut });
            tell(&self.path, self.depth, text, listener);
            return State::Comma;
        }
        if let Some(step) = self.path.get_mut(self.depth - 1) {
            *step = Step::named(&self.text);
        }
        State::Colon
    }

    fn escape(&mut self, byte: u8) -> State {
        let character = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return State::Unicode { digits: 0, unit: 0 },
            _ => return State::Broken,
        };
        self.append(&[character]);
        State::Text
    }

    fn unicode(&mut self, digits: u8, unit: u16, byte: u8) -> State {
        let Some(digit) = char::from(byte).to_digit(16).and_then(|digit| u16::try_from(digit).ok()) else {
            return State::Broken;
        };
        let unit = unit << 4 | digit;
        if digits < 3 {
            return State::Unicode { digits: digits + 1, unit };
        }
        let character = match (self.half.take(), unit) {
            (Some(high), 0xdc00..=0xdfff) => {
                char::from_u32(0x1_0000 + ((u32::from(high) - 0xd800) << 10) + (u32::from(unit) - 0xdc00))
            }
            (before, _) => {
                self.half = before;
                // Replaces an earlier high surrogate that has no low one.
                self.append(&[]);
                if (0xd800..=0xdbff).contains(&unit) {
                    self.half = Some(unit);
                    return State::Text;
                }
                char::from_u32(unit.into())
            }
        };
        let mut encoded = [0; 4];
        self.append(character.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut encoded).as_bytes());
        State::Text
    }

    /// Appends to the text, up to its bound.
    fn append(&mut self, bytes: &[u8]) {
        if self.half.take().is_some() {
            self.append(char::REPLACEMENT_CHARACTER.encode_utf8(&mut [0; 4]).as_bytes());
        }
        let room = limits::EXCERPT_BYTES_MAX - self.text.len();
        self.is_cut |= bytes.len() > room;
        self.text.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

fn tell(path: &[Step], depth: usize, event: Event<'_>, listener: &mut impl Listener) {
    if let Some(path) = path.get(..depth) {
        listener.hear(path, event);
    }
}

#[cfg(test)]
mod tests;
