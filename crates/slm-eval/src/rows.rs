//! Evaluation rows: a prompt, a target, and what narrows them.
//!
//! Does not know the task's labels or schema beyond the output type of a row.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::calls;
use crate::error::{EvalError, Problem};
use crate::metrics::Metric;
use crate::robustness::{self, Origin};
use crate::task::{OutputType, Task};

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// The text.
    pub content: String,
}

/// One sample: what is asked and what would be right.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// Unique within the data; a number is read as its digits.
    pub id: String,
    /// The question, when the row is not a conversation.
    pub input: Option<String>,
    /// The conversation before the answer.
    pub messages: Vec<Message>,
    /// What a right answer is, as it stands in the data.
    pub target: Value,
    /// Names by which samples are grouped.
    pub tags: Vec<String>,
    /// What this row has in common with others, such as the seed example that they were made
    /// from: rows of a group are right or wrong together.
    pub group: Option<String>,
    /// OpenAI tool definitions.
    pub tools: Vec<Value>,
    /// Overrides the task's output type for this row.
    pub output_type: Option<OutputType>,
    /// Overrides the task's schema for this row.
    pub schema: Option<Value>,
    /// Overrides the task's labels for this row.
    pub labels: Vec<String>,
    /// The language of the question, as the data names it.
    pub language: Option<String>,
    /// The part of the data that the row belongs to: `train`, `test`.
    pub split: Option<String>,
    /// The row that this one is an altered copy of.
    pub origin: Option<Origin>,
    /// Line in the data file, counted from 1.
    pub line: usize,
}

impl Row {
    /// The output type that this row is judged by.
    pub fn kind(&self, task: &Task) -> OutputType {
        self.output_type.unwrap_or(task.output.kind)
    }

    /// The labels that this row may have, where any are declared.
    pub fn declared_labels<'a>(&'a self, task: &'a Task) -> &'a [String] {
        match self.labels.is_empty() {
            true => &task.output.labels,
            false => &self.labels,
        }
    }

    /// The question as one text: the input, or the conversation with its roles.
    pub fn question(&self) -> String {
        match (&self.input, self.messages.as_slice()) {
            (Some(input), _) => input.clone(),
            (None, [only]) => only.content.clone(),
            (None, many) => many
                .iter()
                .map(|message| format!("{}: {}", message.role, message.content))
                .collect::<Vec<_>>()
                .join("\n"),
        }
    }

    /// The target as a model would have to write it: text as it is, any other
    /// value as compact JSON.
    pub fn target_text(&self) -> String {
        text_of(&self.target)
    }

    /// A right answer as a model would have to write it: the target, or for calls one that the
    /// target allows.
    pub fn answer_text(&self, kind: OutputType) -> String {
        match kind {
            OutputType::Calls => calls::example_of(&self.target_value(kind)).to_string(),
            _ => self.target_text(),
        }
    }

    /// The target as a value: for JSON and calls a target that was written as
    /// text is parsed.
    pub fn target_value(&self, kind: OutputType) -> Value {
        match (&self.target, kind) {
            (Value::String(text), OutputType::Json | OutputType::Calls) => {
                serde_json::from_str(text).unwrap_or_else(|_| self.target.clone())
            }
            (value, _) => value.clone(),
        }
    }
}

/// A string as it is, any other value as compact JSON.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Reads every row of a JSONL file that is of the task's split, or says everything that is wrong
/// with the file. Altered copies for the task's `robustness` follow the rows.
///
/// # Errors
/// A file that cannot be read or has no rows, and for each line: invalid JSON,
/// no `id`, an `id` seen before, no `target`, or a target that does not fit the
/// output type.
pub fn load(path: &Path, task: &Task) -> Result<Vec<Row>, EvalError> {
    let text = std::fs::read_to_string(path).map_err(|source| EvalError::reading(path, source))?;
    let mut rows = Vec::new();
    let mut problems = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut schemas = HashSet::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        match read_row(path, index + 1, line, task) {
            Ok(row) => {
                if let Some(first) = seen.insert(row.id.clone(), row.line) {
                    problems.push(Problem::new(
                        path,
                        row.line,
                        format!("the id `{}` stands already in line {first}", row.id),
                        "give every row an id of its own",
                    ));
                }
                if let Some(problem) = schema_problem(path, &row, &mut schemas) {
                    problems.push(problem);
                }
                rows.push(row);
            }
            Err(problem) => problems.push(problem),
        }
    }
    if rows.is_empty() && problems.is_empty() {
        problems.push(Problem::new(
            path,
            0,
            "the file has no rows",
            "write one JSON object per line: {\"id\", \"input\", \"target\"}",
        ));
    }
    EvalError::unless_empty(problems)?;
    if let Some(split) = &task.split {
        let all = rows.len();
        rows.retain(|row| row.split.as_ref().is_none_or(|own| own == split));
        if rows.is_empty() {
            let message = format!("none of the {all} rows is of the split `{split}`");
            let problem = Problem::new(path, 0, message, "mend the task's `split`");
            return Err(EvalError::Problems(vec![problem]));
        }
    }
    // The first metric is what the verdict is about.
    let first = task.metrics.first();
    if let Some(metric) = first.filter(|metric| !rows.iter().any(|row| metric.suits(task, row))) {
        let suiting: Vec<&str> = Metric::defaults(task, &rows)
            .into_iter()
            .map(Metric::name)
            .collect();
        return Err(EvalError::invalid(
            format!(
                "the task's first metric, `{}`, says nothing of any row",
                metric.name()
            ),
            format!("name one first that does, such as {}", suiting.join(", ")),
        ));
    }
    let altered = robustness::altered(task, &rows);
    rows.extend(altered);
    Ok(rows)
}

