//! Per-sample counts, from which a metric's value follows for any weighting of
//! the samples. Weighting is what a bootstrap resample is.
//!
//! Does not know what was counted.

use super::Sample;

/// How counts become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Score {
    /// tp / (tp + fp).
    Precision,
    /// tp / (tp + fn).
    Recall,
    /// F1 of pooled counts.
    MicroF1,
    /// Mean F1 of the declared classes.
    MacroF1,
    /// Mean F1 of the declared classes, weighted by support.
    WeightedF1,
}

/// One metric over all samples; `None` where it does not apply to the row.
#[derive(Debug, Clone)]
pub enum Tally {
    /// Right or wrong.
    Rights(Vec<Option<bool>>),
    /// A score per sample, averaged.
    Means(Vec<Option<f64>>),
    /// True positives, false positives, false negatives per sample, pooled.
    Overlaps {
        /// The counts.
        counts: Vec<Option<[u32; 3]>>,
        /// What is made of them.
        score: Score,
    },
    /// Target and predicted class per sample; the class `classes` is the invalid one.
    Labels {
        /// Index of the target's class, index of the predicted class.
        pairs: Vec<Option<(u16, u16)>>,
        /// How many classes are declared.
        classes: usize,
        /// What is made of them.
        score: Score,
    },
}

/// 2 tp / (2 tp + fp + fn); 1 when there is nothing to find and nothing found.
pub fn f1_of(tp: f64, fp: f64, fn_: f64) -> f64 {
    ratio(2.0 * tp, 2.0 * tp + fp + fn_, 1.0)
}

impl Tally {
    /// A tally of right and wrong.
    pub fn rights(
        samples: &[Sample],
        applies: impl Fn(&Sample) -> bool,
        right: impl Fn(&Sample) -> bool,
    ) -> Self {
        let of = |sample: &Sample| applies(sample).then(|| right(sample));
        Self::Rights(samples.iter().map(of).collect())
    }

    /// A tally of scores to average.
    pub fn means(
        samples: &[Sample],
        applies: impl Fn(&Sample) -> bool,
        score: impl Fn(&Sample) -> f64,
    ) -> Self {
        let of = |sample: &Sample| applies(sample).then(|| score(sample));
        Self::Means(samples.iter().map(of).collect())
    }

    /// A tally of counts to pool.
    pub fn overlaps(
        samples: &[Sample],
        score: Score,
        applies: impl Fn(&Sample) -> bool,
        counts: impl Fn(&Sample) -> [u32; 3],
    ) -> Self {
        let of = |sample: &Sample| applies(sample).then(|| counts(sample));
        Self::Overlaps {
            counts: samples.iter().map(of).collect(),
            score,
        }
    }

    /// The same counts, made into another number.
    #[must_use]
    pub fn scored(mut self, wanted: Score) -> Self {
        if let Self::Overlaps { score, .. } | Self::Labels { score, .. } = &mut self {
            *score = wanted;
        }
        self
    }

    /// How many samples the metric applies to.
    pub fn n(&self) -> usize {
        match self {
            Self::Rights(values) => values.iter().flatten().count(),
            Self::Means(values) => values.iter().flatten().count(),
            Self::Overlaps { counts, .. } => counts.iter().flatten().count(),
            Self::Labels { pairs, .. } => pairs.iter().flatten().count(),
        }
    }

    /// The metric's value over all samples; none when it applies to no sample.
    pub fn value(&self) -> Option<f64> {
        self.weighted(|_| 1.0)
    }

    /// The metric's value when sample `i` counts `weights[i]` times.
    pub fn resampled(&self, weights: &[u32]) -> Option<f64> {
        self.weighted(|index| f64::from(weights[index]))
    }

