//! Notices that a file of a taxonomy was saved.
//!
//! It looks at the times and sizes of files, so it needs nothing of the system and sees
//! saves over a network too. It does not read files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The state of the files below some paths when they were last looked at.
#[derive(Debug)]
pub struct Watch {
    paths: Vec<PathBuf>,
    seen: Vec<(PathBuf, Option<SystemTime>, u64)>,
}

impl Watch {
    /// Begins to watch files, or folders with all that lies below them.
    pub fn new(paths: &[PathBuf]) -> Watch {
        Watch {
            paths: paths.to_vec(),
            seen: snapshot(paths),
        }
    }

    /// The files that were made, changed or removed since the last look.
    pub fn changed(&mut self) -> Vec<PathBuf> {
        let now = snapshot(&self.paths);
        let gone = self
            .seen
            .iter()
            .filter(|file| now.binary_search(file).is_err());
        let come = now
            .iter()
            .filter(|file| self.seen.binary_search(file).is_err());
        let mut changed: Vec<PathBuf> = gone.chain(come).map(|(path, ..)| path.clone()).collect();
        changed.sort();
        changed.dedup();
        self.seen = now;
        changed
    }
}

/// The files below the paths, sorted. Hidden ones are left out: editors write them.
fn snapshot(paths: &[PathBuf]) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
    let mut found = Vec::new();
    let mut pending: Vec<PathBuf> = paths.to_vec();
    while let Some(path) = pending.pop() {
        let Ok(about) = fs::metadata(&path) else {
            continue;
        };
        if !about.is_dir() {
            found.push((path, about.modified().ok(), about.len()));
            continue;
        }
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            let is_linked_folder = is_link && entry.path().is_dir();
            if !is_linked_folder && !is_hidden(&entry.path()) {
                pending.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name.ends_with('~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saves_and_removals_are_seen_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a/qna.yaml");
        fs::create_dir(folder.path().join("a")).unwrap();
        let mut watch = Watch::new(&[folder.path().to_path_buf()]);
        assert!(watch.changed().is_empty());
        fs::write(&file, "a").unwrap();
        fs::write(folder.path().join("a/.qna.yaml.swp"), "a").unwrap();
        assert_eq!(watch.changed(), std::slice::from_ref(&file));
        fs::write(&file, "ab").unwrap();
        assert_eq!(watch.changed(), std::slice::from_ref(&file));
        assert!(watch.changed().is_empty());
        fs::remove_file(&file).unwrap();
        assert_eq!(watch.changed(), [file]);
    }
}
