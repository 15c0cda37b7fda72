//! What confidences are worth: calibration, selective answering, and routing.
//!
//! Does not know samples.

use super::{row_head, section, table};
use crate::report::escape;
use crate::report::format;
use crate::report::plot::{Curve, plot};
use crate::results::{Confidence, Results};
use crate::routing::{Point, Routing};

/// Calibration and what can be answered without a person, system by system.
pub(crate) fn confidence(results: &Results) -> String {
    let known: Vec<(&str, &Confidence)> = results
        .systems
        .iter()
        .filter_map(|system| Some((system.name.as_str(), system.confidence.as_ref()?)))
        .collect();
    let Some((_, first)) = known.first() else {
        return String::new();
    };
    let wanted: String = first
        .review
        .iter()
        .map(|review| {
            format!(
                "<th scope=\"col\">alone at {}</th>",
                percent(review.accuracy)
            )
        })
        .collect();
    let rows: String = known
        .iter()
        .map(|(name, confidence)| {
            let alone: String = confidence
                .review
                .iter()
                .map(|review| match review.kept {
                    Some(kept) => format!(
                        "<td>{}<small>sure by {:.3}</small><small>{} to people</small></td>",
                        percent(kept.coverage),
                        kept.threshold,
                        percent(1.0 - kept.coverage)
                    ),
                    None => "<td class=\"none\">never<small>all to people</small></td>".into(),
                })
                .collect();
            format!(
                "<tr>{}<td>{:.3}</td><td>{:.3}</td><td>{}</td>{alone}</tr>",
                row_head(name, ""),
                confidence.calibration.expected_error,
                confidence.calibration.brier,
                confidence
                    .risk_area
                    .map_or_else(|| "\u{2013}".into(), format::score)
            )
        })
        .collect();
    let head = format!(
        "<th scope=\"col\">System</th><th scope=\"col\">calibration error</th>\
         <th scope=\"col\">Brier</th><th scope=\"col\">AURC</th>{wanted}"
    );
    let figures: String = known
        .iter()
        .map(|(name, confidence)| figures(name, confidence))
        .collect();
    let remark = "<p class=\"aside\">Calibration error: mean distance of confidence and share right over ten bins. \
        AURC: mean share of wrong answers over all coverages. Alone at 95%: the largest share of questions, the surest first, \
        of whose answers 95% are right; the others go to people.</p>";
    section(
        "confidence",
        "Confidence, and what people must see",
        &format!(
            "{}<div class=\"panels\">{figures}</div>{remark}",
            table("plain", &head, &rows)
        ),
    )
}

fn figures(name: &str, confidence: &Confidence) -> String {
    let bins = confidence.calibration.bins.iter();
    let reliability = [
        Curve {
            name: "perfect",
            class: "random",
            points: vec![(0.0, 0.0), (1.0, 1.0)],
        },
        Curve {
            name,
            class: "ours",
            points: bins.map(|bin| (bin.confidence, bin.accuracy)).collect(),
        },
    ];
    let kept = confidence.risk_coverage.iter();
    let risk = [Curve {
        name,
        class: "ours",
        points: kept.map(|k| (k.coverage, k.risk)).collect(),
    }];
    let caption = |what: &str| format!("<figcaption>{}: {what}</figcaption>", escape::html(name));
    format!(
        "<figure>{}{}</figure><figure>{}{}</figure>",
        caption("calibration"),
        plot("confidence", "share right", &reliability, true),
        caption("risk and coverage"),
        plot("share answered alone", "share wrong", &risk, false)
    )
}

/// Each routing: its curve beside random and oracle, and the thresholds for wanted accuracies.
pub(crate) fn routing(results: &Results) -> String {
    if results.routing.is_empty() {
        return String::new();
    }
    let blocks: String = results
        .routing
        .iter()
        .map(|one| block(results, one))
        .collect();
    let remark = "<p class=\"aside\">Simulated from the logged answers: the small model answers first, and what it is less sure of \
        than the threshold is sent on. APGR: mean share of the gap between both models that is recovered (random routing has 0.5); \
        CPT: least share sent that recovers 50% or 80% of it (Ong et al. 2024). The threshold was chosen on these very samples, \
        so expect a little less on new ones.</p>";
    section(
        "routing",
        "Routing to the frontier model",
        &format!("{blocks}{remark}"),
    )
}

