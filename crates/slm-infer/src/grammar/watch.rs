//! Bounds on JSON and YAML text that no grammar can state: how deep it nests and how long a number is.
//!
//! Readers of JSON bound both (serde_json: 128 levels, 64-bit floats), so an answer beyond
//! them would be valid by the letter and unreadable. Does not know schemas.

/// Deepest nesting.
const DEPTH: usize = 100;
/// Longest number, in characters.
const NUMBER: usize = 40;
/// Most digits of an exponent.
const EXPONENT: usize = 2;

/// Where in a JSON text the next byte stands.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    depth: usize,
    quoted: bool,
    /// Within a word, as YAML's plain texts have them: digits in it are no number.
    word: bool,
    escaped: bool,
    number: usize,
    exponent: Option<usize>,
    /// The number's last character is no digit, so one must follow.
    unfinished: bool,
}

impl Watch {
    /// Reads on; whether all bounds are kept.
    pub fn see(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| self.step(*byte))
    }

    fn step(&mut self, byte: u8) -> bool {
        if self.quoted {
            self.quoted = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
            return true;
        }
        match byte {
            b'0'..=b'9' | b'-' | b'+' | b'.' if !self.word => self.in_number(byte),
            b'e' | b'E' if self.number > 0 => self.in_number(byte),
            _ => {
                self.number = 0;
                self.exponent = None;
                self.word = byte.is_ascii_alphanumeric() || byte == b'_';
                match byte {
                    b'"' => self.quoted = true,
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                self.depth <= DEPTH
            }
        }
    }

    fn in_number(&mut self, byte: u8) -> bool {
        let digit = byte.is_ascii_digit();
        let owed = digit && self.unfinished;
        self.unfinished = !digit;
        self.number += 1;
        match (byte, &mut self.exponent) {
            (b'e' | b'E', exponent) => *exponent = Some(0),
            (b'0'..=b'9', Some(digits)) => *digits += 1,
            _ => {}
        }
        let short = self.number <= NUMBER || owed;
        short && self.exponent.is_none_or(|digits| digits <= EXPONENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(text: &str) -> bool {
        Watch::default().see(text.as_bytes())
    }

    #[test]
    fn depth_and_numbers_are_bounded_outside_of_strings() {
        assert!(kept(&"[".repeat(100)) && !kept(&"[".repeat(101)));
        assert!(kept(&format!("[{}]", "[],".repeat(200))));
        assert!(kept("[1e99,-1.5E-10,true,false]") && !kept("1e100"));
        assert!(kept("kind: release2024\nn: 1e10\n") && kept("{\"a\":true,\"b\":null}"));
        assert!(kept(&"1".repeat(40)) && !kept(&"1".repeat(41)));
        let long = format!("\"\\\"{}\"", "9[".repeat(300));
        assert!(kept(&long));
    }
}
