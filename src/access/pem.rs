//! PEM files, read as strictly as TLS libraries read them. What those would silently skip is reported here. Pure.

use crate::secret::base64;

/// One block of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Such as `CERTIFICATE`.
    pub(crate) label: String,
    pub(crate) der: Vec<u8>,
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// The blocks of a file; text between them is skipped.
///
/// # Errors
/// What is wrong with it, in words that fit behind its name.
pub(crate) fn blocks(text: &[u8]) -> Result<Vec<Block>, String> {
    match text {
        [0xef, 0xbb, 0xbf, ..] => {
            return Err("begins with a byte order mark (BOM): save it without one".to_owned());
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Err("is UTF-16 text: save it as ASCII or UTF-8".to_owned()),
        _ => {}
    }
    let (mut blocks, mut open) = (Vec::new(), None::<(String, String, usize)>);
    for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let (number, line) = (number + 1, String::from_utf8_lossy(line));
        let line = line.trim_end();
        for mark in [BEGIN, END] {
            check_place(line, mark, open.is_some()).map_err(|problem| format!("line {number}: {problem}"))?;
        }
        if let Some(label) = line.strip_prefix(BEGIN) {
            if let Some((_, _, begun)) = open {
                return Err(format!("the block that begins on line {begun} is not closed before line {number}"));
            }
            open = Some((label.trim_end_matches(DASHES).to_owned(), String::new(), number));
        } else if let Some(label) = line.strip_prefix(END) {
            let Some((expected, digits, begun)) = open.take() else {
                return Err(format!("line {number}: END without BEGIN"));
            };
            if label.trim_end_matches(DASHES) != expected {
                return Err(format!("line {number}: expected the END of the {expected} from line {begun}"));
            }
            let der = base64::decoded(&digits)
                .ok_or_else(|| format!("the {expected} that begins on line {begun} is not valid Base64"))?;
            blocks.push(Block { label: expected, der });
        } else if let Some((_, digits, _)) = &mut open
            && !line.contains(':')
        {
            digits.push_str(line.trim_start());
        }
    }
    match open {
        Some((label, _, begun)) => Err(format!("the {label} that begins on line {begun} has no END")),
        None => Ok(blocks),
    }
}

/// A block begins and ends in lines of their own; in text around the blocks the words may stand anywhere.
fn check_place(line: &str, mark: &str, is_in_block: bool) -> Result<(), String> {
    let is_alone = |at: usize| at == 0 && line.ends_with(DASHES) && !line[mark.len()..].contains(mark);
    match line.find(mark) {
        None => Ok(()),
        Some(at) if is_alone(at) && (mark == BEGIN || !line.contains(BEGIN)) => Ok(()),
        Some(at) if line[..at].trim().is_empty() && at > 0 => {
            Err(format!("{mark}… is indented: it must be at the start of the line"))
        }
        Some(at) if at > 0 && !is_in_block && !line[..at].contains(DASHES) => Ok(()),
        Some(_) => {
            Err("BEGIN or END in the middle of a line: were files joined without a newline between them?".to_owned())
        }
    }
}

/// The version of X.509 that a certificate has; none if it is no certificate.
pub(crate) fn x509_version(der: &[u8]) -> Option<u8> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    const INTEGER: u8 = 0x02;
    let certificate = value(der, SEQUENCE)?;
    let signed = value(certificate, SEQUENCE)?;
    match value(signed, VERSION) {
        Some(version) => value(version, INTEGER)?.last().map(|version| version.saturating_add(1)),
        None => Some(1),
    }
}

/// The value of the first element, if it has this tag.
fn value(der: &[u8], tag: u8) -> Option<&[u8]> {
    let (&found, rest) = der.split_first()?;
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
    (found == tag).then(|| rest.get(..length)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "-----BEGIN CERTIFICATE-----\nAQID\nBAUG\n-----END CERTIFICATE-----";

    fn problem(text: &str) -> String {
        blocks(text.as_bytes()).unwrap_err()
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
        assert!(blocks(b"\xff\xfe-\0-\0").unwrap_err().contains("UTF-16"));
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
}
