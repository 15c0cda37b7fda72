//! `slm data inspect`: counts, lengths and a row of a dataset.
//!
//! Streams the file, so its size does not matter. Does not know tokens.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use slm_data::{Sample, SampleReader};

use crate::commands::Context;
use crate::failure::Failure;

/// Arguments of `slm data inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// A dataset (JSONL)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show the row with this id in full
    #[arg(long, value_name = "ID")]
    row: Option<String>,
}

/// What a dataset holds.
#[derive(Debug, Serialize)]
struct Summary {
    rows: usize,
    leaves: BTreeMap<String, usize>,
    teachers: BTreeMap<String, usize>,
    question_characters: Lengths,
    answer_characters: Lengths,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<Sample>,
}

/// Percentiles of lengths.
#[derive(Debug, Default, Serialize)]
struct Lengths {
    p50: usize,
    p90: usize,
    p99: usize,
    max: usize,
}

impl Inspect {
    /// Reads the dataset and prints its summary.
    pub fn run(self, context: &Context) -> Result<()> {
        let summary = self.summarize()?;
        if context.terminal.is_json() {
            context.terminal.json(&summary)
        } else {
            context.terminal.data(&summary.as_text())
        }
    }

    fn summarize(&self) -> Result<Summary> {
        let mut leaves = BTreeMap::new();
        let mut teachers = BTreeMap::new();
        let (mut questions, mut answers) = (Vec::new(), Vec::new());
        let mut shown = None;
        for sample in SampleReader::open(&self.file)? {
            let sample = sample?;
            *leaves
                .entry(sample.leaf().unwrap_or("none").to_owned())
                .or_insert(0) += 1;
            *teachers.entry(teacher(&sample)).or_insert(0) += 1;
            questions.push(sample.question().map_or(0, |text| text.chars().count()));
            answers.push(sample.answer().map_or(0, |text| text.chars().count()));
            let wanted = match &self.row {
                Some(id) => sample.id == *id,
                None => shown.is_none(),
            };
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
            leaves,
            teachers,
            question_characters: Lengths::of(questions),
            answer_characters: Lengths::of(answers),
            row: shown,
        })
    }
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

    fn as_text(&self) -> String {
        format!(
            "p50 {}, p90 {}, p99 {}, max {} characters",
            self.p50, self.p90, self.p99, self.max
        )
    }
}

impl Summary {
    fn as_text(&self) -> String {
        let mut text = format!("rows      {}\n", self.rows);
        text.push_str(&format!(
            "questions {}\n",
            self.question_characters.as_text()
        ));
        text.push_str(&format!("answers   {}\n", self.answer_characters.as_text()));
        for (title, counts) in [("leaves", &self.leaves), ("teachers", &self.teachers)] {
            text.push_str(&format!("{title}\n"));
            for (name, count) in counts {
                text.push_str(&format!("  {count:>7}  {name}\n"));
            }
        }
        if let Some(row) = &self.row {
            text.push_str(&format!("row `{}`\n", row.id));
            for message in &row.messages {
                text.push_str(&format!("  {:?}:\n", message.role).to_lowercase());
                for line in message.content.lines() {
                    text.push_str(&format!("    {line}\n"));
                }
            }
        }
        text
    }
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
}
