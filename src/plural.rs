//! Numbers with nouns, for messages: "1 document", "3 documents". Pure.

/// `1 document`, `3 documents`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn only_one_is_singular() {
        let said = [0, 1, 2].map(|number| counted(number, "document"));
        assert_eq!(said, ["0 documents", "1 document", "2 documents"]);
    }
}
