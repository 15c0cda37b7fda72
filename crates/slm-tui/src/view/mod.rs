//! Draws the state: a title, the screen, a line of keys, help over it.
//!
//! Does not change the state but for the sizes that scrolling needs.

mod detail;
mod help;
mod parts;
mod row;
mod rows;
mod run;
mod samples;
mod systems;
mod theme;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use unicode_width::UnicodeWidthChar;

use crate::app::{App, ListPlace, Screen};
use crate::dataset::Browser;
use crate::dataset::judging::Typing;
use crate::keys::Views;
use crate::source::Source;
use theme::Theme;

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame, app: &mut App) {
    let theme = Theme::new(app.colours);
    app.list_place = ListPlace::default();
    let [title, body, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(title_line(app, &theme)), title);
    match app.screen {
        Screen::Systems => systems::draw(frame, body, app, &theme),
        Screen::Parts => parts::draw(frame, body, &mut app.parts, &theme),
        Screen::Samples => samples::draw(frame, body, app, &theme),
        Screen::Detail => detail::draw(frame, body, app, &theme),
        Screen::Run => run::draw(frame, body, app, &theme),
        Screen::Rows => {
            if let Source::Dataset(browser) = &mut app.source {
                match browser.open {
                    true => row::draw(frame, body, browser, &theme),
                    false => app.list_place = rows::draw(frame, body, browser, &theme),
                }
            }
        }
    }
    frame.render_widget(Paragraph::new(key_line(app, &theme)), keys);
    if app.help {
        let views = match app.source {
            Source::Report(_) => Views::Report,
            Source::Dataset(_) => Views::Dataset,
            Source::Runs(_) => Views::All,
        };
        help::draw(frame, frame.area(), views, &theme);
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
        Source::Runs(runs) => match runs.as_slice() {
            [run] => (line_of(&run.path.display().to_string()), String::new()),
            more => (format!("{} runs", more.len()), String::new()),
        },
        Source::Dataset(browser) => dataset_title(browser),
    };
    Line::from(vec![
        Span::styled(name, theme.title),
        Span::styled(rest, theme.soft),
    ])
}

fn dataset_title(browser: &Browser) -> (String, String) {
    let (at, files) = browser.number();
    let mut rest = format!("  {} rows", rows::count(browser.rows.len()));
    if files > 1 {
        rest.push_str(&format!(", file {at} of {files}"));
    }
    let [accepted, rejected, edited] = browser.verdicts.counts;
    rest.push_str(&format!(
        "; {accepted} accepted, {rejected} rejected, {edited} edited"
    ));
    let path = browser.file();
    let name = match (path.parent().and_then(|p| p.file_name()), path.file_name()) {
        (Some(folder), Some(name)) => format!("{}/{}", folder.display(), name.display()),
        _ => path.display().to_string(),
    };
    (line_of(&name), rest)
}

/// The line of keys in a dataset: what is being written, or what happened last.
fn dataset_keys<'a>(browser: &Browser, theme: &Theme) -> Line<'a> {
    let said = match (&browser.typing, browser.said.is_empty()) {
        (Typing::Search, _) => {
            let progress = rows::progress(browser);
            return Line::from(format!("/{}\u{2588}{progress}", line_of(&browser.search)));
        }
        (Typing::Reason(writing), _) => {
            let verdict = format!("{:?}", writing.verdict).to_lowercase();
            let text = line_of(&writing.text);
            return Line::from(format!("reason to {verdict} (Esc drops): {text}\u{2588}"));
        }
        (Typing::Nothing, false) => &browser.said,
        (Typing::Nothing, true) => &browser.verdicts.said,
    };
    if !said.is_empty() {
        let style = if browser.verdicts.unsaved {
            theme.bad
        } else {
            theme.accent
        };
        return Line::styled(line_of(said), style);
    }
    let keys = match browser.open {
        true => "n p row  a accept  x reject  e edit  u undo  Esc list  ? help  q quit",
        false => "Enter open  a accept  x reject  e edit  u undo  f filter  / search  ? help",
    };
    Line::styled(keys, theme.soft)
}

fn key_line<'a>(app: &App, theme: &Theme) -> Line<'a> {
    if let Source::Dataset(browser) = &app.source {
        return dataset_keys(browser, theme);
    }
    let text = match app.screen {
        _ if app.reviewing.writing.is_some() => {
            let text = app.reviewing.writing.as_deref().unwrap_or_default();
            return Line::from(format!("comment: {}\u{2588}", line_of(text)));
        }
        _ if app.searching => return Line::from(format!("/{}\u{2588}", line_of(&app.search))),
        Screen::Systems => {
            "Tab tables  \u{2190}\u{2192} metric  \u{2191}\u{2193} system  Enter its failures  ? help  q quit"
        }
        Screen::Parts => {
            "n p table  \u{2191}\u{2193} scroll  \u{2190}\u{2192} columns  Tab samples  ? help  q quit"
        }
        Screen::Samples => "Enter open  f filter  s system  / search  Tab systems  ? help  q quit",
        Screen::Detail => {
            "n p sample  1 in order  2 misjudged  3 wrong target  c comment  Esc back  ? help"
        }
        Screen::Run | Screen::Rows => "? help  q quit",
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

/// Columns of the terminal that a text takes.
fn columns(text: &str) -> usize {
    text.chars().filter_map(UnicodeWidthChar::width).sum()
}

/// The text cut or filled to a width in columns of the terminal.
fn fit(text: &str, width: usize) -> String {
    let whole = columns(text) <= width;
    let room = if whole {
        width
    } else {
        width.saturating_sub(1)
    };
    let (mut fitted, mut column) = (String::new(), 0);
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if column + wide > room {
            break;
        }
        fitted.push(character);
        column += wide;
    }
    if !whole && width > 0 {
        fitted.push('\u{2026}');
        column += 1;
    }
    fitted.extend(std::iter::repeat_n(' ', width.saturating_sub(column)));
    fitted
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
mod dataset_tests;
#[cfg(test)]
mod tests;
