//! A comparison in words.
//!
//! Does not know how the p-value came about.

/// The false discovery rate up to which a difference counts as shown.
pub const ALPHA: f64 = 0.05;

/// `better`, `worse`, or `no difference shown` for the first of two systems: a
/// difference is shown when its adjusted p-value is below [`ALPHA`] and its
/// interval leaves out 0.
pub fn verdict(difference: f64, low: f64, high: f64, p_adjusted: f64) -> &'static str {
    let shown = p_adjusted < ALPHA && (low > 0.0 || high < 0.0);
    match shown {
        true if difference > 0.0 => "better",
        true => "worse",
        false => "no difference shown",
    }
}

/// The smallest difference of two shares that a paired test on `n` samples shows
/// with 80% power at 5%, when `discordant` is the share of samples on which the
/// systems disagree: (1.96 + 0.84) sqrt(discordant / n).
pub fn smallest_shown(n: usize, discordant: f64) -> f64 {
    let discordant = discordant.clamp(1.0 / n.max(1) as f64, 1.0);
    ((super::Z + 0.841_621) * (discordant / n.max(1) as f64).sqrt()).min(1.0)
}

/// As [`smallest_shown`], from the standard error of a difference: (1.96 + 0.84) · error. None
/// where nothing varied.
pub fn smallest_shown_by(standard_error: Option<f64>) -> Option<f64> {
    let smallest = (super::Z + 0.841_621) * standard_error.filter(|error| *error > 0.0)?;
    Some(smallest.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_the_p_value_and_the_interval_must_agree() {
        assert_eq!(verdict(0.1, 0.05, 0.15, 0.01), "better");
        assert_eq!(verdict(-0.1, -0.15, -0.05, 0.01), "worse");
        assert_eq!(verdict(0.1, -0.01, 0.2, 0.01), "no difference shown");
        assert_eq!(verdict(0.1, 0.05, 0.15, 0.2), "no difference shown");
    }

    #[test]
    fn more_samples_show_smaller_differences() {
        assert!((smallest_shown(700, 0.1) - 0.033_486).abs() < 1e-4);
        assert!(smallest_shown(100, 0.1) > smallest_shown(1000, 0.1));
        assert_eq!(smallest_shown(0, 0.5), 1.0);
        assert!((smallest_shown_by(Some(0.01)).unwrap() - 0.028_016).abs() < 1e-6);
        assert_eq!(smallest_shown_by(Some(0.0)), None);
    }
}
