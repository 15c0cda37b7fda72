//! Systems by metrics, the verdict, and one metric drawn with its intervals.
//!
//! Does not know samples.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph, Wrap};
use slm_eval::results::{MetricValue, Results};

use super::theme::Theme;
use super::{cut, inset, line_of};
use crate::app::App;
use crate::source::Source;

const NAME: usize = 22;
const CELL: usize = 18;

pub(super) fn draw(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let Source::Report(report) = &app.source else {
        return;
    };
    let results = &report.results;
    let lines = (results.systems.len() + results.published.len()) as u16;
    let needed = text_height(&results.verdict, area.width);
    // The verdict comes first; table and chart have what they need, if there is as much.
    let left = area.height.saturating_sub(2 * lines + 8);
    let given = needed.min(left.max(area.height / 3));
    let [verdict_area, table_area, chart_area] = Layout::vertical([
        Constraint::Length(given + 2),
        Constraint::Length(lines + 2),
        Constraint::Min(0),
    ])
    .areas(inset(area));
    let sentences: Vec<Line> = std::iter::once(Line::raw(""))
        .chain(
            results
                .verdict
                .iter()
                .map(|sentence| Line::raw(line_of(sentence))),
        )
        .collect();
    frame.render_widget(
        Paragraph::new(sentences).wrap(Wrap { trim: true }),
        verdict_area,
    );
    if given < needed && verdict_area.height > 0 {
        let last = Rect {
            y: verdict_area.bottom() - 1,
            height: 1,
            ..verdict_area
        };
        let more = Line::styled("\u{2026} the whole verdict: Tab", theme.soft);
        frame.render_widget(Clear, last);
        frame.render_widget(Paragraph::new(more), last);
    }
    frame.render_widget(
        Paragraph::new(table(results, app, table_area.width as usize, theme)),
        table_area,
    );
    frame.render_widget(
        Paragraph::new(chart(results, app, chart_area.width as usize, theme)),
        chart_area,
    );
}

/// Lines that wrapped sentences take, a little generous.
fn text_height(sentences: &[String], width: u16) -> u16 {
    let width = usize::from(width.max(20)) - 6;
    let lines: usize = sentences
        .iter()
        .map(|s| s.chars().count().div_ceil(width))
        .sum();
    lines.min(usize::from(u16::MAX)) as u16
}

fn table<'a>(results: &Results, app: &App, width: usize, theme: &Theme) -> Vec<Line<'a>> {
    let fit = (width.saturating_sub(NAME) / (CELL + 2)).max(1);
    let shown: Vec<&String> = results.metrics.iter().skip(app.metric).take(fit).collect();
    let more = if app.metric + fit < results.metrics.len() {
        " \u{2192}"
    } else {
        ""
    };
    let mut head = vec![Span::styled(format!("{:<NAME$}", "system"), theme.head)];
    for metric in &shown {
        head.push(Span::styled(
            format!("  {:>CELL$}", cut(metric, CELL)),
            theme.head,
        ));
    }
    head.push(Span::styled(more, theme.soft));
    let mut lines = vec![Line::from(head)];
    for (index, system) in results.systems.iter().enumerate() {
        let name = format!("{:<NAME$}", cut(&line_of(&system.name), NAME));
        let style = if index == app.system {
            theme.selected
        } else {
            theme.title
        };
        let mut line = vec![Span::styled(name, style)];
        for metric in &shown {
            let text = system
                .metrics
                .get(*metric)
                .map_or_else(|| "\u{2013}".into(), cell);
            line.push(Span::raw(format!("  {text:>CELL$}")));
        }
        lines.push(Line::from(line));
    }
    for published in &results.published {
        let name = format!("{:<NAME$}", cut(&line_of(&published.name), NAME));
        let mut line = vec![Span::styled(name, theme.soft)];
        for metric in &shown {
            let value = published.metrics.get(*metric);
            let text = value.map_or_else(String::new, |value| format!("{value:.3} published"));
            line.push(Span::styled(format!("  {text:>CELL$}"), theme.soft));
        }
        lines.push(Line::from(line));
    }
    lines
}

fn cell(value: &MetricValue) -> String {
    format!("{:.3} {:.3}-{:.3}", value.value, value.low, value.high)
}

/// One line per system: the interval as a bar, the value as a dot, from 0 to 1.
fn chart<'a>(results: &Results, app: &App, width: usize, theme: &Theme) -> Vec<Line<'a>> {
    let Some(metric) = results.metrics.get(app.metric) else {
        return Vec::new();
    };
    let plot = width.saturating_sub(NAME + 2).max(10);
    let place = |value: f64| ((value.clamp(0.0, 1.0) * (plot - 1) as f64).round()) as usize;
    let mut lines = vec![
        Line::raw(""),
        Line::from(vec![
            Span::styled(format!("{:<NAME$}", cut(metric, NAME)), theme.accent),
            Span::styled(format!("  0{:>wide$}", 1, wide = plot - 1), theme.soft),
        ]),
    ];
    for system in &results.systems {
        let Some(value) = system.metrics.get(metric) else {
            continue;
        };
        let mut marks = vec!['\u{b7}'; plot];
        marks[place(value.low)..=place(value.high)].fill('\u{2501}');
        marks[place(value.value)] = '\u{25cf}';
        lines.push(Line::from(vec![
            Span::raw(format!("{:<NAME$}  ", cut(&line_of(&system.name), NAME))),
            Span::styled(marks.into_iter().collect::<String>(), theme.accent),
        ]));
    }
    for published in &results.published {
        if let Some(value) = published.metrics.get(metric) {
            let mut marks = vec!['\u{b7}'; plot];
            marks[place(*value)] = '\u{25c7}';
            lines.push(Line::from(vec![
                Span::styled(
                    format!("{:<NAME$}  ", cut(&line_of(&published.name), NAME)),
                    theme.soft,
                ),
                Span::styled(marks.into_iter().collect::<String>(), theme.soft),
            ]));
        }
    }
    for note in &results.notes {
        lines.push(Line::styled(format!("note: {}", line_of(note)), theme.soft));
    }
    lines
}
