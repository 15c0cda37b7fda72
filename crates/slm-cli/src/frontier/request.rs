//! The body of a chat completion's request, and what of it a server may refuse.
//!
//! Does not know how it is sent.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::budget::Tokens;

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The model's name.
    pub model: String,
    /// Chat messages, in the OpenAI form.
    pub messages: Vec<Value>,
    /// The longest answer, in tokens.
    pub max_tokens: u32,
    /// 0 for the likeliest answer.
    pub temperature: f64,
    /// Tells requests with the same words apart.
    pub seed: u64,
    /// The JSON Schema that the server is told to keep to.
    pub schema: Option<Value>,
    /// OpenAI tool definitions, where the job is to call one.
    pub tools: Vec<Value>,
}

/// A parameter that not every server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Parameter {
    /// The schema of the answer. Without it the answer is free.
    ResponseFormat,
    /// The tools. Without it they stand in the system message.
    Tools,
    /// `max_tokens`. Without it the same limit is called `max_completion_tokens`.
    MaxTokens,
    /// The temperature. Without it the server chooses.
    Temperature,
    /// The seed.
    Seed,
}

impl Parameter {
    const ALL: [Self; 5] = [
        Self::ResponseFormat,
        Self::Tools,
        Self::MaxTokens,
        Self::Temperature,
        Self::Seed,
    ];

    /// The name in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::ResponseFormat => "response_format",
            Self::Tools => "tools",
            Self::MaxTokens => "max_tokens",
            Self::Temperature => "temperature",
            Self::Seed => "seed",
        }
    }

    /// Words by which servers refuse it.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::ResponseFormat => &["response_format", "json_schema"],
            Self::Tools => &["tools", "tool_choice", "tool choice", "function calling"],
            Self::MaxTokens => &["max_completion_tokens"],
            Self::Temperature => &["temperature"],
            Self::Seed => &["seed"],
        }
    }

    /// Whether a server's words refuse it.
    fn is_refused_by(self, told: &str) -> bool {
        let body: Value = serde_json::from_str(told).unwrap_or_default();
        match body.pointer("/error/param").and_then(Value::as_str) {
            // Too many tokens are another fault than the parameter's name.
            Some(_) if self == Self::MaxTokens => told.contains("max_completion_tokens"),
            Some(param) => param.split(['.', '[']).next() == Some(self.name()),
            None => {
                let told = told.to_lowercase();
                self.words().iter().any(|word| told.contains(word))
            }
        }
    }
}

impl Request {
    /// The body, without the parameters that the server refuses.
    pub fn body(&self, without: &BTreeSet<Parameter>) -> Value {
        let mut body = json!({"model": self.model, "messages": self.messages});
        let takes = |parameter| !without.contains(&parameter);
        let limit = match takes(Parameter::MaxTokens) {
            true => "max_tokens",
            false => "max_completion_tokens",
        };
        body[limit] = self.max_tokens.into();
        if takes(Parameter::Temperature) {
            body["temperature"] = self.temperature.into();
        }
        if takes(Parameter::Seed) {
            body["seed"] = self.seed.into();
        }
        if let Some(schema) = self
            .schema
            .as_ref()
            .filter(|_| takes(Parameter::ResponseFormat))
        {
            body["response_format"] = json!({
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": schema},
            });
        }
        if !self.tools.is_empty() {
            match takes(Parameter::Tools) {
                true => body["tools"] = self.tools.clone().into(),
                false => body["messages"] = self.messages_with_tools().into(),
            }
        }
        body
    }

    /// The messages with the tools described, for servers that take none.
    fn messages_with_tools(&self) -> Vec<Value> {
        let text = format!(
            "Answer with nothing but a JSON list of the functions to call, as in \
             [{{\"name\": \"function\", \"arguments\": {{\"argument\": \"value\"}}}}]. The functions:\n{}",
            Value::from(self.tools.clone())
        );
        let mut messages = self.messages.clone();
        match messages
            .first_mut()
            .filter(|first| first["role"] == "system")
        {
            Some(first) => {
                let own = first["content"].as_str().unwrap_or_default();
                first["content"] = format!("{own}\n\n{text}").into();
            }
            None => messages.insert(0, json!({"role": "system", "content": text})),
        }
        messages
    }

