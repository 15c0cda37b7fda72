//! Makes text harmless and visible: model output is hostile.
//!
//! Does not know where the text stands.

use std::fmt::Write;

/// Text for an HTML element or a quoted attribute.
pub(crate) fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in visible(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// JSON for a `<script type="application/json">`: no `<` can end the element,
/// and the two line separators that JavaScript once minded are escaped as well.
pub(crate) fn json_for_script(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len() + json.len() / 64);
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "\\u{:04x}", character as u32);
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// The text with control characters as their pictures (`\u{1b}` as `␛`) and
/// characters that change the direction of writing by name, so that nothing
/// steers a terminal or hides. Line feed and tab stay.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            '\u{0}'..='\u{1f}' => {
                shown.push(char::from_u32(0x2400 + character as u32).unwrap_or('\u{fffd}'));
            }
            '\u{7f}' => shown.push('\u{2421}'),
            '\u{80}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}' => {
                let _ = write!(shown, "\u{27e8}U+{:04X}\u{27e9}", character as u32);
            }
            other => shown.push(other),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_cannot_get_out() {
        assert_eq!(html("<b a='\"'>&"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;");
        let json = json_for_script("{\"x\":\"</script><!--\u{2028}\"}");
        assert_eq!(json, "{\"x\":\"\\u003c/script\\u003e\\u003c!--\\u2028\"}");
        let back: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(back["x"], "</script><!--\u{2028}");
    }

    #[test]
    fn what_steers_is_shown() {
        assert_eq!(visible("\u{1b}[31mred\u{7}\n"), "\u{241b}[31mred\u{2407}\n");
        assert_eq!(visible("a\u{202e}b"), "a\u{27e8}U+202E\u{27e9}b");
    }
}
