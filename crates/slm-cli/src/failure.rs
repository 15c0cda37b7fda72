//! Errors as people read them: what went wrong, then what to do about it.
//!
//! Does not know where in the program an error came from; it only carries the
//! words and the exit code to the place that prints them.

use std::fmt;
use std::io;
use std::path::Path;

/// The process ended as asked.
pub const EXIT_DONE: u8 = 0;
/// Something went wrong.
pub const EXIT_ERROR: u8 = 1;
/// The command line itself cannot be understood.
pub const EXIT_USAGE: u8 = 2;
/// The work was done, and a gate over its result failed.
pub const EXIT_GATE: u8 = 100;

/// An error with a hint and an exit code.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: Option<String>,
    exit: u8,
}

impl Failure {
    /// An error of the work itself (exit code 1).
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            exit: EXIT_ERROR,
        }
    }

    /// An error in how the command was called (exit code 2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: EXIT_USAGE,
            ..Self::new(message)
        }
    }

    /// A gate that failed (exit code 100).
    pub fn gate(message: impl Into<String>) -> Self {
        Self {
            exit: EXIT_GATE,
            ..Self::new(message)
        }
    }

    /// An error whose words are in the data that was printed.
    pub fn said_already() -> Self {
        Self::new("")
    }

    /// Adds what the reader can do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An error of the file system, in terms of what was being done to which path.
    pub fn io(action: &str, path: &Path, error: &io::Error) -> Self {
        let failure = Self::new(format!("cannot {action} `{}`: {error}", path.display()));
        match hint_for_io(error) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// What to do about an error of the file system, where there is something to say.
pub fn hint_for_io(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::NotFound => {
            Some("check the path; paths are relative to the current directory")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Some("check who may write there, or choose another place with `--workspace DIR`")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Some(
                "free some space, or choose another disk with `--workspace DIR`; what was there before is untouched",
            )
        }
        io::ErrorKind::NotADirectory => Some("a part of that path is a file; choose another place"),
        _ => None,
    }
}

/// An error as the terminal shows it: message, hint and exit code.
///
/// The message joins the whole chain of causes; the hint and the exit code are
/// those of the first [`Failure`] in it. The libraries write their hints as a last
/// line `hint: ...` of their messages; such a line becomes the hint.
pub fn describe(error: &anyhow::Error) -> (String, Option<String>, u8) {
    let mut message = String::new();
    let mut hint = None;
    let mut exit = None;
    for cause in error.chain() {
        let text = cause.to_string();
        let own = cause.downcast_ref::<Failure>();
        let text = match text.rsplit_once("\nhint: ") {
            // The message of a failure with a hint of its own may quote other hints.
            Some((text, quoted)) if own.is_none_or(|own| own.hint.is_none()) => {
                hint = hint.or_else(|| Some(quoted.to_owned()));
                text.to_owned()
            }
            _ => text,
        };
        if !message.ends_with(&text) {
            if !message.is_empty() {
                message.push_str(": ");
            }
            message.push_str(&text);
        }
        if let Some(failure) = own {
            hint = hint.or_else(|| failure.hint.clone());
            exit = exit.or(Some(failure.exit));
        } else if let Some(error) = cause.downcast_ref::<io::Error>() {
            hint = hint.or_else(|| hint_for_io(error).map(str::to_owned));
        }
    }
    (message, hint, exit.unwrap_or(EXIT_ERROR))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn context_is_joined_and_the_hint_survives_it() {
        let error = Err::<(), _>(Failure::usage("`x` is odd").hint("make it even"))
            .context("reading `y`")
            .unwrap_err();
        let (message, hint, exit) = describe(&error);
        assert_eq!(message, "reading `y`: `x` is odd");
        assert_eq!(hint.as_deref(), Some("make it even"));
        assert_eq!(exit, EXIT_USAGE);
    }

    #[test]
    fn a_hint_in_a_librarys_message_is_taken_as_one() {
        let error = anyhow::anyhow!("a.jsonl:3: no rows\nhint: give it rows").context("reading");
        let (message, hint, _) = describe(&error);
        assert_eq!(message, "reading: a.jsonl:3: no rows");
        assert_eq!(hint.as_deref(), Some("give it rows"));
    }

    #[test]
    fn a_full_disk_says_what_to_do() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error = anyhow::Error::from(Failure::io("write", Path::new("a/b"), &full));
        let (message, hint, exit) = describe(&error);
        assert!(message.starts_with("cannot write `a/b`: "), "{message}");
        assert!(hint.is_some_and(|hint| hint.contains("free some space")));
        assert_eq!(exit, EXIT_ERROR);
    }
}
