//! Numbers for messages: with nouns, as in "1 document" and "3 documents", and in groups of three digits. Pure.

/// `1 document`, `3 documents`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// `12,345`.
pub(crate) fn grouped(number: u64) -> String {
    let mut text = number.to_string();
    for end in (1..text.len()).rev().skip(2).step_by(3) {
        text.insert(end, ',');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{counted, grouped};

    #[test]
    fn long_numbers_are_grouped() {
        let numbers = [0, 999, 1000, 12_345, 123_456, 1_234_567, u64::MAX];
        let expected = ["0", "999", "1,000", "12,345", "123,456", "1,234,567", "18,446,744,073,709,551,615"];
        assert_eq!(numbers.map(grouped), expected);
    }

    #[test]
    fn only_one_is_singular() {
        let said = [0, 1, 2].map(|number| counted(number, "document"));
        assert_eq!(said, ["0 documents", "1 document", "2 documents"]);
    }
}
