//! Values as Python's `str` and `repr` write them, and the methods of Python's strings that
//! minijinja-contrib lacks.
//!
//! Does not know templates.

use std::fmt::Write;

use minijinja::value::{ValueKind, from_args};
use minijinja::{Error, Value};

/// `str(value)`: what an expression of a template writes. An undefined value writes nothing.
pub fn text(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_undefined() => String::new(),
        None => representation(value),
    }
}

/// `repr(value)`.
fn representation(value: &Value) -> String {
    match value.kind() {
        ValueKind::None => "None".to_owned(),
        ValueKind::Bool => match value.is_true() {
            true => "True".to_owned(),
            false => "False".to_owned(),
        },
        ValueKind::Number if !value.is_integer() => match f64::try_from(value.clone()) {
            Ok(number) => float(number),
            Err(_) => value.to_string(),
        },
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => match value.try_iter() {
            Ok(items) => {
                let items: Vec<String> = items.map(|item| representation(&item)).collect();
                format!("[{}]", items.join(", "))
            }
            Err(_) => value.to_string(),
        },
        ValueKind::Map => match value.try_iter() {
            Ok(keys) => {
                let entry = |key: Value| {
                    let item = value.get_item(&key).unwrap_or_default();
                    format!("{}: {}", representation(&key), representation(&item))
                };
                let entries: Vec<String> = keys.map(entry).collect();
                format!("{{{}}}", entries.join(", "))
            }
            Err(_) => value.to_string(),
        },
        _ => value.to_string(),
    }
}

/// `repr` of a text: single quotes, unless only those occur in it.
fn quoted(text: &str) -> String {
    let quote = match text.contains('\'') && !text.contains('"') {
        true => '"',
        false => '\'',
    };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if (c as u32) < 0x20 || (0x7f..0xa1).contains(&(c as u32)) => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// `repr` of a float: the shortest digits that read back, with an exponent from 1e16 on and
/// below 1e-4.
pub fn float(value: f64) -> String {
    if !value.is_finite() {
        return match value {
            v if v.is_nan() => "nan",
            v if v > 0.0 => "inf",
            _ => "-inf",
        }
        .to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 || (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return match plain.contains('.') {
            true => plain,
            false => format!("{plain}.0"),
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// The methods of strings that minijinja-contrib lacks; none for any other name.
pub fn string_method(text: &str, name: &str, arguments: &[Value]) -> Option<Result<Value, Error>> {
    let one = || from_args::<(&str,)>(arguments).map(|(argument,)| argument);
    Some(match name {
        "removeprefix" => {
            one().map(|prefix| Value::from(text.strip_prefix(prefix).unwrap_or(text)))
        }
        "removesuffix" => {
            one().map(|suffix| Value::from(text.strip_suffix(suffix).unwrap_or(text)))
        }
        "partition" => one().map(|separator| {
            let parts = text.split_once(separator);
            parts
                .map_or([text, "", ""], |(a, b)| [a, separator, b])
                .into_iter()
                .collect()
        }),
        "rpartition" => one().map(|separator| {
            let parts = text.rsplit_once(separator);
            parts
                .map_or(["", "", text], |(a, b)| [a, separator, b])
                .into_iter()
                .collect()
        }),
        "rsplit" => from_args::<(&str, Option<i64>)>(arguments).map(|(separator, most)| {
            let pieces = most.and_then(|most| usize::try_from(most).ok());
            let mut parts: Vec<&str> = match pieces {
                Some(most) => text.rsplitn(most + 1, separator).collect(),
                None => text.rsplit(separator).collect(),
            };
            parts.reverse();
            parts.into_iter().collect()
        }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_written_as_python_writes_them() {
        // str({...}) in Python 3.
        let value = Value::from_serialize(json!({
            "a": [1, 2.0, true, null, "it's", "say \"x\"", "line\n"], "b": {}
        }));
        assert_eq!(
            text(&value),
            r#"{'a': [1, 2.0, True, None, "it's", 'say "x"', 'line\n'], 'b': {}}"#
        );
        assert_eq!(text(&Value::UNDEFINED), "");
        assert_eq!(text(&Value::from("plain")), "plain");
    }

    #[test]
    fn floats_have_the_shortest_digits_and_pythons_exponents() {
        let cases = [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (-0.0, "-0.0"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
        ];
        for (value, expected) in cases {
            assert_eq!(float(value), expected);
        }
    }

    #[test]
    fn string_methods_split_as_pythons_do() {
        let call = |name, arguments: &[Value]| {
            text(&string_method("a-b-c", name, arguments).unwrap().unwrap())
        };
        assert_eq!(call("rsplit", &["-".into(), 1.into()]), "['a-b', 'c']");
        assert_eq!(call("partition", &["-".into()]), "['a', '-', 'b-c']");
        assert_eq!(call("rpartition", &["x".into()]), "['', '', 'a-b-c']");
        assert_eq!(call("removeprefix", &["a-".into()]), "b-c");
        assert!(string_method("a", "upper", &[]).is_none());
    }
}
