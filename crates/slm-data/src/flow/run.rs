//! The engine: rows through a flow's blocks, in waves, with as many at once as the teacher
//! takes, and with the same result whatever their number.
//!
//! Does not know leaves or datasets.

use super::blocks::{Bench, Passed, reasons};
use super::funnel::Funnel;
use super::row::Row;
use super::spec::{Block, Deduplicate, Flow, Step};
use crate::error::{DataError, Result};
use crate::minhash::NearTexts;
use crate::parallel::{all_at_once, in_order};
use crate::teacher::AskFault;

/// Rows under way for each that the teacher can be asked about at once.
pub(super) const ROWS_PER_PLACE: usize = 2;

/// What becomes of the work when a flow ends early.
pub(super) const ALL_IS_KEPT: &str =
    "the answers so far are kept, and the ledger has every dropped row with what it held";

/// A row that did not come out.
pub(super) struct Lost {
    pub row: Row,
    pub reason: &'static str,
    pub detail: Option<String>,
}

/// What came of one row at one block, in order.
type Log = Vec<(usize, usize, Vec<Passed>)>;

/// A flow at work. Waves share what must be known of all rows.
pub(super) struct Run<'a> {
    flow: &'a Flow,
    bench: Bench<'a>,
    /// The texts seen by each `deduplicate`, by its place in the flow.
    seen: Vec<Option<NearTexts>>,
    pub funnel: Funnel,
    pub lost: Vec<Lost>,
}

impl<'a> Run<'a> {
    pub fn new(flow: &'a Flow, bench: Bench<'a>) -> Self {
        let texts = |block: &Block| match &block.step {
            Step::Deduplicate(Deduplicate { similarity }) => Some(NearTexts::new(*similarity)),
            _ => None,
        };
        Self {
            flow,
            bench,
            seen: flow.blocks.iter().map(texts).collect(),
            funnel: Funnel::new(flow),
            lost: Vec::new(),
        }
    }

    /// Takes rows through all blocks; those that come out, in order.
    ///
    /// # Errors
    /// The teacher can be asked no more, or a block lets through less than it must.
    pub fn wave(&mut self, mut rows: Vec<Row>) -> Result<Vec<Row>> {
        let mut at = 0;
        while at < self.flow.blocks.len() {
            let alone = self.flow.blocks[at..]
                .iter()
                .position(|b| matches!(b.step, Step::Deduplicate(_)));
            let until = alone.map_or(self.flow.blocks.len(), |n| at + n);
            if until > at {
                rows = self.each(at..until, rows)?;
            }
            if until < self.flow.blocks.len() {
                rows = self.deduplicate(until, rows);
            }
            at = until + 1;
        }
        let rows = self.check_output(rows);
        self.blockage().map_or(Ok(rows), Err)
    }

    fn blockage(&self) -> Option<DataError> {
        let message = self.funnel.blockage(self.flow)?;
        Some(DataError::settings(
            format!("flow `{}`: {message}", self.flow.metadata.name),
            format!("{}; {ALL_IS_KEPT}", self.funnel.hint()),
        ))
    }

    /// Blocks that look at one row only, on all rows at once.
    fn each(&mut self, range: std::ops::Range<usize>, rows: Vec<Row>) -> Result<Vec<Row>> {
        let (flow, bench) = (self.flow, &self.bench);
        let (funnel, lost) = (&mut self.funnel, &mut self.lost);
        let mut kept = Vec::new();
        let last = range.end - 1;
        let asks = flow.blocks[range.clone()]
            .iter()
            .any(|b| matches!(b.step, Step::Generate(_) | Step::Judge(_)));
        // Twice as many rows as can be asked about: those that are behind are asked first, so that
        // none is left to go through its blocks alone in the end.
        let threads = if asks {
            ROWS_PER_PLACE * bench.teacher.concurrency()
        } else {
            1
        };
        let work = |row: Row| through(flow, bench, range.clone(), row).map_err(Some);
        let sink = |log: Log| {
            for (block, came, passed) in log {
                funnel.came(block, came);
                for passed in passed {
                    match passed {
                        Passed::Kept(row) => {
                            funnel.kept(block);
                            if block == last {
                                kept.push(row);
                            }
                        }
                        Passed::Dropped {
                            row,
                            reason,
                            detail,
                        } => {
                            funnel.dropped(block, reason, detail.as_deref());
                            lost.push(lose(row, &flow.blocks[block].name, reason, detail));
                        }
                    }
                }
            }
            // Asking on would only cost.
            funnel.blockage(flow).map_or(Ok(()), |_| Err(None))
        };
        // All rows are in memory already, so that none need wait for those before.
        let (threads, ahead) = (threads.min(rows.len()), rows.len());
        match in_order(rows.into_iter(), threads, ahead, work, sink) {
            Ok(()) => Ok(kept),
            Err(Some(fault)) => Err(DataError::settings(fault.to_string(), fault.hint())),
            Err(None) => Err(self.blockage().unwrap_or_else(|| {
                DataError::settings("a block lets nothing through", "see the funnel")
            })),
        }
    }

