//! The difference of two texts, token by token.
//!
//! Does not know colours.

/// Products of token counts above this are not compared token by token.
const MOST: usize = 1_000_000;

/// One stretch of text and what it is to the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// In both.
    Same(String),
    /// Only in the target.
    Missing(String),
    /// Only in the answer.
    Added(String),
}

/// The answer with what it lacks and adds against the target.
pub fn difference(target: &str, answer: &str) -> Vec<Part> {
    let (a, b) = (tokens(target), tokens(answer));
    let start = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let end = a[start..]
        .iter()
        .rev()
        .zip(b[start..].iter().rev())
        .take_while(|(x, y)| x == y)
        .count();
    let mut parts = vec![Part::Same(a[..start].concat())];
    middle(
        &a[start..a.len() - end],
        &b[start..b.len() - end],
        &mut parts,
    );
    parts.push(Part::Same(a[a.len() - end..].concat()));
    merged(parts)
}

/// The longest common subsequence of two stretches that share neither end.
fn middle(a: &[&str], b: &[&str], parts: &mut Vec<Part>) {
    if a.len().saturating_mul(b.len()) > MOST {
        parts.push(Part::Missing(a.concat()));
        parts.push(Part::Added(b.concat()));
        return;
    }
    let width = b.len() + 1;
    let mut table = vec![0u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            table[i * width + j] = if a[i] == b[j] {
                table[(i + 1) * width + j + 1] + 1
            } else {
                table[(i + 1) * width + j].max(table[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            parts.push(Part::Same(a[i].to_string()));
            i += 1;
            j += 1;
        } else if j == b.len()
            || (i < a.len() && table[(i + 1) * width + j] >= table[i * width + j + 1])
        {
            parts.push(Part::Missing(a[i].to_string()));
            i += 1;
        } else {
            parts.push(Part::Added(b[j].to_string()));
            j += 1;
        }
    }
}

/// Words, runs of white space, and single other characters.
fn tokens(text: &str) -> Vec<&str> {
    let kind = |character: char| match character {
        c if c.is_alphanumeric() || c == '_' => 0,
        c if c.is_whitespace() => 1,
        _ => 2,
    };
    let mut tokens = Vec::new();
    let mut start = 0;
    let mut before = None;
    for (at, character) in text.char_indices() {
        let now = kind(character);
        if before.is_some_and(|before| before != now || now == 2) {
            tokens.push(&text[start..at]);
            start = at;
        }
        before = Some(now);
    }
    if start < text.len() {
        tokens.push(&text[start..]);
    }
    tokens
}

/// Neighbours of one kind joined, empty ones dropped.
fn merged(parts: Vec<Part>) -> Vec<Part> {
    let mut joined: Vec<Part> = Vec::new();
    for part in parts {
        match (joined.last_mut(), part) {
            (_, Part::Same(text) | Part::Missing(text) | Part::Added(text)) if text.is_empty() => {}
            (Some(Part::Same(all)), Part::Same(text))
            | (Some(Part::Missing(all)), Part::Missing(text))
            | (Some(Part::Added(all)), Part::Added(text)) => all.push_str(&text),
            (_, part) => joined.push(part),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_compared_as_wholes() {
        assert_eq!(
            difference("{\"city\":\"old town\"}", "{\"city\":\"Oslo town\"}"),
            [
                Part::Same("{\"city\":\"".into()),
                Part::Missing("old".into()),
                Part::Added("Oslo".into()),
                Part::Same(" town\"}".into()),
            ]
        );
    }

    #[test]
    fn ends_and_empty_texts() {
        assert_eq!(difference("a", "a"), [Part::Same("a".into())]);
        assert_eq!(difference("", "a"), [Part::Added("a".into())]);
        assert_eq!(difference("a b", ""), [Part::Missing("a b".into())]);
        assert_eq!(difference("", ""), []);
    }

    #[test]
    fn both_texts_can_be_put_together_again() {
        let (target, answer) = ("the cat, sat on é mats", "a cat sat; on the é mat");
        let parts = difference(target, answer);
        let text = |left: bool| -> String {
            parts
                .iter()
                .map(|part| match part {
                    Part::Same(text) => text.as_str(),
                    Part::Missing(text) if left => text,
                    Part::Added(text) if !left => text,
                    _ => "",
                })
                .collect()
        };
        assert_eq!(text(true), target);
        assert_eq!(text(false), answer);
    }
}
