//! What answers cost, and when one's own machine is the cheaper one.
//!
//! Does not know samples.

use super::{row_head, section, table};
use crate::cost::{BreakEven, Costs, Paid, SystemCost};
use crate::report::escape;
use crate::report::format;
use crate::results::Results;

/// Costs by system, and break-even with payback.
pub(crate) fn costs(results: &Results) -> String {
    let Some(costs) = &results.costs else {
        return String::new();
    };
    let rows: String = costs.systems.iter().map(row).collect();
    let currency = escape::html(&costs.currency);
    let table_of_costs = table(
        "plain",
        &format!(
            "<th scope=\"col\">System</th><th scope=\"col\">{currency} per 1,000 answers</th><th scope=\"col\" class=\"text\">how</th>"
        ),
        &rows,
    );
    let even = break_even(costs, &currency);
    let unknown: String = costs
        .unknown
        .iter()
        .map(|why| format!("<li>{}</li>", escape::html(why)))
        .collect();
    let unknown = match unknown.is_empty() {
        true => unknown,
        false => format!(
            "<p class=\"aside\">No cost is known for:</p><ul class=\"aside\">{unknown}</ul>"
        ),
    };
    section(
        "costs",
        "What it costs",
        &format!(
            "{table_of_costs}{even}{unknown}<p class=\"aside\">Prices as of {}, from the price table that this evaluation was given, \
             at {} answers a day. One\u{2019}s own machine: its price over its years, upkeep, and power while it answers, at the measured speed.</p>",
            escape::html(&costs.dated),
            format::thousands(costs.answers_per_day as usize)
        ),
    )
}

fn row(cost: &SystemCost) -> String {
    let how = match &cost.paid {
        Paid::Tokens {
            input,
            output,
            source,
        } => {
            format!(
                "{input:.0} tokens in, {output:.0} out; {}",
                escape::html(source)
            )
        }
        Paid::Told { answers } => {
            format!("as {} of its answers say", format::thousands(*answers))
        }
        Paid::Machine {
            machines,
            fixed_per_day,
            power_per_thousand,
            capacity_per_day,
        } => {
            let own = match *machines > 1.0 {
                true => format!("{machines:.0} own machines, each"),
                false => "own machine:".to_string(),
            };
            format!(
                "{own} {} a day, power {} per 1,000; gives {} answers a day",
                format::money(*fixed_per_day),
                format::money(*power_per_thousand),
                format::thousands(*capacity_per_day as usize)
            )
        }
    };
    format!(
        "<tr>{}<td><span class=\"score\">{}</span></td><td class=\"text wrap\">{how}</td></tr>",
        row_head(&cost.system, ""),
        format::money(cost.per_thousand)
    )
}

fn break_even(costs: &Costs, currency: &str) -> String {
    if costs.break_even.is_empty() {
        return String::new();
    }
    let rows: String = costs.break_even.iter().map(even_row).collect();
    let head = format!(
        "<th scope=\"col\">Own</th><th scope=\"col\" class=\"text\">instead of</th><th scope=\"col\">cheaper from, answers a day</th>\
         <th scope=\"col\">paid back after, at {} a day</th>",
        format::thousands(costs.answers_per_day as usize)
    );
    format!(
        "<h3>Break-even ({currency})</h3>{}",
        table("plain", &head, &rows)
    )
}

fn even_row(even: &BreakEven) -> String {
    let volume = match even.volume_per_day {
        None => "<td class=\"none\">never: power alone costs more</td>".to_string(),
        Some(volume) if even.within_capacity => {
            format!("<td>{}</td>", format::thousands(volume.ceil() as usize))
        }
        Some(volume) => format!(
            "<td>{}<small>more than one machine gives</small></td>",
            format::thousands(volume.ceil() as usize)
        ),
    };
    let payback = match even.payback_days {
        Some(days) => format!("<td>{} days</td>", format::thousands(days.ceil() as usize)),
        None => "<td class=\"none\">never at this volume</td>".into(),
    };
    format!(
        "<tr>{}<td class=\"text\">{}</td>{volume}{payback}</tr>",
        row_head(&even.own, ""),
        escape::html(&even.endpoint)
    )
}
