//! What can go wrong when a model is loaded or a request answered.

use slm_model::ModelError;

/// A problem with a model or a request; says what to do.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// The model's files or settings.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A prompt fills the model's context, so that nothing can follow it.
    #[error(
        "the prompt has {prompt} tokens, the model's context {context}\nhint: shorten the prompt to at most {} tokens", context.saturating_sub(1)
    )]
    PromptTooLong {
        /// Tokens of the prompt.
        prompt: usize,
        /// The model's context in tokens.
        context: usize,
    },
    /// A prompt without tokens.
    #[error("the prompt is empty\nhint: give at least one token")]
    EmptyPrompt,
    /// A token that the model has no embedding for.
    #[error(
        "token {token} at position {position} of the prompt is outside the vocabulary of {vocabulary}\nhint: use the tokenizer that belongs to the model"
    )]
    UnknownToken {
        /// The token.
        token: u32,
        /// Its place in the prompt.
        position: usize,
        /// Size of the vocabulary.
        vocabulary: usize,
    },
    /// A sampling setting out of its range.
    #[error("`{name}` is {value}\nhint: {hint}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: f64,
        /// Its range.
        hint: &'static str,
    },
}

/// Result of this crate's fallible functions.
pub type Result<T> = std::result::Result<T, InferError>;
