//! Patterns for flat names, compiled once and matched only while a layout is learned.
//!
//! `*` stands for any characters within a segment, `**` for any characters. A trailing `.**` also matches the name
//! before it. A pattern that matches the name of an object matches everything in the object.
//!
//! All patterns of a list are matched at once, as a nondeterministic automaton does it: the state is the set of places
//! in the patterns that the name can have reached. There is one such set for each level of nesting, at most
//! [`crate::limits::DEPTH_MAX`]. So a key costs its own length times the number of places, no matter how long the names
//! of the objects around it are. A set has at most as many places as the patterns have bytes, 4 bytes each.

mod matched;

pub(crate) use matched::Matched;

/// Which variables are shipped: the patterns of `include` and `exclude`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub(crate) include: Globs,
    pub(crate) exclude: Globs,
}

/// Patterns, any of which may match a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Globs {
    /// The tokens of all patterns, each pattern ending with [`Token::End`].
    tokens: Vec<Token>,
    /// The places that a name can be at before its first byte.
    starts: Vec<Place>,
    /// The patterns as they were given.
    texts: Vec<String>,
}

/// A place in the patterns: the index of the next token. Lists of places ascend. Since a star may stand for nothing, a
/// list that contains the place of a star also contains the place after it.
type Place = u32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// Any bytes except dots.
    Star,
    /// Any bytes.
    DoubleStar,
    /// The end of a pattern: it matches what has reached this place.
    End,
}

/// The places that the name of the current member has reached, and those that the names of the objects around it have
/// reached. All calls must be about the same patterns, until it is cleared.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    levels: Vec<Level>,
    /// The places of all levels, one level after the other.
    places: Vec<Place>,
    /// Buffers: the places before and after the current byte.
    now: Vec<Place>,
    next: Vec<Place>,
}

/// One level of nesting.
#[derive(Debug)]
struct Level {
    /// Where its places begin. It has none if it matches, because then everything below it does.
    start: usize,
    matches: bool,
}

impl Choice {
    fn new<P: AsRef<str>>(include: &[P], exclude: &[P]) -> Self {
        Self { include: Globs::new(include), exclude: Globs::new(exclude) }
    }

    /// Replaces those of the patterns that are given.
    #[must_use]
    pub fn replaced<P: AsRef<str>>(self, include: Option<&[P]>, exclude: Option<&[P]>) -> Self {
        Self { include: include.map_or(self.include, Globs::new), exclude: exclude.map_or(self.exclude, Globs::new) }
    }
}

impl Default for Choice {
    fn default() -> Self {
        Self::new(&["**"], &["cmdline", "memstats.BySize.**"])
    }
}

impl Globs {
    /// Compiles the patterns.
    #[must_use]
    pub fn new<P: AsRef<str>>(patterns: &[P]) -> Self {
        let mut globs = Self::default();
        for pattern in patterns {
            compile(pattern.as_ref(), &mut globs.tokens);
        }
        let mut starts = Vec::new();
        let mut begins = true;
        for (place, &token) in (0..).zip(&globs.tokens) {
            if begins {
                globs.reach(place, &mut starts);
            }
            begins = token == Token::End;
        }
        let texts = patterns.iter().map(|pattern| pattern.as_ref().to_owned()).collect();
        Self { starts, texts, ..globs }
    }

    /// Whether this is one of the patterns.
    pub(crate) fn has(&self, text: &str) -> bool {
        self.texts.iter().any(|own| own == text)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Whether a pattern matches this flat name, or an object that it is in.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        Progress::default().push(self, name.as_bytes())
    }

    fn token(&self, place: Place) -> Token {
        self.tokens[place as usize]
    }

    /// Adds a place, and those that are reached from it if stars stand for nothing.
    fn reach(&self, place: Place, places: &mut Vec<Place>) {
        // Calls come in ascending order. Each adds all places from its own to the first that is not a star.
        if places.last().is_some_and(|&last| last >= place) {
            return;
        }
        for place in place.. {
            places.push(place);
            if !matches!(self.token(place), Token::Star | Token::DoubleStar) {
                break;
            }
        }
    }

