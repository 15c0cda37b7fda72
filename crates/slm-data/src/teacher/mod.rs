//! Teachers that are asked with messages: the trait, its recording and its replay.
//!
//! A server or a local checkpoint is an adapter of the caller. Does not know the network.

mod gate;
mod kept;

pub use gate::Gate;
pub use kept::{Kept, Replay};

use crate::flow::PromptMessage;
use crate::sample::hex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt;

/// What is asked of a teacher. All of it shapes the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// The conversation that waits for the assistant.
    pub messages: Vec<PromptMessage>,
    /// The longest answer, in tokens.
    pub max_tokens: u32,
    /// 0 for the likeliest answer.
    pub temperature: f64,
    /// Tells requests with the same words apart.
    pub seed: u64,
    /// The JSON Schema that the answer must fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// OpenAI tool definitions, where the job is to call one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Value>,
}

/// What a teacher answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatAnswer {
    /// Its words, or its tool calls as JSON.
    pub text: String,
    /// `stop`, `length` and so on, where the teacher says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// As the teacher counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// As the teacher counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// From asking to the whole answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// Parameters of the request that the teacher refused and was asked without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskFault {
    /// The teacher will not answer this request; others may fare better.
    Refused(String),
    /// The teacher gave no answer for all patience; it may give one to another request.
    Failed {
        /// What happened.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// The request was not made: the budget does not allow it, or a recording does not hold it.
    NotAsked {
        /// What happened.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// Nothing can be asked any more, with the reason and what to do.
    Stopped {
        /// What happened.
        message: String,
        /// What to do about it.
        hint: String,
    },
}

impl AskFault {
    /// What to do about it.
    pub fn hint(&self) -> &str {
        match self {
            Self::Refused(_) => "ask another teacher",
            Self::Failed { hint, .. }
            | Self::NotAsked { hint, .. }
            | Self::Stopped { hint, .. } => hint,
        }
    }
}

impl fmt::Display for AskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(message)
            | Self::Failed { message, .. }
            | Self::NotAsked { message, .. }
            | Self::Stopped { message, .. } => f.write_str(message),
        }
    }
}

/// Somebody who can be asked, by many threads at once.
pub trait ChatTeacher: Sync {
    /// The name that every row carries, such as the model's.
    fn name(&self) -> &str;

    /// What shapes answers beyond the request, such as the endpoint. Part of an answer's address.
    fn identity(&self) -> String;

    /// How many threads may ask at once. A teacher that answers fewer lets the others wait.
    fn concurrency(&self) -> usize;

    /// Asks.
    ///
    /// # Errors
    /// See [`AskFault`].
    fn ask(&self, request: &ChatRequest) -> Result<ChatAnswer, AskFault>;
}

/// The address of an answer: SHA-256 over the teacher's identity and the request.
pub fn address(teacher: &dyn ChatTeacher, request: &ChatRequest) -> String {
    address_of(&teacher.identity(), request)
}

fn address_of(identity: &str, request: &ChatRequest) -> String {
    // Serializing a request cannot fail: its keys are strings and its numbers finite.
    let request = serde_json::to_string(request).unwrap_or_default();
    hex(&Sha256::digest(format!("{identity}\n{request}")))
}

/// Nobody: for flows that ask nothing.
pub struct Nobody;

impl ChatTeacher for Nobody {
    fn name(&self) -> &str {
        "rules"
    }

    fn identity(&self) -> String {
        "rules".to_owned()
    }

    fn concurrency(&self) -> usize {
        1
    }

    fn ask(&self, _: &ChatRequest) -> Result<ChatAnswer, AskFault> {
        Err(AskFault::Stopped {
            message: "the flow asks a teacher, and none is given".to_owned(),
            hint: "give `--endpoint URL --model NAME`, `--local MODEL` or `--replay DIR`"
                .to_owned(),
        })
    }
}
