//! What the repositories of documents hold, asked of git.
//!
//! Folders on this machine are always asked, addresses elsewhere only when the user wants
//! it. Only lists of files are fetched. Does not know leaves.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use slm_taxonomy::git::{self, GitError, LOCAL};
use slm_taxonomy::{Lookup, Repositories};

use crate::documents::here;

/// How long a repository elsewhere may take to answer.
const REMOTE: Duration = Duration::from_secs(120);

/// Git, with the answers that it has given.
#[derive(Debug)]
pub struct Git {
    fetches: bool,
    known: Mutex<HashMap<(String, String), Lookup>>,
}

impl Git {
    /// Asks folders on this machine, and addresses elsewhere if `fetches`.
    pub fn new(fetches: bool) -> Self {
        Self {
            fetches,
            known: Mutex::default(),
        }
    }

    fn look(&self, repo: &str, commit: &str) -> Lookup {
        if let Some(folder) = here(repo) {
            return match git::run(folder, &["rev-parse", "--git-dir"], LOCAL) {
                // A folder within a repository is none that could be cloned.
                Ok(place) if matches!(place.trim_ascii(), b"." | b".git") => listed(folder, commit),
                Ok(_) => Lookup::NoRepository("the folder is not a repository's own".to_owned()),
                Err(error) => Lookup::NoRepository(said(&error)),
            };
        }
        match self.fetches {
            true => fetched(repo, commit),
            false => Lookup::NotAsked,
        }
    }
}

impl Repositories for Git {
    fn files(&self, repo: &str, commit: &str) -> Lookup {
        // Held while git runs, so that leaves of one repository fetch it once.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (repo.to_owned(), commit.to_owned());
        let look = || self.look(repo, commit);
        known.entry(key).or_insert_with(look).clone()
    }
}

/// The files of a repository on this machine at a commit.
fn listed(folder: &Path, commit: &str) -> Lookup {
    let wanted = format!("{commit}^{{commit}}");
    let found = [
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        &wanted,
    ];
    if git::run(folder, &found, LOCAL).is_err() {
        return Lookup::NoCommit("git does not find it".to_owned());
    }
    match git::run(
        folder,
        &["ls-tree", "-r", "-z", "--name-only", "--full-tree", &wanted],
        LOCAL,
    ) {
        Ok(answer) => Lookup::Files(Arc::from(git::entries(&answer))),
        Err(error) => Lookup::NoCommit(said(&error)),
    }
}

/// The files of a repository elsewhere at a commit. The commit alone is fetched where the
/// server allows it, else every branch and tag; contents of files never.
fn fetched(repo: &str, commit: &str) -> Lookup {
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => return Lookup::NoRepository(error.to_string()),
    };
    let run = |arguments: &[&str]| git::run(folder.path(), arguments, REMOTE);
    if let Err(error) = run(&["init", "--quiet", "--bare"]) {
        return Lookup::NoRepository(said(&error));
    }
    let few = [
        "fetch",
        "--quiet",
        "--depth=1",
        "--filter=blob:none",
        "--",
        repo,
        commit,
    ];
    let all = [
        "fetch",
        "--quiet",
        "--filter=blob:none",
        "--",
        repo,
        "+refs/*:refs/all/*",
    ];
    if !commit.starts_with('-') && run(&few).is_ok() {
        return listed(folder.path(), "FETCH_HEAD");
    }
    match run(&all) {
        Ok(_) => listed(folder.path(), commit),
        Err(error) => Lookup::NoRepository(said(&error)),
    }
}

/// Git's reason without our hint, which speaks of other places.
fn said(error: &GitError) -> String {
    let text = error.to_string();
    text.split("\nhint: ").next().unwrap_or_default().to_owned()
}
