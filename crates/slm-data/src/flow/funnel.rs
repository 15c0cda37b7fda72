//! How many rows each block let through, and why the others were dropped.
//!
//! Counts; does not drop anything.

use super::blocks::reasons;
use super::spec::Flow;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Rows that a block must have seen before its share counts.
const ROWS_TO_JUDGE: u64 = 20;

/// The name under which the leaf's own check of an answer is counted.
pub const OUTPUT_CHECK: &str = "output";

/// One block's counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockCount {
    /// The block.
    pub block: String,
    /// Rows that came in.
    pub rows_in: u64,
    /// Rows that went out; more than came in where a block divides rows.
    pub rows_out: u64,
    /// Rows dropped, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped: BTreeMap<String, u64>,
    /// A detail of one dropped row for each reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub examples: BTreeMap<String, String>,
}

impl BlockCount {
    /// All rows dropped.
    pub fn all_dropped(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// The share of rows that was let through.
    pub fn share(&self) -> f64 {
        let all = self.rows_out + self.all_dropped();
        if all == 0 {
            1.0
        } else {
            self.rows_out as f64 / all as f64
        }
    }
}

/// The counts of all blocks, in the flow's order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Funnel {
    /// One for each block, and last that of the leaf's own check.
    pub blocks: Vec<BlockCount>,
    /// Judges whose agreement with people nobody has measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncalibrated: Vec<String>,
}

impl Funnel {
    /// Nothing counted yet.
    pub fn new(flow: &Flow) -> Self {
        let names = flow
            .blocks
            .iter()
            .map(|block| block.name.as_str())
            .chain([OUTPUT_CHECK]);
        let blocks = names.map(|name| BlockCount {
            block: name.to_owned(),
            ..BlockCount::default()
        });
        Self {
            blocks: blocks.collect(),
            uncalibrated: Vec::new(),
        }
    }

    /// Adds the counts of another run of the same flow.
    pub fn add(&mut self, other: &Self) {
        for (own, more) in self.blocks.iter_mut().zip(&other.blocks) {
            own.rows_in += more.rows_in;
            own.rows_out += more.rows_out;
            for (reason, count) in &more.dropped {
                *own.dropped.entry(reason.clone()).or_default() += count;
            }
            for (reason, example) in &more.examples {
                own.examples
                    .entry(reason.clone())
                    .or_insert_with(|| example.clone());
            }
        }
    }

    /// Notes rows that came to a block.
    pub(super) fn came(&mut self, block: usize, rows: usize) {
        self.blocks[block].rows_in += rows as u64;
    }

    pub(super) fn kept(&mut self, block: usize) {
        self.blocks[block].rows_out += 1;
    }

    pub(super) fn dropped(&mut self, block: usize, reason: &str, detail: Option<&str>) {
        let block = &mut self.blocks[block];
        *block.dropped.entry(reason.to_owned()).or_default() += 1;
        if let Some(detail) = detail {
            block
                .examples
                .entry(reason.to_owned())
                .or_insert_with(|| detail.to_owned());
        }
    }

    /// The first block that lets through less than it must: nothing, or less than its
    /// `min_share`, of a number of rows that proves something.
    pub fn blockage(&self, flow: &Flow) -> Option<String> {
        let least = flow.blocks.iter().map(|block| block.min_share).chain([0.0]);
        let blocked = |(count, least): (&BlockCount, f64)| {
            let seen = count.rows_out + count.all_dropped();
            let too_few = count.rows_out == 0 || count.share() < least;
            (seen >= ROWS_TO_JUDGE && too_few).then(|| count.blockage(least))
        };
        self.blocks.iter().zip(least).find_map(blocked)
    }

