//! Which labels are taken for which.
//!
//! Does not know samples.

use std::collections::{BTreeMap, BTreeSet};

use super::{section, table};
use crate::report::escape;
use crate::results::{Confused, Results, Role, SystemResult};

/// More labels than this are shown as a list of confusions, not as a matrix.
const MOST_LABELS: usize = 14;
/// Confusions that such a list holds.
const MOST_PAIRS: usize = 25;

/// A matrix for each system; that of the candidate, or else the first, is open.
pub(crate) fn confusion(results: &Results) -> String {
    let known = || {
        results
            .systems
            .iter()
            .filter(|system| !system.confusion.is_empty())
    };
    let candidate = known().position(|system| system.info.role == Some(Role::Candidate));
    let blocks: String = known()
        .enumerate()
        .map(|(index, system)| {
            let open = if index == candidate.unwrap_or(0) { " open" } else { "" };
            let wrong: u32 = system.confusion.iter().filter(|c| c.target != c.answered).map(|c| c.n).sum();
            format!(
                "<details{open}><summary>{} \u{2013} {wrong} taken for another</summary>{}</details>",
                escape::html(&system.name),
                of_system(system)
            )
        })
        .collect();
    if blocks.is_empty() {
        return blocks;
    }
    let remark = "<p class=\"aside\">Rows: the label that would have been right. Columns: the label that was given; \
        (invalid) holds missing, unparsable and undeclared answers.</p>";
    section("confusion", "Confusions", &format!("{blocks}{remark}"))
}

fn of_system(system: &SystemResult) -> String {
    let mut labels: BTreeSet<&str> = BTreeSet::new();
    for cell in &system.confusion {
        labels.extend([cell.target.as_str(), cell.answered.as_str()]);
    }
    match labels.len() <= MOST_LABELS {
        true => matrix(&system.confusion, &labels),
        false => list(&system.confusion),
    }
}

fn matrix(cells: &[Confused], labels: &BTreeSet<&str>) -> String {
    let counts: BTreeMap<(&str, &str), u32> = cells
        .iter()
        .map(|cell| ((cell.target.as_str(), cell.answered.as_str()), cell.n))
        .collect();
    let head: String = labels
        .iter()
        .map(|label| {
            format!(
                "<th scope=\"col\"><span>{}</span></th>",
                escape::html(label)
            )
        })
        .collect();
    let rows: String = labels
        .iter()
        .filter(|target| cells.iter().any(|cell| cell.target == **target))
        .map(|target| {
            let of_target =
                |answered: &&str| counts.get(&(*target, *answered)).copied().unwrap_or(0);
            let total: u32 = labels.iter().map(&of_target).sum();
            let row: String = labels
                .iter()
                .map(|answered| {
                    let n = of_target(answered);
                    let heat = (f64::from(n) / f64::from(total.max(1)) * 10.0).ceil();
                    match (n, target == answered) {
                        (0, _) => "<td class=\"none\">\u{b7}</td>".to_string(),
                        (n, true) => format!("<td class=\"heat h{heat}\"><b>{n}</b></td>"),
                        (n, false) => format!("<td class=\"confused c{heat}\">{n}</td>"),
                    }
                })
                .collect();
            format!(
                "<tr><th scope=\"row\">{}</th>{row}</tr>",
                escape::html(target)
            )
        })
        .collect();
    table(
        "matrix",
        &format!("<th scope=\"col\">target</th>{head}"),
        &rows,
    )
}

fn list(cells: &[Confused]) -> String {
    let rows: String = cells
        .iter()
        .filter(|cell| cell.target != cell.answered)
        .take(MOST_PAIRS)
        .map(|cell| {
            format!(
                "<tr><th scope=\"row\">{}</th><td class=\"text\">{}</td><td>{}</td></tr>",
                escape::html(&cell.target),
                escape::html(&cell.answered),
                cell.n
            )
        })
        .collect();
    let head = "<th scope=\"col\">Target</th><th scope=\"col\" class=\"text\">answered</th><th scope=\"col\">times</th>";
    table("plain", head, &rows)
}
