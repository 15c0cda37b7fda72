//! What could make the figures worth less: altered questions, a leaked test, an earlier run.
//!
//! Does not know samples.

use super::{metric_name, row_head, section, table};
use crate::leakage;
use crate::regression::{Answers, Change, Regression};
use crate::report::escape;
use crate::report::format;
use crate::results::{Results, SystemResult};
use crate::robustness::{Altered, Kind};

/// Answers to altered questions beside those to the questions themselves: systems by kinds.
pub(crate) fn robustness(results: &Results) -> String {
    if results.robustness.is_empty() {
        return String::new();
    }
    let has = |kind: Kind| results.robustness.iter().any(|one| one.kind == kind);
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| has(*kind)).collect();
    let head: String = kinds
        .iter()
        .map(|kind| {
            format!(
                "<th scope=\"col\">{}</th>",
                escape::html(&kind.name().replace('_', " "))
            )
        })
        .collect();
    let row = |system: &SystemResult| {
        let found = |kind: &Kind| {
            results
                .robustness
                .iter()
                .find(|one| one.system == system.name && one.kind == *kind)
        };
        let cells: String = kinds
            .iter()
            .map(|kind| found(kind).map_or_else(none, altered_cell))
            .collect();
        let asked = kinds.iter().any(|kind| found(kind).is_some());
        asked.then(|| format!("<tr>{}{cells}</tr>", row_head(&system.name, "")))
    };
    let rows: String = results.systems.iter().filter_map(row).collect();
    let remark = "<p class=\"aside\">Share right of the same questions as they were and when altered, and the change with its 95% interval: \
        with typing errors, in capitals, with odd white space, behind long talk, with another label named, with an instruction to ignore all others. \
        The right answer stays the same; words that an answer must repeat are untouched. Coloured where the interval leaves out 0; \
        p by the exact McNemar test.</p>";
    let head = format!("<th scope=\"col\">System</th>{head}");
    section(
        "robustness",
        "Altered questions",
        &format!("{}{remark}", table("plain", &head, &rows)),
    )
}

fn altered_cell(one: &Altered) -> String {
    let class = match (one.low > 0.0, one.high < 0.0) {
        (_, true) => "bad",
        (true, _) => "good",
        _ => "score",
    };
    format!(
        "<td title=\"{} questions, {} broken, {} mended\"><span class=\"{class}\">{}</span>\
         <small>{} \u{2192} {}</small><small>{} to {}</small><small>p = {}</small></td>",
        one.n,
        one.broken,
        one.mended,
        format::signed(one.after - one.before),
        format::score(one.before),
        format::score(one.after),
        format::signed(one.low),
        format::signed(one.high),
        escape::html(&format::p_value(one.p_value))
    )
}

fn none() -> String {
    "<td class=\"none\">\u{2013}</td>".to_string()
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

/// Systems by metrics.
fn changes(changes: &[Change]) -> String {
    let (mut metrics, mut systems): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for change in changes {
        if !metrics.contains(&change.metric.as_str()) {
            metrics.push(&change.metric);
        }
        if !systems.contains(&change.system.as_str()) {
            systems.push(&change.system);
        }
    }
    if changes.is_empty() {
        return String::new();
    }
    let head: String = metrics
        .iter()
        .map(|metric| format!("<th scope=\"col\">{}</th>", metric_name(metric)))
        .collect();
    let rows: String = systems
        .iter()
        .map(|system| {
            let of = |metric: &&str| {
                let mut all = changes.iter();
                all.find(|change| change.system == *system && change.metric == **metric)
            };
            let cells: String = metrics
                .iter()
                .map(|m| of(m).map_or_else(none, change_cell))
                .collect();
            format!("<tr>{}{cells}</tr>", row_head(system, ""))
        })
        .collect();
    let remark = "<p class=\"aside\">Change with its 95% interval (MOVER, which takes the runs as independent); \
        coloured where it leaves out 0.</p>";
    format!(
        "{}{remark}",
        table(
            "plain",
            &format!("<th scope=\"col\">System</th>{head}"),
            &rows
        )
    )
}

fn change_cell(change: &Change) -> String {
    let class = match (change.clear, change.difference > 0.0) {
        (false, _) => "score",
        (true, true) => "good",
        (true, false) => "bad",
    };
    format!(
        "<td><span class=\"{class}\">{}</span><small>{} \u{2192} {}</small><small>{} to {}</small></td>",
        format::signed(change.difference),
        format::score(change.before),
        format::score(change.after),
        format::signed(change.low),
        format::signed(change.high)
    )
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
