//! Writing safetensors files: atomically, one tensor encoded at a time.
//!
//! Knows names, shapes and number formats; does not know what a weight is for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use half::{bf16, f16};
use safetensors::View;
use safetensors::tensor::{Dtype, TensorView};
use slm_files::WholeFile;

use crate::error::{ModelError, Result};

/// How weights are stored in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredType {
    /// 32-bit floats.
    F32,
    /// IEEE half precision, rounded to nearest even.
    F16,
    /// bfloat16, rounded to nearest even.
    Bf16,
}

impl StoredType {
    /// All, by the names that commands take.
    pub const NAMES: [(Self, &str); 3] =
        [(Self::F32, "f32"), (Self::F16, "f16"), (Self::Bf16, "bf16")];

    /// The name that commands take.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    /// The name in a `config.json`.
    pub fn hugging_face(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }
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

/// A table that is encoded when its turn to be written comes.
struct Table<'a> {
    shape: Vec<usize>,
    values: &'a [f32],
    stored: StoredType,
}

impl View for Table<'_> {
    fn dtype(&self) -> Dtype {
        match self.stored {
            StoredType::F32 => Dtype::F32,
            StoredType::F16 => Dtype::F16,
            StoredType::Bf16 => Dtype::BF16,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let values = self.values.iter();
        Cow::Owned(match self.stored {
            StoredType::F32 => values.flat_map(|v| v.to_le_bytes()).collect(),
            StoredType::F16 => values
                .flat_map(|v| f16::from_f32(*v).to_le_bytes())
                .collect(),
            StoredType::Bf16 => values
                .flat_map(|v| bf16::from_f32(*v).to_le_bytes())
                .collect(),
        })
    }

    fn data_len(&self) -> usize {
        let width = match self.stored {
            StoredType::F32 => 4,
            StoredType::F16 | StoredType::Bf16 => 2,
        };
        self.values.len() * width
    }
}

/// Writes tensors to a safetensors file, atomically.
///
/// # Errors
/// When a shape and its values disagree, or the file cannot be written; an older file of that name
/// is left whole.
pub fn write_safetensors(path: &Path, tensors: &[NamedTensor], stored: StoredType) -> Result<()> {
    let tables = tensors.iter().map(|tensor| {
        (
            tensor.name.clone(),
            tensor.shape.clone(),
            tensor.values.as_slice(),
        )
    });
    write_tables(path, tables, stored)
}

/// Writes borrowed tables (name, shape, values), as [`write_safetensors`] does.
///
/// # Errors
/// As [`write_safetensors`].
pub fn write_tables<'a>(
    path: &Path,
    tables: impl Iterator<Item = (String, Vec<usize>, &'a [f32])>,
    stored: StoredType,
) -> Result<()> {
    let table = |(name, shape, values): (String, Vec<usize>, &'a [f32])| {
        if shape.iter().product::<usize>() != values.len() {
            return Err(ModelError::invalid(
                path,
                format!("tensor `{name}`: {} values for {shape:?}", values.len()),
                "shape and values disagree",
            ));
        }
        let table = Table {
            shape,
            values,
            stored,
        };
        Ok((name, table))
    };
    write_all(path, tables.map(table).collect::<Result<_>>()?)
}

/// Writes prepared views (any number format) to a safetensors file, atomically.
///
/// # Errors
/// As [`write_safetensors`].
pub fn write_views(path: &Path, views: Vec<(String, TensorView<'_>)>) -> Result<()> {
    write_all(path, views)
}

fn write_all<V: View>(path: &Path, views: Vec<(String, V)>) -> Result<()> {
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    let failed = |error| ModelError::io("write", path, error);
    let file = WholeFile::create(path).map_err(failed)?;
    safetensors::serialize_to_file(views, Some(metadata), file.temporary()).map_err(|error| {
        match error {
            safetensors::SafeTensorError::IoError(error) => failed(error),
            error => ModelError::invalid(path, error.to_string(), "check the tensors' names"),
        }
    })?;
    file.commit().map_err(failed)
}

/// Writes a file by way of a temporary one in the same folder and a rename.
///
/// # Errors
/// When the folder cannot be written or the disk is full; an older file is left whole.
pub fn write_atomically(path: &Path, data: &[u8]) -> Result<()> {
    slm_files::write(path, data).map_err(|e| ModelError::io("write", path, e))
}
