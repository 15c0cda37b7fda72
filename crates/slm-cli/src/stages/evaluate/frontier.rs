//! The frontier model answers the rows that it has not answered yet.
//!
//! Does not know HTTP, nor how answers are judged.

use std::path::Path;

use anyhow::Result;
use slm_data::teacher::{ChatTeacher, Kept, Replay};
use slm_eval::cost::{Price, Prices};
use slm_eval::log::{self, EvalLog, LogEntry};
use slm_eval::results::{Role, SystemInfo};
use slm_eval::{Row, Task};

use super::ask::{Asked, Known};
use super::settings_of;
use crate::commands::Context;
use crate::failure::Failure;
use crate::frontier::{Asks, Endpoint, Frontier, Limits, Manner, Purpose, Rates, Server, Tokens};
use crate::recipe::Baseline;

/// A recipe's words.
pub const RECIPE: Purpose = Purpose {
    role: "baseline",
    endpoint: "baseline.endpoint",
    model: "baseline.model",
    key: "baseline.api_key_env",
    timeout: "baseline.timeout_seconds",
    retries: "baseline.retries",
    concurrency: "baseline.concurrency",
    limits: "`baseline.max_cost`",
};

/// The model to compare with.
pub struct Rival<'a> {
    /// Its name in results.
    pub name: &'a str,
    /// Where and how it is asked.
    pub baseline: &'a Baseline,
    /// What tokens cost.
    pub prices: Option<&'a Prices>,
    /// The longest answer, in tokens.
    pub max_tokens: usize,
    /// In whose words it was named.
    pub purpose: Purpose,
}

impl Rival<'_> {
    /// Who will answer. Nothing is asked yet.
    ///
    /// # Errors
    /// `--offline` without a recording, no key, no price to reckon a limit with, or settings that
    /// make no sense.
    pub fn open(&self, context: &Context) -> Result<Asks> {
        let baseline = self.baseline;
        if !(1..=1024).contains(&baseline.concurrency) {
            let name = self.purpose.concurrency;
            return Err(Failure::new(format!("`{name}` is not from 1 to 1024")).into());
        }
        let limits = self.limits()?;
        if let Some(folder) = &baseline.replay {
            return Ok(Asks::Replay(Replay::open(folder)?));
        }
        if context.offline {
            return Err(Failure::new(format!(
                "the baseline `{}` needs a connection, which `--offline` forbids",
                baseline.model
            ))
            .hint("leave `--offline` out, replay a recording, or remove the baseline")
            .into());
        }
        let server = Server::new(&Endpoint {
            url: baseline.endpoint.clone(),
            model: baseline.model.clone(),
            api_key_env: baseline.api_key_env.clone(),
            timeout_seconds: baseline.timeout_seconds,
            retries: baseline.retries,
            concurrency: baseline.concurrency,
            schemas: baseline.json_schema,
            limits,
            rates: Rates {
                requests_per_minute: baseline.requests_per_minute,
                tokens_per_minute: baseline.tokens_per_minute,
            },
            purpose: self.purpose,
        })?;
        let cache = || context.workspace.cache().join("answers");
        let folder = baseline.record.clone().unwrap_or_else(cache);
        Ok(Asks::Server(Box::new(Kept::new(server, folder))))
    }

    fn price(&self) -> Option<&Price> {
        self.prices?.models.get(self.name)
    }

    fn limits(&self) -> Result<Limits> {
        let (price, cost) = (self.price(), self.baseline.max_cost);
        if cost.is_some_and(|most| !most.is_finite() || most < 0.0) {
            return Err(Failure::new(format!("{} is no amount", self.purpose.limits)).into());
        }
        if cost.is_some() && price.is_none() {
            let (limits, name) = (self.purpose.limits, self.name);
            return Err(Failure::new(format!("{limits} needs prices to reckon with"))
                .hint(format!(
                    "give a price table with a price for `{name}` under `models`; `evals/prices.example.yaml` shows the form"
                ))
                .into());
        }
        Ok(Limits {
            tokens: None,
            cost,
            price_input: price.map_or(0.0, |price| price.input_per_million),
            price_output: price.map_or(0.0, |price| price.output_per_million),
        })
    }

    /// Asks the open rows and logs the answers.
    ///
    /// # Errors
    /// As [`Rival::open`], or the endpoint fails for good; answers so far are kept.
    pub fn ask(
        &self,
        context: &Context,
        task: &Task,
        rows: &[Row],
        (path, log): (&Path, &mut EvalLog),
        known: &mut Known,
    ) -> Result<()> {
        let asks = self.open(context)?;
        let identity = match &asks {
            Asks::Server(kept) => kept.identity(),
            Asks::Replay(replay) => replay.identity(),
        };
        let asked = Asked {
            terminal: &context.terminal,
            task,
            rows,
            name: self.name.to_owned(),
            settings: settings_of(task, self.max_tokens, false),
            model: identity,
            held: self.baseline.json_schema,
            mends_errors: true,
        };
        let open = asked.open_rows(log)?;
        if open.is_empty() {
            return Ok(());
        }
        let manner = Manner {
            max_tokens: self.max_tokens,
            temperature: task.temperature,
            price: self.price().cloned(),
            accept_errors: self.baseline.accept_errors,
        };
        let told = match &self.baseline.replay {
            Some(folder) => format!("replayed from {}", folder.display()),
            None => format!("asked at {}", self.baseline.endpoint),
        };
        let mut info = SystemInfo {
            role: Some(Role::Frontier),
            note: Some(told.clone()),
            ..SystemInfo::default()
        };
        // So that a run that is killed behind its last answer knows whose they are.
        known.keep(&asked.name, info.clone())?;
        let mut frontier = Frontier::new(self.name, asks, task.clone(), manner);
        frontier.book(taken(log::read(path)?, &asked));
        asked.ask(open, &mut frontier, log)?;
        frontier.finish()?;
        let lacking = asked.unanswered(log)?;
        if let Some((why, hint)) = frontier.not_asked() {
            let count = lacking.len();
            let text = format!("`{}` was not asked {count} times: {why}", self.name);
            context.terminal.warn(format!("{text}\nhint: {hint}"));
        }
        if frontier.answered() == 0 && self.baseline.replay.is_some() && !lacking.is_empty() {
            return Err(
                Failure::new("the recording has no answer to any of the rows")
                    .hint("a recording replays only the same rows, prompts and settings")
                    .into(),
            );
        }
        let first = lacking.iter().filter(|(repeat, _)| *repeat == 0);
        info.not_asked = Some(first.count());
        let remarks = frontier.remarks().into_iter();
        let note: Vec<String> = std::iter::once(told).chain(remarks).collect();
        info.note = Some(note.join("; "));
        known.keep(&asked.name, info)
    }
}

/// What the answers that are logged took.
fn taken(entries: Vec<LogEntry>, asked: &Asked) -> Tokens {
    let own = |entry: &LogEntry| entry.system == asked.name && entry.model == asked.model;
    let mut tokens = Tokens::default();
    for entry in entries.iter().filter(|entry| own(entry)) {
        tokens.input += entry.prediction.input_tokens.unwrap_or(0);
        tokens.output += entry.prediction.output_tokens.unwrap_or(0);
    }
    tokens
}
