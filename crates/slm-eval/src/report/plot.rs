//! Curves from 0 to 1 as inline SVG: accuracy against the share sent, risk against coverage,
//! accuracy against confidence.
//!
//! Does not know what they mean; classes are styled by the page.

use std::fmt::Write;

use super::escape;

/// The width of a plot; its height is four fifths of it.
pub(super) const SIZE: f64 = 300.0;
const LEFT: f64 = 40.0;
const BOTTOM: f64 = 34.0;
const TOP: f64 = 20.0;
const RIGHT: f64 = 12.0;
/// What lies around the frame: left, right, above and below.
pub(super) const FRAME: [f64; 4] = [LEFT, RIGHT, TOP, BOTTOM];

/// One curve.
pub(crate) struct Curve<'a> {
    /// What the legend calls it.
    pub name: &'a str,
    /// `ours`, `oracle` or `random`.
    pub class: &'a str,
    /// The points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// Curves in one frame; the vertical axis begins at a round number below the lowest point.
pub(crate) fn plot(x: &str, y: &str, curves: &[Curve], dots: bool) -> String {
    let lowest = curves
        .iter()
        .flat_map(|curve| &curve.points)
        .map(|point| point.1);
    let highest = lowest.clone().fold(0.0, f64::max);
    let lowest = lowest.fold(1.0, f64::min);
    let (from, to) = match highest < 0.5 && lowest < 0.1 {
        // Risks are small: let them fill the frame.
        true => (0.0, ((highest * 10.0).ceil() / 10.0).max(0.1)),
        false => (((lowest * 10.0).floor() / 10.0).min(0.8), 1.0),
    };
    let (width, height) = (SIZE - LEFT - RIGHT, SIZE * 0.8 - TOP - BOTTOM);
    let place = |point: &(f64, f64)| {
        let up = ((point.1 - from) / (to - from)).clamp(0.0, 1.0);
        (
            LEFT + width * point.0.clamp(0.0, 1.0),
            TOP + height * (1.0 - up),
        )
    };
    let mut svg = format!(
        "<svg class=\"plot\" viewBox=\"0 0 {SIZE} {:.0}\" role=\"img\" aria-label=\"{}\">",
        SIZE * 0.8,
        escape::html(&summary(x, y, curves))
    );
    for step in 0..=4 {
        let share = f64::from(step) / 4.0;
        let (across, up) = (LEFT + width * share, TOP + height * (1.0 - share));
        // Writing to a String cannot fail.
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{up:.1}\" y2=\"{up:.1}\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <text class=\"tick\" x=\"{across:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{share:.2}</text>",
            SIZE - RIGHT,
            LEFT - 6.0,
            up + 3.5,
            tick(from + (to - from) * share),
            SIZE * 0.8 - BOTTOM + 14.0,
        );
    }
    for curve in curves {
        let points: Vec<(f64, f64)> = curve.points.iter().map(place).collect();
        let path: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = write!(
            svg,
            "<polyline class=\"{}\" points=\"{}\"/>",
            curve.class,
            path.join(" ")
        );
        if dots && curve.class == "ours" {
            for (x, y) in points {
                let _ = write!(
                    svg,
                    "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>"
                );
            }
        }
    }
    let _ = write!(
        svg,
        "<text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
         <text class=\"axis\" x=\"{LEFT}\" y=\"{:.1}\">{}</text></svg>",
        LEFT + width / 2.0,
        SIZE * 0.8 - 4.0,
        escape::html(x),
        TOP - 9.0,
        escape::html(y)
    );
    svg
}

/// A tick's value with two digits, or with three where two would not tell it.
fn tick(value: f64) -> String {
    let places = if (value * 100.0).fract().abs() > 1e-6 && (value * 100.0).fract() < 1.0 - 1e-6 {
        3
    } else {
        2
    };
    format!("{value:.places$}")
}

/// What the plot shows, for those who cannot see it.
fn summary(x: &str, y: &str, curves: &[Curve]) -> String {
    let ends: Vec<String> = curves
        .iter()
        .filter_map(|curve| {
            let (first, last) = (curve.points.first()?, curve.points.last()?);
            Some(format!(
                "{} from {:.3} at {:.2} to {:.3} at {:.2}",
                curve.name, first.1, first.0, last.1, last.0
            ))
        })
        .collect();
    format!("{y} against {x}: {}", ends.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_points_stay_in_the_frame() {
        let curve = Curve {
            name: "<b>",
            class: "ours",
            points: vec![(0.0, 0.7), (2.0, 1.5)],
        };
        let svg = plot("x", "y", &[curve], true);
        assert!(
            svg.contains("&lt;b&gt; from 0.700") && !svg.contains("<b>"),
            "{svg}"
        );
        assert!(svg.contains("288.0,20.0"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2);
    }
}
