//! Hugging Face checkpoints: safetensors files, memory-mapped, one or sharded.
//!
//! Knows files, names, shapes and number formats; does not know what a weight is for. Nothing in a
//! file is believed: every size is checked against the file before memory is taken for it.

mod index;
mod stream;
mod write;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::{Dtype, SafeTensors, TensorInfo};

use crate::error::{ModelError, Result};
use index::{Index, repeated_name};
pub use stream::TensorStream;
pub use write::{
    NamedTensor, StoredType, write_atomically, write_safetensors, write_tables, write_views,
};

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
    /// When neither is there, a header is hostile or truncated, a listed shard is missing, or a
    /// tensor does not lie where the index says.
    pub fn open(dir: &Path) -> Result<Self> {
        let single = dir.join("model.safetensors");
        if single.is_file() {
            return Self::open_files(vec![single]);
        }
        let path = dir.join("model.safetensors.index.json");
        if !path.is_file() {
            return Err(ModelError::invalid(
                dir,
                "no `model.safetensors` and no `model.safetensors.index.json`",
                "give the folder of a Hugging Face checkpoint",
            ));
        }
        let index = Index::read(&path)?;
        let checkpoint = Self::open_files(index.shards)?;
        for (tensor, shard) in &index.places {
            let found = checkpoint.place.get(tensor).map(|place| place.file);
            if found != Some(*shard) {
                let shard = checkpoint.files[*shard].path.display();
                return Err(ModelError::invalid(
                    &path,
                    format!("tensor `{tensor}` is not in `{shard}`, where the index has it"),
                    "index and shards do not belong together; fetch them again",
                ));
            }
        }
        Ok(checkpoint)
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
        if let Some(name) = repeated_name(&map[8..body]) {
            return Err(twice(&path, &name));
        }
        for (name, info) in metadata.tensors() {
            self.place(&path, name, info, body, map.len())?;
        }
        self.files.push(MappedFile { path, map });
        Ok(())
    }

    /// Notes where a tensor of the file that comes next lies.
    fn place(
        &mut self,
        path: &Path,
        name: String,
        info: &TensorInfo,
        body: usize,
        length: usize,
    ) -> Result<()> {
        let (start, end) = (body + info.data_offsets.0, body + info.data_offsets.1);
        if end > length {
            return Err(ModelError::invalid(
                path,
                format!("tensor `{name}` ends at byte {end}, the file at {length}"),
                "the file is truncated; fetch or write it again",
            ));
        }
        let place = Place {
            file: self.files.len(),
            start,
            end,
            dtype: info.dtype,
            shape: info.shape.clone(),
        };
        match self.place.insert(name.clone(), place) {
            None => Ok(()),
            Some(_) => Err(twice(path, &name)),
        }
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

    /// How the weights are stored: as the largest tensor is.
    pub fn stored_type(&self) -> StoredType {
        let largest = self
            .place
            .values()
            .max_by_key(|place| place.end - place.start);
        match largest.map(|place| place.dtype) {
            Some(Dtype::F32) => StoredType::F32,
            Some(Dtype::F16) => StoredType::F16,
            _ => StoredType::Bf16,
        }
    }

    /// The tensor `name` as f32, which must have `shape`.
    ///
    /// # Errors
    /// When it is absent, has another shape, or a number format other than f32, f16 and bf16.
    pub fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let mut stream = self.stream(name, shape)?;
        let mut values = vec![0.0; stream.left()];
        stream.read(&mut values);
        Ok(values)
    }

    /// The numbers of the tensor `name`, which must have `shape`, from first to last.
    ///
    /// # Errors
    /// As [`Checkpoint::read`].
    pub fn stream(&self, name: &str, shape: &[usize]) -> Result<TensorStream<'_>> {
        let place = self.place.get(name).ok_or_else(|| self.missing(name))?;
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
        match place.dtype {
            Dtype::F32 | Dtype::F16 | Dtype::BF16 => Ok(TensorStream::new(
                &file.map,
                place.dtype,
                place.start,
                place.end,
            )),
            other => Err(ModelError::invalid(
                &file.path,
                format!("tensor `{name}` is stored as {other:?}"),
                "supported: F32, F16, BF16",
            )),
        }
    }

    fn missing(&self, name: &str) -> ModelError {
        let path = self.files.first().map_or(Path::new(""), |file| &file.path);
        let packed = name.replace(".weight", ".weight_packed");
        let hint = match packed != name && self.contains(&packed) {
            true => "the model is quantized; use the one it was made from",
            false => "the weights do not belong to this config.json",
        };
        ModelError::invalid(path, format!("tensor `{name}` is missing"), hint)
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

    /// Gives the memory of a tensor's pages back, after [`Checkpoint::raw`].
    pub fn release(&self, name: &str) {
        if let Some(place) = self.place.get(name) {
            stream::release(&self.files[place.file].map, place.start, place.end);
        }
    }
}

fn twice(path: &Path, name: &str) -> ModelError {
    ModelError::invalid(
        path,
        format!("tensor `{name}` is there twice"),
        "the checkpoint is damaged; fetch or write it again",
    )
}

#[cfg(test)]
mod tests;
