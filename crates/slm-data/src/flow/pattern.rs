//! Regular expressions of flows: bounded in size, matched in time linear in the text, and with
//! the one kind of look-ahead that InstructLab's files use.
//!
//! Does not know blocks.

/// A regular expression, bounded in size; matching takes time linear in the text.
pub(super) fn pattern(text: &str) -> std::result::Result<regex::Regex, (String, String)> {
    regex::RegexBuilder::new(text)
        .size_limit(1 << 20)
        .build()
        .map_err(|e| {
            (
                format!("`{text}` is no regular expression: {e}"),
                "see https://docs.rs/regex for the syntax; look-around is not known".into(),
            )
        })
}

/// An expression that finds columns in a text. It may end in a look-ahead, as InstructLab's do:
/// what that finds is left for the next match.
pub(super) struct Pattern {
    regex: regex::Regex,
    looks_ahead: bool,
}

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it, and a hint.
    pub fn new(text: &str) -> std::result::Result<Self, (String, String)> {
        let ahead = text
            .strip_suffix(')')
            .and_then(|body| body.rsplit_once("(?="));
        // With a group open within it, the look-ahead does not end where the text does.
        let ahead = ahead.filter(|(_, inner)| pattern(inner).is_ok());
        Ok(match ahead {
            Some((before, inner)) => Self {
                regex: pattern(&format!("{before}({inner})"))?,
                looks_ahead: true,
            },
            None => Self {
                regex: pattern(text)?,
                looks_ahead: false,
            },
        })
    }

    /// The number of columns that it finds.
    pub fn groups(&self) -> usize {
        self.regex.captures_len() - 1 - usize::from(self.looks_ahead)
    }

    /// What its groups hold in each match, from the first to the last.
    pub fn find_all<'t>(&self, text: &'t str) -> Vec<Vec<&'t str>> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(captures) = self.regex.captures_at(text, at) {
            let held = captures.iter().skip(1).take(self.groups());
            found.push(held.map(|group| group.map_or("", |g| g.as_str())).collect());
            let whole = captures.get(0).map_or(at..at, |whole| whole.range());
            let end = match self.looks_ahead {
                true => captures
                    .iter()
                    .last()
                    .flatten()
                    .map_or(whole.end, |g| g.start()),
                false => whole.end,
            };
            // An empty match must not be found again.
            let next = text[end..].chars().next().map_or(1, char::len_utf8);
            at = if end > whole.start { end } else { end + next };
            if at > text.len() {
                break;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_ahead_leaves_what_it_finds() {
        let pattern = Pattern::new(r"(?s)Q(.*?)A(.*?)(?=Q|$)").unwrap();
        assert_eq!(pattern.groups(), 2);
        assert_eq!(
            pattern.find_all("Q1 A2\nQ3 A4"),
            [["1 ", "2\n"], ["3 ", "4"]]
        );
        assert!(Pattern::new("(?=a)b").is_err(), "only at the end");
        let plain = Pattern::new("(a*)").unwrap();
        assert_eq!(plain.find_all("éa"), [[""], ["a"], [""]]);
    }
}
