//! Finds the patterns of a list that match nothing at all, so that users learn about misspelt ones. Runs once for each
//! reader.

use super::{Globs, Place, Token};

/// Matches all patterns of a list against all names of a payload.
pub(crate) struct Matched<'g> {
    globs: &'g Globs,
    /// For each pattern, whether it has matched something.
    are_used: Vec<bool>,
    /// The places of [`Token::End`], in the order of the patterns.
    ends: Vec<Place>,
    /// The places that the names of the objects around the current member have reached, one level after the other.
    places: Vec<Place>,
    /// Where the places of each level begin.
    levels: Vec<usize>,
    next: Vec<Place>,
}

impl<'g> Matched<'g> {
    pub(crate) fn new(globs: &'g Globs) -> Self {
        let ends: Vec<Place> =
            (0..).zip(&globs.tokens).filter(|(_, token)| **token == Token::End).map(|(at, _)| at).collect();
        let are_used = vec![false; ends.len()];
        Self { globs, are_used, ends, places: globs.starts.clone(), levels: vec![0], next: Vec::new() }
    }

    /// Steps into a member, whose name is that of the object around it followed by `bytes`.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let around = self.levels.last().map_or(0, |&start| start);
        let mut now = self.places[around..].to_vec();
        for &byte in bytes {
            if byte == b'.' {
                self.mark(&now);
            }
            self.globs.step(&now, byte, &mut self.next);
            std::mem::swap(&mut now, &mut self.next);
            if now.is_empty() {
                break;
            }
        }
        self.mark(&now);
        self.levels.push(self.places.len());
        self.places.append(&mut now);
    }

    /// Steps out of the member.
    pub(crate) fn pop(&mut self) {
        if let Some(start) = self.levels.pop() {
            self.places.truncate(start);
        }
    }

    fn mark(&mut self, places: &[Place]) {
        for place in places.iter().filter(|place| self.globs.token(**place) == Token::End) {
            if let Ok(at) = self.ends.binary_search(place) {
                self.are_used[at] = true;
            }
        }
    }

    /// The patterns that have matched nothing, as they were given.
    pub(crate) fn unmatched(&self) -> impl Iterator<Item = &str> {
        let texts = self.globs.texts.iter().zip(&self.are_used);
        texts.filter(|(_, is_used)| !**is_used).map(|(text, _)| text.as_str())
    }
}
