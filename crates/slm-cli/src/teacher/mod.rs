//! Who can be asked by a flow: a server, a model on this machine, a recording, or nobody.
//!
//! Reads the command line's words about the teacher. Does not know flows or rows.

mod local;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use slm_data::flow::Prices;
use slm_data::teacher::{AskFault, ChatAnswer, ChatRequest, ChatTeacher, Kept, Nobody, Replay};

use crate::commands::Context;
use crate::failure::Failure;
use crate::frontier::{Endpoint, Limits, Purpose, Rates, Server};

const TEACHER: Purpose = Purpose {
    role: "teacher",
    endpoint: "--endpoint",
    model: "--model",
    key: "--api-key-env",
    timeout: "--timeout",
    retries: "--retries",
    concurrency: "--concurrency",
    limits: "`--max-total-tokens` or `--max-cost`",
};

/// Arguments that name the teacher of a flow.
#[derive(Clone, Debug, Default, Args)]
pub struct TeacherArguments {
    /// An OpenAI-compatible server to ask, such as http://127.0.0.1:8000/v1
    #[arg(long, value_name = "URL", requires = "model", conflicts_with_all = ["local", "replay"])]
    pub endpoint: Option<String>,
    /// The model's name at the server
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// The environment variable that holds the server's key
    #[arg(long, value_name = "NAME")]
    pub api_key_env: Option<String>,
    /// Requests under way at once
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    pub concurrency: usize,
    /// Requests sent in any minute, at most
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub requests_per_minute: Option<u64>,
    /// Tokens sent and allowed for in any minute, at most
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..))]
    pub tokens_per_minute: Option<u64>,
    /// Longest wait for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub timeout: u64,
    /// How often a failed request is sent again
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub retries: u32,
    /// Do not send JSON Schemas, for servers that refuse them
    #[arg(long)]
    pub no_json_schema: bool,
    /// Stop before the server has read and written more tokens than this
    #[arg(long, value_name = "TOKENS")]
    pub max_total_tokens: Option<u64>,
    /// Stop before the answers cost more than this
    #[arg(long, value_name = "AMOUNT")]
    pub max_cost: Option<f64>,
    /// Price of a million tokens read
    #[arg(long, value_name = "AMOUNT", default_value_t = 0.0)]
    pub price_input: f64,
    /// Price of a million tokens written
    #[arg(long, value_name = "AMOUNT", default_value_t = 0.0)]
    pub price_output: f64,
    /// A model of the workspace, or a folder with one, to ask instead of a server
    #[arg(long, value_name = "MODEL", conflicts_with = "replay")]
    pub local: Option<String>,
    /// Keep the answers in this folder, to replay them
    #[arg(long, value_name = "DIR", conflicts_with = "replay")]
    pub record: Option<PathBuf>,
    /// Answer from a recording, offline
    #[arg(long, value_name = "DIR")]
    pub replay: Option<PathBuf>,
}

impl TeacherArguments {
    /// What a call takes, as assumed for estimates.
    pub fn prices(&self, seconds_per_call: f64) -> Prices {
        Prices {
            input_per_million: self.price_input,
            output_per_million: self.price_output,
            seconds_per_call,
            concurrency: self.concurrency,
        }
    }

    /// The built-in teacher is no flow's: arguments about another would do nothing.
    ///
    /// # Errors
    /// A teacher is named.
    pub fn refuse_without_flow(&self) -> Result<()> {
        let named = [
            ("--endpoint", self.endpoint.is_some()),
            ("--local", self.local.is_some()),
            ("--replay", self.replay.is_some()),
            ("--record", self.record.is_some()),
        ];
        match named.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((name, _)) => Err(Failure::usage(format!(
                "`{name}` needs a flow that says what is asked"
            ))
            .hint("add `--flow NAME`; `slm data flows` lists those that are shipped")
            .into()),
        }
    }

    fn limits(&self) -> Result<Limits> {
        let sound = |amount: f64| amount.is_finite() && amount >= 0.0;
        if !sound(self.price_input) || !sound(self.price_output) || !self.max_cost.is_none_or(sound)
        {
            return Err(Failure::usage("prices and `--max-cost` are numbers from 0").into());
        }
        if self.max_cost.is_some() && self.price_input == 0.0 && self.price_output == 0.0 {
            return Err(Failure::usage("`--max-cost` needs prices to reckon with")
                .hint("give `--price-input` and `--price-output`, for a million tokens each")
                .into());
        }
        Ok(Limits {
            tokens: self.max_total_tokens,
            cost: self.max_cost,
            price_input: self.price_input,
            price_output: self.price_output,
        })
    }
}

