//! InstructLab's pipeline files (`version`, `blocks: [{name, type, config}]`) and prompt files
//! (`system`, `introduction`, `principles`, `examples`, `generation`, tags) as flows.
//!
//! An `LLMBlock` whose verdict the next block filters by becomes a judge, so that a verdict that
//! cannot be parsed is an outcome of its own. What is not supported is refused by name. Does not
//! know what blocks do.

mod files;

use self::files::*;
use super::pattern::pattern;
use super::prompt::{Prompt, PromptMessage};
use super::spec::*;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_yaml::{Mapping, Value as Yaml};
use std::collections::BTreeSet;
use std::path::Path;

/// What is wrong with a block: its name, the message, the hint.
type Fault = (String, String, String);
type Outcome<T> = Result<T, (String, String)>;

/// Columns that leaves fill, under the names that these files use.
const GIVEN: [&str; 16] = [
    "task_description",
    "domain",
    "document_outline",
    "document",
    "seed_question",
    "seed_response",
    "seed_context",
    "icl_document",
    "icl_query_1",
    "icl_query_2",
    "icl_query_3",
    "icl_response_1",
    "icl_response_2",
    "icl_response_3",
    "leaf",
    "labels",
];
/// The highest score that a judge is expected to give.
const HIGHEST_SCORE: u64 = 10;

/// Whether a YAML document is such a pipeline rather than a flow.
pub(super) fn is_pipeline(document: &Yaml) -> bool {
    document.get("blocks").is_some()
        && document.get("version").is_some()
        && document.get("metadata").is_none()
}

