//! The results as Markdown, for a pull request.
//!
//! Does not know samples.

use std::fmt::Write;

use super::escape::visible;
use super::format;
use crate::results::Results;

/// A summary: verdict, systems by metrics with intervals, gates, notes.
pub fn markdown(results: &Results) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "## {}: {} samples\n",
        cell(&results.task),
        format::thousands(results.samples)
    );
    for sentence in &results.verdict {
        let _ = writeln!(text, "{}  ", visible(sentence).replace('\n', " "));
    }
    text.push('\n');
    systems(&mut text, results);
    if !results.gates.is_empty() {
        text.push_str("\n| gate | found | |\n| --- | --- | --- |\n");
        for gate in &results.gates {
            let outcome = if gate.passed { "passed" } else { "**failed**" };
            let _ = writeln!(
                text,
                "| {} | {} | {outcome} |",
                cell(&gate.gate),
                cell(&gate.found)
            );
        }
    }
    let remarks = super::remarks::remarks(results);
    if !remarks.is_empty() || !results.notes.is_empty() {
        text.push('\n');
        for note in remarks.iter().chain(&results.notes) {
            let _ = writeln!(text, "- {}", visible(note).replace('\n', " "));
        }
    }
    text
}

fn systems(text: &mut String, results: &Results) {
    let _ = write!(text, "| system |");
    for metric in &results.metrics {
        let _ = write!(text, " {metric} |");
    }
    text.push_str("\n| --- |");
    text.push_str(&" --- |".repeat(results.metrics.len()));
    text.push('\n');
    for system in &results.systems {
        let _ = write!(text, "| {} |", cell(&system.name));
        for metric in &results.metrics {
            match system.metrics.get(metric) {
                Some(value) => {
                    let _ = write!(text, " {:.3} ({}) |", value.value, format::interval(value));
                }
                None => text.push_str(" |"),
            }
        }
        text.push('\n');
    }
    for published in &results.published {
        let _ = write!(text, "| _{}_ (published) |", cell(&published.name));
        for metric in &results.metrics {
            match published.metrics.get(metric) {
                Some(value) => {
                    let _ = write!(text, " _{value:.3}_ |");
                }
                None => text.push_str(" |"),
            }
        }
        text.push('\n');
    }
}

/// Text that cannot leave its table cell or become markup.
fn cell(text: &str) -> String {
    let mut escaped = String::new();
    for character in visible(text).chars() {
        match character {
            '\n' | '\t' => escaped.push(' '),
            '|' | '\\' | '*' | '_' | '`' | '[' | ']' | '<' | '>' => {
                escaped.push('\\');
                escaped.push(character);
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{MetricValue, SystemResult};

    #[test]
    fn the_whole_summary() {
        let value = MetricValue {
            value: 0.5,
            low: 0.25,
            high: 0.75,
            n: 4,
        };
        let results = Results {
            task: "a|b".into(),
            samples: 1234,
            metrics: vec!["exact_raw".into()],
            systems: vec![SystemResult {
                name: "x_1".into(),
                metrics: [("exact_raw".to_string(), value)].into(),
                ..SystemResult::default()
            }],
            verdict: vec!["So it is.".into()],
            notes: vec!["no frontier baseline configured".into()],
            ..Results::default()
        };
        assert_eq!(
            markdown(&results),
            "## a\\|b: 1,234 samples\n\nSo it is.  \n\n| system | exact_raw |\n| --- | --- |\n\
             | x\\_1 | 0.500 (0.250\u{2013}0.750) |\n\n- no frontier baseline configured\n"
        );
    }
}
