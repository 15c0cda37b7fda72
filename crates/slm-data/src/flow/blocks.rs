//! What each block does to one row.
//!
//! Does not know order among rows: what looks at several, `deduplicate`, is the engine's.

use super::perturb::variant;
use super::prompt::PromptMessage;
use super::row::{Call, Judgment, Row};
use super::spec::*;
use crate::hash::fnv1a;
use crate::parallel::all_at_once;
use crate::scan::scan;
use crate::synthesize::answer::{AnswerChecker, unfenced};
use crate::teacher::{AskFault, ChatAnswer, ChatRequest, ChatTeacher, Gate, address};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why rows are dropped, in words that repeat.
pub mod reasons {
    #![allow(missing_docs)]
    pub const REFUSED: &str = "the teacher refused";
    pub const CUT_OFF: &str = "the answer is cut off";
    pub const EMPTY: &str = "the answer is empty";
    pub const PROMPT: &str = "the prompt cannot be rendered";
    pub const UNPARSABLE: &str = "the text cannot be parsed";
    pub const NO_VERDICT: &str = "the judge's verdict cannot be parsed";
    pub const REJECTED: &str = "the judge rejected it";
    pub const FILTERED: &str = "the filter does not hold";
    pub const NOT_A_NUMBER: &str = "the filter needs a number and finds none";
    pub const NOT_SAMPLED: &str = "not drawn";
    pub const NEAR_DUPLICATE: &str = "a row like it was made before";
    pub const NO_VARIANT: &str = "it has no such variant";
    pub const BAD_OUTPUT: &str = "the answer does not fit the leaf's output";
    pub const SURPLUS: &str = "more rows than were asked for";
}

/// A row after a block.
pub(super) enum Passed {
    Kept(Row),
    Dropped {
        row: Row,
        reason: &'static str,
        detail: Option<String>,
    },
}

fn dropped(row: Row, reason: &'static str, detail: impl Into<String>) -> Passed {
    let detail = detail.into();
    Passed::Dropped {
        row,
        reason,
        detail: (!detail.is_empty()).then_some(detail),
    }
}

/// What blocks work with.
pub(super) struct Bench<'a> {
    pub teacher: &'a dyn ChatTeacher,
    pub checker: &'a AnswerChecker,
    /// The shape of `{question, answer}` for this leaf.
    pub leaf_schema: Value,
    pub seed: u64,
    /// Judges that nobody has measured.
    pub uncalibrated: &'a BTreeSet<String>,
    /// Lets only so many ask at once.
    pub gate: &'a Gate,
    /// Whether nothing is wanted any more.
    pub stopped: &'a AtomicBool,
}

