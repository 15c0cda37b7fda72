//! The parts of the report that need no script: each is a function from results
//! to HTML, empty when there is nothing to show.
//!
//! Does not know samples.

use std::collections::BTreeSet;

use super::chart;
use super::escape;
use super::format;
use crate::results::{Comparison, FieldScore, Results, SystemResult};

/// The outcome in sentences, the first set large, and what a reader must know.
pub(crate) fn verdict(results: &Results) -> String {
    let mut sentences = results.verdict.iter();
    let Some(first) = sentences.next() else {
        return String::new();
    };
    let rest: String = sentences
        .map(|sentence| format!("<p>{}</p>", marked(sentence)))
        .collect();
    let notes: String = results
        .notes
        .iter()
        .filter(|note| {
            !results
                .verdict
                .iter()
                .any(|said| said.contains(note.as_str()))
        })
        .map(|note| format!("<li>{}</li>", escape::html(note)))
        .collect();
    let notes = if notes.is_empty() {
        notes
    } else {
        format!("<ul class=\"notes\">{notes}</ul>")
    };
    section(
        "verdict",
        "Verdict",
        &format!("<p class=\"first\">{}</p>{rest}{notes}", marked(first)),
    )
}

/// A sentence in which names in backticks are set apart.
fn marked(sentence: &str) -> String {
    escape::html(sentence)
        .split('`')
        .enumerate()
        .map(|(index, part)| {
            if index % 2 == 1 {
                format!("<b>{part}</b>")
            } else {
                part.to_string()
            }
        })
        .collect()
}

/// Thresholds and whether they were met.
pub(crate) fn gates(results: &Results) -> String {
    if results.gates.is_empty() {
        return String::new();
    }
    let rows: String = results
        .gates
        .iter()
        .map(|gate| {
            let (class, outcome) = if gate.passed {
                ("good", "passed")
            } else {
                ("bad", "failed")
            };
            format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"{class}\">{outcome}</td></tr>",
                escape::html(&gate.gate),
                escape::html(&gate.found)
            )
        })
        .collect();
    section(
        "gates",
        "Gates",
        &table(
            "gates",
            "<th>Gate</th><th>Found</th><th>Outcome</th>",
            &rows,
        ),
    )
}

/// Systems by metrics with intervals; published scores below.
pub(crate) fn overview(results: &Results) -> String {
    if results.systems.is_empty() {
        return String::new();
    }
    let head: String = results
        .metrics
        .iter()
        .map(|metric| format!("<th scope=\"col\">{}</th>", metric_name(metric)))
        .collect();
    let ours: String = results
        .systems
        .iter()
        .map(|system| {
            let cells: String = results
                .metrics
                .iter()
                .map(|m| metric_cell(results, system, m))
                .collect();
            let note = system
                .info
                .note
                .as_deref()
                .map(|note| format!("<small>{}</small>", escape::html(note)));
            format!(
                "<tr>{}{cells}</tr>",
                row_head(&system.name, note.as_deref().unwrap_or(""))
            )
        })
        .collect();
    let published: String = results
        .published
        .iter()
        .enumerate()
        .map(|(index, published)| {
            let cell = |metric: &String| match published.metrics.get(metric) {
                Some(value) => format!("<td>{}</td>", format::score(*value)),
                None => "<td class=\"none\">\u{2013}</td>".into(),
            };
            let cells: String = results.metrics.iter().map(cell).collect();
            let mark = format!("<small>published, source {}</small>", index + 1);
            format!(
                "<tr class=\"published\">{}{cells}</tr>",
                row_head(&published.name, &mark)
            )
        })
        .collect();
    let body = table(
        "scores",
        &format!("<th scope=\"col\">System</th>{head}"),
        &format!("{ours}{published}"),
    );
    section("results", "Results", &format!("{body}{}", sources(results)))
}

fn sources(results: &Results) -> String {
    let items: String = results
        .published
        .iter()
        .map(|published| {
            let note = published
                .note
                .as_deref()
                .map(|note| format!(" {note}"))
                .unwrap_or_default();
            format!(
                "<li>{}: {}.{}</li>",
                escape::html(&published.name),
                escape::html(published.source.trim_end_matches('.')),
                escape::html(&note)
            )
        })
        .collect();
    if items.is_empty() {
        return items;
    }
    format!("<ol class=\"sources\">{items}</ol>")
}

fn metric_cell(results: &Results, system: &SystemResult, metric: &str) -> String {
    let Some(value) = system.metrics.get(metric) else {
        return "<td class=\"none\">\u{2013}</td>".into();
    };
    let best = results
        .systems
        .iter()
        .filter_map(|other| other.metrics.get(metric))
        .all(|other| other.value <= value.value);
    let n = if value.n == results.samples {
        String::new()
    } else {
        format!("<small>n = {}</small>", format::thousands(value.n))
    };
    format!(
        "<td{}><span class=\"score\">{}</span><small>{}</small>{n}</td>",
        if best && results.systems.len() > 1 {
            " class=\"best\""
        } else {
            ""
        },
        format::score(value.value),
        format::interval(value)
    )
}

