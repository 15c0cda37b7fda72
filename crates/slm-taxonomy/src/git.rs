//! Runs `git`, with a limit on its time, and tells why it failed.
//!
//! It knows nothing of taxonomies. No prompt, pager or external diff is ever started, and no
//! transport but the usual ones.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long git may look at a repository on this machine.
pub const LOCAL: Duration = Duration::from_secs(60);
/// How often a running git is looked at.
const TICK: Duration = Duration::from_millis(5);

/// Why git gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no git.
    #[error("`git` cannot be started: {0}\nhint: install git, or put it on the PATH")]
    Missing(#[source] io::Error),
    /// Git said no; its own words.
    #[error("{0}")]
    Refused(String),
    /// Git did not end.
    #[error("`git` did not answer within {} s", .0.as_secs())]
    TooSlow(Duration),
}

/// What git prints when it is run in `folder` with these arguments.
///
/// # Errors
/// There is no git, it fails, or takes longer than `limit`.
pub fn run<A: AsRef<OsStr>>(
    folder: &Path,
    arguments: &[A],
    limit: Duration,
) -> Result<Vec<u8>, GitError> {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(folder)
        .args(["-c", "core.fsmonitor=false", "-c", "core.quotePath=false"])
        .args(arguments)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_OPTIONAL_LOCKS", "0")
        // A repository's own settings could name a program to fetch with.
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_ALLOW_PROTOCOL", "https:http:ssh:git:file")
        .env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=10")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(GitError::Missing)?;
    let stdout = drained(child.stdout.take());
    let stderr = drained(child.stderr.take());
    let is_done = wait(&mut child, limit);
    if !is_done {
        child.kill().ok();
    }
    let status = child.wait().map_err(GitError::Missing)?;
    if !is_done {
        return Err(GitError::TooSlow(limit));
    }
    let output = stdout.join().unwrap_or_default();
    let said = stderr.join().unwrap_or_default();
    match status.success() {
        true => Ok(output),
        false => Err(GitError::Refused(reason(&String::from_utf8_lossy(&said)))),
    }
}

/// The entries of an answer that git ended with NUL each.
pub fn entries(answer: &[u8]) -> Vec<String> {
    let parts = answer
        .split(|byte| *byte == 0)
        .filter(|part| !part.is_empty());
    parts
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect()
}

fn drained(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is all there is to show.
            pipe.read_to_end(&mut bytes).ok();
        }
        bytes
    })
}

fn wait(child: &mut Child, limit: Duration) -> bool {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(None) if start.elapsed() < limit => thread::sleep(TICK),
            Ok(None) => return false,
            Ok(Some(_)) | Err(_) => return true,
        }
    }
}

/// The line of git's words that says why.
fn reason(said: &str) -> String {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let grave = lines().find_map(|line| {
        line.strip_prefix("fatal: ")
            .or(line.strip_prefix("error: "))
    });
    match grave.or_else(|| lines().next()) {
        Some(line) => line.to_string(),
        None => "git failed without a word".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gits_own_reason_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let outcome = run(folder.path(), &["rev-parse", "--show-toplevel"], LOCAL);
        let Err(GitError::Refused(why)) = outcome else {
            panic!("a temporary folder is no repository: {outcome:?}");
        };
        assert!(why.starts_with("not a git repository"), "{why}");
        assert_eq!(reason("warning: a\nfatal: b\n"), "b");
    }

    #[test]
    fn a_git_that_hangs_is_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let limit = Duration::from_millis(50);
        let hang = ["-c", "alias.hang=!exec sleep 30", "hang"];
        let start = Instant::now();
        assert!(matches!(
            run(folder.path(), &hang, limit),
            Err(GitError::TooSlow(_))
        ));
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn no_address_starts_a_program() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let address = format!("ext::touch {}", mark.display());
        assert!(run(folder.path(), &["ls-remote", "--", &address], LOCAL).is_err());
        assert!(!mark.exists());
    }
}
