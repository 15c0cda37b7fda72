//! The parts of the report that need no script: each is a function from results
//! to HTML, empty when there is nothing to show.
//!
//! Does not know samples.

mod answers;
mod breakdown;
mod checks;
mod confidence;
mod confusion;
mod costs;
mod overview;
mod pairs;

use super::escape;
use super::format;
use crate::results::Results;

pub(crate) use answers::{cost, failures};
pub(crate) use breakdown::{fields, labels, slices};
pub(crate) use checks::{leakage, regression, robustness};
pub(crate) use confidence::{confidence, routing};
pub(crate) use confusion::confusion;
pub(crate) use costs::costs;
pub(crate) use overview::{forest, gates, overview, verdict};
pub(crate) use pairs::head_to_head;

/// How the numbers were made.
pub(crate) fn method(results: &Results) -> String {
    section(
        "method",
        "How this was measured, and how to run it again",
        &format!(
            "{}{}<p>Intervals: {} {} resamples {}, seed {}. A score whose resamples are all 0 or all 1 carries Wilson's interval for none or all \
             of its samples. Label F1 is taken over the declared labels with an explicit invalid class; field F1 over \
             pairs of JSON pointer and value. The same resamples serve every system, so differences are paired.</p>",
            command(results),
            setup(results),
            match results.method.groups {
                None =>
                    "Wilson for shares of right answers; for the rest a percentile bootstrap of",
                Some(_) => "a percentile bootstrap of",
            },
            format::thousands(results.method.resamples),
            match results.method.groups {
                None => "by sample".to_owned(),
                Some(groups) => format!(
                    "by group: the samples come from {} groups, such as rows made from one seed example, which are \
                     right or wrong together",
                    format::thousands(groups)
                ),
            },
            results.method.seed
        ),
    )
}

/// What to type to run it again.
fn command(results: &Results) -> String {
    let command = results.command.as_deref();
    command.map_or_else(String::new, |command| {
        format!("<pre class=\"command\">{}</pre>", escape::html(command))
    })
}

/// What shaped the evaluation and each system's answers.
fn setup(results: &Results) -> String {
    let line = |of: &str, key: &str, value: &str| {
        format!(
            "<tr><th scope=\"row\">{}</th><td class=\"text wrap\">{}</td><td class=\"text wrap\"><code>{}</code></td></tr>",
            escape::html(of),
            escape::html(key),
            escape::html(value)
        )
    };
    let whole = results
        .setup
        .iter()
        .map(|(key, value)| line("evaluation", key, value));
    let systems = results.systems.iter().flat_map(|system| {
        let entries = system.setup.iter();
        entries
            .map(|(key, value)| line(&system.name, key, value))
            .collect::<Vec<_>>()
    });
    let rows: String = whole.chain(systems).collect();
    if rows.is_empty() {
        return rows;
    }
    let head = "<th scope=\"col\">Of</th><th scope=\"col\" class=\"text\">what</th><th scope=\"col\" class=\"text\">as it was</th>";
    table("plain setup", head, &rows)
}

fn row_head(name: &str, below: &str) -> String {
    format!("<th scope=\"row\">{}{below}</th>", escape::html(name))
}

/// A metric's name with room to break after underscores.
fn metric_name(metric: &str) -> String {
    escape::html(metric).replace('_', "_<wbr>")
}

fn table(class: &str, head: &str, rows: &str) -> String {
    format!(
        "<div class=\"scroll\" tabindex=\"0\"><table class=\"{class}\"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
}

fn section(id: &str, title: &str, body: &str) -> String {
    format!("<section id=\"{id}\"><h2>{title}</h2>{body}</section>")
}
