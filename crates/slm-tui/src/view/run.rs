//! Training runs: their losses and learning rates as curves laid over each other, and where
//! each stands.
//!
//! Does not know how the files are followed.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Paragraph};

use super::theme::Theme;
use super::{cut, fit, inset, line_of};
use crate::app::App;
use crate::events::{Run, RunFile};
use crate::source::Source;

/// Lines of what a run says in words.
const NOTES: usize = 3;
/// Columns of the table of runs without the name.
const COLUMNS: usize = 63;

pub(super) fn draw(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let Source::Runs(runs) = &app.source else {
        return;
    };
    let area = inset(area);
    let width = usize::from(area.width);
    let lines = match runs.as_slice() {
        [run] => standing(&run.run, width, theme),
        more => table(more, width, theme),
    };
    let rated = runs.iter().any(|run| {
        run.run
            .steps
            .iter()
            .any(|step| step.learning_rate.is_some())
    });
    let [facts, loss, rate] = Layout::vertical([
        Constraint::Length(lines.len() as u16),
        Constraint::Fill(3),
        Constraint::Fill(u16::from(rated)),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(lines), facts);
    let points = usize::from(area.width) * 2;
    let mut sets = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let (style, marker) = theme.run(index);
        sets.push(Curve {
            name: if runs.len() == 1 {
                "loss".into()
            } else {
                line_of(&run.name())
            },
            points: run.run.curve(points, |step| Some(step.loss)),
            style,
            marker,
            line: true,
        });
        if !run.run.evaluations.is_empty() {
            sets.push(Curve {
                name: if runs.len() == 1 {
                    "validation".into()
                } else {
                    String::new()
                },
                points: run.run.evaluations.clone(),
                style: if runs.len() == 1 { theme.bad } else { style },
                marker: Marker::Dot,
                line: false,
            });
        }
    }
    curves(frame, loss, &sets, theme);
    let rates: Vec<Curve> = runs
        .iter()
        .enumerate()
        .map(|(index, run)| Curve {
            name: if index == 0 {
                "learning rate".into()
            } else {
                String::new()
            },
            points: run.run.curve(points, |step| step.learning_rate),
            style: theme.run(index).0,
            marker: theme.run(index).1,
            line: true,
        })
        .collect();
    curves(frame, rate, &rates, theme);
}

/// One line per run, with the marks of its curve.
fn table<'a>(runs: &[RunFile], width: usize, theme: &Theme) -> Vec<Line<'a>> {
    let name = width.saturating_sub(COLUMNS + 2).clamp(8, 40);
    let head = format!(
        "  {:<name$} {:>11} {:>7} {:>7} {:>8} {:>8} {:>7} {:>8}",
        "run", "step", "loss", "valid.", "rate", "tokens/s", "left", "memory"
    );
    let mut lines = vec![Line::raw(""), Line::styled(fit(&head, width), theme.head)];
    for (index, file) in runs.iter().enumerate() {
        let run = &file.run;
        let last = run.steps.last();
        let number =
            |value: Option<f64>, show: fn(f64) -> String| value.map_or_else(String::new, show);
        let place = match (last, run.planned) {
            (Some(last), Some(planned)) => format!("{:.0}/{planned:.0}", last.step),
            (Some(last), None) => format!("{:.0}", last.step),
            (None, _) => "no step yet".into(),
        };
        let text = format!(
            "{:<name$} {place:>11} {:>7} {:>7} {:>8} {:>8} {:>7} {:>8}",
            cut(&line_of(&file.name()), name),
            number(last.map(|step| step.loss), |loss| format!("{loss:.4}")),
            number(run.evaluations.last().map(|point| point.1), |loss| format!(
                "{loss:.4}"
            )),
            number(last.and_then(|step| step.learning_rate), |rate| format!(
                "{rate:.1e}"
            )),
            number(
                last.and_then(|step| step.tokens_per_second),
                |speed| format!("{speed:.0}")
            ),
            time_left(run)
                .unwrap_or_default()
                .replace(" min", "m")
                .replace(' ', ""),
            number(last.and_then(|step| step.memory_bytes), gigabytes),
        );
        let (style, _) = theme.run(index);
        lines.push(Line::from(vec![
            Span::styled(format!("{} ", theme.run_sign(index)), style),
            Span::raw(cut(&text, width.saturating_sub(2))),
        ]));
    }
    let notes = runs
        .iter()
        .filter_map(|file| Some((file.name(), file.run.notes.last()?)))
        .map(|(name, note)| {
            Line::styled(cut(&line_of(&format!("{name}: {note}")), width), theme.soft)
        });
    lines.extend(notes.take(NOTES));
    lines
}

fn gigabytes(bytes: f64) -> String {
    format!("{:.2} GB", bytes / 1e9)
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
    if let Some(memory) = last.memory_bytes {
        parts.push(gigabytes(memory));
    }
    let mut lines = vec![
        Line::raw(""),
        Line::from(vec![
            Span::styled(place, theme.title),
            Span::raw("  "),
            Span::styled(cut(&losses.join("  "), width), theme.accent),
        ]),
        Line::raw(cut(&parts.join("  "), width)),
    ];
    let first = run.notes.len().saturating_sub(NOTES);
    let notes = run.notes[first..].iter();
    lines.extend(notes.map(|note| Line::styled(cut(&line_of(note), width), theme.soft)));
    lines
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

/// Points drawn in one way; the name stands in the legend.
struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
    style: Style,
    marker: Marker,
    line: bool,
}

/// Curves over the same axes.
fn curves(frame: &mut Frame, area: Rect, sets: &[Curve], theme: &Theme) {
    let range = |of: fn(&(f64, f64)) -> f64| {
        sets.iter()
            .flat_map(|set| &set.points)
            .map(of)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            })
    };
    let (left, right) = range(|point| point.0);
    let (low, high) = range(|point| point.1);
    if left > right || area.height == 0 {
        return;
    }
    let margin = ((high - low) * 0.05).max(high.abs() * 1e-6).max(1e-12);
    // A margin must not suggest that losses or rates could be negative.
    let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
    let (low, high) = ((low - margin).max(floor), high + margin);
    let drawn: Vec<Dataset> = sets
        .iter()
        .map(|set| {
            let kind = if set.line {
                GraphType::Line
            } else {
                GraphType::Scatter
            };
            let data = Dataset::default()
                .marker(set.marker)
                .graph_type(kind)
                .style(set.style)
                .data(&set.points);
            match set.name.is_empty() {
                true => data,
                false => data.name(set.name.clone()),
            }
        })
        .collect();
    let label = |value: f64| {
        if value != 0.0 && value.abs() < 0.01 {
            format!("{value:.1e}")
        } else {
            format!("{value:.2}")
        }
    };
    let chart = Chart::new(drawn)
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
