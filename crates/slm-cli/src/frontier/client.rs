//! One chat completion over HTTP, with patience.
//!
//! Waits and asks again on 429, 5xx, timeouts and broken connections; never prints or
//! keeps the key. Does not know about rows, tasks or scores.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::recipe::Baseline;

/// The longest wait between two attempts that is chosen here.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The longest wait that a server may ask for.
const LONGEST_ASKED_WAIT: Duration = Duration::from_secs(300);

/// What is asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// The model's name.
    pub model: String,
    /// Chat messages, in the OpenAI form.
    pub messages: Vec<Value>,
    /// The longest answer, in tokens.
    pub max_tokens: usize,
    /// OpenAI tool definitions, where the job is to call one.
    pub tools: Option<Value>,
    /// How the answer is drawn and shaped; the likeliest free text where this is `None`.
    pub drawing: Option<Drawing>,
}

/// How an answer is drawn and shaped.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// 0 for the likeliest answer.
    pub temperature: f64,
    /// Tells requests with the same words apart.
    pub seed: u64,
    /// The JSON Schema that the server is told to keep to.
    pub schema: Option<Value>,
}

impl Request {
    /// The body of the request. Its text is what shapes the answer.
    pub fn body(&self) -> Value {
        let mut body = json!({
            "model": self.model,
            "messages": self.messages,
            "max_tokens": self.max_tokens,
            "temperature": 0,
        });
        if let Some(tools) = &self.tools {
            body["tools"] = tools.clone();
        }
        if let Some(drawing) = &self.drawing {
            body["temperature"] = drawing.temperature.into();
            body["seed"] = drawing.seed.into();
            if let Some(schema) = &drawing.schema {
                body["response_format"] = json!({
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": schema},
                });
            }
        }
        body
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The assistant's text, or its tool calls as JSON.
    pub text: String,
    /// From sending to the whole answer, of the attempt that succeeded.
    pub latency_ms: f64,
    /// As the server counts them.
    pub input_tokens: Option<u64>,
    /// As the server counts them.
    pub output_tokens: Option<u64>,
    /// As the server says it.
    pub finish_reason: Option<String>,
}

/// A key that does not show itself.
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<key>")
    }
}

/// A connection to one endpoint.
#[derive(Debug)]
pub struct Client {
    http: reqwest::blocking::Client,
    url: String,
    key: Option<Secret>,
    retries: u32,
    first_wait: Duration,
    /// Until when the server asked everybody to wait.
    quiet_until: Mutex<Option<Instant>>,
}

/// What a client is for, in the words of its user.
#[derive(Clone, Copy, Debug)]
pub struct Purpose {
    /// Whom it asks, such as `baseline`.
    pub role: &'static str,
    /// What the user calls the endpoint's address.
    pub endpoint: &'static str,
    /// What the user calls the name of the key's variable.
    pub key: &'static str,
}

/// A client for the baseline of a recipe.
pub const BASELINE: Purpose = Purpose {
    role: "baseline",
    endpoint: "baseline.endpoint",
    key: "baseline.api_key_env",
};

/// Why one attempt failed.
enum Attempt {
    /// Worth another try, after the wait that the server asked for, if it did.
    Again(String, Trouble, Option<Duration>),
    /// Not worth one.
    Final(String, Trouble),
}

/// What went wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No answer came in time.
    Late,
    /// There was no connection, or it broke.
    Broken,
    /// The answer has this status.
    Status(u16),
    /// The answer is no chat completion.
    Unreadable,
}

/// Why a request was given up.
#[derive(Debug)]
pub struct Refusal {
    message: String,
    trouble: Trouble,
}

impl Refusal {
    /// Whether the server found fault with this one request (too long, say), so that
    /// others may still be answered.
    pub fn is_of_this_request(&self) -> bool {
        matches!(self.trouble, Trouble::Status(400 | 413 | 422))
    }

