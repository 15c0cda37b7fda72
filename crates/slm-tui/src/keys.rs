//! The keys, as data: what each does where, and how help names it.
//!
//! Does not know what the actions change.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Leave the program.
    Quit,
    /// Show or hide the keys.
    Help,
    /// Go back to the view before.
    Back,
    /// Change between systems, tables and samples.
    Switch,
    /// Open what is selected.
    Open,
    /// One line down.
    Down,
    /// One line up.
    Up,
    /// One page down.
    PageDown,
    /// One page up.
    PageUp,
    /// To the first line.
    First,
    /// To the last line.
    Last,
    /// Metrics or columns to the left.
    Left,
    /// Metrics or columns to the right.
    Right,
    /// The next filter.
    Filter,
    /// The system that filters are about.
    System,
    /// Search for text.
    Search,
    /// The sample after this.
    Next,
    /// The sample before this.
    Previous,
    /// The sample and its judging are in order.
    Agree,
    /// The answer is judged wrongly.
    Disagree,
    /// The target is wrong.
    BadTarget,
    /// Write a comment on the sample.
    Comment,
    /// The row stays.
    Accept,
    /// The row goes.
    Reject,
    /// The row gets another answer.
    Edit,
    /// Take the last verdict back.
    Undo,
    /// Give the mouse to the terminal, or take it.
    Mouse,
}

/// Where a key means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Views {
    /// Everywhere.
    All,
    /// In reports.
    Report,
    /// In datasets.
    Dataset,
    /// In reports and datasets.
    Listed,
}

impl Views {
    /// Whether these views are among those.
    pub fn holds(self, shown: Self) -> bool {
        self == shown || self == Self::All || (self == Self::Listed && shown != Self::All)
    }
}

/// A key, what it does and what help says.
pub struct Binding {
    /// The keys as help shows them.
    pub shown: &'static str,
    /// The keys.
    pub codes: &'static [KeyCode],
    /// What they do.
    pub action: Action,
    /// Where they do it.
    pub views: Views,
    /// What help says.
    pub help: &'static str,
}

macro_rules! binding {
    ($shown:literal, [$($code:expr),+], $action:ident, $views:ident, $help:literal) => {
        Binding {
            shown: $shown,
            codes: &[$($code),+],
            action: Action::$action,
            views: Views::$views,
            help: $help,
        }
    };
}

/// Every key.
pub const BINDINGS: &[Binding] = &[
    binding!("q", [KeyCode::Char('q')], Quit, All, "quit"),
    binding!(
        "?",
        [KeyCode::Char('?'), KeyCode::F(1)],
        Help,
        All,
        "show or hide this help"
    ),
    binding!(
        "m",
        [KeyCode::Char('m')],
        Mouse,
        All,
        "mouse; off to mark text"
    ),
    binding!(
        "Esc",
        [KeyCode::Esc, KeyCode::Backspace],
        Back,
        Listed,
        "back"
    ),
    binding!(
        "Tab",
        [KeyCode::Tab],
        Switch,
        Listed,
        "tables, samples; next file"
    ),
    binding!("Enter", [KeyCode::Enter], Open, Listed, "open"),
    binding!(
        "j \u{2193}",
        [KeyCode::Char('j'), KeyCode::Down],
        Down,
        All,
        "down"
    ),
    binding!(
        "k \u{2191}",
        [KeyCode::Char('k'), KeyCode::Up],
        Up,
        All,
        "up"
    ),
    binding!(
        "PgDn Space",
        [KeyCode::PageDown, KeyCode::Char(' ')],
        PageDown,
        All,
        "page down"
    ),
    binding!(
        "PgUp b",
        [KeyCode::PageUp, KeyCode::Char('b')],
        PageUp,
        All,
        "page up"
    ),
    binding!(
        "g Home",
        [KeyCode::Char('g'), KeyCode::Home],
        First,
        All,
        "first"
    ),
    binding!(
        "G End",
        [KeyCode::Char('G'), KeyCode::End],
        Last,
        All,
        "last"
    ),
    binding!(
        "h \u{2190}",
        [KeyCode::Char('h'), KeyCode::Left],
        Left,
        Report,
        "metric, column to the left"
    ),
    binding!(
        "l \u{2192}",
        [KeyCode::Char('l'), KeyCode::Right],
        Right,
        Report,
        "metric, column to the right"
    ),
    binding!("f", [KeyCode::Char('f')], Filter, Listed, "next filter"),
    binding!(
        "s",
        [KeyCode::Char('s')],
        System,
        Report,
        "system of the filter"
    ),
    binding!(
        "/",
        [KeyCode::Char('/')],
        Search,
        Listed,
        "search; Esc drops it"
    ),
    binding!("n", [KeyCode::Char('n')], Next, Listed, "next one"),
    binding!("p", [KeyCode::Char('p')], Previous, Listed, "previous one"),
    binding!("1", [KeyCode::Char('1')], Agree, Report, "review: in order"),
    binding!(
        "2",
        [KeyCode::Char('2')],
        Disagree,
        Report,
        "review: judged wrongly"
    ),
    binding!(
        "3",
        [KeyCode::Char('3')],
        BadTarget,
        Report,
        "review: the target is wrong"
    ),
    binding!(
        "c",
        [KeyCode::Char('c')],
        Comment,
        Report,
        "review: comment"
    ),
    binding!("a", [KeyCode::Char('a')], Accept, Dataset, "accept the row"),
    binding!(
        "x",
        [KeyCode::Char('x')],
        Reject,
        Dataset,
        "reject the row; asks why"
    ),
    binding!(
        "e",
        [KeyCode::Char('e')],
        Edit,
        Dataset,
        "edit the answer ($EDITOR)"
    ),
    binding!(
        "u",
        [KeyCode::Char('u')],
        Undo,
        Dataset,
        "undo, step by step"
    ),
];

/// What a key press asks for.
pub fn action(key: KeyEvent) -> Option<Action> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Action::Quit);
    }
    BINDINGS
        .iter()
        .find(|binding| binding.codes.contains(&key.code))
        .map(|binding| binding.action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things() {
        let codes: Vec<KeyCode> = BINDINGS
            .iter()
            .flat_map(|b| b.codes.iter().copied())
            .collect();
        for (index, code) in codes.iter().enumerate() {
            assert!(
                !codes[index + 1..].contains(code),
                "{code:?} is bound twice"
            );
        }
    }

    #[test]
    fn control_c_quits_and_other_control_keys_do_nothing() {
        let key = |code, modifiers| action(KeyEvent::new(code, modifiers));
        assert_eq!(
            key(KeyCode::Char('c'), KeyModifiers::CONTROL),
            Some(Action::Quit)
        );
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::CONTROL), None);
        assert_eq!(
            key(KeyCode::Char('j'), KeyModifiers::NONE),
            Some(Action::Down)
        );
    }
}
