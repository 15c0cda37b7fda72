//! Answers of a system, read from a file that any program may have written.
//!
//! Does not know what a right answer is.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{EvalError, Problem};
use crate::rows::{Row, id_text};

/// One answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The row's id.
    pub id: String,
    /// The answer: usually text; a JSON value is taken as already parsed; null
    /// means that there is none.
    #[serde(default)]
    pub output: Value,
    /// Wall time of this answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// Tokens of the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// What the answer cost, in the currency of the price table that was at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// How sure the system is that the answer is right, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// The same for each value of a JSON answer, by JSON pointer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub field_confidence: BTreeMap<String, f64>,
    /// Why the answer ended, as OpenAI names it: `stop`, `length`, `content_filter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// What went wrong instead of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Prediction {
    /// A plain text answer.
    pub fn text(id: impl Into<String>, output: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            output: Value::String(output.into()),
            ..Self::default()
        }
    }
}

/// A system's answers by row id, and the ids that did not fit.
#[derive(Debug, Clone, Default)]
pub struct Predictions {
    by_id: HashMap<String, Prediction>,
    /// Ids that stand more than once; the first answer counts.
    pub duplicate: Vec<String>,
    /// Ids that no row has; ignored.
    pub unknown: Vec<String>,
    /// Ids of rows without an answer; counted as wrong. Altered copies are left out: they are
    /// judged apart.
    pub missing: Vec<String>,
}

impl Predictions {
    /// Sorts answers to rows. Of several answers to one row the first counts, so
    /// that nobody may pick the best; the lists keep the order of the input.
    pub fn new(predictions: impl IntoIterator<Item = Prediction>, rows: &[Row]) -> Self {
        let known: std::collections::HashSet<&str> =
            rows.iter().map(|row| row.id.as_str()).collect();
        let mut found = Self::default();
        for prediction in predictions {
            if !known.contains(prediction.id.as_str()) {
                found.unknown.push(prediction.id);
            } else if found.by_id.contains_key(&prediction.id) {
                found.duplicate.push(prediction.id);
            } else {
                found.by_id.insert(prediction.id.clone(), prediction);
            }
        }
        found.missing = rows
            .iter()
            .filter(|row| row.origin.is_none() && !found.by_id.contains_key(&row.id))
            .map(|row| row.id.clone())
            .collect();
        found
    }

    /// Reads a JSONL file: rows `{"id", "output", ...}` or lines of the OpenAI
    /// batch output format.
    ///
    /// # Errors
    /// A file that cannot be read, and every line that is not such a row. A last
    /// line that breaks off (a killed writer) is a fault like any other.
    pub fn load(path: &Path, rows: &[Row]) -> Result<Self, EvalError> {
        Ok(Self::load_repeats(path, rows)?.swap_remove(0))
    }

    /// As [`Predictions::load`], for a file that may answer rows several times: the answers of
    /// each `repeat` (from 0, where a line does not say it), at least the first.
    ///
    /// # Errors
    /// As [`Predictions::load`].
    pub fn load_repeats(path: &Path, rows: &[Row]) -> Result<Vec<Self>, EvalError> {
        let mut repeats: BTreeMap<u32, Vec<Prediction>> = BTreeMap::from([(0, Vec::new())]);
        for (repeat, prediction) in read(path)? {
            repeats.entry(repeat).or_default().push(prediction);
        }
        let repeats = repeats.into_values();
        Ok(repeats.map(|answers| Self::new(answers, rows)).collect())
    }

    /// The answer to a row.
    pub fn get(&self, id: &str) -> Option<&Prediction> {
        self.by_id.get(id)
    }

    /// The answers that count, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Prediction> {
        self.by_id.values()
    }

    /// How many rows have an answer.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether no row has an answer.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// What did not fit, in one line for people; none when all did.
    pub fn remark(&self) -> Option<String> {
        let parts: Vec<String> = [
            ("missing (counted as wrong)", &self.missing),
            ("unknown (ignored)", &self.unknown),
            ("duplicate (the first counts)", &self.duplicate),
        ]
        .iter()
        .filter(|(_, ids)| !ids.is_empty())
        .map(|(what, ids)| {
            let shown: Vec<&str> = ids.iter().take(3).map(String::as_str).collect();
            let more = if ids.len() > 3 { ", ..." } else { "" };
            format!("{} {what}: `{}`{more}", ids.len(), shown.join("`, `"))
        })
        .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// Every answer of a JSONL file in its order, with its repeat.
fn read(path: &Path) -> Result<Vec<(u32, Prediction)>, EvalError> {
    let bytes = std::fs::read(path).map_err(|source| EvalError::reading(path, source))?;
    // A model may have written half a character.
    let text = String::from_utf8_lossy(&bytes);
    let mut predictions = Vec::new();
    let mut problems = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        match read_line(path, index + 1, line) {
            Ok(prediction) => predictions.push(prediction),
            Err(problem) => problems.push(problem),
        }
    }
    EvalError::unless_empty(problems)?;
    Ok(predictions)
}

