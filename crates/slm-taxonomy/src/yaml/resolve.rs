//! The type of a plain scalar, by its text.
//!
//! InstructLab reads `qna.yaml` by YAML 1.1, in which `yes` is a boolean, `2024-05-01` a
//! date and `22:15` a number; a leaf that holds such an answer unquoted is refused there,
//! so it must be seen here. Our own files follow YAML 1.2's core schema.
//!
//! Source: <https://yaml.org/type/> and <https://yaml.org/spec/1.2.2/#103-core-schema>.

use super::ScalarKind;

/// The rules by which plain scalars get their type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// YAML 1.1, as InstructLab reads `qna.yaml`.
    Yaml11,
    /// The core schema of YAML 1.2.
    Core,
}

impl Flavor {
    /// The type of a plain (unquoted) scalar.
    pub fn resolve(self, text: &str) -> ScalarKind {
        if matches!(text, "" | "~" | "null" | "Null" | "NULL") {
            return ScalarKind::Null;
        }
        if let Some(value) = self.boolean(text) {
            return ScalarKind::Bool(value);
        }
        if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
            return ScalarKind::String;
        }
        if self.is_integer(text) {
            ScalarKind::Integer
        } else if self.is_float(text) {
            ScalarKind::Float
        } else if self == Flavor::Yaml11 && is_timestamp(text) {
            ScalarKind::Timestamp
        } else {
            ScalarKind::String
        }
    }

    fn boolean(self, text: &str) -> Option<bool> {
        match text {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            "yes" | "Yes" | "YES" | "on" | "On" | "ON" if self == Flavor::Yaml11 => Some(true),
            "no" | "No" | "NO" | "off" | "Off" | "OFF" if self == Flavor::Yaml11 => Some(false),
            _ => None,
        }
    }

    fn is_integer(self, text: &str) -> bool {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        match self {
            Flavor::Core => !digits.is_empty() && all(digits, |c| c.is_ascii_digit()),
            Flavor::Yaml11 => is_integer_11(digits),
        }
    }

    fn is_float(self, text: &str) -> bool {
        let rest = text.strip_prefix(['+', '-']).unwrap_or(text);
        if matches!(rest, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
            return true;
        }
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (rest, None),
        };
        // YAML 1.1 wants the exponent's sign and a point in the mantissa.
        let exponent_fits = exponent.is_none_or(|e| {
            let digits = e.strip_prefix(['+', '-']);
            let signed = digits.is_some() || self == Flavor::Core;
            let digits = digits.unwrap_or(e);
            signed && !digits.is_empty() && all(digits, |c| c.is_ascii_digit())
        });
        exponent_fits && self.is_mantissa(mantissa, exponent.is_some())
    }

    fn is_mantissa(self, text: &str, has_exponent: bool) -> bool {
        let underscores = self == Flavor::Yaml11;
        let digit = |c: char| c.is_ascii_digit() || (underscores && c == '_');
        match text.split_once('.') {
            Some((whole, fraction)) => {
                let whole_fits = all(whole, digit) || (underscores && is_sexagesimal(whole));
                let counted = |part: &str| part.contains(|c: char| c.is_ascii_digit());
                whole_fits && all(fraction, digit) && (counted(whole) || counted(fraction))
            }
            None => {
                self == Flavor::Core
                    && has_exponent
                    && !text.is_empty()
                    && all(text, |c| c.is_ascii_digit())
            }
        }
    }
}

fn is_integer_11(digits: &str) -> bool {
    if let Some(binary) = digits.strip_prefix("0b") {
        return !binary.is_empty() && all(binary, |c| matches!(c, '0' | '1' | '_'));
    }
    if let Some(hexadecimal) = digits.strip_prefix("0x") {
        return !hexadecimal.is_empty() && all(hexadecimal, |c| c.is_ascii_hexdigit() || c == '_');
    }
    if let Some(octal) = digits.strip_prefix('0') {
        return all(octal, |c| matches!(c, '0'..='7' | '_'));
    }
    let starts_with_digit = digits.starts_with(|c: char| c.is_ascii_digit());
    let plain = all(digits, |c| c.is_ascii_digit() || c == '_');
    starts_with_digit && (plain || is_sexagesimal(digits))
}

