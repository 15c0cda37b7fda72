//! Texts as YAML, so that they are read back as they were.
//!
//! It knows nothing of keys or of files.

use super::{Flavor, ScalarKind, single_quoted};

/// The value of a key as it stands after `key:`, with the space before it and the newline
/// after it. `indent` is the key's own indentation.
pub(crate) fn value(text: &str, indent: usize) -> String {
    let is_odd = |c: char| c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}');
    let is_plain_line = |line: &str| !line.chars().any(is_odd);
    if !text.contains('\n') && is_plain_line(text) {
        let written = match is_safe_plain(text) {
            true => text.to_string(),
            false => single_quoted(text),
        };
        return format!(" {written}\n");
    }
    let body = text.strip_suffix('\n').unwrap_or(text);
    let starts_plainly = body.starts_with(|c: char| !c.is_whitespace());
    let ends_plainly = !body.ends_with('\n');
    if starts_plainly && ends_plainly && body.split('\n').all(is_plain_line) {
        let chomp = if body.len() < text.len() { "" } else { "-" };
        return format!(" |{chomp}\n{}", block(body, indent + 2));
    }
    format!(" {}\n", double_quoted(text))
}

fn block(body: &str, indent: usize) -> String {
    let margin = " ".repeat(indent);
    let lines = body.split('\n').map(|line| match line {
        "" => "\n".to_string(),
        line => format!("{margin}{line}\n"),
    });
    lines.collect()
}

/// Whether a text of one line needs no quotes. Rather too strict than too lax.
fn is_safe_plain(text: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || " .,;()/?!'-_+=".contains(c);
    text.starts_with(char::is_alphanumeric)
        && !text.ends_with(' ')
        && text.chars().all(is_word)
        && Flavor::Yaml11.resolve(text) == ScalarKind::String
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}') => {
                out.push_str(&format!("\\u{:04X}", c as u32));
            }
            c => out.push(c),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;
    use crate::yaml::{Limits, parse};
    use proptest::prelude::*;

    fn read_back(text: &str) -> Option<String> {
        let yaml = format!("a:\n  - b:{}    c: d\n", value(text, 4));
        let parsed = parse(&Source::new("", yaml), Flavor::Yaml11, Limits::default());
        assert_eq!(parsed.faults, []);
        let root = parsed.root?;
        let items = root.get("a")?.as_sequence()?;
        Some(items[0].get("b")?.as_text()?.to_string())
    }

    #[test]
    fn texts_take_the_form_that_reads_best() {
        assert_eq!(value("It is 3.", 2), " It is 3.\n");
        assert_eq!(value("yes", 2), " 'yes'\n");
        assert_eq!(value("it's: so", 2), " 'it''s: so'\n");
        assert_eq!(value("a\n\n b", 2), " |-\n    a\n\n     b\n");
        assert_eq!(value("a\nb\n", 0), " |\n  a\n  b\n");
        assert_eq!(value("\ta\n", 0), " \"\\ta\\n\"\n");
    }

    proptest! {
        #[test]
        fn every_text_is_read_back(text in "[a-c:#'\"\\\\\\-\\[{ \n\t|>é\u{85}\u{2028}&*!%@~0]{1,24}") {
            prop_assert_eq!(read_back(&text), Some(text));
        }
    }
}
