//! The terminal: taken over, fed with keys, lent to an editor, and given back on every way out.
//!
//! Does not know what is shown.

use std::io::{IsTerminal, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{
    self, DisableMouseCapture, EnableMouseCapture, Event, KeyEventKind,
};
use ratatui::crossterm::execute;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::app::App;
use crate::error::TuiError;
use crate::{editor, view};

/// How long to wait for a key before signals are looked for.
const TICK: Duration = Duration::from_millis(200);
/// How long before a run's file is read again.
const REFRESH: Duration = Duration::from_millis(700);

/// Shows the app until it is done. A panic restores the terminal before its message is
/// printed, a signal before it ends the process as it would have without us.
pub(crate) fn run(app: &mut App) -> Result<(), TuiError> {
    if !stdout().is_terminal() {
        return Err(TuiError::NoTerminal);
    }
    let signal = Arc::new(AtomicUsize::new(0));
    for number in [SIGHUP, SIGINT, SIGTERM] {
        let flag = signal.clone();
        signal_hook::flag::register_usize(number, flag, number as usize)
            .map_err(TuiError::Terminal)?;
    }
    // Runs after ratatui's own hook has restored the rest.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        execute!(stdout(), DisableMouseCapture).ok();
        before(panic);
    }));
    let mut terminal = ratatui::try_init().map_err(TuiError::Terminal)?;
    let outcome = feed(&mut terminal, app, &signal);
    execute!(stdout(), DisableMouseCapture).ok();
    // Otherwise shown when `terminal` is dropped, which a signal does not wait for.
    terminal.show_cursor().ok();
    ratatui::restore();
    match signal.load(Ordering::Relaxed) {
        0 => {}
        number => {
            // Ends the process; an error would mean that the signal cannot end it.
            signal_hook::low_level::emulate_default_handler(number as i32).ok();
        }
    }
    outcome.map_err(TuiError::Terminal)
}

fn feed(
    terminal: &mut DefaultTerminal,
    app: &mut App,
    signal: &AtomicUsize,
) -> std::io::Result<()> {
    let mut mouse = false;
    let mut refreshed = Instant::now();
    while !app.done && signal.load(Ordering::Relaxed) == 0 {
        if app.mouse != mouse {
            mouse = app.mouse;
            match mouse {
                true => execute!(stdout(), EnableMouseCapture)?,
                false => execute!(stdout(), DisableMouseCapture)?,
            }
        }
        terminal.draw(|frame| view::draw(frame, app))?;
        let wait = if app.work() { Duration::ZERO } else { TICK };
        let mut pending = event::poll(wait)?;
        // Keys that came meanwhile are taken before the next frame, so that none waits for one.
        while pending && !app.done {
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => app.key(key),
                Event::Mouse(event) => app.mouse(event),
                _ => {}
            }
            if let Some(text) = app.wanted() {
                app.edited(lend(terminal, &mut mouse, signal, &text)?);
            }
            pending = event::poll(Duration::ZERO)?;
        }
        if refreshed.elapsed() > REFRESH {
            app.refresh();
            refreshed = Instant::now();
        }
    }
    Ok(())
}

/// Gives the terminal to an editor and takes it again.
fn lend(
    terminal: &mut DefaultTerminal,
    mouse: &mut bool,
    signal: &AtomicUsize,
    text: &str,
) -> std::io::Result<Result<String, String>> {
    execute!(stdout(), DisableMouseCapture)?;
    *mouse = false;
    terminal.show_cursor()?;
    ratatui::try_restore()?;
    let outcome = editor::edit(&editor::command(), text);
    // Control and C in an editor is the editor's.
    let number = SIGINT as usize;
    signal
        .compare_exchange(number, 0, Ordering::Relaxed, Ordering::Relaxed)
        .ok();
    ratatui::crossterm::terminal::enable_raw_mode()?;
    execute!(stdout(), ratatui::crossterm::terminal::EnterAlternateScreen)?;
    terminal.clear()?;
    Ok(outcome)
}
