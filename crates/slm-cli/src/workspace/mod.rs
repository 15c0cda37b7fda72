//! Where a user's work lives: datasets, runs, models, evals and the cache.
//!
//! Knows folders, names and manifests; does not know what a stage computes.

mod hash;
mod lock;
mod manifest;
mod stage;

pub use hash::{hash_bytes, hash_path};
pub use lock::Lock;
pub use manifest::{MANIFEST_FILE, Manifest};
pub use stage::{Input, Stage, run_stage};

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::failure::Failure;

/// A kind of artefact, and the folder of the workspace that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rows to train and test on.
    Datasets,
    /// Training runs: adapters, checkpoints, events.
    Runs,
    /// Checkpoints in Hugging Face layout.
    Models,
    /// Predictions, results and reports.
    Evals,
}

impl Kind {
    /// The folder's name.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Datasets => "datasets",
            Self::Runs => "runs",
            Self::Models => "models",
            Self::Evals => "evals",
        }
    }
}

/// A workspace folder. Nothing is created until something is written.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The workspace at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the artefact `name`.
    pub fn artefact(&self, kind: Kind, name: &str) -> PathBuf {
        self.root.join(kind.folder()).join(name)
    }

    /// The folder of answers that were paid for once.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// The one holder of `name`, until the value is dropped.
    pub fn lock(&self, name: &str) -> Result<Lock> {
        Lock::take(&self.cache().join("locks").join(format!("{name}.lock")))
    }

    /// The folder of a model given by name or by path.
    ///
    /// A name is looked up in this workspace's `models/`, then in the project's own
    /// (`workspace/models` in the current directory), where `slm-nano` ships.
    pub fn model(&self, name_or_path: &str) -> Result<PathBuf> {
        let path = Path::new(name_or_path);
        let named = self.artefact(Kind::Models, name_or_path);
        let shipped = Path::new("workspace/models").join(name_or_path);
        let plain = path
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        let candidates = match path.components().count() {
            1 if plain => vec![named, shipped, path.to_owned()],
            // A model of an owner, as it was pulled; a path that is there goes before it.
            2 if plain => vec![path.to_owned(), named],
            _ => vec![path.to_owned()],
        };
        if let Some(found) = candidates.iter().find(|folder| folder.is_dir()) {
            return Ok(found.clone());
        }
        let places: Vec<String> = candidates
            .iter()
            .map(|path| format!("`{}`", path.display()))
            .collect();
        Err(
            Failure::new(format!("there is no model `{name_or_path}`; looked at {}", places.join(", ")))
                .hint("`slm model list` shows the models of this workspace; a path to a folder in Hugging Face layout works too")
                .into(),
        )
    }
}

/// Creates a folder and what is above it.
pub fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| Failure::io("create the folder", path, &error).into())
}

/// Removes a folder with all that is in it; one that is not there is fine.
pub fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::io("remove", path, &error).into())
        }
        _ => Ok(()),
    }
}

/// Writes a file so that readers see the old content or the new, never a part.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        create_folder(folder)?;
    }
    slm_files::write(path, bytes).map_err(|error| Failure::io("write", path, &error).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn atomic_writes_replace_and_leave_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.txt");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_model_that_is_not_there_names_the_places() {
        let folder = tempfile::tempdir().unwrap();
        let error = Workspace::new(folder.path()).model("nobody").unwrap_err();
        assert!(error.to_string().contains("there is no model `nobody`"));
    }
}
