//! Styles by meaning. Without colours, meaning is carried by bold, dim,
//! underline and reverse.
//!
//! Does not know the views.

use ratatui::style::{Color, Modifier, Style};

/// The styles.
pub(super) struct Theme {
    pub title: Style,
    pub soft: Style,
    pub head: Style,
    pub selected: Style,
    pub good: Style,
    pub bad: Style,
    pub missing: Style,
    pub accent: Style,
}

impl Theme {
    /// The styles with or without colours.
    pub(super) fn new(colours: bool) -> Self {
        let plain = Style::new();
        let coloured = |colour: Color, without: Modifier| {
            if colours {
                plain.fg(colour)
            } else {
                plain.add_modifier(without)
            }
        };
        Self {
            title: plain.add_modifier(Modifier::BOLD),
            soft: plain.add_modifier(Modifier::DIM),
            head: plain.add_modifier(Modifier::UNDERLINED),
            selected: plain.add_modifier(Modifier::REVERSED),
            good: coloured(Color::Green, Modifier::UNDERLINED),
            bad: coloured(Color::Red, Modifier::BOLD),
            missing: coloured(Color::Red, Modifier::BOLD).add_modifier(Modifier::CROSSED_OUT),
            accent: coloured(Color::Cyan, Modifier::BOLD),
        }
    }
}
