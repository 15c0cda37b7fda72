//! Checkpoints of a run: trained values, moments and the place in the data.
//!
//! A checkpoint is a folder `checkpoint-<step>` that appears whole, by rename. The frozen base is
//! not in it. The newest two are kept; a damaged one is passed over for the one before.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use slm_model::ModelError;
use slm_model::checkpoint::{
    Checkpoint, NamedTensor, StoredType, write_atomically, write_safetensors,
};

use crate::error::Result;
use crate::optimizer::Moments;

/// How many checkpoints are kept.
const KEPT: usize = 2;

/// What a checkpoint says besides tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Finished steps.
    pub step: u64,
    /// Examples consumed.
    pub position: u64,
    /// Hash of everything the run depends on.
    pub identity: String,
}

/// Trained values and moments by parameter name.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Where the run stands.
    pub progress: Progress,
    /// Name, values and moments of each trained parameter.
    pub parameters: Vec<(String, Vec<f32>, Moments)>,
}

impl Snapshot {
    /// Writes the snapshot below `dir` and removes the checkpoints before the last [`KEPT`].
    ///
    /// # Errors
    /// When the disk is full or not writable; older checkpoints are left whole.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let last = dir.join(format!("checkpoint-{:08}", self.progress.step));
        let temporary = dir.join(format!("checkpoint-{:08}.tmp", self.progress.step));
        let _ = fs::remove_dir_all(&temporary);
        fs::create_dir_all(&temporary).map_err(|e| ModelError::io("write", &temporary, e))?;
        let mut tensors = Vec::new();
        for (name, values, moments) in &self.parameters {
            for (kind, data) in [
                ("value", values),
                ("first", &moments.first),
                ("second", &moments.second),
            ] {
                tensors.push(NamedTensor {
                    name: format!("{kind}.{name}"),
                    shape: vec![data.len()],
                    values: data.clone(),
                });
            }
        }
        write_safetensors(
            &temporary.join("state.safetensors"),
            &tensors,
            StoredType::F32,
        )?;
        let text = serde_json::to_string_pretty(&self.progress).unwrap_or_default();
        write_atomically(&temporary.join("progress.json"), text.as_bytes())?;
        let _ = fs::remove_dir_all(&last);
        fs::rename(&temporary, &last).map_err(|e| ModelError::io("write", &last, e))?;
        prune(dir);
        Ok(())
    }

    /// The newest whole checkpoint below `dir` made with `identity`, and the damaged ones passed
    /// over on the way.
    pub fn newest(dir: &Path, identity: &str) -> (Option<Self>, Vec<PathBuf>) {
        let mut damaged = Vec::new();
        for path in checkpoints(dir).into_iter().rev() {
            match Self::load(&path) {
                Ok(snapshot) if snapshot.progress.identity == identity => {
                    return (Some(snapshot), damaged);
                }
                Ok(_) => {}
                Err(_) => damaged.push(path),
            }
        }
        (None, damaged)
    }

    fn load(dir: &Path) -> Result<Self> {
        let path = dir.join("progress.json");
        let text = fs::read_to_string(&path).map_err(|e| ModelError::io("read", &path, e))?;
        let progress = serde_json::from_str(&text)
            .map_err(|e| ModelError::invalid(&path, e.to_string(), "the checkpoint is damaged"))?;
        let file = Checkpoint::open_file(&dir.join("state.safetensors"))?;
        let names: Vec<(String, usize)> = file
            .tensors()
            .filter_map(|(name, shape)| Some((name.strip_prefix("value.")?.to_string(), shape[0])))
            .collect();
        let mut parameters = Vec::new();
        for (name, count) in names {
            let values = file.read(&format!("value.{name}"), &[count])?;
            let moment = |kind: &str| {
                let key = format!("{kind}.{name}");
                let length = file.raw(&key).map_or(0, |(_, _, shape)| shape[0]);
                file.read(&key, &[length])
            };
            let moments = Moments {
                first: moment("first")?,
                second: moment("second")?,
            };
            parameters.push((name, values, moments));
        }
        Ok(Self {
            progress,
            parameters,
        })
    }
}

/// Whole checkpoints below `dir`, oldest first.
pub fn checkpoints(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let named = |path: &PathBuf| {
        path.file_name()
            .and_then(|n| n.to_str())
            .is_some_and(|n| n.starts_with("checkpoint-") && !n.ends_with(".tmp"))
    };
    let mut found: Vec<PathBuf> = entries.filter(named).collect();
    found.sort();
    found
}

fn prune(dir: &Path) {
    let found = checkpoints(dir);
    for old in found.iter().rev().skip(KEPT) {
        let _ = fs::remove_dir_all(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(step: u64) -> Snapshot {
        let moments = Moments {
            first: vec![0.5, f32::MIN_POSITIVE],
            second: vec![],
        };
        Snapshot {
            progress: Progress {
                step,
                position: 9,
                identity: "a".into(),
            },
            parameters: vec![("w".into(), vec![1.0, -0.1], moments)],
        }
    }

    #[test]
    fn a_snapshot_comes_back_bit_for_bit_and_old_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        for step in [1, 2, 3] {
            snapshot(step).save(dir.path()).unwrap();
        }
        assert_eq!(Snapshot::newest(dir.path(), "a").0, Some(snapshot(3)));
        assert_eq!(checkpoints(dir.path()).len(), 2);
        assert_eq!(Snapshot::newest(dir.path(), "b").0, None);
    }

    #[test]
    fn a_damaged_checkpoint_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        snapshot(1).save(dir.path()).unwrap();
        snapshot(2).save(dir.path()).unwrap();
        let broken = dir.path().join("checkpoint-00000002/state.safetensors");
        let data = fs::read(&broken).unwrap();
        fs::write(&broken, &data[..data.len() - 3]).unwrap();
        let (found, damaged) = Snapshot::newest(dir.path(), "a");
        assert_eq!((found, damaged.len()), (Some(snapshot(1)), 1));
    }
}
