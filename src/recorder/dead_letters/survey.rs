//! Reads what a dead-letter file contains.

use super::error::NoLetter;
use super::files::{LetterFile, Line};
use super::letter::Letter;
use super::summary::Summary;
use crate::limits;
use std::io;

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) letters: u64,
    /// When the first and the last of them were refused. Empty if there are none.
    pub(crate) first: String,
    pub(crate) last: String,
    pub(crate) kinds: Summary,
    /// Lines that are not letters.
    pub(crate) broken_lines: u64,
    /// Messages about the first few of those lines.
    pub(crate) broken: Vec<String>,
}

impl Survey {
    /// Reads the whole file.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn of(file: &LetterFile) -> io::Result<Self> {
        let (mut survey, mut lines) = (Self::default(), file.lines()?);
        while let Some(line) = lines.next()? {
            match line.letter() {
                Ok(None) => {}
                Ok(Some(letter)) => survey.add(&letter),
                Err(why) => {
                    survey.broken_lines += 1;
                    if survey.broken.len() < limits::BROKEN_LETTERS_SHOWN {
                        survey.broken.push(format!("{} line {}: {why}", file.path().display(), line.number));
                    }
                }
            }
        }
        Ok(survey)
    }

    fn add(&mut self, letter: &Letter<'_>) {
        self.letters += 1;
        self.kinds.add(&letter.kind(), &letter.message(), 1);
        // Times in the same format can be compared as texts.
        let time = letter.time();
        if self.last < time {
            self.last.clone_from(&time);
        }
        if !time.is_empty() && (self.first.is_empty() || time < self.first) {
            self.first = time;
        }
    }
}

impl<'l> Line<'l> {
    /// Splits the line. Returns `None` if it is blank.
    ///
    /// # Errors
    /// Why it is not a letter.
    pub(super) fn letter(&self) -> Result<Option<Letter<'l>>, NoLetter> {
        match self.text {
            Some(text) if text.trim_ascii().is_empty() => Ok(None),
            Some(text) => Letter::split(text).map(Some),
            None => Err(NoLetter::TooLong),
        }
    }
}
