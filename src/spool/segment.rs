//! What a segment of the spool contains: `_bulk` text, and beside it a list of checksums, one line for each document.
//!
//! Invariant: a document counts as whole if its checksum is in the list and it has the form of a document (an action
//! line of ours, then a JSON object in one line), and only then. So it does not matter in which order the system has
//! written things, which of them it has written, nor who wrote them: any part of both files gives exactly the documents
//! that are whole, and reading finds its place again after damaged data. Each byte is looked at only a few times,
//! whatever is in the files.

use crate::bulk::{self, Bulk};
use crate::limits;
use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;

/// A line of the list: 16 hexadecimal digits and a line end.
pub(crate) const SUM_BYTES: usize = 17;

/// Bytes of a list that are read: one for each document that a segment of ours can hold.
pub(crate) const SUMS_BYTES_MAX: u64 = limits::BULK_DOCUMENTS_MAX * SUM_BYTES as u64;

/// A document in the list of checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listed {
    pub(crate) sum: u64,
    /// The number of its line, from 0.
    pub(crate) place: u32,
}

/// A segment's documents, told from what is none.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) bulk: Bulk,
    /// What the list says of each of its documents; each place occurs once.
    pub(crate) found: Vec<Listed>,
    /// What is no document, as it was found.
    pub(crate) damaged: Vec<u8>,
}

/// Appends the line for one document of a bulk (action line, source, both line ends).
pub(crate) fn write_sum(out: &mut Vec<u8>, document: &[u8]) {
    // Writing into memory does not fail.
    let _ = writeln!(out, "{:016x}", checksum(document));
}

/// The number of documents in a list of this many bytes.
pub(crate) fn listed(sums_bytes: u64) -> u64 {
    sums_bytes.min(SUMS_BYTES_MAX).div_ceil(SUM_BYTES as u64)
}

/// Tells the documents in `text` that are in the list of `sums` from everything else.
///
/// It goes from one line to the next in which an action line may stand. A line of a document may have lost its end, so that
/// the next action line stands behind what is left of it, but a line ends with one action line at most: each is looked for
/// one once, looked at once as an action line, and once as a source.
pub(crate) fn check(text: Vec<u8>, sums: &[u8]) -> Checked {
    let (mut listed, beginning) = (places(sums), bulk::beginning());
    let (mut ends, mut found) = (Vec::new(), Vec::new());
    // Spans of the text. Between two documents there is one at most.
    let (mut whole, mut damaged) = (Vec::<Range<usize>>::new(), Vec::<Range<usize>>::new());
    let mut add_damaged = |span: Range<usize>| match damaged.last_mut() {
        Some(last) if last.end == span.start => last.end = span.end,
        _ if span.is_empty() => {}
        _ => damaged.push(span),
    };
    let (mut start, mut looked_at) = (0, 0);
    while start < text.len() {
        let next = beginning.find(&text[start..]).map_or(text.len(), |at| start + at);
        let line_start = if next < text.len() { line_start(&text, start, next) } else { next };
        looked_at += next - start;
        add_damaged(start..line_start);
        start = line_start;
        let rest = &text[start..];
        let line = first_line(rest);
        looked_at += line.len();
        let document = bulk::action_start(line).and_then(|at| {
            let source = first_line(&rest[line.len()..]);
            looked_at += source.len();
            let document = &rest[at..line.len() + source.len()];
            let sum = checksum(document);
            let is_whole = listed.contains_key(&sum) && bulk::is_source(source);
            // A second one of the same kind is none that was written.
            let place = is_whole.then(|| listed.remove(&sum)).flatten()?;
            Some((at, document.len(), sum, place))
        });
        let Some((at, length, sum, place)) = document else {
            add_damaged(start..start + line.len());
            start += line.len();
            continue;
        };
        add_damaged(start..start + at);
        start += at;
        whole.push(start..start + length);
        found.push(Listed { sum, place });
        start += length;
        ends.push(u32::try_from(start).unwrap_or(u32::MAX));
    }
    debug_assert!(looked_at <= 3 * text.len(), "{looked_at} bytes were looked at in {}", text.len());
    let (bulk, damaged) = match (damaged.is_empty(), whole.is_empty()) {
        (true, _) => (Bulk::of_documents(text, ends), Vec::new()),
        // Nothing is copied of what may be long.
        (false, true) => (Bulk::default(), text),
        (false, false) => {
            let mut bulk = Bulk::default();
            for span in whole {
                bulk.push_whole(&text[span]);
            }
            (bulk, damaged.into_iter().map(|span| &text[span]).collect::<Vec<_>>().concat())
        }
    };
    Checked { bulk, found, damaged }
}

