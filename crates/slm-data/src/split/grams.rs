//! Word 3-grams, their Jaccard similarity, and an index that finds every
//! training row at or above a threshold.
//!
//! Does not know splits.

use crate::hash::fnv1a;
use crate::sample::{Role, Sample};

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
    let mut grams = ordered_grams(text, n);
    grams.sort_unstable();
    grams.dedup();
    grams
}

/// The hashes of a text's word n-grams as they follow each other.
pub(crate) fn ordered_grams(text: &str, n: usize) -> Vec<u64> {
    // The words with a space between, so that each gram is a slice.
    let mut words = String::with_capacity(text.len());
    let mut bounds: Vec<(usize, usize)> = Vec::new();
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        if word.is_empty() {
            continue;
        }
        if !words.is_empty() {
            words.push(' ');
        }
        let start = words.len();
        match word.is_ascii() {
            true => words.extend(word.chars().map(|c| c.to_ascii_lowercase())),
            false => words.push_str(&word.to_lowercase()),
        }
        bounds.push((start, words.len()));
    }
    let hash = |from: usize, to: usize| fnv1a(&words.as_bytes()[bounds[from].0..bounds[to].1]);
    match bounds.len() {
        0 => vec![],
        len if len < n => vec![hash(0, len - 1)],
        len => (0..=len - n).map(|at| hash(at, at + n - 1)).collect(),
    }
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
///
/// Takes 8 bytes for each gram of each text, 4 more for each of a prefix, and at most 32 MiB
/// beside them: grams are counted in buckets, which makes some look more frequent than they
/// are and proposes some texts in vain, but changes no answer.
pub struct NearDuplicates {
    threshold: f64,
    sets: GramSets,
    /// How many grams fall into each bucket.
    frequency: Vec<u32>,
    /// Where the texts of each bucket begin in `postings`.
    starts: Vec<u32>,
    /// Texts by the buckets of their prefixes.
    postings: Vec<u32>,
}

/// The grams of texts, one after the other.
#[derive(Default)]
pub(crate) struct GramSets {
    grams: Vec<u64>,
    ends: Vec<usize>,
}

impl GramSets {
    /// Adds a text by its grams, sorted and each once.
    pub(crate) fn push(&mut self, grams: &[u64]) {
        self.grams.extend_from_slice(grams);
        self.ends.push(self.grams.len());
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, n: usize) -> &[u64] {
        let start = if n == 0 { 0 } else { self.ends[n - 1] };
        &self.grams[start..self.ends[n]]
    }
}

/// The most buckets, as a power of two.
const MOST_BUCKETS: u32 = 22;

impl NearDuplicates {
    /// Indexes texts by their word 3-grams.
    pub fn new<T: AsRef<str>>(texts: &[T], threshold: f64) -> Self {
        let mut sets = GramSets::default();
        for text in texts {
            sets.push(&grams(text.as_ref(), 3));
        }
        Self::of(sets, threshold)
    }

    /// Indexes texts by grams.
    pub(crate) fn of(sets: GramSets, threshold: f64) -> Self {
        let bits = sets.grams.len().max(2).ilog2().min(MOST_BUCKETS);
        let buckets = 1usize << bits;
        let mut index = Self {
            threshold,
            sets,
            frequency: vec![0; buckets],
            starts: vec![0; buckets + 1],
            postings: Vec::new(),
        };
        for at in 0..index.sets.grams.len() {
            let bucket = index.bucket(index.sets.grams[at]);
            index.frequency[bucket] = index.frequency[bucket].saturating_add(1);
        }
        // Counted first, so that the lists lie one after the other without gaps.
        for n in 0..index.sets.len() {
            for gram in index.prefix(index.sets.get(n)) {
                let bucket = index.bucket(gram);
                index.starts[bucket + 1] += 1;
            }
        }
        for bucket in 0..buckets {
            index.starts[bucket + 1] += index.starts[bucket];
        }
        let mut free = index.starts.clone();
        index.postings = vec![0; index.starts[buckets] as usize];
        for n in 0..index.sets.len() {
            for gram in index.prefix(index.sets.get(n)) {
                let place = &mut free[index.bucket(gram)];
                index.postings[*place as usize] = n as u32;
                *place += 1;
            }
        }
        index
    }

    /// The most similar text at or above the threshold: its place and
    /// similarity; the first of equals.
    pub fn nearest(&self, text: &str) -> Option<(usize, f64)> {
        self.nearest_to(&grams(text, 3))
    }

    /// As [`NearDuplicates::nearest`], by the text's grams, sorted and each once.
    pub(crate) fn nearest_to(&self, set: &[u64]) -> Option<(usize, f64)> {
        let mut candidates: Vec<u32> = Vec::new();
        for gram in self.prefix(set) {
            let bucket = self.bucket(gram);
            let (start, end) = (self.starts[bucket], self.starts[bucket + 1]);
            candidates.extend_from_slice(&self.postings[start as usize..end as usize]);
        }
        candidates.sort_unstable();
        candidates.dedup();
        let mut best: Option<(usize, f64)> = None;
        for n in candidates {
            let similarity = jaccard(set, self.sets.get(n as usize));
            if similarity >= self.threshold && best.is_none_or(|(_, b)| similarity > b) {
                best = Some((n as usize, similarity));
            }
        }
        best
    }

    fn bucket(&self, gram: u64) -> usize {
        let bits = self.frequency.len().ilog2();
        // The upper bits of a product with an odd number depend on all bits.
        (gram.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as usize
    }

    fn prefix(&self, set: &[u64]) -> Vec<u64> {
        // The tolerance keeps rounding from shortening the prefix.
        let needed = (self.threshold * set.len() as f64 - 1e-9).ceil() as usize;
        let length = (set.len() + 1).saturating_sub(needed.max(1));
        let mut rare: Vec<(u32, u64)> = set
            .iter()
            .map(|gram| (self.frequency[self.bucket(*gram)], *gram))
            .collect();
        if (1..rare.len()).contains(&length) {
            rare.select_nth_unstable(length - 1);
        }
        rare.truncate(length);
        rare.into_iter().map(|(_, gram)| gram).collect()
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
