//! The endpoint, or a recording of one, as one of the systems under evaluation.
//!
//! Does not know how answers are judged.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};
use slm_data::flow::PromptMessage;
use slm_data::parallel::in_order;
use slm_data::teacher::{AskFault, ChatAnswer, ChatRequest, ChatTeacher, Kept, Replay};
use slm_eval::cost::Price;
use slm_eval::metrics::validity::{schema_of, standard_types};
use slm_eval::predictions::Prediction;
use slm_eval::subject::SubjectError;
use slm_eval::{OutputType, Row, Subject, Task};

use super::Server;
use super::budget::Tokens;
use crate::failure::Failure;

/// What to do where a server takes no request as it is.
const REFUSED: &str = "see to the model's name and to what the server's message says of the request: all answers so far are kept";

/// Rows in a row that may fail before the endpoint counts as gone.
const MOST_FAILURES: usize = 3;

/// Who gives the answers.
pub enum Asks {
    /// A server, whose answers are kept.
    Server(Box<Kept<Server>>),
    /// A recording.
    Replay(Replay),
}

/// How rows are asked.
pub struct Manner {
    /// The longest answer, in tokens.
    pub max_tokens: usize,
    /// 0 for the likeliest answer.
    pub temperature: f64,
    /// What tokens cost, where that is known.
    pub price: Option<Price>,
    /// Whether rows that get no answer are wrong, instead of stopping the evaluation.
    pub accept_errors: bool,
}

/// A frontier model that answers rows, each paid for once.
pub struct Frontier {
    name: String,
    asks: Asks,
    task: Task,
    manner: Manner,
    repeat: u32,
    /// Rows without an answer, and why.
    failed: Vec<String>,
    answered: usize,
    in_a_row: usize,
    not_asked: Option<(String, String)>,
    /// Parameters that were refused, with the number of answers given without them.
    without: BTreeMap<String, usize>,
}

impl Frontier {
    /// The frontier model `name`, not asked yet.
    pub fn new(name: &str, asks: Asks, task: Task, manner: Manner) -> Self {
        Self {
            name: name.to_owned(),
            asks,
            task,
            manner,
            repeat: 0,
            failed: Vec::new(),
            answered: 0,
            in_a_row: 0,
            not_asked: None,
            without: BTreeMap::new(),
        }
    }

    /// Books what earlier answers of this evaluation took.
    pub fn book(&self, taken: Tokens) {
        if let Asks::Server(kept) = &self.asks {
            kept.teacher().book(taken);
        }
    }

    /// How many answers it gave.
    pub fn answered(&self) -> usize {
        self.answered
    }

    /// Why rows were not asked, and what to do, where there are any.
    pub fn not_asked(&self) -> Option<&(String, String)> {
        self.not_asked.as_ref()
    }

    /// What of it a report should say, in words.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks: Vec<String> = self
            .without
            .iter()
            .map(|(name, count)| format!("{count} answers without `{name}`, which it refused"))
            .collect();
        if let Asks::Server(kept) = &self.asks {
            remarks.push(format!(
                "{} calls, {} answers from before; {}",
                kept.asked(),
                kept.found(),
                kept.teacher().spent()
            ));
        }
        remarks
    }

    /// Whether every row that was asked has its answer.
    ///
    /// # Errors
    /// Rows failed, and that is not accepted.
    pub fn finish(&self) -> Result<()> {
        let [first, ..] = self.failed.as_slice() else {
            return Ok(());
        };
        if self.manner.accept_errors {
            return Ok(());
        }
        let count = self.failed.len();
        Err(Failure::new(format!(
            "{count} rows got no answer from `{}`; the first {first}",
            self.name
        ))
        .hint("all answers are kept: run again to ask only these once more, or count them as wrong with `accept_errors` (`--accept-errors`)")
        .into())
    }

    fn request(&self, row: &Row) -> Result<ChatRequest, SubjectError> {
        let messages = slm_eval::prompt::messages(&self.task, row)?;
        let tools = row.tools.iter().map(tool).collect::<Vec<Value>>();
        let schema = match row.kind(&self.task) {
            OutputType::Json => schema_of(&self.task, row).filter(|schema| is_of_object(schema)),
            _ => None,
        };
        Ok(ChatRequest {
            messages: messages
                .into_iter()
                .map(|message| PromptMessage {
                    role: message.role,
                    content: message.content,
                })
                .collect(),
            max_tokens: u32::try_from(self.manner.max_tokens).unwrap_or(u32::MAX),
            temperature: self.manner.temperature,
            seed: u64::from(self.repeat),
            schema: schema.cloned(),
            tools,
        })
    }

    fn ask(&self, request: &ChatRequest) -> Result<ChatAnswer, AskFault> {
        match &self.asks {
            Asks::Server(kept) => {
                if let Some(answer) = kept.kept(request) {
                    // It was paid for, so it counts towards the limit.
                    kept.teacher().book(Tokens {
                        input: answer.input_tokens.unwrap_or(0),
                        output: answer.output_tokens.unwrap_or(0),
                    });
                }
                kept.ask(request)
            }
            Asks::Replay(replay) => replay.ask(request),
        }
    }

    fn threads(&self) -> usize {
        match &self.asks {
            Asks::Server(kept) => kept.concurrency(),
            Asks::Replay(replay) => replay.concurrency(),
        }
    }

    /// The prediction that follows from what came of asking; none where there is none.
    fn prediction(
        &mut self,
        id: &str,
        outcome: Result<ChatAnswer, AskFault>,
    ) -> Result<Option<Prediction>, SubjectError> {
        let fault = match outcome {
            Ok(answer) => {
                self.in_a_row = 0;
                return Ok(Some(self.noted(id, answer)));
            }
            Err(fault) => fault,
        };
        let message = fault.to_string();
        match fault {
            AskFault::Refused(why) if is_of_content(&why) => {
                self.in_a_row = 0;
                let mut refused = Prediction::text(id, "");
                refused.output = Value::Null;
                refused.finish_reason = Some("content_filter".to_owned());
                Ok(Some(refused))
            }
            // One request may be at fault, as a prompt that is too long; if all are, it is how they
            // are asked.
            AskFault::Refused(why) => {
                self.in_a_row += 1;
                if self.in_a_row >= MOST_FAILURES && !self.manner.accept_errors {
                    return Err(Failure::new(message).hint(REFUSED).into());
                }
                let mut failed = Prediction::text(id, "");
                failed.output = Value::Null;
                failed.error = Some(why);
                Ok(Some(failed))
            }
            AskFault::NotAsked { message, hint } => {
                self.not_asked.get_or_insert((message, hint));
                Ok(None)
            }
            AskFault::Failed { hint, .. } => self.failed(id, message, hint),
            AskFault::Stopped { hint, .. } => Err(Failure::new(message).hint(hint).into()),
        }
    }

    /// A row without an answer: wrong where that is accepted, otherwise open still.
    fn failed(
        &mut self,
        id: &str,
        message: String,
        hint: String,
    ) -> Result<Option<Prediction>, SubjectError> {
        self.in_a_row += 1;
        if self.in_a_row >= MOST_FAILURES && !self.manner.accept_errors {
            return Err(Failure::new(message).hint(hint).into());
        }
        self.failed.push(format!("`{id}`: {message}"));
        let mut failed = Prediction::text(id, "");
        failed.output = Value::Null;
        failed.error = Some(message);
        Ok(self.manner.accept_errors.then_some(failed))
    }

    fn noted(&mut self, id: &str, answer: ChatAnswer) -> Prediction {
        self.answered += 1;
        for name in answer.without {
            *self.without.entry(name).or_default() += 1;
        }
        let mut prediction = Prediction::text(id, &answer.text);
        prediction.latency_ms = answer.latency_ms;
        prediction.input_tokens = answer.input_tokens;
        prediction.output_tokens = answer.output_tokens;
        prediction.finish_reason = answer.finish_reason;
        prediction.cost = self
            .manner
            .price
            .as_ref()
            .and_then(|price| Some(price.of(answer.input_tokens?, answer.output_tokens?)));
        prediction
    }
}

