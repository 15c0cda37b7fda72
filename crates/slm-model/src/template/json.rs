//! JSON as Python's `json.dumps` writes it.
//!
//! Does not know templates beyond the values that they hold.

use std::fmt::Write;

use minijinja::{Error, ErrorKind, Value};
use serde_json::Value as Json;

use super::python;

/// The arguments of `json.dumps`.
#[derive(Debug, Clone, Default)]
pub struct Style {
    /// Whether what is not ASCII is written as `\uXXXX`.
    pub ensure_ascii: bool,
    /// Spaces of a level, each item in a line of its own.
    pub indent: Option<usize>,
    /// Between items, and behind keys.
    pub separators: Option<(String, String)>,
    /// Whether keys are sorted.
    pub sort_keys: bool,
}

/// A template's value as JSON.
///
/// # Errors
/// An undefined value, as in Python, and what has no form in JSON.
pub fn dumps(value: &Value, style: &Style) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(Error::new(
            ErrorKind::UndefinedError,
            "an undefined value has no JSON",
        ));
    }
    let value = serde_json::to_value(value).map_err(|error| {
        Error::new(ErrorKind::BadSerialization, "the value has no JSON").with_source(error)
    })?;
    let mut writer = Writer {
        out: String::new(),
        style,
        // With an indent a comma ends its line, so no space follows it.
        separators: match (&style.separators, style.indent) {
            (Some((items, keys)), _) => (items, keys),
            (None, Some(_)) => (",", ": "),
            (None, None) => (", ", ": "),
        },
    };
    writer.value(&value, 0);
    Ok(writer.out)
}

struct Writer<'a> {
    out: String,
    style: &'a Style,
    separators: (&'a str, &'a str),
}

impl Writer<'_> {
    fn value(&mut self, value: &Json, level: usize) {
        match value {
            Json::Null => self.out.push_str("null"),
            Json::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Json::Number(number) => match number.as_f64() {
                Some(float) if number.is_f64() => self.out.push_str(&python::float(float)),
                _ => self.out.push_str(&number.to_string()),
            },
            Json::String(text) => self.string(text),
            Json::Array(items) => {
                self.out.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.before(index, level + 1);
                    self.value(item, level + 1);
                }
                self.close(']', items.is_empty(), level);
            }
            Json::Object(object) => {
                let mut entries: Vec<(&String, &Json)> = object.iter().collect();
                if self.style.sort_keys {
                    entries.sort_by_key(|(key, _)| *key);
                }
                self.out.push('{');
                for (index, (key, item)) in entries.into_iter().enumerate() {
                    self.before(index, level + 1);
                    self.string(key);
                    self.out.push_str(self.separators.1);
                    self.value(item, level + 1);
                }
                self.close('}', object.is_empty(), level);
            }
        }
    }

    fn before(&mut self, index: usize, level: usize) {
        if index > 0 {
            self.out.push_str(self.separators.0);
        }
        self.line(level);
    }

    fn close(&mut self, bracket: char, empty: bool, level: usize) {
        if !empty {
            self.line(level);
        }
        self.out.push(bracket);
    }

    fn line(&mut self, level: usize) {
        if let Some(indent) = self.style.indent {
            self.out.push('\n');
            self.out.push_str(&" ".repeat(indent * level));
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if (c as u32) < 0x20 || (self.style.ensure_ascii && !c.is_ascii()) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(self.out, "\\u{unit:04x}");
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn dump(value: Json, style: Style) -> String {
        dumps(&Value::from_serialize(value), &style).unwrap()
    }

    #[test]
    fn the_default_has_spaces_and_keeps_order_and_letters() {
        // json.dumps({"b": [1, 2.5, True, None], "a": "größe <&'> \"x\"\n"}, ensure_ascii=False)
        assert_eq!(
            dump(
                json!({"b": [1, 2.5, true, null], "a": "größe <&'> \"x\"\n", "e": {}, "l": []}),
                Style::default()
            ),
            r#"{"b": [1, 2.5, true, null], "a": "größe <&'> \"x\"\n", "e": {}, "l": []}"#
        );
    }

    #[test]
    fn indent_ascii_and_separators_as_python_has_them() {
        let value = json!({"b": [1], "a": "é🙂"});
        let style = Style {
            indent: Some(2),
            ..Style::default()
        };
        assert_eq!(
            dump(value.clone(), style),
            "{\n  \"b\": [\n    1\n  ],\n  \"a\": \"é🙂\"\n}"
        );
        let style = Style {
            ensure_ascii: true,
            separators: Some((",".into(), ":".into())),
            sort_keys: true,
            ..Style::default()
        };
        assert_eq!(
            dump(value, style),
            "{\"a\":\"\\u00e9\\ud83d\\ude42\",\"b\":[1]}"
        );
    }

    #[test]
    fn an_undefined_value_is_an_error() {
        assert!(dumps(&Value::UNDEFINED, &Style::default()).is_err());
    }
}
