//! An OpenAI-compatible server that answers chat requests, as a teacher or as a baseline.
//!
//! Does not know retries (the client's) nor which answers are kept.

use anyhow::Result;
use serde_json::json;
use slm_data::teacher::{AskFault, ChatAnswer, ChatRequest, ChatTeacher, Gate};

use super::budget::{Spent, Tokens};
use super::client::{Client, Endpoint, Purpose, Refusal, Trouble};
use super::request::Request;

/// A server and what may be spent on it.
pub struct Server {
    model: String,
    client: Client,
    concurrency: usize,
    /// Lets `concurrency` requests be under way.
    gate: Gate,
    schemas: bool,
    purpose: Purpose,
}

impl Server {
    /// The server of an endpoint, not asked yet.
    ///
    /// # Errors
    /// The endpoint is no URL, or the environment lacks the key.
    pub fn new(endpoint: &Endpoint) -> Result<Self> {
        Ok(Self {
            model: endpoint.model.clone(),
            client: Client::new(endpoint)?,
            concurrency: endpoint.concurrency,
            gate: Gate::new(endpoint.concurrency),
            schemas: endpoint.schemas,
            purpose: endpoint.purpose,
        })
    }

    /// What was spent so far.
    pub fn spent(&self) -> Spent {
        self.client.spent()
    }

    /// Books what was paid for before.
    pub fn book(&self, taken: Tokens) {
        self.client.book(taken);
    }

    fn request(&self, request: &ChatRequest) -> Request {
        let messages = request.messages.iter();
        Request {
            model: self.model.clone(),
            messages: messages
                .map(|message| json!({"role": message.role, "content": message.content}))
                .collect(),
            max_tokens: request.max_tokens,
            temperature: request.temperature,
            seed: request.seed,
            schema: request.schema.clone().filter(|_| self.schemas),
            tools: request.tools.clone(),
        }
    }

    fn fault(&self, refusal: &Refusal) -> AskFault {
        let message = refusal.to_string();
        if refusal.is_of_this_request() {
            return AskFault::Refused(message);
        }
        let hint = format!(
            "{}; all answers so far are kept: run again to go on from here",
            remedy(refusal.trouble(), self.purpose)
        );
        match refusal.trouble() {
            Trouble::OverBudget => AskFault::NotAsked {
                message,
                hint: format!(
                    "all answers are kept: run again with a larger {} to go on from here",
                    self.purpose.limits
                ),
            },
            Trouble::Unreachable | Trouble::Status(400..=407 | 410..=424) => {
                AskFault::Stopped { message, hint }
            }
            _ => AskFault::Failed { message, hint },
        }
    }
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
        let request = self.request(request);
        self.gate
            .pass(0, || self.client.ask(&request))
            .map_err(|refusal| self.fault(&refusal))
    }
}

/// What to do about a server that gives no answers.
fn remedy(trouble: Trouble, purpose: Purpose) -> String {
    let Purpose {
        endpoint,
        model,
        key,
        timeout,
        retries,
        concurrency,
        ..
    } = purpose;
    match trouble {
        Trouble::Late => {
            format!("give it longer with `{timeout}`, or ask less at once with `{concurrency}`")
        }
        Trouble::Unreachable | Trouble::Broken => {
            format!("see that the server runs and that `{endpoint}` is its address")
        }
        Trouble::Unreadable => format!(
            "see that `{endpoint}` is an OpenAI-compatible server's; most addresses end with `/v1`"
        ),
        Trouble::Status(401 | 403) => format!("see to the key in the variable that `{key}` names"),
        Trouble::Status(404) => {
            format!("see to `{endpoint}` (most addresses end with `/v1`) and `{model}`")
        }
        Trouble::Status(429) => format!(
            "ask less at once with `{concurrency}`, wait longer with `{retries}`, or see to your quota"
        ),
        Trouble::Status(_) | Trouble::OverBudget => {
            "see to the server: its log may say more".to_owned()
        }
    }
}
