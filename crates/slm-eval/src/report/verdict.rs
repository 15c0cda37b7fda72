//! The outcome in sentences that a reviewer can act on.
//!
//! Does not know HTML or the terminal.

use super::format::{money, thousands};
use crate::answer::Cause;
use crate::results::{Comparison, Results, Role, SystemResult};

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
    let reached = format!(
        "`{}` reaches {metric} {:.3} (95% interval {:.3} to {:.3}, {} samples).",
        subject.name,
        value.value,
        value.low,
        value.high,
        thousands(value.n)
    );
    // The question of the report comes first where it has an answer.
    let replace = frontier(results, subject, metric);
    let has_frontier = results
        .systems
        .iter()
        .any(|system| system.info.role == Some(Role::Frontier) && system.name != subject.name);
    let mut sentences = match has_frontier {
        true => vec![replace.clone(), reached],
        false => vec![reached],
    };
    sentences.extend(against(results, subject, metric));
    if !has_frontier {
        sentences.push(replace);
    }
    sentences.extend(failures(subject, results.samples));
    sentences.extend(cheaper(results, subject));
    sentences.extend(warnings(results, subject));
    sentences
}

/// What the candidate costs beside the frontier model.
fn cheaper(results: &Results, subject: &SystemResult) -> Option<String> {
    let costs = results.costs.as_ref()?;
    let even = costs
        .break_even
        .iter()
        .find(|even| even.own == subject.name)?;
    let (own, other) = (
        costs.per_thousand(&even.own)?,
        costs.per_thousand(&even.endpoint)?,
    );
    let from = match even.volume_per_day {
        Some(volume) if even.within_capacity => {
            format!(
                "it is the cheaper one from {} answers a day",
                thousands(volume.ceil() as usize)
            )
        }
        Some(_) => {
            "one machine cannot give as many answers as would make it the cheaper one".into()
        }
        None => "its power alone costs more".into(),
    };
    Some(format!(
        "1,000 answers cost {} {} on one's own machine and {} {} from `{}` at {} a day; {from}.",
        money(own),
        costs.currency,
        money(other),
        costs.currency,
        even.endpoint,
        thousands(costs.answers_per_day as usize)
    ))
}

/// What makes the figures worth less.
fn warnings(results: &Results, subject: &SystemResult) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(leakage) = results
        .leakage
        .as_ref()
        .filter(|l| l.exact + l.overlapping > 0)
    {
        let sentence = crate::leakage::sentence(leakage);
        let sentence = sentence.strip_prefix("leakage: ").unwrap_or(&sentence);
        warnings.push(format!(
            "Some of the test stands in the training data: {sentence}."
        ));
    }
    let worse: Vec<String> = results
        .robustness
        .iter()
        .filter(|one| one.system == subject.name && one.high < 0.0)
        .map(|one| {
            format!(
                "{} ({:+.3})",
                one.kind.name().replace('_', " "),
                one.after - one.before
            )
        })
        .collect();
    if !worse.is_empty() {
        warnings.push(format!(
            "Altered questions cost it right answers: {}.",
            worse.join(", ")
        ));
    }
    let changes = results
        .regression
        .iter()
        .flat_map(|regression| &regression.changes);
    let lost: Vec<String> = changes
        .filter(|change| change.system == subject.name && change.clear && change.difference < 0.0)
        .map(|change| format!("{} ({:+.3})", change.metric, change.difference))
        .collect();
    if !lost.is_empty() {
        warnings.push(format!(
            "It is worse than in the run before: {}.",
            lost.join(", ")
        ));
    }
    warnings
}

/// The candidate when one is named, otherwise the best by the metric.
fn subject<'a>(results: &'a Results, metric: &str) -> Option<&'a SystemResult> {
    let scored = || {
        results
            .systems
            .iter()
            .filter(|system| system.metrics.contains_key(metric))
    };
    let best = |allowed: fn(Option<Role>) -> bool| {
        scored()
            .filter(|system| allowed(system.info.role))
            .reduce(|best, next| {
                if next.metrics[metric].value > best.metrics[metric].value {
                    next
                } else {
                    best
                }
            })
    };
    // The frontier model does not replace itself.
    scored()
        .find(|system| system.info.role == Some(Role::Candidate))
        .or_else(|| best(|role| !matches!(role, Some(Role::Frontier | Role::Baseline))))
        .or_else(|| best(|role| role != Some(Role::Frontier)))
        .or_else(|| best(|_| true))
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
                        "`{}` ({:+.3}, {:+.3} to {:+.3}{})",
                        c.b,
                        c.difference,
                        c.low,
                        c.high,
                        corrected(&c)
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
    if subject.info.role == Some(Role::Frontier) {
        return "No system was measured that could replace it.".into();
    }
    let frontier = results
        .systems
        .iter()
        .find(|system| system.info.role == Some(Role::Frontier));
    let Some(frontier) = frontier else {
        return format!(
            "Whether `{}` may replace a frontier model is not shown: no frontier baseline configured.",
            subject.name
        );
    };
    if let Some(count) = frontier.info.not_asked.filter(|count| *count > 0) {
        return format!(
            "Whether `{}` may replace the frontier model is not shown: `{}` was not asked {} of {} samples, which count as wrong.",
            subject.name,
            frontier.name,
            thousands(count),
            thousands(results.samples)
        );
    }
    let Some(c) = results.comparison(&subject.name, &frontier.name, metric) else {
        return format!("It could not be compared with `{}`.", frontier.name);
    };
    let range = format!(
        "({:+.3}, 95% interval {:+.3} to {:+.3}{})",
        c.difference,
        c.low,
        c.high,
        corrected(&c)
    );
    let silent = unanswered(frontier);
    if silent > 0 && silent == results.samples {
        return format!(
            "Whether `{}` may replace the frontier model is not shown: `{}` gave no answer to any sample.",
            subject.name, frontier.name
        );
    }
    let but_silent = match silent {
        0 => String::new(),
        count => format!(
            " `{}` gave no answer to {} of {} samples, which count as wrong.",
            frontier.name,
            thousands(count),
            thousands(results.samples)
        ),
    };
    let verdict = ruling(results, subject, frontier, &c, &range);
    verdict + &but_silent
}