    /// What the metric says of one sample: its score, or 1 and 0 for right and wrong. F1 over
    /// labels is of all samples together; of one it is whether the label is right.
    pub fn of_sample(&self, index: usize) -> Option<f64> {
        match self {
            Self::Rights(values) => values.get(index)?.map(f64::from),
            Self::Means(values) => *values.get(index)?,
            Self::Overlaps { counts, score } => {
                let counts = (*counts.get(index)?)?;
                Some(pooled(counts.map(f64::from), *score))
            }
            Self::Labels { pairs, .. } => {
                let (target, predicted) = (*pairs.get(index)?)?;
                Some(f64::from(target == predicted))
            }
        }
    }

    /// The tally of some of the samples.
    pub fn subset(&self, indices: &[usize]) -> Self {
        fn pick<T: Copy>(values: &[Option<T>], indices: &[usize]) -> Vec<Option<T>> {
            let of = |index: &usize| values.get(*index).copied().flatten();
            indices.iter().map(of).collect()
        }
        match self {
            Self::Rights(values) => Self::Rights(pick(values, indices)),
            Self::Means(values) => Self::Means(pick(values, indices)),
            Self::Overlaps { counts, score } => Self::Overlaps {
                counts: pick(counts, indices),
                score: *score,
            },
            Self::Labels {
                pairs,
                classes,
                score,
            } => Self::Labels {
                pairs: pick(pairs, indices),
                classes: *classes,
                score: *score,
            },
        }
    }

    /// How many samples are right, for a tally of right and wrong.
    pub fn right_count(&self) -> Option<usize> {
        match self {
            Self::Rights(values) => {
                Some(values.iter().filter(|value| **value == Some(true)).count())
            }
            _ => None,
        }
    }

    fn weighted(&self, weight: impl Fn(usize) -> f64) -> Option<f64> {
        match self {
            Self::Rights(values) => mean(values.iter().map(|v| v.map(f64::from)), weight),
            Self::Means(values) => mean(values.iter().copied(), weight),
            Self::Overlaps { counts, score } => {
                let mut sums = [0.0; 3];
                let mut total = 0.0;
                for (index, count) in counts.iter().enumerate() {
                    if let Some(count) = count {
                        let weight = weight(index);
                        total += weight;
                        for (sum, part) in sums.iter_mut().zip(count) {
                            *sum += weight * f64::from(*part);
                        }
                    }
                }
                (total > 0.0).then(|| pooled(sums, *score))
            }
            Self::Labels {
                pairs,
                classes,
                score,
            } => labels(pairs, *classes, *score, weight),
        }
    }
}

fn mean(values: impl Iterator<Item = Option<f64>>, weight: impl Fn(usize) -> f64) -> Option<f64> {
    let (mut sum, mut total) = (0.0, 0.0);
    for (index, value) in values.enumerate() {
        if let Some(value) = value {
            let weight = weight(index);
            sum += weight * value;
            total += weight;
        }
    }
    (total > 0.0).then(|| sum / total)
}

fn pooled([tp, fp, fn_]: [f64; 3], score: Score) -> f64 {
    match score {
        // With nothing predicted no precision was shown, unless nothing was to be found.
        Score::Precision => ratio(tp, tp + fp, if fn_ == 0.0 { 1.0 } else { 0.0 }),
        Score::Recall => ratio(tp, tp + fn_, if fp == 0.0 { 1.0 } else { 0.0 }),
        _ => f1_of(tp, fp, fn_),
    }
}

