//! The manifest beside an artefact: what it was made from, how, and what came out.
//!
//! Does not know how to make an artefact, only whether one is still what it was.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{hash_path, write_atomically};
use crate::failure::Failure;

/// The manifest's file name in an artefact's folder.
pub const MANIFEST_FILE: &str = "manifest.json";

/// What an artefact was made from, and what it holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The stage that made it.
    pub stage: String,
    /// Hash over stage, code version, inputs and settings: equal keys, equal artefacts.
    pub key: String,
    /// Version of the program and of the stage's own method.
    pub code_version: String,
    /// What was read, by name and content hash.
    pub inputs: Vec<InputRecord>,
    /// Settings that shape the result, the seed among them.
    pub settings: serde_json::Value,
    /// The command line, to run it again.
    pub command: Vec<String>,
    /// The files written.
    pub outputs: Vec<Output>,
    /// How long the work took, over all its attempts of this process.
    pub seconds: f64,
}

/// One input of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputRecord {
    /// What it is to the stage.
    pub name: String,
    /// Where it was.
    pub path: String,
    /// SHA-256 of its content.
    pub sha256: String,
}

/// One file of an artefact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Relative to the artefact's folder.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its content.
    pub sha256: String,
}

impl Manifest {
    /// The manifest in `folder`, if there is one that can be read.
    pub fn read(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join(MANIFEST_FILE)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Writes the manifest into `folder`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        write_atomically(&folder.join(MANIFEST_FILE), text.as_bytes())
    }

    /// Whether every output is still there with its size.
    pub fn is_whole(&self, folder: &Path) -> bool {
        self.outputs.iter().all(|output| {
            fs::metadata(folder.join(&output.path))
                .is_ok_and(|metadata| metadata.is_file() && metadata.len() == output.bytes)
        })
    }
}

/// Sizes and hashes of all files below `folder`, in the order of their paths.
pub fn outputs_of(folder: &Path) -> Result<Vec<Output>> {
    let mut outputs = Vec::new();
    list(folder, folder, &mut outputs)?;
    outputs.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(outputs)
}

fn list(root: &Path, folder: &Path, outputs: &mut Vec<Output>) -> Result<()> {
    let fail = |error: &std::io::Error| Failure::io("read the folder", folder, error);
    for entry in fs::read_dir(folder).map_err(|error| fail(&error))? {
        let path = entry.map_err(|error| fail(&error))?.path();
        let metadata = fs::metadata(&path).map_err(|error| Failure::io("read", &path, &error))?;
        let relative = path.strip_prefix(root).unwrap_or(&path);
        if metadata.is_dir() {
            list(root, &path, outputs)?;
        } else if relative != Path::new(MANIFEST_FILE) {
            outputs.push(Output {
                path: relative.to_string_lossy().into_owned(),
                bytes: metadata.len(),
                sha256: hash_path(&path)?,
            });
        }
    }
    Ok(())
}
