//! Small JSON files beside a model's weights.
//!
//! Does not know what they say.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::error::{ModelError, Result};

/// No config or index comes near this many bytes.
const LARGEST: u64 = 64 << 20;

/// Reads the JSON file at `path`.
///
/// # Errors
/// When it cannot be read, is absurdly large, or is not JSON.
pub(crate) fn read_json(path: &Path) -> Result<Value> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text));
    read.map_err(|e| ModelError::io("read", path, e))?;
    if text.len() as u64 > LARGEST {
        return Err(ModelError::invalid(
            path,
            format!("the file has more than {} MiB", LARGEST >> 20),
            "restore the file from where the model came from",
        ));
    }
    serde_json::from_str(&text).map_err(|e| {
        ModelError::invalid(
            path,
            format!("not valid JSON: {e}"),
            "restore the file from where the model came from",
        )
    })
}
