//! Templates in the idioms of the families that are in use, with their renderings worked out
//! by hand after what transformers does: `trim_blocks`, `lstrip_blocks`, `json.dumps`, `str`.

mod chatml;
mod gemma_phi;
mod granite;
mod language;
mod llama;
mod mistral;
mod qwen;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ChatTemplate, Clock, TemplateFault};
use crate::assistant_spans::{SpanFault, TurnEnds, render_turns};
use crate::conversation::Conversation;

/// 2024-07-26.
const DAY: i64 = 1_721_952_000;

/// A template with the tokens `<s>` and `</s>`, unless others are given.
fn compiled(source: &str, tokens: &[(&str, &str)]) -> ChatTemplate {
    let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    let tokens = match tokens {
        [] => vec![own(&("bos_token", "<s>")), own(&("eos_token", "</s>"))],
        some => some.iter().map(own).collect(),
    };
    let templates = BTreeMap::from([("default".to_owned(), source.to_owned())]);
    let mut template = ChatTemplate::compile(templates, tokens).unwrap();
    template.set_clock(Clock::at(DAY));
    template
}

/// `[role, content]` pairs and whole messages.
fn conversation(messages: Value, tools: Value) -> Conversation {
    let message = |value: &Value| match value {
        Value::Array(pair) => json!({"role": pair[0], "content": pair[1]}),
        whole => whole.clone(),
    };
    let messages = messages.as_array().unwrap().iter().map(message);
    Conversation {
        messages: messages
            .map(|message| message.as_object().unwrap().clone())
            .collect(),
        tools: tools.as_array().cloned().unwrap_or_default(),
        not_trained: Vec::new(),
    }
}

fn render(source: &str, messages: Value, tools: Value, prompt: bool) -> String {
    compiled(source, &[])
        .render(&conversation(messages, tools), prompt)
        .unwrap()
        .0
}

fn refusal(source: &str, messages: Value) -> TemplateFault {
    compiled(source, &[])
        .render(&conversation(messages, Value::Null), false)
        .unwrap_err()
}

/// The renderings that are trained on, each learned range between `{+` and `+}`.
fn learned(
    template: &ChatTemplate,
    stops: &[&str],
    messages: Value,
    tools: Value,
) -> Result<Vec<String>, SpanFault> {
    let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let ends = TurnEnds {
        stops: own(stops),
        specials: own(&[stops, &["[INST]", "[/INST]", "<|assistant|>"]].concat()),
    };
    let rendered = render_turns(template, &ends, &conversation(messages, tools))?;
    Ok(rendered
        .into_iter()
        .map(|rendered| {
            let mut text = rendered.text;
            for span in rendered.spans.iter().rev() {
                text.insert_str(span.end, "+}");
                text.insert_str(span.start, "{+");
            }
            text
        })
        .collect())
}

/// A function with one argument, as OpenAI defines it.
fn weather() -> Value {
    json!([{"type": "function", "function": {
        "name": "weather", "description": "Today's <sky> & more",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    }}])
}

/// The function as `json.dumps` writes it.
const WEATHER: &str = r#"{"type": "function", "function": {"name": "weather", "description": "Today's <sky> & more", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}"#;

/// A question that leads to a call, its result, and the answer.
fn calling() -> Value {
    json!([
        ["user", "Rain in Köln?"],
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "call00001", "type": "function", "function": {"name": "weather", "arguments": {"city": "Köln"}}}
        ]},
        {"role": "tool", "tool_call_id": "call00001", "name": "weather", "content": "{\"rain\": true}"},
        ["assistant", "Yes."]
    ])
}
