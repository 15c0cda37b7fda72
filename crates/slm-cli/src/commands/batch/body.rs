//! The body of a chat completion: what is asked, and what its answer is held to.
//!
//! Does not know models.

use serde::Deserialize;
use serde_json::{Map, Value};
use slm_infer::Constraint;
use slm_infer::grammar::CallForm;
use slm_model::Conversation;

use crate::constraint::calls_of;

/// Why a body cannot be answered, with the parameter at fault.
pub struct BadBody {
    /// What is wrong.
    pub message: String,
    /// The parameter at fault, if it is one.
    pub parameter: Option<&'static str>,
}

impl BadBody {
    /// A fault of a parameter.
    pub fn of(parameter: &'static str, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            parameter: Some(parameter),
        }
    }
}

/// The body of a chat completion, as far as it is understood here.
#[derive(Debug, Deserialize)]
pub struct Body {
    messages: Vec<Value>,
    /// Longest answer, by its older name.
    #[serde(default)]
    pub max_tokens: Option<usize>,
    /// Longest answer.
    #[serde(default)]
    pub max_completion_tokens: Option<usize>,
    /// Temperature; 0 where none is given.
    #[serde(default)]
    pub temperature: Option<f32>,
    /// Share of the probability that is drawn from.
    #[serde(default)]
    pub top_p: Option<f32>,
    /// Number of likeliest tokens that is drawn from.
    #[serde(default)]
    pub top_k: Option<usize>,
    /// Least probability, as a part of the likeliest's, that is drawn from.
    #[serde(default)]
    pub min_p: Option<f32>,
    /// What makes tokens that were there less likely.
    #[serde(default)]
    pub repetition_penalty: Option<f32>,
    /// Seed of the draws.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Whether each token's log-probability is wanted.
    #[serde(default)]
    pub logprobs: Option<bool>,
    #[serde(default)]
    top_logprobs: Option<u64>,
    #[serde(default)]
    n: Option<u64>,
    #[serde(default)]
    logit_bias: Value,
    #[serde(default)]
    frequency_penalty: Option<f64>,
    #[serde(default)]
    presence_penalty: Option<f64>,
    #[serde(default)]
    stop: Value,
    #[serde(default)]
    response_format: Value,
    #[serde(default)]
    tools: Vec<Value>,
    #[serde(default)]
    tool_choice: Value,
}

/// What an answer is held to.
#[derive(Debug, PartialEq)]
pub enum Form {
    /// Any text.
    Free,
    /// Content of a form.
    Content(Constraint),
    /// A call of one of the tools.
    Call(Constraint),
}

impl Body {
    /// Reads a body.
    ///
    /// # Errors
    /// It is no chat completion, or asks for what would change the answer and is not done here.
    pub fn read(body: &Value) -> Result<Self, BadBody> {
        let body: Self = serde_json::from_value(body.clone()).map_err(|error| BadBody {
            message: format!("the body is no chat completion: {error}"),
            parameter: None,
        })?;
        match body.not_done() {
            None => Ok(body),
            Some((name, instead)) => Err(BadBody::of(
                name,
                format!("`{name}` is not done here: {instead}"),
            )),
        }
    }

    /// The first parameter that is not done, and what to do instead.
    fn not_done(&self) -> Option<(&'static str, &'static str)> {
        let biased = match &self.logit_bias {
            Value::Null => false,
            Value::Object(biases) => !biases.is_empty(),
            _ => true,
        };
        let weighed = |penalty: Option<f64>| penalty.is_some_and(|penalty| penalty != 0.0);
        let asked = [
            (
                "n",
                self.n.is_some_and(|n| n != 1),
                "ask once for each answer, with another `seed`",
            ),
            (
                "top_logprobs",
                self.top_logprobs.is_some_and(|top| top > 0),
                "`logprobs` gives the log-probability of each token of the answer",
            ),
            (
                "logit_bias",
                biased,
                "hold the answer to a form by `response_format`",
            ),
            (
                "frequency_penalty",
                weighed(self.frequency_penalty),
                "`repetition_penalty` makes tokens that were there less likely",
            ),
            (
                "presence_penalty",
                weighed(self.presence_penalty),
                "`repetition_penalty` makes tokens that were there less likely",
            ),
        ];
        let mut asked = asked.into_iter();
        asked
            .find(|(_, is, _)| *is)
            .map(|(name, _, instead)| (name, instead))
    }

    /// The conversation, with the tools unless they are not to be called.
    pub fn conversation(&self) -> Conversation {
        Conversation {
            messages: self.messages.iter().map(message).collect(),
            tools: match self.tool_choice == "none" {
                true => Vec::new(),
                false => self.tools.clone(),
            },
            not_trained: Vec::new(),
        }
    }