/// The metadata and blocks of a pipeline; `load` gives the text of a prompt file.
///
/// # Errors
/// All blocks that cannot be read.
pub(super) fn translate(
    path: &Path,
    document: Yaml,
    load: &mut dyn FnMut(&str) -> Outcome<String>,
) -> Result<(Metadata, Vec<Block>), Vec<Fault>> {
    let file: File = serde_yaml::from_value(document).map_err(|e| {
        vec![(
            String::new(),
            format!("not a pipeline: {e}"),
            "a pipeline has `version` and `blocks`, each block `name`, `type` and `config`".into(),
        )]
    })?;
    let mut translator = Translator {
        load,
        blocks: Vec::new(),
        made: BTreeSet::new(),
        required: Vec::new(),
    };
    let mut faults = Vec::new();
    let mut raws = file.blocks.into_iter().peekable();
    while let Some(raw) = raws.next() {
        let name = raw.name.clone();
        let drop_duplicates = raw.drop_duplicates.clone();
        let judged = raws
            .peek()
            .is_some_and(|next| translator.judges(&raw, next));
        let filter = judged.then(|| raws.next()).flatten();
        let done = match filter {
            Some(filter) => translator.judge(raw, filter),
            None => translator.block(raw),
        };
        match done {
            Ok(()) if !drop_duplicates.is_empty() => {
                let step = Step::Deduplicate(Deduplicate { similarity: 1.0 });
                translator.push(&format!("{name} (distinct)"), drop_duplicates, vec![], step);
            }
            Ok(()) => {}
            Err((message, hint)) => faults.push((name, message, hint)),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    translator.name_outputs();
    let name = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    let metadata = Metadata {
        name: name.unwrap_or_default(),
        description: "An InstructLab pipeline.".into(),
        dataset_requirements: Requirements {
            required_columns: translator.required,
            ..Requirements::default()
        },
        output_columns: vec!["question".into(), "answer".into()],
        ..Metadata::default()
    };
    Ok((metadata, translator.blocks))
}

struct Translator<'a> {
    load: &'a mut dyn FnMut(&str) -> Outcome<String>,
    blocks: Vec<Block>,
    /// Columns that blocks have made.
    made: BTreeSet<String>,
    /// Columns that leaves must fill.
    required: Vec<String>,
}

fn config<T: DeserializeOwned>(config: Mapping) -> Outcome<T> {
    serde_yaml::from_value(Yaml::Mapping(config)).map_err(|e| {
        let message = e.to_string();
        let hint = "docs/flows.md lists what is read of InstructLab's pipelines".to_owned();
        (format!("its `config`: {message}"), hint)
    })
}

fn refused(message: impl Into<String>, hint: impl Into<String>) -> (String, String) {
    (message.into(), hint.into())
}

impl Translator<'_> {
    fn push(&mut self, name: &str, inputs: Vec<String>, outputs: Vec<String>, step: Step) {
        for column in &inputs {
            let given = GIVEN.contains(&column.as_str()) && !self.made.contains(column);
            if given && !self.required.contains(column) {
                self.required.push(column.clone());
            }
        }
        self.made.extend(outputs.iter().cloned());
        let expected = match step {
            Step::Judge(_) => 0.8,
            _ => 1.0,
        };
        self.blocks.push(Block {
            name: name.to_owned(),
            inputs,
            outputs,
            min_share: 0.0,
            expected,
            step,
        });
    }

    /// Upstream calls an answer a response; its simple pipelines have both in one text, which it
    /// divides behind the first question mark.
    fn name_outputs(&mut self) {
        let column = |name: &str| vec![name.to_owned()];
        let has = |name: &str| self.made.contains(name);
        if has("response") && !has("answer") {
            let copy = Step::Transform(Transform::Copy);
            self.push(
                "response_to_answer",
                column("response"),
                column("answer"),
                copy,
            );
        } else if has("output") && !has("question") {
            let parse = Step::Parse(Parse {
                parsing_pattern: Some(r"(?s)\A(.*?\?)(.+)\z".to_owned()),
                ..Parse::default()
            });
            let both = vec!["question".to_owned(), "answer".to_owned()];
            self.push("divide_output", column("output"), both, parse);
        }
    }

    fn block(&mut self, raw: Raw) -> Outcome<()> {
        let name = raw.name;
        match raw.kind.as_str() {
            "LLMBlock" => self.llm(&name, config(raw.config)?),
            "FilterByValueBlock" => self.filter(&name, &config(raw.config)?),
            "CombineColumnsBlock" => {
                let Combine {
                    columns,
                    output_col,
                    separator,
                } = config(raw.config)?;
                let step = Step::Transform(Transform::Concat { separator });
                self.push(&name, columns, vec![output_col], step);
                Ok(())
            }
            "DuplicateColumnsBlock" | "RenameColumnsBlock" => {
                let map: ColumnsMap = config(raw.config)?;
                let pairs: Vec<(String, String)> = serde_yaml::from_value(Yaml::Sequence(
                    map.columns_map
                        .into_iter()
                        .map(|(from, to)| Yaml::Sequence(vec![from, to]))
                        .collect(),
                ))
                .map_err(|e| refused(format!("`columns_map`: {e}"), "give names of columns"))?;
                let (from, to) = pairs.into_iter().unzip();
                self.push(&name, from, to, Step::Transform(Transform::Copy));
                Ok(())
            }
            "FlattenColumnsBlock" => {
                let Flatten {
                    var_cols,
                    value_name,
                    var_name,
                } = config(raw.config)?;
                let step = Step::Transform(Transform::Flatten);
                self.push(&name, var_cols, vec![value_name, var_name], step);
                Ok(())
            }
            other => Err(refused(
                format!("blocks of the type `{other}` are not supported"),
                "LLMBlock, FilterByValueBlock, CombineColumnsBlock, DuplicateColumnsBlock, RenameColumnsBlock and FlattenColumnsBlock are; a flow in our own form (docs/flows.md) can do more",
            )),
        }
    }

    /// The prompt of a block with the marks in its answers.
    fn prompt(&mut self, config_path: &str) -> Outcome<(Prompt, PromptFile)> {
        let text = (self.load)(config_path)?;
        let file: PromptFile = serde_yaml::from_str(&text).map_err(|e| {
            refused(
                format!("its prompt `{config_path}`: {e}"),
                "a prompt has `system`, `introduction`, `principles`, `examples`, `generation`, `start_tags` and `end_tags`",
            )
        })?;
        let parts = [
            &file.system,
            &file.introduction,
            &file.principles,
            &file.examples,
            &file.generation,
        ];
        let parts: Vec<&str> = parts
            .iter()
            .map(|part| part.as_deref().unwrap_or_default())
            .collect();
        let message = PromptMessage {
            role: "user".into(),
            content: parts.join("\n"),
        };
        let prompt = Prompt::new(vec![message])
            .map_err(|m| refused(m, "see https://jinja.palletsprojects.com for the syntax"))?;
        Ok((prompt, file))
    }

    /// Sets the number of samples that prompts ask for, as upstream does: the first one stays.
    fn samples(&mut self, name: &str, llm: &Llm) {
        if let (Some(count), false) = (
            llm.batch_kwargs.num_samples,
            self.made.contains("num_samples"),
        ) {
            let value = Value::from(count.to_string());
            let step = Step::Transform(Transform::Set { value });
            self.push(
                &format!("{name} (num_samples)"),
                vec![],
                vec!["num_samples".into()],
                step,
            );
        }
    }

    fn llm(&mut self, name: &str, llm: Llm) -> Outcome<()> {
        if llm
            .model_prompt
            .as_deref()
            .is_some_and(|text| !text.is_empty())
        {
            return Err(refused(
                "`model_prompt` is not supported: the server applies its own chat template",
                "leave it out",
            ));
        }
        self.samples(name, &llm);
        let (prompt, file) = self.prompt(&llm.config_path)?;
        let inputs: Vec<String> = prompt.variables().into_iter().collect();
        let asking = asking(&llm.gen_kwargs);
        let n = match &llm.gen_kwargs.n {
            None => 1,
            Some(Yaml::String(word)) if word == "scaled" => 1,
            Some(Yaml::Number(n)) => n.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
            Some(_) => {
                return Err(refused(
                    "`n` is neither a number nor `scaled`",
                    "give a number",
                ));
            }
        };
        let generate = |prompt| {
            Step::Generate(Generate {
                prompt,
                asking: asking.clone(),
                n,
                response: Response::Text,
            })
        };
        let bare = llm.output_cols.len() == 1
            && llm.parser_kwargs.parser_name.is_none()
            && file
                .start_tags
                .iter()
                .chain(&file.end_tags)
                .all(String::is_empty);
        if bare {
            self.push(name, inputs, llm.output_cols, generate(prompt));
            return Ok(());
        }
        let raw = format!("{name}__raw");
        self.push(name, inputs, vec![raw.clone()], generate(prompt));
        let parse = match llm.parser_kwargs.parser_name.as_deref() {
            None => Parse {
                start_tags: file.start_tags,
                end_tags: file.end_tags,
                ..Parse::default()
            },
            Some("custom") => Parse {
                // Python's DOTALL.
                parsing_pattern: llm
                    .parser_kwargs
                    .parsing_pattern
                    .map(|text| format!("(?s){text}")),
                parser_cleanup_tags: llm.parser_kwargs.parser_cleanup_tags,
                ..Parse::default()
            },
            Some(other) => {
                return Err(refused(
                    format!("the parser `{other}` is not supported"),
                    "`custom` is, and tags are",
                ));
            }
        };
        self.push(
            &format!("{name} (parse)"),
            vec![raw],
            llm.output_cols,
            Step::Parse(parse),
        );
        Ok(())
    }

    fn filter(&mut self, name: &str, filter: &FilterConfig) -> Outcome<()> {
        let values = values(filter)?;
        let column = || vec![filter.filter_column.clone()];
        let numeric = filter.convert_dtype.is_some();
        let steps: Vec<(Operation, Value)> = match (filter.operation, values.as_slice(), numeric) {
            (Operation::Eq, [value], true) => vec![
                (Operation::Ge, value.clone()),
                (Operation::Le, value.clone()),
            ],
            (Operation::Eq, _, false) => vec![(Operation::In, values.into())],
            (Operation::Ne | Operation::Contains, [value], false) => {
                vec![(filter.operation, value.clone())]
            }
            (Operation::Lt | Operation::Le | Operation::Gt | Operation::Ge, [value], _) => {
                vec![(filter.operation, value.clone())]
            }
            _ => {
                return Err(refused(
                    "this operation with these values is not supported",
                    "`eq`, `ne`, `contains` and comparisons with one value are, and `eq` with several texts",
                ));
            }
        };
        for (n, (operation, filter_value)) in steps.into_iter().enumerate() {
            let name = if n == 0 {
                name.to_owned()
            } else {
                format!("{name} ({n})")
            };
            let step = Step::Filter(Filter {
                operation,
                filter_value,
            });
            self.push(&name, column(), vec![], step);
        }
        Ok(())
    }

    /// Whether a block asks for a verdict that the next one filters by.
    fn judges(&self, raw: &Raw, next: &Raw) -> bool {
        let column = next.config.get("filter_column").and_then(Yaml::as_str);
        let columns = raw.config.get("output_cols").and_then(Yaml::as_sequence);
        raw.kind == "LLMBlock"
            && next.kind == "FilterByValueBlock"
            && raw.drop_duplicates.is_empty()
            && !raw.config.contains_key("parser_kwargs")
            && columns.is_some_and(|columns| columns.iter().any(|c| c.as_str() == column))
    }

    fn judge(&mut self, raw: Raw, filter: Raw) -> Outcome<()> {
        let llm: Llm = config(raw.config)?;
        let filter: FilterConfig = config(filter.config)?;
        self.samples(&raw.name, &llm);
        let (prompt, file) = self.prompt(&llm.config_path)?;
        let place = llm
            .output_cols
            .iter()
            .position(|column| *column == filter.filter_column)
            .unwrap_or(0);
        let (Some(start), Some(end)) = (file.start_tags.get(place), file.end_tags.get(place))
        else {
            return Err(refused(
                format!(
                    "its prompt `{}` has no tags for `{}`",
                    llm.config_path, filter.filter_column
                ),
                "give a start and an end tag for each output column",
            ));
        };
        let verdict_pattern = format!(
            r"(?s){}\s*(.*?)\s*{}",
            regex::escape(start),
            match end.is_empty() {
                true => r"\z".to_owned(),
                false => regex::escape(end),
            }
        );
        let verdict_pattern = pattern(&verdict_pattern)?;
        let (verdicts, accept) = verdicts(&filter)?;
        let inputs: Vec<String> = prompt.variables().into_iter().collect();
        let step = Step::Judge(Judge {
            prompt,
            asking: asking(&llm.gen_kwargs),
            verdict_pattern,
            accept,
            verdicts,
            uncalibrated: false,
        });
        self.push(&raw.name, inputs, vec![filter.filter_column], step);
        Ok(())
    }
}

