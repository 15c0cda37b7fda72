//! What could make the figures worth less: altered questions, a leaked test, an earlier run.
//!
//! Does not know samples.

use super::{row_head, section, table};
use crate::leakage;
use crate::regression::{Answers, Change, Regression};
use crate::report::escape;
use crate::report::format;
use crate::results::Results;

/// Answers to altered questions beside those to the questions themselves.
pub(crate) fn robustness(results: &Results) -> String {
    if results.robustness.is_empty() {
        return String::new();
    }
    let rows: String = results
        .robustness
        .iter()
        .map(|one| {
            let class = match (one.low > 0.0, one.high < 0.0) {
                (_, true) => "bad",
                (true, _) => "good",
                _ => "none",
            };
            format!(
                "<tr>{}<td class=\"text\">{}</td><td>{}</td><td>{}</td><td>{}</td>\
                 <td class=\"{class}\">{}<small>{} to {}</small></td><td>{}</td><td>{}</td><td>{}</td></tr>",
                row_head(&one.system, ""),
                escape::html(&one.kind.name().replace('_', " ")),
                format::thousands(one.n),
                format::score(one.before),
                format::score(one.after),
                format::signed(one.after - one.before),
                format::signed(one.low),
                format::signed(one.high),
                one.broken,
                one.mended,
                escape::html(&format::p_value(one.p_value))
            )
        })
        .collect();
    let head = "<th scope=\"col\">System</th><th scope=\"col\" class=\"text\">altered by</th><th scope=\"col\">questions</th>\
        <th scope=\"col\">right as they were</th><th scope=\"col\">right when altered</th><th scope=\"col\">change</th>\
        <th scope=\"col\">broken</th><th scope=\"col\">mended</th><th scope=\"col\">p</th>";
    let remark = "<p class=\"aside\">The same questions with typing errors, in capitals, with odd white space, behind long talk, \
        with another label named, with an instruction to ignore all others. The right answer stays the same; words that an answer \
        must repeat are untouched. Exact McNemar on the same questions.</p>";
    section(
        "robustness",
        "Altered questions",
        &format!("{}{remark}", table("plain", head, &rows)),
    )
}

/// Whether the test stands in the training data.
pub(crate) fn leakage(results: &Results) -> String {
    let Some(found) = &results.leakage else {
        return section(
            "leakage",
            "Leakage",
            "<p class=\"aside\">Not checked: no training data was named (<code>--train FILE</code>).</p>",
        );
    };
    let sentence = leakage::sentence(found);
    let sentence = sentence.strip_prefix("leakage: ").unwrap_or(&sentence);
    let class = if found.exact + found.overlapping > 0 {
        "bad"
    } else {
        "good"
    };
    let rows: String = found
        .found
        .iter()
        .take(20)
        .map(|leak| {
            format!(
                "<tr>{}<td>{}</td><td>{:.0}%</td></tr>",
                row_head(&leak.id, ""),
                if leak.exact {
                    "the whole question"
                } else {
                    "parts"
                },
                leak.share * 100.0
            )
        })
        .collect();
    let list = match rows.is_empty() {
        true => rows,
        false => {
            let head = "<th scope=\"col\">Row</th><th scope=\"col\">what stands in training</th><th scope=\"col\">runs found</th>";
            format!(
                "<details><summary>Which rows</summary>{}</details>",
                table("plain", head, &rows)
            )
        }
    };
    let mut first = sentence.chars();
    let capital: String = first
        .next()
        .map(|c| c.to_uppercase().chain(first).collect())
        .unwrap_or_default();
    section(
        "leakage",
        "Leakage",
        &format!("<p class=\"{class}\">{}.</p>{list}", escape::html(&capital)),
    )
}

/// What changed since an earlier run: the set-up first.
pub(crate) fn regression(results: &Results) -> String {
    let Some(found) = &results.regression else {
        return String::new();
    };
    section(
        "regression",
        "Since the run before",
        &format!(
            "{}{}{}",
            differs(found),
            changes(&found.changes),
            answers(&found.answers)
        ),
    )
}

fn differs(found: &Regression) -> String {
    let items: String = found
        .differs
        .iter()
        .map(|what| format!("<li>{}</li>", escape::html(what)))
        .collect();
    match items.is_empty() {
        true => "<p>Nothing that is known about the set-up differed.</p>".into(),
        false => format!("<p>What differed in the set-up:</p><ul>{items}</ul>"),
    }
}

fn changes(changes: &[Change]) -> String {
    let rows: String = changes
        .iter()
        .map(|change| {
            let class = match (change.clear, change.difference > 0.0) {
                (false, _) => "none",
                (true, true) => "good",
                (true, false) => "bad",
            };
            format!(
                "<tr>{}<td class=\"text\">{}</td><td>{}</td><td>{}</td><td class=\"{class}\">{}<small>{} to {}</small></td></tr>",
                row_head(&change.system, ""),
                escape::html(&change.metric),
                format::score(change.before),
                format::score(change.after),
                format::signed(change.difference),
                format::signed(change.low),
                format::signed(change.high)
            )
        })
        .collect();
    let head = "<th scope=\"col\">System</th><th scope=\"col\" class=\"text\">metric</th><th scope=\"col\">before</th>\
        <th scope=\"col\">now</th><th scope=\"col\">change</th>";
    table("plain", head, &rows)
}

fn answers(answers: &[Answers]) -> String {
    let rows: String = answers
        .iter()
        .map(|one| {
            let ids: Vec<String> = one.broken_ids.iter().take(5).map(|id| escape::html(id)).collect();
            format!(
                "<tr>{}<td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"text wrap\">{}</td></tr>",
                row_head(&one.system, ""),
                format::thousands(one.rows),
                one.broken,
                one.mended,
                escape::html(&format::p_value(one.p_value)),
                ids.join(", ")
            )
        })
        .collect();
    if rows.is_empty() {
        return rows;
    }
    let head = "<th scope=\"col\">System</th><th scope=\"col\">same rows</th><th scope=\"col\">broken</th>\
        <th scope=\"col\">mended</th><th scope=\"col\">p (McNemar)</th><th scope=\"col\" class=\"text\">broken, the first of them</th>";
    table("plain", head, &rows)
}
