//! When two values of a JSON field agree: exactly, as numbers or dates within a tolerance, as
//! normalized text, or as lists whose order does not matter.
//!
//! Rules are given by field in a task (`output.fields`). Does not know counting.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::exact::same_value;
use super::normalize::normalize;

/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// How a field's values are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// The same JSON value.
    #[default]
    Exact,
    /// The same text after SQuAD's normalizing.
    Normalized,
    /// Numbers, or texts that are numbers, within a tolerance.
    Number,
    /// Dates and times of ISO 8601, within a tolerance.
    Date,
    /// A list whose order and repetitions do not matter.
    Set,
    /// A list whose order does not matter, but how often each item stands.
    Bag,
}

/// The rule of one field.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// How values are compared.
    pub compare: Compare,
    /// Number: largest difference.
    #[serde(default)]
    pub absolute: f64,
    /// Number: largest difference as a share of the target's size.
    #[serde(default)]
    pub relative: f64,
    /// Date: largest difference in days, which may be a fraction.
    #[serde(default)]
    pub days: f64,
}

impl Rule {
    /// Whether the rule makes sense by itself.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check(&self) -> Result<(), String> {
        for (name, value, of) in [
            ("absolute", self.absolute, Compare::Number),
            ("relative", self.relative, Compare::Number),
            ("days", self.days, Compare::Date),
        ] {
            if !value.is_finite() || value < 0.0 {
                return Err(format!("`{name}` is {value}, which is no tolerance"));
            }
            if value > 0.0 && self.compare != of {
                return Err(format!("`{name}` does not go with this `compare`"));
            }
        }
        Ok(())
    }

    /// Whether the items of a list are compared without their order.
    pub fn is_unordered(&self) -> bool {
        matches!(self.compare, Compare::Set | Compare::Bag)
    }

    /// Whether a single value agrees with the wanted one. A number agrees when
    /// |given - wanted| <= max(absolute, relative |wanted|), as in PEP 485 with the wanted
    /// value as reference.
    pub fn agrees(&self, given: &Value, wanted: &Value) -> bool {
        match self.compare {
            Compare::Number => match (number(given), number(wanted)) {
                (Some(given), Some(wanted)) => {
                    // Decimal tolerances are not exact in binary: 0.30 - 0.29 is above 0.01.
                    let slack = 4.0 * f64::EPSILON * given.abs().max(wanted.abs());
                    let most = self.absolute.max(self.relative * wanted.abs());
                    (given - wanted).abs() <= most + slack
                }
                _ => same_value(given, wanted),
            },
            Compare::Date => match (instant(given), instant(wanted)) {
                (Some(given), Some(wanted)) => (given - wanted).abs() <= self.days * DAY,
                _ => same_value(given, wanted),
            },
            Compare::Normalized => match (given, wanted) {
                (Value::String(given), Value::String(wanted)) => {
                    normalize(given) == normalize(wanted)
                }
                _ => same_value(given, wanted),
            },
            Compare::Exact | Compare::Set | Compare::Bag => same_value(given, wanted),
        }
    }
}

/// The rules of a task by field: a JSON pointer, `*` for any position in a list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rules(pub BTreeMap<String, Rule>);

/// The rule where none is given.
static EXACT: Rule = Rule {
    compare: Compare::Exact,
    absolute: 0.0,
    relative: 0.0,
    days: 0.0,
};

impl Rules {
    /// The rule of a field.
    pub fn of(&self, field: &str) -> &Rule {
        self.0.get(field).unwrap_or(&EXACT)
    }

