//! Reads PEM files, as strictly as TLS libraries do, but reports what those would skip silently. Pure.

use crate::calendar::Timestamp;
use crate::secret::base64;
use std::fmt;

/// One block of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// The type of the content, such as `CERTIFICATE`.
    pub(crate) label: String,
    pub(crate) der: Vec<u8>,
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// Why a file is not a valid PEM file. A message has the file's name before its `Display`. Lines are counted from 1.
///
/// All of these are rare. The file was written by hand, joined from others, or cut off while it was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PemError {
    /// An editor has put a byte order mark before the text.
    ByteOrderMark,
    /// It is text, but in UTF-16.
    Utf16,
    /// The words BEGIN or END are not at the start of a line.
    Indented { line: usize, mark: &'static str },
    /// A line contains more than a BEGIN or an END. This is the most likely error: files were joined by `cat`, and the first
    /// had no newline at its end.
    MidLine { line: usize },
    /// A block begins within another one.
    NotClosed { begin_line: usize, line: usize },
    /// An END without a BEGIN before it.
    NotOpen { line: usize },
    /// The label of an END differs from that of its BEGIN.
    OtherEnd { line: usize, label: String, begin_line: usize },
    /// What is between BEGIN and END is not Base64.
    NotBase64 { label: String, begin_line: usize },
    /// The file ends within a block.
    NoEnd { label: String, begin_line: usize },
}

/// A block whose END has not been read yet.
struct OpenBlock {
    label: String,
    base64: String,
    begin_line: usize,
}

/// Reads the blocks of a file. Text between them is skipped.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn blocks(text: &[u8]) -> Result<Vec<Block>, PemError> {
    match text {
        [0xef, 0xbb, 0xbf, ..] => return Err(PemError::ByteOrderMark),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Err(PemError::Utf16),
        _ => {}
    }
    let (mut blocks, mut open) = (Vec::new(), None::<OpenBlock>);
    for (at, text) in text.split(|&byte| byte == b'\n').enumerate() {
        let (line, text) = (at + 1, String::from_utf8_lossy(text));
        let text = text.trim_end();
        for mark in [BEGIN, END] {
            check_place(text, line, mark, open.is_some())?;
        }
        if let Some(label) = text.strip_prefix(BEGIN) {
            if let Some(OpenBlock { begin_line, .. }) = open {
                return Err(PemError::NotClosed { begin_line, line });
            }
            let label = label.trim_end_matches(DASHES).to_owned();
            open = Some(OpenBlock { label, base64: String::new(), begin_line: line });
        } else if let Some(end_label) = text.strip_prefix(END) {
            let Some(OpenBlock { label, base64, begin_line }) = open.take() else {
                return Err(PemError::NotOpen { line });
            };
            if end_label.trim_end_matches(DASHES) != label {
                return Err(PemError::OtherEnd { line, label, begin_line });
            }
            match base64::decoded(&base64) {
                Some(der) => blocks.push(Block { label, der }),
                None => return Err(PemError::NotBase64 { label, begin_line }),
            }
        } else if let Some(open) = &mut open
            && !text.contains(':')
        {
            open.base64.push_str(text.trim_start());
        }
    }
    match open {
        Some(OpenBlock { label, begin_line, .. }) => Err(PemError::NoEnd { label, begin_line }),
        None => Ok(blocks),
    }
}