impl Bench<'_> {
    /// Runs one block on one row. `turn` is the block's place in the flow: where questions to the
    /// teacher must wait, earlier blocks go first, so that the end is left to rows that have no
    /// further question before them, of which many can be asked at once.
    ///
    /// # Errors
    /// The teacher can be asked no more.
    pub fn run(&self, turn: usize, block: &Block, row: Row) -> Result<Vec<Passed>, AskFault> {
        match &block.step {
            Step::Generate(generate) => self.generate(turn, block, generate, row),
            Step::Judge(judge) => self
                .judge(turn, block, judge, row)
                .map(|passed| vec![passed]),
            Step::Parse(parse) => Ok(self::parse(block, parse, row)),
            Step::Filter(filter) => Ok(vec![self.filter(block, filter, row)]),
            Step::Transform(transform) => Ok(self.transform(block, transform, row)),
            Step::Sample(Sampling {
                share: Some(share), ..
            }) => Ok(vec![self.draw(block, *share, row)]),
            Step::Sample(_) | Step::Deduplicate(_) => Ok(vec![Passed::Kept(row)]),
        }
    }

    /// A number that belongs to this row, block and attempt, small enough for every server.
    fn number(&self, block: &Block, row: &Row, attempt: u32) -> u64 {
        let name = format!("{}\0{}\0{attempt}\0{}", row.id, block.name, self.seed);
        fnv1a(name.as_bytes()) & 0x7fff_ffff
    }

    fn request(
        &self,
        asking: &Asking,
        messages: Vec<PromptMessage>,
        seed: u64,
        schema: Option<Value>,
    ) -> ChatRequest {
        ChatRequest {
            messages,
            max_tokens: asking.max_tokens,
            temperature: asking.temperature,
            seed,
            schema,
            tools: Vec::new(),
        }
    }

    /// Asks, and notes it in the row.
    fn ask(
        &self,
        turn: usize,
        block: &Block,
        prompt: &str,
        request: &ChatRequest,
        row: &mut Row,
    ) -> Result<ChatAnswer, AskFault> {
        row.trace.calls.push(Call {
            block: block.name.clone(),
            prompt: prompt[..12.min(prompt.len())].to_owned(),
            key: address(self.teacher, request),
            settings: json!({"max_tokens": request.max_tokens, "temperature": request.temperature, "seed": request.seed}),
        });
        self.gate
            .pass(turn, || match self.stopped.load(Ordering::Acquire) {
                true => Err(AskFault::Stopped {
                    message: "the run has ended".to_owned(),
                    hint: "see what ended it".to_owned(),
                }),
                false => self.teacher.ask(request),
            })
    }

    fn generate(
        &self,
        turn: usize,
        block: &Block,
        generate: &Generate,
        row: Row,
    ) -> Result<Vec<Passed>, AskFault> {
        let messages = match generate.prompt.render(&inputs(block, &row)) {
            Ok(messages) => messages,
            Err(fault) => return Ok(vec![dropped(row, reasons::PROMPT, fault)]),
        };
        let schema = match &generate.response {
            Response::Text => None,
            Response::Schema(schema) => Some(schema.clone()),
            Response::Leaf => Some(self.leaf_schema.clone()),
        };
        let answer = |attempt: u32| {
            let mut child = row.clone();
            if generate.n > 1 {
                child.id = format!("{}.{attempt}", row.id);
            }
            let seed = self.number(block, &row, attempt);
            let request = self.request(&generate.asking, messages.clone(), seed, schema.clone());
            match self.ask(turn, block, &generate.prompt.hash, &request, &mut child) {
                Ok(answer) => Ok(answered(block, child, answer)),
                Err(AskFault::Refused(why)) => Ok(dropped(child, reasons::REFUSED, why)),
                Err(stopped) => Err(stopped),
            }
        };
        all_at_once((0..generate.n).collect(), answer)
    }

    fn judge(
        &self,
        turn: usize,
        block: &Block,
        judge: &Judge,
        mut row: Row,
    ) -> Result<Passed, AskFault> {
        let messages = match judge.prompt.render(&inputs(block, &row)) {
            Ok(messages) => messages,
            Err(fault) => return Ok(dropped(row, reasons::PROMPT, fault)),
        };
        let request = self.request(&judge.asking, messages, self.number(block, &row, 0), None);
        let text = match self.ask(turn, block, &judge.prompt.hash, &request, &mut row) {
            Ok(answer) => answer.text,
            Err(AskFault::Refused(why)) => return Ok(dropped(row, reasons::REFUSED, why)),
            Err(stopped) => return Err(stopped),
        };
        let verdict = verdict(judge, &text);
        row.trace.judgments.push(Judgment {
            block: block.name.clone(),
            text: text.clone(),
            verdict: verdict.clone(),
            uncalibrated: self.uncalibrated.contains(&block.name),
        });
        let Some(verdict) = verdict else {
            return Ok(dropped(row, reasons::NO_VERDICT, start_of(&text)));
        };
        if let Some(column) = block.outputs.first() {
            row.columns.insert(column.clone(), verdict.clone());
        }
        Ok(match judge.accept.contains(&verdict) {
            true => Passed::Kept(row),
            false => dropped(row, reasons::REJECTED, format!("verdict {verdict}")),
        })
    }

    fn draw(&self, block: &Block, share: f64, row: Row) -> Passed {
        let drawn = self.number(block, &row, 0) as f64 / f64::from(0x8000_0000u32);
        match drawn < share {
            true => Passed::Kept(row),
            false => dropped(row, reasons::NOT_SAMPLED, ""),
        }
    }

    fn filter(&self, block: &Block, filter: &Filter, row: Row) -> Passed {
        for column in &block.inputs {
            let fault = match filter.operation {
                Operation::FitsOutput => self
                    .misfit(&row.text(column))
                    .map(|fault| (reasons::BAD_OUTPUT, fault)),
                _ => unmet(filter, &row.text(column)),
            };
            if let Some((reason, detail)) = fault {
                return dropped(row, reason, format!("`{column}`: {detail}"));
            }
        }
        Passed::Kept(row)
    }

    /// What keeps a text from being an answer of the leaf.
    pub fn misfit(&self, answer: &str) -> Option<String> {
        self.checker
            .parse_written(answer)
            .and_then(|value| self.checker.check(&value))
            .err()
    }

    fn transform(&self, block: &Block, transform: &Transform, mut row: Row) -> Vec<Passed> {
        let output = || block.outputs[0].clone();
        match transform {
            Transform::Copy => {
                // All are read before one is written, so that columns can change places.
                let values = inputs(block, &row);
                for (from, to) in block.inputs.iter().zip(&block.outputs) {
                    let value = values.get(from).cloned().unwrap_or_default();
                    row.columns.insert(to.clone(), value);
                }
            }
            Transform::Flatten => {
                let part = |column: &String| {
                    let value = row.columns.get(column).cloned().unwrap_or_default();
                    let name = Value::from(column.as_str());
                    let names = block.outputs.iter().cloned();
                    names.zip([value, name]).collect()
                };
                let parts = block.inputs.iter().map(part).collect();
                return children(row, parts);
            }
            Transform::Concat { separator } => {
                let texts: Vec<String> =
                    block.inputs.iter().map(|column| row.text(column)).collect();
                row.columns.insert(output(), texts.join(separator).into());
            }
            Transform::Set { value } => {
                for column in &block.outputs {
                    row.columns.insert(column.clone(), value.clone());
                }
            }
            Transform::Template { template } => match template.render(&inputs(block, &row)) {
                Ok(messages) => {
                    row.columns.insert(
                        output(),
                        messages
                            .into_iter()
                            .map(|m| m.content)
                            .collect::<String>()
                            .into(),
                    );
                }
                Err(fault) => return vec![dropped(row, reasons::PROMPT, fault)],
            },
            Transform::Map { values } => {
                let text = row.text(&block.inputs[0]);
                let value = values.get(&text).cloned().unwrap_or(Value::String(text));
                row.columns.insert(output(), value);
            }
            Transform::Explode => {
                let items = match row.columns.get(&block.inputs[0]) {
                    Some(Value::Array(items)) if !items.is_empty() => items.clone(),
                    _ => {
                        return vec![dropped(
                            row,
                            reasons::UNPARSABLE,
                            format!("`{}` is no list, or an empty one", block.inputs[0]),
                        )];
                    }
                };
                return children(
                    row,
                    items
                        .into_iter()
                        .map(|item| vec![(output(), item)])
                        .collect(),
                );
            }
            Transform::Perturb { variants } => return self.perturb(block, variants, row),
        }
        vec![Passed::Kept(row)]
    }

    fn perturb(&self, block: &Block, variants: &[Variant], row: Row) -> Vec<Passed> {
        let text = row.text(&block.inputs[0]);
        let answer = [row.text("answer"), row.text("seed_answer")].join(" ");
        let made = variants.iter().enumerate().map(|(n, kind)| {
            let mut child = row.clone();
            child.id = format!("{}.{n}", row.id);
            match variant(*kind, &text, &answer, self.number(block, &row, n as u32)) {
                Some(text) => {
                    child.columns.insert(block.outputs[0].clone(), text.into());
                    Passed::Kept(child)
                }
                None => dropped(
                    child,
                    reasons::NO_VARIANT,
                    format!("{kind:?}").to_lowercase(),
                ),
            }
        });
        made.collect()
    }
}

