//! A flow's judges on rows that people have labelled, before their verdicts are used.
//!
//! Does not know where labels come from.

use super::blocks::{Bench, Passed};
use super::parallel::in_order;
use super::row::{Row, Trace};
use super::spec::{Flow, Step};
use crate::agreement::{Agreement, Judged, agreement};
use crate::error::{DataError, Result};
use crate::synthesize::answer::AnswerChecker;
use crate::teacher::{AskFault, ChatTeacher};
use serde::Deserialize;
use serde_json::{Map, Value};
use slm_taxonomy::Output;

/// A row with people's verdict.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Labelled {
    /// Whether people accept it.
    pub accept: bool,
    /// The columns that the judges read, such as `question` and `answer`.
    #[serde(flatten)]
    pub columns: Map<String, Value>,
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
        let work =
            |(label, row): (bool, Row)| bench.run(block, row).map(|passed| judged(label, &passed));
        let mut judgments = Vec::new();
        let sink = |judged| {
            judgments.push(judged);
            Ok(())
        };
        in_order(asked.collect(), chat.concurrency(), work, sink).map_err(|fault| match fault {
            AskFault::Stopped { message, hint } => DataError::settings(message, hint),
            AskFault::Refused(message) => DataError::settings(message, "ask another teacher"),
        })?;
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