    /// Puts the places that `byte` leads to into `next`.
    fn step(&self, places: &[Place], byte: u8, next: &mut Vec<Place>) {
        next.clear();
        for &place in places {
            match self.token(place) {
                Token::Byte(expected) if expected == byte => self.reach(place + 1, next),
                Token::Star if byte != b'.' => self.reach(place, next),
                Token::DoubleStar => self.reach(place, next),
                Token::Byte(_) | Token::Star | Token::End => {}
            }
        }
    }

    /// Whether a name that has reached these places matches a pattern.
    fn match_at(&self, places: &[Place]) -> bool {
        places.iter().any(|&place| self.token(place) == Token::End)
    }
}

/// Appends the tokens of a pattern.
fn compile(pattern: &str, tokens: &mut Vec<Token>) {
    // A trailing `.**` adds nothing, because everything below a match is matched anyway.
    let name = pattern.strip_suffix(".**").filter(|name| !name.is_empty()).unwrap_or(pattern);
    let mut rest = name.as_bytes();
    while let [first, behind @ ..] = rest {
        let token = match (first, behind) {
            (b'*', [b'*', ..]) => Token::DoubleStar,
            (b'*', _) => Token::Star,
            (&byte, _) => Token::Byte(byte),
        };
        tokens.push(token);
        rest = if token == Token::DoubleStar { &behind[1..] } else { behind };
    }
    tokens.push(Token::End);
}

impl Progress {
    pub(crate) fn clear(&mut self) {
        self.levels.clear();
        self.places.clear();
    }

    /// Steps into a member, whose name is that of the object around it followed by `bytes`. True if a pattern matches
    /// the name, or the object's, or a prefix of it that ends at a dot.
    pub(crate) fn push(&mut self, globs: &Globs, bytes: &[u8]) -> bool {
        let (around, matches) = match self.levels.last() {
            Some(level) => (&self.places[level.start..], level.matches),
            None => (&globs.starts[..], false),
        };
        self.now.clear();
        self.now.extend_from_slice(around);
        let matches = matches || self.advance(globs, bytes);
        self.levels.push(Level { start: self.places.len(), matches });
        if !matches {
            self.places.extend_from_slice(&self.now);
        }
        matches
    }

    fn advance(&mut self, globs: &Globs, bytes: &[u8]) -> bool {
        for &byte in bytes {
            if byte == b'.' && globs.match_at(&self.now) {
                return true;
            }
            globs.step(&self.now, byte, &mut self.next);
            std::mem::swap(&mut self.now, &mut self.next);
            if self.now.is_empty() {
                return false;
            }
        }
        globs.match_at(&self.now)
    }

    /// Steps out of the member.
    pub(crate) fn pop(&mut self) {
        if let Some(level) = self.levels.pop() {
            self.places.truncate(level.start);
        }
    }

    /// Whether something below the member may match although the member itself does not: whether a dot leads anywhere.
    pub(crate) fn may_take_below(&self, globs: &Globs) -> bool {
        let places = self.levels.last().map_or(&globs.starts[..], |level| &self.places[level.start..]);
        places.iter().any(|&place| matches!(globs.token(place), Token::Byte(b'.') | Token::DoubleStar))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the member within these keys, itself the last of them, is taken; and whether something below it might
    /// be.
    fn follow(globs: &Globs, keys: &[&str]) -> (bool, bool) {
        let mut progress = Progress::default();
        let mut taken = false;
        for (at, key) in keys.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            taken = progress.push(globs, format!("{dot}{key}").as_bytes());
        }
        (taken, progress.may_take_below(globs))
    }