fn block(results: &Results, routing: &Routing) -> String {
    let ends = |curve: &[(f64, f64)]| match (curve.first(), curve.last()) {
        (Some(first), Some(last)) => vec![*first, *last],
        _ => Vec::new(),
    };
    let curves = [
        Curve {
            name: "random",
            class: "random",
            points: ends(&routing.oracle),
        },
        Curve {
            name: "oracle",
            class: "oracle",
            points: routing.oracle.clone(),
        },
        Curve {
            name: &routing.small,
            class: "ours",
            points: routing
                .curve
                .iter()
                .map(|point| (point.sent, point.accuracy))
                .collect(),
        },
    ];
    let has_cost = routing.curve.iter().any(|point| point.cost.is_some());
    let currency = results
        .costs
        .as_ref()
        .map_or("", |costs| costs.currency.as_str());
    let cost_head = match has_cost {
        true => format!(
            "<th scope=\"col\">{} per 1,000</th>",
            escape::html(currency)
        ),
        false => String::new(),
    };
    let rows: String = routing
        .wanted
        .iter()
        .enumerate()
        .map(|(index, wanted)| {
            let name = match index {
                0 => format!(
                    "{} (as {} alone)",
                    format::score(wanted.accuracy),
                    routing.large
                ),
                _ => format::score(wanted.accuracy),
            };
            format!(
                "<tr>{}{}</tr>",
                row_head(&name, ""),
                cells(wanted.point.as_ref(), has_cost)
            )
        })
        .collect();
    let measure = |value: Option<f64>| value.map_or_else(|| "\u{2013}".to_string(), format::score);
    format!(
        "<h3>{} \u{2192} {}</h3><div class=\"beside\"><figure>{}\
         <figcaption class=\"aside\">Solid: by confidence. Dashed: random. Dotted: who knows which model is right.</figcaption></figure>\
         <div><p>APGR <b>{}</b> (oracle {}), CPT(50%) <b>{}</b>, CPT(80%) <b>{}</b>, over {} samples.</p>{}</div></div>",
        escape::html(&routing.small),
        escape::html(&routing.large),
        plot("share sent on", "share right", &curves, false),
        measure(routing.apgr),
        measure(routing.apgr_oracle),
        measure(routing.cpt50),
        measure(routing.cpt80),
        format::thousands(routing.n),
        table(
            "plain",
            &format!(
                "<th scope=\"col\">Share right wanted</th><th scope=\"col\">send when less sure than</th>\
                 <th scope=\"col\">share sent</th><th scope=\"col\">share right</th>{cost_head}"
            ),
            &rows
        )
    )
}

fn cells(point: Option<&Point>, has_cost: bool) -> String {
    let Some(point) = point else {
        let columns = if has_cost { 4 } else { 3 };
        return format!(
            "<td class=\"none\" colspan=\"{columns}\">not reached, whatever is sent</td>"
        );
    };
    let threshold = match point.threshold {
        None => "nothing is sent".to_string(),
        Some(threshold) if threshold > 1.0 => "everything is sent".to_string(),
        Some(threshold) => format!("{threshold:.3}"),
    };
    let cost = match (has_cost, point.cost) {
        (false, _) => String::new(),
        (true, Some(cost)) => format!("<td>{}</td>", format::money(cost)),
        (true, None) => "<td class=\"none\">\u{2013}</td>".into(),
    };
    format!(
        "<td>{threshold}</td><td>{}</td><td>{}</td>{cost}",
        percent(point.sent),
        format::score(point.accuracy)
    )
}

fn percent(share: f64) -> String {
    let text = format!("{:.1}", share * 100.0);
    format!("{}%", text.strip_suffix(".0").unwrap_or(&text))
}
