//! The outcome in sentences that a reviewer can act on.
//!
//! Does not know HTML or the terminal.

use super::format::thousands;
use crate::results::{Results, Role, SystemResult};

/// The outcome of the first metric: who leads, against whom a difference is
/// shown, and what was not shown.
pub fn sentences(results: &Results) -> Vec<String> {
    let Some(metric) = results.metrics.first() else {
        return Vec::new();
    };
    let Some(subject) = subject(results, metric) else {
        return vec!["No system was scored.".into()];
    };
    let value = subject.metrics[metric];
    let mut sentences = vec![format!(
        "`{}` reaches {metric} {:.3} (95% interval {:.3} to {:.3}, {} samples).",
        subject.name,
        value.value,
        value.low,
        value.high,
        thousands(value.n)
    )];
    sentences.extend(against(results, subject, metric));
    sentences.push(frontier(results, subject, metric));
    sentences.extend(failures(subject, results.samples));
    sentences
}

/// The candidate when one is named, otherwise the best by the metric.
fn subject<'a>(results: &'a Results, metric: &str) -> Option<&'a SystemResult> {
    let scored = || {
        results
            .systems
            .iter()
            .filter(|system| system.metrics.contains_key(metric))
    };
    scored()
        .find(|system| system.info.role == Some(Role::Candidate))
        .or_else(|| {
            scored().reduce(|best, next| {
                if next.metrics[metric].value > best.metrics[metric].value {
                    next
                } else {
                    best
                }
            })
        })
}

/// One sentence for each verdict that occurs against the other systems.
fn against(results: &Results, subject: &SystemResult, metric: &str) -> Vec<String> {
    ["better", "worse", "no difference shown"]
        .iter()
        .filter_map(|verdict| {
            let others: Vec<String> = results
                .systems
                .iter()
                .filter(|other| other.info.role != Some(Role::Frontier))
                .filter_map(|other| results.comparison(&subject.name, &other.name, metric))
                .filter(|comparison| comparison.verdict == *verdict)
                .map(|c| {
                    format!(
                        "`{}` ({:+.3}, {:+.3} to {:+.3})",
                        c.b, c.difference, c.low, c.high
                    )
                })
                .collect();
            let others = (!others.is_empty()).then(|| others.join(", "))?;
            Some(match *verdict {
                "better" => format!("It is better than {others}."),
                "worse" => format!("It is worse than {others}."),
                _ => format!("No difference is shown to {others}."),
            })
        })
        .collect()
}

fn frontier(results: &Results, subject: &SystemResult, metric: &str) -> String {
    let frontier = results
        .systems
        .iter()
        .find(|system| system.info.role == Some(Role::Frontier) && system.name != subject.name);
    let Some(frontier) = frontier else {
        return "Whether it may replace a frontier model is not shown: no frontier baseline configured."
            .into();
    };
    let Some(c) = results.comparison(&subject.name, &frontier.name, metric) else {
        return format!("It could not be compared with `{}`.", frontier.name);
    };
    let range = format!(
        "({:+.3}, 95% interval {:+.3} to {:+.3})",
        c.difference, c.low, c.high
    );
    match c.verdict.as_str() {
        "better" => format!(
            "It is better than the frontier model `{}` {range}.",
            frontier.name
        ),
        "worse" => format!(
            "It is worse than the frontier model `{}` {range}.",
            frontier.name
        ),
        _ => format!(
            "No difference to the frontier model `{}` is shown {range}; that is not proof of equality.",
            frontier.name
        ),
    }
}

fn failures(subject: &SystemResult, samples: usize) -> Option<String> {
    let failures: Vec<String> = subject
        .failures
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(cause, count)| format!("{} {}", thousands(*count), cause.replace('_', " ")))
        .collect();
    (!failures.is_empty()).then(|| {
        format!(
            "Of its {} answers these count as wrong without being judged: {}.",
            thousands(samples),
            failures.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictions::{Prediction, Predictions};
    use crate::results::SystemInfo;
    use crate::rows::Row;
    use crate::score::{Options, System, score};
    use crate::task::{OutputType, Task};
    use serde_json::json;

    fn results(frontier: Option<Role>) -> Vec<String> {
        let rows: Vec<Row> = (0..30)
            .map(|index| Row {
                id: index.to_string(),
                target: json!("yes"),
                ..Row::default()
            })
            .collect();
        let system = |name: &str, right: usize, role| System {
            name: name.into(),
            predictions: Predictions::new(
                rows.iter().enumerate().map(|(index, row)| {
                    Prediction::text(row.id.clone(), if index < right { "yes" } else { "no" })
                }),
                &rows,
            ),
            info: SystemInfo {
                role,
                ..SystemInfo::default()
            },
            ..System::default()
        };
        let systems = [
            system("base", 3, Some(Role::Base)),
            system("tuned", 27, Some(Role::Candidate)),
            system("big", 26, frontier),
        ];
        let task = Task::of_kind("t", OutputType::Text);
        score(&task, &rows, &systems, &Options::default()).verdict
    }

    #[test]
    fn the_candidate_is_judged_against_each_other() {
        let text = results(Some(Role::Frontier)).join("\n");
        assert!(text.contains("`tuned` reaches token_f1 0.900"), "{text}");
        assert!(text.contains("It is better than `base`"), "{text}");
        assert!(
            text.contains("No difference to the frontier model `big` is shown"),
            "{text}"
        );
    }

    #[test]
    fn without_frontier_baseline_that_is_said() {
        let text = results(None).join("\n");
        assert!(text.contains("no frontier baseline configured"), "{text}");
    }
}
