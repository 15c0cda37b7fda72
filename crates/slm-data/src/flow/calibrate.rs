//! A flow's judges on rows that people have labelled, before their verdicts are used; and what
//! was found, kept by all that shapes a verdict.
//!
//! Does not know where labels come from.

use super::blocks::{Bench, Passed};
use super::row::{Row, Trace};
use super::spec::{Block, Flow, Step};
use crate::agreement::{Agreement, Judged, agreement};
use crate::error::{DataError, Result};
use crate::jsonl::{JsonlReader, write_all};
use crate::parallel::in_order;
use crate::sample::hex;
use crate::synthesize::answer::AnswerChecker;
use crate::teacher::{AskFault, ChatTeacher, Gate};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use slm_taxonomy::Output;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// A row with people's verdict.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Labelled {
    /// Whether people accept it.
    pub accept: bool,
    /// The columns that the judges read, such as `question` and `answer`.
    #[serde(flatten)]
    pub columns: Map<String, Value>,
}

/// What was found of one judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// SHA-256 over who judges, the prompt, how it is asked and how its words are read: another
    /// model or a changed prompt is another judge.
    pub key: String,
    /// The block.
    pub judge: String,
    /// The flow that it was measured in.
    pub flow: String,
    /// Who answered.
    pub teacher: String,
    /// How far it agrees with people.
    pub agreement: Agreement,
}

/// What was found of all judges, by their keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calibrations {
    found: BTreeMap<String, Calibration>,
}

impl Calibrations {
    /// Those of a file; none where there is no file.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it is no calibration.
    pub fn read(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let lines = JsonlReader::<Calibration>::open(path)?.collect::<Result<Vec<_>>>()?;
        let by_key = lines.into_iter().map(|line| (line.key.clone(), line));
        Ok(Self {
            found: by_key.collect(),
        })
    }

    /// Writes them, in the order of the keys.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<usize> {
        write_all(path, self.found.values())
    }

    /// Adds what was found of a flow's judges; it counts in place of what was known before.
    pub fn add(&mut self, flow: &Flow, chat: &dyn ChatTeacher, found: &[(String, Agreement)]) {
        for (judge, agreement) in found {
            let Some(block) = flow.blocks.iter().find(|block| block.name == *judge) else {
                continue;
            };
            let calibration = Calibration {
                key: judge_key(block, chat),
                judge: judge.clone(),
                flow: flow.metadata.name.clone(),
                teacher: chat.name().to_owned(),
                agreement: agreement.clone(),
            };
            self.found.insert(calibration.key.clone(), calibration);
        }
    }

    /// The judges of a flow, in its order, each with what is known of it.
    pub fn of<'a>(
        &'a self,
        flow: &'a Flow,
        chat: &dyn ChatTeacher,
    ) -> Vec<(&'a Block, Option<&'a Calibration>)> {
        let judges = flow
            .blocks
            .iter()
            .filter(|block| matches!(block.step, Step::Judge(_)));
        judges
            .map(|block| (block, self.found.get(&judge_key(block, chat))))
            .collect()
    }

    /// The judges of a flow of which nothing is known, though the flow wants it known.
    pub fn missing(&self, flow: &Flow, chat: &dyn ChatTeacher) -> BTreeSet<String> {
        let unknown = self
            .of(flow, chat)
            .into_iter()
            .filter_map(|(block, known)| {
                let is_wanted = matches!(&block.step, Step::Judge(judge) if !judge.uncalibrated);
                (known.is_none() && is_wanted).then(|| block.name.clone())
            });
        unknown.collect()
    }
}

/// All that shapes a judge's verdicts.
fn judge_key(block: &Block, chat: &dyn ChatTeacher) -> String {
    let Step::Judge(judge) = &block.step else {
        return String::new();
    };
    let shape = json!({
        "teacher": chat.identity(),
        "prompt": judge.prompt.hash,
        "inputs": block.inputs,
        "asking": judge.asking,
        "pattern": judge.verdict_pattern.as_str(),
        "verdicts": judge.verdicts,
        "accept": judge.accept,
    });
    hex(&Sha256::digest(shape.to_string()))
}

/// The agreement of every judge of a flow with the labels.
///
/// # Errors
/// The flow has no judge, a row lacks what a judge reads, or the teacher can be asked no more.
pub fn calibrate(
    flow: &Flow,
    chat: &dyn ChatTeacher,
    rows: &[Labelled],
) -> Result<Vec<(String, Agreement)>> {
    let checker = AnswerChecker::new("labelled", &Output::Text)?;
    let bench = Bench {
        teacher: chat,
        checker: &checker,
        leaf_schema: Value::Null,
        seed: 0,
        uncalibrated: &BTreeSet::new(),
        gate: &Gate::new(chat.concurrency()),
        stopped: &AtomicBool::new(false),
    };
    let mut found = Vec::new();
    for block in flow
        .blocks
        .iter()
        .filter(|block| matches!(block.step, Step::Judge(_)))
    {
        for (n, row) in rows.iter().enumerate() {
            if let Some(column) = block
                .inputs
                .iter()
                .find(|column| !row.columns.contains_key(*column))
            {
                return Err(DataError::settings(
                    format!(
                        "labelled row {} has no `{column}`, which judge `{}` reads",
                        n + 1,
                        block.name
                    ),
                    "give every column that the judges read, and `accept`: true or false",
                ));
            }
        }
        let asked = rows.iter().enumerate().map(|(n, labelled)| {
            let row = Row {
                id: format!("labelled-{n}"),
                leaf: String::new(),
                columns: labelled.columns.clone(),
                seed: None,
                trace: Trace::default(),
            };
            (labelled.accept, row)
        });
        let work = |(label, row): (bool, Row)| {
            bench
                .run(0, block, row)
                .map(|passed| judged(label, &passed))
        };
        let threads = chat.concurrency();
        let mut judgments = Vec::new();
        let sink = |judged| {
            judgments.push(judged);
            Ok(())
        };
        in_order(asked, threads, 2 * threads, work, sink)
            .map_err(|fault: AskFault| DataError::settings(fault.to_string(), fault.hint()))?;
        found.push((block.name.clone(), agreement(&judgments)));
    }
    match found.is_empty() {
        true => Err(DataError::settings(
            format!("flow `{}` has no judge", flow.metadata.name),
            "only `judge` blocks are calibrated",
        )),
        false => Ok(found),
    }
}

fn judged(label: bool, passed: &[Passed]) -> Judged {
    let (row, kept) = match &passed[0] {
        Passed::Kept(row) => (row, true),
        Passed::Dropped { row, .. } => (row, false),
    };
    let parsed = row
        .trace
        .judgments
        .last()
        .is_some_and(|judgment| judgment.verdict.is_some());
    Judged {
        label,
        verdict: parsed.then_some(kept),
    }
}