/// One forest plot per metric.
pub(crate) fn forest(results: &Results) -> String {
    let panels: String = results
        .metrics
        .iter()
        .map(|metric| (metric, chart::panel(results, metric)))
        .filter(|(_, panel)| !panel.is_empty())
        .map(|(metric, panel)| {
            format!(
                "<figure><figcaption>{}</figcaption>{panel}</figure>",
                metric_name(metric)
            )
        })
        .collect();
    if panels.is_empty() {
        return panels;
    }
    let legend = if results.published.is_empty() {
        "Dot: value; bar: 95% interval."
    } else {
        "Dot: value; bar: 95% interval; diamond: published by others, no interval given."
    };
    section(
        "forest",
        "Scores with their intervals",
        &format!("<div class=\"panels\">{panels}</div><p class=\"aside\">{legend}</p>"),
    )
}

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
    format!(
        "<tr><th scope=\"row\">{}</th><td class=\"text\">{}</td><td>{}</td><td>{} to {}</td><td>{}</td><td>{}</td>\
         <td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"text {class}\">{}</td></tr>",
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

/// F1 of each JSON field.
pub(crate) fn fields(results: &Results) -> String {
    let of = |system: &SystemResult, name: &str| system.fields.get(name).copied();
    let names: BTreeSet<&String> = results
        .systems
        .iter()
        .flat_map(|s| s.fields.keys())
        .collect();
    scores(results, "fields", "Fields", "Field", &names, of)
}

/// F1 of each label.
pub(crate) fn labels(results: &Results) -> String {
    let of = |system: &SystemResult, name: &str| system.labels.get(name).copied();
    let names: BTreeSet<&String> = results
        .systems
        .iter()
        .flat_map(|s| s.labels.keys())
        .collect();
    scores(results, "labels", "Labels", "Label", &names, of)
}

/// A table of F1 by name and system, with how often each name is in the targets.
/// Names that no target has are gathered in one line: they are inventions.
fn scores(
    results: &Results,
    id: &str,
    title: &str,
    column: &str,
    names: &BTreeSet<&String>,
    of: impl Fn(&SystemResult, &str) -> Option<FieldScore>,
) -> String {
    let support = |name: &str| {
        let counts = results.systems.iter().filter_map(|system| of(system, name));
        counts.map(|score| score.tp + score.fn_).max().unwrap_or(0)
    };
    let (known, invented): (Vec<&String>, Vec<&String>) =
        names.iter().partition(|name| support(name) > 0);
    if known.is_empty() {
        return String::new();
    }
    let head: String = results
        .systems
        .iter()
        .map(|s| format!("<th scope=\"col\">{}</th>", escape::html(&s.name)))
        .collect();
    let mut rows: String = known
        .iter()
        .map(|name| {
            let cells: String = results
                .systems
                .iter()
                .map(|system| {
                    let score = of(system, name).unwrap_or_default();
                    format!(
                        "<td class=\"heat h{}\" title=\"precision {:.3}, recall {:.3}\">{}</td>",
                        (score.f1 * 10.0).floor().clamp(0.0, 10.0),
                        score.precision,
                        score.recall,
                        format::score(score.f1)
                    )
                })
                .collect();
            format!(
                "<tr><th scope=\"row\"><code>{}</code></th><td class=\"none\">{}</td>{cells}</tr>",
                escape::html(name),
                support(name)
            )
        })
        .collect();
    if !invented.is_empty() {
        let cells: String = results
            .systems
            .iter()
            .map(|system| {
                let count: u32 = invented
                    .iter()
                    .filter_map(|name| of(system, name))
                    .map(|s| s.fp)
                    .sum();
                format!("<td class=\"none\">{count} times</td>")
            })
            .collect();
        rows.push_str(&format!(
            "<tr><th scope=\"row\">in no target</th><td class=\"none\">0</td>{cells}</tr>"
        ));
    }
    let head = format!("<th scope=\"col\">{column}</th><th scope=\"col\">in targets</th>{head}");
    section(
        id,
        title,
        &format!(
            "{}<p class=\"aside\">F1; precision and recall on pointing.</p>",
            table("plain", &head, &rows)
        ),
    )
}

/// The first metric by tag.
pub(crate) fn slices(results: &Results) -> String {
    let tags: BTreeSet<&String> = results
        .systems
        .iter()
        .flat_map(|s| s.slices.keys())
        .collect();
    let Some(metric) = results.metrics.first().filter(|_| !tags.is_empty()) else {
        return String::new();
    };
    let head: String = results
        .systems
        .iter()
        .map(|s| format!("<th scope=\"col\">{}</th>", escape::html(&s.name)))
        .collect();
    let rows: String = tags
        .iter()
        .map(|tag| {
            let values = || {
                results
                    .systems
                    .iter()
                    .map(|s| s.slices.get(*tag).and_then(|m| m.get(metric)))
            };
            let n = values().flatten().map(|value| value.n).max().unwrap_or(0);
            let cells: String = values()
                .map(|value| match value {
                    Some(value) => format!(
                        "<td><span class=\"score\">{}</span><small>{}</small></td>",
                        format::score(value.value),
                        format::interval(value)
                    ),
                    None => "<td class=\"none\">\u{2013}</td>".into(),
                })
                .collect();
            format!(
                "<tr><th scope=\"row\">{}</th><td class=\"none\">{}</td>{cells}</tr>",
                escape::html(tag),
                format::thousands(n)
            )
        })
        .collect();
    let head = format!("<th scope=\"col\">Tag</th><th scope=\"col\">samples</th>{head}");
    section(
        "slices",
        &format!("By tag: {}", metric_name(metric)),
        &table("plain", &head, &rows),
    )
}

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
