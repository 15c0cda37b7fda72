//! An OpenAI-compatible server as teacher.
//!
//! Does not know retries (the client's) nor which answers are kept.

use anyhow::Result;
use serde_json::json;
use slm_data::teacher::{AskFault, ChatAnswer, ChatRequest, ChatTeacher, Gate};

use super::budget::{Budget, Limits, Spent, Tokens};
use crate::frontier::{Client, Drawing, Purpose, Request, Trouble};
use crate::recipe::Baseline;

const TEACHER: Purpose = Purpose {
    role: "teacher",
    endpoint: "--endpoint",
    key: "--api-key-env",
};

/// A server and what may be spent on it.
pub struct Server {
    model: String,
    client: Client,
    concurrency: usize,
    /// Lets `concurrency` requests be under way.
    gate: Gate,
    schemas: bool,
    budget: Budget,
}

impl Server {
    /// The server of an endpoint, not asked yet.
    ///
    /// # Errors
    /// The endpoint is no URL, or the environment lacks the key.
    pub fn new(
        endpoint: &Baseline,
        concurrency: usize,
        schemas: bool,
        limits: Limits,
    ) -> Result<Self> {
        Ok(Self {
            model: endpoint.model.clone(),
            client: Client::new(endpoint, TEACHER)?,
            concurrency,
            gate: Gate::new(concurrency),
            schemas,
            budget: Budget::new(limits),
        })
    }

    /// What was spent so far.
    pub fn spent(&self) -> Spent {
        self.budget.spent()
    }

    fn request(&self, request: &ChatRequest) -> Request {
        let messages = request.messages.iter();
        Request {
            model: self.model.clone(),
            messages: messages
                .map(|message| json!({"role": message.role, "content": message.content}))
                .collect(),
            max_tokens: request.max_tokens as usize,
            tools: None,
            drawing: Some(Drawing {
                temperature: request.temperature,
                seed: request.seed,
                schema: request.schema.clone().filter(|_| self.schemas),
            }),
        }
    }
}

/// Tokens of a text, guessed generously: few tokens are shorter than two bytes.
fn at_most_tokens(request: &ChatRequest) -> u64 {
    let bytes: usize = request
        .messages
        .iter()
        .map(|message| message.content.len() + 16)
        .sum();
    bytes as u64 / 2
}

impl ChatTeacher for Server {
    fn name(&self) -> &str {
        &self.model
    }

    fn identity(&self) -> String {
        format!(
            "{} {} schemas:{}",
            self.client.url(),
            self.model,
            self.schemas
        )
    }

    /// Twice as many as may be under way: while all of those before keep their answers on the
    /// disk, as many others are ready to ask.
    fn concurrency(&self) -> usize {
        2 * self.concurrency
    }

    fn ask(&self, request: &ChatRequest) -> Result<ChatAnswer, AskFault> {
        self.gate.pass(0, || self.ask_now(request))
    }
}

impl Server {
    fn ask_now(&self, request: &ChatRequest) -> Result<ChatAnswer, AskFault> {
        let most = Tokens {
            input: at_most_tokens(request),
            output: u64::from(request.max_tokens),
        };
        self.budget.reserve(most)?;
        let answer = self.client.ask(&self.request(request));
        // A server that counts nothing is booked at what was set aside.
        let taken = match &answer {
            Ok(answer) => Tokens {
                input: answer.input_tokens.unwrap_or(most.input),
                output: answer.output_tokens.unwrap_or(most.output),
            },
            Err(_) => Tokens::default(),
        };
        self.budget.settle(most, taken);
        match answer {
            Ok(answer) => Ok(ChatAnswer {
                text: answer.text,
                finish_reason: answer.finish_reason,
                input_tokens: answer.input_tokens,
                output_tokens: answer.output_tokens,
            }),
            Err(refusal) if refusal.is_of_this_request() => {
                Err(AskFault::Refused(refusal.to_string()))
            }
            Err(refusal) => Err(AskFault::Stopped {
                message: refusal.to_string(),
                hint: format!(
                    "{}; all answers so far are kept: run again to go on from here",
                    remedy(refusal.trouble())
                ),
            }),
        }
    }
}

/// What to do about a server that gives no answers.
fn remedy(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Late => {
            "give it longer with `--timeout`, or ask less at once with `--concurrency`"
        }
        Trouble::Broken => "see that the server runs and that `--endpoint` is its address",
        Trouble::Unreadable => {
            "see that `--endpoint` is an OpenAI-compatible server's; most addresses end with `/v1`"
        }
        Trouble::Status(401 | 403) => "see to the key in the variable that `--api-key-env` names",
        Trouble::Status(404) => "see to `--endpoint` (most addresses end with `/v1`) and `--model`",
        Trouble::Status(429) => {
            "ask less at once with `--concurrency`, wait longer with `--retries`, or see to your quota"
        }
        Trouble::Status(_) => "see to the server: its log may say more",
    }
}
