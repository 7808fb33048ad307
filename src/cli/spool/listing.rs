//! `expvastic spool ls`: the segments of each spool, and for each spool and for all of them how much waits, and since
//! when.

use super::{Failed, documents};
use crate::calendar::Timestamp;
use crate::clock;
use crate::config::Recorder;
use crate::document;
use crate::plural::counted;
use crate::spool::disk::{self, Survey};
use crate::spool::files::Folder;
use crate::spool::segment;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// Bytes at the beginning of a segment in which the first document begins: its action line is shorter.
const HEAD_BYTES: u64 = 4 << 10;

/// What has been listed so far.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Leave the segments out.
    is_summary: bool,
    spools: u64,
    total: Amount,
}

/// How much waits, and between which times it was made.
#[derive(Debug, Default, Clone, Copy)]
struct Amount {
    documents: u64,
    bytes: u64,
    oldest: Option<Duration>,
    newest: Option<Duration>,
}

impl Listing {
    pub(super) fn new(is_summary: bool) -> Self {
        Self { is_summary, ..Self::default() }
    }

    /// Lists one spool. There is no folder as long as nothing has waited.
    pub(super) fn add(
        &mut self,
        recorder: &Recorder,
        path: &Path,
        bytes_max: u64,
        folder: Option<(&Folder, &Survey)>,
        out: &mut impl Write,
    ) -> Result<(), Failed> {
        let mut amount = Amount { bytes: Survey::default().used_bytes(), ..Amount::default() };
        if let Some((folder, survey)) = folder {
            if !self.is_summary {
                segments(path, survey, out)?;
            }
            amount = Amount::of(folder, survey);
        }
        let waiting = counted(amount.documents, "document");
        let bytes = amount.bytes;
        write!(out, "{}: {waiting} waiting in {}, {bytes} of {bytes_max} bytes", recorder.name, path.display())?;
        amount.write_ages(out)?;
        self.spools += 1;
        self.total.add(amount);
        Ok(())
    }

    /// Ends the list with the totals, if there is anything in it.
    pub(super) fn end(&self, out: &mut impl Write) -> io::Result<()> {
        if self.spools == 0 {
            return Ok(());
        }
        let Amount { documents, bytes, .. } = self.total;
        let (documents, spools) = (counted(documents, "document"), counted(self.spools, "spool"));
        write!(out, "total: {documents} waiting in {spools}, {bytes} bytes")?;
        self.total.write_ages(out)
    }
}

fn segments(path: &Path, survey: &Survey, out: &mut impl Write) -> io::Result<()> {
    for files in &survey.segments {
        let documents = counted(segment::listed(files.sums_bytes), "document");
        writeln!(out, "{}: {documents}, {} bytes", disk::text_path(path, files.number).display(), files.text_bytes)?;
    }
    for &(number, bytes) in &survey.set_aside {
        writeln!(out, "{}: damaged, set aside, {bytes} bytes", disk::damaged_path(path, number).display())?;
    }
    Ok(())
}

impl Amount {
    /// The first document of each segment is looked at, and all of the last segment. What cannot be read has no age.
    fn of(folder: &Folder, survey: &Survey) -> Self {
        let mut amount = Self { documents: documents(survey), bytes: survey.used_bytes(), ..Self::default() };
        for files in &survey.segments {
            amount.saw(time(&disk::read_head(folder, files.number, HEAD_BYTES).unwrap_or_default()));
        }
        if let Some(files) = survey.segments.last()
            && let Ok((checked, _)) = disk::read_segment(folder, *files)
        {
            let bulk = &checked.bulk;
            for index in 0..bulk.documents() {
                amount.saw(time(bulk.document(index)));
            }
        }
        amount
    }

    fn saw(&mut self, time: Option<Duration>) {
        self.oldest = self.oldest.into_iter().chain(time).min();
        self.newest = self.newest.max(time);
    }

    fn add(&mut self, other: Self) {
        self.documents += other.documents;
        self.bytes += other.bytes;
        self.saw(other.oldest);
        self.saw(other.newest);
    }

    fn write_ages(self, out: &mut impl Write) -> io::Result<()> {
        if let Some((oldest, newest)) = self.oldest.zip(self.newest) {
            let now = clock::timestamp().duration_since_epoch();
            let [oldest, newest] = [oldest, newest].map(|time| age(now.saturating_sub(time)));
            write!(out, ", oldest {oldest}, newest {newest}")?;
        }
        writeln!(out)
    }
}

/// When a document was made, which begins with its action line.
fn time(document: &[u8]) -> Option<Duration> {
    let source = document.splitn(2, |byte| *byte == b'\n').nth(1)?;
    let text = source.strip_prefix(document::TIME)?;
    Timestamp::parse(text).map(Timestamp::duration_since_epoch)
}

/// `45 s`, `12 min`, `3 h 12 min`, `5 d 3 h`.
fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match hours {
        0 if minutes == 0 => format!("{seconds} s"),
        0 => format!("{minutes} min"),
        1..48 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{} d {} h", hours / 24, hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_two_units_at_most() {
        for (seconds, expected) in
            [(0, "0 s"), (59, "59 s"), (3599, "59 min"), (11_520, "3 h 12 min"), (442_800, "5 d 3 h")]
        {
            assert_eq!(age(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn a_time_is_that_of_a_document_only() {
        let made = Duration::from_secs(1_795_323_967);
        let mut document = b"{\"create\":{}}\n".to_vec();
        document::begin(&mut document, Timestamp::since_epoch(made), b"");
        assert_eq!(time(&document), Some(made));
        for other in [&b""[..], b"\n{\"@timestamp\":\"", b"\n{\"@timestamp\":\"2026-11-22T05:06", b"\n{\"time\":1}"] {
            assert_eq!(time(other), None);
        }
    }
}
