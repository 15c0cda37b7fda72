//! One request of a batch, and its answer.
//!
//! Does not know files.

use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde_json::{Value, json};
use slm_infer::{
    Answer, Constraint, Engine, Finish, Grammar, GrammarError, Grammars, InferError, MaskSource,
    Request,
};
use slm_model::Tokenizer;

use super::body::{BadBody, Body, Form};
use crate::constraint::fault;
use crate::local::{
    confidence, cut_at, ends_at, fields, finish_reason, grammars, stop_tokens, text_of, tokens,
};

/// The longest answer where the request does not say.
const DEFAULT_MAX_TOKENS: usize = 256;

/// A line of the input: a request, or why it is none.
pub struct Line {
    custom_id: Value,
    request: Result<Body, Refused>,
}

/// Why a request is not answered.
enum Refused {
    /// The line is no request at all.
    Line(String),
    /// The request cannot be met.
    Request(BadBody),
}

impl Line {
    /// Reads a line.
    pub fn read(text: &str) -> Self {
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => return Self::unread(text, &error),
        };
        let custom_id = value.get("custom_id").cloned().unwrap_or_default();
        let request = match value.get("body") {
            Some(body) => Body::read(body).map_err(Refused::Request),
            None => Err(Refused::Line("the line has no `body`".to_owned())),
        };
        Self { custom_id, request }
    }

    /// A line that cannot be read: no JSON, or JSON that is nested deeper than the reader goes, whose
    /// id is known all the same.
    fn unread(text: &str, error: &serde_json::Error) -> Self {
        #[derive(Deserialize)]
        struct Known {
            custom_id: Value,
        }
        let (custom_id, what) = match serde_json::from_str::<Known>(text) {
            Ok(known) => (known.custom_id, "is nested too deep"),
            Err(_) => (Value::Null, "is not JSON"),
        };
        Self {
            custom_id,
            request: Err(Refused::Line(format!("the line {what}: {error}"))),
        }
    }

    /// The id by which the caller knows the request.
    pub fn custom_id(&self) -> Value {
        self.custom_id.clone()
    }
}

/// A model that answers lines.
pub struct Responder {
    model: String,
    tokenizer: Tokenizer,
    engine: Engine,
    /// Made when the first answer is held to something.
    grammars: OnceLock<Result<Grammars, GrammarError>>,
    lenient: bool,
    close: bool,
}

/// A request with what its answer is held to.
struct Prepared {
    request: Request,
    form: Form,
    stops: Vec<String>,
    grammar: Option<Arc<Grammar>>,
    log_probabilities: bool,
}

impl Responder {
    /// A responder under the name by which the model was asked for. `lenient` leaves out what of
    /// a schema cannot be enforced, `close` brings what is held to a form to its end in time.
    pub fn new(
        model: &str,
        tokenizer: Tokenizer,
        engine: Engine,
        (lenient, close): (bool, bool),
    ) -> Self {
        Self {
            model: model.to_owned(),
            grammars: OnceLock::new(),
            tokenizer,
            engine,
            lenient,
            close,
        }
    }

    /// One output line for each input line, in their order.
    pub fn answer(&self, lines: &[Line], done: &mut dyn FnMut(usize)) -> Vec<Value> {
        let prepared: Vec<Option<Result<Prepared, BadBody>>> = lines
            .iter()
            .map(|line| Some(self.prepare(line.request.as_ref().ok()?)))
            .collect();
        let asked = prepared.iter().flatten().flatten();
        let asked: Vec<Request> = asked.map(|prepared| prepared.request.clone()).collect();
        let mut answers = self.engine.generate(&asked, done).into_iter();
        lines
            .iter()
            .zip(prepared)
            .map(|(line, prepared)| match (&line.request, prepared) {
                (Err(refused), _) => refusal(line, refused),
                (Ok(_), Some(Err(bad))) => bad_request(line, &bad.message, bad.parameter),
                (Ok(_), Some(Ok(prepared))) => self.output(line, &prepared, answers.next()),
                (Ok(_), None) => bad_request(line, "the request was not asked", None),
            })
            .collect()
    }

    fn output(
        &self,
        line: &Line,
        prepared: &Prepared,
        answer: Option<Result<Answer, InferError>>,
    ) -> Value {
        match answer {
            Some(Ok(answer)) => self.completion(line, prepared, &answer),
            Some(Err(error)) => bad_request(line, &error.to_string(), None),
            None => bad_request(line, "the model gave no answer", None),
        }
    }

    fn prepare(&self, body: &Body) -> Result<Prepared, BadBody> {
        let (form, stops) = (body.form()?, body.stops()?);
        let (constraint, parameter) = match &form {
            Form::Free => (None, ""),
            Form::Content(constraint) => (Some(constraint), "response_format"),
            Form::Call(constraint) => (Some(constraint), "tools"),
        };
        let grammar = constraint.map(|constraint| self.compile(constraint));
        let grammar = grammar
            .transpose()
            .map_err(|error| BadBody::of(parameter, error.to_string()))?;
        let prompt = self
            .tokenizer
            .encode_conversation_prompt(&body.conversation())
            .map_err(|error| BadBody::of("messages", error.to_string()))?;
        let budget = body.max_completion_tokens.or(body.max_tokens);
        let stop = stop_tokens(&self.tokenizer, self.engine.model());
        Ok(Prepared {
            request: Request {
                temperature: body.temperature.unwrap_or(0.0),
                top_p: body.top_p.unwrap_or(1.0),
                top_k: body.top_k.unwrap_or(0),
                min_p: body.min_p.unwrap_or(0.0),
                repetition_penalty: body.repetition_penalty.unwrap_or(1.0),
                ends: ends_at(&self.tokenizer, &stops),
                close: self.close,
                seed: body.seed.unwrap_or(0),
                mask: grammar
                    .as_ref()
                    .map(|grammar| Arc::clone(grammar) as Arc<dyn MaskSource>),
                ..Request::greedy(prompt, budget.unwrap_or(DEFAULT_MAX_TOKENS), stop)
            },
            form,
            stops,
            grammar,
            log_probabilities: body.logprobs == Some(true),
        })
    }

