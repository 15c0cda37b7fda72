//! The leaves that differ from a git base, as `ilab taxonomy diff` finds them: the working
//! tree, with files that are not yet tracked, against the commit where HEAD left the base.
//!
//! A leaf counts as changed when any file of its folder did. It does not check leaves.

use crate::diagnostic::Sink;
use crate::git::{self, GitError, LOCAL};
use crate::leaf::Leaf;
use crate::source::shown;
use crate::walk::{self, BRANCHES, LEAF_FILE};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The base that stands for no leaves at all.
pub const EMPTY_BASE: &str = "empty";

/// What differs from the base.
#[derive(Debug, Default, Serialize)]
pub struct Changed {
    /// The commit that was compared with; none for an empty base.
    pub base: Option<String>,
    /// The leaves that are new or changed, sorted by path.
    pub leaves: Vec<ChangedLeaf>,
    /// The `qna.yaml` files that are gone, sorted.
    pub removed: Vec<String>,
}

/// A leaf that differs from the base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedLeaf {
    /// Its `qna.yaml`, below the folder that was asked for.
    pub path: String,
    /// Added or changed.
    pub status: LeafStatus,
    #[serde(skip)]
    pub(crate) file: PathBuf,
}

/// How a leaf differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LeafStatus {
    /// The base does not have it.
    Added,
    /// A file of it differs.
    Changed,
}

impl Changed {
    /// Whether a leaf is among the new and changed ones.
    pub fn has(&self, leaf: &Leaf) -> bool {
        self.leaves
            .binary_search_by(|known| known.file.cmp(&leaf.file))
            .is_ok()
    }
}

/// Why the base cannot be compared with.
#[derive(Debug, thiserror::Error)]
pub enum ChangedError {
    /// Git does not answer.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The folder is not in a repository.
    #[error(
        "`{0}` is not in a git repository: {1}\nhint: give a folder of a repository, or compare with nothing by `--base empty`"
    )]
    NoRepository(String, String),
    /// The base is not there.
    #[error(
        "the git base `{0}` is not there\nhint: give a branch, tag or commit by `--base`, or `--base empty` for all leaves; `git fetch` brings a remote's branches"
    )]
    NoBase(String),
}

/// Finds the leaves below `folder` that differ from `base`: a branch, a tag, a commit, or
/// [`EMPTY_BASE`].
///
/// # Errors
/// The folder is in no repository, or the repository has no such base.
pub fn changed(folder: &Path, base: &str) -> Result<Changed, ChangedError> {
    if base == EMPTY_BASE {
        return Ok(all(folder));
    }
    let ask = |arguments: &[&str]| git::run(folder, arguments, LOCAL);
    let prefix = match ask(&["rev-parse", "--show-prefix"]) {
        Ok(prefix) => String::from_utf8_lossy(&prefix)
            .trim_end_matches('\n')
            .to_string(),
        Err(GitError::Refused(why)) => {
            return Err(ChangedError::NoRepository(shown(folder), why));
        }
        Err(error) => return Err(error.into()),
    };
    let commit = base_commit(&ask, base)?;
    let differs = [
        "diff",
        "--name-status",
        "-z",
        "--no-renames",
        "--no-relative",
        "--no-ext-diff",
        "--no-textconv",
        &commit,
        "--",
        ".",
    ];
    let differing = git::entries(&ask(&differs)?);
    let untracked = [
        "ls-files",
        "--others",
        "--exclude-standard",
        "-z",
        "--full-name",
        "--",
        ".",
    ];
    let untracked = git::entries(&ask(&untracked)?);
    let mut files: Vec<(char, String)> = Vec::new();
    for pair in differing.chunks_exact(2) {
        files.push((pair[0].chars().next().unwrap_or('M'), pair[1].clone()));
    }
    files.extend(untracked.into_iter().map(|path| ('A', path)));
    Ok(sorted_out(folder, &prefix, commit, files))
}

/// The commit to compare with: for a branch the one where HEAD left it.
fn base_commit(
    ask: &impl Fn(&[&str]) -> Result<Vec<u8>, GitError>,
    base: &str,
) -> Result<String, ChangedError> {
    let line = |answer: Vec<u8>| String::from_utf8_lossy(&answer).trim().to_string();
    let wanted = format!("{base}^{{commit}}");
    let found = ask(&[
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        &wanted,
    ]);
    let commit = match found {
        Ok(commit) => line(commit),
        Err(GitError::Refused(_)) => return Err(ChangedError::NoBase(base.to_string())),
        Err(error) => return Err(error.into()),
    };
    let is_branch = ["refs/heads/", "refs/remotes/"].iter().any(|kind| {
        let name = format!("{kind}{base}");
        ask(&["show-ref", "--verify", "--quiet", "--", &name]).is_ok()
    });
    if !is_branch {
        return Ok(commit);
    }
    match ask(&["merge-base", "HEAD", &commit]) {
        Ok(left) => Ok(line(left)),
        Err(GitError::Refused(_)) => Err(ChangedError::NoBase(base.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// Every leaf, as if nothing had been there before.
fn all(folder: &Path) -> Changed {
    let files = walk::find(&[folder.to_path_buf()], &mut Sink::new(false));
    let leaves = files.into_iter().filter(|leaf| leaf.branch().is_some());
    let leaves = leaves.map(|leaf| ChangedLeaf {
        path: shown(&leaf.path),
        status: LeafStatus::Added,
        file: leaf.path,
    });
    Changed {
        leaves: leaves.collect(),
        ..Changed::default()
    }
}

/// The leaves to which the files belong, which git names from the repository's root.
fn sorted_out(folder: &Path, prefix: &str, commit: String, files: Vec<(char, String)>) -> Changed {
    let mut leaves: BTreeMap<PathBuf, LeafStatus> = BTreeMap::new();
    let mut removed = Vec::new();
    for (status, path) in files {
        let Some(below) = path.strip_prefix(prefix) else {
            continue;
        };
        let file = folder.join(below);
        if file.file_name().is_some_and(|name| name == LEAF_FILE) {
            match status {
                'D' if in_taxonomy(&file) => removed.push(shown(&file)),
                'A' if in_taxonomy(&file) => {
                    leaves.insert(file, LeafStatus::Added);
                }
                _ if in_taxonomy(&file) => {
                    leaves.entry(file).or_insert(LeafStatus::Changed);
                }
                _ => {}
            }
        } else if let Some(leaf) = leaf_of(folder, &file) {
            leaves.entry(leaf).or_insert(LeafStatus::Changed);
        }
    }
    removed.sort();
    let leaves = leaves.into_iter().map(|(file, status)| ChangedLeaf {
        path: shown(&file),
        status,
        file,
    });
    Changed {
        base: Some(commit),
        leaves: leaves.collect(),
        removed,
    }
}

/// Whether a leaf there is one of the taxonomy, and not a file that is only named like one.
fn in_taxonomy(file: &Path) -> bool {
    let folder = file.parent().unwrap_or(Path::new("."));
    let name = walk::leaf_name(folder, folder);
    BRANCHES.contains(&name.split('/').next().unwrap_or_default())
}

/// The `qna.yaml` of the nearest folder above a file, up to `root`.
fn leaf_of(root: &Path, file: &Path) -> Option<PathBuf> {
    let folders = file.ancestors().skip(1);
    let mut folders =
        folders.take_while(|folder| folder.starts_with(root) || root == Path::new("."));
    let leaf = folders.find_map(|folder| {
        let leaf = folder.join(LEAF_FILE);
        leaf.is_file().then_some(leaf)
    });
    leaf.filter(|leaf| in_taxonomy(leaf))
}
