//! Draws the state: a title, the screen, a line of keys, help over it.
//!
//! Does not change the state but for the sizes that scrolling needs.

mod detail;
mod help;
mod run;
mod samples;
mod systems;
mod theme;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::app::{App, Screen};
use crate::source::Source;
use theme::Theme;

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame, app: &mut App) {
    let theme = Theme::new(app.colours);
    let [title, body, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(title_line(app, &theme)), title);
    match app.screen {
        Screen::Systems => systems::draw(frame, body, app, &theme),
        Screen::Samples => samples::draw(frame, body, app, &theme),
        Screen::Detail => detail::draw(frame, body, app, &theme),
        Screen::Run => run::draw(frame, body, app, &theme),
    }
    frame.render_widget(Paragraph::new(key_line(app, &theme)), keys);
    if app.help {
        help::draw(frame, frame.area(), &theme);
    }
}

fn title_line<'a>(app: &App, theme: &Theme) -> Line<'a> {
    let (name, rest) = match &app.source {
        Source::Report(report) => (
            line_of(&report.results.task),
            format!(
                "  {} samples, {} systems",
                report.results.samples,
                report.results.systems.len()
            ),
        ),
        Source::Run(_, path) => (line_of(&path.display().to_string()), String::new()),
    };
    Line::from(vec![
        Span::styled(name, theme.title),
        Span::styled(rest, theme.soft),
    ])
}

fn key_line<'a>(app: &App, theme: &Theme) -> Line<'a> {
    let text = match app.screen {
        _ if app.reviewing.writing.is_some() => {
            let text = app.reviewing.writing.as_deref().unwrap_or_default();
            return Line::from(format!("comment: {}\u{2588}", line_of(text)));
        }
        _ if app.searching => return Line::from(format!("/{}\u{2588}", line_of(&app.search))),
        Screen::Systems => {
            "Tab samples  \u{2190}\u{2192} metric  \u{2191}\u{2193} system  Enter its failures  ? help  q quit"
        }
        Screen::Samples => "Enter open  f filter  s system  / search  Tab systems  ? help  q quit",
        Screen::Detail => {
            "n p sample  1 in order  2 misjudged  3 wrong target  c comment  Esc back  ? help"
        }
        Screen::Run => "? help  q quit",
    };
    Line::styled(text, theme.soft)
}

/// Text of others on one line, with nothing that steers the terminal.
fn line_of(text: &str) -> String {
    let start: String = text.chars().take(1000).collect();
    slm_eval::report::visible(&start)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// The text cut to a width in characters, with an ellipsis.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_string();
    }
    text.chars()
        .take(width.saturating_sub(1))
        .chain(['\u{2026}'])
        .collect()
}

/// The area without a blank column at either side.
fn inset(area: Rect) -> Rect {
    Rect {
        x: area.x + 1.min(area.width),
        width: area.width.saturating_sub(2),
        ..area
    }
}

#[cfg(test)]
mod tests;
