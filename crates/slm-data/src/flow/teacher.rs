//! A flow with somebody to ask, as a teacher beside the built-in one.
//!
//! Does not know who answers, nor how seeds are divided among splits.

use super::blocks::{Bench, reasons};
use super::funnel::Funnel;
use super::inputs::{Inputs, LeafFacts, leaf_schema};
use super::row::Row;
use super::run::{ALL_IS_KEPT, Lost, ROWS_PER_PLACE, Run, lose};
use super::spec::{Flow, Step};
use crate::error::{DataError, Result};
use crate::ledger::Entry;
use crate::sample::Sample;
use crate::synthesize::answer::AnswerChecker;
use crate::synthesize::taking::Taking;
use crate::synthesize::{PoolSide, Request, SeedLeaf, Shortfall, Take, Teacher};
use crate::teacher::{ChatTeacher, Gate};
use serde_json::Value;
use slm_taxonomy::Output;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Rows that a wave has at least, as far as the flow's expectations hold.
const TELLING_ROWS: f64 = 20.0;
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
    /// Lets only so many ask at once, for whichever leaf.
    gate: Gate,
    stopped: AtomicBool,
}

/// How a flow is used.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowSettings {
    /// How often each seed or chunk may be used.
    pub rounds: usize,
    /// The share of a leaf's chunks that is held out of training.
    pub held_out_share: f64,
    /// Judges whose agreement with people nobody has measured; every report names them.
    pub uncalibrated: BTreeSet<String>,
}

impl Default for FlowSettings {
    fn default() -> Self {
        Self {
            rounds: 50,
            held_out_share: 0.2,
            uncalibrated: BTreeSet::new(),
        }
    }
}

/// What is known of the work so far, also when it failed.
#[derive(Default)]
struct Progress {
    funnels: BTreeMap<(String, bool), Funnel>,
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
            gate: Gate::new(chat.concurrency()),
            stopped: AtomicBool::new(false),
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The funnel over all leaves.
    pub fn funnel(&self) -> Funnel {
        let mut all = Funnel::new(self.flow);
        all.uncalibrated = self.settings.uncalibrated.iter().cloned().collect();
        self.progress()
            .funnels
            .values()
            .for_each(|funnel| all.add(funnel));
        all
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
        let answer = checker
            .parse_written(&row.text("answer"))
            .unwrap_or(Value::Null);
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

    /// Wave after wave until enough rows are taken; the reason where that cannot be.
    fn waves(
        &self,
        leaf: &SeedLeaf,
        request: &Request,
        run: &mut Run<'_>,
        taker: &mut Taker<'_, '_>,
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
        while taker.taking.wants_more() {
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
            let taken = taker.taking.taken();
            let share = if asked == 0 || taken == 0 {
                self.expected()
            } else {
                taken as f64 / asked as f64
            };
            let missing = (request.rows - taken) as f64;
            // About a standard deviation more than is missing: a further wave for the last few
            // rows would leave the teacher idle.
            let missing = missing + missing.sqrt() / 2.0;
            let wave = ((missing / share).ceil() as usize).clamp(1, most - asked);
            // Small waves prove nothing about what a block lets through.
            let proof = (TELLING_ROWS / self.expected().max(1.0)).ceil() as usize;
            let wave = wave.max(inputs.per_round().min(proof)).min(most - asked);
            asked += wave;
            let rows: Vec<Row> = inputs.by_ref().take(wave).collect();
            let kept = run.wave(rows);
            taker.dropped(self, run.lost.drain(..))?;
            taker.offer(self, leaf, kept?)?;
            fruitless = if taker.taking.taken() == taken {
                fruitless + 1
            } else {
                0
            };
        }
        Ok(None)
    }
}

/// Hands over what a flow made.
struct Taker<'a, 'b> {
    taking: Taking<'a, 'b>,
    checker: &'a AnswerChecker,
}

impl Taker<'_, '_> {
    fn offer(&mut self, teacher: &FlowTeacher<'_>, leaf: &SeedLeaf, rows: Vec<Row>) -> Result<()> {
        for row in rows {
            if !self.taking.wants_more() {
                let surplus = lose(row, "scale", reasons::SURPLUS, None);
                self.dropped(teacher, [surplus])?;
                continue;
            }
            self.taking.row(teacher.sample(leaf, self.checker, &row))?;
        }
        Ok(())
    }

    fn dropped(
        &mut self,
        teacher: &FlowTeacher<'_>,
        lost: impl IntoIterator<Item = Lost>,
    ) -> Result<()> {
        for lost in lost {
            self.taking.dropped(teacher.entry(&lost))?;
        }
        Ok(())
    }
}

impl Teacher for FlowTeacher<'_> {
    fn name(&self) -> &str {
        self.chat.name()
    }

    /// So many as keep the teacher busy while the last answers to the request before are on their
    /// way. One who answers one at a time is kept busy by one request.
    fn ahead(&self) -> usize {
        match self.chat.concurrency() {
            1 => 0,
            places => (self.expected() * (ROWS_PER_PLACE * places) as f64).ceil() as usize,
        }
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    fn offer(
        &self,
        leaf: &SeedLeaf,
        request: &Request,
        take: &mut Take<'_>,
    ) -> Result<Option<Shortfall>> {
        let checker = AnswerChecker::new(&leaf.name, &leaf.output)?;
        let bench = Bench {
            teacher: self.chat,
            checker: &checker,
            leaf_schema: leaf_schema(&leaf.output),
            seed: request.seed,
            uncalibrated: &self.settings.uncalibrated,
            gate: &self.gate,
            stopped: &self.stopped,
        };
        let mut run = Run::new(self.flow, bench);
        let mut taker = Taker {
            taking: Taking::new(take, request.rows),
            checker: &checker,
        };
        let outcome = self.waves(leaf, request, &mut run, &mut taker);
        let held_out = request.side == PoolSide::HeldOut;
        self.progress()
            .funnels
            .entry((leaf.name.clone(), held_out))
            .or_insert_with(|| Funnel::new(self.flow))
            .add(&run.funnel);
        let reason = outcome?;
        if taker.taking.taken() == 0 && !held_out && request.rows > 0 {
            let reasons = run.funnel.reasons();
            return Err(DataError::settings(
                format!(
                    "flow `{}` made no row for leaf `{}`: {reasons}",
                    self.flow.metadata.name, leaf.name
                ),
                format!("{}; {ALL_IS_KEPT}", run.funnel.hint()),
            ));
        }
        Ok(reason.map(|reason| Shortfall {
            leaf: leaf.name.clone(),
            split: String::new(),
            wanted: request.rows,
            got: taker.taking.taken(),
            reason,
        }))
    }
}
