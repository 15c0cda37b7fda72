//! What is asked of the engine and what it answers.

use std::sync::Arc;

use crate::error::{InferError, Result};

/// Whether an answer may end where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// More must come.
    Open,
    /// It may end here, or go on.
    Possible,
    /// Nothing may follow.
    Complete,
    /// It cannot go on within the bounds of what is allowed.
    Broken,
}

/// Narrows the tokens that may come next; one per answer, for constrained decoding.
pub trait TokenMask: Send {
    /// The tokens that must come now, taken as accepted; none where there is a choice.
    fn forced(&mut self) -> Vec<u32> {
        Vec::new()
    }

    /// Sets the logits of forbidden tokens to negative infinity. A token that ends the answer is
    /// allowed where the answer may end.
    fn allow(&mut self, logits: &mut [f32]);

    /// Whether an allowed token is refused after all. What only a look at the token can tell is
    /// told here, and the next likeliest is taken.
    fn refuses(&self, token: u32) -> bool {
        let _ = token;
        false
    }

    /// Hears which of the allowed tokens was chosen.
    fn accept(&mut self, token: u32);

    /// Whether the answer may end here.
    fn ending(&mut self) -> Ending;

    /// The tokens of a short way to the end of the answer from here, at most `most`, with
    /// `next` first if it is given; nothing if none was found. Changes nothing.
    fn closing(&mut self, next: Option<u32>, most: usize) -> Option<Vec<u32>> {
        let _ = (next, most);
        None
    }
}

/// Makes a fresh [`TokenMask`] for each answer.
pub trait MaskSource: Send + Sync {
    /// A mask at its start.
    fn start(&self) -> Box<dyn TokenMask>;
}

impl<F: Fn() -> Box<dyn TokenMask> + Send + Sync> MaskSource for F {
    fn start(&self) -> Box<dyn TokenMask> {
        self()
    }
}

/// Whether an answer of these tokens has reached its end by what it says.
pub type Ends = Arc<dyn Fn(&[u32]) -> bool + Send + Sync>;

/// One prompt and how to continue it.
#[derive(Clone)]
pub struct Request {
    /// Tokens of the prompt.
    pub prompt: Vec<u32>,
    /// Most tokens to generate; the context may allow fewer.
    pub max_new_tokens: usize,
    /// 0 takes the likeliest token; above, logits are divided by it before drawing.
    pub temperature: f32,
    /// Draw among this many likeliest tokens only; 0 means all.
    pub top_k: usize,
    /// Draw among the likeliest tokens that together reach this probability; 1 means all.
    pub top_p: f32,
    /// Draw among the tokens that are at least this part as likely as the likeliest; 0 means all.
    pub min_p: f32,
    /// What the logits of tokens that were there, prompt included, are divided by, or multiplied
    /// by where they are negative (Keskar et al. 2019); 1 changes nothing.
    pub repetition_penalty: f32,
    /// Seed of the draws.
    pub seed: u64,
    /// Tokens that end the answer; they are not part of it.
    pub stop_tokens: Vec<u32>,
    /// Ends an answer by what it says, such as a stop string; asked after each token.
    pub ends: Option<Ends>,
    /// Restricts the tokens, if given.
    pub mask: Option<Arc<dyn MaskSource>>,
    /// Whether a restricted answer that the budget would cut is brought to its end in time. What
    /// then comes is the mask's choice, not the model's.
    pub close: bool,
}

impl Request {
    /// The likeliest continuation of `prompt`, until one of `stop_tokens`.
    pub fn greedy(prompt: Vec<u32>, max_new_tokens: usize, stop_tokens: Vec<u32>) -> Self {
        Self {
            prompt,
            max_new_tokens,
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            seed: 0,
            stop_tokens,
            ends: None,
            mask: None,
            close: false,
        }
    }

    /// Checks the request against a vocabulary and a context length.
    ///
    /// # Errors
    /// When the prompt is empty, too long or holds unknown tokens; when a setting is out of range.
    pub fn check(&self, vocabulary: usize, context: usize) -> Result<()> {
        if self.prompt.is_empty() {
            return Err(InferError::EmptyPrompt);
        }
        if self.prompt.len() >= context {
            return Err(InferError::PromptTooLong {
                prompt: self.prompt.len(),
                context,
            });
        }
        if let Some(position) = self
            .prompt
            .iter()
            .position(|token| *token as usize >= vocabulary)
        {
            let token = self.prompt[position];
            return Err(InferError::UnknownToken {
                token,
                position,
                vocabulary,
            });
        }
        let (temperature, penalty) = (self.temperature, self.repetition_penalty);
        let settings = [
            (
                "temperature",
                temperature,
                temperature >= 0.0,
                "give a number from 0 up",
            ),
            (
                "top_p",
                self.top_p,
                self.top_p > 0.0 && self.top_p <= 1.0,
                "give a number above 0, up to 1",
            ),
            (
                "min_p",
                self.min_p,
                (0.0..=1.0).contains(&self.min_p),
                "give a number from 0 to 1",
            ),
            (
                "repetition_penalty",
                penalty,
                penalty > 0.0,
                "give a number above 0",
            ),
        ];
        for (name, value, in_range, hint) in settings {
            if !in_range || !value.is_finite() {
                let value = value.into();
                return Err(InferError::Setting { name, value, hint });
            }
        }
        Ok(())
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// One of the stop tokens came.
    Stop,
    /// The token budget or the context was used up.
    Length,
    /// The mask allowed no token, or the logits are no numbers.
    DeadEnd,
}

/// What was generated for one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Generated tokens, without the stop token.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub finish: Finish,
    /// Natural logarithm of each token's probability among those allowed, at temperature 1.
    pub log_probabilities: Vec<f32>,
    /// Wall time from the start of its prefill to its last token. In a batch this includes the
    /// time that the other answers' steps took; with a batch of 1 it is the latency alone.
    pub latency_ms: f64,
    /// Tokens of the prompt.
    pub prefill_tokens: usize,
    /// Generated tokens that the mask left no choice about: taken without sampling.
    pub forced_tokens: usize,
    /// Whether a mask held it, so that every byte of its text is meant.
    pub constrained: bool,
}
