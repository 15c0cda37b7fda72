//! Reads a task file and says everything that is wrong with it.
//!
//! The only place of this crate that knows YAML.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Output, OutputType, Published, SliceBy, Task};
use crate::error::{EvalError, Problem};
use crate::gate::Gate;
use crate::metrics::Metric;
use crate::metrics::agreement::Rules;
use crate::robustness::Robustness;
use crate::rows::Row;
use crate::suggest;

const TASK_KEYS: &[&str] = &[
    "name",
    "description",
    "data",
    "output",
    "metrics",
    "prompt",
    "label_field",
    "intent_field",
    "slots_field",
    "examples",
    "split",
    "repeats",
    "temperature",
    "slices",
    "robustness",
    "margin",
    "gates",
    "published",
];
/// More repeats than these would say little more.
pub const MOST_REPEATS: u32 = 1000;

const OUTPUT_KEYS: &[&str] = &["type", "labels", "schema", "fields"];
const EXAMPLE_KEYS: &[&str] = &["input", "target"];
const ROBUSTNESS_KEYS: &[&str] = &["kinds", "rows", "seed"];
const PUBLISHED_KEYS: &[&str] = &["name", "metrics", "slices", "source", "note"];

#[derive(Deserialize)]
struct RawTask {
    name: String,
    #[serde(default)]
    description: Option<String>,
    data: String,
    output: RawOutput,
    #[serde(default)]
    metrics: Vec<String>,
    #[serde(default)]
    prompt: Option<String>,
    #[serde(default)]
    label_field: Option<String>,
    #[serde(default)]
    intent_field: Option<String>,
    #[serde(default)]
    slots_field: Option<String>,
    #[serde(default)]
    examples: Vec<RawExample>,
    #[serde(default)]
    split: Option<String>,
    #[serde(default)]
    repeats: Option<u32>,
    #[serde(default)]
    temperature: f64,
    #[serde(default)]
    slices: Option<Vec<SliceBy>>,
    #[serde(default)]
    robustness: Option<Robustness>,
    #[serde(default)]
    margin: Option<f64>,
    #[serde(default)]
    gates: Vec<Gate>,
    #[serde(default)]
    published: Vec<Published>,
}

#[derive(Deserialize)]
struct RawExample {
    input: String,
    target: Value,
}

#[derive(Deserialize)]
struct RawOutput {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    labels: Vec<Value>,
    #[serde(default)]
    schema: Option<Value>,
    #[serde(default)]
    fields: Rules,
}

impl Task {
    /// Reads and checks a task file. The data's path is resolved against the
    /// file's folder; whether the data is there is found out by reading it.
    ///
    /// # Errors
    /// A file that cannot be read, is not YAML, has unknown keys, lacks a name,
    /// data or output, names an unknown metric or type, or carries an invalid
    /// schema, pointer or template. All faults of one kind are told at once.
    pub fn load(path: &Path) -> Result<Self, EvalError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| EvalError::reading(path, source))?;
        let task = Self::parse(path, &text)?;
        if !task.data.is_file() {
            let line = line_of_key(&text, "data");
            return Err(EvalError::Problems(vec![Problem::new(
                path,
                line,
                format!("the data `{}` is missing", task.data.display()),
                "the path is relative to the task file; import or generate the data first",
            )]));
        }
        Ok(task)
    }

    /// As [`Task::load`], from text, without looking for the data.
    ///
    /// # Errors
    /// As [`Task::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, EvalError> {
        let yaml: serde_yaml::Value =
            serde_yaml::from_str(text).map_err(|error| yaml_error(path, &error))?;
        EvalError::unless_empty(unknown_keys(path, text, &yaml))?;
        let raw: RawTask = serde_yaml::from_str(text).map_err(|error| yaml_error(path, &error))?;
        let mut faults = Faults {
            path,
            text,
            problems: Vec::new(),
        };
        let task = faults.check(raw);
        EvalError::unless_empty(faults.problems)?;
        Ok(task)
    }
}