    /// The texts that end an answer.
    ///
    /// # Errors
    /// `stop` is neither a text nor a list of texts, or one of them is empty.
    pub fn stops(&self) -> Result<Vec<String>, BadBody> {
        let stops = match &self.stop {
            Value::Null => Vec::new(),
            Value::Array(stops) => stops.iter().collect(),
            one => vec![one],
        };
        let text = |stop: &Value| {
            stop.as_str()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let stops: Option<Vec<String>> = stops.into_iter().map(text).collect();
        stops.ok_or_else(|| BadBody::of("stop", "`stop` is no text and no list of texts"))
    }

    /// What the answer is held to.
    ///
    /// # Errors
    /// `response_format` or `tool_choice` ask for what is not there.
    pub fn form(&self) -> Result<Form, BadBody> {
        match self.call()? {
            Some(call) => Ok(Form::Call(call)),
            None => self.content(),
        }
    }

    fn call(&self) -> Result<Option<Constraint>, BadBody> {
        let bad = |message: String| BadBody::of("tool_choice", message);
        let name = self.tool_choice.pointer("/function/name");
        let tools = match (&self.tool_choice, name.and_then(Value::as_str)) {
            (Value::String(choice), _) if choice == "required" => self.tools.clone(),
            (Value::Null, _) => return Ok(None),
            (Value::String(choice), _) if choice == "auto" || choice == "none" => return Ok(None),
            (_, Some(name)) => {
                let named = |tool: &&Value| tool["function"]["name"] == name;
                let named: Vec<Value> = self.tools.iter().filter(named).cloned().collect();
                if named.is_empty() {
                    return Err(bad(format!(
                        "`tool_choice` names `{name}`, which `tools` lack"
                    )));
                }
                named
            }
            (other, None) => return Err(bad(format!("`tool_choice` is `{other}`"))),
        };
        let schema = calls_of(&tools, CallForm::Named);
        let schema = schema
            .ok_or_else(|| bad("`tool_choice` asks for a call, and there are no `tools`".into()))?;
        Ok(Some(Constraint::Schema(schema)))
    }

    fn content(&self) -> Result<Form, BadBody> {
        let bad = |message: String| BadBody::of("response_format", message);
        match self.response_format["type"].as_str() {
            None if self.response_format.is_null() => Ok(Form::Free),
            Some("text") => Ok(Form::Free),
            Some("json_object") => Ok(Form::Content(Constraint::JsonObject)),
            Some("json_schema") => match self.response_format.pointer("/json_schema/schema") {
                Some(schema) => Ok(Form::Content(Constraint::Schema(schema.clone()))),
                None => Err(bad("`response_format` has no `json_schema.schema`".into())),
            },
            Some(kind) => Err(bad(format!(
                "`response_format` of type `{kind}` is not known"
            ))),
            None => Err(bad("`response_format` has no `type`".into())),
        }
    }
}

/// A message of the body; content in parts is joined.
fn message(value: &Value) -> Map<String, Value> {
    let mut message = value.as_object().cloned().unwrap_or_default();
    let content = match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| part.get("text").and_then(Value::as_str))
            .collect(),
        _ => String::new(),
    };
    message.insert("content".to_owned(), content.into());
    message.entry("role").or_insert_with(|| "user".into());
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn form(more: Value) -> Result<Form, BadBody> {
        let mut body = json!({"messages": [], "tools": [{"type": "function",
            "function": {"name": "f", "parameters": {"type": "object"}}}]});
        let fields = more.as_object().cloned().unwrap_or_default();
        body.as_object_mut().unwrap().extend(fields);
        Body::read(&body)?.form()
    }

    #[test]
    fn the_form_is_what_the_body_asks_for() {
        let free = [
            json!({}),
            json!({"tool_choice": "auto"}),
            json!({"response_format": {"type": "text"}}),
        ];
        for body in free {
            assert!(matches!(form(body), Ok(Form::Free)));
        }
        let object = form(json!({"response_format": {"type": "json_object"}}));
        assert!(matches!(object, Ok(Form::Content(Constraint::JsonObject))));
        for choice in [
            json!("required"),
            json!({"type": "function", "function": {"name": "f"}}),
        ] {
            assert!(matches!(
                form(json!({"tool_choice": choice})),
                Ok(Form::Call(_))
            ));
        }
        for (body, parameter) in [
            (
                json!({"tool_choice": {"function": {"name": "g"}}}),
                "tool_choice",
            ),
            (
                json!({"tool_choice": "required", "tools": []}),
                "tool_choice",
            ),
            (
                json!({"response_format": {"type": "xml"}}),
                "response_format",
            ),
            (
                json!({"response_format": {"type": "json_schema"}}),
                "response_format",
            ),
        ] {
            let bad = form(body).err().unwrap();
            assert_eq!(bad.parameter, Some(parameter), "{}", bad.message);
        }
    }

    #[test]
    fn what_would_change_the_answer_and_is_not_done_is_named() {
        for (name, value) in [
            ("n", json!(2)),
            ("top_logprobs", json!(3)),
            ("logit_bias", json!({"5": 10})),
            ("frequency_penalty", json!(0.5)),
            ("presence_penalty", json!(-1)),
        ] {
            let bad = form(json!({name: value})).err().unwrap();
            assert_eq!(bad.parameter, Some(name), "{}", bad.message);
        }
        let neutral = json!({"n": 1, "logprobs": true, "top_logprobs": 0, "logit_bias": {},
            "frequency_penalty": 0, "user": "someone"});
        assert!(matches!(form(neutral), Ok(Form::Free)));
    }

    #[test]
    fn content_in_parts_is_joined() {
        let value =
            json!({"role": "user", "content": [{"type": "text", "text": "a"}, {"text": "b"}]});
        assert_eq!(message(&value)["content"], "ab");
    }
}
