//! Finds the end of the last complete document in a `_bulk` file. The file is read from its end, because it may be huge, and
//! no other task runs meanwhile.

use crate::limits;
use std::io::{self, Read, Seek, SeekFrom};

/// The beginnings of action lines that are followed by a document.
const ACTIONS: [&[u8]; 2] = [b"{\"create\":", b"{\"index\":"];

/// The length of the file without an incomplete document at its end, which a crash may have left.
///
/// # Errors
/// The system's error, or that the file does not consist of documents.
pub(super) fn whole_bytes(file: &mut (impl Read + Seek)) -> io::Result<u64> {
    if !begins_action(file, 0, u64::MAX)? {
        return Err(foreign("it does not begin with an action line"));
    }
    let length = file.seek(SeekFrom::End(0))?;
    let end = line_start(file, length)?;
    let last_line = line_start(file, end.saturating_sub(1))?;
    let waits = end > last_line && begins_action(file, last_line, end)?;
    Ok(if waits { last_line } else { end })
}

/// Whether there is an action line at `start`, or the beginning of one that is cut off at `end`.
fn begins_action(file: &mut (impl Read + Seek), start: u64, end: u64) -> io::Result<bool> {
    file.seek(SeekFrom::Start(start))?;
    let mut beginning = Vec::new();
    file.take((end - start).min(ACTIONS[0].len() as u64)).read_to_end(&mut beginning)?;
    let fits = |action: &&[u8]| action.iter().zip(&beginning).all(|(expected, found)| expected == found);
    Ok(ACTIONS.iter().any(fits))
}

/// The error for a file that this program has not written, and which it must not truncate.
fn foreign(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{why}: not a file of documents, choose another path"))
}

/// The start of the line that reaches up to `before`.
fn line_start(file: &mut (impl Read + Seek), before: u64) -> io::Result<u64> {
    let mut block = [0; limits::TORN_READ_BYTES];
    let mut at = before;
    while at > 0 {
        if before - at > limits::TORN_BYTES_MAX {
            return Err(foreign(&format!("no end of line within {} bytes", limits::TORN_BYTES_MAX)));
        }
        let block = &mut block[..usize::try_from(at).unwrap_or(usize::MAX).min(limits::TORN_READ_BYTES)];
        at -= block.len() as u64;
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(block)?;
        if let Some(end) = memchr::memrchr(b'\n', block) {
            return Ok(at + end as u64 + 1);
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Cursor, Write};

    const DOCUMENT: &str =
        "{\"create\":{\"_index\":\"i\",\"_id\":\"x\"}}\n{\"@timestamp\":1,\"s\":\"{\\\"create\\\":\"}\n";

    fn whole(text: &str) -> usize {
        usize::try_from(whole_bytes(&mut Cursor::new(text)).unwrap()).unwrap()
    }

    /// The naive solution: reads the whole file, and counts two lines for each document.
    fn twin(text: &str) -> usize {
        text.match_indices('\n').map(|(at, _)| at + 1).skip(1).step_by(2).last().unwrap_or(0)
    }

    #[test]
    fn wherever_it_is_torn_the_whole_documents_stay() {
        let long = DOCUMENT.replace("\"s\":\"", &format!("\"s\":\"{}", "x".repeat(3 * limits::TORN_READ_BYTES)));
        let index = DOCUMENT.replacen("create", "index", 1);
        for text in [DOCUMENT.repeat(3), [DOCUMENT, &index, &index].concat(), [DOCUMENT, &long, DOCUMENT].concat()] {
            for end in (0..=text.len()).filter(|end| end % 7 == 0 || text.len() - end < 200 || *end < 200) {
                assert_eq!(whole(&text[..end]), twin(&text[..end]), "{end} of {}", text.len());
            }
        }
    }

    /// Counts the bytes that are read.
    struct Counting(File, usize);

    impl Read for Counting {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let read = self.0.read(into)?;
            self.1 += read;
            Ok(read)
        }
    }

    impl Seek for Counting {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    #[test]
    fn of_a_huge_file_only_the_end_is_read() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(DOCUMENT.as_bytes()).unwrap();
        let hole = 1 << 33;
        file.seek(SeekFrom::Start(hole)).unwrap();
        let whole = format!("\n{}", DOCUMENT.repeat(1000));
        file.write_all(whole.as_bytes()).unwrap();
        file.write_all(&DOCUMENT.as_bytes()[..50]).unwrap();
        let mut counting = Counting(file, 0);
        assert_eq!(whole_bytes(&mut counting).unwrap(), hole + whole.len() as u64);
        assert!((1..=3 * limits::TORN_READ_BYTES).contains(&counting.1), "{} bytes were read", counting.1);

        // A file without any line end is given up after a bounded number of bytes.
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(DOCUMENT.as_bytes()).unwrap();
        file.set_len(1 << 33).unwrap();
        let mut counting = Counting(file, 0);
        let said = whole_bytes(&mut counting).unwrap_err().to_string();
        assert_eq!(said, "no end of line within 83886080 bytes: not a file of documents, choose another path");
        assert!(counting.1 as u64 <= limits::TORN_BYTES_MAX + 2 * limits::TORN_READ_BYTES as u64, "{}", counting.1);
    }

    #[test]
    fn a_file_of_somebody_elses_is_left_alone() {
        for text in ["one long line only", "x\n{\"create\":{}}\n", "[1", "{\"created\":1}\n{"] {
            let said = whole_bytes(&mut Cursor::new(text)).unwrap_err().to_string();
            assert_eq!(said, "it does not begin with an action line: not a file of documents, choose another path");
        }
        assert_eq!((whole(""), whole("{"), whole("{\"cre")), (0, 0, 0));
    }
}
