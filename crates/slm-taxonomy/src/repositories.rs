//! What the check asks of the repositories that leaves take their documents from, and
//! which files a pattern selects.
//!
//! It opens no connection and runs no git: whoever calls the check brings an answer.

use std::fmt;
use std::sync::Arc;

/// Answers which files a repository holds at a commit.
pub trait Repositories: fmt::Debug + Sync {
    /// The paths of the files, with `/` between folders.
    fn files(&self, repo: &str, commit: &str) -> Lookup;
}

/// What is known of a repository at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The paths of all its files.
    Files(Arc<[String]>),
    /// The repository was not asked, so nothing is known.
    NotAsked,
    /// The repository cannot be reached; why.
    NoRepository(String),
    /// The repository is there but does not have the commit; why.
    NoCommit(String),
}

/// Whether a path fits a glob as InstructLab applies it: `*`, `?` and `[...]` within one
/// name, `**` over any number of folders. Wildcards leave out names that begin with a dot.
///
/// Source: Python's `glob.glob(pattern, recursive=True)`.
pub fn fits(pattern: &str, path: &str) -> bool {
    let names: Vec<&str> = path.split('/').collect();
    let mut reached = vec![false; names.len() + 1];
    reached[0] = true;
    for part in pattern.split('/').filter(|part| !matches!(*part, "" | ".")) {
        let mut next = vec![false; names.len() + 1];
        let starts = reached.iter().enumerate().filter(|(_, reached)| **reached);
        for (start, _) in starts {
            if part == "**" {
                next[start] = true;
                let mut end = start;
                while end < names.len() && !names[end].starts_with('.') {
                    end += 1;
                    next[end] = true;
                }
            } else if start < names.len() && name_fits(part, names[start]) {
                next[start + 1] = true;
            }
        }
        reached = next;
    }
    reached[names.len()]
}

/// Whether InstructLab reads a document of that name.
pub(crate) fn is_read_upstream(path: &str) -> bool {
    let lower = path.to_lowercase();
    lower.ends_with(".md") || lower.ends_with(".pdf")
}

fn name_fits(pattern: &str, name: &str) -> bool {
    let has_wildcard = pattern.contains(['*', '?', '[']);
    if has_wildcard && name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    // Each step of the pattern keeps the set of places in the name that it can have come to.
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        let (token, length) = token(&pattern[at..]);
        let mut next = vec![false; name.len() + 1];
        match token {
            Token::Any => {
                let first = reached.iter().position(|r| *r).unwrap_or(reached.len());
                next.iter_mut().skip(first).for_each(|r| *r = true);
            }
            token => {
                for (place, (reached, c)) in reached.iter().zip(&name).enumerate() {
                    next[place + 1] = *reached && token.takes(*c);
                }
            }
        }
        reached = next;
        at += length;
    }
    reached[name.len()]
}

/// One step of a pattern for a name.
enum Token<'p> {
    Any,
    One,
    Set { negated: bool, members: &'p [char] },
    Exactly(char),
}

impl Token<'_> {
    fn takes(&self, c: char) -> bool {
        match self {
            Token::Any => false,
            Token::One => true,
            Token::Exactly(wanted) => *wanted == c,
            Token::Set { negated, members } => *negated != is_member(members, c),
        }
    }
}

fn is_member(members: &[char], c: char) -> bool {
    let mut rest = members;
    while let Some((first, tail)) = rest.split_first() {
        match tail {
            ['-', last, tail @ ..] => {
                if (*first..=*last).contains(&c) {
                    return true;
                }
                rest = tail;
            }
            tail => {
                if *first == c {
                    return true;
                }
                rest = tail;
            }
        }
    }
    false
}

/// The first token of a pattern, and how many characters it takes. A `[` that is not
/// closed stands for itself.
fn token(pattern: &[char]) -> (Token<'_>, usize) {
    match pattern {
        ['*', ..] => (Token::Any, 1),
        ['?', ..] => (Token::One, 1),
        ['[', rest @ ..] => {
            let negated = rest.first() == Some(&'!');
            let from = usize::from(negated);
            // A `]` that comes first is a member.
            let close = rest.iter().skip(from + 1).position(|c| *c == ']');
            match close {
                Some(close) => {
                    let end = from + 1 + close;
                    let members = &rest[from..end];
                    (Token::Set { negated, members }, end + 2)
                }
                None => (Token::Exactly('['), 1),
            }
        }
        [c, ..] => (Token::Exactly(*c), 1),
        [] => (Token::One, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_select_as_pythons_glob_does() {
        let cases = [
            ("*.md", "a.md", true),
            ("*.md", "docs/a.md", false),
            ("docs/*.md", "docs/a.md", true),
            ("**/*.md", "a.md", true),
            ("**/*.md", "x/y/a.md", true),
            ("**", "x/y/a.md", true),
            ("**/a.md", "x/.y/a.md", false),
            ("*.md", ".hidden.md", false),
            (".*.md", ".hidden.md", true),
            ("a?c.md", "abc.md", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("[ab", "[ab", true),
            ("a*b*c", "aXXbYYc", true),
            ("a*b*c", "aXXbYY", false),
            ("./a.md", "a.md", true),
            ("", "a.md", false),
            ("été*", "étéx", true),
            ("dir", "dir/a.md", false),
        ];
        for (pattern, path, wanted) in cases {
            assert_eq!(fits(pattern, path), wanted, "`{pattern}` on `{path}`");
        }
    }

    #[test]
    fn stars_do_not_multiply() {
        let name = "a".repeat(3000);
        assert!(!fits(&"*a".repeat(200), &(name + "b")));
        assert!(!fits(&"**/".repeat(100), "b/.c"));
    }
}