/// The checksums in a list, each with its place: that of its line, if all lines are as long as they were written. No two
/// have one place, whatever the lines are.
fn places(sums: &[u8]) -> HashMap<u64, u32> {
    let (mut known, mut offset) = (HashMap::new(), 0);
    for line in sums.split(|&byte| byte == b'\n') {
        if let Some(sum) = read_sum(line) {
            known.entry(sum).or_insert_with(|| u32::try_from(offset / SUM_BYTES).unwrap_or(u32::MAX));
        }
        offset += line.len() + 1;
    }
    known
}

/// The beginning of the line that contains `at`, looking back no further than `start`, which is a beginning as well.
fn line_start(text: &[u8], start: usize, at: usize) -> usize {
    memchr::memrchr(b'\n', &text[start..at]).map_or(start, |end| start + end + 1)
}

/// The first line with its end, or all of it if it has none.
fn first_line(text: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', text).map_or(text, |end| &text[..=end])
}

fn read_sum(line: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(line).ok().filter(|line| line.len() == SUM_BYTES - 1)?;
    u64::from_str_radix(digits, 16).ok()
}

/// CRC-64 (ECMA-182, reflected): any single burst of up to 64 bits is seen for certain.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    const TABLE: [u64; 256] = table();
    let step = |sum: u64, byte: &u8| TABLE[usize::from(sum.to_le_bytes()[0] ^ byte)] ^ (sum >> 8);
    !bytes.iter().fold(u64::MAX, step)
}