    #[test]
    fn stars_stay_within_a_segment_and_double_stars_do_not() {
        for (pattern, name, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.bc", false),
            ("a.*", "a.b", true),
            ("a.*", "a.", true),
            ("a.*", "a", false),
            ("a.*.c", "a.b.c", true),
            ("a.*c", "a.b.c", false),
            ("a.**c", "a.b.c", true),
            ("**", "a.b.c", true),
            ("**.c", "a.b.c", true),
            ("**.c", "c", false),
            ("*", "a", true),
            ("*", "", true),
            ("*", ".a", true),
            ("a*", ".a", false),
            ("m*s.**.x*", "memstats.a.b.xyz", true),
            ("m*s.**.x*", "memstats.a.b.yz", false),
            ("**a*b**c", "xxa1b.2.c", true),
            ("***b", "a.b", true),
            ("*.***", "a.b", true),
            ("a?", "ab", false),
            ("", "", true),
            ("", ".a", true),
            ("", "a", false),
            (".**", "", false),
            (".**", ".", true),
        ] {
            assert_eq!(follow(&Globs::new(&[pattern]), &[name]).0, expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_match_takes_in_what_is_below() {
        let choice = Choice::new(&["app.*", "up"], &["app.secret.**", "**.tmp"]);
        for (name, included, excluded) in [
            ("app.x", true, false),
            ("app.x.y", true, false),
            ("up", true, false),
            ("upper", false, false),
            ("app.secret", true, true),
            ("app.secret.key", true, true),
            ("app.a.tmp.b", true, true),
        ] {
            // Dots may stand within a key or between two.
            let keys: Vec<&str> = name.split('.').collect();
            for keys in [&[name][..], &keys] {
                let found = (follow(&choice.include, keys).0, follow(&choice.exclude, keys).0);
                assert_eq!(found, (included, excluded), "{keys:?}");
            }
        }
        let narrow = Globs::new(&["a.b.**", "c*.d", "x**y"]);
        for (name, expected) in [("a", true), ("b", false), ("cc", true), ("a.c", false), ("xa", true), ("ya", false)] {
            assert_eq!(follow(&narrow, &[name]), (false, expected), "{name}");
        }
    }

    #[test]
    fn members_go_on_from_the_one_around_them() {
        let globs = Globs::new(&["a.b*.c", "**x.y", "z"]);
        let mut progress = Progress::default();
        let step = |progress: &mut Progress, bytes: &str| progress.push(&globs, bytes.as_bytes());
        for _ in 0..2 {
            assert!(!step(&mut progress, "a"));
            assert!(!step(&mut progress, ".bb"));
            for (last, expected) in [(".c", true), (".d", false), (".c.d", true), (".cc", false), (".x.y", true)] {
                assert_eq!(step(&mut progress, last), expected, "{last}");
                assert_eq!(step(&mut progress, ".below"), expected, "below {last}");
                progress.pop();
                progress.pop();
            }
            progress.pop();
            assert!(!step(&mut progress, ".z"));
            progress.pop();
            progress.pop();
            assert!(step(&mut progress, "z"));
            progress.clear();
        }
    }

    /// What a byte costs, however it has come there.
    #[test]
    fn no_place_is_there_twice() {
        let globs = Globs::new(&["**a*a**a***a", "a**", "***", "*a*a*.**a", "b"]);
        let mut progress = Progress::default();
        for key in ["b", ".aaaa", ".a", ".", ".....", ".aaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            // Taken or not: the places behind each byte.
            progress.now.clone_from(&globs.starts);
            for byte in key.bytes() {
                globs.step(&progress.now, byte, &mut progress.next);
                std::mem::swap(&mut progress.now, &mut progress.next);
                assert!(progress.now.is_sorted_by(|a, b| a < b), "{key}: {:?}", progress.now);
            }
        }
    }

    #[test]
    fn the_contracts_defaults_stay_out() {
        let Choice { include, exclude } = Choice::default();
        for name in ["cmdline", "memstats.BySize", "memstats.BySize.Size"] {
            assert!(follow(&exclude, &[name]).0, "{name}");
        }
        for name in ["app.cmdline", "BySize", "memstats.BySizes"] {
            assert!(!follow(&exclude, &[name]).0 && follow(&include, &[name]).0, "{name}");
        }
    }
}
