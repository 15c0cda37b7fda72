//! Styles by meaning. Without colours, meaning is carried by bold, dim,
//! underline and reverse.
//!
//! Does not know the views.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;

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
    runs: [Style; 6],
    coloured: bool,
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
            runs: [
                coloured(Color::Cyan, Modifier::BOLD),
                coloured(Color::Yellow, Modifier::DIM),
                coloured(Color::Magenta, Modifier::empty()),
                coloured(Color::Green, Modifier::BOLD),
                coloured(Color::Red, Modifier::DIM),
                coloured(Color::Blue, Modifier::empty()),
            ],
            coloured: colours,
        }
    }

    /// The style and mark of a run's curve; without colours the marks tell runs apart.
    pub(super) fn run(&self, index: usize) -> (Style, Marker) {
        let markers = [Marker::Braille, Marker::Dot, Marker::Block];
        let marker = match self.coloured {
            true => Marker::Braille,
            false => markers[index % markers.len()],
        };
        (self.runs[index % self.runs.len()], marker)
    }

    /// What a run's curve is drawn with, for the legend.
    pub(super) fn run_sign(&self, index: usize) -> &'static str {
        match self.run(index).1 {
            Marker::Dot => "\u{2022}",
            Marker::Block => "\u{2588}",
            _ => "\u{28ff}",
        }
    }
}
