//! One chat completion over HTTP, with patience and within limits.
//!
//! Waits and asks again on 429, 5xx, timeouts and broken connections; leaves out what a server
//! refuses by name; never prints or keeps the key. Does not know about rows, tasks or scores.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use slm_data::teacher::ChatAnswer;

use super::answer;
use super::budget::{Budget, Limits, Spent, Tokens};
use super::pace::{Pace, Rates, asked_wait};
use super::request::{Parameter, Request};
use crate::failure::Failure;

/// The longest wait between two attempts that is chosen here.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A key that does not show itself.
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<key>")
    }
}

/// Where and how a model is asked.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// For example `https://api.example.com/v1`.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// The environment variable that holds the key.
    pub api_key_env: Option<String>,
    /// Longest wait for an answer.
    pub timeout_seconds: u64,
    /// How often a failed request is sent again.
    pub retries: u32,
    /// Requests under way at once.
    pub concurrency: usize,
    /// Whether JSON Schemas are sent.
    pub schemas: bool,
    /// What may be spent.
    pub limits: Limits,
    /// What may be sent in a minute.
    pub rates: Rates,
    /// What the user calls all this.
    pub purpose: Purpose,
}

/// What a client is for, in the words of its user.
#[derive(Clone, Copy, Debug)]
pub struct Purpose {
    /// Whom it asks, such as `baseline`.
    pub role: &'static str,
    /// What the user calls the endpoint's address.
    pub endpoint: &'static str,
    /// What the user calls the model's name.
    pub model: &'static str,
    /// What the user calls the name of the key's variable.
    pub key: &'static str,
    /// What the user calls the longest wait.
    pub timeout: &'static str,
    /// What the user calls the number of retries.
    pub retries: &'static str,
    /// What the user calls requests at once.
    pub concurrency: &'static str,
    /// What the user calls the limits of spending, with backticks.
    pub limits: &'static str,
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
    pace: Pace,
    budget: Budget,
    /// Parameters that the server refused, with the values that it refused.
    refused: Mutex<HashSet<(Parameter, String)>>,
}

/// Why one attempt failed.
enum Attempt {
    /// Worth another try, after the wait that the server asked for, if it did.
    Again(String, Trouble, Option<Duration>),
    /// Not worth one.
    Final(String, Trouble),
    /// Worth one without this.
    Without(Parameter),
}

/// What went wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No answer came in time.
    Late,
    /// There was no connection.
    Unreachable,
    /// The connection broke.
    Broken,
    /// The answer has this status.
    Status(u16),
    /// The answer is no chat completion.
    Unreadable,
    /// It was not sent: it might cost more than is left.
    OverBudget,
}

