//! Checkpoints of a run: trained values, moments and the place in the data.
//!
//! A checkpoint is a folder `checkpoint-<step>` that appears whole, by rename. The frozen base is
//! not in it. The newest two are kept, and beside them the folder `best`, the state of the lowest
//! validation loss, where a run asks for it. A damaged one (its tensors' hash is kept beside them)
//! is passed over for the one before.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use slm_model::ModelError;
use slm_model::checkpoint::{Checkpoint, write_atomically};

use crate::error::Result;
use crate::learner::Trained;
use crate::optimizer::Moments;
use crate::state_file;

/// How many checkpoints are kept.
const KEPT: usize = 2;

/// The file of a checkpoint's tensors.
const STATE: &str = "state.safetensors";

/// Folder of the state of the lowest validation loss.
pub const BEST: &str = "best";

/// What a checkpoint says besides tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Finished steps.
    pub step: u64,
    /// Examples consumed.
    pub position: u64,
    /// Hash of everything the run depends on.
    pub identity: String,
    /// The last evaluation.
    #[serde(default)]
    pub evaluated: Option<Evaluated>,
    /// The best evaluation.
    #[serde(default)]
    pub best: Option<Evaluated>,
    /// Evaluations since the best one.
    #[serde(default)]
    pub stale: u64,
    /// Whether training ended before its last step.
    #[serde(default)]
    pub stopped: bool,
}

/// An evaluation on the validation rows. Saved by the bits of its loss, because a decimal that is
/// read again may be another number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub struct Evaluated {
    /// Step, from 1.
    pub step: u64,
    /// Mean loss per learned token, or per pair.
    pub loss: f64,
}

impl From<(u64, u64)> for Evaluated {
    fn from((step, bits): (u64, u64)) -> Self {
        Self {
            step,
            loss: f64::from_bits(bits),
        }
    }
}

impl From<Evaluated> for (u64, u64) {
    fn from(evaluated: Evaluated) -> Self {
        (evaluated.step, evaluated.loss.to_bits())
    }
}

impl Progress {
    /// The beginning of a run.
    pub fn new(identity: String) -> Self {
        Self {
            step: 0,
            position: 0,
            identity,
            evaluated: None,
            best: None,
            stale: 0,
            stopped: false,
        }
    }
}

/// `progress.json`: where the run stands, and the hash of `state.safetensors`.
#[derive(Serialize, Deserialize)]
struct Saved {
    #[serde(flatten)]
    progress: Progress,
    state_sha256: String,
}

/// Trained values and moments by parameter name.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Where the run stands.
    pub progress: Progress,
    /// Name, values and moments of each trained parameter.
    pub parameters: Vec<Trained>,
}

impl Snapshot {
    /// Writes the snapshot below `dir` and removes the checkpoints before the last [`KEPT`].
    ///
    /// # Errors
    /// When the disk is full or not writable; older checkpoints are left whole.
    pub fn save(&self, dir: &Path) -> Result<()> {
        self.write(&dir.join(format!("checkpoint-{:08}", self.progress.step)))?;
        prune(dir);
        Ok(())
    }

    /// Writes the snapshot as the best one below `dir`.
    ///
    /// # Errors
    /// As [`Snapshot::save`].
    pub fn save_best(&self, dir: &Path) -> Result<()> {
        self.write(&dir.join(BEST))
    }

    /// The best snapshot below `dir`, if it is whole, of this run, and of that step.
    pub fn best(dir: &Path, identity: &str, step: u64) -> Option<Self> {
        let found = Self::load(&dir.join(BEST)).ok()?;
        let progress = &found.progress;
        (progress.identity == identity && progress.step == step).then_some(found)
    }

    /// Writes a folder that appears whole; what a failed attempt wrote is removed.
    fn write(&self, last: &Path) -> Result<()> {
        let temporary = last.with_extension("tmp");
        let _ = fs::remove_dir_all(&temporary);
        let written = self.write_files(&temporary).and_then(|()| {
            let _ = fs::remove_dir_all(last);
            fs::rename(&temporary, last).map_err(|e| ModelError::io("write", last, e).into())
        });
        if written.is_err() {
            let _ = fs::remove_dir_all(&temporary);
        }
        written
    }

    fn write_files(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).map_err(|e| ModelError::io("write", dir, e))?;
        let mut tensors = Vec::new();
        for (name, values, moments) in &self.parameters {
            for (kind, data) in [
                ("value", values),
                ("first", &moments.first),
                ("second", &moments.second),
            ] {
                tensors.push((format!("{kind}.{name}"), data.as_slice()));
            }
        }
        let saved = Saved {
            progress: self.progress.clone(),
            state_sha256: state_file::write(&dir.join(STATE), &tensors)?,
        };
        let text = serde_json::to_string_pretty(&saved).unwrap_or_default();
        Ok(write_atomically(
            &dir.join("progress.json"),
            text.as_bytes(),
        )?)
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
        let damaged =
            |problem: String| ModelError::invalid(&path, problem, "the checkpoint is damaged");
        let saved: Saved = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
        let state = dir.join(STATE);
        if state_file::hash(&state)? != saved.state_sha256 {
            return Err(damaged(format!("`{STATE}` is not what was written")).into());
        }
        let file = Checkpoint::open_file(&state)?;
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
            progress: saved.progress,
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
                best: Some(Evaluated {
                    step: 1,
                    loss: 0.1 + 0.2,
                }),
                ..Progress::new("a".into())
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
        let mut flipped = data.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for bad in [&data[..data.len() - 3], &flipped] {
            fs::write(&broken, bad).unwrap();
            let (found, damaged) = Snapshot::newest(dir.path(), "a");
            assert_eq!((found, damaged.len()), (Some(snapshot(1)), 1));
        }
    }

    #[test]
    fn the_best_one_is_kept_beside_the_newest_two() {
        let dir = tempfile::tempdir().unwrap();
        snapshot(1).save_best(dir.path()).unwrap();
        for step in [1, 2, 3] {
            snapshot(step).save(dir.path()).unwrap();
        }
        let best = |identity, step| Snapshot::best(dir.path(), identity, step);
        assert_eq!(best("a", 1), Some(snapshot(1)));
        assert_eq!((best("b", 1), best("a", 2)), (None, None));
    }

    #[test]
    fn a_checkpoint_that_cannot_be_written_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        snapshot(1).save(dir.path()).unwrap();
        // A file in the place of the folder to be made stands in for a disk that refuses.
        fs::write(dir.path().join("checkpoint-00000002"), "").unwrap();
        assert!(snapshot(2).save(dir.path()).is_err());
        assert!(!dir.path().join("checkpoint-00000002.tmp").exists());
        assert_eq!(Snapshot::newest(dir.path(), "a").0, Some(snapshot(1)));
    }
}