    /// Whether no field has a rule.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

fn instant(value: &Value) -> Option<f64> {
    seconds(value.as_str()?.trim())
}

/// Seconds since 1970-01-01 of an ISO 8601 date (`2025-03-09`, `2025/03/09`, `20250309`) or
/// date and time (`2025-03-09T08:30`, with seconds and an offset or not; without one as UTC).
fn seconds(text: &str) -> Option<f64> {
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let parts: Vec<&str> = match date.split(['-', '/']).collect::<Vec<_>>().as_slice() {
        [one] if one.len() == 8 && one.is_ascii() => vec![&one[..4], &one[4..6], &one[6..]],
        [year, month, day] if year.len() == 4 => vec![*year, *month, *day],
        _ => return None,
    };
    let [year, month, day] = parts.as_slice() else {
        return None;
    };
    let days = days(digits(year)?, digits(month)?, digits(day)?)?;
    let time = time.map_or(Some(0.0), time_of_day)?;
    Some(days as f64 * DAY + time)
}

fn digits(text: &str) -> Option<i64> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

/// Seconds since midnight UTC; negative or beyond a day where an offset says so.
fn time_of_day(text: &str) -> Option<f64> {
    let (clock, offset) = match text.find(['Z', 'z', '+', '-']) {
        Some(at) if text[at..].eq_ignore_ascii_case("z") => (&text[..at], 0.0),
        Some(at) => {
            let sign = if text[at..].starts_with('-') {
                -1.0
            } else {
                1.0
            };
            (&text[..at], sign * clock_seconds(&text[at + 1..])?)
        }
        None => (text, 0.0),
    };
    Some(clock_seconds(clock)? - offset)
}

fn clock_seconds(text: &str) -> Option<f64> {
    let mut parts = text.split(':');
    let hours = digits(parts.next()?)?;
    let minutes = parts.next().map_or(Some(0), digits)?;
    let seconds: f64 = match parts.next() {
        Some(seconds) if seconds.starts_with(|first: char| first.is_ascii_digit()) => {
            seconds.parse().ok()?
        }
        Some(_) => return None,
        None => 0.0,
    };
    let fits = hours <= 24 && minutes < 60 && seconds < 61.0 && parts.next().is_none();
    fits.then(|| (hours * 3600 + minutes * 60) as f64 + seconds)
}

/// Days since 1970-01-01 in the Gregorian calendar (Hinnant, `days_from_civil`); none for a
/// day that is not in its month.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=longest).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    Some(era * 146_097 + of_era - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn number_rule(absolute: f64, relative: f64) -> Rule {
        Rule {
            compare: Compare::Number,
            absolute,
            relative,
            ..Rule::default()
        }
    }

    #[test]
    fn numbers_agree_within_the_larger_tolerance() {
        let cents = number_rule(0.01, 0.0);
        assert!(cents.agrees(&json!(0.30), &json!(0.29)));
        assert!(!cents.agrees(&json!(0.31), &json!(0.29)));
        assert!(cents.agrees(&json!("12.50"), &json!(12.5)));
        assert!(!cents.agrees(&json!("12,50"), &json!(12.5)));
        assert!(!cents.agrees(&json!(null), &json!(0.0)));
        let percent = number_rule(0.0, 0.01);
        // One hundredth of the wanted value, not of the given one.
        assert!(percent.agrees(&json!(101), &json!(100)));
        assert!(!percent.agrees(&json!(100), &json!(101.1)));
        assert!(!number_rule(0.0, 0.0).agrees(&json!(1), &json!(1.001)));
    }

    #[test]
    fn dates_are_days_and_times_have_offsets() {
        assert_eq!(days(1970, 1, 1), Some(0));
        assert_eq!(days(2000, 3, 1), Some(11_017));
        assert_eq!(days(1969, 12, 31), Some(-1));
        assert_eq!(days(2023, 2, 29), None);
        assert_eq!(days(2024, 2, 29), Some(19_782));
        assert_eq!(seconds("1970-01-02T01:00:30Z"), Some(90_030.0));
        assert_eq!(seconds("1970-01-01 02:00+02:00"), Some(0.0));
        for text in [
            "2025-13-01",
            "09.03.2025",
            "yesterday",
            "2025-1",
            "2025-03-09T25",
            "",
            "é2345678",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn dates_agree_however_they_are_written() {
        let rule = Rule {
            compare: Compare::Date,
            days: 1.0,
            ..Rule::default()
        };
        assert!(rule.agrees(&json!("2025/03/09"), &json!("20250310")));
        assert!(!rule.agrees(&json!("2025-03-08"), &json!("2025-03-10")));
        // What is no date must be the same text.
        assert!(rule.agrees(&json!("soon"), &json!("soon")));
        assert!(!rule.agrees(&json!("soon"), &json!("2025-03-10")));
    }

    #[test]
    fn a_tolerance_must_fit_its_rule() {
        assert!(number_rule(0.1, 0.1).check().is_ok());
        assert!(number_rule(-0.1, 0.0).check().is_err());
        assert!(number_rule(f64::NAN, 0.0).check().is_err());
        let days = Rule {
            days: 1.0,
            ..number_rule(0.0, 0.0)
        };
        assert!(days.check().is_err());
    }
}
