//! Whether the seed examples' answers fit the output that `slm.yaml` asks for, and whether
//! the values that the grammar teacher is to replace occur in the text.
//!
//! It knows nothing of how answers are generated or scored.

use super::fields::{Page, Text, excerpt, ticked};
use super::schema::{self, Misfit};
use super::shape::{Seed, Shape};
use crate::codes::Code;
use crate::extension::{Extension, Output, Slot};
use crate::suggest::nearest;
use serde_json::Value;

/// Reports answers that do not fit.
pub(super) fn check(page: &mut Page, shape: &Shape, extension: &Extension) {
    let Some(output) = &extension.output else {
        return;
    };
    for seed in &shape.seeds {
        for pair in &seed.pairs {
            let Some(answer) = &pair.answer else { continue };
            let value = match output {
                Output::Text => continue,
                Output::Label { labels } => {
                    label(page, answer, labels);
                    continue;
                }
                Output::Json { schema } => json(page, answer, schema),
                Output::Calls { tools } => calls(page, answer, tools),
            };
            if let (Some(value), Some(question)) = (value, &pair.question) {
                slots(page, seed, question, answer, &value, extension);
            }
        }
    }
}

fn label(page: &mut Page, answer: &Text, labels: &[String]) {
    let said = answer.text.trim();
    if labels.iter().any(|label| label == said) {
        return;
    }
    let names: Vec<&str> = labels.iter().map(String::as_str).collect();
    let hint = match nearest(said, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the labels are {}", ticked(&names)),
    };
    let message = format!("`{}` is not one of the labels in `slm.yaml`", excerpt(said));
    page.fault(answer.span, Code::AnswerLabel, &answer.path, message, hint);
}

fn json(page: &mut Page, answer: &Text, schema: &Value) -> Option<Value> {
    let value = parsed(page, answer)?;
    let misfits = schema::misfits(schema, &value);
    report(page, answer, Code::AnswerSchema, &misfits);
    misfits.is_empty().then_some(value)
}

fn parsed(page: &mut Page, answer: &Text) -> Option<Value> {
    match serde_json::from_str(answer.text) {
        Ok(value) => Some(value),
        Err(error) => {
            let message = format!("the answer is not JSON: {error}");
            let hint = "write compact JSON in single quotes: `'{\"key\":\"value\"}'`";
            page.fault(
                answer.span,
                Code::AnswerNotJson,
                &answer.path,
                message,
                hint,
            );
            None
        }
    }
}

fn calls(page: &mut Page, answer: &Text, tools: &[Value]) -> Option<Value> {
    let value = parsed(page, answer)?;
    let calls = match &value {
        Value::Array(calls) => calls.as_slice(),
        single => std::slice::from_ref(single),
    };
    let mut misfits = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let at = if value.is_array() {
            format!("/{index}")
        } else {
            String::new()
        };
        misfits.extend(call_misfits(call, tools, &at));
    }
    report(page, answer, Code::AnswerCall, &misfits);
    misfits.is_empty().then_some(value)
}

fn call_misfits(call: &Value, tools: &[Value], at: &str) -> Vec<Misfit> {
    let misfit = |pointer: String, message: String| vec![Misfit { pointer, message }];
    let Some(name) = call.get("name").and_then(Value::as_str) else {
        return misfit(at.to_string(), "has no `name` of a function".into());
    };
    let names: Vec<&str> = tools
        .iter()
        .filter_map(|tool| tool.pointer("/function/name")?.as_str())
        .collect();
    let Some(index) = names.iter().position(|known| *known == name) else {
        let end = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the functions are {}", ticked(&names)),
        };
        let message = format!("`{}` is not a function of the tools; {end}", excerpt(name));
        return misfit(format!("{at}/name"), message);
    };
    let empty = Value::Object(Default::default());
    let arguments = call.get("arguments").unwrap_or(&empty);
    let Some(parameters) = tools[index].pointer("/function/parameters") else {
        return Vec::new();
    };
    let mut misfits = schema::misfits(parameters, arguments);
    for misfit in &mut misfits {
        misfit.pointer = format!("{at}/arguments{}", misfit.pointer);
    }
    misfits
}

fn report(page: &mut Page, answer: &Text, code: Code, misfits: &[Misfit]) {
    for misfit in misfits {
        let subject = match misfit.pointer.as_str() {
            "" => "the answer".to_string(),
            pointer => format!("`{}` of the answer", excerpt(pointer)),
        };
        let message = format!("{subject} {}", misfit.message);
        let hint = "mend the answer, or the output in `slm.yaml`";
        page.fault(answer.span, code, &answer.path, message, hint);
    }
}

/// A slot's value that is in the answer must be in the text that the answer is taken from.
fn slots(
    page: &mut Page,
    seed: &Seed,
    question: &Text,
    answer: &Text,
    value: &Value,
    extension: &Extension,
) {
    let context = seed.context.as_ref().map_or("", |context| context.text);
    let quoted = |slot: &Slot| !matches!(slot, Slot::Cues(_));
    for (pointer, _) in extension.slots.iter().filter(|(_, slot)| quoted(slot)) {
        let in_call = format!("/0{pointer}");
        let found = value.pointer(pointer).or_else(|| value.pointer(&in_call));
        let text = match found {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => continue,
        };
        if text.is_empty() || question.text.contains(&text) || context.contains(&text) {
            continue;
        }
        let message = format!(
            "`{}` of slot `{pointer}` does not occur in the text",
            excerpt(&text)
        );
        let hint = "write the value in the question or context exactly as in the answer";
        page.fault(
            answer.span,
            Code::SlotNotInText,
            &answer.path,
            message,
            hint,
        );
    }
}
