//! Documents that leaves take from git repositories, at a commit.
//!
//! Folders on this machine are always read, addresses elsewhere only when the user wants it.
//! Does not know how documents are cut.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use slm_data::document::{Document, Kind, LARGEST_DOCUMENT_BYTES, Origin, from_repository};
use slm_taxonomy::fits;
use slm_taxonomy::git::{self, LOCAL};
use tempfile::TempDir;

use crate::failure::Failure;

/// How long a repository elsewhere may take to answer.
const REMOTE: Duration = Duration::from_secs(300);

/// The folder of this machine that an address names, there or not; none for one elsewhere.
pub fn here(repo: &str) -> Option<&Path> {
    let path = Path::new(repo.strip_prefix("file://").unwrap_or(repo));
    let is_here = repo.starts_with("file://") || repo.starts_with(['/', '.']) || path.is_dir();
    is_here.then_some(path)
}

/// Repositories, those elsewhere as far as they were fetched.
pub struct Repositories {
    fetches: bool,
    /// Where a repository at a commit was fetched to, and the commit's name there.
    fetched: HashMap<(String, String), (TempDir, String)>,
}

impl Repositories {
    /// Reads folders on this machine, and fetches from addresses elsewhere if `fetches`.
    pub fn new(fetches: bool) -> Self {
        Self {
            fetches,
            fetched: HashMap::new(),
        }
    }

    /// The documents of a leaf: the files at the commit that fit a pattern.
    ///
    /// # Errors
    /// The repository or the commit is not there or may not be fetched, no file fits, or a file
    /// is no document.
    pub fn documents(
        &mut self,
        leaf: &str,
        repo: &str,
        commit: &str,
        patterns: &[String],
    ) -> Result<Vec<Document>> {
        let (folder, wanted) = self.place(leaf, repo, commit)?;
        let tree = format!("{wanted}^{{tree}}");
        let listed = git::run(
            &folder,
            &[
                "ls-tree",
                "-r",
                "-z",
                "--name-only",
                "--full-tree",
                "--end-of-options",
                &tree,
            ],
            LOCAL,
        );
        let listed = listed.map_err(|error| {
            Failure::new(format!(
                "leaf `{leaf}`: `{repo}` has no commit `{commit}`: {error}"
            ))
            .hint("give the full hash of a commit that the repository has, in `document.commit`")
        })?;
        let paths: Vec<String> = git::entries(&listed)
            .into_iter()
            .filter(|path| patterns.iter().any(|pattern| fits(pattern, path)))
            .collect();
        if !paths.iter().any(|path| Kind::reads(Path::new(path))) {
            let what = match paths.is_empty() {
                true => "no file fits",
                false => "no file that is a document (.md, .txt, .html, .pdf) fits",
            };
            let patterns = patterns.join("`, `");
            return Err(Failure::new(format!(
                "leaf `{leaf}`: {what} `{patterns}` in `{repo}` at `{commit}`"
            ))
            .hint("mend `document.patterns`; `**/*.md` selects Markdown files in all folders")
            .into());
        }
        let readable = paths.iter().filter(|path| Kind::reads(Path::new(path)));
        readable
            .map(|path| document(&folder, &wanted, repo, commit, path))
            .collect()
    }

    /// A folder with the repository, and what the commit is called there.
    fn place(&mut self, leaf: &str, repo: &str, commit: &str) -> Result<(PathBuf, String)> {
        if let Some(folder) = here(repo) {
            return Ok((folder.to_owned(), commit.to_owned()));
        }
        if !self.fetches {
            return Err(Failure::new(format!(
                "leaf `{leaf}` takes its document from `{repo}`, which is not on this machine"
            ))
            .hint("add `--fetch-documents` to fetch it, or name a file with `--document`")
            .into());
        }
        let key = (repo.to_owned(), commit.to_owned());
        if let Some((folder, name)) = self.fetched.get(&key) {
            return Ok((folder.path().to_owned(), name.clone()));
        }
        let (folder, name) = fetch(repo, commit)?;
        let place = (folder.path().to_owned(), name.clone());
        self.fetched.insert(key, (folder, name));
        Ok(place)
    }
}

/// One document.
fn document(folder: &Path, wanted: &str, repo: &str, commit: &str, path: &str) -> Result<Document> {
    let object = format!("{wanted}:{path}");
    let failed = |error: git::GitError| {
        Failure::new(format!(
            "cannot read `{path}` of `{repo}` at `{commit}`: {error}"
        ))
        .hint("is the repository whole? `git fsck` tells")
    };
    // Its size first: git would hand over any number of bytes.
    let size = git::run(folder, &["cat-file", "-s", &object], LOCAL).map_err(failed)?;
    let size: u64 = String::from_utf8_lossy(&size)
        .trim()
        .parse()
        .unwrap_or(u64::MAX);
    if size > LARGEST_DOCUMENT_BYTES {
        let most = LARGEST_DOCUMENT_BYTES >> 20;
        return Err(Failure::new(format!(
            "`{path}` of `{repo}` at `{commit}` has more than {most} MiB"
        ))
        .hint("leave it out of `document.patterns`, or cut it into parts")
        .into());
    }
    let bytes = git::run(folder, &["cat-file", "blob", &object], LOCAL).map_err(failed)?;
    let origin = Origin {
        repo: repo.to_owned(),
        commit: commit.to_owned(),
        path: path.to_owned(),
    };
    Ok(from_repository(origin, bytes)?)
}

/// Fetches the commit alone where the server allows it, else every branch and tag.
fn fetch(repo: &str, commit: &str) -> Result<(TempDir, String)> {
    let folder = tempfile::tempdir()
        .map_err(|error| Failure::new(format!("cannot make a folder to fetch into: {error}")))?;
    let run = |arguments: &[&str]| git::run(folder.path(), arguments, REMOTE);
    let failed = |error: git::GitError| {
        Failure::new(format!("cannot fetch `{repo}`: {error}"))
            .hint("check `document.repo` and the connection, or name a file with `--document`")
    };
    run(&["init", "--quiet", "--bare"]).map_err(failed)?;
    let few = ["fetch", "--quiet", "--depth=1", "--", repo, commit];
    if !commit.starts_with('-') && run(&few).is_ok() {
        return Ok((folder, "FETCH_HEAD".to_owned()));
    }
    run(&["fetch", "--quiet", "--", repo, "+refs/*:refs/all/*"]).map_err(failed)?;
    Ok((folder, commit.to_owned()))
}
