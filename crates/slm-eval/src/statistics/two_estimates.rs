//! The difference of two estimates of which only values and intervals are known.
//!
//! MOVER, the method of variance estimates recovery (Zou and Donner 2008; for shares Newcombe's
//! hybrid score interval of 1998), and for estimates on the same samples with their correlation
//! (Zou 2007; for shares Newcombe's method of 1998 for paired data). Does not know what was
//! estimated.

/// An estimate with its interval: value, lower and upper end.
pub type Estimate = (f64, f64, f64);

/// The interval of `a` minus `b`, whose correlation is `r`, 0 where they are independent:
/// L = d − sqrt(x² + y² − 2 r x y) of x = a − l_a and y = u_b − b,
/// U = d + the same of x = u_a − a and y = b − l_b.
pub fn difference(a: Estimate, b: Estimate, r: f64) -> Estimate {
    let d = a.0 - b.0;
    let width = |x: f64, y: f64| (x * x + y * y - 2.0 * r * x * y).max(0.0).sqrt();
    (
        d,
        d - width(a.0 - a.1, b.2 - b.0),
        d + width(a.2 - a.0, b.0 - b.1),
    )
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
            let found = difference(share(x, m), share(y, n), 0.0);
            assert!((found.1 - low).abs() < 5e-5, "{found:?}");
            assert!((found.2 - high).abs() < 5e-5, "{found:?}");
        }
    }

    #[test]
    fn what_goes_together_differs_less() {
        let one = (0.5, 0.4, 0.6);
        assert_eq!(difference(one, one, 1.0), (0.0, 0.0, 0.0));
        let (_, low, high) = difference(one, one, 0.5);
        // sqrt(0.01 + 0.01 − 0.01)
        assert!((low + 0.1).abs() < 1e-12 && (high - 0.1).abs() < 1e-12);
    }
}