/// Numbers to base 60, such as `22:15`.
fn is_sexagesimal(text: &str) -> bool {
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or_default();
    let first_fits = first.starts_with(|c: char| c.is_ascii_digit())
        && all(first, |c| c.is_ascii_digit() || c == '_');
    let mut count = 0;
    let rest_fits = parts.all(|part| {
        count += 1;
        let small = part.len() == 1 || (part.len() == 2 && part.as_bytes()[0] <= b'5');
        small && all(part, |c| c.is_ascii_digit())
    });
    first_fits && rest_fits && count > 0
}

/// `YYYY-MM-DD`, or a looser date followed by a time.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    if !text.is_ascii() || bytes.len() < 8 {
        return false;
    }
    let date_end = text.find(['T', 't', ' ', '\t']).unwrap_or(text.len());
    let (date, time) = text.split_at(date_end);
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts[..] else {
        return false;
    };
    let digits = |part: &str, low: usize, high: usize| {
        (low..=high).contains(&part.len()) && all(part, |c| c.is_ascii_digit())
    };
    if time.is_empty() {
        return digits(year, 4, 4) && digits(month, 2, 2) && digits(day, 2, 2);
    }
    digits(year, 4, 4) && digits(month, 1, 2) && digits(day, 1, 2) && is_time(&time[1..])
}

/// `hh:mm:ss`, a fraction and a time zone allowed.
fn is_time(text: &str) -> bool {
    let text = text.trim_start();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.'))
        .unwrap_or(text.len());
    let (clock, zone) = text.split_at(end);
    let fields: Vec<&str> = clock.split(':').collect();
    let zone = zone.trim_start();
    let zone_fits = zone.is_empty()
        || zone == "Z"
        || (zone.starts_with(['+', '-']) && all(&zone[1..], |c| c.is_ascii_digit() || c == ':'));
    fields.len() == 3
        && zone_fits
        && all(fields[0], |c| c.is_ascii_digit())
        && fields[0].len() <= 2
        && fields[1].len() == 2
        && fields[2].split('.').next().is_some_and(|s| s.len() == 2)
}

fn all(text: &str, test: impl Fn(char) -> bool) -> bool {
    text.chars().all(test)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_1_1_sees_more_than_text() {
        use ScalarKind::*;
        let cases = [
            ("yes", Bool(true)),
            ("Off", Bool(false)),
            ("y", String),
            ("22:15", Integer),
            ("22:75", String),
            ("1_000", Integer),
            ("007", Integer),
            ("08", String),
            ("0x1F", Integer),
            ("-12", Integer),
            ("3.14", Float),
            (".5", Float),
            ("1e3", String),
            ("1.0e+3", Float),
            ("-.inf", Float),
            ("2024-05-01", Timestamp),
            ("2024-5-1", String),
            ("2024-05-01 10:00:00", Timestamp),
            ("2024-05-01T10:00:00Z", Timestamp),
            ("2024-05-01 in the morning", String),
            ("~", Null),
            ("", Null),
            ("1.2.3", String),
            ("-", String),
            (".", String),
            ("+", String),
            ("12:30:45", Integer),
            ("1 of 3", String),
        ];
        for (text, kind) in cases {
            assert_eq!(Flavor::Yaml11.resolve(text), kind, "`{text}`");
        }
    }

    #[test]
    fn the_core_schema_leaves_dates_and_times_as_text() {
        use ScalarKind::*;
        let cases = [
            ("yes", String),
            ("true", Bool(true)),
            ("22:15", String),
            ("2024-05-01", String),
            ("42", Integer),
            ("1e3", Float),
            ("1_000", String),
            ("2.5", Float),
        ];
        for (text, kind) in cases {
            assert_eq!(Flavor::Core.resolve(text), kind, "`{text}`");
        }
    }
}
