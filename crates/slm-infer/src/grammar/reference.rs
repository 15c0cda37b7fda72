//! References within a schema.
//!
//! Does not know what is referred to.

use serde_json::Value;

/// The name under which the target with this number stands in `$defs`.
pub fn name(number: usize) -> String {
    format!("r{number}")
}

/// A name as a JSON pointer has it (RFC 6901).
pub fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The JSON pointer that a `$ref` leads to.
///
/// # Errors
/// What is wrong with it.
pub fn resolve(root: &Value, text: &str) -> Result<String, String> {
    let Some(fragment) = text.strip_prefix('#') else {
        return Err(format!("`{text}` leads outside of the schema"));
    };
    let fragment = percent_decoded(fragment);
    let pointer = match fragment.is_empty() || fragment.starts_with('/') {
        true => Some(fragment),
        false => anchor(root, &fragment, String::new()),
    };
    pointer
        .filter(|pointer| root.pointer(pointer).is_some())
        .ok_or_else(|| format!("`{text}` leads to nothing"))
}

/// Where the schema with this anchor stands.
fn anchor(value: &Value, name: &str, place: String) -> Option<String> {
    match value {
        Value::Object(fields) => {
            if fields.get("$anchor").and_then(Value::as_str) == Some(name) {
                return Some(place);
            }
            fields
                .iter()
                .find_map(|(key, value)| anchor(value, name, format!("{place}/{}", escape(key))))
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(n, value)| anchor(value, name, format!("{place}/{n}"))),
        _ => None,
    }
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let code = code.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pointers_anchors_and_escapes_are_followed() {
        let root = json!({"$defs": {"a/b": {"type": "null"}, "c d": {"$anchor": "here"}}});
        assert_eq!(resolve(&root, "#/$defs/a~1b").unwrap(), "/$defs/a~1b");
        assert_eq!(resolve(&root, "#/%24defs/c%20d").unwrap(), "/$defs/c d");
        assert_eq!(resolve(&root, "#here").unwrap(), "/$defs/c d");
        assert_eq!(resolve(&root, "#").unwrap(), "");
        assert!(
            resolve(&root, "#/$defs/none")
                .unwrap_err()
                .contains("leads to nothing")
        );
        assert!(
            resolve(&root, "other.json")
                .unwrap_err()
                .contains("outside")
        );
    }
}
