//! Which base an adapter was trained on: a hash of the base's weights beside the adapter.
//!
//! PEFT's files have no place for it, so it lies in `slm.json` of the adapter's folder, which PEFT
//! ignores. Knows files and hashes; not training.

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::checkpoint::{Checkpoint, write_atomically};
use crate::error::{ModelError, Result};

/// The file beside an adapter.
pub const FILE: &str = "slm.json";

/// Whether an adapter belongs to a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// It was trained on these weights.
    Same,
    /// It was trained on others.
    Other,
    /// Its folder does not say, as when PEFT wrote it.
    Unknown,
}

/// SHA-256 over the tensors of a checkpoint in the order of their names: name, number format,
/// shape and bytes. How they are divided into files does not count.
///
/// # Errors
/// When the checkpoint cannot be read.
pub fn base_hash(dir: &Path) -> Result<String> {
    let checkpoint = Checkpoint::open(dir)?;
    let names: Vec<String> = checkpoint
        .tensors()
        .map(|(name, _)| name.to_string())
        .collect();
    let mut hasher = Sha256::new();
    for name in names {
        if let Some((bytes, dtype, shape)) = checkpoint.raw(&name) {
            hasher.update(format!("{name}\0{dtype:?}\0{shape:?}\0{}\0", bytes.len()));
            hasher.update(bytes);
        }
    }
    let digest = hasher.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes into an adapter's folder which base it was trained on.
///
/// # Errors
/// When the folder cannot be written.
pub fn record(adapter: &Path, base_hash: &str) -> Result<()> {
    let text = serde_json::to_string_pretty(&json!({"base_sha256": base_hash}));
    write_atomically(&adapter.join(FILE), text.unwrap_or_default().as_bytes())
}

/// Whether an adapter was trained on the weights in `base`.
///
/// # Errors
/// When the base or `slm.json` cannot be read.
pub fn fit(adapter: &Path, base: &Path) -> Result<Fit> {
    let path = adapter.join(FILE);
    if !path.is_file() {
        return Ok(Fit::Unknown);
    }
    let text = std::fs::read_to_string(&path).map_err(|e| ModelError::io("read", &path, e))?;
    let value: Value = serde_json::from_str(&text).map_err(|e| {
        ModelError::invalid(
            &path,
            format!("not valid JSON: {e}"),
            "restore the file, or remove it",
        )
    })?;
    match value["base_sha256"].as_str() {
        None => Ok(Fit::Unknown),
        Some(expected) if expected == base_hash(base)? => Ok(Fit::Same),
        Some(_) => Ok(Fit::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{NamedTensor, StoredType, write_safetensors};

    #[test]
    fn the_hash_knows_weights_and_not_files() {
        let dir = tempfile::tempdir().unwrap();
        let base = |name: &str, value: f32| {
            let folder = dir.path().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            let tensor = NamedTensor {
                name: "w".into(),
                shape: vec![2],
                values: vec![1.0, value],
            };
            let path = folder.join("model.safetensors");
            write_safetensors(&path, &[tensor], StoredType::F32).unwrap();
            folder
        };
        let (one, copy, other) = (base("one", 2.0), base("copy", 2.0), base("other", 2.5));
        let adapter = dir.path().join("adapter");
        std::fs::create_dir_all(&adapter).unwrap();
        assert_eq!(fit(&adapter, &one).unwrap(), Fit::Unknown);
        record(&adapter, &base_hash(&one).unwrap()).unwrap();
        assert_eq!(fit(&adapter, &copy).unwrap(), Fit::Same);
        assert_eq!(fit(&adapter, &other).unwrap(), Fit::Other);
        std::fs::write(adapter.join(FILE), "{").unwrap();
        assert!(fit(&adapter, &one).is_err());
    }
}
