//! A flow with somebody to ask, as a teacher beside the built-in one.
//!
//! Does not know who answers, nor how seeds are divided among splits.

use super::blocks::{Bench, reasons};
use super::funnel::Funnel;
use super::inputs::{Inputs, LeafFacts, leaf_schema};
use super::row::Row;
use super::run::{Lost, Run, lose};
use super::spec::{Flow, Step};
use crate::error::{DataError, Result};
use crate::ledger::Entry;
use crate::sample::Sample;
use crate::synthesize::answer::AnswerChecker;
use crate::synthesize::{PoolSide, Request, SeedLeaf, Shortfall, Synthesis, Teacher};
use crate::teacher::ChatTeacher;
use serde_json::Value;
use slm_taxonomy::Output;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waves without a new row after which a leaf counts as exhausted.
const FRUITLESS_WAVES: u32 = 2;
/// The key of a row's metadata under which its trace travels to the ledger.
pub const TRACE: &str = "trace";

/// A flow and who is asked.
pub struct FlowTeacher<'a> {
    flow: &'a Flow,
    chat: &'a dyn ChatTeacher,
    facts: BTreeMap<String, LeafFacts>,
    settings: FlowSettings,
    progress: Mutex<Progress>,
}

/// How a flow is used.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowSettings {
    /// How often each seed or chunk may be used.
    pub rounds: usize,
    /// The share of a leaf's chunks that is held out of training.
    pub held_out_share: f64,
}

impl Default for FlowSettings {
    fn default() -> Self {
        Self {
            rounds: 50,
            held_out_share: 0.2,
        }
    }
}

/// What is known of the work so far, also when it failed.
#[derive(Default)]
struct Progress {
    funnels: BTreeMap<(String, bool), Funnel>,
    /// The rows that were lost in the request that failed.
    lost: Vec<Entry>,
}