/// What is wrong with a row's own schema; each schema is looked at once.
fn schema_problem(path: &Path, row: &Row, seen: &mut HashSet<String>) -> Option<Problem> {
    let schema = row.schema.as_ref()?;
    if !seen.insert(schema.to_string()) {
        return None;
    }
    let error = crate::schema::compile(schema).err()?;
    Some(Problem::new(
        path,
        row.line,
        format!("the schema of row `{}` is invalid: {error}", row.id),
        "write JSON Schema, Draft 2020-12",
    ))
}

fn read_row(path: &Path, line: usize, text: &str, task: &Task) -> Result<Row, Problem> {
    let problem = |message: String, hint: &str| Problem::new(path, line, message, hint);
    let value: Value = serde_json::from_str(text).map_err(|error| {
        problem(
            format!("invalid JSON: {error}"),
            "write one JSON object per line",
        )
        .at_column(error.column())
    })?;
    let Some(id) = value.get("id").and_then(id_text) else {
        return Err(problem(
            "the row has no `id`".into(),
            "add `\"id\": \"...\"`, unique in the file",
        ));
    };
    let mut messages = value.get("messages").map(messages_of).unwrap_or_default();
    let given = value
        .get("target")
        .filter(|target| !target.is_null())
        .cloned();
    let Some(target) = given.or_else(|| last_answer(&mut messages)) else {
        return Err(problem(
            format!("row `{id}` has no `target`"),
            "add what a right answer would be as `target`",
        ));
    };
    let output_type = match value.get("output_type").and_then(Value::as_str) {
        None => None,
        Some(name) => Some(OutputType::parse(name).ok_or_else(|| {
            problem(
                format!("unknown `output_type` `{name}`"),
                "use `label`, `json`, `calls` or `text`",
            )
        })?),
    };
    let row = Row {
        id,
        input: value
            .get("input")
            .filter(|input| !input.is_null())
            .map(text_of),
        messages,
        target,
        tags: tags(&value),
        group: group(&value),
        tools: match value.get("tools") {
            Some(Value::Array(tools)) => tools.clone(),
            _ => Vec::new(),
        },
        output_type,
        schema: value
            .get("schema")
            .filter(|schema| schema.is_object())
            .cloned(),
        labels: strings(value.get("labels")),
        language: value
            .get("language")
            .and_then(Value::as_str)
            .map(String::from),
        split: value.get("split").and_then(Value::as_str).map(String::from),
        origin: None,
        line,
    };
    check_target(&row, task).map_err(|(message, hint)| problem(message, &hint))?;
    Ok(row)
}

/// An id that is text or a number.
pub(crate) fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::String(id) if !id.is_empty() => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// In a row of a dataset the last message is the assistant's: the target.
fn last_answer(messages: &mut Vec<Message>) -> Option<Value> {
    let last = messages.pop_if(|message| message.role == "assistant")?;
    Some(Value::String(last.content))
}

/// The row's own tags, or the leaf that a dataset's row came from.
fn tags(value: &Value) -> Vec<String> {
    let leaf = value.pointer("/metadata/leaf");
    strings(value.get("tags").or(leaf))
}

/// The row's own group, or the seed example that a dataset's row came from.
fn group(value: &Value) -> Option<String> {
    if let Some(own) = value.get("group").and_then(id_text) {
        return Some(own);
    }
    let of = |key: &str| value.pointer(&format!("/metadata/{key}")).map(text_of);
    Some(format!("{} seed {}", of("leaf")?, of("seed")?))
}

fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(items)) => items.iter().map(text_of).collect(),
        Some(Value::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    }
}

fn messages_of(value: &Value) -> Vec<Message> {
    let Value::Array(items) = value else {
        return Vec::new();
    };
    items
        .iter()
        .map(|item| Message {
            role: item
                .get("role")
                .and_then(Value::as_str)
                .unwrap_or("user")
                .to_string(),
            content: item.get("content").map(content_text).unwrap_or_default(),
        })
        .collect()
}

/// The text of a message's content, which OpenAI allows to come in parts.
fn content_text(content: &Value) -> String {
    match content {
        Value::Null => String::new(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part.get("text").and_then(Value::as_str))
            .collect(),
        other => text_of(other),
    }
}

