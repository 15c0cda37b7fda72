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
    /// Change between systems and samples.
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
    /// Metrics to the left.
    Left,
    /// Metrics to the right.
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
}

/// A key, what it does and what help says.
pub struct Binding {
    /// The keys as help shows them.
    pub shown: &'static str,
    /// The keys.
    pub codes: &'static [KeyCode],
    /// What they do.
    pub action: Action,
    /// What help says.
    pub help: &'static str,
}

macro_rules! binding {
    ($shown:literal, [$($code:expr),+], $action:ident, $help:literal) => {
        Binding { shown: $shown, codes: &[$($code),+], action: Action::$action, help: $help }
    };
}

/// Every key.
pub const BINDINGS: &[Binding] = &[
    binding!("q", [KeyCode::Char('q')], Quit, "quit"),
    binding!(
        "?",
        [KeyCode::Char('?'), KeyCode::F(1)],
        Help,
        "show or hide this help"
    ),
    binding!("Esc", [KeyCode::Esc, KeyCode::Backspace], Back, "back"),
    binding!("Tab", [KeyCode::Tab], Switch, "systems or samples"),
    binding!("Enter", [KeyCode::Enter], Open, "open"),
    binding!(
        "j \u{2193}",
        [KeyCode::Char('j'), KeyCode::Down],
        Down,
        "down"
    ),
    binding!("k \u{2191}", [KeyCode::Char('k'), KeyCode::Up], Up, "up"),
    binding!(
        "PgDn Space",
        [KeyCode::PageDown, KeyCode::Char(' ')],
        PageDown,
        "page down"
    ),
    binding!(
        "PgUp b",
        [KeyCode::PageUp, KeyCode::Char('b')],
        PageUp,
        "page up"
    ),
    binding!(
        "g Home",
        [KeyCode::Char('g'), KeyCode::Home],
        First,
        "first"
    ),
    binding!("G End", [KeyCode::Char('G'), KeyCode::End], Last, "last"),
    binding!(
        "h \u{2190}",
        [KeyCode::Char('h'), KeyCode::Left],
        Left,
        "metric to the left"
    ),
    binding!(
        "l \u{2192}",
        [KeyCode::Char('l'), KeyCode::Right],
        Right,
        "metric to the right"
    ),
    binding!(
        "f",
        [KeyCode::Char('f')],
        Filter,
        "filter: all, failures, disagreements, ..."
    ),
    binding!(
        "s",
        [KeyCode::Char('s')],
        System,
        "the system that the filter is about"
    ),
    binding!(
        "/",
        [KeyCode::Char('/')],
        Search,
        "search; Enter keeps it, Esc drops it"
    ),
    binding!("n", [KeyCode::Char('n')], Next, "next sample"),
    binding!("p", [KeyCode::Char('p')], Previous, "previous sample"),
    binding!("1", [KeyCode::Char('1')], Agree, "review: in order"),
    binding!(
        "2",
        [KeyCode::Char('2')],
        Disagree,
        "review: judged wrongly"
    ),
    binding!(
        "3",
        [KeyCode::Char('3')],
        BadTarget,
        "review: the target is wrong"
    ),
    binding!("c", [KeyCode::Char('c')], Comment, "review: comment"),
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
