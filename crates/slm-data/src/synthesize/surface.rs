//! How a value of the answer may look in the text, where it does, and how
//! another value is written in its place.
//!
//! Does not know which values may be replaced.

use super::calendar::{Date, DateForm, MONTHS, Time, TimeForm};
use super::text::{find_caseless, on_word_borders};
use serde_json::Value;
use std::ops::Range;

/// How a value is written in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Letter by letter.
    Verbatim,
    /// In lower case.
    Lower,
    /// A number with so many decimals, with or without `,` at the thousands.
    Number {
        decimals: usize,
        thousands: bool,
    },
    Date(DateForm),
    Time(TimeForm),
}

/// A place in a text where a value is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Occurrence {
    pub range: Range<usize>,
    pub form: Form,
}

/// All places in `text` where `value` is written, from left to right.
pub(crate) fn occurrences(text: &str, value: &Value) -> Vec<Occurrence> {
    let mut found = match value {
        Value::String(s) => string_occurrences(text, s),
        Value::Number(n) => n
            .as_f64()
            .map_or_else(Vec::new, |x| number_occurrences(text, x, !n.is_f64())),
        _ => Vec::new(),
    };
    found.sort_by_key(|o| o.range.start);
    found
}

/// Writes `value` in a form; `None` when the form does not suit it.
pub(crate) fn render(value: &Value, form: Form) -> Option<String> {
    match (form, value) {
        (Form::Verbatim, Value::String(s)) => Some(s.clone()),
        (Form::Lower, Value::String(s)) => Some(s.to_lowercase()),
        (
            Form::Number {
                decimals,
                thousands,
            },
            Value::Number(n),
        ) => render_number(n.as_f64()?, decimals, thousands),
        (Form::Date(form), Value::String(s)) => Date::parse(s)?.render(form),
        (Form::Time(form), Value::String(s)) => Time::parse(s)?.render(form),
        _ => None,
    }
}

fn string_occurrences(text: &str, value: &str) -> Vec<Occurrence> {
    if value.trim().is_empty() {
        return Vec::new();
    }
    if let Some(date) = Date::parse(value) {
        let forms = DateForm::ALL
            .iter()
            .map(|f| (Form::Date(*f), date.render(*f)));
        return rendered_occurrences(text, forms);
    }
    if let Some(time) = Time::parse(value) {
        let forms = TimeForm::ALL
            .iter()
            .map(|f| (Form::Time(*f), time.render(*f)));
        return rendered_occurrences(text, forms);
    }
    let verbatim = rendered_occurrences(
        text,
        std::iter::once((Form::Verbatim, Some(value.to_owned()))),
    );
    let lower = value.to_lowercase();
    if verbatim.is_empty() && lower != value && value.chars().count() >= 3 {
        return rendered_occurrences(text, std::iter::once((Form::Lower, Some(lower))));
    }
    verbatim
}

/// Dates and times are looked for in every form; a shorter form inside a longer
/// one (`2 pm` in `12 pm`) is kept out by the borders.
fn rendered_occurrences(
    text: &str,
    forms: impl Iterator<Item = (Form, Option<String>)>,
) -> Vec<Occurrence> {
    let mut found: Vec<Occurrence> = Vec::new();
    for (form, written) in forms {
        let Some(written) = written else { continue };
        for (start, part) in text.match_indices(written.as_str()) {
            let range = start..start + part.len();
            let taken = found
                .iter()
                .any(|o| o.range.start < range.end && range.start < o.range.end);
            if !taken && stands_alone(text, &range) {
                found.push(Occurrence { range, form });
            }
        }
    }
    found
}

