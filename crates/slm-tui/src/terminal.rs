//! The terminal: taken over, fed with keys, lent to an editor, and given back on every way out.
//!
//! Does not know what is shown.

use std::io::{IsTerminal, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{
    self, DisableMouseCapture, EnableMouseCapture, Event, KeyEventKind,
};
use ratatui::crossterm::execute;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::app::App;
use crate::error::TuiError;
use crate::{editor, view};

/// How long to wait for a key before signals are looked for.
const TICK: Duration = Duration::from_millis(200);
/// How long to work before progress is shown.
const FRAME: Duration = Duration::from_millis(30);
/// How long the loop has to end after a signal.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long before a run's file is read again.
const REFRESH: Duration = Duration::from_millis(700);

/// Shows the app until it is done. A panic restores the terminal before its message is
/// printed, a signal before it ends the process as it would have without us.
pub(crate) fn run(app: &mut App) -> Result<(), TuiError> {
    if !stdout().is_terminal() {
        return Err(TuiError::NoTerminal);
    }
    let signal = Signal::watch().map_err(TuiError::Terminal)?;
    let mut terminal = take_over().map_err(TuiError::Terminal)?;
    let outcome = feed(&mut terminal, app, &signal);
    execute!(stdout(), DisableMouseCapture).ok();
    // Otherwise shown when `terminal` is dropped, which a signal does not wait for.
    terminal.show_cursor().ok();
    // Not `restore`, which panics where neither the terminal nor standard error is left.
    ratatui::try_restore().ok();
    if outcome.is_err() {
        // A terminal that is gone fails a little before its signal comes.
        std::thread::sleep(TICK);
    }
    signal.end();
    outcome.map_err(TuiError::Terminal)
}

/// Takes the terminal over; a panic gives it back before its message is printed.
fn take_over() -> std::io::Result<DefaultTerminal> {
    // Runs after ratatui's own hook has restored the rest.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        execute!(stdout(), DisableMouseCapture).ok();
        before(panic);
    }));
    ratatui::try_init()
}

/// A signal that asks the program to end.
struct Signal {
    /// Its number; 0 as long as none came.
    number: AtomicI32,
    /// Whether an editor has the terminal, so that control and C is the editor's.
    lent: AtomicBool,
}

impl Signal {
    /// Watches for signals in a thread. It ends the process itself if the loop does not: reading
    /// keys never returns once the terminal is gone.
    fn watch() -> std::io::Result<Arc<Self>> {
        let signal = Arc::new(Self {
            number: AtomicI32::new(0),
            lent: AtomicBool::new(false),
        });
        let seen = signal.clone();
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
        std::thread::spawn(move || {
            for number in signals.forever() {
                if number == SIGINT && seen.lent.load(Ordering::Relaxed) {
                    continue;
                }
                seen.number.store(number, Ordering::Relaxed);
                std::thread::sleep(PATIENCE);
                execute!(stdout(), DisableMouseCapture, Show).ok();
                ratatui::try_restore().ok();
                seen.end();
            }
        });
        Ok(signal)
    }

    fn came(&self) -> bool {
        self.number.load(Ordering::Relaxed) != 0
    }

    /// Ends the process as the signal does by itself, if one came.
    fn end(&self) {
        if self.came() {
            // An error would mean that the signal cannot end it.
            emulate_default_handler(self.number.load(Ordering::Relaxed)).ok();
        }
    }
}

fn feed(terminal: &mut DefaultTerminal, app: &mut App, signal: &Signal) -> std::io::Result<()> {
    let mut mouse = false;
    let mut refreshed = Instant::now();
    while !app.done && !signal.came() {
        if app.mouse != mouse {
            mouse = app.mouse;
            match mouse {
                true => execute!(stdout(), EnableMouseCapture)?,
                false => execute!(stdout(), DisableMouseCapture)?,
            }
        }
        terminal.draw(|frame| view::draw(frame, app))?;
        let mut pending = work(app)?;
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

/// Goes on with what is to be done between two frames until it is done, a key comes, or the next
/// frame is due; waits for a key where there is nothing to do. Whether one came.
fn work(app: &mut App) -> std::io::Result<bool> {
    let begun = Instant::now();
    let mut wait = TICK;
    while app.work() {
        wait = Duration::ZERO;
        if event::poll(Duration::ZERO)? {
            return Ok(true);
        }
        if begun.elapsed() > FRAME {
            return Ok(false);
        }
    }
    event::poll(wait)
}

/// Gives the terminal to an editor and takes it again.
fn lend(
    terminal: &mut DefaultTerminal,
    mouse: &mut bool,
    signal: &Signal,
    text: &str,
) -> std::io::Result<Result<String, String>> {
    execute!(stdout(), DisableMouseCapture)?;
    *mouse = false;
    terminal.show_cursor()?;
    ratatui::try_restore()?;
    signal.lent.store(true, Ordering::Relaxed);
    let outcome = editor::edit(&editor::command(), text);
    signal.lent.store(false, Ordering::Relaxed);
    ratatui::crossterm::terminal::enable_raw_mode()?;
    execute!(stdout(), ratatui::crossterm::terminal::EnterAlternateScreen)?;
    terminal.clear()?;
    Ok(outcome)
}

#[cfg(all(test, unix))]
mod tests;