impl Subject for Frontier {
    fn name(&self) -> &str {
        &self.name
    }

    fn begin_repeat(&mut self, repeat: u32) {
        self.repeat = repeat;
    }

    fn answer(
        &mut self,
        rows: &[Row],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Prediction>, SubjectError> {
        let requests = rows
            .iter()
            .map(|row| self.request(row))
            .collect::<Result<Vec<ChatRequest>, SubjectError>>()?;
        let (threads, mut outcomes) = (self.threads(), Vec::with_capacity(rows.len()));
        let (asking, mut in_a_row) = (&*self, self.in_a_row);
        in_order(
            requests.iter(),
            threads,
            requests.len(),
            |request| Ok(asking.ask(request)),
            |outcome: Result<ChatAnswer, AskFault>| {
                in_a_row = match &outcome {
                    Err(AskFault::Failed { .. }) => in_a_row + 1,
                    Err(AskFault::Refused(why)) if !is_of_content(why) => in_a_row + 1,
                    _ => 0,
                };
                // What was paid for is kept by the answerer; going on would be in vain.
                let is_end = matches!(outcome, Err(AskFault::Stopped { .. }))
                    || (in_a_row >= MOST_FAILURES && !asking.manner.accept_errors);
                outcomes.push(outcome);
                progress(outcomes.len());
                match is_end {
                    true => Err(()),
                    false => Ok(()),
                }
            },
        )
        .unwrap_or_default();
        let mut predictions = Vec::with_capacity(rows.len());
        for (row, outcome) in rows.iter().zip(outcomes) {
            let mut prediction = self.prediction(&row.id, outcome)?;
            if row.kind(&self.task) == OutputType::Calls {
                prediction.iter_mut().for_each(without_call);
            }
            predictions.extend(prediction);
        }
        Ok(predictions)
    }
}

/// In chat completions an answer in words, with nothing in `tool_calls`, is how no function is
/// called.
fn without_call(prediction: &mut Prediction) {
    let ended = prediction.finish_reason.as_deref() == Some("stop");
    let words = prediction.output.as_str().map(str::trim_start);
    if ended && words.is_some_and(|words| !words.contains(['{', '['])) {
        prediction.output = json!([]);
    }
}

/// A tool as OpenAI defines it, whatever standard its types are named by.
fn tool(tool: &Value) -> Value {
    let mut function = tool.get("function").unwrap_or(tool).clone();
    if let Some(parameters) = function.get_mut("parameters") {
        *parameters = standard_types(parameters);
    }
    json!({"type": "function", "function": function})
}

/// Whether a schema is of an object, as `response_format` wants it.
fn is_of_object(schema: &Value) -> bool {
    schema.get("type").is_some_and(|kind| kind == "object")
}

/// Whether a server's refusal is about what was said, not about how.
fn is_of_content(why: &str) -> bool {
    [
        "content_filter",
        "content_policy",
        "content management policy",
    ]
    .iter()
    .any(|sign| why.contains(sign))
}
