//! The known name that a misspelt one was probably meant to be.

use crate::limits::SUGGESTED_CHARS_MAX;

/// The nearest of `known` to `name`, if it is near enough: at most a third of its letters differ.
pub(crate) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let length = name.chars().count();
    if length > SUGGESTED_CHARS_MAX {
        return None;
    }
    let lower = name.to_lowercase();
    let is_near = |candidate: &str, distance| distance <= (candidate.chars().count() / 3).max(1);
    known
        .into_iter()
        .filter(|candidate| is_near(candidate, length.abs_diff(candidate.chars().count())))
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| is_near(candidate, *distance))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, delete, replace or swap with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for row in 1..=a.len() {
        let mut current = vec![row];
        for column in 1..=b.len() {
            let replaced = above[column - 1] + usize::from(a[row - 1] != b[column - 1]);
            let mut best = replaced.min(above[column] + 1).min(current[column - 1] + 1);
            if row > 1 && column > 1 && a[row - 1] == b[column - 2] && a[row - 2] == b[column - 1] {
                best = best.min(before[column - 2] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_name_and_strangers_none() {
        let known = ["interval", "timeout", "type", "type_name", "endpoint"];
        for (slip, meant) in [
            ("intervall", Some("interval")),
            ("itnerval", Some("interval")),
            ("time_out", Some("timeout")),
            ("Type_Name", Some("type_name")),
            ("typ", Some("type")),
            ("end_point", Some("endpoint")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(slip, known), meant, "{slip}");
        }
    }
}