    /// What to do about the reason for which most rows were dropped.
    pub(super) fn hint(&self) -> &'static str {
        let all = |reason: &str| -> u64 {
            let dropped = |block: &BlockCount| block.dropped.get(reason).copied();
            self.blocks.iter().filter_map(dropped).sum()
        };
        let most = self.blocks.iter().flat_map(|block| block.dropped.keys());
        match most.max_by_key(|reason| all(reason)).map(String::as_str) {
            Some(reasons::BAD_OUTPUT) => {
                "the leaf's `slm.yaml` says what shape an answer has, and these have another: `--flow structured` asks for that shape; or say it in the flow's prompts, or take `output` out of `slm.yaml` where free text is wanted"
            }
            Some(reasons::NO_VERDICT) => {
                "the teacher does not end its judgement as the block's `verdict_pattern` wants it; small models seldom can: let a larger one judge, or ask for the verdict alone in a prompt of your own"
            }
            _ => "mend the prompt, the filter or the leaf, or lower the block's `min_share`",
        }
    }

    /// The reasons for dropped rows, most frequent first.
    pub fn reasons(&self) -> String {
        let mut all: Vec<(u64, String)> = Vec::new();
        for block in &self.blocks {
            let told = block.dropped.iter().map(|(reason, count)| {
                (
                    *count,
                    format!("{count} dropped by `{}` since {reason}", block.block),
                )
            });
            all.extend(told);
        }
        all.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let told: Vec<String> = all.into_iter().map(|(_, text)| text).take(4).collect();
        if told.is_empty() {
            "none dropped".to_owned()
        } else {
            told.join(", ")
        }
    }
}

impl BlockCount {
    fn blockage(&self, least: f64) -> String {
        let percent = |share: f64| format!("{:.0}%", 100.0 * share);
        let all = self.rows_out + self.all_dropped();
        let mut text = format!(
            "block `{}` let through {} of {all} rows ({})",
            self.block,
            self.rows_out,
            percent(self.share())
        );
        if least > 0.0 {
            text.push_str(&format!(", and must let through {}", percent(least)));
        }
        for (reason, count) in &self.dropped {
            text.push_str(&format!("\n  {count} x {reason}"));
            if let Some(example) = self.examples.get(reason) {
                text.push_str(&format!(", such as: {}", example.replace('\n', " ")));
            }
        }
        text
    }
}

impl fmt::Display for Funnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .blocks
            .iter()
            .map(|b| b.block.chars().count())
            .max()
            .unwrap_or(0)
            .max(5);
        writeln!(
            f,
            "{:<width$} {:>8} {:>8} {:>8} {:>7}",
            "block", "in", "out", "dropped", "passed"
        )?;
        for block in &self.blocks {
            let (dropped, share) = (block.all_dropped(), 100.0 * block.share());
            writeln!(
                f,
                "{:<width$} {:>8} {:>8} {dropped:>8} {share:>6.1}%",
                block.block, block.rows_in, block.rows_out
            )?;
            for (reason, count) in &block.dropped {
                writeln!(f, "{:<width$}   {count} x {reason}", "")?;
            }
        }
        match self.uncalibrated.is_empty() {
            true => Ok(()),
            false => writeln!(f, "not calibrated: {}", self.uncalibrated.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn funnel(dropped: &[(&str, u64)]) -> Funnel {
        let block = |(reason, count): &(&str, u64)| BlockCount {
            dropped: BTreeMap::from([((*reason).to_owned(), *count)]),
            ..BlockCount::default()
        };
        Funnel {
            blocks: dropped.iter().map(block).collect(),
            uncalibrated: Vec::new(),
        }
    }

    #[test]
    fn the_hint_is_about_the_most_frequent_reason() {
        let misfits = [(reasons::FILTERED, 2), (reasons::BAD_OUTPUT, 3)];
        assert!(funnel(&misfits).hint().contains("`--flow structured`"));
        let unread = [(reasons::NO_VERDICT, 9), (reasons::BAD_OUTPUT, 3)];
        assert!(funnel(&unread).hint().contains("`verdict_pattern`"));
        for other in [&[(reasons::FILTERED, 9), (reasons::NO_VERDICT, 1)][..], &[]] {
            assert!(funnel(other).hint().starts_with("mend the prompt"));
        }
    }
}