fn read_line(path: &Path, line: usize, text: &str) -> Result<(u32, Prediction), Problem> {
    let parsed = serde_json::from_str(text);
    let parsed = parsed.or_else(|error| match without_lone_surrogates(text) {
        Some(mended) => serde_json::from_str(&mended),
        None => Err(error),
    });
    let value: Value = parsed.map_err(|error| {
        Problem::new(
            path,
            line,
            format!("invalid JSON: {error}"),
            "write one answer per line: {\"id\", \"output\"}",
        )
        .at_column(error.column())
    })?;
    let batch = value.get("custom_id").is_some();
    let id = value.get(if batch { "custom_id" } else { "id" });
    let Some(id) = id.and_then(id_text) else {
        return Err(Problem::new(
            path,
            line,
            "the answer has no `id`",
            "add the id of the row that it answers",
        ));
    };
    let repeat = value.get("repeat").and_then(Value::as_u64).unwrap_or(0);
    let repeat = u32::try_from(repeat).map_err(|_| {
        let message = format!("the `repeat` {repeat} is too large");
        Problem::new(path, line, message, "number repeats from 0")
    })?;
    for (key, most, what) in [
        ("confidence", 1.0, "a probability from 0 to 1"),
        ("latency_ms", f64::MAX, "milliseconds"),
        ("cost", f64::MAX, "an amount"),
    ] {
        let found = value.get(key).filter(|found| !batch && !found.is_null());
        let sound = |found: &&Value| found.as_f64().is_some_and(|n| (0.0..=most).contains(&n));
        if let Some(found) = found.filter(|found| !sound(found)) {
            let message = format!("`{key}` is {found}");
            let hint = format!("write {what}, or leave it out");
            return Err(Problem::new(path, line, message, hint));
        }
    }
    let prediction = match batch {
        true => from_batch(id, &value),
        false => from_row(id, &value),
    };
    Ok((repeat, prediction))
}

/// The line with U+FFFD for every escaped half of a character that stands alone, which other
/// writers of JSON let through; none where there is no such half.
fn without_lone_surrogates(text: &str) -> Option<String> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut out, mut at, mut found) = (String::with_capacity(text.len()), 0, false);
    while let Some(length) = text[at..].find('\\') {
        out.push_str(&text[at..at + length]);
        at += length;
        let taken = match (unit(at), unit(at + 6)) {
            (Some(0xD800..0xDC00), Some(0xDC00..0xE000)) => 12,
            (Some(0xD800..0xE000), _) => {
                out.push_str("\\ufffd");
                (at, found) = (at + 6, true);
                continue;
            }
            // An escape of one character, or a backslash at the end.
            _ => 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        };
        out.push_str(&text[at..at + taken]);
        at += taken;
    }
    out.push_str(&text[at..]);
    found.then_some(out)
}

fn from_row(id: String, value: &Value) -> Prediction {
    let words = |key: &str| match value.get(key) {
        None | Some(Value::Null) => None,
        Some(found) => Some(crate::rows::text_of(found)),
    };
    Prediction {
        id,
        output: value.get("output").cloned().unwrap_or_default(),
        latency_ms: value.get("latency_ms").and_then(Value::as_f64),
        input_tokens: value.get("input_tokens").and_then(Value::as_u64),
        output_tokens: value.get("output_tokens").and_then(Value::as_u64),
        cost: value.get("cost").and_then(Value::as_f64),
        confidence: value.get("confidence").and_then(Value::as_f64),
        field_confidence: BTreeMap::new(),
        finish_reason: words("finish_reason"),
        error: words("error"),
    }
}