/// Collects every fault of a task whose keys and types are right.
struct Faults<'a> {
    path: &'a Path,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Faults<'_> {
    fn add(&mut self, key: &str, message: String, hint: impl Into<String>) {
        let line = line_of_key(self.text, key);
        self.problems
            .push(Problem::new(self.path, line, message, hint));
    }

    fn check(&mut self, raw: RawTask) -> Task {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let output = self.output(raw.output, folder);
        let metrics = raw
            .metrics
            .iter()
            .filter_map(|name| self.metric(name))
            .collect();
        for (key, pointer) in [
            ("label_field", &raw.label_field),
            ("intent_field", &raw.intent_field),
            ("slots_field", &raw.slots_field),
        ] {
            self.pointer(key, pointer.as_deref());
        }
        if let Some(prompt) = &raw.prompt
            && let Err(error) = crate::prompt::check(prompt)
        {
            self.add("prompt", error, "the prompt is a Jinja template");
        }
        if raw
            .margin
            .is_some_and(|margin| !(0.0..1.0).contains(&margin))
        {
            let hint = "it is how much may be lost, as in 0.02";
            self.add("margin", "`margin` is not between 0 and 1".into(), hint);
        }
        if !(0.0..=2.0).contains(&raw.temperature) {
            let hint = "0 asks for the likeliest answer";
            let message = "`temperature` is not between 0 and 2".into();
            self.add("temperature", message, hint);
        }
        if raw
            .repeats
            .is_some_and(|repeats| !(1..=MOST_REPEATS).contains(&repeats))
        {
            let message = format!("`repeats` is not between 1 and {MOST_REPEATS}");
            self.add("repeats", message, "1 asks each row once");
        }
        for gate in &raw.gates {
            if let Err((message, hint)) = gate.check() {
                self.add("gates", message, hint);
            }
        }
        Task {
            name: raw.name,
            description: raw.description,
            data: folder.join(raw.data),
            output,
            metrics,
            prompt: raw.prompt,
            label_field: raw.label_field,
            intent_field: raw.intent_field.unwrap_or_else(|| "/intent".into()),
            slots_field: raw.slots_field.unwrap_or_else(|| "/slots".into()),
            examples: raw.examples.into_iter().map(example).collect(),
            split: raw.split,
            repeats: raw.repeats.unwrap_or(1),
            temperature: raw.temperature,
            slices: raw.slices.unwrap_or_else(|| SliceBy::ALL.to_vec()),
            robustness: raw.robustness,
            margin: raw.margin,
            gates: raw.gates,
            published: raw.published,
        }
    }

    fn output(&mut self, raw: RawOutput, folder: &Path) -> Output {
        let kind = OutputType::parse(&raw.kind).unwrap_or_else(|| {
            let hint = suggest::hint(&raw.kind, &OutputType::NAMES);
            self.add("type", format!("unknown output type `{}`", raw.kind), hint);
            OutputType::Text
        });
        let mut labels: Vec<String> = Vec::new();
        for label in raw.labels.iter().map(crate::rows::text_of) {
            if labels.contains(&label) {
                let message = format!("the label `{label}` is declared twice");
                self.add("labels", message, "remove one of them");
            } else {
                labels.push(label);
            }
        }
        let schema = raw.schema.and_then(|schema| self.schema(schema, folder));
        for (field, rule) in &raw.fields.0 {
            self.pointer("fields", Some(field));
            if let Err(message) = rule.check() {
                let hint = "`absolute` and `relative` go with `number`, `days` with `date`";
                self.add(field, format!("`{field}`: {message}"), hint);
            }
        }
        Output {
            kind,
            labels,
            schema,
            fields: raw.fields,
        }
    }

    /// A schema given in place, or as the path of a JSON file.
    fn schema(&mut self, schema: Value, folder: &Path) -> Option<Value> {
        let schema = match schema {
            Value::String(file) => {
                let read = std::fs::read_to_string(folder.join(&file))
                    .map_err(|error| error.to_string())
                    .and_then(|text| serde_json::from_str(&text).map_err(|e| e.to_string()));
                match read {
                    Ok(schema) => schema,
                    Err(error) => {
                        let message = format!("the schema `{file}` cannot be read: {error}");
                        self.add("schema", message, "give a schema or the path of one");
                        return None;
                    }
                }
            }
            given => given,
        };
        if let Err(error) = crate::schema::compile(&schema) {
            self.add(
                "schema",
                format!("the schema is invalid: {error}"),
                "write JSON Schema, Draft 2020-12",
            );
        }
        Some(schema)
    }

    fn metric(&mut self, name: &str) -> Option<Metric> {
        let found = Metric::parse(name);
        if found.is_none() {
            let hint = suggest::hint(name, &Metric::names());
            self.add("metrics", format!("unknown metric `{name}`"), hint);
        }
        found
    }

    fn pointer(&mut self, key: &str, pointer: Option<&str>) {
        if pointer.is_some_and(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
            let message = format!("`{key}` is not a JSON pointer");
            self.add(key, message, "begin it with `/`, as in `/category`");
        }
    }
}

