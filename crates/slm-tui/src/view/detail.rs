//! One sample: prompt, target, and every system's answer with its differences.
//!
//! Does not know which samples come before and after.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use slm_eval::report::{SampleAnswer, SampleRow, visible};
use unicode_width::UnicodeWidthChar;

use super::theme::Theme;
use super::{cut, inset, line_of};
use crate::app::App;
use crate::difference::{Part, difference};
use crate::source::Source;

/// Characters of one text that are shown; the report holds the rest.
pub(super) const MOST: usize = 20_000;

pub(super) fn draw(frame: &mut Frame, area: Rect, app: &mut App, theme: &Theme) {
    let area = inset(area);
    let (Source::Report(report), Some(sample)) = (&app.source, app.sample()) else {
        return;
    };
    let names: Vec<String> = report
        .results
        .systems
        .iter()
        .map(|s| line_of(&s.name))
        .collect();
    let mut lines = lines(sample, &names, usize::from(area.width).max(1), theme);
    let reviews = app.reviewing.lines(&sample.id);
    if !reviews.is_empty() || !app.reviewing.said.is_empty() {
        lines.push(Line::raw(""));
        lines.push(Line::styled("Reviews", theme.accent));
        let width = usize::from(area.width).max(1);
        for review in reviews {
            lines.extend(wrapped(&[Part::Same(review)], width, theme));
        }
        lines.push(Line::styled(
            cut(&line_of(&app.reviewing.said), width),
            theme.soft,
        ));
    }
    app.page = usize::from(area.height).max(1);
    app.lines = lines.len();
    app.scroll = app.scroll.min(app.lines.saturating_sub(app.page));
    let shown: Vec<Line> = lines.into_iter().skip(app.scroll).take(app.page).collect();
    frame.render_widget(Paragraph::new(shown), area);
}

fn lines<'a>(sample: &SampleRow, names: &[String], width: usize, theme: &Theme) -> Vec<Line<'a>> {
    let mut lines = vec![
        Line::raw(""),
        Line::styled(line_of(&sample.id), theme.title),
    ];
    if !sample.tags.is_empty() {
        lines.push(Line::styled(line_of(&sample.tags.join(", ")), theme.soft));
    }
    let mut section = |heading: Vec<Span<'a>>, parts: Vec<Part>| {
        lines.push(Line::raw(""));
        lines.push(Line::from(heading));
        lines.extend(wrapped(&parts, width, theme));
    };
    section(
        vec![Span::styled("Prompt", theme.accent)],
        vec![Part::Same(limited(&sample.question))],
    );
    section(
        vec![Span::styled("Target", theme.accent)],
        vec![Part::Same(limited(&sample.target))],
    );
    for (name, answer) in names.iter().zip(&sample.answers) {
        let parts = if answer.right {
            vec![Part::Same(limited(&answer.output))]
        } else {
            difference(&limited(&sample.target), &limited(&answer.output))
        };
        section(heading(name, answer, theme), parts);
    }
    lines
}

fn heading<'a>(name: &str, answer: &SampleAnswer, theme: &Theme) -> Vec<Span<'a>> {
    let (style, words) = match (answer.right, answer.cause.as_str()) {
        (true, _) => (theme.good, "right".to_string()),
        (false, "") => (theme.bad, "wrong".to_string()),
        (false, cause) => (theme.bad, line_of(&cause.replace('_', " "))),
    };
    let mut spans = vec![
        Span::styled(name.to_string(), theme.accent),
        Span::raw("  "),
        Span::styled(words, style),
    ];
    if let Some(confidence) = answer.confidence {
        spans.push(Span::styled(
            format!("  sure by {confidence:.3}"),
            theme.soft,
        ));
    }
    if let Some(latency) = answer.latency_ms {
        spans.push(Span::styled(format!("  {latency:.1} ms"), theme.soft));
    }
    spans
}

pub(super) fn limited(text: &str) -> String {
    let start: String = text.chars().take(MOST).collect();
    visible(&start).replace('\t', "    ")
}

/// The parts broken into lines of the width, between words where there are any, with what is
/// missing and added marked.
pub(super) fn wrapped<'a>(parts: &[Part], width: usize, theme: &Theme) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    let mut line: Vec<(char, Style)> = Vec::new();
    let mut column = 0;
    for part in parts {
        let (text, style) = match part {
            Part::Same(text) => (text, Style::new()),
            Part::Missing(text) => (text, theme.missing),
            Part::Added(text) => (text, theme.good),
        };
        for character in text.chars() {
            let wide = character.width().unwrap_or(0);
            if character == '\n' {
                lines.push(spans(&line));
                line.clear();
                column = 0;
                continue;
            }
            if column + wide > width && character == ' ' {
                // The space that parts the words of two lines is on neither.
                lines.push(spans(&line));
                line.clear();
                column = 0;
                continue;
            }
            if column + wide > width {
                let word = line.iter().rposition(|(character, _)| *character == ' ');
                let rest = line.split_off(word.map_or(line.len(), |space| space + 1));
                lines.push(spans(&line));
                line = rest;
                column = line
                    .iter()
                    .filter_map(|(character, _)| character.width())
                    .sum();
            }
            line.push((character, style));
            column += wide;
        }
    }
    lines.push(spans(&line));
    lines
}

/// Characters of one style together.
fn spans<'a>(line: &[(char, Style)]) -> Line<'a> {
    let same = line.chunk_by(|one, next| one.1 == next.1);
    let span = |piece: &[(char, Style)]| {
        let text: String = piece.iter().map(|(character, _)| character).collect();
        Span::styled(text, piece[0].1)
    };
    Line::from(same.map(span).collect::<Vec<_>>())
}