/// What the comparison says.
fn ruling(
    results: &Results,
    subject: &SystemResult,
    frontier: &SystemResult,
    c: &Comparison,
    range: &str,
) -> String {
    match c.verdict.as_str() {
        "better" => format!(
            "`{}` may replace the frontier model `{}`: it is better {range}.",
            subject.name, frontier.name
        ),
        // Non-inferiority: the interval ends above what may be lost.
        verdict => match results.margin {
            Some(margin) if c.low > -margin => format!(
                "`{}` may replace the frontier model `{}`: it is not worse by as much as the {margin} that the task allows {range}.",
                subject.name, frontier.name
            ),
            margin => {
                let but = match margin {
                    Some(margin) => {
                        format!("that it is worse by less than the allowed {margin} is not shown")
                    }
                    None => "the task allows no loss (`margin`)".into(),
                };
                match verdict {
                    "worse" => format!(
                        "`{}` may not replace the frontier model `{}`: it is worse {range}.",
                        subject.name, frontier.name
                    ),
                    _ => format!(
                        "Whether `{}` may replace the frontier model is not shown. No difference to the frontier model `{}` is shown {range}; \
                         that is not proof of equality, and {but}.{}",
                        subject.name,
                        frontier.name,
                        hardly(c.smallest_shown)
                    ),
                }
            }
        },
    }
}

/// Samples that a system gave no answer to, for whatever reason.
fn unanswered(system: &SystemResult) -> usize {
    let causes = [Cause::Missing, Cause::Error];
    let counts = causes.iter().map(|cause| system.failures.get(cause.name()));
    counts.flatten().sum()
}

/// Why an interval may leave out 0 and no difference be shown.
fn corrected(c: &Comparison) -> String {
    match (c.low > 0.0 || c.high < 0.0) && c.verdict == "no difference shown" {
        true => format!(
            ", which leaves out 0; but p = {:.3} once it is corrected for all that was compared",
            c.p_adjusted
        ),
        false => String::new(),
    }
}

fn hardly(smallest: Option<f64>) -> String {
    smallest.map_or_else(String::new, |smallest| {
        format!(" With these samples a difference below {smallest:.3} would hardly show.")
    })
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
    fn a_margin_decides_where_no_difference_is_shown() {
        let found = |margin| {
            let comparison = |low, verdict: &str| crate::results::Comparison {
                a: "tuned".into(),
                b: "big".into(),
                metric: "m".into(),
                difference: 0.0,
                low,
                high: 0.01,
                p_value: 1.0,
                test: "mcnemar_exact".into(),
                both_right: 0,
                only_a: 0,
                only_b: 0,
                both_wrong: 0,
                p_adjusted: 1.0,
                verdict: verdict.into(),
                smallest_shown: Some(0.02),
            };
            let system = |name: &str, role| SystemResult {
                name: name.into(),
                info: SystemInfo {
                    role: Some(role),
                    ..SystemInfo::default()
                },
                ..SystemResult::default()
            };
            let results = Results {
                systems: vec![
                    system("tuned", Role::Candidate),
                    system("big", Role::Frontier),
                ],
                comparisons: vec![comparison(-0.015, "no difference shown")],
                margin,
                ..Results::default()
            };
            frontier(&results, &results.systems[0], "m")
        };
        assert!(found(Some(0.02)).starts_with("`tuned` may replace the frontier model `big`"));
        assert!(
            found(Some(0.01)).contains("the allowed 0.01 is not shown"),
            "{}",
            found(Some(0.01))
        );
        let none = found(None);
        assert!(none.starts_with("Whether `tuned` may replace"), "{none}");
        assert!(
            none.ends_with("a difference below 0.020 would hardly show."),
            "{none}"
        );
    }

    fn of_two(small: Option<Role>, not_asked: usize) -> String {
        let value = |value| crate::results::MetricValue {
            value,
            low: value,
            high: value,
            n: 10,
        };
        let system = |name: &str, role, reached| SystemResult {
            name: name.into(),
            metrics: [("m".to_string(), value(reached))].into(),
            info: SystemInfo {
                role,
                not_asked: Some(not_asked),
                ..SystemInfo::default()
            },
            ..SystemResult::default()
        };
        let results = Results {
            metrics: vec!["m".into()],
            samples: 10,
            systems: vec![
                system("small", small, 0.5),
                system("big", Some(Role::Frontier), 0.9),
            ],
            ..Results::default()
        };
        sentences(&results).join("\n")
    }

    #[test]
    fn the_frontier_model_is_no_candidate_for_its_own_place() {
        for role in [None, Some(Role::Baseline)] {
            let text = of_two(role, 0);
            assert!(text.contains("`small` reaches m 0.500"), "{text}");
            assert!(!text.contains("no frontier baseline"), "{text}");
        }
    }

    #[test]
    fn a_frontier_model_that_was_not_asked_all_gives_no_verdict() {
        let text = of_two(None, 4);
        assert!(
            text.starts_with("Whether `small` may replace the frontier model is not shown: `big` was not asked 4 of 10 samples"),
            "{text}"
        );
    }

    #[test]
    fn without_frontier_baseline_that_is_said() {
        let text = results(None).join("\n");
        assert!(text.contains("no frontier baseline configured"), "{text}");
    }
}
