//! One process at a time on a run.
//!
//! The lock is the operating system's advisory lock on a file, so it ends with its
//! holder, however that ends; the file's text only says who holds it. Does not know
//! what is protected.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Seek, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::create_folder;
use crate::failure::Failure;

/// How long a lock is waited for: a killed holder with gigabytes mapped keeps it for
/// some tenths of a second after its parent has been told that it is dead.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

/// Held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock at `path`, or says which process has it.
    pub fn take(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            create_folder(folder)?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(|error| Failure::io("open the lock", path, &error))?;
        let asked = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if asked.elapsed() < PATIENCE => {
                    thread::sleep(PAUSE);
                }
                Err(TryLockError::WouldBlock) => return Err(held(path).into()),
                Err(TryLockError::Error(error)) => {
                    return Err(Failure::io("lock", path, &error).into());
                }
            }
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|error| Failure::io("write the lock", path, &error))?;
        Ok(Self { _file: file })
    }
}

fn held(path: &Path) -> Failure {
    let holder = fs::read_to_string(path).unwrap_or_default();
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let holder = match holder.trim() {
        "" => "another process".to_owned(),
        pid => format!("process {pid}"),
    };
    Failure::new(format!("`{name}` is being worked on by {holder}"))
        .hint("wait until it ends, or end it; what it has done so far is kept")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_by_the_first_ones_id_until_it_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("locks/run.lock");
        let first = Lock::take(&path).unwrap();
        let refused = Lock::take(&path).unwrap_err().to_string();
        assert_eq!(
            refused,
            format!("`run` is being worked on by process {}", std::process::id())
        );
        drop(first);
        Lock::take(&path).unwrap();
    }

    #[test]
    fn a_holder_that_is_about_to_end_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.lock");
        let dying = Lock::take(&path).unwrap();
        thread::scope(|scope| {
            scope.spawn(move || {
                thread::sleep(PAUSE * 3);
                drop(dying);
            });
            Lock::take(&path).unwrap();
        });
    }

    #[test]
    fn what_a_dead_holder_left_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.lock");
        fs::write(&path, "999999999\n").unwrap();
        let _lock = Lock::take(&path).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("{}\n", std::process::id())
        );
    }
}