/// Whether a place is a word of its own: not part of a longer word, number,
/// address, path or hyphenated name.
pub(crate) fn stands_alone(text: &str, range: &Range<usize>) -> bool {
    if !on_word_borders(text, range) {
        return false;
    }
    let inner = &text[range.clone()];
    let joined = |joint: Option<char>, beyond: Option<char>, edge: Option<char>| {
        edge.is_some_and(char::is_alphanumeric)
            && joint.is_some_and(|c| is_joint(c, beyond, edge))
            && beyond.is_some_and(char::is_alphanumeric)
    };
    let mut before = text[..range.start].chars().rev();
    let mut after = text[range.end..].chars();
    !joined(before.next(), before.next(), inner.chars().next())
        && !joined(after.next(), after.next(), inner.chars().next_back())
}

/// Characters that hold two parts together; `,` and `:` do between digits only.
fn is_joint(c: char, beyond: Option<char>, edge: Option<char>) -> bool {
    match c {
        '-' | '_' | '.' | '@' | '/' | '\\' | '#' | '&' | '+' => true,
        ',' | ':' => [beyond, edge]
            .iter()
            .all(|c| c.is_some_and(|c| c.is_ascii_digit())),
        _ => false,
    }
}

/// Places where a text still shows `old`, in any case, as a word of its own or
/// as a part of an address or a hyphenated name.
pub(crate) fn residue(text: &str, old: &str) -> Vec<Range<usize>> {
    find_caseless(text, old)
        .into_iter()
        .filter(|range| on_word_borders(text, range))
        .collect()
}

fn number_occurrences(text: &str, value: f64, integer: bool) -> Vec<Occurrence> {
    numbers(text)
        .into_iter()
        .filter(|n| n.value == value && (!integer || matches!(n.decimals, 0 | 2)))
        .filter(|n| stands_alone(text, &n.range) && !belongs_to_date_or_time(text, &n.range))
        .map(|n| Occurrence {
            form: Form::Number {
                decimals: n.decimals,
                thousands: n.thousands || n.value.abs() < 1000.0 && n.decimals == 2,
            },
            range: n.range,
        })
        .collect()
}

/// `5` in `5 pm`, `5 March`, `March 5`, `5th` means no number of things.
fn belongs_to_date_or_time(text: &str, range: &Range<usize>) -> bool {
    let after: String = text[range.end..]
        .trim_start()
        .chars()
        .take_while(|c| c.is_alphabetic())
        .collect();
    let before: String = text[..range.start]
        .trim_end()
        .chars()
        .rev()
        .take_while(|c| c.is_alphabetic())
        .collect();
    let before: String = before.chars().rev().collect();
    let is_month = |word: &str| {
        MONTHS.iter().any(|m| {
            m.eq_ignore_ascii_case(word) || (word.len() == 3 && m[..3].eq_ignore_ascii_case(word))
        })
    };
    let unit = ["am", "pm", "a", "p", "o", "oclock"]
        .iter()
        .any(|u| u.eq_ignore_ascii_case(&after));
    unit || is_month(&after) || is_month(&before)
}

/// A number as it is written in a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WrittenNumber {
    pub range: Range<usize>,
    pub value: f64,
    pub decimals: usize,
    pub thousands: bool,
}

/// All numbers of a text: `7`, `1250`, `1,250`, `12.50`, `1,250.00`.
pub(crate) fn numbers(text: &str) -> Vec<WrittenNumber> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && is_inside_number(bytes, at) {
            at += 1;
        }
        found.extend(read_number(text, start..at));
    }
    found
}

fn is_inside_number(bytes: &[u8], at: usize) -> bool {
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    digit(at) || (matches!(bytes[at], b',' | b'.') && digit(at + 1))
}

fn read_number(text: &str, range: Range<usize>) -> Option<WrittenNumber> {
    let written = &text[range.clone()];
    let (whole, fraction) = written.split_once('.').unwrap_or((written, ""));
    if fraction.contains(['.', ',']) {
        return None;
    }
    let thousands = whole.contains(',');
    if thousands {
        let mut groups = whole.split(',');
        let first = groups.next().is_some_and(|g| (1..=3).contains(&g.len()));
        if !first || !groups.all(|g| g.len() == 3) {
            return None;
        }
    }
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    if leading_zero {
        return None;
    }
    let value = written.replace(',', "").parse().ok()?;
    Some(WrittenNumber {
        range,
        value,
        decimals: fraction.len(),
        thousands,
    })
}

