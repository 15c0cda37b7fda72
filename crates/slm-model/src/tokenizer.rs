//! Tokenizer and chat template as Hugging Face has them, and which tokens are to be learned.
//!
//! Knows text, tokens and messages; not weights nor training. How a template is rendered is in
//! `template`, which of its text is the assistant's in `assistant_spans`, and the files of a
//! model's folder in `tokenizer_files`.

use std::path::{Path, PathBuf};

use tokenizers::Encoding;

use crate::assistant_spans::{Rendered, SpanFault, TurnEnds, render_turns};
use crate::error::{ModelError, Result};
use crate::template::{ChatTemplate, Clock, TemplateFault};
use crate::tokenizer_check;
use crate::tokenizer_files::TokenizerFiles;

pub use crate::conversation::{ChatMessage, Conversation};

/// A text as tokens, with those to be learned marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Whether each token is the assistant's, its end-of-turn included.
    pub assistant: Vec<bool>,
}

impl Encoded {
    /// Tokens that are learned; the first never is, for nothing comes before it.
    pub fn learned(&self) -> usize {
        self.assistant.iter().skip(1).filter(|own| **own).count()
    }

    /// Parts of at most `limit` tokens, one behind the other; those with nothing to learn are
    /// left out.
    #[must_use]
    pub fn split(&self, limit: usize) -> Vec<Self> {
        let tokens = self.tokens.chunks(limit.max(1));
        tokens
            .zip(self.assistant.chunks(limit.max(1)))
            .map(|(tokens, assistant)| Self {
                tokens: tokens.to_vec(),
                assistant: assistant.to_vec(),
            })
            .filter(|part| part.learned() > 0)
            .collect()
    }
}

/// A tokenizer with its chat template.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// The template, or why it cannot be used.
    template: Option<std::result::Result<ChatTemplate, String>>,
    path: PathBuf,
    bos: Option<String>,
    eos: Option<String>,
    ends: TurnEnds,
}

/// A text that others follow, which no tokenizer joins with them once it is cut.
const BEFORE: &str = "a";

