//! Gates: thresholds that a system must meet.
//!
//! Does not know exit codes.

use serde::{Deserialize, Serialize};

use crate::metrics::Metric;
use crate::results::{Results, Role, SystemResult};
use crate::suggest;

/// A threshold on a metric's value, on its lower bound, or on the difference to
/// another system. Several thresholds in one gate must all be met.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// The metric.
    pub metric: String,
    /// The system; without it, every system that is proposed: all but the base, the baselines,
    /// the frontier model and the one compared `to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Smallest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Smallest lower bound of the 95% interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<f64>,
    /// Smallest difference to the system `to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<f64>,
    /// Smallest lower bound of the difference's 95% interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference_lower: Option<f64>,
    /// Smallest change against an earlier run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<f64>,
    /// Smallest lower bound of the 95% interval of that change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_lower: Option<f64>,
    /// The system that differences are taken to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// One threshold, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateResult {
    /// The threshold in words.
    pub gate: String,
    /// Whether it was met.
    pub passed: bool,
    /// What was found, or why nothing could be.
    pub found: String,
}

impl std::str::FromStr for Gate {
    type Err = String;

    /// Reads `metric=field_f1,system=tuned,lower=0.8`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut fields = serde_json::Map::new();
        for part in text.split(',') {
            let Some((key, value)) = part.split_once('=') else {
                return Err(format!("`{part}` is not `KEY=VALUE`"));
            };
            let key = key.trim();
            if !Self::KEYS.contains(&key) {
                return Err(format!(
                    "unknown key `{key}`; {}",
                    suggest::hint(key, Self::KEYS)
                ));
            }
            let value = match key {
                "metric" | "system" | "to" => value.trim().into(),
                _ => {
                    let number = value.trim().parse::<f64>().ok().filter(|n| n.is_finite());
                    number
                        .ok_or_else(|| format!("`{key}` is `{value}`, which is no number"))?
                        .into()
                }
            };
            fields.insert(key.to_string(), value);
        }
        let gate: Self =
            serde_json::from_value(fields.into()).map_err(|error| error.to_string())?;
        gate.check()
            .map_err(|(message, hint)| format!("{message}; {hint}"))?;
        Ok(gate)
    }
}

impl Gate {
    /// The keys of a gate in a task file.
    pub const KEYS: &'static [&'static str] = &[
        "metric",
        "system",
        "value",
        "lower",
        "difference",
        "difference_lower",
        "change",
        "change_lower",
        "to",
    ];

    /// Whether the gate makes sense by itself.
    ///
    /// # Errors
    /// What is wrong and what to do, in words.
    pub fn check(&self) -> Result<(), (String, String)> {
        if Metric::parse(&self.metric).is_none() {
            return Err((
                format!("a gate names the unknown metric `{}`", self.metric),
                suggest::hint(&self.metric, &Metric::names()),
            ));
        }
        let differs = self.difference.is_some() || self.difference_lower.is_some();
        if differs && self.to.is_none() {
            return Err((
                "a gate on a difference does not say to which system".into(),
                "add `to: NAME`".into(),
            ));
        }
        let changes = self.change.is_some() || self.change_lower.is_some();
        if !differs && !changes && self.value.is_none() && self.lower.is_none() {
            return Err((
                format!("the gate on `{}` has no threshold", self.metric),
                "add `value`, `lower`, `difference`, `difference_lower`, `change` or `change_lower`"
                    .into(),
            ));
        }
        Ok(())
    }

    fn systems(&self, results: &Results) -> Vec<String> {
        match &self.system {
            Some(name) => vec![name.clone()],
            None => {
                let beside = [Role::Base, Role::Baseline, Role::Frontier].map(Some);
                let others = results.systems.iter();
                let others: Vec<&SystemResult> = others
                    .filter(|system| Some(&system.name) != self.to.as_ref())
                    .collect();
                let proposed = |system: &SystemResult| !beside.contains(&system.info.role);
                // Where nothing is proposed the gate is about what there is.
                let all = !others.iter().any(|system| proposed(system));
                let judged = others.iter().filter(|system| all || proposed(system));
                judged.map(|system| system.name.clone()).collect()
            }
        }
    }

    fn judge(&self, system: &str, results: &Results) -> Vec<GateResult> {
        let metric = results
            .system(system)
            .and_then(|found| found.metrics.get(&self.metric));
        let to = self.to.as_deref().unwrap_or_default();
        let comparison = results.comparison(system, to, &self.metric);
        let change = results.regression.as_ref().and_then(|regression| {
            let mut changes = regression.changes.iter();
            changes.find(|change| change.system == system && change.metric == self.metric)
        });
        let name = &self.metric;
        [
            (
                self.value,
                format!("{system}: {name}"),
                metric.map(|m| m.value),
            ),
            (
                self.lower,
                format!("{system}: lower bound of {name}"),
                metric.map(|m| m.low),
            ),
            (
                self.difference,
                format!("{system}: {name} minus that of {to}"),
                comparison.as_ref().map(|c| c.difference),
            ),
            (
                self.difference_lower,
                format!("{system}: lower bound of {name} minus that of {to}"),
                comparison.as_ref().map(|c| c.low),
            ),
            (
                self.change,
                format!("{system}: change of {name} since the earlier run"),
                change.map(|change| change.difference),
            ),
            (
                self.change_lower,
                format!("{system}: lower bound of the change of {name} since the earlier run"),
                change.map(|change| change.low),
            ),
        ]
        .into_iter()
        .filter_map(|(threshold, what, found)| Some((threshold?, what, found)))
        .map(|(threshold, what, found)| GateResult {
            gate: format!("{what} at least {threshold}"),
            passed: found.is_some_and(|found| found >= threshold),
            found: found.map_or_else(|| "not measured".into(), |found| format!("{found:.4}")),
        })
        .collect()
    }
}