/// Writes a number; `None` when it needs more decimals than the form has.
pub(crate) fn render_number(value: f64, decimals: usize, thousands: bool) -> Option<String> {
    let written = format!("{value:.decimals$}");
    if !value.is_finite() || written.parse::<f64>().ok()? != value {
        return None;
    }
    if !thousands {
        return Some(written);
    }
    let (whole, rest) = written.split_at(written.find('.').unwrap_or(written.len()));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |d| ("-", d));
    let mut grouped = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    Some(format!("{sign}{grouped}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn shown(text: &str, value: Value) -> Vec<String> {
        occurrences(text, &value)
            .into_iter()
            .map(|o| text[o.range].to_owned())
            .collect()
    }

    #[test]
    fn words_inside_words_do_not_count() {
        assert_eq!(
            shown("Ann wrote the Announcement for Ann's team", json!("Ann")),
            ["Ann", "Ann"]
        );
        assert!(shown("mail ann@acme.com about INV-12-3", json!("acme")).is_empty());
        assert!(shown("INV-12-3", json!("INV-12")).is_empty());
        assert_eq!(shown("about INV-12.", json!("INV-12")), ["INV-12"]);
        assert_eq!(shown("acme gmbh called", json!("Acme GmbH")), ["acme gmbh"]);
    }

    #[test]
    fn numbers_in_their_written_forms() {
        assert_eq!(
            shown("1,250.00 and 1250 and 1,250 and 11250", json!(1250)),
            ["1,250.00", "1250", "1,250"]
        );
        assert_eq!(shown("EUR 99.50, v99.5.1", json!(99.5)), ["99.50"]);
        assert!(shown("2024-12-05 12:30 v1.12 12 March 12 pm 12,5", json!(12)).is_empty());
        assert_eq!(shown("a table for 5, at 5 pm", json!(5)), ["5"]);
    }

    #[test]
    fn dates_and_times_in_their_written_forms() {
        assert_eq!(
            shown("due 5 March 2024 (2024-03-05)", json!("2024-03-05")),
            ["5 March 2024", "2024-03-05"]
        );
        assert!(shown("due 15 March 2024", json!("2024-03-05")).is_empty());
        assert_eq!(shown("at 2:30 pm", json!("14:30")), ["2:30 pm"]);
        assert!(shown("at 12 pm", json!("14:00")).is_empty());
    }

    #[test]
    fn writes_another_value_in_the_same_form() {
        let form = Form::Number {
            decimals: 2,
            thousands: true,
        };
        assert_eq!(render(&json!(1_234_567.5), form).unwrap(), "1,234,567.50");
        assert_eq!(render(&json!(0.125), form), None);
        assert_eq!(
            render(&json!("2024-05-31"), Form::Date(DateForm::MonthDayYear)).unwrap(),
            "May 31, 2024"
        );
        assert_eq!(
            render(&json!("14:31"), Form::Time(TimeForm::HourSpaced)),
            None
        );
    }

    proptest! {
        #[test]
        fn a_rendered_number_is_found_again(cents in 0u64..10_000_000, thousands: bool) {
            let value = format!("{}.{:02}", cents / 100, cents % 100).parse::<f64>().unwrap();
            let written = render_number(value, 2, thousands).unwrap();
            let text = format!("pay {written} now");
            prop_assert_eq!(shown(&text, json!(value)), vec![written]);
        }

        #[test]
        fn no_panic_on_any_text(text in "\\PC{0,40}", value in "\\PC{0,8}") {
            occurrences(&text, &json!(value));
            residue(&text, &value);
            numbers(&text);
        }
    }
}
