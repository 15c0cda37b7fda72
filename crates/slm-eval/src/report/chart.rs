//! Forest plots as inline SVG: one panel per metric, one line per system, a dot
//! with its interval; published scores as hollow diamonds below.
//!
//! Does not know the page around them; classes are styled by it.

use std::fmt::Write;

use super::escape;
use super::format;
use crate::results::Results;

const WIDTH: f64 = 400.0;
const LABELS: f64 = 132.0;
const VALUES: f64 = 52.0;
const TOP: f64 = 12.0;
const LINE: f64 = 24.0;
const AXIS: f64 = 26.0;

/// One line of a panel.
struct Mark {
    name: String,
    value: f64,
    interval: Option<(f64, f64)>,
}

/// The panel of one metric; empty when nobody has a value.
pub(crate) fn panel(results: &Results, metric: &str) -> String {
    let marks = marks(results, metric);
    if marks.is_empty() {
        return String::new();
    }
    let (from, to) = domain(&marks);
    let plot = WIDTH - LABELS - VALUES;
    let x = |value: f64| LABELS + plot * ((value - from) / (to - from)).clamp(0.0, 1.0);
    let height = TOP + LINE * marks.len() as f64 + AXIS;
    let mut svg = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        svg,
        "<svg class=\"forest\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"{}\">",
        escape::html(&summary(&marks, metric))
    );
    grid(&mut svg, from, to, height, x);
    for (index, mark) in marks.iter().enumerate() {
        line(&mut svg, mark, TOP + LINE * (index as f64 + 0.5), x);
    }
    svg.push_str("</svg>");
    svg
}

fn marks(results: &Results, metric: &str) -> Vec<Mark> {
    let ours = results.systems.iter().filter_map(|system| {
        let value = system.metrics.get(metric)?;
        Some(Mark {
            name: system.name.clone(),
            value: value.value,
            interval: Some((value.low, value.high)),
        })
    });
    let published = results.published.iter().filter_map(|published| {
        Some(Mark {
            name: published.name.clone(),
            value: *published.metrics.get(metric)?,
            interval: None,
        })
    });
    ours.chain(published).collect()
}

/// From a round number at or below the smallest end to 1, at least 0.2 wide.
fn domain(marks: &[Mark]) -> (f64, f64) {
    let low = |mark: &Mark| mark.interval.map_or(mark.value, |(low, _)| low);
    let smallest = marks.iter().map(low).fold(1.0, f64::min);
    let tenth = (smallest * 10.0).floor() / 10.0;
    if tenth >= 0.5 {
        return (tenth.min(0.8), 1.0);
    }
    (((smallest * 5.0).floor() / 5.0).max(0.0), 1.0)
}

fn grid(svg: &mut String, from: f64, to: f64, height: f64, x: impl Fn(f64) -> f64) {
    let step = if to - from > 0.55 { 0.2 } else { 0.1 };
    let steps = ((to - from) / step).round() as usize;
    for index in 0..=steps {
        let value = from + step * index as f64;
        let at = x(value);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>\
             <text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value:.1}</text>",
            TOP - 4.0,
            height - AXIS + 4.0,
            height - 6.0,
        );
    }
}

fn line(svg: &mut String, mark: &Mark, y: f64, x: impl Fn(f64) -> f64) {
    let at = x(mark.value);
    let name = escape::html(&shortened(&mark.name, 20));
    let kind = if mark.interval.is_some() {
        "ours"
    } else {
        "published"
    };
    let _ = write!(
        svg,
        "<g class=\"{kind}\"><text class=\"name\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
        LABELS - 12.0,
        y + 4.0
    );
    match mark.interval {
        Some((low, high)) => {
            let (low, high) = (x(low), x(high));
            let _ = write!(
                svg,
                "<line class=\"whisker\" x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <circle cx=\"{at:.1}\" cy=\"{y:.1}\" r=\"4\"/>"
            );
        }
        None => {
            let _ = write!(
                svg,
                "<path d=\"M{:.1} {y:.1}L{at:.1} {:.1}L{:.1} {y:.1}L{at:.1} {:.1}Z\"/>",
                at - 5.0,
                y - 5.0,
                at + 5.0,
                y + 5.0
            );
        }
    }
    let _ = write!(
        svg,
        "<text class=\"value\" x=\"{WIDTH:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text></g>",
        y + 4.0,
        format::score(mark.value)
    );
}

/// What the panel shows, for those who cannot see it.
fn summary(marks: &[Mark], metric: &str) -> String {
    let parts: Vec<String> = marks
        .iter()
        .map(|mark| match mark.interval {
            Some((low, high)) => format!("{} {:.3}, {low:.3} to {high:.3}", mark.name, mark.value),
            None => format!("{} {:.3}, published", mark.name, mark.value),
        })
        .collect();
    format!("{metric}: {}", parts.join("; "))
}

fn shortened(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_string();
    }
    name.chars().take(most - 1).chain(['\u{2026}']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_begins_at_a_round_number() {
        let from = |value| {
            let mark = Mark {
                name: "m".into(),
                value,
                interval: None,
            };
            domain(&[mark]).0
        };
        assert_eq!(from(0.95), 0.8);
        assert_eq!(from(0.63), 0.6);
        assert_eq!(from(0.47), 0.4);
        assert_eq!(from(0.3), 0.2);
        assert_eq!(from(0.0), 0.0);
    }

    #[test]
    fn a_metric_without_values_has_no_panel() {
        assert_eq!(panel(&Results::default(), "field_f1"), "");
    }
}
