//! The terminal: taken over, fed with keys, and given back on every way out.
//!
//! Does not know what is shown.

use std::io::IsTerminal;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use crate::app::App;
use crate::error::TuiError;
use crate::view;

/// How long to wait for a key before a run's file is read again.
const TICK: Duration = Duration::from_millis(700);

/// Shows the app until it is done. A panic restores the terminal before its
/// message is printed.
pub(crate) fn run(app: &mut App) -> Result<(), TuiError> {
    if !std::io::stdout().is_terminal() {
        return Err(TuiError::NoTerminal);
    }
    let mut terminal = ratatui::try_init().map_err(TuiError::Terminal)?;
    let outcome = feed(&mut terminal, app);
    ratatui::restore();
    outcome.map_err(TuiError::Terminal)
}

fn feed(terminal: &mut DefaultTerminal, app: &mut App) -> std::io::Result<()> {
    while !app.done {
        terminal.draw(|frame| view::draw(frame, app))?;
        if !event::poll(TICK)? {
            app.refresh();
            continue;
        }
        match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => app.key(key),
            _ => {}
        }
    }
    Ok(())
}
