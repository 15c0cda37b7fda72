//! Validity: does an answer parse, and does it satisfy the schema that was asked for.
//!
//! Does not know whether the answer is right.

use serde_json::{Value, json};

use super::Sample;
use crate::answer::{Cause, Content};
use crate::calls::Call;
use crate::rows::Row;
use crate::schema::Validators;
use crate::task::Task;

/// The output is one JSON value and nothing else.
pub fn json(sample: &Sample) -> bool {
    match &sample.answer.content {
        Content::Json(_) | Content::Calls(_) => true,
        // Calls that are JSON of the wrong form still parse.
        Content::Nothing(Cause::Unparsable) => {
            serde_json::from_str::<Value>(&sample.answer.raw).is_ok()
        }
        _ => false,
    }
}

/// The schema that a row's answer must satisfy: its own, or the task's.
pub fn schema_of<'a>(task: &'a Task, row: &'a Row) -> Option<&'a Value> {
    row.schema.as_ref().or(task.output.schema.as_ref())
}

/// Every call names a tool of the row, and its arguments satisfy the tool's parameters.
pub(crate) fn calls_fit(tools: &[Value], calls: &[Call], validators: &mut Validators) -> bool {
    calls.iter().all(|call| {
        parameters_of(tools, &call.function).is_some_and(|parameters| {
            let arguments = Value::Object(call.arguments.clone());
            validators.accepts(&standard_types(&parameters), &arguments)
        })
    })
}

/// The parameters' schema of the tool of that name; an empty one accepts anything.
pub(crate) fn parameters_of(tools: &[Value], name: &str) -> Option<Value> {
    tools
        .iter()
        .map(|tool| tool.get("function").unwrap_or(tool))
        .find(|tool| tool.get("name").and_then(Value::as_str) == Some(name))
        .map(|tool| tool.get("parameters").cloned().unwrap_or_else(|| json!({})))
}

/// The schema with the type names of the Berkeley leaderboard made standard.
pub fn standard_types(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => fields
            .iter()
            .filter_map(|(key, value)| match (key.as_str(), value.as_str()) {
                ("type", Some("any")) => None,
                ("type", Some(name)) => Some((key.clone(), json!(standard_type(name)))),
                _ => Some((key.clone(), standard_types(value))),
            })
            .collect(),
        Value::Array(items) => items.iter().map(standard_types).collect(),
        other => other.clone(),
    }
}

/// `dict`, `float` and `tuple` as JSON Schema calls them.
pub(crate) fn standard_type(name: &str) -> &str {
    match name {
        "dict" => "object",
        "float" | "double" => "number",
        "tuple" | "list" => "array",
        "int" => "integer",
        "bool" => "boolean",
        "str" => "string",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metric;
    use crate::metrics::tests_support::{rights, rows, samples};
    use crate::task::OutputType;

    #[test]
    fn json_is_valid_when_it_parses_whole() {
        let outputs = [
            json!("{\"a\":1}"),
            json!("{\"a\":1} ok"),
            json!("```json\n{}\n```"),
            json!(null),
            json!("3"),
        ];
        let got = rights(Metric::JsonValid, OutputType::Json, &json!({}), &outputs);
        assert_eq!(got, [true, false, false, false, true]);
        let got = rights(
            Metric::JsonValid,
            OutputType::Calls,
            &json!([]),
            &[json!("{}"), json!("x")],
        );
        assert_eq!(got, [true, false]);
    }

    #[test]
    fn a_row_may_bring_its_own_schema() {
        let mut task = Task::of_kind("t", OutputType::Json);
        task.output.schema = Some(json!({"required": ["a"]}));
        let mut rows = rows(&[json!({"a": 1}), json!({"b": 1})]);
        rows[1].schema = Some(json!({"required": ["b"]}));
        let samples = samples(&task, &rows, &[json!("{\"a\":2}"), json!("{\"a\":2}")]);
        let tally = Metric::SchemaValid.tally(&task, &samples);
        assert_eq!((tally.n(), tally.right_count()), (2, Some(1)));
    }

    #[test]
    fn calls_are_valid_under_their_tools() {
        let tools = [
            json!({"type": "function", "function": {"name": "f", "parameters": {
            "type": "dict", "properties": {"x": {"type": "float"}}, "required": ["x"]}}}),
        ];
        let fits = |output: Value| {
            let calls = crate::calls::read_output(&output).unwrap();
            calls_fit(&tools, &calls, &mut Validators::default())
        };
        assert!(fits(json!([{"f": {"x": 1}}])));
        assert!(!fits(json!([{"f": {"x": "1"}}])));
        assert!(!fits(json!([{"f": {}}])));
        assert!(!fits(json!([{"g": {"x": 1}}])));
    }
}
