//! Tokenizer and chat template as Hugging Face has them, and which tokens are the assistant's.
//!
//! Knows text, tokens and messages; not weights nor training.

use std::ops::Range;
use std::path::{Path, PathBuf};

use minijinja::{Environment, ErrorKind, Value as JinjaValue, context};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{ModelError, Result};

/// Marks that stand for `{% generation %}` and its end while a template renders: private-use
/// characters, taken out again before the text is seen.
const OPEN: char = '\u{F8F0}';
const CLOSE: char = '\u{F8F1}';

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// Text.
    pub content: String,
}

/// A conversation as tokens, with the assistant's marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Whether each token is the assistant's, its end-of-turn included.
    pub assistant: Vec<bool>,
}

/// A tokenizer with its chat template.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    template: Option<String>,
    has_generation_marks: bool,
    path: PathBuf,
    bos: String,
    eos: String,
}

impl Tokenizer {
    /// Reads `tokenizer.json`, `tokenizer_config.json` and `chat_template.jinja` in `dir`.
    ///
    /// # Errors
    /// When `tokenizer.json` is missing or malformed.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join("tokenizer.json");
        if !path.is_file() {
            return Err(ModelError::invalid(
                &path,
                "the file is missing",
                "a model's folder holds its tokenizer; copy it there",
            ));
        }
        let inner = tokenizers::Tokenizer::from_file(&path).map_err(|e| {
            ModelError::invalid(&path, format!("not a tokenizer: {e}"), "restore the file")
        })?;
        let settings: Value = std::fs::read_to_string(dir.join("tokenizer_config.json"))
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or(Value::Null);
        let template = std::fs::read_to_string(dir.join("chat_template.jinja")).ok();
        let template = template.or_else(|| settings["chat_template"].as_str().map(String::from));
        let token = |key: &str| {
            settings[key]
                .as_str()
                .or(settings[key]["content"].as_str())
                .unwrap_or_default()
                .to_string()
        };
        Ok(Self {
            has_generation_marks: template
                .as_deref()
                .is_some_and(|t| t.contains("endgeneration")),
            template: template.map(|t| mark_generation(&t)),
            inner,
            path: dir.to_path_buf(),
            bos: token("bos_token"),
            eos: token("eos_token"),
        })
    }

    /// Number of tokens, added ones included.
    pub fn vocabulary(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The underlying tokenizer, for grammar engines.
    pub fn inner(&self) -> &tokenizers::Tokenizer {
        &self.inner
    }

    /// The end-of-turn token, if the tokenizer names one.
    pub fn eos_token(&self) -> Option<u32> {
        self.inner.token_to_id(&self.eos)
    }

    /// Checks that every token has a row in a model's embedding.
    ///
    /// # Errors
    /// When the tokenizer has more tokens than the model has rows.
    pub fn check_fits(&self, vocab_size: usize) -> Result<()> {
        let highest = self
            .inner
            .get_vocab(true)
            .values()
            .copied()
            .max()
            .unwrap_or(0) as usize;
        if highest < vocab_size {
            return Ok(());
        }
        Err(ModelError::invalid(
            &self.path.join("tokenizer.json"),
            format!("token id {highest} has no row in the model's embedding of {vocab_size}"),
            "tokenizer and model do not belong together; copy the tokenizer that came with the model",
        ))
    }

    /// Tokens of a text, special tokens in it recognised, none added.
    ///
    /// # Errors
    /// When the tokenizer fails on the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|e| self.failed(&e.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Text of tokens, special ones left out; invalid UTF-8 shows as the replacement character.
    ///
    /// # Errors
    /// When a token is unknown to the decoder.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        self.inner
            .decode(tokens, true)
            .map_err(|e| self.failed(&e.to_string()))
    }

    /// Renders a conversation by the chat template.
    ///
    /// # Errors
    /// When there is no template or it refuses the messages.
    pub fn render(&self, messages: &[ChatMessage], add_generation_prompt: bool) -> Result<String> {
        Ok(self
            .render_marked(messages, add_generation_prompt)?
            .replace([OPEN, CLOSE], ""))
    }

    /// Tokens of a prompt, ready for the assistant's answer.
    ///
    /// # Errors
    /// As [`Tokenizer::render`].
    pub fn encode_prompt(&self, messages: &[ChatMessage]) -> Result<Vec<u32>> {
        self.encode(&self.render(messages, true)?)
    }

    /// Tokens of a conversation, with the assistant's marked: by the template's `generation`
    /// blocks, or, without them, by rendering the conversation turn by turn.
    ///
    /// # Errors
    /// When the template fails or is not incremental (a turn changes what came before it).
    pub fn encode_chat(&self, messages: &[ChatMessage]) -> Result<Encoded> {
        let (text, spans) = match self.has_generation_marks {
            true => take_marks(&self.render_marked(messages, false)?),
            false => self.incremental_spans(messages)?,
        };
        let encoding = self
            .inner
            .encode(text.as_str(), false)
            .map_err(|e| self.failed(&e.to_string()))?;
        let inside = |range: &(usize, usize)| {
            spans
                .iter()
                .any(|span| range.0 < span.end && range.1 > span.start)
        };
        Ok(Encoded {
            tokens: encoding.get_ids().to_vec(),
            assistant: encoding.get_offsets().iter().map(inside).collect(),
        })
    }

    fn incremental_spans(&self, messages: &[ChatMessage]) -> Result<(String, Vec<Range<usize>>)> {
        let whole = self.render(messages, false)?;
        let mut spans = Vec::new();
        for (i, message) in messages
            .iter()
            .enumerate()
            .filter(|(_, m)| m.role == "assistant")
        {
            let before = self.render(&messages[..i], true)?;
            let through = self.render(&messages[..=i], false)?;
            if !through.starts_with(&before) || !whole.starts_with(through.trim_end()) {
                return Err(self.failed(&format!(
                    "the chat template is not incremental at turn {i} (`{}`)",
                    message.role
                )));
            }
            spans.push(before.len()..self.end_of_turn(&through, before.len()));
        }
        Ok((whole, spans))
    }

    /// Where a turn that begins at `start` ends: behind its end-of-turn token, if it has one.
    fn end_of_turn(&self, text: &str, start: usize) -> usize {
        match (!self.eos.is_empty())
            .then(|| text[start..].rfind(&self.eos))
            .flatten()
        {
            Some(at) => start + at + self.eos.len(),
            None => text.trim_end().len().max(start),
        }
    }

    fn render_marked(
        &self,
        messages: &[ChatMessage],
        add_generation_prompt: bool,
    ) -> Result<String> {
        let template = self.template.as_ref().ok_or_else(|| {
            ModelError::invalid(
                &self.path,
                "the model has no chat template",
                "add `chat_template.jinja` to the model's folder",
            )
        })?;
        let environment = environment();
        let values = context! { messages, add_generation_prompt, bos_token => self.bos, eos_token => self.eos };
        environment.render_str(template, values).map_err(|e| {
            ModelError::invalid(
                &self.path.join("chat_template.jinja"),
                format!("the chat template failed: {e}"),
                "check the roles and their order",
            )
        })
    }

    fn failed(&self, problem: &str) -> ModelError {
        ModelError::invalid(
            &self.path.join("tokenizer.json"),
            problem,
            "check the tokenizer's files against their origin",
        )
    }
}