fn example(raw: RawExample) -> Row {
    Row {
        input: Some(raw.input),
        target: raw.target,
        ..Row::default()
    }
}

/// Published metrics must be numbers under names that can be drawn beside ours.
pub(crate) fn metric_values<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, f64>, D::Error> {
    let values = BTreeMap::<String, f64>::deserialize(deserializer)?;
    for (name, value) in &values {
        if !value.is_finite() {
            return Err(serde::de::Error::custom(format!(
                "the published `{name}` is not a number"
            )));
        }
    }
    Ok(values)
}

fn unknown_keys(path: &Path, text: &str, yaml: &serde_yaml::Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    let Some(top) = yaml.as_mapping() else {
        return vec![Problem::new(
            path,
            1,
            "a task is a mapping of keys",
            format!(
                "write `name`, `data` and `output`; valid keys: `{}`",
                TASK_KEYS.join("`, `")
            ),
        )];
    };
    let mut check = |value: Option<&serde_yaml::Value>, place: &str, keys: &[&str]| {
        let Some(mapping) = value.and_then(serde_yaml::Value::as_mapping) else {
            return;
        };
        for key in mapping.keys() {
            let name = key
                .as_str()
                .map_or_else(|| format!("{key:?}"), String::from);
            if !keys.contains(&name.as_str()) {
                let message = format!("unknown key `{place}{name}`");
                let before = problems
                    .iter()
                    .filter(|known: &&Problem| known.message == message);
                let line = lines_of_key(text, &name).nth(before.count()).unwrap_or(0);
                problems.push(Problem::new(
                    path,
                    line,
                    message,
                    suggest::hint(&name, keys),
                ));
            }
        }
    };
    check(Some(yaml), "", TASK_KEYS);
    check(top.get("output"), "output.", OUTPUT_KEYS);
    check(top.get("robustness"), "robustness.", ROBUSTNESS_KEYS);
    for (list, keys) in [
        ("gates", Gate::KEYS),
        ("published", PUBLISHED_KEYS),
        ("examples", EXAMPLE_KEYS),
    ] {
        let items = top.get(list).and_then(serde_yaml::Value::as_sequence);
        for item in items.into_iter().flatten() {
            check(Some(item), &format!("{list}[]."), keys);
        }
    }
    problems
}

fn yaml_error(path: &Path, error: &serde_yaml::Error) -> EvalError {
    let (line, column) = error
        .location()
        .map_or((0, 0), |at| (at.line(), at.column()));
    let message = error.to_string();
    let message = message
        .split(" at line ")
        .next()
        .unwrap_or(&message)
        .to_string();
    let hint = if message.contains("missing field") {
        "a task needs `name`, `data` and `output: {type}`"
    } else {
        "see the documentation of task files for the form of each key"
    };
    EvalError::Problems(vec![
        Problem::new(path, line, message, hint).at_column(column),
    ])
}

/// The first line on which `key:` stands, or 0.
fn line_of_key(text: &str, key: &str) -> usize {
    lines_of_key(text, key).next().unwrap_or(0)
}

