//! `slm data inspect`: counts, lengths and a row of a dataset, in characters and, for a model,
//! in tokens.
//!
//! Streams the file, so its size does not matter. Does not know how rows become tokens.

mod tokens;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use slm_data::{Format, Plain, Sample, SampleReader, read_all_as};

use crate::commands::Context;
use crate::failure::Failure;
use tokens::{Measure, TokenSummary};

/// Arguments of `slm data inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// A dataset (JSONL or Parquet): messages, sharegpt, prompt-completion, alpaca or text
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show the row with this id in full
    #[arg(long, value_name = "ID")]
    row: Option<String>,
    /// Show what this model would learn of the rows, in tokens: a name in the workspace, or a
    /// folder with a tokenizer
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Count rows as over-long beyond this many tokens [default: the model's context]
    #[arg(long, value_name = "TOKENS", requires = "model")]
    max_length: Option<usize>,
    /// How the rows are written [default: told by the first row]
    #[arg(long, value_name = "FORMAT", value_parser = format_of)]
    data_format: Option<Format>,
}

/// What a dataset holds.
#[derive(Debug, Serialize)]
struct Summary {
    rows: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_format: Option<Format>,
    leaves: BTreeMap<String, usize>,
    teachers: BTreeMap<String, usize>,
    question_characters: Lengths,
    answer_characters: Lengths,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<TokenSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<Sample>,
}

/// Percentiles of lengths.
#[derive(Debug, Default, Serialize)]
pub(super) struct Lengths {
    p50: usize,
    p90: usize,
    p99: usize,
    max: usize,
}

/// A format by its name on the command line.
pub fn format_of(name: &str) -> Result<Format, String> {
    let found = Format::NAMES.into_iter().find(|(_, known)| *known == name);
    found.map(|(format, _)| format).ok_or_else(|| {
        let names = Format::NAMES.map(|(_, name)| name).join(", ");
        format!("formats are {names}")
    })
}

impl Inspect {
    /// Reads the dataset and prints its summary.
    pub fn run(self, context: &Context) -> Result<()> {
        let measure = match &self.model {
            Some(model) => Some(Measure::load(
                &context.workspace.model(model)?,
                self.max_length,
            )?),
            None => None,
        };
        let summary = self.summarize(measure)?;
        if let Some(tokens) = &summary.tokens {
            tokens.warn(&self.file, &context.terminal);
        }
        if context.terminal.is_json() {
            context.terminal.json(&summary)
        } else {
            let colour = context.terminal.paints_data();
            context.terminal.data(&summary.as_text(colour))
        }
    }

    fn summarize(&self, mut measure: Option<Measure>) -> Result<Summary> {
        let mut leaves = BTreeMap::new();
        let mut teachers = BTreeMap::new();
        let (mut questions, mut answers) = (Vec::new(), Vec::new());
        let mut shown = None;
        let mut reader = SampleReader::open_as(&self.file, self.data_format)?;
        while let Some(sample) = reader.next() {
            let Ok(sample) = sample else {
                // A second reading tells every bad row.
                return Err(read_all_as(&self.file, self.data_format)
                    .map(drop)
                    .err()
                    .map_or_else(|| changed(&self.file).into(), Into::into));
            };
            *leaves
                .entry(sample.leaf().unwrap_or("none").to_owned())
                .or_insert(0) += 1;
            *teachers.entry(teacher(&sample)).or_insert(0) += 1;
            questions.push(characters(sample.question()));
            let learned = sample.plain.as_ref().map(Plain::learned);
            answers.push(characters(sample.answer().or(learned)));
            let wanted = match &self.row {
                Some(id) => sample.id == *id,
                None => shown.is_none(),
            };
            if let Some(measure) = &mut measure {
                measure.add(&sample, reader.line(), wanted);
            }
            if wanted {
                shown = Some(sample);
            }
        }
        if let (Some(id), None) = (&self.row, &shown) {
            return Err(
                Failure::new(format!("`{}` has no row `{id}`", self.file.display()))
                    .hint("without `--row` the first row is shown, with its id")
                    .into(),
            );
        }
        Ok(Summary {
            rows: questions.len(),
            data_format: reader.format(),
            leaves,
            teachers,
            question_characters: Lengths::of(questions),
            answer_characters: Lengths::of(answers),
            tokens: measure.map(Measure::finish),
            row: shown,
        })
    }
}

fn changed(file: &std::path::Path) -> Failure {
    Failure::new(format!("`{}` changed while it was read", file.display()))
        .hint("run the command again when nothing writes to it")
}

fn characters(text: Option<&str>) -> usize {
    text.map_or(0, |text| text.chars().count())
}

fn teacher(sample: &Sample) -> String {
    let name = sample
        .metadata
        .get("teacher")
        .and_then(|name| name.as_str());
    name.unwrap_or("unknown").to_owned()
}

impl Lengths {
    fn of(mut lengths: Vec<usize>) -> Self {
        lengths.sort_unstable();
        let Some(&max) = lengths.last() else {
            return Self::default();
        };
        let at = |share: f64| lengths[((lengths.len() - 1) as f64 * share).round() as usize];
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max,
        }
    }

    fn as_text(&self, unit: &str) -> String {
        format!(
            "p50 {}, p90 {}, p99 {}, max {} {unit}",
            self.p50, self.p90, self.p99, self.max
        )
    }
}

impl Summary {
    fn as_text(&self, colour: bool) -> String {
        let mut text = format!("rows      {}\n", self.rows);
        if let Some(format) = self.data_format {
            text.push_str(&format!("format    {}\n", format.name()));
        }
        let characters = "characters";
        text.push_str(&format!(
            "questions {}\n",
            self.question_characters.as_text(characters)
        ));
        text.push_str(&format!(
            "answers   {}\n",
            self.answer_characters.as_text(characters)
        ));
        if let Some(tokens) = &self.tokens {
            text.push_str(&tokens.as_text());
        }
        for (title, counts) in [("leaves", &self.leaves), ("teachers", &self.teachers)] {
            text.push_str(&format!("{title}\n"));
            for (name, count) in counts {
                text.push_str(&format!("  {count:>7}  {name}\n"));
            }
        }
        match (&self.row, &self.tokens) {
            (Some(row), Some(tokens)) => text.push_str(&tokens.shown_text(&row.id, colour)),
            (Some(row), None) => text.push_str(&row_text(row)),
            (None, _) => {}
        }
        text
    }
}

fn row_text(row: &Sample) -> String {
    let mut text = format!("row `{}`\n", row.id);
    let mut part = |title: &str, content: &str| {
        text.push_str(&format!("  {title}:\n"));
        for line in content.lines() {
            text.push_str(&format!("    {}\n", tokens::printable(line)));
        }
    };
    match &row.plain {
        Some(Plain::Pair { prompt, completion }) => {
            part("prompt", prompt);
            part("completion", completion);
        }
        Some(Plain::Text { text }) => part("text", text),
        None => {}
    }
    for message in &row.messages {
        part(message.role.name(), &message.content);
        if let Some(calls) = message.more.get("tool_calls") {
            part("calls", &calls.to_string());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_few_lengths() {
        let lengths = Lengths::of(vec![4, 1, 3, 2, 5]);
        assert_eq!(
            (lengths.p50, lengths.p90, lengths.p99, lengths.max),
            (3, 5, 5, 5)
        );
        assert_eq!(Lengths::of(Vec::new()).max, 0);
    }

    #[test]
    fn formats_have_names() {
        assert_eq!(format_of("alpaca"), Ok(Format::Alpaca));
        assert!(format_of("csv").unwrap_err().contains("prompt-completion"));
    }
}