/// Checks that BEGIN and END are on lines of their own. In the text around the blocks these words may occur anywhere.
fn check_place(text: &str, line: usize, mark: &'static str, is_in_block: bool) -> Result<(), PemError> {
    let is_alone = |at: usize| at == 0 && text.ends_with(DASHES) && !text[mark.len()..].contains(mark);
    match text.find(mark) {
        None => Ok(()),
        Some(at) if is_alone(at) && (mark == BEGIN || !text.contains(BEGIN)) => Ok(()),
        Some(at) if text[..at].trim().is_empty() && at > 0 => Err(PemError::Indented { line, mark }),
        Some(at) if at > 0 && !is_in_block && !text[..at].contains(DASHES) => Ok(()),
        Some(_) => Err(PemError::MidLine { line }),
    }
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByteOrderMark => f.write_str("begins with a byte order mark (BOM): save it without one"),
            Self::Utf16 => f.write_str("is UTF-16 text: save it as ASCII or UTF-8"),
            Self::Indented { line, mark } => {
                write!(f, "line {line}: {mark}… is indented: it must be at the start of the line")
            }
            Self::MidLine { line } => write!(
                f,
                "line {line}: BEGIN or END in the middle of a line: were files joined without a newline between them?"
            ),
            Self::NotClosed { begin_line, line } => {
                write!(f, "the block that begins on line {begin_line} is not closed before line {line}")
            }
            Self::NotOpen { line } => write!(f, "line {line}: END without BEGIN"),
            Self::OtherEnd { line, label, begin_line } => {
                write!(f, "line {line}: expected the END of the {label} from line {begin_line}")
            }
            Self::NotBase64 { label, begin_line } => {
                write!(f, "the {label} that begins on line {begin_line} is not valid Base64")
            }
            Self::NoEnd { label, begin_line } => write!(f, "the {label} that begins on line {begin_line} has no END"),
        }
    }
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
/// The tag of the version within a certificate.
const VERSION: u8 = 0xa0;
/// The tag of a time whose year has two digits, as all times before 2050 have in certificates.
const UTC_TIME: u8 = 0x17;

/// The X.509 version of a certificate. None if it is not a certificate.
pub(crate) fn x509_version(der: &[u8]) -> Option<u8> {
    let certificate = value(der, SEQUENCE)?;
    let signed = value(certificate, SEQUENCE)?;
    match value(signed, VERSION) {
        Some(version) => value(version, INTEGER)?.last().map(|version| version.saturating_add(1)),
        None => Some(1),
    }
}

/// When a certificate expires. None if it is not a certificate.
pub(crate) fn expiry(der: &[u8]) -> Option<Timestamp> {
    let mut rest = value(value(der, SEQUENCE)?, SEQUENCE)?;
    // Before the validity there are the serial number, an algorithm, the issuer, and usually the version.
    let skipped = if rest.first() == Some(&VERSION) { 4 } else { 3 };
    for _ in 0..skipped {
        (_, _, rest) = element(rest)?;
    }
    let (_, _, last) = element(value(rest, SEQUENCE)?)?;
    let (tag, text, _) = element(last)?;
    let century = if tag == UTC_TIME { if *text.first()? < b'5' { "20" } else { "19" } } else { "" };
    let digits = [century.as_bytes(), text].concat();
    let part = |from, to| digits.get(from..to);
    let date = [part(0, 4)?, b"-", part(4, 6)?, b"-", part(6, 8)?];
    let time = [b"T", part(8, 10)?, b":", part(10, 12)?, b":", part(12, 14)?];
    Timestamp::parse(&[date.concat(), time.concat()].concat())
}

/// The value of the first DER element, if it has this tag.
fn value(der: &[u8], tag: u8) -> Option<&[u8]> {
    element(der).filter(|(found, ..)| *found == tag).map(|(_, value, _)| value)
}