    fn compile(&self, constraint: &Constraint) -> Result<Arc<Grammar>, GrammarError> {
        let made = || grammars(&self.tokenizer, self.engine.model());
        let grammars = self.grammars.get_or_init(made).as_ref();
        grammars
            .map_err(Clone::clone)?
            .compile(constraint, self.lenient)
    }

    fn completion(&self, line: &Line, prepared: &Prepared, answer: &Answer) -> Value {
        let text = match text_of(&self.tokenizer, answer) {
            Ok(text) => cut_at(text, &prepared.stops),
            Err(error) => return bad_request(line, &error.to_string(), None),
        };
        let (prompt, new) = (answer.prefill_tokens, answer.tokens.len());
        let mut body = json!({
            "object": "chat.completion",
            "model": self.model,
            "choices": [choice(&prepared.form, &text, answer.finish)],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": new,
                "total_tokens": prompt + new,
            },
        });
        if prepared.log_probabilities {
            let made = || grammars(&self.tokenizer, self.engine.model());
            let vocabulary = self.grammars.get_or_init(made).as_ref().ok();
            let tokens = tokens(&self.tokenizer, vocabulary, answer, text.len());
            body["choices"][0]["logprobs"] = json!({"content": tokens, "refusal": null});
        }
        body["confidence"] = confidence(&answer.log_probabilities).into();
        if let Some(grammar) = &prepared.grammar {
            if let Some(Ok(grammars)) = self.grammars.get() {
                body["field_confidence"] = json!(fields(grammars, &text, answer));
            }
            body["usage"]["forced_tokens"] = answer.forced_tokens.into();
            if let Some(validation) = validation(grammar, &prepared.form, &text) {
                body["validation"] = validation;
            }
        }
        json!({
            "custom_id": line.custom_id,
            "response": {"status_code": 200, "body": body},
            "error": null,
        })
    }
}

/// The answer as a message; a whole call becomes one of `tool_calls`.
fn choice(form: &Form, text: &str, finish: Finish) -> Value {
    let call: Option<Value> = match (form, finish) {
        (Form::Call(_), Finish::Stop) => serde_json::from_str(text).ok(),
        _ => None,
    };
    let (message, reason) = match call {
        Some(call) => {
            let function =
                json!({"name": call["name"], "arguments": call["arguments"].to_string()});
            let calls = json!([{"id": "call_0", "type": "function", "function": function}]);
            let message = json!({"role": "assistant", "content": null, "tool_calls": calls});
            (message, "tool_calls")
        }
        None => (
            json!({"role": "assistant", "content": text}),
            finish_reason(finish),
        ),
    };
    json!({"index": 0, "message": message, "finish_reason": reason})
}

/// What was left out of the schema, and whether the answer keeps it all the same.
fn validation(grammar: &Grammar, form: &Form, text: &str) -> Option<Value> {
    let (Form::Content(Constraint::Schema(schema)) | Form::Call(Constraint::Schema(schema))) = form
    else {
        return None;
    };
    let unenforced = grammar.unenforced();
    if unenforced.is_empty() {
        return None;
    }
    let fault = fault(grammar, schema, text);
    let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
    let unenforced = unenforced.iter().map(|fault| first_line(fault.to_string()));
    Some(json!({
        "valid": fault.is_none(),
        "fault": fault,
        "unenforced": unenforced.collect::<Vec<String>>(),
    }))
}

fn refusal(line: &Line, refused: &Refused) -> Value {
    match refused {
        Refused::Request(bad) => bad_request(line, &bad.message, bad.parameter),
        Refused::Line(message) => json!({
            "custom_id": line.custom_id,
            "response": null,
            "error": {"code": "invalid_line", "message": message},
        }),
    }
}

fn bad_request(line: &Line, message: &str, parameter: Option<&str>) -> Value {
    json!({
        "custom_id": line.custom_id,
        "response": {
            "status_code": 400,
            "body": {
                "error": {
                    "message": message,
                    "type": "invalid_request_error",
                    "param": parameter,
                },
            },
        },
        "error": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_request_says_why() {
        let line = Line::read("{oops");
        let Err(refused) = &line.request else {
            panic!("read")
        };
        let value = refusal(&line, refused);
        assert_eq!(value["error"]["code"], "invalid_line");
        assert_eq!(value["custom_id"], Value::Null);
        let (open, close) = ("[".repeat(400), "]".repeat(400));
        let line = Line::read(&format!(r#"{{"custom_id":"deep","body":{open}{close}}}"#));
        let Err(refused) = &line.request else {
            panic!("read")
        };
        let value = refusal(&line, refused);
        assert_eq!(value["custom_id"], "deep");
        let message = value["error"]["message"].as_str().unwrap_or_default();
        assert!(
            message.starts_with("the line is nested too deep"),
            "{value}"
        );
        let line = Line::read(r#"{"custom_id":"a","body":{"messages":3}}"#);
        let Err(refused) = &line.request else {
            panic!("read")
        };
        let value = refusal(&line, refused);
        assert_eq!(value["response"]["status_code"], 400);
    }
}
