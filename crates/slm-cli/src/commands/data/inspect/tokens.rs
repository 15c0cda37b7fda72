//! A dataset in a model's tokens: lengths, the share that is learned, and one row with what is
//! learned set apart.
//!
//! Does not know files of rows.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use slm_data::Sample;
use slm_model::tokenizer::Encoded;
use slm_model::{ModelConfig, Tokenizer};

use super::Lengths;
use crate::failure::Failure;
use crate::stages::train::encode::{self, Refused};
use crate::terminal::Terminal;

/// Counts a dataset's tokens, row by row.
pub struct Measure {
    tokenizer: Tokenizer,
    model: String,
    limit: usize,
    lengths: Vec<usize>,
    summary: TokenSummary,
}

/// What a dataset is in a model's tokens.
#[derive(Debug, Default, Serialize)]
pub struct TokenSummary {
    model: String,
    /// Rows beyond this many tokens are over-long.
    max_length: usize,
    lengths: Lengths,
    total: usize,
    learned: usize,
    learned_share: f64,
    over_long: usize,
    /// Rows of which nothing, or no end, would be learned, or that the template refuses.
    unusable: Vec<Unusable>,
    /// The texts of the row that is shown; usually one.
    shown: Vec<Vec<ShownToken>>,
}

/// A row that cannot be trained on.
#[derive(Debug, Serialize)]
struct Unusable {
    line: usize,
    id: String,
    problem: String,
    hint: String,
}

/// One token of the row that is shown.
#[derive(Debug, Serialize)]
struct ShownToken {
    id: u32,
    text: String,
    learned: bool,
}

impl Measure {
    /// Reads the tokenizer and, for the context, the config in a model's folder.
    ///
    /// # Errors
    /// There is no tokenizer, or neither a config nor a `max_length`.
    pub fn load(folder: &Path, max_length: Option<usize>) -> Result<Self> {
        let limit = match max_length {
            Some(limit) if limit < 2 => {
                return Err(Failure::usage(format!("`--max-length` is {limit}"))
                    .hint("give at least 2 tokens")
                    .into());
            }
            Some(limit) => limit,
            None => ModelConfig::load(folder)?.max_position_embeddings,
        };
        Ok(Self {
            tokenizer: Tokenizer::load(folder)?.at(encode::DAY),
            model: folder.display().to_string(),
            limit,
            lengths: Vec::new(),
            summary: TokenSummary::default(),
        })
    }

    /// Counts a row; the one that is shown is kept.
    pub fn add(&mut self, sample: &Sample, line: usize, show: bool) {
        let encoded = match encode::encode(&self.tokenizer, sample) {
            Ok(encoded) => encoded,
            Err(refused) => {
                let (problem, hint) = match refused {
                    Refused::Row { problem, hint } => (problem, hint),
                    Refused::Disk(error) => (error.to_string(), String::new()),
                };
                self.summary.unusable.push(Unusable {
                    line,
                    id: sample.id.clone(),
                    problem,
                    hint,
                });
                return;
            }
        };
        let longest = encoded.iter().map(|one| one.tokens.len()).max();
        self.summary.over_long += usize::from(longest.unwrap_or(0) > self.limit);
        for one in &encoded {
            self.lengths.push(one.tokens.len());
            self.summary.total += one.tokens.len();
            self.summary.learned += one.learned();
        }
        if show {
            self.summary.shown = encoded.iter().map(|one| self.show(one)).collect();
        }
    }

    fn show(&self, encoded: &Encoded) -> Vec<ShownToken> {
        let tokens = encoded.tokens.iter().zip(&encoded.assistant).enumerate();
        tokens
            .map(|(position, (&id, &learned))| ShownToken {
                id,
                text: self.tokenizer.token_text(id),
                learned: learned && position > 0,
            })
            .collect()
    }

    /// The figures over all rows.
    pub fn finish(self) -> TokenSummary {
        let share = self.summary.learned as f64 / self.summary.total.max(1) as f64;
        TokenSummary {
            model: self.model,
            max_length: self.limit,
            lengths: Lengths::of(self.lengths),
            learned_share: share,
            ..self.summary
        }
    }
}