/// The first DER element: its tag and its value, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let digits = usize::from(length & 0x7f);
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        _ if digits > 4 => return None,
        _ => {
            let (bytes, rest) = rest.split_at_checked(digits)?;
            (bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
        }
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((tag, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "-----BEGIN CERTIFICATE-----\nAQID\nBAUG\n-----END CERTIFICATE-----";

    fn problem(text: &str) -> String {
        blocks(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn blocks_are_read_with_whatever_stands_between_them() {
        let block = |label: &str| Block { label: label.to_owned(), der: vec![1, 2, 3, 4, 5, 6] };
        let text = format!("subject: a -----BEGIN of\r\n{}\r\n\n # key\n{}\n", ONE.replace('\n', "\r\n"), key());
        assert_eq!(blocks(text.as_bytes()), Ok(vec![block("CERTIFICATE"), block("EC PRIVATE KEY")]));
        assert_eq!(blocks(b"nothing"), Ok(Vec::new()));
    }

    fn key() -> String {
        ONE.replace("CERTIFICATE", "EC PRIVATE KEY").replacen('\n', "\nDEK: x\n\n", 1)
    }

    #[test]
    fn what_libraries_pass_over_is_named() {
        for (text, expected) in [
            (format!("\u{feff}{ONE}"), "byte order mark"),
            (format!("{ONE}{ONE}\n"), "line 4: BEGIN or END in the middle of a line"),
            (format!("{ONE}{}\n", key()), "line 4: BEGIN or END in the middle of a line"),
            (format!("# ca{ONE}"), "line 4: END without BEGIN"),
            (format!("  {ONE}"), "line 1: -----BEGIN … is indented"),
            (ONE.replace("\n-----END", "-----END"), "line 3: BEGIN or END in the middle of a line"),
            (ONE.replace("-----END CERTIFICATE-----", ""), "the CERTIFICATE that begins on line 1 has no END"),
            (format!("-----BEGIN CERTIFICATE-----\n{ONE}"), "begins on line 1 is not closed before line 2"),
            (ONE.replace("END CERTIFICATE", "END KEY"), "line 4: expected the END of the CERTIFICATE from line 1"),
            (ONE.replace("AQID", "A*ID"), "the CERTIFICATE that begins on line 1 is not valid Base64"),
        ] {
            let problem = problem(&text);
            assert!(problem.contains(expected), "{text}: {problem}");
        }
        assert_eq!(blocks(b"\xff\xfe-\0-\0"), Err(PemError::Utf16));
    }

    #[test]
    fn the_version_of_a_certificate_is_found() {
        // Two bytes of length, as real ones have.
        let v3 = [0x30, 0x82, 0, 8, 0x30, 6, 0xa0, 3, 2, 1, 2, 0];
        assert_eq!(x509_version(&v3), Some(3));
        assert_eq!(x509_version(&[0x30, 5, 0x30, 3, 2, 1, 7]), Some(1));
        for length in 0..v3.len() {
            assert_eq!(x509_version(&v3[..length]), None, "{length} bytes");
        }
        assert_eq!(x509_version(&[0x30, 0x89, 1, 2, 3]), None);
    }

    #[test]
    fn the_end_of_a_certificate_is_found() {
        let certificate = |tag: u8, end: &str, has_version: bool| {
            let of = |tag: u8, value: &[u8]| [&[tag, u8::try_from(value.len()).unwrap()][..], value].concat();
            let validity = [of(UTC_TIME, b"200101000000Z"), of(tag, end.as_bytes())].concat();
            let version = if has_version { of(VERSION, &[2, 1, 2]) } else { Vec::new() };
            let signed =
                [version, of(INTEGER, &[7]), of(SEQUENCE, &[]), of(SEQUENCE, &[5, 0]), of(SEQUENCE, &validity)];
            of(SEQUENCE, &of(SEQUENCE, &signed.concat()))
        };
        for (tag, end, expected) in [
            (UTC_TIME, "261222050607Z", Some("2026-12-22T05:06:07Z")),
            (UTC_TIME, "491231235959Z", Some("2049-12-31T23:59:59Z")),
            (UTC_TIME, "990228120000Z", Some("1999-02-28T12:00:00Z")),
            (0x18, "20520229000000Z", Some("2052-02-29T00:00:00Z")),
            (0x18, "99991231235959Z", Some("9999-12-31T23:59:59Z")),
            (UTC_TIME, "soon", None),
            (UTC_TIME, "", None),
        ] {
            for has_version in [true, false] {
                let der = certificate(tag, end, has_version);
                assert_eq!(expiry(&der).map(|time| time.to_string()).as_deref(), expected, "{end}");
                assert!((0..der.len()).all(|length| expiry(&der[..length]).is_none()), "{end}");
            }
        }
    }
}
