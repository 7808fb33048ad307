//! What can go wrong with dead-letter files, with a line in one, and with sending their documents again.

use crate::recorder::elasticsearch::verdict::Refusal;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why dead letters cannot be read from their file, or not be removed from it.
#[derive(Debug)]
pub(crate) enum LetterFileError {
    /// The file cannot be opened or read, or it is not a regular file. The usual cause is that the command runs as
    /// another user than the recorder.
    Unreadable { path: PathBuf, error: io::Error },
    /// The replacement of the file cannot be written. The usual causes are a full disk, and a folder in which this user
    /// may not create files.
    Unwritable { path: PathBuf, error: io::Error },
    /// Another `dead-letters retry` works on the same file: likely if a timer runs the command.
    InUse { path: PathBuf },
    /// Another process has held the lock for longer than [`LETTER_LOCK_TIME`](crate::limits::LETTER_LOCK_TIME).
    /// Unlikely, as expvastic itself holds it for microseconds.
    Locked { path: PathBuf },
    /// The file cannot be locked at all. Rare: the file system has no locks, or the file cannot be opened for writing.
    NotLockable { path: PathBuf, error: io::Error },
    /// The file is not as it was when it was read. Rare: a person or another program has moved, replaced or emptied it.
    Changed { path: PathBuf },
    /// The replacement is complete, but cannot replace the file. Rare: the disk has failed or become full at that moment.
    NotReplaced { path: PathBuf, error: io::Error },
}

impl LetterFileError {
    pub(super) fn unreadable(path: &Path, error: io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), error }
    }

    pub(super) fn unwritable(path: &Path, error: io::Error) -> Self {
        Self::Unwritable { path: path.to_owned(), error }
    }
}

impl fmt::Display for LetterFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => write!(f, "{} cannot be read: {error}", path.display()),
            Self::Unwritable { path, error } => write!(f, "{} cannot be written: {error}", path.display()),
            Self::InUse { path } => write!(f, "{} is in use by another `dead-letters retry`", path.display()),
            Self::Locked { path } => write!(f, "{} is locked by another process", path.display()),
            Self::NotLockable { path, error } => write!(f, "{} cannot be locked: {error}", path.display()),
            Self::Changed { path } => {
                write!(f, "{} was moved, replaced or emptied in the meantime and is left unchanged", path.display())
            }
            Self::NotReplaced { path, error } => write!(f, "{} cannot be replaced: {error}", path.display()),
        }
    }
}

/// Why `dead-letters retry` sends no more.
#[derive(Debug)]
pub(crate) enum Ended {
    /// A signal of this name was received: a person or the system ends the command. Occasional.
    Stopped(&'static str),
    /// The server is away, or refuses everything: the last refusal. By far the most common one.
    GaveUp(Refusal),
    /// The recorder's own output was closed. Should not happen: only servers refuse documents, and only files and streams
    /// are closed.
    OutputClosed(io::Error),
    /// A file cannot be read or written. Rare: the command runs as another user, or the disk is full.
    File(LetterFileError),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason: &dyn fmt::Display = match self {
            Self::Stopped(signal) => return write!(f, "{signal} received: unanswered dead letters are kept"),
            Self::File(error) => return error.fmt(f),
            Self::GaveUp(refusal) => refusal,
            Self::OutputClosed(error) => error,
        };
        write!(f, "gave up, the server accepts nothing: {reason}")
    }
}

/// Why letters are still in their files, although no server has refused their documents.
#[derive(Debug)]
pub(crate) enum RetryProblem {
    /// The command has ended before it sent anything. Rare: a file cannot be opened, or is in use.
    NothingSent(Ended),
    /// The command has ended before all letters were sent. The likeliest one: the server is away.
    Ended(Ended),
    /// The letters of one file cannot be read, or not be removed from it. Rare.
    File(LetterFileError),
}

impl fmt::Display for RetryProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingSent(ended) => write!(f, "nothing was sent: {ended}"),
            Self::Ended(ended) => ended.fmt(f),
            Self::File(error) => error.fmt(f),
        }
    }
}

/// Why a line is not a dead letter. If only expvastic writes to the file, only [`Self::Truncated`] occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoLetter {
    /// The line ends within the letter, because of a crash or a full disk.
    Truncated,
    /// Something else was written to the file.
    NoObject,
    /// The action line was changed, so it is unknown what a server would do with it.
    ForeignAction,
    /// The document was changed, or is missing.
    NoDocument,
    /// The line has two members of the same name, so it is ambiguous.
    RepeatedMember,
    /// The line is longer than any that expvastic writes.
    TooLong,
}

impl fmt::Display for NoLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "it is truncated",
            Self::NoObject => "it is not a JSON object",
            Self::ForeignAction => "its action was not written by expvastic",
            Self::NoDocument => "its document is not a JSON object",
            Self::RepeatedMember => "it has a duplicate member",
            Self::TooLong => "it is too long for a dead letter",
        })
    }
}