/// The teacher of a flow.
pub enum AnyTeacher {
    /// A server, whose answers are kept.
    Server(Box<Kept<Server>>),
    /// A model on this machine, whose answers are kept as well: they took time.
    Local(Box<Kept<local::LocalTeacher>>),
    /// A recording.
    Replay(Replay),
    /// Nobody.
    Nobody(Nobody),
}

impl AnyTeacher {
    /// The teacher that the arguments name. Nothing is asked yet.
    ///
    /// # Errors
    /// The arguments contradict each other or `--offline`, or the key, the model or the
    /// recording is missing.
    pub fn open(context: &Context, arguments: &TeacherArguments) -> Result<Self> {
        let answers = || {
            let kept = || context.workspace.cache().join("teacher");
            arguments.record.clone().unwrap_or_else(kept)
        };
        if arguments.concurrency == 0 || arguments.concurrency > 1024 {
            return Err(Failure::usage("`--concurrency` is a number from 1 to 1024").into());
        }
        if let Some(endpoint) = &arguments.endpoint {
            if context.offline {
                return Err(Failure::new(
                    "the teacher needs a connection, which `--offline` forbids",
                )
                .hint("leave `--offline` out, or replay a recording with `--replay DIR`")
                .into());
            }
            let server = Server::new(&Endpoint {
                url: endpoint.clone(),
                model: arguments.model.clone().unwrap_or_default(),
                api_key_env: arguments.api_key_env.clone(),
                timeout_seconds: arguments.timeout,
                retries: arguments.retries,
                concurrency: arguments.concurrency,
                schemas: !arguments.no_json_schema,
                limits: arguments.limits()?,
                rates: Rates {
                    requests_per_minute: arguments.requests_per_minute,
                    tokens_per_minute: arguments.tokens_per_minute,
                },
                purpose: TEACHER,
            })?;
            return Ok(Self::Server(Box::new(Kept::new(server, answers()))));
        }
        if let Some(model) = &arguments.local {
            let folder = context.workspace.model(model)?;
            let teacher = local::LocalTeacher::load(model, &folder)?;
            return Ok(Self::Local(Box::new(Kept::new(teacher, answers()))));
        }
        match &arguments.replay {
            Some(folder) => Ok(Self::Replay(Replay::open(folder)?)),
            None => Ok(Self::Nobody(Nobody)),
        }
    }

    /// What was asked and what it took, in words; empty where nobody was asked.
    pub fn account(&self) -> String {
        match self {
            Self::Server(kept) => {
                let spent = kept.teacher().spent();
                format!(
                    "{} calls, {} answers from before; {spent}",
                    kept.asked(),
                    kept.found()
                )
            }
            Self::Local(kept) => format!(
                "{} calls, {} answers from before",
                kept.asked(),
                kept.found()
            ),
            Self::Replay(_) | Self::Nobody(_) => String::new(),
        }
    }

    fn own(&self) -> &dyn ChatTeacher {
        match self {
            Self::Server(teacher) => teacher.as_ref(),
            Self::Local(teacher) => teacher.as_ref(),
            Self::Replay(teacher) => teacher,
            Self::Nobody(teacher) => teacher,
        }
    }
}

impl ChatTeacher for AnyTeacher {
    fn name(&self) -> &str {
        self.own().name()
    }

    fn identity(&self) -> String {
        self.own().identity()
    }

    fn concurrency(&self) -> usize {
        self.own().concurrency()
    }

    fn ask(&self, request: &ChatRequest) -> Result<ChatAnswer, AskFault> {
        self.own().ask(request)
    }
}
