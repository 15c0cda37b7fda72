//! Costs, routing, robustness, leakage and what changed, each in a line of text for terminal
//! and pull request.
//!
//! Does not know how lines are broken.

use super::format;
use crate::leakage;
use crate::results::Results;

/// Everything beside scores that was found.
pub(crate) fn remarks(results: &Results) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(found) = &results.leakage {
        lines.push(leakage::sentence(found));
    }
    for system in &results.systems {
        let Some(confidence) = &system.confidence else {
            continue;
        };
        let alone = confidence
            .review
            .iter()
            .find(|review| review.accuracy == 0.95);
        let alone = match alone.and_then(|review| review.kept) {
            Some(kept) => format!(
                "answers {:.1}% alone at 95% right (sure by {:.3}), the rest goes to people",
                kept.coverage * 100.0,
                kept.threshold
            ),
            None => "no threshold makes 95% of its answers right".into(),
        };
        lines.push(format!(
            "confidence of {}: calibration error {:.3}, {alone}",
            system.name, confidence.calibration.expected_error
        ));
    }
    for routing in &results.routing {
        let measure = |value: Option<f64>| value.map_or_else(|| "-".to_string(), format::score);
        lines.push(format!(
            "routing {} to {}: APGR {} (random 0.500, oracle {}), CPT(50%) {}, CPT(80%) {}",
            routing.small,
            routing.large,
            measure(routing.apgr),
            measure(routing.apgr_oracle),
            measure(routing.cpt50),
            measure(routing.cpt80)
        ));
    }
    lines.extend(costs(results));
    lines.extend(robustness(results));
    lines.extend(regression(results));
    lines
}

/// One line for each system: the change of right answers by each kind, `*` where it is clear.
fn robustness(results: &Results) -> Vec<String> {
    let of_system = |system: &crate::results::SystemResult| {
        let own = results
            .robustness
            .iter()
            .filter(|one| one.system == system.name);
        let kinds: Vec<String> = own
            .map(|one| {
                let clear = if one.low > 0.0 || one.high < 0.0 {
                    "*"
                } else {
                    ""
                };
                let kind = one.kind.name().replace('_', " ");
                format!("{kind} {:+.3}{clear}", one.after - one.before)
            })
            .collect();
        let words = format!("altered questions, {}: {}", system.name, kinds.join(", "));
        (!kinds.is_empty()).then_some(words)
    };
    results.systems.iter().filter_map(of_system).collect()
}

/// What differed in the set-up, then one line for each system with its clear changes.
fn regression(results: &Results) -> Vec<String> {
    let Some(regression) = &results.regression else {
        return Vec::new();
    };
    let differs = regression.differs.iter();
    let mut lines: Vec<String> = differs
        .map(|what| format!("differs from the earlier run: {what}"))
        .collect();
    for system in &results.systems {
        let own = regression
            .changes
            .iter()
            .filter(|change| change.system == system.name);
        let clear: Vec<String> = own
            .filter(|change| change.clear)
            .map(|change| format!("{} {:+.3}", change.metric, change.difference))
            .collect();
        if !clear.is_empty() {
            lines.push(format!(
                "since the earlier run, {}: {}",
                system.name,
                clear.join(", ")
            ));
        }
    }
    lines
}

fn costs(results: &Results) -> Vec<String> {
    let Some(costs) = &results.costs else {
        return Vec::new();
    };
    let each: Vec<String> = costs
        .systems
        .iter()
        .map(|cost| {
            format!(
                "{} {} {}",
                cost.system,
                format::money(cost.per_thousand),
                costs.currency
            )
        })
        .collect();
    let mut lines = Vec::new();
    if !each.is_empty() {
        lines.push(format!("cost of 1,000 answers: {}", each.join(", ")));
    }
    lines.extend(costs.break_even.iter().map(|even| {
        let days = |days: f64| {
            format!(
                "paid back after {} days",
                format::thousands(days.ceil() as usize)
            )
        };
        format!(
            "break-even of {} against {}: {}; {}",
            even.own,
            even.endpoint,
            match even.volume_per_day {
                Some(volume) => format!(
                    "{} answers a day",
                    format::thousands(volume.ceil() as usize)
                ),
                None => "never".into(),
            },
            even.payback_days
                .map_or_else(|| "never paid back at this volume".into(), days)
        )
    }));
    lines.extend(
        costs
            .unknown
            .iter()
            .map(|why| format!("no cost known of {why}")),
    );
    lines
}
