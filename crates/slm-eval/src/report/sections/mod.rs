//! The parts of the report that need no script: each is a function from results
//! to HTML, empty when there is nothing to show.
//!
//! Does not know samples.

mod answers;
mod breakdown;
mod overview;
mod pairs;

use super::escape;
use super::format;
use crate::results::Results;

pub(crate) use answers::{cost, failures};
pub(crate) use breakdown::{fields, labels, slices};
pub(crate) use overview::{forest, gates, overview, verdict};
pub(crate) use pairs::head_to_head;

/// How the numbers were made.
pub(crate) fn method(results: &Results) -> String {
    section(
        "method",
        "How this was measured",
        &format!(
            "<p>Intervals: Wilson for shares of right answers; for the rest a percentile bootstrap of {} resamples \
             by sample, seed {}. A score whose resamples are all 0 or all 1 carries Wilson's interval for none or all \
             of its samples. Label F1 is taken over the declared labels with an explicit invalid class; field F1 over \
             pairs of JSON pointer and value. The same resamples serve every system, so differences are paired.</p>",
            format::thousands(results.method.resamples),
            results.method.seed
        ),
    )
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
