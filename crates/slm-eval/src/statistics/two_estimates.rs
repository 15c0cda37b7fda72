//! The difference of two estimates of which only values and intervals are known.
//!
//! MOVER, the method of variance estimates recovery (Zou and Donner 2008; for shares Newcombe's
//! hybrid score interval of 1998). It takes the estimates as independent, so for two runs on the
//! same samples it is on the safe side. Does not know what was estimated.

/// An estimate with its interval: value, lower and upper end.
pub type Estimate = (f64, f64, f64);

/// The interval of `a` minus `b`:
/// L = d − sqrt((a − l_a)² + (u_b − b)²), U = d + sqrt((u_a − a)² + (b − l_b)²).
pub fn difference(a: Estimate, b: Estimate) -> Estimate {
    let d = a.0 - b.0;
    let below = ((a.0 - a.1).powi(2) + (b.2 - b.0).powi(2)).sqrt();
    let above = ((a.2 - a.0).powi(2) + (b.0 - b.1).powi(2)).sqrt();
    (d, d - below, d + above)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::wilson::wilson;

    #[test]
    fn published_values() {
        // Newcombe 1998 (b), table II, method 10: 56/70 − 48/80 and 9/10 − 3/10.
        for ((x, m), (y, n), low, high) in [
            ((56, 70), (48, 80), 0.0524, 0.3339),
            ((9, 10), (3, 10), 0.1705, 0.8090),
        ] {
            let share = |k: usize, of: usize| {
                let (low, high) = wilson(k, of);
                (k as f64 / of as f64, low, high)
            };
            let found = difference(share(x, m), share(y, n));
            assert!((found.1 - low).abs() < 5e-5, "{found:?}");
            assert!((found.2 - high).abs() < 5e-5, "{found:?}");
        }
    }
}
