//! One request of a batch, and its answer.
//!
//! Does not know files.

use serde::Deserialize;
use serde_json::{Value, json};
use slm_infer::{Answer, Engine, InferError, Request};
use slm_model::{ChatMessage, Tokenizer};

use crate::local::{finish_reason, stop_tokens};

/// The longest answer where the request does not say.
const DEFAULT_MAX_TOKENS: usize = 256;

/// A line of the input: a request, or why it is none.
pub struct Line {
    custom_id: Value,
    request: Result<Body, Refused>,
}

/// The body of a chat completion, as far as it is understood here.
#[derive(Debug, Deserialize)]
struct Body {
    messages: Vec<Value>,
    #[serde(default)]
    max_tokens: Option<usize>,
    #[serde(default)]
    max_completion_tokens: Option<usize>,
    #[serde(default)]
    temperature: Option<f32>,
    #[serde(default)]
    top_p: Option<f32>,
    #[serde(default)]
    seed: Option<u64>,
}

/// Why a request is not answered.
enum Refused {
    /// The line is no request at all.
    Line(String),
    /// The request cannot be met; with the parameter at fault.
    Request(String, Option<&'static str>),
}

impl Line {
    /// Reads a line.
    pub fn read(text: &str) -> Self {
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => {
                return Self {
                    custom_id: Value::Null,
                    request: Err(Refused::Line(format!("the line is not JSON: {error}"))),
                };
            }
        };
        let custom_id = value.get("custom_id").cloned().unwrap_or_default();
        let request = match value.get("body") {
            Some(body) => read_body(body),
            None => Err(Refused::Line("the line has no `body`".to_owned())),
        };
        Self { custom_id, request }
    }

    /// The id by which the caller knows the request.
    pub fn custom_id(&self) -> Value {
        self.custom_id.clone()
    }
}

fn read_body(body: &Value) -> Result<Body, Refused> {
    let format = body
        .get("response_format")
        .and_then(|format| format.get("type"));
    if let Some(kind) = format
        .and_then(Value::as_str)
        .filter(|kind| *kind != "text")
    {
        return Err(Refused::Request(
            format!("`response_format` of type `{kind}` cannot be enforced"),
            Some("response_format"),
        ));
    }
    serde_json::from_value(body.clone())
        .map_err(|error| Refused::Request(format!("the body is no chat completion: {error}"), None))
}

/// A model that answers lines.
pub struct Responder {
    model: String,
    tokenizer: Tokenizer,
    engine: Engine,
}

impl Responder {
    /// A responder under the name by which the model was asked for.
    pub fn new(model: &str, tokenizer: Tokenizer, engine: Engine) -> Self {
        Self {
            model: model.to_owned(),
            tokenizer,
            engine,
        }
    }

    /// One output line for each input line, in their order.
    pub fn answer(&self, lines: &[Line], done: &mut dyn FnMut(usize)) -> Vec<Value> {
        let mut requests = Vec::new();
        let prepared: Vec<Result<usize, &Refused>> = lines
            .iter()
            .map(|line| match &line.request {
                Err(refused) => Err(refused),
                Ok(body) => {
                    requests.push(self.request(body));
                    Ok(requests.len() - 1)
                }
            })
            .collect();
        let (asked, faults): (Vec<Request>, Vec<Option<String>>) = requests
            .into_iter()
            .map(|request| match request {
                Ok(request) => (request, None),
                Err(fault) => (Request::greedy(Vec::new(), 0, Vec::new()), Some(fault)),
            })
            .unzip();
        let answers = self.engine.generate(&asked, done);
        let mut answers: Vec<Option<Result<Answer, InferError>>> =
            answers.into_iter().map(Some).collect();
        lines
            .iter()
            .zip(prepared)
            .map(|(line, prepared)| match prepared {
                Err(refused) => refusal(line, refused),
                Ok(index) => match (&faults[index], answers[index].take()) {
                    (Some(fault), _) => bad_request(line, fault, Some("messages")),
                    (None, Some(Ok(answer))) => self.completion(line, &answer),
                    (None, Some(Err(error))) => bad_request(line, &error.to_string(), None),
                    (None, None) => bad_request(line, "the model gave no answer", None),
                },
            })
            .collect()
    }

    fn request(&self, body: &Body) -> Result<Request, String> {
        let messages: Vec<ChatMessage> = body.messages.iter().map(message).collect();
        let prompt = self
            .tokenizer
            .encode_prompt(&messages)
            .map_err(|error| error.to_string())?;
        let budget = body.max_completion_tokens.or(body.max_tokens);
        let stop = stop_tokens(&self.tokenizer, self.engine.model());
        Ok(Request {
            temperature: body.temperature.unwrap_or(0.0),
            top_p: body.top_p.unwrap_or(1.0),
            seed: body.seed.unwrap_or(0),
            ..Request::greedy(prompt, budget.unwrap_or(DEFAULT_MAX_TOKENS), stop)
        })
    }

    fn completion(&self, line: &Line, answer: &Answer) -> Value {
        let text = match self.tokenizer.decode(&answer.tokens) {
            Ok(text) => text,
            Err(error) => return bad_request(line, &error.to_string(), None),
        };
        let (prompt, new) = (answer.prefill_tokens, answer.tokens.len());
        let body = json!({
            "object": "chat.completion",
            "model": self.model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": finish_reason(answer.finish),
            }],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": new,
                "total_tokens": prompt + new,
            },
        });
        json!({
            "custom_id": line.custom_id,
            "response": {"status_code": 200, "body": body},
            "error": null,
        })
    }
}

/// A message of the body; content in parts is joined.
fn message(value: &Value) -> ChatMessage {
    let content = match value.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| part.get("text").and_then(Value::as_str))
            .collect(),
        _ => String::new(),
    };
    let role = value.get("role").and_then(Value::as_str).unwrap_or("user");
    ChatMessage {
        role: role.to_owned(),
        content,
    }
}

fn refusal(line: &Line, refused: &Refused) -> Value {
    match refused {
        Refused::Request(message, parameter) => bad_request(line, message, *parameter),
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
        let line = Line::read(
            r#"{"custom_id":"a","body":{"messages":[],"response_format":{"type":"json_object"}}}"#,
        );
        let Err(refused) = &line.request else {
            panic!("read")
        };
        let value = refusal(&line, refused);
        assert_eq!(value["response"]["status_code"], 400);
        assert_eq!(
            value["response"]["body"]["error"]["param"],
            "response_format"
        );
    }

    #[test]
    fn content_in_parts_is_joined() {
        let value =
            json!({"role": "user", "content": [{"type": "text", "text": "a"}, {"text": "b"}]});
        assert_eq!(message(&value).content, "ab");
    }
}