/// Judges every gate. A gate whose system or metric was not measured fails.
pub fn evaluate(gates: &[Gate], results: &Results) -> Vec<GateResult> {
    gates
        .iter()
        .flat_map(|gate| {
            let systems = gate.systems(results);
            systems
                .into_iter()
                .flat_map(|system| gate.judge(&system, results))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Comparison, MetricValue};

    fn results() -> Results {
        let system = |name: &str, value: f64| SystemResult {
            name: name.into(),
            metrics: [(
                "field_f1".to_string(),
                MetricValue {
                    value,
                    low: value - 0.1,
                    high: 1.0,
                    n: 10,
                },
            )]
            .into(),
            ..SystemResult::default()
        };
        Results {
            systems: vec![system("new", 0.9), system("old", 0.5)],
            comparisons: vec![Comparison {
                a: "old".into(),
                b: "new".into(),
                metric: "field_f1".into(),
                difference: -0.4,
                low: -0.5,
                high: -0.3,
                p_value: 0.01,
                test: "paired_bootstrap".into(),
                both_right: 0,
                only_a: 0,
                only_b: 0,
                both_wrong: 0,
                p_adjusted: 0.01,
                verdict: "worse".into(),
                smallest_shown: None,
            }],
            ..Results::default()
        }
    }

    fn gate(edit: impl FnOnce(&mut Gate)) -> Vec<bool> {
        let mut gate = Gate {
            metric: "field_f1".into(),
            system: Some("new".into()),
            ..Gate::default()
        };
        edit(&mut gate);
        gate.check().unwrap();
        evaluate(&[gate], &results())
            .iter()
            .map(|result| result.passed)
            .collect()
    }

    #[test]
    fn values_bounds_and_differences_are_judged() {
        assert_eq!(
            gate(|g| {
                g.value = Some(0.9);
                g.lower = Some(0.85)
            }),
            [true, false]
        );
        let to_old = |g: &mut Gate| g.to = Some("old".into());
        assert_eq!(
            gate(|g| {
                to_old(g);
                g.difference = Some(0.35)
            }),
            [true]
        );
        assert_eq!(
            gate(|g| {
                to_old(g);
                g.difference_lower = Some(0.35)
            }),
            [false]
        );
        assert_eq!(
            gate(|g| {
                g.system = None;
                g.value = Some(0.8)
            }),
            [true, false]
        );
    }

    #[test]
    fn without_a_name_what_is_proposed_is_judged() {
        let gate = Gate {
            metric: "field_f1".into(),
            value: Some(0.1),
            ..Gate::default()
        };
        let judged = |roles: [Option<Role>; 2]| -> Vec<String> {
            let mut results = results();
            for (system, role) in results.systems.iter_mut().zip(roles) {
                system.info.role = role;
            }
            let gates = evaluate(std::slice::from_ref(&gate), &results);
            let names = gates.iter().map(|gate| gate.gate.split(':').next());
            names.map(|name| name.unwrap().to_string()).collect()
        };
        assert_eq!(judged([None, None]), ["new", "old"]);
        assert_eq!(judged([None, Some(Role::Frontier)]), ["new"]);
        assert_eq!(judged([Some(Role::Base), Some(Role::Quantized)]), ["old"]);
        let none = [Some(Role::Base), Some(Role::Baseline)];
        assert_eq!(judged(none), ["new", "old"]);
    }

    #[test]
    fn changes_since_an_earlier_run_are_judged() {
        use crate::regression::{Change, Regression};
        let mut results = results();
        let gate: Gate = "metric=field_f1,system=new,change=-0.01,change_lower=-0.05"
            .parse()
            .unwrap();
        let judged = |results: &Results| -> Vec<bool> {
            evaluate(std::slice::from_ref(&gate), results)
                .iter()
                .map(|r| r.passed)
                .collect()
        };
        // Without an earlier run nothing was measured.
        assert_eq!(judged(&results), [false, false]);
        results.regression = Some(Regression {
            changes: vec![Change {
                system: "new".into(),
                metric: "field_f1".into(),
                before: 0.9,
                after: 0.9,
                difference: 0.0,
                low: -0.07,
                high: 0.07,
                clear: false,
            }],
            ..Regression::default()
        });
        assert_eq!(judged(&results), [true, false]);
    }

    #[test]
    fn a_gate_reads_from_one_argument() {
        let read = |text: &str| text.parse::<Gate>();
        let gate = read("metric=field_f1, system=a b, lower=0.8").unwrap();
        assert_eq!(
            (gate.system.as_deref(), gate.lower),
            (Some("a b"), Some(0.8))
        );
        for (text, part) in [
            ("field_f1", "is not `KEY=VALUE`"),
            ("metric=field_f1,lowr=1", "did you mean `lower`?"),
            ("metric=field_f1,lower=x", "no number"),
            ("metric=field_f1", "no threshold"),
            ("value=1", "metric"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_was_not_measured_fails() {
        assert_eq!(
            gate(|g| {
                g.system = Some("gone".into());
                g.value = Some(0.0)
            }),
            [false]
        );
    }

    #[test]
    fn a_gate_without_threshold_or_other_system_is_a_fault() {
        let gate = Gate {
            metric: "field_f1".into(),
            ..Gate::default()
        };
        assert!(gate.check().is_err());
        assert!(
            Gate {
                difference: Some(0.1),
                ..gate.clone()
            }
            .check()
            .is_err()
        );
        assert!(
            Gate {
                metric: "field".into(),
                value: Some(0.1),
                ..gate
            }
            .check()
            .is_err()
        );
    }
}