/// The columns that a block may read.
fn inputs(block: &Block, row: &Row) -> serde_json::Map<String, Value> {
    let value = |column: &String| {
        (
            column.clone(),
            row.columns.get(column).cloned().unwrap_or_default(),
        )
    };
    block.inputs.iter().map(value).collect()
}

fn answered(block: &Block, mut row: Row, answer: ChatAnswer) -> Passed {
    let text = answer.text.trim();
    if answer.finish_reason.as_deref() == Some("length") {
        return dropped(row, reasons::CUT_OFF, start_of(text));
    }
    if matches!(
        answer.finish_reason.as_deref(),
        Some("content_filter" | "refusal")
    ) {
        return dropped(row, reasons::REFUSED, start_of(text));
    }
    if text.is_empty() {
        return dropped(row, reasons::EMPTY, "");
    }
    row.columns.insert(block.outputs[0].clone(), text.into());
    Passed::Kept(row)
}

/// The beginning of a text, for a detail.
fn start_of(text: &str) -> String {
    text.chars().take(200).collect()
}

/// Rows that a row divides into, each with some columns more.
fn children(row: Row, parts: Vec<Vec<(String, Value)>>) -> Vec<Passed> {
    let alone = parts.len() == 1;
    let child = |(n, columns): (usize, Vec<(String, Value)>)| {
        let mut child = row.clone();
        if !alone {
            child.id = format!("{}.{n}", row.id);
        }
        child.columns.extend(columns);
        Passed::Kept(child)
    };
    parts.into_iter().enumerate().map(child).collect()
}

