//! The nearest valid name to a mistyped one.
//!
//! Does not know what the names stand for.

/// The candidate closest to `given` by edit distance, when it is close enough
/// to be what was meant (at most a third of the longer name, but at least 2).
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(given, candidate), candidate))
        .filter(|(distance, candidate)| {
            let longer = given.chars().count().max(candidate.chars().count());
            *distance <= (longer / 3).max(2) && *distance < longer
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A hint that suggests the nearest name, or lists all of them.
pub fn hint(given: &str, candidates: &[&str]) -> String {
    match nearest(given, candidates.iter().copied()) {
        Some(found) => format!("did you mean `{found}`?"),
        None => format!("valid names: `{}`", candidates.join("`, `")),
    }
}

/// Levenshtein distance in characters.
pub(crate) fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn a_typo_finds_its_name_and_nonsense_none() {
        assert_eq!(nearest("metrcs", ["name", "metrics"]), Some("metrics"));
        assert_eq!(nearest("zzz", ["name", "metrics"]), None);
        assert_eq!(hint("zzzzzz", &["a", "b"]), "valid names: `a`, `b`");
    }
}
