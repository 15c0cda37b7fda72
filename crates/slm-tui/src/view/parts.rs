//! A section of a report: its tables, its texts and its curves, one below the other.
//!
//! Does not know what it is about.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Paragraph, Widget};
use slm_eval::report::outline::{Block, Cell, Part, Plot, Tone};
use slm_eval::report::visible;

use super::theme::Theme;
use super::{columns, detail, fit, inset, line_of};
use crate::difference;
use crate::parts::Parts;

/// Columns that a name takes at most.
const NAME: usize = 28;
/// Columns that any other cell takes at most.
const CELL: usize = 44;
/// Columns and lines of a plot.
const PLOT: (u16, u16) = (66, 14);

pub(super) fn draw(frame: &mut Frame, area: Rect, parts: &mut Parts, theme: &Theme) {
    let [above, body] =
        Layout::vertical([Constraint::Length(3), Constraint::Min(1)]).areas(inset(area));
    let Some(part) = parts.open() else {
        return;
    };
    let number = format!("  {} of {}", parts.at + 1, parts.all.len());
    let heading = Line::from(vec![
        Span::styled(line_of(&part.title), theme.accent),
        Span::styled(number, theme.soft),
    ]);
    frame.render_widget(Paragraph::new(vec![Line::raw(""), heading]), above);
    let lines = lines(part, parts.column, usize::from(body.width), theme);
    parts.page = usize::from(body.height).max(1);
    parts.lines = lines.len();
    parts.scroll = parts.scroll.min(lines.len().saturating_sub(parts.page));
    let shown = lines.into_iter().skip(parts.scroll).take(parts.page);
    frame.render_widget(Paragraph::new(shown.collect::<Vec<_>>()), body);
}

fn lines<'a>(part: &Part, column: usize, width: usize, theme: &Theme) -> Vec<Line<'a>> {
    let mut lines: Vec<Line> = Vec::new();
    for block in &part.blocks {
        if matches!(block, Block::Heading(_) | Block::Table { .. }) && !lines.is_empty() {
            lines.push(Line::raw(""));
        }
        match block {
            Block::Heading(text) => lines.push(Line::styled(line_of(text), theme.title)),
            Block::Text(cell) => {
                let text = difference::Part::Same(visible(&cell.text));
                let wrapped = detail::wrapped(&[text], width, theme);
                lines.extend(
                    wrapped
                        .into_iter()
                        .map(|line| line.style(style(cell, theme))),
                );
            }
            Block::Lines(text) => {
                let text = difference::Part::Same(visible(text));
                lines.extend(detail::wrapped(&[text], width, theme));
            }
            Block::Table { head, rows } => lines.extend(table(head, rows, column, width, theme)),
            Block::Plot(figure) => lines.extend(plot(figure, width, theme)),
        }
    }
    lines
}

fn style(cell: &Cell, theme: &Theme) -> Style {
    match cell.tone {
        Tone::Plain => Style::new(),
        Tone::Good => theme.good,
        Tone::Bad => theme.bad,
        Tone::Soft => theme.soft,
    }
}

/// The first column, and of the others as many as fit, from this one on.
fn table<'a>(
    head: &[String],
    rows: &[Vec<Cell>],
    column: usize,
    width: usize,
    theme: &Theme,
) -> Vec<Line<'a>> {
    let text = |cell: Option<&Cell>| line_of(cell.map_or("", |cell| &cell.text));
    let widest = |column: usize| {
        let cells = rows.iter().map(|row| columns(&text(row.get(column))));
        let name = head.get(column).map_or(0, |name| columns(&line_of(name)));
        cells.max().unwrap_or(0).max(name)
    };
    let others: usize = (1..head.len())
        .map(|column| widest(column).min(CELL) + 2)
        .sum();
    let first = widest(0).min(NAME.max(width.saturating_sub(others)));
    let from = 1 + column.min(head.len().saturating_sub(2));
    let mut left = width.saturating_sub(first);
    let mut shown = Vec::new();
    for column in from..head.len() {
        let own = widest(column).min(CELL);
        if own + 2 > left && !shown.is_empty() {
            break;
        }
        let own = own.min(left.saturating_sub(2));
        left = left.saturating_sub(own + 2);
        let number = |cell: &Cell| {
            cell.text
                .starts_with(|c: char| c.is_numeric() || "+\u{2212}\u{2013}<".contains(c))
        };
        let words = rows
            .iter()
            .filter_map(|row| row.get(column))
            .any(|cell| !number(cell));
        shown.push((column, own, words));
    }
    let last = shown.last().map_or(head.len(), |(column, ..)| column + 1);
    let cell = |text: &str, own: usize, words: bool| match words {
        true => format!("  {}", fit(text, own)),
        false => format!(
            "  {}{}",
            " ".repeat(own.saturating_sub(columns(text))),
            fit(text, own.min(columns(text)))
        ),
    };
    let title = |column: usize| line_of(head.get(column).map_or("", String::as_str));
    let mut names = vec![Span::styled(fit(&title(0), first), theme.head)];
    for (column, own, words) in &shown {
        names.push(Span::styled(
            cell(&title(*column), *own, *words),
            theme.head,
        ));
    }
    let more = match (from > 1, last < head.len()) {
        (false, false) => "",
        (true, false) => " \u{2190}",
        (false, true) => " \u{2192}",
        (true, true) => " \u{2194}",
    };
    names.push(Span::styled(more, theme.soft));
    let mut lines = vec![Line::from(names)];
    for row in rows {
        let mut line = vec![Span::raw(fit(&text(row.first()), first))];
        for (column, own, words) in &shown {
            let found = row.get(*column);
            let how = found.map_or_else(Style::new, |cell| style(cell, theme));
            line.push(Span::styled(cell(&text(found), *own, *words), how));
        }
        lines.push(Line::from(line));
    }
    lines
}

/// Curves, drawn aside and taken over line by line, so that they scroll with the rest.
fn plot<'a>(figure: &Plot, width: usize, theme: &Theme) -> Vec<Line<'a>> {
    let area = Rect::new(0, 0, PLOT.0.min(width as u16), PLOT.1);
    let sets = figure.curves.iter().map(|(class, points)| {
        let (style, marker) = match class.as_str() {
            "ours" => (theme.accent, Marker::Braille),
            "oracle" => (theme.soft, Marker::Braille),
            _ => (theme.soft, Marker::Dot),
        };
        Dataset::default()
            .data(points)
            .graph_type(GraphType::Line)
            .marker(marker)
            .style(style)
    });
    let axis = |labels: [String; 2], title: &str| {
        Axis::default()
            .bounds([0.0, 1.0])
            .labels(labels)
            .title(line_of(title))
            .style(theme.soft)
    };
    let mut buffer = Buffer::empty(area);
    Chart::new(sets.collect())
        .x_axis(axis(["0".into(), "1".into()], &figure.x))
        .y_axis(axis(figure.ends.clone(), &figure.y))
        .render(area, &mut buffer);
    let row = |y: u16| {
        let cells = (0..area.width).filter_map(|x| buffer.cell((x, y)));
        let spans = cells.map(|cell| Span::styled(cell.symbol().to_string(), cell.style()));
        Line::from(spans.collect::<Vec<_>>())
    };
    (0..area.height).map(row).collect()
}