/// Label F1 over the declared classes. An invalid answer is a false negative of
/// its target and falls into the invalid class, which no target has: it lowers
/// recall of the target's class and micro F1, and is itself not averaged. A
/// declared class that neither targets nor answers touch has F1 0.
fn labels(
    pairs: &[Option<(u16, u16)>],
    classes: usize,
    score: Score,
    weight: impl Fn(usize) -> f64,
) -> Option<f64> {
    let mut counts = vec![[0.0; 3]; classes + 1];
    let mut total = 0.0;
    for (index, pair) in pairs.iter().enumerate() {
        let Some((target, predicted)) = pair else {
            continue;
        };
        let weight = weight(index);
        total += weight;
        if target == predicted {
            counts[*target as usize][0] += weight;
        } else {
            counts[*predicted as usize][1] += weight;
            counts[*target as usize][2] += weight;
        }
    }
    if total <= 0.0 || classes == 0 {
        return None;
    }
    let declared = &counts[..classes];
    let f1 = |[tp, fp, fn_]: [f64; 3]| ratio(2.0 * tp, 2.0 * tp + fp + fn_, 0.0);
    Some(match score {
        Score::MacroF1 => declared.iter().map(|c| f1(*c)).sum::<f64>() / classes as f64,
        Score::WeightedF1 => declared.iter().map(|c| (c[0] + c[2]) * f1(*c)).sum::<f64>() / total,
        _ => {
            let pooled = counts.iter().fold([0.0; 3], |sum, c| {
                [sum[0] + c[0], sum[1] + c[1], sum[2] + c[2]]
            });
            f1(pooled)
        }
    })
}

fn ratio(part: f64, whole: f64, otherwise: f64) -> f64 {
    if whole > 0.0 { part / whole } else { otherwise }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: Option<f64>, right: f64) {
        let left = left.unwrap();
        assert!((left - right).abs() < 1e-12, "{left} is not {right}");
    }

    #[test]
    fn rows_to_which_a_metric_does_not_apply_are_left_out() {
        let tally = Tally::Rights(vec![Some(true), None, Some(false), Some(true)]);
        assert_eq!(tally.n(), 3);
        close(tally.value(), 2.0 / 3.0);
        close(tally.resampled(&[0, 5, 1, 1]), 0.5);
        assert_eq!(tally.resampled(&[0, 5, 0, 0]), None);
    }

    #[test]
    fn each_sample_has_a_value_of_its_own() {
        let rights = Tally::Rights(vec![Some(true), None]);
        assert_eq!(
            [0, 1, 2].map(|index| rights.of_sample(index)),
            [Some(1.0), None, None]
        );
        let counts = vec![Some([2, 1, 1])];
        let score = Score::Precision;
        close(Tally::Overlaps { counts, score }.of_sample(0), 2.0 / 3.0);
        let labels = Tally::Labels {
            pairs: vec![Some((0, 0)), Some((0, 1))],
            classes: 5,
            score: Score::MacroF1,
        };
        assert_eq!(
            [0, 1].map(|index| labels.of_sample(index)),
            [Some(1.0), Some(0.0)]
        );
    }

    #[test]
    fn pooled_counts_give_precision_recall_and_f1() {
        let counts = vec![Some([2, 1, 0]), Some([1, 0, 2])];
        let of = |score| {
            Tally::Overlaps {
                counts: counts.clone(),
                score,
            }
            .value()
        };
        close(of(Score::Precision), 3.0 / 4.0);
        close(of(Score::Recall), 3.0 / 5.0);
        close(of(Score::MicroF1), 6.0 / 9.0);
    }

    #[test]
    fn label_f1_counts_the_invalid_class_and_labels_without_targets() {
        // Declared a, b, c; targets a a a b b; answers a a invalid b c.
        // a: tp 2 fn 1 -> 0.8; b: tp 1 fn 1 -> 2/3; c: fp 1 -> 0.
        let pairs = [(0, 0), (0, 0), (0, 3), (1, 1), (1, 2)];
        let of = |score| {
            Tally::Labels {
                pairs: pairs.iter().copied().map(Some).collect(),
                classes: 3,
                score,
            }
            .value()
        };
        close(of(Score::MacroF1), (0.8 + 2.0 / 3.0) / 3.0);
        close(of(Score::WeightedF1), (3.0 * 0.8 + 2.0 * 2.0 / 3.0) / 5.0);
        close(of(Score::MicroF1), 3.0 / 5.0);
    }

    #[test]
    fn a_declared_label_that_nothing_touches_still_counts() {
        let tally = Tally::Labels {
            pairs: vec![Some((0, 0))],
            classes: 2,
            score: Score::MacroF1,
        };
        close(tally.value(), 0.5);
    }
}
