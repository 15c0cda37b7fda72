//! A model on this machine as one of the systems under evaluation.
//!
//! Does not know how answers are judged, nor how tokens are made.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use slm_eval::predictions::Prediction;
use slm_eval::subject::SubjectError;
use slm_eval::{Row, Subject, Task};
use slm_infer::grammar::field_confidences;
use slm_infer::{
    Answer, Ends, Engine, EngineSettings, Finish, GrammarError, Grammars, MaskSource, Model,
    Request,
};
use slm_model::place::Place;
use slm_model::{ChatMessage, Conversation, Tokenizer};

use crate::constraint;

/// Answers that are generated together.
const BATCH: usize = 16;

/// Answers that are generated one by one, so that their latency is that of an answer alone.
const ALONE: usize = 16;

/// A model with its tokenizer, ready to answer.
///
/// The first answers carry their latency; the rest are generated together, which says how
/// many tokens come out in a second.
pub struct LocalModel {
    name: String,
    tokenizer: Tokenizer,
    engine: Engine,
    task: Task,
    max_tokens: usize,
    repeat: u32,
    generated: Generated,
    grammars: Option<Grammars>,
    /// Tokens of answers, and how many of them grammars forced.
    forced: (u64, u64),
    /// Answers still to be generated one by one.
    alone: usize,
}

/// How much was generated in how long.
#[derive(Clone, Copy, Debug, Default)]
pub struct Generated {
    /// Tokens of answers.
    pub tokens: u64,
    /// Wall time.
    pub seconds: f64,
}

impl LocalModel {
    /// Loads the model in `folder`, with an adapter and with its linear layers at a place where these
    /// are given; [`LocalModel::begin`] goes before its first answers.
    ///
    /// # Errors
    /// Files are missing or damaged, or do not belong together.
    pub fn load(
        folder: &Path,
        adapter: Option<&Path>,
        place: Option<&dyn Place>,
        task: Task,
        max_tokens: usize,
    ) -> Result<Self> {
        let tokenizer = Tokenizer::load(folder)?;
        let model = Model::load_at(folder, adapter, place)?;
        tokenizer.check_fits(model.config().vocab_size)?;
        Ok(Self {
            name: String::new(),
            tokenizer,
            engine: Engine::with_settings(model, EngineSettings { batch: BATCH }),
            task,
            max_tokens,
            repeat: 0,
            generated: Generated::default(),
            grammars: None,
            forced: (0, 0),
            alone: ALONE,
        })
    }

    /// Begins a turn under a name of its own, with all figures at zero; `constrained` holds its
    /// answers to what their rows ask for.
    ///
    /// # Errors
    /// The tokenizer does not say which bytes its tokens stand for.
    pub fn begin(&mut self, name: &str, constrained: bool) -> Result<()> {
        self.grammars = match constrained {
            true => Some(grammars(&self.tokenizer, self.engine.model())?),
            false => None,
        };
        name.clone_into(&mut self.name);
        self.generated = Generated::default();
        self.forced = (0, 0);
        self.alone = ALONE;
        self.repeat = 0;
        Ok(())
    }

    /// The share of tokens that grammars forced; nothing without grammars.
    pub fn forced_share(&self) -> Option<f64> {
        let (tokens, forced) = self.forced;
        let constrained = self.grammars.is_some() && tokens > 0;
        constrained.then(|| forced as f64 / tokens as f64)
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        self.engine.model().config().parameters()
    }

    /// How much was generated together in this turn.
    pub fn generated(&self) -> Generated {
        self.generated
    }

    fn request(&self, row: &Row) -> Result<Request, SubjectError> {
        let messages: Vec<ChatMessage> = slm_eval::prompt::messages(&self.task, row)?
            .into_iter()
            .map(|message| ChatMessage {
                role: message.role,
                content: message.content,
            })
            .collect();
        let mut conversation = Conversation::from(&messages[..]);
        // A task's own prompt says all that there is to say.
        if self.task.prompt.is_none() {
            conversation.tools.clone_from(&row.tools);
        }
        Ok(Request {
            mask: self.mask(row)?,
            temperature: self.task.temperature as f32,
            seed: u64::from(self.repeat),
            ..Request::greedy(
                self.tokenizer.encode_conversation_prompt(&conversation)?,
                self.max_tokens,
                stop_tokens(&self.tokenizer, self.engine.model()),
            )
        })
    }

    /// What the row's answer is held to, if answers are.
    fn mask(&self, row: &Row) -> Result<Option<Arc<dyn MaskSource>>, SubjectError> {
        let Some(grammars) = &self.grammars else {
            return Ok(None);
        };
        let Some(constraint) = constraint::of_row(&self.task, row) else {
            return Ok(None);
        };
        let grammar = grammars.compile(&constraint, false);
        let grammar = grammar.map_err(|error| format!("row `{}`: {error}", row.id))?;
        Ok(Some(grammar))
    }

    fn prediction(&mut self, row: &Row, answer: slm_infer::Result<Answer>) -> Prediction {
        let mut prediction = Prediction::text(&row.id, "");
        match answer.map(|answer| (text_of(&self.tokenizer, &answer), answer)) {
            Ok((Ok(text), answer)) => {
                if let Some(grammars) = &self.grammars {
                    prediction.field_confidence = fields(grammars, &text, &answer);
                }
                prediction.output = text.into();
                prediction.latency_ms = Some(answer.latency_ms);
                prediction.input_tokens = Some(answer.prefill_tokens as u64);
                prediction.output_tokens = Some(answer.tokens.len() as u64);
                self.forced.0 += answer.tokens.len() as u64;
                self.forced.1 += answer.forced_tokens as u64;
                prediction.confidence = Some(confidence(&answer.log_probabilities));
                prediction.finish_reason = Some(finish_reason(answer.finish).to_owned());
            }
            Ok((Err(error), _)) => prediction.error = Some(error.to_string()),
            Err(error) => prediction.error = Some(error.to_string()),
        }
        prediction
    }
}