    fn deduplicate(&mut self, block: usize, rows: Vec<Row>) -> Vec<Row> {
        let spec = &self.flow.blocks[block];
        let mut kept = Vec::new();
        self.funnel.came(block, rows.len());
        for row in rows {
            let text: Vec<String> = spec.inputs.iter().map(|column| row.text(column)).collect();
            let near = self.seen[block]
                .as_mut()
                .and_then(|seen| seen.find_or_keep(&text.join("\n")));
            if near.is_some() {
                self.funnel.dropped(block, reasons::NEAR_DUPLICATE, None);
                self.lost
                    .push(lose(row, &spec.name, reasons::NEAR_DUPLICATE, None));
            } else {
                self.funnel.kept(block);
                kept.push(row);
            }
        }
        kept
    }

    /// Whatever the blocks let through, an answer must be one of the leaf's.
    fn check_output(&mut self, rows: Vec<Row>) -> Vec<Row> {
        let block = self.flow.blocks.len();
        self.funnel.came(block, rows.len());
        let mut kept = Vec::new();
        for row in rows {
            let fault = match row.text("question").trim().is_empty() {
                true => Some("the question is empty".to_owned()),
                false => self.bench.misfit(&row.text("answer")),
            };
            match fault {
                None => {
                    self.funnel.kept(block);
                    kept.push(row);
                }
                Some(fault) => {
                    self.funnel
                        .dropped(block, reasons::BAD_OUTPUT, Some(&fault));
                    self.lost.push(lose(
                        row,
                        super::funnel::OUTPUT_CHECK,
                        reasons::BAD_OUTPUT,
                        Some(fault),
                    ));
                }
            }
        }
        kept
    }
}

/// One row, and what becomes of it, through a range of blocks.
fn through(
    flow: &Flow,
    bench: &Bench<'_>,
    range: std::ops::Range<usize>,
    row: Row,
) -> std::result::Result<Log, AskFault> {
    let mut log: Log = Vec::new();
    let mut rows = vec![row];
    for n in range {
        let block = &flow.blocks[n];
        let came = rows.len();
        let mut passed: Vec<Passed> = match block.step {
            Step::Generate(_) | Step::Judge(_) => {
                all_at_once(rows, |row| bench.run(n, block, row))?
                    .into_iter()
                    .flatten()
                    .collect()
            }
            _ => {
                let mut passed = Vec::new();
                for row in rows {
                    passed.extend(bench.run(n, block, row)?);
                }
                passed
            }
        };
        if let Step::Sample(sampling) = &block.step {
            passed = at_most(passed, sampling.rows.unwrap_or(usize::MAX));
        }
        rows = passed
            .iter()
            .filter_map(|p| match p {
                Passed::Kept(row) => Some(row.clone()),
                Passed::Dropped { .. } => None,
            })
            .collect();
        log.push((n, came, passed));
    }
    Ok(log)
}

fn at_most(passed: Vec<Passed>, rows: usize) -> Vec<Passed> {
    let mut kept = 0;
    let cut = |passed: Passed| match passed {
        Passed::Kept(row) => {
            kept += 1;
            match kept > rows {
                true => Passed::Dropped {
                    row,
                    reason: reasons::NOT_SAMPLED,
                    detail: None,
                },
                false => Passed::Kept(row),
            }
        }
        other => other,
    };
    passed.into_iter().map(cut).collect()
}

/// A dropped row says who dropped it, and what it held beyond what it began with.
pub(super) fn lose(
    mut row: Row,
    block: &str,
    reason: &'static str,
    detail: Option<String>,
) -> Lost {
    row.trace.dropped_by = Some(block.to_owned());
    row.trace.columns = row.columns.clone();
    Lost {
        row,
        reason,
        detail,
    }
}
