//! The index of a checkpoint in shards (`model.safetensors.index.json`), and the names in a header.
//!
//! Knows which file holds which tensor; not what is in the files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::error::{ModelError, Result};
use crate::json_file::read_json;

/// The shards of a checkpoint, and the one that each tensor is said to lie in.
pub(super) struct Index {
    /// Shards in the order of their names.
    pub shards: Vec<PathBuf>,
    /// Number of each tensor's shard.
    pub places: BTreeMap<String, usize>,
}

impl Index {
    /// Reads the index at `path`, whose shards lie beside it.
    ///
    /// # Errors
    /// When it is malformed, names a file outside its folder, or one that is not there.
    pub fn read(path: &Path) -> Result<Self> {
        let value = read_json(path)?;
        let map = value.get("weight_map").and_then(Value::as_object);
        let map = map.ok_or_else(|| {
            ModelError::invalid(path, "`weight_map` is missing", "restore the file")
        })?;
        if map.is_empty() {
            return Err(ModelError::invalid(
                path,
                "`weight_map` names no tensor",
                "restore the file",
            ));
        }
        let mut files = BTreeMap::new();
        for (tensor, file) in map {
            let file = file.as_str().ok_or_else(|| {
                ModelError::invalid(
                    path,
                    format!("`weight_map` names no file for tensor `{tensor}`"),
                    "restore the file",
                )
            })?;
            files.insert(tensor.clone(), file);
        }
        let names: BTreeSet<&str> = files.values().copied().collect();
        let names: Vec<&str> = names.into_iter().collect();
        let shards = names.iter().map(|name| shard(path, name));
        Ok(Self {
            shards: shards.collect::<Result<_>>()?,
            places: files
                .into_iter()
                .filter_map(|(tensor, file)| Some((tensor, names.binary_search(&file).ok()?)))
                .collect(),
        })
    }
}

fn shard(index: &Path, name: &str) -> Result<PathBuf> {
    let plain = Path::new(name).file_name().is_some_and(|file| file == name);
    if !plain || name.contains(['/', '\\', ':', '\0']) {
        return Err(ModelError::invalid(
            index,
            format!("shard name `{name}` leaves the folder"),
            "do not use this checkpoint",
        ));
    }
    let path = index.with_file_name(name);
    if !path.is_file() {
        return Err(ModelError::invalid(
            index,
            format!("shard `{name}` is listed but not there"),
            "fetch the missing shard",
        ));
    }
    Ok(path)
}

/// The first name that a safetensors header holds twice, if any.
pub(super) fn repeated_name(header: &[u8]) -> Option<String> {
    let mut reader = serde_json::Deserializer::from_slice(header);
    reader.deserialize_map(Names).ok().flatten()
}

/// Visits the keys of an object and passes over the values.
struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = Option<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut map: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        let (mut seen, mut repeated) = (BTreeSet::new(), None);
        while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
            if repeated.is_none() && seen.contains(&name) {
                repeated = Some(name.clone());
            }
            seen.insert(name);
        }
        Ok(repeated)
    }
}
