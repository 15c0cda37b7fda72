//! Every pair of systems on every metric.
//!
//! Does not know samples.

use super::{metric_name, section, table};
use crate::report::escape;
use crate::report::format;
use crate::results::{Comparison, Results};

/// Every pair of systems, the first metric open and the others folded.
pub(crate) fn head_to_head(results: &Results) -> String {
    if results.comparisons.is_empty() {
        return String::new();
    }
    let blocks: String = results
        .metrics
        .iter()
        .enumerate()
        .filter_map(|(index, metric)| {
            let rows: String = results.comparisons.iter().filter(|c| c.metric == *metric).map(comparison_row).collect();
            (!rows.is_empty()).then(|| {
                let head = "<th scope=\"col\">A</th><th scope=\"col\">B</th><th scope=\"col\">A \u{2212} B</th>\
                    <th scope=\"col\">95% interval</th><th scope=\"col\">p</th><th scope=\"col\">adjusted p</th>\
                    <th scope=\"col\">both right</th><th scope=\"col\">only A</th><th scope=\"col\">only B</th>\
                    <th scope=\"col\">both wrong</th><th scope=\"col\">A is</th>";
                format!(
                    "<details{}><summary>{}</summary>{}</details>",
                    if index == 0 { " open" } else { "" },
                    metric_name(metric),
                    table("pairs", head, &rows)
                )
            })
        })
        .collect();
    section(
        "pairs",
        "Head to head",
        &format!(
            "{blocks}<p class=\"aside\">Paired on the same samples: exact McNemar for right or wrong, \
             paired bootstrap for the rest; p adjusted over all comparisons by Benjamini and Hochberg.</p>"
        ),
    )
}

fn comparison_row(c: &Comparison) -> String {
    let class = match c.verdict.as_str() {
        "better" => "good",
        "worse" => "bad",
        _ => "none",
    };
    // What this many samples could hardly have shown says how little "none" means.
    let smallest = match c.smallest_shown.filter(|_| class == "none") {
        Some(smallest) => format!("<small>below \u{b1}{smallest:.3} it would hardly show</small>"),
        None => String::new(),
    };
    format!(
        "<tr><th scope=\"row\">{}</th><td class=\"text\">{}</td><td>{}</td><td>{} to {}</td><td>{}</td><td>{}</td>\
         <td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"text {class}\">{}{smallest}</td></tr>",
        escape::html(&c.a),
        escape::html(&c.b),
        format::signed(c.difference),
        format::signed(c.low),
        format::signed(c.high),
        escape::html(&format::p_value(c.p_value)),
        escape::html(&format::p_value(c.p_adjusted)),
        format::thousands(c.both_right),
        format::thousands(c.only_a),
        format::thousands(c.only_b),
        format::thousands(c.both_wrong),
        escape::html(&c.verdict)
    )
}