    /// What went wrong in the end.
    pub fn trouble(&self) -> Trouble {
        self.trouble
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl Client {
    /// A client for an endpoint.
    ///
    /// # Errors
    /// The endpoint is no URL, or the environment lacks the key.
    pub fn new(baseline: &Baseline, purpose: Purpose) -> Result<Self> {
        let url = format!(
            "{}/chat/completions",
            baseline.endpoint.trim_end_matches('/')
        );
        let parsed = reqwest::Url::parse(&url).map_err(|error| {
            Failure::new(format!("`{}` is no endpoint: {error}", baseline.endpoint)).hint(format!(
                "give `{}` as a URL such as `https://api.example.com/v1`",
                purpose.endpoint
            ))
        })?;
        let key = match &baseline.api_key_env {
            Some(name) => Some(read_key(name, purpose)?),
            None => None,
        };
        let mut builder = reqwest::blocking::Client::builder()
            .timeout(Duration::from_secs(baseline.timeout_seconds.max(1)));
        if matches!(parsed.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")) {
            builder = builder.no_proxy();
        }
        let http = builder
            .build()
            .map_err(|error| Failure::new(format!("cannot set up HTTP: {error}")))?;
        Ok(Self {
            http,
            url,
            key,
            retries: baseline.retries,
            first_wait: Duration::from_millis(500),
            quiet_until: Mutex::new(None),
        })
    }

    /// The address that is asked.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks, and asks again where that may help.
    ///
    /// # Errors
    /// The server refuses, or fails more often than `retries` allows.
    pub fn ask(&self, request: &Request) -> Result<Answer, Refusal> {
        let mut wait = self.first_wait;
        let mut attempts = 0;
        loop {
            attempts += 1;
            self.wait_while_quiet();
            match self.attempt(request) {
                Ok(answer) => return Ok(answer),
                Err(Attempt::Again(_, _, asked)) if attempts <= self.retries => {
                    match asked {
                        Some(asked) => self.keep_quiet(asked),
                        None => std::thread::sleep(with_jitter(wait)),
                    }
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                Err(Attempt::Again(why, trouble, _) | Attempt::Final(why, trouble)) => {
                    return Err(self.refusal(attempts, &why, trouble));
                }
            }
        }
    }

    /// Notes that the server wants no requests for a while, from any thread.
    fn keep_quiet(&self, asked: Duration) {
        let until = Instant::now() + asked;
        let mut quiet = self
            .quiet_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *quiet = Some(quiet.map_or(until, |before| before.max(until)));
    }

    fn wait_while_quiet(&self) {
        loop {
            let quiet = *self
                .quiet_until
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match quiet.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(left) if !left.is_zero() => std::thread::sleep(left),
                _ => return,
            }
        }
    }

    fn refusal(&self, attempts: u32, why: &str, trouble: Trouble) -> Refusal {
        let times = match attempts {
            1 => "once".to_owned(),
            _ => format!("{attempts} times"),
        };
        Refusal {
            message: format!("asked `{}` {times}: {why}", self.url),
            trouble,
        }
    }

    fn attempt(&self, request: &Request) -> Result<Answer, Attempt> {
        let started = Instant::now();
        let mut call = self.http.post(&self.url).json(&request.body());
        if let Some(Secret(key)) = &self.key {
            call = call.bearer_auth(key);
        }
        let broken = |error: reqwest::Error| {
            let (why, trouble) = match error.is_timeout() {
                true => ("no answer in time".to_owned(), Trouble::Late),
                false => (root_cause(&error), Trouble::Broken),
            };
            Attempt::Again(why, trouble, None)
        };
        let response = call.send().map_err(broken)?;
        let status = response.status();
        let asked = retry_after(&response);
        let text = response.text().map_err(broken)?;
        if !status.is_success() {
            let why = format!("it answered {status}: {}", self.redact(&text));
            let trouble = Trouble::Status(status.as_u16());
            return Err(match status.as_u16() {
                408 | 409 | 425 | 429 | 500..=599 => Attempt::Again(why, trouble, asked),
                _ => Attempt::Final(why, trouble),
            });
        }
        let latency_ms = started.elapsed().as_secs_f64() * 1000.0;
        read_answer(&text, latency_ms).ok_or_else(|| {
            let why = format!("its answer is no chat completion: {}", self.redact(&text));
            Attempt::Again(why, Trouble::Unreadable, None)
        })
    }

    /// The start of a server's words, without the key should it be among them.
    fn redact(&self, text: &str) -> String {
        // Before it is cut, so that no part of the key is left at the end.
        let text = match &self.key {
            Some(Secret(key)) => text.replace(key, "<key>"),
            None => text.to_owned(),
        };
        text.chars().take(300).collect()
    }
}

/// Half of a wait to all of it, so that many do not come back at the same moment.
fn with_jitter(wait: Duration) -> Duration {
    let chance = RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64;
    wait.mul_f64(0.5 + chance / 2.0)
}

fn read_key(name: &str, purpose: Purpose) -> Result<Secret> {
    match std::env::var(name) {
        Ok(key) if !key.trim().is_empty() => Ok(Secret(key.trim().to_owned())),
        _ => Err(Failure::new(format!(
            "the environment variable `{name}` holds no key for the {}",
            purpose.role
        ))
        .hint(format!(
            "`export {name}=...`, or remove `{}` for a server without a key",
            purpose.key
        ))
        .into()),
    }
}

fn retry_after(response: &reqwest::blocking::Response) -> Option<Duration> {
    let seconds: f64 = response
        .headers()
        .get("retry-after")?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    (seconds.is_finite() && seconds >= 0.0)
        .then(|| Duration::from_secs_f64(seconds.min(LONGEST_ASKED_WAIT.as_secs_f64())))
}

fn read_answer(text: &str, latency_ms: f64) -> Option<Answer> {
    let body: Value = serde_json::from_str(text).ok()?;
    let choice = body.get("choices")?.get(0)?;
    let message = choice.get("message")?;
    let calls = message
        .get("tool_calls")
        .filter(|calls| calls.as_array().is_some_and(|calls| !calls.is_empty()));
    let text = match (calls, message.get("content").and_then(Value::as_str)) {
        (Some(calls), _) => calls.to_string(),
        (None, Some(content)) => content.to_owned(),
        (None, None) => message
            .get("refusal")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
    };
    let refused = message.get("refusal").and_then(Value::as_str);
    let count = |name: &str| body.get("usage")?.get(name)?.as_u64();
    Some(Answer {
        text,
        latency_ms,
        input_tokens: count("prompt_tokens"),
        output_tokens: count("completion_tokens"),
        finish_reason: refused
            .map(|_| "refusal")
            .or_else(|| choice.get("finish_reason").and_then(Value::as_str))
            .map(str::to_owned),
    })
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
