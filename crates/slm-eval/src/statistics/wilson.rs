//! Wilson's score interval for a proportion (Wilson 1927).
//!
//! Does not know what succeeded.

use super::Z;

/// The 95% interval of `successes` out of `n`; everything for `n` = 0.
///
/// center = (p + z²/2n) / (1 + z²/n),
/// half = z sqrt(p(1-p)/n + z²/4n²) / (1 + z²/n)
pub fn wilson(successes: usize, n: usize) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let n = n as f64;
    let p = successes as f64 / n;
    let scale = 1.0 + Z * Z / n;
    let center = (p + Z * Z / (2.0 * n)) / scale;
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt() / scale;
    // The interval contains p; at the ends rounding must not exclude it.
    (
        (center - half).max(0.0).min(p),
        (center + half).min(1.0).max(p),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 5e-5, "{left} is not {right}");
    }

    #[test]
    fn published_values() {
        // Newcombe 1998, table I: 81/263, 15/148, 0/20, 1/29.
        for (successes, n, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let (got_low, got_high) = wilson(successes, n);
            close(got_low, low);
            close(got_high, high);
        }
    }

    #[test]
    fn the_ends_stay_in_range() {
        assert_eq!(wilson(10, 10).1, 1.0);
        assert_eq!(wilson(0, 10).0, 0.0);
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }
}
