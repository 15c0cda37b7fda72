//! Hugging Face checkpoints: safetensors files, memory-mapped, one or sharded.
//!
//! Knows files, names, shapes and number formats; does not know what a weight is for.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;

use crate::error::{ModelError, Result};

/// A safetensors file or an index of several, mapped into memory.
pub struct Checkpoint {
    files: Vec<MappedFile>,
    place: BTreeMap<String, Place>,
}

struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

/// Where a tensor's bytes lie.
struct Place {
    file: usize,
    start: usize,
    end: usize,
    dtype: Dtype,
    shape: Vec<usize>,
}

impl Checkpoint {
    /// Opens `model.safetensors`, or the shards that `model.safetensors.index.json` lists, in `dir`.
    ///
    /// # Errors
    /// When neither is there, a header is hostile or truncated, or a listed shard is missing.
    pub fn open(dir: &Path) -> Result<Self> {
        let single = dir.join("model.safetensors");
        if single.is_file() {
            return Self::open_files(vec![single]);
        }
        let index = dir.join("model.safetensors.index.json");
        if !index.is_file() {
            return Err(ModelError::invalid(
                dir,
                "no `model.safetensors` and no `model.safetensors.index.json`",
                "give the folder of a Hugging Face checkpoint",
            ));
        }
        Self::open_files(shards(dir, &index)?)
    }

    /// Opens one safetensors file, such as a PEFT adapter.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn open_file(path: &Path) -> Result<Self> {
        Self::open_files(vec![path.to_path_buf()])
    }

    fn open_files(paths: Vec<PathBuf>) -> Result<Self> {
        let mut checkpoint = Self {
            files: Vec::new(),
            place: BTreeMap::new(),
        };
        for path in paths {
            checkpoint.add(path)?;
        }
        Ok(checkpoint)
    }

    fn add(&mut self, path: PathBuf) -> Result<()> {
        let file = File::open(&path).map_err(|e| ModelError::io("read", &path, e))?;
        // SAFETY: the map is only read; a file changed under us while mapped is the one hazard,
        // shared by every memory-mapped loader, and our own writers replace files by rename.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| ModelError::io("map", &path, e))?;
        let broken = |e: safetensors::SafeTensorError| {
            ModelError::invalid(
                &path,
                format!("not a whole safetensors file: {e}"),
                "the file is truncated or damaged; fetch or write it again",
            )
        };
        let (header, metadata) = SafeTensors::read_metadata(&map).map_err(broken)?;
        let body = header + 8;
        let length = map.len();
        let number = self.files.len();
        for (name, info) in metadata.tensors() {
            let (start, end) = (body + info.data_offsets.0, body + info.data_offsets.1);
            if end > length {
                return Err(ModelError::invalid(
                    &path,
                    format!("tensor `{name}` ends at byte {end}, the file at {length}"),
                    "the file is truncated; fetch or write it again",
                ));
            }
            self.place.insert(
                name.clone(),
                Place {
                    file: number,
                    start,
                    end,
                    dtype: info.dtype,
                    shape: info.shape.clone(),
                },
            );
        }
        self.files.push(MappedFile { path, map });
        Ok(())
    }

    /// Names and shapes of all tensors, sorted by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.place
            .iter()
            .map(|(name, place)| (name.as_str(), place.shape.as_slice()))
    }

    /// Whether the checkpoint has a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.place.contains_key(name)
    }

    /// Bytes of all tensors as stored.
    pub fn stored_bytes(&self) -> usize {
        self.place
            .values()
            .map(|place| place.end - place.start)
            .sum()
    }

    /// The tensor `name` as f32, which must have `shape`.
    ///
    /// # Errors
    /// When it is absent, has another shape, or a number format other than f32, f16 and bf16.
    pub fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let place = self.place.get(name).ok_or_else(|| {
            ModelError::invalid(
                &self.files[0].path,
                format!("tensor `{name}` is missing"),
                "the weights do not belong to this config.json",
            )
        })?;
        let file = &self.files[place.file];
        if place.shape != shape {
            return Err(ModelError::invalid(
                &file.path,
                format!(
                    "tensor `{name}` has shape {:?}, the config asks for {shape:?}",
                    place.shape
                ),
                "the weights do not belong to this config.json",
            ));
        }
        let bytes = &file.map[place.start..place.end];
        let wide = |width: usize| bytes.chunks_exact(width);
        match place.dtype {
            Dtype::F32 => Ok(wide(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect()),
            Dtype::F16 => Ok(wide(2)
                .map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32())
                .collect()),
            Dtype::BF16 => Ok(wide(2)
                .map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32())
                .collect()),
            other => Err(ModelError::invalid(
                &file.path,
                format!("tensor `{name}` is stored as {other:?}"),
                "supported: F32, F16, BF16",
            )),
        }
    }

    /// The raw bytes of tensor `name` with its number format and shape, for packed weights.
    pub fn raw(&self, name: &str) -> Option<(&[u8], Dtype, &[usize])> {
        let place = self.place.get(name)?;
        Some((
            &self.files[place.file].map[place.start..place.end],
            place.dtype,
            &place.shape,
        ))
    }
}