impl Trouble {
    /// Whether an answer may have been made and billed that did not come through.
    fn may_be_billed(self) -> bool {
        matches!(self, Self::Late | Self::Broken | Self::Unreadable)
    }
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
    pub fn new(endpoint: &Endpoint) -> Result<Self> {
        let purpose = endpoint.purpose;
        let url = format!("{}/chat/completions", endpoint.url.trim_end_matches('/'));
        let parsed = reqwest::Url::parse(&url).map_err(|error| {
            Failure::new(format!("`{}` is no endpoint: {error}", endpoint.url)).hint(format!(
                "give `{}` as a URL such as `https://api.example.com/v1`",
                purpose.endpoint
            ))
        })?;
        if !matches!(parsed.scheme(), "http" | "https") {
            let problem = format!("`{}` is no endpoint: it is asked by HTTP", endpoint.url);
            return Err(Failure::new(problem)
                .hint(format!(
                    "give `{}` as a URL such as `https://api.example.com/v1`",
                    purpose.endpoint
                ))
                .into());
        }
        let key = match &endpoint.api_key_env {
            Some(name) => Some(read_key(name, purpose)?),
            None => None,
        };
        let mut builder = reqwest::blocking::Client::builder()
            .timeout(Duration::from_secs(endpoint.timeout_seconds.max(1)));
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
            retries: endpoint.retries,
            first_wait: Duration::from_millis(500),
            quiet_until: Mutex::new(None),
            pace: Pace::new(endpoint.rates),
            budget: Budget::new(endpoint.limits),
            refused: Mutex::default(),
        })
    }

    /// The address that is asked.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What was spent so far.
    pub fn spent(&self) -> Spent {
        self.budget.spent()
    }

    /// Books what was paid for before.
    pub fn book(&self, taken: Tokens) {
        self.budget.book(taken);
    }

    /// Asks, and asks again where that may help.
    ///
    /// # Errors
    /// The server refuses, or fails more often than `retries` allows, or the budget does not
    /// allow another attempt.
    pub fn ask(&self, request: &Request) -> Result<ChatAnswer, Refusal> {
        let mut wait = self.first_wait;
        let mut attempts = 0;
        let mut without = self.known_refusals(request);
        loop {
            attempts += 1;
            match self.paid_attempt(request, &without) {
                Ok(mut answer) => {
                    self.learn(request, &without);
                    answer.without = without.iter().map(|p| p.name().to_owned()).collect();
                    return Ok(answer);
                }
                Err(Attempt::Without(parameter)) => {
                    without.insert(parameter);
                    attempts -= 1;
                }
                Err(Attempt::Again(_, _, asked)) if attempts <= self.retries => {
                    match asked {
                        Some(asked) => self.keep_quiet(asked),
                        None => std::thread::sleep(with_jitter(wait)),
                    }
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                Err(Attempt::Final(message, trouble @ Trouble::OverBudget)) => {
                    return Err(Refusal { message, trouble });
                }
                Err(Attempt::Again(why, trouble, _) | Attempt::Final(why, trouble)) => {
                    return Err(self.refusal(attempts, &why, trouble));
                }
            }
        }
    }

    fn refused(&self) -> MutexGuard<'_, HashSet<(Parameter, String)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the server is known not to take of a request.
    fn known_refusals(&self, request: &Request) -> BTreeSet<Parameter> {
        let refused = self.refused();
        let known = refused
            .iter()
            .filter(|(parameter, value)| *value == request.value_of(*parameter));
        known.map(|(parameter, _)| *parameter).collect()
    }

    /// Notes what the server does not take, once an answer without it showed this.
    fn learn(&self, request: &Request, without: &BTreeSet<Parameter>) {
        let values = without.iter().map(|p| (*p, request.value_of(*p)));
        self.refused().extend(values);
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

    /// One attempt, sent when the budget and the rates allow it, and booked.
    fn paid_attempt(
        &self,
        request: &Request,
        without: &BTreeSet<Parameter>,
    ) -> Result<ChatAnswer, Attempt> {
        let most = request.at_most();
        self.budget.reserve(most).map_err(|spent| {
            let why = format!("the budget does not allow another request ({spent})");
            Attempt::Final(why, Trouble::OverBudget)
        })?;
        self.pace.wait(most.input + most.output);
        self.wait_while_quiet();
        let outcome = self.attempt(request, without);
        let taken = match &outcome {
            // A server that counts nothing is booked at what was set aside.
            Ok(answer) => Tokens {
                input: answer.input_tokens.unwrap_or(most.input),
                output: answer.output_tokens.unwrap_or(most.output),
            },
            Err(Attempt::Again(_, trouble, _)) if trouble.may_be_billed() => most,
            Err(_) => Tokens::default(),
        };
        self.budget.settle(most, taken);
        outcome
    }

    fn attempt(
        &self,
        request: &Request,
        without: &BTreeSet<Parameter>,
    ) -> Result<ChatAnswer, Attempt> {
        let started = Instant::now();
        let mut call = self.http.post(&self.url).json(&request.body(without));
        if let Some(Secret(key)) = &self.key {
            call = call.bearer_auth(key);
        }
        let response = call.send().map_err(broken)?;
        let status = response.status();
        let asked = retry_after(&response);
        let text = response.text().map_err(broken)?;
        if !status.is_success() {
            let why = format!("it answered {status}: {}", self.redact(&text));
            let trouble = Trouble::Status(status.as_u16());
            return Err(match status.as_u16() {
                408 | 409 | 425 | 429 | 500 | 502..=599 => Attempt::Again(why, trouble, asked),
                400 | 404 | 422 | 501 => match request.refused(&text, without) {
                    Some(parameter) => Attempt::Without(parameter),
                    None => Attempt::Final(why, trouble),
                },
                _ => Attempt::Final(why, trouble),
            });
        }
        let latency_ms = started.elapsed().as_secs_f64() * 1000.0;
        answer::read(&text, latency_ms).ok_or_else(|| {
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

fn broken(error: reqwest::Error) -> Attempt {
    let (why, trouble) = match (error.is_connect(), error.is_timeout()) {
        (true, _) => (root_cause(&error), Trouble::Unreachable),
        (false, true) => ("no answer in time".to_owned(), Trouble::Late),
        (false, false) => (root_cause(&error), Trouble::Broken),
    };
    Attempt::Again(why, trouble, None)
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
    let header = response.headers().get("retry-after")?.to_str().ok()?;
    asked_wait(header, SystemTime::now())
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