fn asking(kwargs: &GenerateKwargs) -> Asking {
    Asking {
        max_tokens: kwargs.max_tokens.unwrap_or(4096),
        temperature: kwargs.temperature,
    }
}

/// The values of a filter, one or several.
fn values(filter: &FilterConfig) -> Outcome<Vec<Value>> {
    let given = match &filter.filter_value {
        Yaml::Sequence(values) => values.clone(),
        value => vec![value.clone()],
    };
    let json = |value| {
        serde_json::to_value(value)
            .map_err(|e| refused(format!("`filter_value`: {e}"), "give texts or numbers"))
    };
    given.into_iter().map(json).collect()
}

/// All verdicts that there are, and those that pass.
fn verdicts(filter: &FilterConfig) -> Outcome<(Vec<Value>, Vec<Value>)> {
    let wanted = values(filter)?;
    let unsupported = || {
        refused(
            "a verdict is compared in a way that is not supported",
            "`eq` with texts, and `eq`, `lt`, `le`, `gt`, `ge` with a number are",
        )
    };
    let numbers: Option<Vec<f64>> = wanted.iter().map(Value::as_f64).collect();
    let Some(numbers) = numbers else {
        let mut all = wanted.clone();
        let is_yes = wanted.iter().any(|value| {
            value
                .as_str()
                .is_some_and(|v| v.eq_ignore_ascii_case("yes"))
        });
        all.extend(is_yes.then(|| Value::from("NO")));
        return match filter.operation {
            Operation::Eq => Ok((all, wanted)),
            _ => Err(unsupported()),
        };
    };
    let passes = |score: f64| {
        numbers.iter().any(|wanted| match filter.operation {
            Operation::Eq => score == *wanted,
            Operation::Lt => score < *wanted,
            Operation::Le => score <= *wanted,
            Operation::Gt => score > *wanted,
            Operation::Ge => score >= *wanted,
            _ => false,
        })
    };
    let all: Vec<u64> = (0..=HIGHEST_SCORE).collect();
    let accept: Vec<Value> = all
        .iter()
        .filter(|score| passes(**score as f64))
        .map(|score| (*score).into())
        .collect();
    match accept.is_empty() {
        true => Err(unsupported()),
        false => Ok((all.into_iter().map(Value::from).collect(), accept)),
    }
}

#[cfg(test)]
mod tests;
