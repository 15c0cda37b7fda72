//! The nearest of the words that would have been right.
//!
//! Does not know what the words stand for.

/// The candidate closest to `word`, if it is close enough to be what was meant.
///
/// Closeness is the number of inserted, dropped, replaced or swapped characters
/// (optimal string alignment), at most a third of the longer word and at least one.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(cost, candidate)| {
            let longer = word.chars().count().max(candidate.chars().count());
            *cost <= (longer / 3).max(1)
        })
        .min_by_key(|(cost, _)| *cost)
        .map(|(_, candidate)| candidate)
}

fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.to_lowercase().chars().collect();
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, &a) in left.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, &b) in right.iter().enumerate() {
            let replaced = above[column] + usize::from(a != b);
            let mut cost = replaced.min(above[column + 1] + 1).min(line[column] + 1);
            let swapped = row > 0 && column > 0 && a == right[column - 1] && b == left[row - 1];
            if swapped {
                cost = cost.min(before[column - 1] + 1);
            }
            line.push(cost);
        }
        before = std::mem::replace(&mut above, line);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("epochs", "epochs"), 0);
        assert_eq!(distance("epocs", "epochs"), 1);
        assert_eq!(distance("sede", "seed"), 1, "a swap is one edit");
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn suggests_only_what_is_close() {
        let keys = ["rank", "alpha", "learning_rate"];
        assert_eq!(nearest("learningrate", keys), Some("learning_rate"));
        assert_eq!(nearest("rnak", keys), Some("rank"));
        assert_eq!(nearest("temperature", keys), None);
    }
}