impl Tokenizer {
    /// Reads `tokenizer.json`, `tokenizer_config.json` and the chat template in `dir`.
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
        let no_tokenizer = |problem: String| {
            ModelError::invalid(
                &path,
                format!("not a tokenizer: {problem}"),
                "restore the file",
            )
        };
        let text = std::fs::read_to_string(&path).map_err(|e| no_tokenizer(e.to_string()))?;
        tokenizer_check::check(&text).map_err(no_tokenizer)?;
        let mut inner: tokenizers::Tokenizer = text
            .parse()
            .map_err(|e: tokenizers::Error| no_tokenizer(e.to_string()))?;
        drop(text);
        // A file may be left with those of its last use; Hugging Face drops them, too.
        inner.with_padding(None);
        // Without truncation there is nothing that could be out of range.
        let _ = inner.with_truncation(None);
        let files = TokenizerFiles::read(dir);
        let templates = files.templates();
        let special = |token: &tokenizers::AddedToken| token.special.then(|| token.content.clone());
        let mut specials: Vec<String> = inner
            .get_added_tokens_decoder()
            .values()
            .filter_map(special)
            .collect();
        // One may end like another; the longer is meant, and the order is always the same.
        specials.sort_by(|left, right| right.len().cmp(&left.len()).then(left.cmp(right)));
        let ends = TurnEnds {
            specials,
            stops: files
                .eos_ids()
                .into_iter()
                .filter_map(|id| inner.id_to_token(id))
                .chain(files.token("eos_token"))
                .collect(),
        };
        Ok(Self {
            template: (!templates.is_empty())
                .then(|| ChatTemplate::compile(templates, files.tokens())),
            bos: files.token("bos_token"),
            eos: files.token("eos_token"),
            inner,
            path: dir.to_path_buf(),
            ends,
        })
    }

    /// The same tokenizer with another moment for templates that write the date.
    #[must_use]
    pub fn at(mut self, clock: Clock) -> Self {
        if let Some(Ok(template)) = &mut self.template {
            template.set_clock(clock);
        }
        self
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
        self.inner.token_to_id(self.eos.as_deref()?)
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

    /// Text of tokens that follow others: a blank that opens it stays, which [`Tokenizer::decode`]
    /// takes where the tokenizer writes one before every text.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn decode_within(&self, tokens: &[u32]) -> Result<String> {
        let mut all = self.encode(BEFORE)?;
        let before = self.decode(&all)?;
        all.extend(tokens);
        let text = self.decode(&all)?;
        match text.strip_prefix(&before) {
            Some(text) => Ok(text.to_owned()),
            None => self.decode(tokens),
        }
    }

    /// Text of one token, special ones included.
    pub fn token_text(&self, token: u32) -> String {
        self.inner.decode(&[token], false).unwrap_or_default()
    }

    /// Renders messages of plain text by the chat template.
    ///
    /// # Errors
    /// As [`Tokenizer::render_conversation`].
    pub fn render(&self, messages: &[ChatMessage], add_generation_prompt: bool) -> Result<String> {
        self.render_conversation(&messages.into(), add_generation_prompt)
    }

    /// Renders a conversation by the chat template.
    ///
    /// # Errors
    /// When there is no template or it refuses the conversation.
    pub fn render_conversation(
        &self,
        conversation: &Conversation,
        add_generation_prompt: bool,
    ) -> Result<String> {
        let (text, _) = self
            .template()?
            .render(conversation, add_generation_prompt)
            .map_err(|fault| self.template_failed(&fault))?;
        Ok(text)
    }

    /// Tokens of a prompt, ready for the assistant's answer. The template writes the token that
    /// opens a text, if the model has one; none is added.
    ///
    /// # Errors
    /// As [`Tokenizer::render_conversation`].
    pub fn encode_prompt(&self, messages: &[ChatMessage]) -> Result<Vec<u32>> {
        self.encode_conversation_prompt(&messages.into())
    }

    /// As [`Tokenizer::encode_prompt`], with tools and all that messages may carry.
    ///
    /// # Errors
    /// As [`Tokenizer::render_conversation`].
    pub fn encode_conversation_prompt(&self, conversation: &Conversation) -> Result<Vec<u32>> {
        self.encode(&self.render_conversation(conversation, true)?)
    }

    /// Tokens of messages of plain text, with the assistant's marked.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_conversation`], and when the template writes earlier turns
    /// differently once later ones follow, so that no single text holds all turns.
    pub fn encode_chat(&self, messages: &[ChatMessage]) -> Result<Encoded> {
        let mut encoded = self.encode_conversation(&messages.into())?;
        match (encoded.pop(), encoded.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => Err(self.failed(
                "the chat template writes earlier turns differently once later ones follow",
            )),
        }
    }

    /// Tokens of a conversation with the assistant's marked, each learned turn in one of the
    /// texts: all in one where the template allows it, else those that it writes differently
    /// once later turns follow in texts of their own, which end with them.
    ///
    /// # Errors
    /// When the template fails, or a turn does not begin as the prompt for it ends.
    pub fn encode_conversation(&self, conversation: &Conversation) -> Result<Vec<Encoded>> {
        render_turns(self.template()?, &self.ends, conversation)
            .map_err(|fault| match fault {
                SpanFault::Template(fault) => self.template_failed(&fault),
                SpanFault::NotIncremental { turn } => self.not_incremental(turn),
            })?
            .iter()
            .map(|rendered| self.encode_rendered(rendered))
            .collect()
    }

    fn encode_rendered(&self, rendered: &Rendered) -> Result<Encoded> {
        let encoding = self
            .inner
            .encode(rendered.text.as_str(), false)
            .map_err(|e| self.failed(&e.to_string()))?;
        let inside = |&(from, to): &(usize, usize)| {
            rendered.spans.iter().any(|span| match from == to {
                // Some tokenizers leave white space out of a token's place.
                true => span.start < from && from <= span.end,
                false => from < span.end && to > span.start,
            })
        };
        Ok(Encoded {
            tokens: encoding.get_ids().to_vec(),
            assistant: encoding.get_offsets().iter().map(inside).collect(),
        })
    }

    /// Tokens of a plain text, opened and closed as the model's texts are; all are learned.
    ///
    /// # Errors
    /// When the tokenizer fails on the text.
    pub fn encode_text(&self, text: &str) -> Result<Encoded> {
        self.encode_completion("", text)
    }

    /// Tokens of a plain text of which only what follows `prompt` is learned, and the
    /// end-of-text token that closes it. No chat template is involved.
    ///
    /// # Errors
    /// When the tokenizer fails on the text.
    pub fn encode_completion(&self, prompt: &str, completion: &str) -> Result<Encoded> {
        let encoding = self
            .inner
            .encode(format!("{prompt}{completion}"), true)
            .map_err(|e| self.failed(&e.to_string()))?;
        let mut tokens = encoding.get_ids().to_vec();
        let mut learned = self.learned(&encoding, prompt.len());
        // A text may bring the token that opens it along; one is enough.
        let bos = self
            .bos
            .as_deref()
            .and_then(|bos| self.inner.token_to_id(bos));
        if bos.is_some() && tokens.len() > 1 && tokens[..2].iter().all(|&t| Some(t) == bos) {
            tokens.remove(0);
            learned.remove(0);
        }
        if let Some(eos) = self.eos_token()
            && tokens.last() != Some(&eos)
        {
            tokens.push(eos);
            learned.push(true);
        }
        Ok(Encoded {
            tokens,
            assistant: learned,
        })
    }

    /// Which tokens lie behind the first `start` bytes, those that close the text included.
    fn learned(&self, encoding: &Encoding, start: usize) -> Vec<bool> {
        let added = encoding.get_special_tokens_mask();
        let mut behind = start == 0;
        encoding
            .get_offsets()
            .iter()
            .zip(added)
            .map(|(&(_, to), &added)| {
                // What the tokenizer adds has no place in the text; it goes with what is before.
                behind |= added == 0 && to > start;
                behind
            })
            .collect()
    }

    /// Whether the last learned token, white space aside, is one that ends a turn.
    pub fn ends_turn(&self, encoded: &Encoded) -> bool {
        let learned = encoded.tokens.iter().zip(&encoded.assistant);
        let last = learned
            .filter(|(_, learned)| **learned)
            .map(|(token, _)| *token)
            .rev()
            .find(|&token| self.is_end(token) || !self.token_text(token).trim().is_empty());
        last.is_some_and(|token| self.is_end(token))
    }

    fn is_end(&self, token: u32) -> bool {
        self.inner.id_to_token(token).is_some_and(|text| {
            self.ends.stops.contains(&text) || self.ends.specials.contains(&text)
        })
    }

    fn template(&self) -> Result<&ChatTemplate> {
        match &self.template {
            Some(Ok(template)) => Ok(template),
            Some(Err(problem)) => Err(ModelError::invalid(
                &self.path,
                format!("the model's chat template cannot be used: {problem}"),
                "check `chat_template.jinja` against its origin",
            )),
            None => Err(ModelError::invalid(
                &self.path,
                "the model has no chat template",
                "add `chat_template.jinja` to the model's folder",
            )),
        }
    }

    fn template_failed(&self, fault: &TemplateFault) -> ModelError {
        let path = self.path.join("chat_template.jinja");
        match fault {
            TemplateFault::Refused(words) => ModelError::invalid(
                &path,
                format!("the model's chat template refuses the conversation: {words}"),
                "change the roles or their order as it asks; where it takes no system message, \
                 put the instructions before the first question",
            ),
            TemplateFault::Failed(words) => ModelError::invalid(
                &path,
                format!("the chat template failed: {words}"),
                "check the roles and their order",
            ),
        }
    }

    fn not_incremental(&self, turn: usize) -> ModelError {
        let path = self.path.join("chat_template.jinja");
        match turn {
            0 => ModelError::invalid(
                &path,
                "the conversation begins with the assistant, so nothing prompts its first turn",
                "begin it with a user's or a system message",
            ),
            _ => ModelError::invalid(
                &path,
                format!(
                    "turn {} is written by the template in another way than the prompt for it begins, \
                     so what the assistant says in it cannot be told",
                    turn + 1
                ),
                "give the model a template with `{% generation %}` blocks around the assistant's turns",
            ),
        }
    }

    fn failed(&self, problem: &str) -> ModelError {
        ModelError::invalid(
            &self.path.join("tokenizer.json"),
            problem,
            "check the tokenizer's files against their origin",
        )
    }
}
