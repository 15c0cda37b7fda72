//! The project's own corpus as examples in tokens.
//!
//! Does not know batches; rows of files are `encode`'s.

use slm_data::corpus::{self, Family};
use slm_model::{ChatMessage, Tokenizer};
use slm_train::{Example, Renaming, Source};

/// The project's own corpus, which never ends.
pub struct Endless {
    tokenizer: Tokenizer,
    seed: u64,
    renaming: Option<Renaming>,
}

impl Endless {
    /// The corpus of a seed, a share `renamed` of its examples with random tokens in the spans
    /// that their answers copy.
    ///
    /// # Errors
    /// The tokenizer cannot decode its own tokens.
    pub fn new(tokenizer: Tokenizer, seed: u64, renamed: f64) -> slm_train::Result<Self> {
        let renaming = match renamed > 0.0 {
            true => Some(Renaming::new(renamed, words(&tokenizer)?)),
            false => None,
        };
        Ok(Self {
            tokenizer,
            seed,
            renaming,
        })
    }

    /// Examples of held-out families, as they stand.
    pub fn held_out(&self, count: u64) -> slm_train::Result<Vec<Example>> {
        (0..count)
            .map(|index| self.encode(&corpus::example(self.seed, index, Family::HeldOut)))
            .collect()
    }

    fn encode(&self, example: &corpus::Example) -> slm_train::Result<Example> {
        let messages: Vec<ChatMessage> = example
            .messages
            .iter()
            .map(|(role, content)| ChatMessage {
                role: role.as_str().to_owned(),
                content: content.clone(),
            })
            .collect();
        Ok(self.tokenizer.encode_chat(&messages)?.into())
    }

    fn rename(
        &self,
        renaming: &Renaming,
        copied: &[String],
        index: u64,
        made: &mut Example,
    ) -> slm_train::Result<()> {
        let spans = copied.iter().map(|text| self.tokenizer.encode(text));
        let spans = spans.collect::<slm_model::Result<Vec<_>>>()?;
        // The seeds of successive examples differ in many bits.
        let seed = self.seed ^ (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        renaming.apply(made, &spans, seed);
        Ok(())
    }
}

/// By token id, whether it is a word or a part of one: a letter is in it (or a byte of one), and
/// nothing that JSON, numbers or layout are written with.
fn words(tokenizer: &Tokenizer) -> slm_train::Result<Vec<bool>> {
    let special = tokenizer.inner().get_added_tokens_decoder();
    let is_word = |id: u32| -> slm_train::Result<bool> {
        let text = tokenizer.decode(&[id])?;
        let letters = text
            .chars()
            .any(|c| c.is_alphabetic() || c == char::REPLACEMENT_CHARACTER);
        let plain = text
            .chars()
            .all(|c| c.is_alphabetic() || !c.is_ascii() || c == '_');
        Ok(letters && plain && !special.contains_key(&id))
    };
    (0..tokenizer.vocabulary() as u32).map(is_word).collect()
}

impl Source for Endless {
    fn example(&self, position: u64) -> slm_train::Result<Option<Example>> {
        let example = corpus::example(self.seed, position, Family::Train);
        let mut made = self.encode(&example)?;
        if let Some(renaming) = &self.renaming {
            self.rename(renaming, &example.verbatim, position, &mut made)?;
        }
        Ok(Some(made))
    }
}
