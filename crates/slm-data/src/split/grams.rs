//! Word 3-grams, their Jaccard similarity, and an index that finds every
//! training row at or above a threshold.
//!
//! Does not know splits.

use crate::hash::fnv1a;
use crate::sample::{Role, Sample};
use std::collections::HashMap;

/// What of a row is compared with other rows: the user's turns, in order,
/// without the leaf's instruction (`metadata.instruction_bytes` of the first),
/// which all rows of a leaf share.
pub fn comparable_text(sample: &Sample) -> String {
    let instruction = sample
        .metadata
        .get("instruction_bytes")
        .and_then(serde_json::Value::as_u64)
        .unwrap_or(0);
    let mut text = String::new();
    for (n, turn) in sample
        .messages
        .iter()
        .filter(|m| m.role == Role::User)
        .enumerate()
    {
        let skip = if n == 0 {
            usize::try_from(instruction).unwrap_or(0)
        } else {
            text.push('\n');
            0
        };
        text.push_str(turn.content.get(skip..).unwrap_or(&turn.content));
    }
    text
}

/// Lower-case words: runs of letters and digits.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// The hashes of a text's word n-grams, sorted, each once. A text shorter than
/// `n` words has one gram, itself.
pub(crate) fn grams(text: &str, n: usize) -> Vec<u64> {
    let words = tokens(text);
    let hash = |window: &[String]| fnv1a(window.join(" ").as_bytes());
    let mut grams: Vec<u64> = match words.len() {
        0 => vec![],
        len if len < n => vec![hash(&words)],
        _ => words.windows(n).map(hash).collect(),
    };
    grams.sort_unstable();
    grams.dedup();
    grams
}

/// Jaccard similarity of two sorted sets; 0 when both are empty.
pub(crate) fn jaccard<T: Ord>(a: &[T], b: &[T]) -> f64 {
    let (mut i, mut j, mut common) = (0, 0, 0usize);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                common += 1;
                i += 1;
                j += 1;
            }
        }
    }
    let union = a.len() + b.len() - common;
    if union == 0 {
        0.0
    } else {
        common as f64 / union as f64
    }
}

/// An exact index of texts for Jaccard similarity at or above a threshold.
///
/// Two sets with similarity t share a gram among the first
/// `len - ceil(t * len) + 1` of each, when both are sorted alike; sorted by
/// rarity, those lists are short (prefix filter: Chaudhuri, Ganti and Kaushik,
/// "A primitive operator for similarity joins in data cleaning", 2006).
pub struct NearDuplicates {
    threshold: f64,
    sets: Vec<Vec<u64>>,
    frequency: HashMap<u64, u32>,
    postings: HashMap<u64, Vec<u32>>,
}

impl NearDuplicates {
    /// Indexes texts by their word 3-grams.
    pub fn new<T: AsRef<str>>(texts: &[T], threshold: f64) -> Self {
        let sets: Vec<Vec<u64>> = texts.iter().map(|t| grams(t.as_ref(), 3)).collect();
        let mut frequency: HashMap<u64, u32> = HashMap::new();
        for gram in sets.iter().flatten() {
            *frequency.entry(*gram).or_default() += 1;
        }
        let mut index = Self {
            threshold,
            sets,
            frequency,
            postings: HashMap::new(),
        };
        for n in 0..index.sets.len() {
            for gram in index.prefix(&index.sets[n]) {
                index.postings.entry(gram).or_default().push(n as u32);
            }
        }
        index
    }

    /// The most similar text at or above the threshold: its place and
    /// similarity; the first of equals.
    pub fn nearest(&self, text: &str) -> Option<(usize, f64)> {
        let set = grams(text, 3);
        let mut candidates: Vec<u32> = self
            .prefix(&set)
            .iter()
            .filter_map(|g| self.postings.get(g))
            .flatten()
            .copied()
            .collect();
        candidates.sort_unstable();
        candidates.dedup();
        let mut best: Option<(usize, f64)> = None;
        for n in candidates {
            let similarity = jaccard(&set, &self.sets[n as usize]);
            if similarity >= self.threshold && best.is_none_or(|(_, b)| similarity > b) {
                best = Some((n as usize, similarity));
            }
        }
        best
    }

    fn prefix(&self, set: &[u64]) -> Vec<u64> {
        let mut rare = set.to_vec();
        rare.sort_by_cached_key(|g| (self.frequency.get(g).copied().unwrap_or(0), *g));
        // The tolerance keeps rounding from shortening the prefix.
        let needed = (self.threshold * set.len() as f64 - 1e-9).ceil() as usize;
        rare.truncate((set.len() + 1).saturating_sub(needed.max(1)));
        rare
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn similarity_by_hand() {
        // Grams: abc bcd cde | abc bcd cdf: 2 of 4.
        assert_eq!(
            jaccard(&grams("a b c d e", 3), &grams("A, b; c d f", 3)),
            0.5
        );
        assert_eq!(jaccard(&grams("a b", 3), &grams("a b", 3)), 1.0);
        assert_eq!(jaccard(&grams("", 3), &grams("", 3)), 0.0);
    }

    #[test]
    fn the_instruction_is_not_compared() {
        let sample = Sample::pair("a", "Do it.\nWhy?", "x").with("instruction_bytes", 7);
        assert_eq!(comparable_text(&sample), "Why?");
        let odd = Sample::pair("a", "é", "x").with("instruction_bytes", 1);
        assert_eq!(comparable_text(&odd), "é");
    }

    proptest! {
        #[test]
        fn the_index_finds_what_comparing_all_finds(
            texts in prop::collection::vec("[abc]( [abc]){0,9}", 1..25),
            query in "[abc]( [abc]){0,9}", threshold in 0.3f64..1.0,
        ) {
            let index = NearDuplicates::new(&texts, threshold);
            let all = texts.iter().map(|t| jaccard(&grams(t, 3), &grams(&query, 3))).fold(0.0, f64::max);
            let found = index.nearest(&query).map_or(0.0, |(_, s)| s);
            prop_assert_eq!(found, if all >= threshold { all } else { 0.0 });
        }
    }
}