/// The lines on which a key is written, counted from 1.
fn lines_of_key<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = usize> + 'a {
    let written = move |line: &str| {
        let mut rest = line.trim_start().trim_start_matches("- ").trim_start();
        // Inside a flow mapping the key may follow a brace or a comma.
        loop {
            let bare = rest.trim_start_matches(['"', '\'', '{', ' ']);
            if let Some(after) = bare.strip_prefix(key)
                && after.trim_start_matches(['"', '\'']).starts_with(':')
            {
                return true;
            }
            match rest.find([',', '{']) {
                Some(at) => rest = rest[at + 1..].trim_start(),
                None => return false,
            }
        }
    };
    text.lines()
        .enumerate()
        .filter(move |(_, line)| !line.trim_start().starts_with('#') && written(line))
        .map(|(index, _)| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Task, String> {
        Task::parse(Path::new("evals/t.yaml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_task_reads_with_its_data_beside_it() {
        let task = parse(
            "name: triage\ndata: rows.jsonl\noutput:\n  type: label\n  labels: [a, b]\nmetrics: [label_macro_f1]\n",
        )
        .unwrap();
        assert_eq!(task.data, Path::new("evals/rows.jsonl"));
        assert_eq!(task.output.labels, ["a", "b"]);
        assert_eq!(task.metrics, [Metric::LabelMacroF1]);
        let task = parse("name: t\ndata: d\noutput: {type: label, labels: [1, true, no]}\n");
        assert_eq!(task.unwrap().output.labels, ["1", "true", "no"]);
    }

    #[test]
    fn rules_examples_and_robustness_are_read_and_checked() {
        let task = parse(
            "name: t\ndata: d\nmargin: 0.02\nslices: [length]\nexamples:\n  - {input: q, target: {a: 1}}\n\
             robustness: {kinds: [typos, near_miss], rows: 5}\noutput:\n  type: json\n  fields:\n    /total: {compare: number, absolute: 0.01}\n",
        )
        .unwrap();
        assert_eq!(task.output.fields.of("/total").absolute, 0.01);
        assert_eq!(task.examples[0].target_text(), "{\"a\":1}");
        assert_eq!(task.robustness.unwrap().rows, 5);
        assert_eq!(task.slices, [SliceBy::Length]);
        let error = parse(
            "name: t\ndata: d\nmargin: 2\noutput:\n  type: json\n  fields:\n    total: {compare: set, days: 3}\n",
        )
        .unwrap_err();
        for part in [
            "evals/t.yaml:3: `margin` is not between 0 and 1",
            "`fields` is not a JSON pointer",
            "evals/t.yaml:7: `total`: `days` does not go with this `compare`",
        ] {
            assert!(error.contains(part), "`{part}` is missing in:\n{error}");
        }
    }

    #[test]
    fn unknown_keys_are_told_with_line_and_suggestion() {
        let error = parse("name: t\ndata: d\noutput: {type: text, lables: []}\nmetrcs: []\n");
        assert_eq!(
            error.unwrap_err(),
            "evals/t.yaml:4: unknown key `metrcs`\nhint: did you mean `metrics`?\n\
             evals/t.yaml:3: unknown key `output.lables`\nhint: did you mean `labels`?"
        );
    }

    #[test]
    fn an_invalid_schema_metric_and_pointer_are_told_at_once() {
        let error = parse(
            "name: t\ndata: d\noutput:\n  type: json\n  schema: {type: objekt}\nmetrics: [field_f2]\nlabel_field: category\n",
        )
        .unwrap_err();
        assert!(
            error.contains("evals/t.yaml:5: the schema is invalid"),
            "{error}"
        );
        assert!(
            error.contains(
                "evals/t.yaml:6: unknown metric `field_f2`\nhint: did you mean `field_f1`?"
            ),
            "{error}"
        );
        assert!(
            error.contains("evals/t.yaml:7: `label_field` is not a JSON pointer"),
            "{error}"
        );
    }

    #[test]
    fn the_same_fault_twice_is_told_where_it_stands() {
        let error = parse(
            "name: n\ndata: d\noutput: {type: text}\ngates:\n  - {metric: exact_raw, min: 1}\n  - metric: exact_raw\n    min: 2\n",
        );
        let error = error.unwrap_err();
        assert!(
            error.contains("t.yaml:5: unknown key `gates[].min`"),
            "{error}"
        );
        assert!(
            error.contains("t.yaml:7: unknown key `gates[].min`"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_name_broken_yaml_and_missing_data_have_hints() {
        let error = parse("data: d\noutput: {type: text}\n").unwrap_err();
        assert!(error.contains("missing field `name`\nhint:"), "{error}");
        let error = parse("name: [\n").unwrap_err();
        assert!(
            error.contains("evals/t.yaml:2") && error.contains("hint:"),
            "{error}"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.yaml");
        std::fs::write(&path, "name: t\ndata: gone.jsonl\noutput: {type: text}\n").unwrap();
        let error = Task::load(&path).unwrap_err().to_string();
        assert!(error.contains("t.yaml:2: the data"), "{error}");
    }
}