    /// The parameter that a server's refusal names, of those that were sent.
    pub fn refused(&self, told: &str, without: &BTreeSet<Parameter>) -> Option<Parameter> {
        Parameter::ALL.into_iter().find(|parameter| {
            let sent = match parameter {
                Parameter::ResponseFormat => self.schema.is_some(),
                Parameter::Tools => !self.tools.is_empty(),
                _ => true,
            };
            sent && !without.contains(parameter) && parameter.is_refused_by(told)
        })
    }

    /// What of a parameter a server refused: one schema may be refused, and another taken.
    pub fn value_of(&self, parameter: Parameter) -> String {
        match parameter {
            Parameter::ResponseFormat => self.schema.as_ref().map(Value::to_string),
            Parameter::Tools if !self.tools.is_empty() => {
                Some(Value::from(self.tools.clone()).to_string())
            }
            _ => None,
        }
        .unwrap_or_default()
    }

    /// The most tokens that it may take: no token is shorter than a byte, and each message has a
    /// few of its own.
    pub fn at_most(&self) -> Tokens {
        let messages = self.messages.iter();
        let contents: usize = messages
            .map(|message| message["content"].as_str().map_or(0, str::len) + 16)
            .sum();
        let extra = [Parameter::ResponseFormat, Parameter::Tools].map(|p| self.value_of(p).len());
        Tokens {
            input: (contents + extra.iter().sum::<usize>()) as u64,
            output: u64::from(self.max_tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            model: "big".to_owned(),
            messages: vec![json!({"role": "user", "content": "hello"})],
            max_tokens: 64,
            temperature: 0.5,
            seed: 3,
            schema: Some(json!({"type": "object"})),
            tools: vec![json!({"type": "function", "function": {"name": "f"}})],
        }
    }

    #[test]
    fn a_body_says_all_that_shapes_the_answer() {
        let body = request().body(&BTreeSet::new());
        assert_eq!(
            (&body["temperature"], &body["seed"], &body["max_tokens"]),
            (&json!(0.5), &json!(3), &json!(64))
        );
        assert_eq!(
            body["response_format"]["json_schema"]["schema"]["type"],
            "object"
        );
        assert_eq!(body["tools"][0]["function"]["name"], "f");
    }

    #[test]
    fn what_is_refused_is_left_out_or_said_otherwise() {
        let without = Parameter::ALL.into_iter().collect();
        let body = request().body(&without);
        for name in [
            "response_format",
            "tools",
            "max_tokens",
            "temperature",
            "seed",
        ] {
            assert!(body.get(name).is_none(), "{name}");
        }
        assert_eq!(body["max_completion_tokens"], 64);
        assert_eq!(body["messages"][0]["role"], "system");
        let told = body["messages"][0]["content"].as_str().unwrap();
        assert!(told.contains(r#""name":"f""#), "{told}");
    }

    #[test]
    fn refusals_are_known_by_name() {
        let none = BTreeSet::new();
        for (told, expected) in [
            (
                r#"{"error":{"message":"no","param":"response_format.json_schema"}}"#,
                Some(Parameter::ResponseFormat),
            ),
            (
                r#"{"error":{"message":"Use 'max_completion_tokens' instead.","param":"max_tokens"}}"#,
                Some(Parameter::MaxTokens),
            ),
            (
                r#"{"error":{"message":"max_tokens is too large","param":"max_tokens"}}"#,
                None,
            ),
            ("`big` does not support tools", Some(Parameter::Tools)),
            (
                "Unsupported value: 'temperature'",
                Some(Parameter::Temperature),
            ),
            ("maximum context length is 8192", None),
        ] {
            assert_eq!(request().refused(told, &none), expected, "{told}");
        }
        let known = [Parameter::Tools].into_iter().collect();
        assert_eq!(request().refused("does not support tools", &known), None);
        let plain = Request {
            tools: Vec::new(),
            ..request()
        };
        assert_eq!(plain.refused("does not support tools", &none), None);
    }
}
