//! Arguments that name the frontier model of `slm eval run`.
//!
//! Does not know how it is asked.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use slm_data::teacher::{ChatTeacher, Replay};

use super::Named;
use crate::commands::Context;
use crate::frontier::Purpose;
use crate::recipe::Baseline;

/// The words of these arguments.
pub const FLAGS: Purpose = Purpose {
    role: "frontier model",
    endpoint: "--frontier",
    model: "--frontier-model",
    key: "--api-key-env",
    timeout: "--timeout",
    retries: "--retries",
    concurrency: "--concurrency",
    limits: "`--max-cost`",
};

/// The frontier model, and how it is asked.
#[derive(Debug, Args)]
pub struct RivalArguments {
    /// A frontier model behind an OpenAI-compatible server, such as big=https://api.example.com/v1
    #[arg(long, value_name = "NAME=URL")]
    frontier: Option<Named>,
    /// The model's name at the server [default: the NAME]
    #[arg(long, value_name = "MODEL", requires = "frontier")]
    frontier_model: Option<String>,
    /// The environment variable that holds the server's key
    #[arg(long, value_name = "NAME", requires = "frontier")]
    api_key_env: Option<String>,
    /// Requests under way at once
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    concurrency: usize,
    /// Requests sent in any minute, at most
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    requests_per_minute: Option<u64>,
    /// Tokens sent and allowed for in any minute, at most
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..))]
    tokens_per_minute: Option<u64>,
    /// Longest wait for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    /// How often a failed request is sent again
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    retries: u32,
    /// Stop asking before the answers cost more than this, by the prices of `--prices`
    #[arg(long, value_name = "AMOUNT", requires = "prices")]
    max_cost: Option<f64>,
    /// Do not send rows' JSON Schemas
    #[arg(long)]
    no_json_schema: bool,
    /// Count rows that the server fails to answer as wrong, instead of stopping
    #[arg(long)]
    accept_errors: bool,
    /// Keep the frontier model's answers in this folder, to replay them
    #[arg(long, value_name = "DIR", requires = "frontier")]
    record: Option<PathBuf>,
    /// Take the frontier model's answers from a recording, offline
    #[arg(long, value_name = "DIR", conflicts_with = "record")]
    replay: Option<PathBuf>,
}

impl RivalArguments {
    /// Whether no frontier model is named.
    pub fn is_empty(&self) -> bool {
        self.frontier.is_none() && self.replay.is_none()
    }

    /// The frontier model's name in results and how it is asked; a recording bears the name that
    /// its model had.
    ///
    /// # Errors
    /// The recording cannot be read.
    pub fn named(&self, context: &Context) -> Result<Option<(String, Baseline)>> {
        let (name, endpoint) = match (&self.frontier, &self.replay) {
            (Some(named), _) => (named.name.clone(), named.value.clone()),
            (None, Some(folder)) => (Replay::open(folder)?.name().to_owned(), String::new()),
            (None, None) => return Ok(None),
        };
        if self.frontier.is_some() && self.replay.is_some() {
            let text = format!("`{name}` is replayed; the server is not asked");
            context.terminal.note(text);
        }
        Ok(Some((
            name.clone(),
            Baseline {
                endpoint,
                model: self.frontier_model.clone().unwrap_or(name),
                api_key_env: self.api_key_env.clone(),
                timeout_seconds: self.timeout,
                retries: self.retries,
                concurrency: self.concurrency,
                requests_per_minute: self.requests_per_minute,
                tokens_per_minute: self.tokens_per_minute,
                max_cost: self.max_cost,
                json_schema: !self.no_json_schema,
                accept_errors: self.accept_errors,
                record: self.record.clone(),
                replay: self.replay.clone(),
            },
        )))
    }
}
