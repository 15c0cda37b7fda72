//! The endpoint as one of the systems under evaluation.
//!
//! Does not know how answers are judged.

use slm_eval::predictions::Prediction;
use slm_eval::subject::SubjectError;
use slm_eval::{Row, Subject, Task};

use anyhow::Result;
use serde_json::{Value, json};

use super::Cache;
use super::client::{Answer, BASELINE, Client, Request};
use crate::failure::Failure;
use crate::recipe::Baseline;

/// A frontier model that answers rows, each paid for once.
pub struct Frontier {
    name: String,
    model: String,
    client: Client,
    cache: Cache,
    task: Task,
    max_tokens: usize,
}

impl Frontier {
    /// The model of a recipe's `baseline`.
    ///
    /// # Errors
    /// As for [`connect`].
    pub fn new(
        baseline: &Baseline,
        cache: Cache,
        task: Task,
        max_tokens: usize,
        offline: bool,
    ) -> Result<Self> {
        let client = connect(baseline, offline)?;
        Ok(Self {
            name: baseline.model.clone(),
            model: baseline.model.clone(),
            client,
            cache,
            task,
            max_tokens,
        })
    }

    fn answer_one(&self, row: &Row) -> Result<Prediction, SubjectError> {
        let messages = slm_eval::prompt::messages(&self.task, row)?
            .iter()
            .map(|message| json!({"role": message.role, "content": message.content}))
            .collect();
        let request = Request {
            model: self.model.clone(),
            messages,
            max_tokens: self.max_tokens,
            tools: (!row.tools.is_empty()).then(|| Value::Array(row.tools.clone())),
            drawing: None,
        };
        if let Some(answer) = self.cache.find(self.client.url(), &request) {
            return Ok(prediction(&row.id, answer));
        }
        match self.client.ask(&request) {
            Ok(answer) => {
                self.cache.keep(self.client.url(), &request, &answer)?;
                Ok(prediction(&row.id, answer))
            }
            Err(refusal) if refusal.is_of_this_request() => {
                let mut failed = Prediction::text(&row.id, "");
                failed.output = Value::Null;
                failed.error = Some(refusal.to_string());
                Ok(failed)
            }
            Err(refusal) => Err(Failure::new(refusal.to_string())
                .hint("answers given so far are cached; run again to go on from there")
                .into()),
        }
    }
}

/// A client for the baseline, which has not sent anything yet.
///
/// # Errors
/// As for [`Client::new`], and under `--offline`.
pub fn connect(baseline: &Baseline, offline: bool) -> Result<Client> {
    if offline {
        return Err(Failure::new(format!(
            "the baseline `{}` needs a connection, which `--offline` forbids",
            baseline.model
        ))
        .hint("leave `--offline` out, or remove `baseline` from the recipe")
        .into());
    }
    Client::new(baseline, BASELINE)
}

impl Subject for Frontier {
    fn name(&self) -> &str {
        &self.name
    }

    fn answer(
        &mut self,
        rows: &[Row],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Prediction>, SubjectError> {
        let mut predictions = Vec::with_capacity(rows.len());
        for row in rows {
            predictions.push(self.answer_one(row)?);
            progress(predictions.len());
        }
        Ok(predictions)
    }
}

fn prediction(id: &str, answer: Answer) -> Prediction {
    let mut prediction = Prediction::text(id, &answer.text);
    prediction.latency_ms = Some(answer.latency_ms);
    prediction.input_tokens = answer.input_tokens;
    prediction.output_tokens = answer.output_tokens;
    prediction.finish_reason = answer.finish_reason;
    prediction
}
