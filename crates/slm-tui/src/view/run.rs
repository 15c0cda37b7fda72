//! A training run: its loss and learning rate as curves, and where it stands.
//!
//! Does not know how the file is followed.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Paragraph};

use super::theme::Theme;
use super::{cut, inset, line_of};
use crate::app::App;
use crate::events::Run;
use crate::source::Source;

pub(super) fn draw(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let Source::Run(run, _) = &app.source else {
        return;
    };
    let [facts, loss, rate] = Layout::vertical([
        Constraint::Length(4),
        Constraint::Fill(3),
        Constraint::Fill(1),
    ])
    .areas(inset(area));
    frame.render_widget(
        Paragraph::new(standing(run, facts.width as usize, theme)),
        facts,
    );
    let points = usize::from(area.width) * 2;
    let losses = run.curve(points, |step| Some(step.loss));
    let validation = run.evaluations.clone();
    curve(frame, loss, "loss", &losses, &validation, theme);
    let rates = run.curve(points, |step| step.learning_rate);
    if !rates.is_empty() {
        curve(frame, rate, "learning rate", &rates, &[], theme);
    }
}

fn standing<'a>(run: &Run, width: usize, theme: &Theme) -> Vec<Line<'a>> {
    let Some(last) = run.steps.last() else {
        return vec![Line::raw(""), Line::raw("no step yet")];
    };
    let mut parts = Vec::new();
    let place = match run.planned {
        Some(planned) => format!("step {:.0} of {planned:.0}", last.step),
        None => format!("step {:.0}", last.step),
    };
    let mut losses = vec![format!("loss {:.4}", last.loss)];
    if let Some((_, loss)) = run.evaluations.last() {
        losses.push(format!("validation {loss:.4}"));
    }
    if let Some(rate) = last.learning_rate {
        parts.push(format!("learning rate {rate:.2e}"));
    }
    if let Some(speed) = last.tokens_per_second {
        parts.push(format!("{speed:.0} tokens/s"));
    }
    if let Some(left) = time_left(run) {
        parts.push(format!("{left} left"));
    }
    let note = run
        .notes
        .last()
        .map(|note| line_of(note))
        .unwrap_or_default();
    vec![
        Line::raw(""),
        Line::from(vec![
            Span::styled(place, theme.title),
            Span::raw("  "),
            Span::styled(cut(&losses.join("  "), width), theme.accent),
        ]),
        Line::raw(cut(&parts.join("  "), width)),
        Line::styled(cut(&note, width), theme.soft),
    ]
}

/// Time left at the pace since the process began, where the run tells enough.
fn time_left(run: &Run) -> Option<String> {
    let (first, last) = (run.steps.first()?, run.steps.last()?);
    let left = run.planned? - last.step;
    let done = last.step - first.step + 1.0;
    let seconds = run.elapsed_seconds? / done * left;
    if left <= 0.0 || !seconds.is_finite() {
        return None;
    }
    let minutes = (seconds / 60.0) as u64;
    Some(match minutes {
        0 => format!("{seconds:.0} s"),
        1..60 => format!("{minutes} min"),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    })
}

fn curve(
    frame: &mut Frame,
    area: Rect,
    name: &str,
    points: &[(f64, f64)],
    validation: &[(f64, f64)],
    theme: &Theme,
) {
    let all = || points.iter().chain(validation);
    let range = |of: fn(&(f64, f64)) -> f64| {
        all()
            .map(of)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            })
    };
    if points.is_empty() {
        return;
    }
    let (left, right) = range(|point| point.0);
    let (low, high) = range(|point| point.1);
    let margin = ((high - low) * 0.05).max(high.abs() * 1e-6).max(1e-12);
    // A margin must not suggest that losses or rates could be negative.
    let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
    let (low, high) = ((low - margin).max(floor), high + margin);
    let mut sets = vec![
        Dataset::default()
            .name(name.to_string())
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(theme.accent)
            .data(points),
    ];
    if !validation.is_empty() {
        sets.push(
            Dataset::default()
                .name("validation")
                .marker(Marker::Dot)
                .style(theme.bad)
                .data(validation),
        );
    }
    let label = |value: f64| {
        if value != 0.0 && value.abs() < 0.01 {
            format!("{value:.1e}")
        } else {
            format!("{value:.2}")
        }
    };
    let chart = Chart::new(sets)
        .x_axis(
            Axis::default()
                .bounds([left, right.max(left + 1.0)])
                .labels([format!("{left:.0}"), format!("{right:.0}")])
                .style(theme.soft),
        )
        .y_axis(
            Axis::default()
                .bounds([low, high])
                .labels([label(low), label(f64::midpoint(low, high)), label(high)])
                .style(theme.soft),
        );
    frame.render_widget(chart, area);
}
