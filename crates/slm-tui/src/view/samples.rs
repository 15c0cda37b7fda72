//! The list of samples: what each system made of them, and their prompts.
//!
//! Does not know filters; the list is made already.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use slm_eval::report::SampleRow;

use super::theme::Theme;
use super::{cut, inset, line_of};
use crate::app::{App, ListPlace};
use crate::filter::Filter;
use crate::source::Source;

pub(super) fn draw(frame: &mut Frame, area: Rect, app: &mut App, theme: &Theme) {
    let [above, list] =
        Layout::vertical([Constraint::Length(3), Constraint::Min(1)]).areas(inset(area));
    frame.render_widget(
        Paragraph::new(heading(app, above.width as usize, theme)),
        above,
    );
    let height = usize::from(list.height);
    app.page = height.max(1);
    let first = app
        .selected
        .saturating_sub(height / 2)
        .min(app.listed.len().saturating_sub(height));
    app.list_place = ListPlace {
        top: list.y,
        height: list.height,
        first,
    };
    let lines: Vec<Line> = app.listed[first..]
        .iter()
        .take(height)
        .enumerate()
        .filter_map(|(offset, index)| {
            let sample = app.samples().get(*index)?;
            Some(line(
                sample,
                first + offset == app.selected,
                list.width as usize,
                theme,
            ))
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), list);
}

fn heading<'a>(app: &App, width: usize, theme: &Theme) -> Vec<Line<'a>> {
    let Source::Report(report) = &app.source else {
        return Vec::new();
    };
    let system = report
        .results
        .systems
        .get(app.system)
        .map_or("", |system| &system.name);
    let mut text = format!(
        "{} of {}: {}",
        app.listed.len(),
        app.samples().len(),
        app.filter.name()
    );
    if matches!(app.filter, Filter::Failures | Filter::Unjudged) {
        text.push_str(&format!(" of {}", line_of(system)));
    }
    if !app.search.is_empty() {
        text.push_str(&format!(", with \u{201c}{}\u{201d}", line_of(&app.search)));
    }
    let names: Vec<String> = report
        .results
        .systems
        .iter()
        .map(|s| line_of(&s.name))
        .collect();
    let legend = format!(
        "\u{2713} right \u{2717} wrong \u{2205} unjudged: {}",
        names.join(", ")
    );
    vec![
        Line::raw(""),
        Line::styled(cut(&text, width), theme.accent),
        Line::styled(cut(&legend, width), theme.soft),
    ]
}

fn line<'a>(sample: &SampleRow, selected: bool, width: usize, theme: &Theme) -> Line<'a> {
    let mut spans: Vec<Span> = sample
        .answers
        .iter()
        .map(|answer| match (answer.right, answer.cause.is_empty()) {
            (true, _) => Span::styled("\u{2713}", theme.good),
            (false, true) => Span::styled("\u{2717}", theme.bad),
            (false, false) => Span::styled("\u{2205}", theme.bad),
        })
        .collect();
    let left = width.saturating_sub(spans.len() + 2);
    let text = cut(&line_of(&sample.question), left);
    let style = if selected {
        theme.selected
    } else {
        Style::new()
    };
    spans.push(Span::raw("  "));
    spans.push(Span::styled(format!("{text:<left$}"), style));
    Line::from(spans)
}
