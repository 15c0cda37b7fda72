//! Recorded tensors: token ids as 64-bit integers, logits as 32-bit floats.
//!
//! Does not know what they are compared with.

use std::path::{Path, PathBuf};

use anyhow::Result;
use slm_model::Checkpoint;

use crate::failure::Failure;

/// A file of recorded tensors.
pub struct Reference {
    file: Checkpoint,
    path: PathBuf,
}

impl Reference {
    /// Opens the file.
    ///
    /// # Errors
    /// It cannot be read, or is no safetensors file.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            file: Checkpoint::open_file(path)?,
            path: path.to_owned(),
        })
    }

    /// Whether the file has this tensor.
    pub fn has(&self, name: &str) -> bool {
        self.file.contains(name)
    }

    /// Integers, with their shape.
    ///
    /// # Errors
    /// The tensor is not there, or is not of 64-bit integers.
    pub fn integers(&self, name: &str) -> Result<(Vec<i64>, Vec<usize>)> {
        let (bytes, shape) = self.bytes(name, 8)?;
        let values = bytes
            .as_chunks()
            .0
            .iter()
            .map(|&chunk| i64::from_le_bytes(chunk))
            .collect();
        Ok((values, shape))
    }

    /// Token ids, with their shape.
    ///
    /// # Errors
    /// As for [`Reference::integers`], and where one is no token id.
    pub fn tokens(&self, name: &str) -> Result<(Vec<u32>, Vec<usize>)> {
        let (values, shape) = self.integers(name)?;
        let tokens = values
            .into_iter()
            .map(|value| u32::try_from(value).map_err(|_| self.fault(name, "holds no token ids")))
            .collect::<Result<Vec<u32>, Failure>>()?;
        Ok((tokens, shape))
    }

    /// Every token must have a row in an embedding of `vocabulary` rows.
    ///
    /// # Errors
    /// One has none.
    pub fn check_vocabulary(&self, tokens: &[u32], vocabulary: usize) -> Result<()> {
        match tokens.iter().find(|&&token| token as usize >= vocabulary) {
            Some(_) => Err(self
                .fault("input_ids", "holds tokens outside the vocabulary")
                .into()),
            None => Ok(()),
        }
    }

    /// The largest absolute difference between a tensor of floats and `ours`.
    ///
    /// # Errors
    /// The tensor is not there, or not of that size.
    pub fn largest_difference(&self, name: &str, ours: &[f32]) -> Result<f32> {
        let (bytes, _) = self.bytes(name, 4)?;
        if bytes.len() != ours.len() * 4 {
            return Err(self
                .fault(name, "has another shape than the model computes")
                .into());
        }
        let theirs = bytes
            .as_chunks()
            .0
            .iter()
            .map(|&chunk| f32::from_le_bytes(chunk));
        let differences = theirs.zip(ours).map(|(theirs, ours)| (theirs - ours).abs());
        // `max` would pass over what is not a number.
        Ok(
            differences.fold(0.0, |worst: f32, one| match one > worst || one.is_nan() {
                true => one,
                false => worst,
            }),
        )
    }

    fn bytes(&self, name: &str, width: usize) -> Result<(&[u8], Vec<usize>)> {
        let Some((bytes, _, shape)) = self.file.raw(name) else {
            return Err(self.fault(name, "is missing").into());
        };
        if bytes.len() != shape.iter().product::<usize>() * width {
            return Err(self.fault(name, "has another number format").into());
        }
        Ok((bytes, shape.to_vec()))
    }

    fn fault(&self, name: &str, what: &str) -> Failure {
        Failure::new(format!(
            "{}: the tensor `{name}` {what}",
            self.path.display()
        ))
        .hint("record the reference again for this checkpoint")
    }
}