fn check_target(row: &Row, task: &Task) -> Result<(), (String, String)> {
    let kind = row.kind(task);
    match kind {
        OutputType::Label => check_label(row, task),
        OutputType::Calls if !is_call_list(&row.target_value(kind)) => Err((
            format!("the target of row `{}` is not a list of calls", row.id),
            "write `[{\"function\": {\"argument\": [allowed values]}}]`".into(),
        )),
        _ => Ok(()),
    }
}

fn check_label(row: &Row, task: &Task) -> Result<(), (String, String)> {
    let label = row.target_text();
    let declared = row.declared_labels(task);
    if declared.is_empty() || declared.contains(&label) {
        return Ok(());
    }
    let labels: Vec<&str> = declared.iter().map(String::as_str).collect();
    Err((
        format!(
            "the target `{label}` of row `{}` is not a label of the task",
            row.id
        ),
        crate::suggest::hint(&label, &labels),
    ))
}

fn is_call_list(value: &Value) -> bool {
    value.as_array().is_some_and(|calls| {
        calls.iter().all(|call| {
            call.as_object()
                .is_some_and(|call| call.len() == 1 && call.values().all(Value::is_object))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(text: &str, kind: OutputType) -> Result<Vec<Row>, EvalError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        std::fs::write(&path, text).unwrap();
        load(&path, &Task::of_kind("t", kind))
    }

    #[test]
    fn a_first_metric_that_says_nothing_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        std::fs::write(&path, "{\"id\":\"a\",\"input\":\"x\",\"target\":\"y\"}\n").unwrap();
        let mut task = Task {
            metrics: vec![Metric::SlotF1, Metric::TokenF1],
            ..Task::default()
        };
        let error = load(&path, &task).unwrap_err().to_string();
        assert!(
            error.contains("`slot_f1`, says nothing of any row"),
            "{error}"
        );
        task.metrics.swap(0, 1);
        assert_eq!(load(&path, &task).unwrap().len(), 1);
    }

    #[test]
    fn all_faults_of_a_file_are_told_at_once() {
        let text = concat!(
            "{\"id\": 1, \"input\": \"a\", \"target\": \"x\"}\n",
            "{\"id\": \"1\", \"input\": \"b\", \"target\": \"x\"}\n",
            "{\"id\": \"2\", \"input\": \"b\"}\n",
            "{\"input\": \"b\", \"target\": \"x\"}\n",
            "{oops\n",
        );
        let error = load_text(text, OutputType::Text).unwrap_err().to_string();
        for part in [
            "rows.jsonl:2: the id `1` stands already in line 1",
            "rows.jsonl:3: row `2` has no `target`",
            "rows.jsonl:4: the row has no `id`",
            "rows.jsonl:5:2: invalid JSON",
        ] {
            assert!(error.contains(part), "`{part}` is missing in:\n{error}");
        }
    }

    #[test]
    fn an_empty_file_is_a_fault() {
        let error = load_text("\n\n", OutputType::Text).unwrap_err().to_string();
        assert!(error.contains("no rows"), "{error}");
    }

    #[test]
    fn a_call_target_must_be_a_list_of_calls() {
        let error = load_text("{\"id\":\"a\",\"target\":{\"f\":{}}}", OutputType::Calls);
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("not a list of calls")
        );
        let good = "{\"id\":\"a\",\"target\":[{\"f\":{\"x\":[1]}}]}";
        assert_eq!(load_text(good, OutputType::Calls).unwrap().len(), 1);
    }

    #[test]
    fn a_row_of_a_dataset_has_its_last_answer_as_target() {
        let text = concat!(
            "{\"id\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"},",
            "{\"role\":\"assistant\",\"content\":\"{}\"}],\"metadata\":{\"leaf\":\"x/y\"}}\n",
            "{\"id\":\"b\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"target\":1}",
        );
        let rows = load_text(text, OutputType::Json).unwrap();
        assert_eq!(rows[0].question(), "q");
        assert_eq!(rows[0].target_text(), "{}");
        assert_eq!(rows[0].tags, ["x/y"]);
        assert_eq!(rows[1].messages.len(), 1);
    }

    #[test]
    fn an_invalid_schema_of_a_row_is_told() {
        let text = "{\"id\":\"a\",\"target\":{},\"schema\":{\"type\":\"objekt\"}}";
        let error = load_text(text, OutputType::Json).unwrap_err().to_string();
        assert!(
            error.contains("rows.jsonl:1: the schema of row `a`"),
            "{error}"
        );
    }

    #[test]
    fn a_target_written_as_text_is_parsed_for_json() {
        let rows = load_text(
            "{\"id\":\"a\",\"target\":\"{\\\"k\\\": 1}\"}",
            OutputType::Json,
        );
        let row = &rows.unwrap()[0];
        assert_eq!(row.target_text(), "{\"k\": 1}");
        assert_eq!(
            row.target_value(OutputType::Json),
            serde_json::json!({"k": 1})
        );
    }
}
