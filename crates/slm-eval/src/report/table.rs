//! The results as a table for the terminal.
//!
//! Does not know colours; plain text that any terminal or log takes.

use std::fmt::Write;

use super::escape::visible;
use super::format;
use crate::results::{Results, SystemResult};

/// Characters that a system's name takes at most.
const LONGEST_NAME: usize = 24;

/// Systems by metrics with intervals, broken into blocks that fit `width`
/// characters, then size and speed, verdict and notes.
pub fn table(results: &Results, width: usize) -> String {
    let mut text = String::new();
    let names: Vec<String> = results.systems.iter().map(|s| name(&s.name)).collect();
    let published: Vec<String> = results.published.iter().map(|p| name(&p.name)).collect();
    let widest = names
        .iter()
        .chain(&published)
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0)
        .max("system".len());
    let mut columns = vec![];
    for metric in &results.metrics {
        columns.push(metric_column(results, metric));
    }
    columns.extend(measure_columns(results));
    let rows: Vec<&String> = names.iter().chain(&published).collect();
    blocks(&mut text, &rows, widest, &columns, width);
    for sentence in &results.verdict {
        wrap(&mut text, sentence, width);
    }
    let remarks = super::remarks::remarks(results);
    if !remarks.is_empty() {
        text.push('\n');
        for remark in &remarks {
            wrap(&mut text, remark, width);
        }
    }
    if !results.notes.is_empty() {
        text.push('\n');
        for note in &results.notes {
            wrap(&mut text, &format!("note: {note}"), width);
        }
    }
    for gate in &results.gates {
        let outcome = if gate.passed { "passed" } else { "FAILED" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "gate {outcome}: {} (found {})",
            visible(&gate.gate),
            gate.found
        );
    }
    text
}

/// A heading and one cell for each system, then for each published score.
struct Column {
    heading: String,
    cells: Vec<String>,
}

impl Column {
    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| cell.chars().count()).max();
        cells.unwrap_or(0).max(self.heading.chars().count())
    }
}

fn metric_column(results: &Results, metric: &str) -> Column {
    let ours = results.systems.iter().map(|system| {
        system
            .metrics
            .get(metric)
            .map_or_else(String::new, |value| {
                format!("{:.3} {:.3}-{:.3}", value.value, value.low, value.high)
            })
    });
    let published = results.published.iter().map(|published| {
        published
            .metrics
            .get(metric)
            .map_or_else(String::new, |value| format!("{value:.3}            "))
    });
    Column {
        heading: metric.to_string(),
        cells: ours.chain(published).collect(),
    }
}

/// Latency, size and speed, each only when a system has it.
fn measure_columns(results: &Results) -> Vec<Column> {
    let column = |heading: &str, cell: &dyn Fn(&SystemResult) -> Option<String>| {
        let cells: Vec<String> = results
            .systems
            .iter()
            .map(|system| cell(system).unwrap_or_default())
            .chain(results.published.iter().map(|_| String::new()))
            .collect();
        cells.iter().any(|cell| !cell.is_empty()).then(|| Column {
            heading: heading.to_string(),
            cells,
        })
    };
    [
        column("p50", &|s| {
            s.latency_ms.map(|l| format::milliseconds(l.p50))
        }),
        column("p90", &|s| {
            s.latency_ms.map(|l| format::milliseconds(l.p90))
        }),
        column("tokens/s", &|s| {
            s.info.tokens_per_second.map(|t| format!("{t:.0}"))
        }),
        column("size", &|s| s.info.size_bytes.map(format::bytes)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn blocks(text: &mut String, rows: &[&String], widest: usize, columns: &[Column], width: usize) {
    let mut rest = columns;
    while !rest.is_empty() {
        let mut taken = 0;
        let mut used = widest;
        while taken < rest.len() && (taken == 0 || used + 2 + rest[taken].width() <= width) {
            used += 2 + rest[taken].width();
            taken += 1;
        }
        let (block, after) = rest.split_at(taken);
        let mut write_line = |first: &str, cell: &dyn Fn(&Column) -> String| {
            let mut line = format!("{first:<widest$}");
            for column in block {
                let _ = write!(line, "  {:>wide$}", cell(column), wide = column.width());
            }
            text.push_str(line.trim_end());
            text.push('\n');
        };
        write_line("system", &|column| column.heading.clone());
        for (index, row) in rows.iter().enumerate() {
            write_line(row, &|column| column.cells[index].clone());
        }
        text.push('\n');
        rest = after;
    }
}

fn name(text: &str) -> String {
    let shown = visible(text).replace(['\n', '\t'], " ");
    if shown.chars().count() <= LONGEST_NAME {
        return shown;
    }
    shown
        .chars()
        .take(LONGEST_NAME - 1)
        .chain(['\u{2026}'])
        .collect()
}

/// Appends a text broken at spaces, followed by a line feed.
fn wrap(text: &mut String, words: &str, width: usize) {
    let mut column = 0;
    for word in visible(words).split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width.max(20) {
            text.push('\n');
            column = 0;
        }
        if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::MetricValue;
    use crate::task::Published;

    fn results() -> Results {
        let value = |value: f64| MetricValue {
            value,
            low: value - 0.05,
            high: value + 0.05,
            n: 9,
        };
        Results {
            task: "t".into(),
            metrics: vec!["field_f1".into(), "exact_raw".into()],
            systems: vec![SystemResult {
                name: "tuned\u{1b}".into(),
                metrics: [
                    ("field_f1".into(), value(0.9)),
                    ("exact_raw".into(), value(0.8)),
                ]
                .into(),
                ..SystemResult::default()
            }],
            published: vec![Published {
                name: "theirs".into(),
                metrics: [("field_f1".to_string(), 0.95)].into(),
                source: "paper".into(),
                ..Published::default()
            }],
            verdict: vec!["A sentence that is longer than one line.".into()],
            ..Results::default()
        }
    }

    #[test]
    fn a_wide_terminal_gets_one_block() {
        let expected = "\
system           field_f1          exact_raw
tuned\u{241b}  0.900 0.850-0.950  0.800 0.750-0.850
theirs  0.950

A sentence that is longer than one line.
";
        assert_eq!(table(&results(), 80), expected);
    }

    #[test]
    fn a_narrow_terminal_gets_several_blocks() {
        let text = table(&results(), 30);
        assert_eq!(text.matches("system").count(), 2);
        assert!(
            text.lines().all(|line| line.chars().count() <= 30),
            "{text}"
        );
    }
}
