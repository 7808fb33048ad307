//! Lists of patterns that match the names of variables.

use super::section::Section;
use crate::limits;

/// How many bytes of a pattern an error shows, and how many of its alternatives.
const SHOWN_BYTES_MAX: usize = 100;
const SHOWN_ALTERNATIVES_MAX: usize = 3;

/// Takes a list of patterns.
pub(super) fn patterns(section: &mut Section<'_, '_>, key: &'static str) -> Option<Vec<String>> {
    let texts = section.texts_or_none(key)?;
    if texts.len() > limits::PATTERNS_MAX {
        section.lacks(format!("{} patterns in {key}, at most {} are allowed", texts.len(), limits::PATTERNS_MAX));
        return None;
    }
    for (text, place) in &texts {
        if let Some(problem) = problem(text, key) {
            section.wrong(place, problem);
        }
    }
    Some(texts.into_iter().map(|(text, _)| text).collect())
}

/// What is wrong with a pattern in `key`.
pub(super) fn problem(text: &str, key: &str) -> Option<String> {
    if text.is_empty() {
        return Some(format!("an empty pattern in {key} matches nothing: expected a name such as memstats.*"));
    }
    braces(text)
}

/// The problem with a pattern that has alternatives in braces, as in shells. Here, braces and commas stand for
/// themselves.
fn braces(text: &str) -> Option<String> {
    // Looks for a comma in braces. Only the innermost brace counts.
    let mut open = None;
    let mut comma = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => (open, comma) = (Some(at), false),
            b',' => comma = open.is_some(),
            b'}' if comma => return open.map(|open| not_supported(text, open, at)),
            b'}' => open = None,
            _ => {}
        }
    }
    None
}

fn not_supported(text: &str, open: usize, close: usize) -> String {
    let (before, behind) = (&text[..open], &text[close + 1..]);
    let alternatives: Vec<&str> = text[open + 1..close].split(',').collect();
    let shown = alternatives.iter().take(SHOWN_ALTERNATIVES_MAX);
    let written: Vec<String> = shown.map(|one| format!("{:?}", cut(&[before, one.trim(), behind]))).collect();
    let more = if alternatives.len() > SHOWN_ALTERNATIVES_MAX { ", …" } else { "" };
    format!(
        "the pattern {:?} has alternatives in braces, which are not supported: write one pattern for each, [{}{more}] \
         (to match a literal brace or comma use *)",
        cut(&[text]),
        written.join(", ")
    )
}

/// The concatenation of some texts, cut to what an error shows.
fn cut(texts: &[&str]) -> String {
    let mut chars = texts.iter().flat_map(|text| text.chars());
    let shown: String = chars.by_ref().take(SHOWN_BYTES_MAX).collect();
    if chars.next().is_some() { shown + "…" } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_in_braces_are_told_from_braces_in_names() {
        for (text, written) in [
            ("memstats.{Alloc,Sys}", r#"["memstats.Alloc", "memstats.Sys"]"#),
            ("{a, b}.**", r#"["a.**", "b.**"]"#),
            ("x{a,b,c,d}y", r#"["xay", "xby", "xcy", …]"#),
            ("a{,b}", r#"["a", "ab"]"#),
            ("{x}{a,b}{c,d}", r#"["{x}a{c,d}", "{x}b{c,d}"]"#),
            ("{x,{a,b}", r#"["{x,a", "{x,b"]"#),
        ] {
            let problem = braces(text).unwrap_or_else(|| panic!("{text}"));
            assert!(problem.contains(written) && problem.contains(&format!("{text:?}")), "{problem}");
        }
        for text in ["GET /x/{id}.count", "a,b", "{a", "a}", "}a,b{", "{}", "a,{b}", "{a},b", "{a},{b}"] {
            assert_eq!(braces(text), None, "{text}");
        }
        for unit in ["{", "{,", "{a,b}", ",", "}", "é"] {
            let long = format!("{{a,{}}}", unit.repeat(100_000));
            assert!(braces(&long).is_none_or(|problem| problem.len() < 4_000), "{unit}");
        }
    }
}
