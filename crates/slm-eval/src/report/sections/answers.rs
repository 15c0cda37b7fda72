//! Answers as a whole: their speed and size, and why they cannot be right.
//!
//! Does not know samples.

use std::collections::BTreeSet;

use super::{row_head, section, table};
use crate::report::escape;
use crate::report::format;
use crate::results::{Results, SystemResult};

/// Latency, tokens, speed and size.
pub(crate) fn cost(results: &Results) -> String {
    let columns: [(&str, fn(&SystemResult) -> Option<String>); 8] = [
        ("Median latency", |s| {
            s.latency_ms.map(|l| format::milliseconds(l.p50))
        }),
        ("90% within", |s| {
            s.latency_ms.map(|l| format::milliseconds(l.p90))
        }),
        ("Tokens/s", |s| {
            s.info.tokens_per_second.map(|t| format!("{t:.0}"))
        }),
        ("Size", |s| s.info.size_bytes.map(format::bytes)),
        ("Parameters", |s| s.info.parameters.map(format::count)),
        ("Weights", |s| s.info.weights.as_deref().map(escape::html)),
        ("Tokens in", |s| s.input_tokens.map(format::count)),
        ("Tokens out", |s| s.output_tokens.map(format::count)),
    ];
    let shown: Vec<_> = columns
        .iter()
        .filter(|(_, cell)| results.systems.iter().any(|system| cell(system).is_some()))
        .collect();
    if shown.is_empty() {
        return String::new();
    }
    let head: String = shown
        .iter()
        .map(|(name, _)| format!("<th scope=\"col\">{name}</th>"))
        .collect();
    let rows: String = results
        .systems
        .iter()
        .map(|system| {
            let cells: String = shown
                .iter()
                .map(|(_, cell)| match cell(system) {
                    Some(text) => format!("<td>{text}</td>"),
                    None => "<td class=\"none\">\u{2013}</td>".into(),
                })
                .collect();
            format!("<tr>{}{cells}</tr>", row_head(&system.name, ""))
        })
        .collect();
    section(
        "cost",
        "Speed and size",
        &table(
            "plain",
            &format!("<th scope=\"col\">System</th>{head}"),
            &rows,
        ),
    )
}

/// How many answers count as wrong without being judged, by cause.
pub(crate) fn failures(results: &Results) -> String {
    let causes: BTreeSet<&String> = results
        .systems
        .iter()
        .flat_map(|system| {
            system
                .failures
                .iter()
                .filter(|(_, n)| **n > 0)
                .map(|(cause, _)| cause)
        })
        .collect();
    if results.systems.is_empty() {
        return String::new();
    }
    let head: String = causes
        .iter()
        .map(|cause| {
            format!(
                "<th scope=\"col\">{}</th>",
                escape::html(&cause.replace('_', " "))
            )
        })
        .collect();
    let rows: String = results
        .systems
        .iter()
        .map(|system| {
            let counts: String = causes
                .iter()
                .map(
                    |cause| match system.failures.get(*cause).copied().unwrap_or(0) {
                        0 => "<td class=\"none\">0</td>".to_string(),
                        count => format!("<td>{}</td>", format::thousands(count)),
                    },
                )
                .collect();
            let unjudged: usize = system.failures.values().sum();
            let wrong = results.samples.saturating_sub(system.right + unjudged);
            format!(
                "<tr>{}<td>{}</td><td>{}</td>{counts}</tr>",
                row_head(&system.name, ""),
                format::thousands(system.right),
                format::thousands(wrong)
            )
        })
        .collect();
    section(
        "failures",
        "Answers as a whole",
        &format!(
            "{}<p class=\"aside\">Right: equal to the target after normalizing, or matching calls. \
             Missing, cut-off, refused and unparsable answers are wrong under every metric.</p>",
            table(
                "plain",
                &format!(
                    "<th scope=\"col\">System</th><th scope=\"col\">right</th><th scope=\"col\">wrong</th>{head}"
                ),
                &rows
            )
        ),
    )
}
