//! The project's own corpus as examples in tokens.
//!
//! Does not know batches; rows of files are `encode`'s.

use slm_data::corpus::{self, Family};
use slm_model::{ChatMessage, Tokenizer};
use slm_train::{Example, Source};

/// The project's own corpus, which never ends.
pub struct Endless {
    tokenizer: Tokenizer,
    seed: u64,
}

impl Endless {
    /// The corpus of a seed.
    pub fn new(tokenizer: Tokenizer, seed: u64) -> Self {
        Self { tokenizer, seed }
    }

    /// Examples of held-out families.
    pub fn held_out(&self, count: u64) -> slm_train::Result<Vec<Example>> {
        (0..count)
            .map(|index| self.draw(index, Family::HeldOut))
            .collect()
    }

    fn draw(&self, index: u64, family: Family) -> slm_train::Result<Example> {
        let messages: Vec<ChatMessage> = corpus::example(self.seed, index, family)
            .messages
            .into_iter()
            .map(|(role, content)| ChatMessage {
                role: role.as_str().to_owned(),
                content,
            })
            .collect();
        Ok(self.tokenizer.encode_chat(&messages)?.into())
    }
}

impl Source for Endless {
    fn example(&self, position: u64) -> slm_train::Result<Option<Example>> {
        self.draw(position, Family::Train).map(Some)
    }
}