/// A line of OpenAI's batch output: `{"custom_id", "response": {"body"}, "error"}`.
fn from_batch(id: String, value: &Value) -> Prediction {
    let choice = value.pointer("/response/body/choices/0");
    let message = choice.and_then(|choice| choice.get("message"));
    let calls = message
        .and_then(|message| message.get("tool_calls"))
        .filter(|calls| calls.as_array().is_some_and(|calls| !calls.is_empty()));
    let content = message
        .and_then(|message| message.get("content"))
        .filter(|content| !content.is_null());
    let refusal = message
        .and_then(|message| message.get("refusal"))
        .filter(|refusal| refusal.as_str().is_some_and(|text| !text.is_empty()));
    let error = [value.get("error"), value.pointer("/response/body/error")]
        .into_iter()
        .flatten()
        .find(|error| !error.is_null());
    let usage = |key: &str| {
        value
            .pointer(&format!("/response/body/usage/{key}"))
            .and_then(Value::as_u64)
    };
    Prediction {
        id,
        output: calls.or(content).or(refusal).cloned().unwrap_or_default(),
        input_tokens: usage("prompt_tokens"),
        output_tokens: usage("completion_tokens"),
        finish_reason: refusal.map(|_| "refusal".to_string()).or_else(|| {
            choice
                .and_then(|choice| choice.get("finish_reason"))
                .and_then(Value::as_str)
                .map(String::from)
        }),
        error: error.map(crate::rows::text_of),
        ..Prediction::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        ["a", "b", "c"]
            .iter()
            .map(|id| Row {
                id: (*id).into(),
                ..Row::default()
            })
            .collect()
    }

    fn load(text: &str) -> Result<Predictions, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.jsonl");
        std::fs::write(&path, text).unwrap();
        Predictions::load(&path, &rows()).map_err(|error| error.to_string())
    }

    #[test]
    fn unknown_duplicate_and_missing_ids_are_listed() {
        let text = "{\"id\":\"a\",\"output\":\"1\"}\n{\"id\":\"a\",\"output\":\"2\"}\n{\"id\":\"z\",\"output\":\"3\"}\n{\"id\":\"b\"}\n";
        let found = load(text).unwrap();
        assert_eq!(found.get("a").unwrap().output, "1");
        assert!(found.get("b").unwrap().output.is_null());
        assert_eq!(found.missing, ["c"]);
        assert_eq!(found.unknown, ["z"]);
        assert_eq!(found.duplicate, ["a"]);
        assert_eq!(
            found.remark().unwrap(),
            "1 missing (counted as wrong): `c`; 1 unknown (ignored): `z`; \
             1 duplicate (the first counts): `a`"
        );
    }

    #[test]
    fn broken_lines_are_told_with_their_places() {
        let error = load("{\"id\":\"a\"}\n{\"id\":\n{\"output\":\"x\"}\n").unwrap_err();
        assert!(error.contains("p.jsonl:2:6: invalid JSON"), "{error}");
        assert!(
            error.contains("p.jsonl:3: the answer has no `id`"),
            "{error}"
        );
    }

    #[test]
    fn halves_of_characters_are_replaced_and_nothing_else() {
        let text = r#"{"id":"a","output":"x\ud83d"}
{"id":"b","output":"\\ud83d \ud83d\ude00 \ude00\n"}
"#;
        let found = load(text).unwrap();
        assert_eq!(found.get("a").unwrap().output, "x\u{fffd}");
        assert_eq!(
            found.get("b").unwrap().output,
            "\\ud83d \u{1f600} \u{fffd}\n"
        );
        assert_eq!(without_lone_surrogates(r#""\u00e9""#), None);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.jsonl");
        std::fs::write(&path, b"{\"id\":\"a\",\"output\":\"\xf0\x9f\"}\n").unwrap();
        let found = Predictions::load(&path, &rows()).unwrap();
        assert_eq!(found.get("a").unwrap().output, "\u{fffd}");
    }

    #[test]
    fn numbers_that_cannot_be_are_told() {
        let error = load("{\"id\":\"a\",\"confidence\":85}\n{\"id\":\"b\",\"latency_ms\":-1}\n");
        let error = error.unwrap_err();
        assert!(error.contains("p.jsonl:1: `confidence` is 85"), "{error}");
        assert!(error.contains("p.jsonl:2: `latency_ms` is -1"), "{error}");
    }

    #[test]
    fn repeats_are_told_apart_from_duplicates() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.jsonl");
        let text =
            "{\"id\":\"a\",\"output\":\"1\"}\n{\"id\":\"a\",\"repeat\":1,\"output\":\"2\"}\n";
        std::fs::write(&path, text).unwrap();
        let found = Predictions::load_repeats(&path, &rows()).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].get("a").unwrap().output, "2");
        assert!(found.iter().all(|one| one.duplicate.is_empty()));
    }

    #[test]
    fn a_refusal_of_the_batch_format_is_one() {
        let line = "{\"custom_id\":\"a\",\"response\":{\"body\":{\"choices\":[{\"message\":{\"content\":null,\"refusal\":\"no\"},\"finish_reason\":\"stop\"}]}}}";
        let found = load(line).unwrap();
        let answer = found.get("a").unwrap();
        assert_eq!(answer.output, "no");
        assert_eq!(answer.finish_reason.as_deref(), Some("refusal"));
    }

    #[test]
    fn the_batch_format_is_read() {
        let line = "{\"custom_id\":\"a\",\"response\":{\"status_code\":200,\"body\":{\"choices\":[{\"message\":{\"content\":\"hi\"},\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}},\"error\":null}";
        let found = load(line).unwrap();
        let answer = found.get("a").unwrap();
        assert_eq!(answer.output, "hi");
        assert_eq!(answer.finish_reason.as_deref(), Some("length"));
        assert_eq!(
            (answer.input_tokens, answer.output_tokens),
            (Some(3), Some(4))
        );
    }
}