impl Subject for LocalModel {
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
            .collect::<Result<Vec<Request>, SubjectError>>()?;
        let alone = self.alone.min(requests.len());
        self.alone -= alone;
        let mut predictions = Vec::with_capacity(rows.len());
        for (row, request) in rows.iter().zip(&requests[..alone]) {
            let mut answers = self
                .engine
                .generate(std::slice::from_ref(request), &mut |_| ());
            if let Some(answer) = answers.pop() {
                predictions.push(self.prediction(row, answer));
            }
            progress(predictions.len());
        }
        let started = Instant::now();
        let mut done = |count| progress(alone + count);
        let answers = self.engine.generate(&requests[alone..], &mut done);
        self.generated.seconds += started.elapsed().as_secs_f64();
        for (row, answer) in rows[alone..].iter().zip(answers) {
            let mut prediction = self.prediction(row, answer);
            self.generated.tokens += prediction.output_tokens.unwrap_or(0);
            // In company an answer takes longer than it would alone.
            prediction.latency_ms = None;
            predictions.push(prediction);
        }
        Ok(predictions)
    }
}

/// The probability that the model itself gives to this answer: the product over its tokens.
pub fn confidence(log_probabilities: &[f32]) -> f64 {
    let sum: f64 = log_probabilities.iter().map(|one| f64::from(*one)).sum();
    sum.exp().clamp(0.0, 1.0)
}

/// By JSON pointer, the probability of each value of an answer among what was allowed.
pub fn fields(grammars: &Grammars, text: &str, answer: &Answer) -> BTreeMap<String, f64> {
    let tokens = answer.tokens.iter();
    let lengths = tokens.map(|token| grammars.bytes(*token).len());
    let tokens = lengths.zip(answer.log_probabilities.iter().copied());
    field_confidences(text, &tokens.collect::<Vec<(usize, f32)>>())
}

/// The tokens of an answer's first `length` bytes as OpenAI gives them: text, bytes where the
/// vocabulary tells them, and log-probability.
pub fn tokens(
    tokenizer: &Tokenizer,
    vocabulary: Option<&Grammars>,
    answer: &Answer,
    length: usize,
) -> Vec<serde_json::Value> {
    let mut before = 0;
    let pairs = answer.tokens.iter().zip(&answer.log_probabilities);
    pairs
        .map_while(|(token, logprob)| {
            let bytes = vocabulary.map(|vocabulary| vocabulary.bytes(*token));
            let text = match bytes {
                Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                None => tokenizer.token_text(*token),
            };
            let start = before;
            before += bytes.map_or(text.len(), <[u8]>::len);
            (start < length).then(|| {
                serde_json::json!({"token": text, "logprob": logprob, "bytes": bytes,
                    "top_logprobs": []})
            })
        })
        .collect()
}

/// A compiler of constraints for a model.
///
/// # Errors
/// The tokenizer does not say which bytes its tokens stand for.
pub fn grammars(tokenizer: &Tokenizer, model: &Model) -> Result<Grammars, GrammarError> {
    let stops = stop_tokens(tokenizer, model);
    Grammars::new(tokenizer, model.config().vocab_size, &stops)
}

/// The tokens that end an answer: those of the model's config and of its tokenizer.
pub fn stop_tokens(tokenizer: &Tokenizer, model: &Model) -> Vec<u32> {
    let mut tokens = model.config().eos_token_ids.clone();
    tokens.extend(
        tokenizer
            .eos_token()
            .filter(|token| !tokens.contains(token)),
    );
    tokens
}

/// What ends an answer that says one of `stops`; nothing where there are none.
pub fn ends_at(tokenizer: &Tokenizer, stops: &[String]) -> Option<Ends> {
    let longest = stops.iter().map(String::len).max()?;
    let (tokenizer, stops) = (tokenizer.inner().clone(), stops.to_vec());
    Some(Arc::new(move |tokens: &[u32]| {
        // A token is at least a byte, and the newest one ends the string.
        let tail = &tokens[tokens.len().saturating_sub(longest + 4)..];
        let text = tokenizer.decode(tail, true).unwrap_or_default();
        stops.iter().any(|stop| text.contains(stop.as_str()))
    }))
}

/// A text up to the first of `stops`.
pub fn cut_at(mut text: String, stops: &[String]) -> String {
    let found = stops.iter().filter_map(|stop| text.find(stop.as_str()));
    if let Some(end) = found.min() {
        text.truncate(end);
    }
    text
}

/// The text of an answer. Of a character that the budget cut through nothing is left. A tokenizer
/// that writes a blank before every text takes it from a free answer, and not from a constrained
/// one.
///
/// # Errors
/// A token is unknown to the tokenizer.
pub fn text_of(tokenizer: &Tokenizer, answer: &Answer) -> slm_model::Result<String> {
    let mut text = match answer.constrained {
        true => tokenizer.decode_within(&answer.tokens)?,
        false => tokenizer.decode(&answer.tokens)?,
    };
    if answer.finish != Finish::Stop {
        text.truncate(text.trim_end_matches('\u{fffd}').len());
    }
    Ok(text)
}

/// The end of an answer as OpenAI names it.
pub fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length | Finish::DeadEnd => "length",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_before_the_first_stop_string() {
        let stops = ["###".to_owned(), "\n\n".to_owned()];
        assert_eq!(cut_at("a\n\nb###c".to_owned(), &stops), "a");
        assert_eq!(cut_at("abc".to_owned(), &stops), "abc");
    }
}
