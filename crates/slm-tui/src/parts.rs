//! The sections of a report beside its systems and samples: which one is open, and how far it
//! is scrolled.
//!
//! Does not know how a section is drawn.

use slm_eval::report::outline::{Block, Part, outline};
use slm_eval::results::Results;

use crate::dataset::moved;
use crate::keys::Action;

/// A report's sections.
#[derive(Debug, Default)]
pub struct Parts {
    /// The sections.
    pub all: Vec<Part>,
    /// The one that is open.
    pub at: usize,
    /// Its first line on screen.
    pub scroll: usize,
    /// Columns of its tables that are passed over, the first excepted.
    pub column: usize,
    /// Its lines, told by the last drawing.
    pub lines: usize,
    /// Lines of a page, told by the last drawing.
    pub page: usize,
}

impl Parts {
    /// The sections of results.
    pub fn of(results: &Results) -> Self {
        Self {
            all: outline(results),
            ..Self::default()
        }
    }

    /// The section that is open.
    pub fn open(&self) -> Option<&Part> {
        self.all.get(self.at)
    }

    /// Takes an action.
    pub fn act(&mut self, action: Action) {
        match action {
            Action::Next => self.go(self.at + 1),
            Action::Previous => self.go(self.at.saturating_sub(1)),
            Action::Left => self.column = self.column.saturating_sub(1),
            Action::Right => self.column = (self.column + 1).min(self.columns()),
            action => {
                let most = self.lines.saturating_sub(self.page) + 1;
                self.scroll = moved(self.scroll, most, self.page, action);
            }
        }
    }

    fn go(&mut self, at: usize) {
        let at = at.min(self.all.len().saturating_sub(1));
        if at != self.at {
            (self.at, self.scroll, self.column) = (at, 0, 0);
        }
    }

    /// The most columns that may be passed over, so that one stays beside the first.
    fn columns(&self) -> usize {
        let blocks = self.open().map_or(&[][..], |part| &part.blocks);
        let columns = blocks.iter().map(|block| match block {
            Block::Table { head, .. } => head.len(),
            _ => 0,
        });
        columns.max().unwrap_or(0).saturating_sub(2)
    }
}