/// Jinja as transformers sets it up for chat templates.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_fuel(Some(5_000_000));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function(
        "raise_exception",
        |message: String| -> std::result::Result<JinjaValue, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        },
    );
    environment
}

/// Replaces the `generation` block, which only transformers knows, by marks in the output.
fn mark_generation(template: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(start) = rest.find("{%") {
        let Some(length) = rest[start..].find("%}") else {
            break;
        };
        let tag = &rest[start + 2..start + length];
        out.push_str(&rest[..start]);
        let mark = match tag.trim_matches(['-', '+']).trim() {
            "generation" => Some(OPEN),
            "endgeneration" => Some(CLOSE),
            _ => None,
        };
        match mark {
            // An expression keeps the whitespace control of the tag it stands for.
            Some(mark) => {
                let (left, right) = (
                    if tag.starts_with('-') { "-" } else { "" },
                    if tag.ends_with('-') { "-" } else { "" },
                );
                out.push_str(&format!("{{{{{left} '{mark}' {right}}}}}"));
            }
            None => out.push_str(&rest[start..start + length + 2]),
        }
        rest = &rest[start + length + 2..];
    }
    out.push_str(rest);
    out
}

/// Takes the marks out of a rendered text; returns what they enclosed, in bytes.
fn take_marks(text: &str) -> (String, Vec<Range<usize>>) {
    let (mut out, mut spans, mut open) = (String::with_capacity(text.len()), Vec::new(), None);
    for c in text.chars() {
        match c {
            OPEN => open = Some(out.len()),
            CLOSE => spans.extend(open.take().map(|start| start..out.len())),
            _ => out.push(c),
        }
    }
    (out, spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generation_blocks_become_marks_with_their_whitespace_control() {
        let marked =
            mark_generation("a {%- generation -%} b {% endgeneration %}{% if x %}c{% endif %}");
        assert_eq!(
            marked,
            format!("a {{{{- '{OPEN}' -}}}} b {{{{ '{CLOSE}' }}}}{{% if x %}}c{{% endif %}}")
        );
    }

    #[test]
    fn marks_are_taken_out() {
        let (text, spans) = take_marks(&format!("ü{OPEN}ab{CLOSE}c{OPEN}{CLOSE}"));
        assert_eq!((text.as_str(), spans), ("üabc", vec![2..4, 5..5]));
    }
}
