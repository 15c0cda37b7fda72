//! `{% generation %}` blocks, which only transformers knows: rewritten to marks in the
//! rendered text, and taken out of it again.
//!
//! Does not know what a template is about.

use std::ops::Range;

use minijinja::Value;

use crate::conversation::Conversation;

/// Names of the template variables that hold the marks.
const OPEN: &str = "__generation_opens";
const CLOSE: &str = "__generation_closes";

/// The marks of one rendering.
pub struct Marks {
    open: String,
    close: String,
}

impl Marks {
    /// Marks that do not occur in the conversation, so that no text of a user is taken for one.
    pub fn absent_from(conversation: &Conversation) -> Self {
        let mut number = 0;
        loop {
            // Private-use characters around a number.
            let marks = Self {
                open: format!("\u{F8F0}{number}\u{F8F1}"),
                close: format!("\u{F8F2}{number}\u{F8F1}"),
            };
            if !conversation.contains(&marks.open) && !conversation.contains(&marks.close) {
                return marks;
            }
            number += 1;
        }
    }

    /// What a rendering is given.
    pub fn values(&self) -> [(String, Value); 2] {
        [
            (OPEN.to_owned(), Value::from(self.open.as_str())),
            (CLOSE.to_owned(), Value::from(self.close.as_str())),
        ]
    }

    /// Takes the marks out of a rendered text; says what they enclosed, in bytes.
    pub fn take_out(&self, text: &str) -> (String, Vec<Range<usize>>) {
        let (mut out, mut spans, mut open) = (String::with_capacity(text.len()), Vec::new(), None);
        let mut rest = text;
        while let Some(at) = rest.find(['\u{F8F0}', '\u{F8F2}']) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix(&self.open) {
                open = Some(out.len());
                rest = after;
            } else if let Some(after) = rest.strip_prefix(&self.close) {
                spans.extend(open.take().map(|start| start..out.len()));
                rest = after;
            } else {
                let length = rest.chars().next().map_or(0, char::len_utf8);
                out.push_str(&rest[..length]);
                rest = &rest[length..];
            }
        }
        out.push_str(rest);
        (out, spans)
    }
}

/// Replaces the blocks by marks, and says whether there were any.
///
/// A tag becomes an `if` around the mark, because a block tag (unlike an expression) is
/// subject to `trim_blocks` and `lstrip_blocks`, as the tag that it stands for is.
pub fn to_marks(template: &str) -> (String, bool) {
    let (mut out, mut found) = (String::with_capacity(template.len()), false);
    let mut rest = template;
    while let Some(start) = rest.find("{%") {
        // What looks like a tag in a comment is none.
        if let Some(comment) = rest[..start].find("{#")
            && let Some(length) = rest[comment..].find("#}")
        {
            out.push_str(&rest[..comment + length + 2]);
            rest = &rest[comment + length + 2..];
            continue;
        }
        // The sign that opens a tag does not close it: `{%}` is none.
        let Some(length) = rest[start + 2..].find("%}") else {
            break;
        };
        let length = length + 2;
        let tag = &rest[start + 2..start + length];
        out.push_str(&rest[..start]);
        match variable(tag) {
            Some(name) => {
                let (left, right) = (control(tag.chars().next()), control(tag.chars().last()));
                out.push_str(&format!(
                    "{{%{left} if true %}}{{{{ {name} }}}}{{% endif {right}%}}"
                ));
                found = true;
            }
            None => out.push_str(&rest[start..start + length + 2]),
        }
        rest = &rest[start + length + 2..];
    }
    out.push_str(rest);
    (out, found)
}

fn variable(tag: &str) -> Option<&'static str> {
    match tag.trim_matches(['-', '+']).trim() {
        "generation" => Some(OPEN),
        "endgeneration" => Some(CLOSE),
        _ => None,
    }
}

/// The whitespace control at an end of a tag.
fn control(end: Option<char>) -> &'static str {
    match end {
        Some('-') => "-",
        Some('+') => "+",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::ChatMessage;

    #[test]
    fn blocks_become_marks_with_their_whitespace_control() {
        let (marked, found) = to_marks(
            "{# {% generation %} #}a {%- generation -%} b {% endgeneration %}{% if x %}c{% endif %}",
        );
        assert!(found);
        assert_eq!(
            marked,
            "{# {% generation %} #}a {%- if true %}{{ __generation_opens }}{% endif -%} b \
             {% if true %}{{ __generation_closes }}{% endif %}{% if x %}c{% endif %}"
        );
        assert!(!to_marks("{# {% generation %} #}{{ x }}").1);
        assert!(!to_marks("{% generation").1);
        assert_eq!(to_marks("{%}a{% b %}").0, "{%}a{% b %}");
        assert_eq!(to_marks("{%").0, "{%");
    }

    #[test]
    fn marks_are_taken_out_and_none_is_taken_from_a_user() {
        let said = ChatMessage::new("user", "\u{F8F0}0\u{F8F1}x");
        let marks = Marks::absent_from(&Conversation::from(&[said][..]));
        assert_eq!(marks.open, "\u{F8F0}1\u{F8F1}");
        let text = format!(
            "ü{0}ab{1}\u{F8F0}0\u{F8F1}{0}{1}\u{F8F2}",
            marks.open, marks.close
        );
        let (text, spans) = marks.take_out(&text);
        assert_eq!(text, "üab\u{F8F0}0\u{F8F1}\u{F8F2}");
        assert_eq!(spans, vec![2..4, 11..11]);
    }
}