const fn table() -> [u64; 256] {
    const POLYNOMIAL: u64 = 0xC96C_5795_D787_0F42;
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { POLYNOMIAL ^ (sum >> 1) } else { sum >> 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::{ActionLine, DocumentKey, IdSource};
    use crate::calendar::Timestamp;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn documents(number: usize) -> (Bulk, Vec<u8>) {
        let (mut bulk, mut sums, mut ids) = (Bulk::default(), Vec::new(), IdSource::new([7; 9]));
        for n in 0..number {
            let key = DocumentKey { time: Timestamp::EPOCH, id: ids.next_id() };
            bulk.push(
                &mut ActionLine::new("index"),
                key,
                format!("{{\"n\":{n},\"s\":\"{{\\\"create\\\"\"}}").as_bytes(),
            );
            write_sum(&mut sums, bulk.document(n));
        }
        (bulk, sums)
    }

    fn originals(bulk: &Bulk) -> HashSet<Vec<u8>> {
        (0..bulk.documents()).map(|index| bulk.document(index).to_vec()).collect()
    }

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(checksum(b"123456789"), 0x995D_C9BB_DF19_39FA);
    }

    #[test]
    fn an_undamaged_segment_is_its_bulk() {
        let (bulk, sums) = documents(9);
        assert_eq!((sums.len(), listed(sums.len() as u64)), (9 * SUM_BYTES, 9));
        let checked = check(bulk.bytes().to_vec(), &sums);
        assert_eq!((checked.bulk.bytes(), checked.bulk.documents()), (bulk.bytes(), 9));
        assert!(checked.damaged.is_empty());
    }

    #[test]
    fn a_flipped_bit_costs_the_document_that_it_is_in_and_at_most_its_neighbour() {
        let (bulk, sums) = documents(5);
        let whole = originals(&bulk);
        for bit in 0..bulk.bytes().len() * 8 {
            let mut text = bulk.bytes().to_vec();
            text[bit / 8] ^= 1 << (bit % 8);
            let checked = check(text.clone(), &sums);
            let found = originals(&checked.bulk);
            assert!(found.is_subset(&whole), "bit {bit}");
            assert!((3..=4).contains(&found.len()), "bit {bit}: {}", found.len());
            assert_eq!(checked.damaged.len() + checked.bulk.bytes().len(), text.len());
        }
        for bit in 0..sums.len() * 8 {
            let mut flipped = sums.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let checked = check(bulk.bytes().to_vec(), &flipped);
            let places: Vec<u32> = checked.found.iter().map(|found| found.place).collect();
            assert!(
                places.is_sorted_by(|one, other| one < other) && places.iter().all(|place| *place < 5),
                "bit {bit}"
            );
            let found = originals(&checked.bulk);
            // The case of a digit says nothing, so that one of its bits is of no consequence.
            assert!(found.is_subset(&whole) && found.len() >= 3, "bit {bit}: {}", found.len());
        }
    }

    fn sums_of(documents: &[&str]) -> Vec<u8> {
        let mut sums = Vec::new();
        for document in documents {
            write_sum(&mut sums, document.as_bytes());
        }
        sums
    }

    #[test]
    fn what_has_a_right_checksum_and_another_form_is_damage() {
        let action = "{\"create\":{\"_index\":\"i\",\"_id\":\"x\"}}\n";
        for text in [
            "a\nb\n".to_owned(),
            "\n\n".to_owned(),
            format!("{action}{action}").replacen("create", "index", 1),
            format!("{action}[1]\n"),
            format!("{action}{{\"a\":1\n"),
            format!("{action}\n"),
            format!("{action}{{}}"),
            format!("{{}}\n{action}"),
            format!("{}{{}}\n", action.replace("\"i\"", "\"i\\\"")),
        ] {
            let checked = check(text.as_bytes().to_vec(), &sums_of(&[&text]));
            assert_eq!((checked.bulk.documents(), checked.damaged.as_slice()), (0, text.as_bytes()), "{text}");
        }
        let whole = format!("{action}{{}}\n");
        let checked = check(whole.repeat(3).into_bytes(), &sums_of(&[&whole]));
        assert_eq!(
            (checked.bulk.bytes(), checked.found.len()),
            (whole.as_bytes(), 1),
            "once for each line of the list"
        );
        assert_eq!(checked.damaged, whole.repeat(2).as_bytes());
    }

    /// `check` asserts how often it looks at each byte.
    #[test]
    fn no_text_takes_longer_than_its_length() {
        let action = "{\"create\":{\"_index\":\"i\",\"_id\":\"x\"}}";
        let beginning = "{\"create\":{\"_index\":\"";
        for piece in [beginning, action, "{", "\r", "\n", &format!("{action}\n"), &format!("{action}\n{beginning}")] {
            for end in ["", "\n", "\n\n"] {
                let text = piece.repeat((2 << 20) / piece.len()) + end;
                let checked = check(text.as_bytes().to_vec(), b"0123456789abcdef\n");
                assert!(checked.bulk.is_empty() && checked.damaged == text.as_bytes(), "{piece}");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_is_damaged_nothing_is_found_that_was_not_there(
            cuts in prop::collection::vec((any::<bool>(), 0.0..1.0, 0.0..1.0, any::<Option<u8>>()), 1..6),
        ) {
            let (bulk, sums) = documents(12);
            let mut both = [bulk.bytes().to_vec(), sums];
            for (of_sums, from, to, byte) in cuts {
                let bytes = &mut both[usize::from(of_sums)];
                #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss,
                    reason = "a place in a few hundred bytes")]
                let place = |part: f64| (part * bytes.len() as f64) as usize;
                let (from, to) = (place(from).min(place(to)), place(from).max(place(to)));
                match byte {
                    Some(byte) => bytes[from..to].fill(byte),
                    None => drop(bytes.drain(from..to)),
                }
            }
            let [text, sums] = both;
            let checked = check(text, &sums);
            prop_assert!(originals(&checked.bulk).is_subset(&originals(&bulk)));
        }
    }
}
