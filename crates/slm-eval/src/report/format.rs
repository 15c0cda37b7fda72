//! Numbers as people read them.
//!
//! Does not know HTML or the terminal.

use crate::results::MetricValue;

/// A score with three digits after the point.
pub(crate) fn score(value: f64) -> String {
    format!("{value:.3}")
}

/// A signed difference with three digits; a true minus sign.
pub(crate) fn signed(value: f64) -> String {
    format!("{value:+.3}").replace('-', "\u{2212}")
}

/// The ends of an interval.
pub(crate) fn interval(value: &MetricValue) -> String {
    format!("{:.3}\u{2013}{:.3}", value.low, value.high)
}

/// A p-value: never 0.
pub(crate) fn p_value(p: f64) -> String {
    if p < 0.001 {
        "<0.001".into()
    } else {
        format!("{p:.3}")
    }
}

/// Milliseconds, or seconds from 1000 on.
pub(crate) fn milliseconds(value: f64) -> String {
    match value {
        v if v >= 1000.0 => format!("{:.2} s", v / 1000.0),
        v if v >= 100.0 => format!("{v:.0} ms"),
        v if v >= 1.0 => format!("{v:.1} ms"),
        v => format!("{v:.3} ms"),
    }
}

/// Bytes in powers of 1000.
pub(crate) fn bytes(value: u64) -> String {
    scaled(value as f64, &["B", "kB", "MB", "GB", "TB"])
}

/// A count in powers of 1000.
pub(crate) fn count(value: u64) -> String {
    scaled(value as f64, &["", "K", "M", "B", "T"])
}

/// An amount of money: two digits after the point, more where it is small.
pub(crate) fn money(value: f64) -> String {
    match value.abs() {
        v if v >= 0.995 || v == 0.0 => format!("{value:.2}"),
        v if v >= 0.00995 => format!("{value:.3}"),
        v if v >= 0.000_1 => format!("{value:.5}"),
        _ => format!("{value:.2e}"),
    }
}

/// A count with its thousands set apart.
pub(crate) fn thousands(value: usize) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn scaled(mut value: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 100.0 { 0 } else { 1 };
    format!("{value:.digits$} {}", units[unit])
        .trim_end()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(signed(-0.1234), "\u{2212}0.123");
        assert_eq!(p_value(1e-9), "<0.001");
        assert_eq!(milliseconds(1534.0), "1.53 s");
        assert_eq!(milliseconds(0.0123), "0.012 ms");
        assert_eq!(bytes(40_000_000), "40.0 MB");
        assert_eq!(bytes(12), "12 B");
        assert_eq!(count(13_400_000), "13.4 M");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(999), "999");
        assert_eq!(money(12.345), "12.35");
        assert_eq!(money(0.0123), "0.012");
        assert_eq!(money(0.000_045), "4.50e-5");
    }
}
