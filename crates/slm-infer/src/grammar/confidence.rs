//! How sure a model was of each field of a JSON answer.
//!
//! A field's confidence is the probability of its value's tokens among those that were allowed:
//! the product over the tokens that share a byte with the value. Does not know grammars.

use std::collections::BTreeMap;

use super::reference::escape;

/// Confidence by JSON pointer of every value that holds no others, given each token's length
/// in bytes and the natural logarithm of its probability; nothing for what is no JSON.
pub fn field_confidences(text: &str, tokens: &[(usize, f32)]) -> BTreeMap<String, f64> {
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return BTreeMap::new();
    }
    let mut scan = Scan {
        bytes: text.as_bytes(),
        at: 0,
        found: Vec::new(),
    };
    scan.value(String::new());
    let mut ends = Vec::with_capacity(tokens.len());
    let mut end = 0;
    for (length, log_probability) in tokens {
        ends.push((end, end + length, f64::from(*log_probability)));
        end += length;
    }
    let confidence = |from: usize, to: usize| {
        let touching = ends
            .iter()
            .filter(|(start, end, _)| *start < to && *end > from);
        touching
            .map(|(_, _, log)| log)
            .sum::<f64>()
            .exp()
            .clamp(0.0, 1.0)
    };
    scan.found
        .into_iter()
        .map(|(pointer, from, to)| (pointer, confidence(from, to)))
        .collect()
}

/// Walks JSON that is known to be valid.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Pointer, first byte and the byte behind the last of each value that holds no others.
    found: Vec<(String, usize, usize)>,
}

impl Scan<'_> {
    fn value(&mut self, pointer: String) {
        self.space();
        let start = self.at;
        match self.bytes.get(start) {
            Some(b'{') => self.members(&pointer, b'}'),
            Some(b'[') => self.members(&pointer, b']'),
            Some(b'"') => {
                self.string();
                self.found.push((pointer, start, self.at));
            }
            _ => {
                let ends = |byte: &u8| b",]} \t\r\n".contains(byte);
                while self.bytes.get(self.at).is_some_and(|byte| !ends(byte)) {
                    self.at += 1;
                }
                self.found.push((pointer, start, self.at));
            }
        }
        self.space();
    }

    /// The members of an object or list, up to and with `close`.
    fn members(&mut self, pointer: &str, close: u8) {
        self.at += 1;
        self.space();
        let mut number = 0;
        while self.at < self.bytes.len() && self.bytes[self.at] != close {
            let name = match close {
                b'}' => {
                    let start = self.at;
                    self.string();
                    let quoted = &self.bytes[start..self.at];
                    let name: String = serde_json::from_slice(quoted).unwrap_or_default();
                    self.space();
                    self.at += 1;
                    escape(&name)
                }
                _ => number.to_string(),
            };
            self.value(format!("{pointer}/{name}"));
            number += 1;
            if self.bytes.get(self.at) == Some(&b',') {
                self.at += 1;
                self.space();
            }
        }
        self.at += 1;
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'"' => return,
                _ => {}
            }
        }
    }

    fn space(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_as_likely_as_the_tokens_of_its_value() {
        let half = 0.5f32.ln();
        let tokens = [
            ("{\"a\": ", half),
            ("\"x\\\"", half),
            ("y\"", half),
            (", \"b/c\":[", 0.0),
            ("12", half),
            (",null]}", 0.0),
        ];
        let text: String = tokens.iter().map(|(text, _)| *text).collect();
        let lengths: Vec<(usize, f32)> = tokens.iter().map(|(t, p)| (t.len(), *p)).collect();
        let found = field_confidences(&text, &lengths);
        let got: Vec<(&str, f64)> = found.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        assert_eq!(got.len(), 3);
        for ((pointer, value), (name, expected)) in
            got.iter()
                .zip([("/a", 0.25), ("/b~1c/0", 0.5), ("/b~1c/1", 1.0)])
        {
            assert_eq!(*pointer, name);
            assert!((value - expected).abs() < 1e-6, "{pointer}: {value}");
        }
        assert!(field_confidences("{\"a\": ", &lengths).is_empty());
    }
}
