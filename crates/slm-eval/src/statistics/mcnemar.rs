//! The exact McNemar test (McNemar 1947) for two systems that were right or wrong
//! on the same samples, and an interval for the difference of their shares.
//!
//! Does not know why an answer was wrong.

use super::Z;

/// On how many samples which of two systems was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paired {
    /// Both right.
    pub both_right: usize,
    /// Only the first.
    pub only_a: usize,
    /// Only the second.
    pub only_b: usize,
    /// Neither.
    pub both_wrong: usize,
}

impl Paired {
    /// The correlation φ of being right: 1 where both agree on all, 0 where one is always right or
    /// always wrong.
    pub fn correlation(&self) -> f64 {
        let [a, b, c, d] =
            [self.both_right, self.only_a, self.only_b, self.both_wrong].map(|count| count as f64);
        if b + c == 0.0 {
            return f64::from(self.total() > 0);
        }
        let spread = ((a + b) * (c + d) * (a + c) * (b + d)).sqrt();
        if spread == 0.0 {
            0.0
        } else {
            (a * d - b * c) / spread
        }
    }

    /// Counts pairs of right and wrong; pairs that lack one side are left out.
    pub fn count(a: &[Option<bool>], b: &[Option<bool>]) -> Self {
        let mut counts = Self::default();
        for pair in a.iter().zip(b) {
            match pair {
                (Some(true), Some(true)) => counts.both_right += 1,
                (Some(true), Some(false)) => counts.only_a += 1,
                (Some(false), Some(true)) => counts.only_b += 1,
                (Some(false), Some(false)) => counts.both_wrong += 1,
                _ => {}
            }
        }
        counts
    }

    /// Samples counted.
    pub fn total(self) -> usize {
        self.both_right + self.only_a + self.only_b + self.both_wrong
    }

    /// Share of the first minus share of the second.
    pub fn difference(self) -> f64 {
        (self.only_a as f64 - self.only_b as f64) / (self.total() as f64).max(1.0)
    }

    /// Two-sided exact p-value: the discordant pairs are fair coins.
    pub fn p_value(self) -> f64 {
        let n = self.only_a + self.only_b;
        let fewer = self.only_a.min(self.only_b);
        // ln of C(n, k) / 2^n, term by term, so that large n does not overflow.
        let mut term = -(n as f64) * std::f64::consts::LN_2;
        let mut tail = term.exp();
        for k in 1..=fewer {
            term += ((n + 1 - k) as f64 / k as f64).ln();
            tail += term.exp();
        }
        (2.0 * tail).min(1.0)
    }

    /// 95% interval of the difference (Bonett and Price 2012: a Wald interval
    /// with one success added to each discordant cell).
    pub fn interval(self) -> (f64, f64) {
        let n = self.total() as f64 + 2.0;
        let a = (self.only_a + 1) as f64 / n;
        let b = (self.only_b + 1) as f64 / n;
        let half = Z * ((a + b - (a - b) * (a - b)) / n).max(0.0).sqrt();
        let difference = self.difference();
        (
            (a - b - half).max(-1.0).min(difference),
            (a - b + half).min(1.0).max(difference),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paired(only_a: usize, only_b: usize) -> Paired {
        Paired {
            both_right: 10,
            only_a,
            only_b,
            both_wrong: 5,
        }
    }

    #[test]
    fn exact_p_values_by_hand() {
        // 6 discordant, 1 against 5: 2 (1 + 6) / 64.
        assert!((paired(1, 5).p_value() - 14.0 / 64.0).abs() < 1e-12);
        // 0 against 10: 2 / 1024.
        assert!((paired(10, 0).p_value() - 2.0 / 1024.0).abs() < 1e-12);
        assert_eq!(paired(0, 0).p_value(), 1.0);
        assert_eq!(paired(4, 4).p_value(), 1.0);
    }

    #[test]
    fn large_counts_stay_finite() {
        let p = paired(60_000, 40_000).p_value();
        assert!((0.0..1e-100).contains(&p), "{p}");
        let even = paired(50_000, 50_010).p_value();
        assert!(even > 0.9 && even <= 1.0, "{even}");
    }

    #[test]
    fn pairs_are_counted_where_both_apply() {
        let a = [Some(true), Some(true), Some(false), Some(false), None];
        let b = [Some(true), Some(false), Some(true), Some(false), Some(true)];
        let counts = Paired::count(&a, &b);
        assert_eq!(
            (
                counts.both_right,
                counts.only_a,
                counts.only_b,
                counts.both_wrong
            ),
            (1, 1, 1, 1)
        );
        assert_eq!(counts.difference(), 0.0);
    }

    #[test]
    fn the_correlation_by_hand() {
        let counts = |both_right, only_a, only_b, both_wrong| Paired {
            both_right,
            only_a,
            only_b,
            both_wrong,
        };
        // (40 · 30 − 10 · 20) / sqrt(50 · 50 · 60 · 40)
        let found = counts(40, 10, 20, 30).correlation();
        assert!((found - 1000.0 / 6_000_000_f64.sqrt()).abs() < 1e-12);
        assert_eq!(counts(5, 0, 0, 0).correlation(), 1.0);
        assert_eq!(counts(5, 1, 0, 0).correlation(), 0.0);
        assert_eq!(counts(0, 0, 0, 0).correlation(), 0.0);
    }

    #[test]
    fn the_interval_by_hand() {
        // n + 2 = 102, (21 - 11) / 102, half 1.96 sqrt((32/102 - (10/102)^2) / 102).
        let counts = Paired {
            both_right: 50,
            only_a: 20,
            only_b: 10,
            both_wrong: 20,
        };
        let (low, high) = counts.interval();
        assert!((low - (-0.00894)).abs() < 1e-4, "{low}");
        assert!((high - 0.20502).abs() < 1e-4, "{high}");
    }
}