fn shards(dir: &Path, index: &Path) -> Result<Vec<PathBuf>> {
    let text = std::fs::read_to_string(index).map_err(|e| ModelError::io("read", index, e))?;
    let value: Value = serde_json::from_str(&text).map_err(|e| {
        ModelError::invalid(index, format!("not valid JSON: {e}"), "restore the file")
    })?;
    let map = value
        .get("weight_map")
        .and_then(Value::as_object)
        .ok_or_else(|| ModelError::invalid(index, "`weight_map` is missing", "restore the file"))?;
    let mut names: Vec<&str> = map.values().filter_map(Value::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names.iter().map(|name| shard(dir, index, name)).collect()
}

fn shard(dir: &Path, index: &Path, name: &str) -> Result<PathBuf> {
    if name.contains(['/', '\\']) || name.contains("..") {
        return Err(ModelError::invalid(
            index,
            format!("shard name `{name}` leaves the folder"),
            "do not use this checkpoint",
        ));
    }
    let path = dir.join(name);
    if !path.is_file() {
        return Err(ModelError::invalid(
            index,
            format!("shard `{name}` is listed but not there"),
            "fetch the missing shard",
        ));
    }
    Ok(path)
}

/// How weights are stored in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredType {
    /// 32-bit floats.
    F32,
    /// bfloat16, rounded to nearest even.
    Bf16,
}

/// One tensor to write: name, shape, values.
pub struct NamedTensor {
    /// Hugging Face name.
    pub name: String,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub values: Vec<f32>,
}

/// Writes tensors to a safetensors file, atomically.
///
/// # Errors
/// When the file cannot be written; an older file of that name is left whole.
pub fn write_safetensors(path: &Path, tensors: &[NamedTensor], stored: StoredType) -> Result<()> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|tensor| encode(&tensor.values, stored))
        .collect();
    let dtype = if stored == StoredType::F32 {
        Dtype::F32
    } else {
        Dtype::BF16
    };
    let mut views = Vec::with_capacity(tensors.len());
    for (tensor, data) in tensors.iter().zip(&bytes) {
        let view = TensorView::new(dtype, tensor.shape.clone(), data).map_err(|e| {
            ModelError::invalid(
                path,
                format!("tensor `{}`: {e}", tensor.name),
                "shape and values disagree",
            )
        })?;
        views.push((tensor.name.clone(), view));
    }
    write_views(path, views)
}

/// Writes prepared views (any number format) to a safetensors file, atomically.
///
/// # Errors
/// As [`write_safetensors`].
pub fn write_views(path: &Path, views: Vec<(String, TensorView<'_>)>) -> Result<()> {
    let metadata = std::collections::HashMap::from([("format".to_string(), "pt".to_string())]);
    let data = safetensors::serialize(views, Some(metadata))
        .map_err(|e| ModelError::invalid(path, e.to_string(), "check the tensors' names"))?;
    write_atomically(path, &data)
}

fn encode(values: &[f32], stored: StoredType) -> Vec<u8> {
    match stored {
        StoredType::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        StoredType::Bf16 => values
            .iter()
            .flat_map(|v| bf16::from_f32(*v).to_le_bytes())
            .collect(),
    }
}

/// Writes a file by way of a temporary one in the same folder and a rename, both on the disk
/// when it returns.
///
/// # Errors
/// When the folder cannot be written or the disk is full; an older file is left whole.
pub fn write_atomically(path: &Path, data: &[u8]) -> Result<()> {
    slm_files::write(path, data).map_err(|e| ModelError::io("write", path, e))
}
