//! What a flow would cost, before anything is spent.
//!
//! The first prompts are rendered and counted; what later ones hold is not known yet, so the
//! texts that the teacher would write stand at half of their longest. Does not ask anybody.

use super::row::Row;
use super::spec::{Flow, Step};
use super::teacher::FlowTeacher;
use crate::error::Result;
use crate::synthesize::SeedLeaf;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Rows of each leaf whose prompts are rendered.
const ROWS_LOOKED_AT: usize = 32;

/// What a teacher takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// For a million tokens that it reads.
    pub input_per_million: f64,
    /// For a million tokens that it writes.
    pub output_per_million: f64,
    /// From question to answer, in seconds, as assumed.
    pub seconds_per_call: f64,
    /// Calls under way at once.
    pub concurrency: usize,
}

/// What a flow would make and cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Rows wanted, of all leaves.
    pub rows: f64,
    /// Rows that go in.
    pub rows_in: f64,
    /// Questions to the teacher.
    pub calls: f64,
    /// Tokens that it reads.
    pub input_tokens: f64,
    /// Tokens that it writes, at half of the longest answers.
    pub output_tokens: f64,
    /// Tokens that it writes, if every answer is as long as allowed.
    pub most_output_tokens: f64,
    /// Cost in the currency of the prices.
    pub cost: f64,
    /// Cost if every answer is as long as allowed.
    pub most_cost: f64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Calls of each block.
    pub blocks: Vec<(String, f64)>,
    /// Judges that nobody has measured with this teacher, as far as it is known.
    pub uncalibrated: Vec<String>,
}

/// Estimates the work on leaves, of which each is to give so many rows.
///
/// # Errors
/// A leaf lacks what the flow requires.
pub fn estimate(
    teacher: &FlowTeacher<'_>,
    leaves: &[SeedLeaf],
    rows_per_leaf: usize,
    prices: &Prices,
    count: &dyn Fn(&str) -> usize,
) -> Result<Estimate> {
    let mut sum = Estimate::default();
    for leaf in leaves {
        let rows = teacher.first_rows(leaf, ROWS_LOOKED_AT)?;
        add_leaf(&mut sum, teacher.flow(), rows, rows_per_leaf as f64, count);
    }
    let cost = |output: f64| {
        (sum.input_tokens * prices.input_per_million + output * prices.output_per_million) / 1e6
    };
    (sum.cost, sum.most_cost) = (cost(sum.output_tokens), cost(sum.most_output_tokens));
    sum.seconds = sum.calls * prices.seconds_per_call / prices.concurrency.max(1) as f64;
    Ok(sum)
}

fn add_leaf(
    sum: &mut Estimate,
    flow: &Flow,
    mut looked_at: Vec<Row>,
    wanted: f64,
    count: &dyn Fn(&str) -> usize,
) {
    // First the share of rows that come out, then how many must go in.
    let factor = |step: &Step| {
        if let Step::Generate(generate) = step {
            f64::from(generate.n)
        } else {
            1.0
        }
    };
    let through: f64 = flow
        .blocks
        .iter()
        .map(|block| block.expected * factor(&block.step))
        .product();
    let rows_in = wanted / through.max(0.01);
    let mut flowing = rows_in;
    for block in &flow.blocks {
        let (prompt, asking, n) = match &block.step {
            Step::Generate(generate) => (&generate.prompt, &generate.asking, f64::from(generate.n)),
            Step::Judge(judge) => (&judge.prompt, &judge.asking, 1.0),
            _ => {
                stand_in(&mut looked_at, &block.outputs, &filler(64));
                flowing *= block.expected;
                continue;
            }
        };
        let tokens = |row: &Row| {
            let messages = prompt.render(&row.columns).unwrap_or_default();
            messages
                .iter()
                .map(|message| count(&message.content) + 4)
                .sum::<usize>()
        };
        let mean =
            looked_at.iter().map(tokens).sum::<usize>() as f64 / looked_at.len().max(1) as f64;
        let calls = flowing * n;
        sum.calls += calls;
        sum.input_tokens += calls * mean;
        sum.most_output_tokens += calls * f64::from(asking.max_tokens);
        sum.output_tokens += calls * f64::from(asking.max_tokens) / 2.0;
        match sum.blocks.iter_mut().find(|(name, _)| *name == block.name) {
            Some((_, all)) => *all += calls,
            None => sum.blocks.push((block.name.clone(), calls)),
        }
        stand_in(
            &mut looked_at,
            &block.outputs,
            &filler(asking.max_tokens / 2),
        );
        flowing *= block.expected * n;
    }
    sum.rows += wanted;
    sum.rows_in += rows_in;
}

/// A text of about so many tokens.
fn filler(tokens: u32) -> String {
    "word ".repeat(tokens as usize)
}

fn stand_in(rows: &mut [Row], columns: &[String], text: &str) {
    for row in rows {
        for column in columns {
            row.columns.insert(column.clone(), Value::from(text));
        }
    }
}