impl<'a> FlowTeacher<'a> {
    /// A flow that asks `chat` about leaves with these facts, by name.
    pub fn new(
        flow: &'a Flow,
        chat: &'a dyn ChatTeacher,
        facts: BTreeMap<String, LeafFacts>,
        settings: FlowSettings,
    ) -> Self {
        Self {
            flow,
            chat,
            facts,
            settings,
            progress: Mutex::default(),
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The funnel over all leaves.
    pub fn funnel(&self) -> Funnel {
        let mut all = Funnel::new(self.flow);
        self.progress()
            .funnels
            .values()
            .for_each(|funnel| all.add(funnel));
        all
    }

    /// The rows that were dropped by the request that failed, if one did.
    pub fn lost(&self) -> Vec<Entry> {
        self.progress().lost.clone()
    }

    /// The first rows of a leaf, for estimates.
    ///
    /// # Errors
    /// The leaf lacks what the flow requires.
    pub(super) fn first_rows(&self, leaf: &SeedLeaf, rows: usize) -> Result<Vec<Row>> {
        let facts = self.facts.get(&leaf.name).cloned().unwrap_or_default();
        let inputs = Inputs::new(
            self.flow,
            leaf,
            &facts,
            PoolSide::Training,
            self.settings.held_out_share,
        )?;
        Ok(inputs.take(rows).collect())
    }

    /// The flow.
    pub(super) fn flow(&self) -> &Flow {
        self.flow
    }

    fn sample(&self, leaf: &SeedLeaf, checker: &AnswerChecker, row: &Row) -> Sample {
        let context = self
            .flow
            .metadata
            .output_columns
            .iter()
            .any(|c| c == "context")
            .then(|| row.text("context"))
            .filter(|text| !text.trim().is_empty());
        let (prompt, instruction_bytes) = leaf.prompt(context.as_deref(), &row.text("question"));
        let answer = checker.parse(&row.text("answer")).unwrap_or(Value::Null);
        let mut sample = Sample::pair(row.id.clone(), prompt, checker.write(&answer))
            .with("leaf", leaf.name.clone())
            .with("seed", row.seed)
            .with("teacher", self.chat.name())
            .with("operations", vec![self.flow.metadata.name.clone()])
            .with("flow", row.trace.flow.clone());
        if let Some(chunk) = &row.trace.chunk {
            sample = sample.with("chunk", chunk.clone());
        }
        if instruction_bytes > 0 {
            sample = sample.with("instruction_bytes", instruction_bytes);
        }
        if let Some(label) = leaf.label_of(&answer) {
            sample = sample.with("label", label);
        }
        if let Output::Calls { tools } = &leaf.output {
            sample.tools = Some(tools.clone().into());
        }
        // A trace serializes: all its keys are strings.
        sample.with(TRACE, serde_json::to_value(&row.trace).unwrap_or_default())
    }

    fn entry(&self, lost: &Lost) -> Entry {
        let row = &lost.row;
        let mut sample = Sample::pair(row.id.clone(), row.text("question"), row.text("answer"))
            .with("leaf", row.leaf.clone())
            .with("teacher", self.chat.name())
            .with("operations", vec![self.flow.metadata.name.clone()])
            .with(TRACE, serde_json::to_value(&row.trace).unwrap_or_default());
        if let Some(seed) = row.seed {
            sample = sample.with("seed", seed);
        }
        Entry::dropped(&sample, lost.reason, lost.detail.clone())
    }

    /// Rows that are expected of each that goes in, by what the flow says.
    fn expected(&self) -> f64 {
        let factor = |step: &Step| match step {
            Step::Generate(generate) => f64::from(generate.n),
            _ => 1.0,
        };
        self.flow
            .blocks
            .iter()
            .map(|block| block.expected * factor(&block.step))
            .product::<f64>()
            .max(0.01)
    }

    fn waves(
        &self,
        leaf: &SeedLeaf,
        request: &Request,
        run: &mut Run<'_>,
        kept: &mut Vec<Row>,
    ) -> Result<Option<String>> {
        let facts = self.facts.get(&leaf.name).cloned().unwrap_or_default();
        let mut inputs = Inputs::new(
            self.flow,
            leaf,
            &facts,
            request.side,
            self.settings.held_out_share,
        )?;
        let (mut asked, mut fruitless) = (0usize, 0);
        let most = inputs.per_round().saturating_mul(self.settings.rounds);
        while kept.len() < request.rows {
            if asked >= most {
                return Ok(Some(format!(
                    "each seed or chunk was used {} times ({})",
                    self.settings.rounds,
                    run.funnel.reasons()
                )));
            }
            if fruitless >= FRUITLESS_WAVES {
                return Ok(Some(format!(
                    "the last {fruitless} waves brought nothing new ({}); a higher temperature, more seed examples or documents give more",
                    run.funnel.reasons()
                )));
            }
            let share = if asked == 0 || kept.is_empty() {
                self.expected()
            } else {
                kept.len() as f64 / asked as f64
            };
            let missing = (request.rows - kept.len()) as f64;
            let wave = ((missing / share).ceil() as usize).clamp(1, most - asked);
            // Small waves prove nothing about what a block lets through.
            let wave = wave.max(inputs.per_round().min(20)).min(most - asked);
            asked += wave;
            let before = kept.len();
            let rows: Vec<Row> = inputs.by_ref().take(wave).collect();
            kept.extend(run.wave(rows)?);
            fruitless = if kept.len() == before {
                fruitless + 1
            } else {
                0
            };
        }
        Ok(None)
    }
}

impl Teacher for FlowTeacher<'_> {
    fn name(&self) -> &str {
        self.chat.name()
    }

    fn synthesize(&self, leaf: &SeedLeaf, request: &Request) -> Result<Synthesis> {
        let checker = AnswerChecker::new(&leaf.name, &leaf.output)?;
        let bench = Bench {
            teacher: self.chat,
            checker: &checker,
            leaf_schema: leaf_schema(&leaf.output),
            seed: request.seed,
        };
        let mut run = Run::new(self.flow, bench);
        let mut kept = Vec::new();
        let outcome = self.waves(leaf, request, &mut run, &mut kept);
        let surplus = kept.split_off(request.rows.min(kept.len()));
        run.lost.extend(
            surplus
                .into_iter()
                .map(|row| lose(row, "scale", reasons::SURPLUS, None)),
        );
        let dropped: Vec<Entry> = run.lost.iter().map(|lost| self.entry(lost)).collect();
        let held_out = request.side == PoolSide::HeldOut;
        let mut progress = self.progress();
        progress
            .funnels
            .insert((leaf.name.clone(), held_out), run.funnel.clone());
        let reason = match outcome {
            Ok(reason) => reason,
            Err(error) => {
                progress.lost = dropped;
                return Err(error);
            }
        };
        if kept.is_empty() && !held_out && request.rows > 0 {
            let reasons = run.funnel.reasons();
            progress.lost = dropped;
            return Err(DataError::settings(
                format!(
                    "flow `{}` made no row for leaf `{}`: {reasons}",
                    self.flow.metadata.name, leaf.name
                ),
                "the ledger has every dropped row with what it held; mend the prompt, the filter or the leaf",
            ));
        }
        let shortfall = reason.map(|reason| Shortfall {
            leaf: leaf.name.clone(),
            split: String::new(),
            wanted: request.rows,
            got: kept.len(),
            reason,
        });
        let samples = kept
            .iter()
            .map(|row| self.sample(leaf, &checker, row))
            .collect();
        Ok(Synthesis {
            samples,
            dropped,
            shortfall,
        })
    }
}
