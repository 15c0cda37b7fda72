//! The terminal is given back on every way out: this test program runs itself in a
//! pseudo-terminal and looks at what came out of it.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::*;
use crate::source::Source;

/// Tells the program in the pseudo-terminal that it is the one.
const INSIDE: &str = "SLM_TUI_IN_A_TERMINAL";
/// Longer than anything here takes.
const LONGEST: Duration = Duration::from_secs(30);

/// What runs inside; does nothing where it is run as a test.
#[test]
fn inside() {
    match std::env::var(INSIDE).as_deref() {
        Ok("panic") => {
            let _terminal = take_over().unwrap();
            execute!(stdout(), EnableMouseCapture).unwrap();
            panic!("struck");
        }
        Ok("run") => run(&mut App::new(Source::Report(Box::default()))).unwrap(),
        _ => {}
    }
}

/// A program in a terminal of 80 columns and 24 lines.
struct Pty {
    child: Child,
    ours: File,
    theirs: OwnedFd,
    output: Vec<u8>,
}

impl Pty {
    fn start(what: &str) -> Self {
        let (mut ours, mut theirs) = (0, 0);
        let mut size = libc::winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // SAFETY: both descriptors and the size are places of this frame; neither a name nor
        // settings are asked for.
        let opened = unsafe {
            libc::openpty(
                &raw mut ours,
                &raw mut theirs,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                &raw mut size,
            )
        };
        assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
        // SAFETY: the call above made both, and nothing else owns them.
        let (ours, theirs) = unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
        let end = || Stdio::from(theirs.try_clone().unwrap());
        let mut command = Command::new(std::env::current_exe().unwrap());
        // SAFETY: only calls that may be made between fork and exec. The terminal becomes the
        // one that controls the program, which its own end of it does not outlive.
        unsafe {
            assert_ne!(
                libc::fcntl(ours.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC),
                -1
            );
            command.pre_exec(|| {
                libc::setsid();
                match libc::ioctl(0, libc::TIOCSCTTY, 0) {
                    -1 => Err(std::io::Error::last_os_error()),
                    _ => Ok(()),
                }
            });
        }
        let child = command
            .args(["--exact", "terminal::tests::inside", "--nocapture"])
            .env(INSIDE, what)
            .env("TERM", "xterm-256color")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        Self {
            child,
            ours,
            theirs,
            output: Vec::new(),
        }
    }

    /// Settings of the terminal's lines: whether keys are shown and lines are waited for.
    fn is_cooked(&self) -> bool {
        // SAFETY: all bytes of this structure of numbers may be zero.
        let mut settings: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open, and the structure is a place of this frame.
        let told = unsafe { libc::tcgetattr(self.theirs.as_raw_fd(), &raw mut settings) };
        assert_eq!(told, 0, "{}", std::io::Error::last_os_error());
        let both = libc::ECHO | libc::ICANON;
        settings.c_lflag & both == both
    }

    /// Reads on until this was written.
    fn read_until(&mut self, wanted: &str) {
        let begun = Instant::now();
        while !self.text().contains(wanted) {
            assert!(
                begun.elapsed() < LONGEST,
                "no {wanted:?} in {:?}",
                self.text()
            );
            self.read();
        }
    }

    /// Reads what is there, if anything is.
    fn read(&mut self) {
        let mut poll = libc::pollfd {
            fd: self.ours.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one descriptor, which is open.
        if unsafe { libc::poll(&raw mut poll, 1, 20) } > 0 {
            let mut block = [0; 4096];
            let count = self.ours.read(&mut block).unwrap_or(0);
            self.output.extend(&block[..count]);
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    /// Reads until the program has ended.
    fn end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            self.read();
            if let Some(status) = self.child.try_wait().unwrap() {
                self.read();
                return status;
            }
            assert!(
                begun.elapsed() < LONGEST,
                "it does not end: {:?}",
                self.text()
            );
        }
    }

    /// The last of what was written to these modes of the terminal is that they are off.
    fn assert_given_back(&self) {
        let text = self.text();
        for mode in ["1049", "1000"] {
            let (on, off) = (format!("\u{1b}[?{mode}h"), format!("\u{1b}[?{mode}l"));
            let on = text
                .rfind(&on)
                .unwrap_or_else(|| panic!("{mode} never on: {text:?}"));
            assert!(text[on..].contains(&off), "{mode} stays on: {text:?}");
        }
        let hidden = text.rfind("\u{1b}[?25l");
        let shown = text.rfind("\u{1b}[?25h");
        assert!(hidden.is_none() || shown > hidden, "no cursor: {text:?}");
        assert!(self.is_cooked());
    }
}

#[test]
fn signals_give_the_terminal_back_and_end_the_process() {
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        let mut pty = Pty::start("run");
        pty.read_until("\u{1b}[?1000h");
        assert!(!pty.is_cooked());
        let process = pty.child.id().cast_signed();
        // SAFETY: it is our own child, which was not waited for.
        assert_eq!(unsafe { libc::kill(process, signal) }, 0);
        assert_eq!(pty.end().signal(), Some(signal));
        pty.assert_given_back();
    }
}

#[test]
fn a_panic_gives_the_terminal_back_before_its_message() {
    let mut pty = Pty::start("panic");
    assert!(!pty.end().success());
    pty.assert_given_back();
    let text = pty.text();
    let message = text.find("struck").unwrap();
    for mode in ["1049", "1000"] {
        assert!(text.find(&format!("\u{1b}[?{mode}l")).unwrap() < message);
    }
}

#[test]
fn a_terminal_that_goes_away_ends_the_process() {
    let mut pty = Pty::start("run");
    pty.read_until("\u{1b}[?1000h");
    let Pty {
        mut child,
        ours,
        theirs,
        ..
    } = pty;
    drop((ours, theirs));
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < LONGEST);
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.signal(), Some(SIGHUP));
}