fn parse(block: &Block, parse: &Parse, row: Row) -> Vec<Passed> {
    let text = row.text(&block.inputs[0]);
    let found = if parse.json {
        parse_json(&text, &block.outputs)
    } else if let Some(pattern) = &parse.parsing_pattern {
        // It compiled when the flow was checked.
        super::pattern::Pattern::new(pattern)
            .map(|pattern| parse_pattern(&text, &pattern, &parse.parser_cleanup_tags))
            .unwrap_or_default()
    } else {
        parse_tags(&text, parse)
    };
    let found: Vec<Vec<Value>> = found
        .into_iter()
        .filter(|values| values.iter().all(is_filled))
        .collect();
    if found.is_empty() {
        return vec![dropped(row, reasons::UNPARSABLE, start_of(&text))];
    }
    let name = |values: Vec<Value>| block.outputs.iter().cloned().zip(values).collect();
    children(row, found.into_iter().map(name).collect())
}

fn is_filled(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        other => !other.is_null(),
    }
}

/// An object, or a list of them, with a value for every column; a code fence around it is cut.
fn parse_json(text: &str, columns: &[String]) -> Vec<Vec<Value>> {
    let items = match serde_json::from_str::<Value>(unfenced(text)) {
        Ok(Value::Array(items)) => items,
        Ok(item @ Value::Object(_)) => vec![item],
        _ => return Vec::new(),
    };
    let values = |item: Value| {
        columns
            .iter()
            .map(|column| item.get(column).cloned())
            .collect::<Option<Vec<Value>>>()
    };
    items.into_iter().filter_map(values).collect()
}

fn parse_pattern(text: &str, pattern: &super::pattern::Pattern, cut: &[String]) -> Vec<Vec<Value>> {
    let clean = |found: &str| {
        let cleaned = cut
            .iter()
            .fold(found.to_owned(), |text, tag| text.replace(tag, ""));
        cleaned.trim().into()
    };
    let rows = pattern.find_all(text).into_iter();
    rows.map(|groups| groups.into_iter().map(clean).collect())
        .collect()
}

/// Texts between marks, one after the other; the marks of all columns make one row.
fn parse_tags(text: &str, parse: &Parse) -> Vec<Vec<Value>> {
    let mut rows = Vec::new();
    let mut rest = text;
    'rows: loop {
        let mut values = Vec::new();
        for (n, start) in parse.start_tags.iter().enumerate() {
            let Some(at) = rest.find(start.as_str()) else {
                break 'rows;
            };
            rest = &rest[at + start.len()..];
            let end = parse.end_tags[n].as_str();
            let next = parse.start_tags.get(n + 1).unwrap_or(&parse.start_tags[0]);
            let length = match end.is_empty() {
                true => rest.find(next.as_str()).unwrap_or(rest.len()),
                false => match rest.find(end) {
                    Some(length) => length,
                    None => break 'rows,
                },
            };
            values.push(rest[..length].trim().into());
            rest = &rest[length + end.len()..];
        }
        rows.push(values);
    }
    rows
}

/// The verdict in a judge's words: the last match of the pattern that is one of the verdicts.
fn verdict(judge: &Judge, text: &str) -> Option<Value> {
    let said = judge
        .verdict_pattern
        .captures_iter(text)
        .last()?
        .get(1)?
        .as_str()
        .trim()
        .to_owned();
    let same = |verdict: &&Value| match (number(verdict), said.parse::<f64>()) {
        (Some(verdict), Ok(said)) => verdict == said,
        _ => verdict
            .as_str()
            .is_some_and(|verdict| verdict.eq_ignore_ascii_case(&said)),
    };
    judge.verdicts.iter().find(same).cloned()
}

/// The number that a value is or writes.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Why a text does not meet a filter.
fn unmet(filter: &Filter, text: &str) -> Option<(&'static str, String)> {
    use Operation::*;
    let value = &filter.filter_value;
    let shown = || format!("`{}`", start_of(text));
    let words = text.split_whitespace().count() as f64;
    let limit = number(value).unwrap_or(f64::NAN);
    let holds = match filter.operation {
        Eq => text == plain(value),
        Ne => text != plain(value),
        Contains => text.contains(&plain(value)),
        NotContains => !text.contains(&plain(value)),
        In => value
            .as_array()
            .is_some_and(|values| values.iter().any(|v| plain(v) == text)),
        MinWords => words >= limit,
        MaxWords => words <= limit,
        NoPersonalData => {
            let found = scan(text).first().map(|(finding, _)| finding.label());
            return found.map(|found| (reasons::FILTERED, format!("it holds {found}")));
        }
        FitsOutput => true,
        Lt | Le | Gt | Ge => {
            let Ok(number) = text.trim().parse::<f64>() else {
                return Some((reasons::NOT_A_NUMBER, shown()));
            };
            match filter.operation {
                Lt => number < limit,
                Le => number <= limit,
                Gt => number > limit,
                _ => number >= limit,
            }
        }
    };
    (!holds).then(|| (reasons::FILTERED, shown()))
}

#[cfg(test)]
#[path = "blocks_tests.rs"]
mod tests;
