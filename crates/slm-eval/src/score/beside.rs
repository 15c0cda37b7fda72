//! What is known beside rows and answers: the training data, prices, an earlier run.
//!
//! Does not know where these are kept.

use crate::cost::{self, Prices};
use crate::gate;
use crate::leakage::{self, Leakage};
use crate::regression;
use crate::report::embed::sample_rows;
use crate::report::{Embedded, verdict};
use crate::results::Results;
use crate::rows::Row;
use crate::score::System;
use crate::task::Task;

/// All of it is optional.
#[derive(Debug, Default)]
pub struct Beside {
    /// Questions of the training data.
    pub training: Option<Vec<String>>,
    /// The price table.
    pub prices: Option<Prices>,
    /// An earlier run of the task.
    pub earlier: Option<Embedded>,
}

impl Beside {
    /// Adds what follows from it to results; verdict and gates are made anew.
    pub fn complete(&self, results: &mut Results, task: &Task, rows: &[Row], systems: &[System]) {
        if let Some(training) = &self.training {
            results.leakage = Some(leaks(rows, training));
        }
        if let Some(prices) = &self.prices {
            price(results, prices);
        }
        if let Some(earlier) = &self.earlier {
            let samples = sample_rows(task, rows, systems);
            let before = (&earlier.results, &earlier.samples[..]);
            results.regression = Some(regression::compare(before, (results, &samples)));
        }
        results.verdict = verdict::sentences(results);
        results.gates = gate::evaluate(&task.gates, results);
    }
}

/// Altered copies are left out: they leak where their rows do.
fn leaks(rows: &[Row], training: &[String]) -> Leakage {
    let own: Vec<Row> = rows
        .iter()
        .filter(|row| row.origin.is_none())
        .cloned()
        .collect();
    leakage::check(&own, training.iter().map(String::as_str))
}

/// Adds costs to results, those of routing included.
pub fn price(results: &mut Results, prices: &Prices) {
    let costs = cost::costs(prices, &results.systems);
    for routing in &mut results.routing {
        let both = (
            costs.per_thousand(&routing.small),
            costs.per_thousand(&routing.large),
        );
        if let (Some(small), Some(large)) = both {
            routing.price(small, large);
        }
    }
    results.costs = Some(costs);
}