/// Rows that cannot be trained on which are told one by one.
const TOLD_ROWS: usize = 20;

impl TokenSummary {
    /// Tells the rows that cannot be trained on.
    pub fn warn(&self, file: &Path, terminal: &Terminal) {
        for row in self.unusable.iter().take(TOLD_ROWS) {
            let place = format!("{}:{}", file.display(), row.line);
            terminal.warn(format!("{place}: {}\nhint: {}", row.problem, row.hint));
        }
        if self.unusable.len() > TOLD_ROWS {
            let more = self.unusable.len() - TOLD_ROWS;
            terminal.warn(format!("{more} more rows cannot be trained on"));
        }
    }

    /// The figures as lines.
    pub fn as_text(&self) -> String {
        let mut text = format!("tokens    {}\n", self.lengths.as_text("tokens"));
        text.push_str(&format!(
            "learned   {} of {} tokens, {:.1}%\n",
            self.learned,
            self.total,
            100.0 * self.learned_share
        ));
        text.push_str(&format!(
            "over-long {} rows beyond {} tokens\n",
            self.over_long, self.max_length
        ));
        if !self.unusable.is_empty() {
            text.push_str(&format!("unusable  {} rows\n", self.unusable.len()));
        }
        text
    }

    /// The shown row: tokens between bars, what is learned in colour or between `{+` and `+}`.
    pub fn shown_text(&self, id: &str, colour: bool) -> String {
        let legend = match colour {
            true => paint("learned", LEARNED),
            false => "{+learned+}".to_owned(),
        };
        let mut text = format!("row `{}`, tokens between bars, {legend}\n", printable(id));
        for tokens in &self.shown {
            let line = match colour {
                true => painted(tokens),
                false => marked(tokens),
            };
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

/// Green on a terminal; the rest is dim.
const LEARNED: &str = "32";
const GIVEN: &str = "2";

fn paint(text: &str, code: &str) -> String {
    // A colour is set anew in each line, as pagers expect it.
    let lines: Vec<String> = text
        .split('\n')
        .map(|line| match line {
            "" => String::new(),
            line => format!("\x1b[{code}m{line}\x1b[0m"),
        })
        .collect();
    lines.join("\n")
}

fn painted(tokens: &[ShownToken]) -> String {
    let token = |token: &ShownToken| {
        let code = if token.learned { LEARNED } else { GIVEN };
        paint(&printable(&token.text), code)
    };
    let tokens: Vec<String> = tokens.iter().map(token).collect();
    tokens.join("|")
}

fn marked(tokens: &[ShownToken]) -> String {
    let mut text = String::new();
    let mut learned = false;
    for (position, token) in tokens.iter().enumerate() {
        if learned && !token.learned {
            text.push_str("+}");
        }
        if position > 0 {
            text.push('|');
        }
        if token.learned && !learned {
            text.push_str("{+");
        }
        learned = token.learned;
        text.push_str(&printable(&token.text));
    }
    if learned {
        text.push_str("+}");
    }
    text
}

/// Text that can do nothing to a terminal: control characters are written out, but for line
/// feeds, which are marked.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n\n"),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(texts: &[(&str, bool)]) -> Vec<ShownToken> {
        texts
            .iter()
            .map(|&(text, learned)| ShownToken {
                id: 0,
                text: text.into(),
                learned,
            })
            .collect()
    }

    #[test]
    fn what_is_learned_is_set_apart_without_colour_and_with_it() {
        let tokens = tokens(&[
            ("<u>", false),
            ("q\n", false),
            ("a", true),
            ("b", true),
            ("\x1b[2J", false),
            ("c", true),
        ]);
        assert_eq!(marked(&tokens), "<u>|q\\n\n|{+a|b+}|\\u{1b}[2J|{+c+}");
        let text = painted(&tokens[1..3]);
        assert_eq!(text, "\x1b[2mq\\n\x1b[0m\n|\x1b[32ma\x1b[0m");
    }
}
