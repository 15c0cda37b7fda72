//! The keys, over everything else.
//!
//! Does not know what the keys do: the table of keys says.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::theme::Theme;
use crate::keys::{BINDINGS, Views};

/// Columns of a key with what it does.
const WIDTH: usize = 39;

pub(super) fn draw(frame: &mut Frame, area: Rect, views: Views, theme: &Theme) {
    let cells: Vec<[Span; 2]> = BINDINGS
        .iter()
        .filter(|binding| binding.views.holds(views))
        .map(|binding| {
            [
                Span::styled(format!(" {:<11}", binding.shown), theme.accent),
                Span::raw(format!("{:<wide$}", binding.help, wide = WIDTH - 12)),
            ]
        })
        .collect();
    // Two columns where one is too high.
    let high = usize::from(area.height.saturating_sub(2)).max(1);
    let columns = if cells.len() > high { 2 } else { 1 };
    let rows = cells.len().div_ceil(columns);
    let lines: Vec<Line> = (0..rows)
        .map(|row| {
            let line = (0..columns).filter_map(|column| cells.get(column * rows + row));
            line.flatten().cloned().collect()
        })
        .collect();
    let width = (WIDTH * columns + 2).min(usize::from(area.width)) as u16;
    let height = (lines.len() as u16 + 2).min(area.height);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, place);
    let block = Block::bordered().title(" Keys ");
    frame.render_widget(Paragraph::new(lines).block(block), place);
}
