//! Preference pairs as examples in tokens: of two answers to one prompt, the better one first.
//!
//! Does not know the loss.

use std::path::Path;

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;
use slm_data::RowReader;
use slm_model::{ChatMessage, Tokenizer};
use slm_train::Example;

use crate::failure::Failure;

/// One line: a prompt as text or as messages, and two answers to it.
#[derive(Deserialize)]
struct Pair {
    #[serde(default)]
    id: Option<String>,
    #[serde(default, alias = "messages")]
    prompt: Option<Words>,
    chosen: Words,
    rejected: Words,
}

/// Text, a message, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    Text(String),
    One(Turn),
    Many(Vec<Turn>),
}

#[derive(Deserialize)]
struct Turn {
    role: String,
    content: String,
}

impl Words {
    fn into_messages(self, role: &str) -> Vec<ChatMessage> {
        let message = |role: String, content: String| ChatMessage { role, content };
        match self {
            Self::Text(text) => vec![message(role.to_owned(), text)],
            Self::One(turn) => vec![message(turn.role, turn.content)],
            Self::Many(turns) => turns
                .into_iter()
                .map(|turn| message(turn.role, turn.content))
                .collect(),
        }
    }
}

/// An example and where it came from.
pub type Placed = (Example, String);

/// The pairs of a JSONL or Parquet file, two examples each: chosen, rejected.
///
/// # Errors
/// A line is no pair, its answers are equal or empty, or one is longer than the context; the line
/// is named.
pub fn read_pairs(file: &Path, tokenizer: &Tokenizer, context: usize) -> Result<Vec<Placed>> {
    let mut examples = Vec::new();
    let mut rows = RowReader::<Value>::open(file)?;
    while let Some(row) = rows.next() {
        let row = row?;
        let place = format!("{}:{}", file.display(), rows.line());
        let pair = Pair::deserialize(row).map_err(|error| {
            Failure::new(format!("{place}: no preference pair: {error}"))
                .hint("a row has `prompt` (or `messages`), `chosen` and `rejected`")
        })?;
        examples.extend(encode(pair, &place, tokenizer, context)?);
    }
    Ok(examples)
}

fn encode(pair: Pair, place: &str, tokenizer: &Tokenizer, context: usize) -> Result<[Placed; 2]> {
    let refuse =
        |problem: String, hint: &str| Failure::new(format!("{place}: {problem}")).hint(hint);
    let name = pair
        .id
        .map(|id| format!(" (row `{id}`)"))
        .unwrap_or_default();
    let prompt = pair.prompt.map(|words| words.into_messages("user"));
    let prompt = prompt.unwrap_or_default();
    let answer = |words: Words, which: &str| -> Result<Placed> {
        let mut messages = prompt.clone();
        messages.extend(words.into_messages("assistant"));
        let mut example: Example = tokenizer.encode_chat(&messages)?.into();
        keep_last_turn(&mut example);
        if example.supervised() == 0 {
            let hint = "both answers must be non-empty assistant turns";
            return Err(refuse(format!("`{which}` has no assistant text"), hint).into());
        }
        let length = example.tokens.len();
        if length > context {
            let problem =
                format!("`{which}` makes {length} tokens, the model's context is {context}");
            return Err(refuse(problem, "shorten or drop long rows before training").into());
        }
        Ok((example, format!("{place}{name} {which}")))
    };
    let pair = [
        answer(pair.chosen, "chosen")?,
        answer(pair.rejected, "rejected")?,
    ];
    if pair[0].0.tokens == pair[1].0.tokens {
        let problem = "`chosen` and `rejected` are equal".to_owned();
        return Err(refuse(problem, "drop the row; there is nothing to prefer").into());
    }
    Ok(pair)
}

/// Answers are compared by their last turn; earlier turns are part of the prompt.
fn keep_last_turn(example: &mut Example) {
    let Some(last) = example.trained.iter().rposition(|trained| *trained) else {
        return;
    };
    let before = example.trained[..last].iter().rposition(|trained| !trained);
    if let Some(before) = before {
        example.trained[..before].fill(false);
    }
}
