//! A checkpoint's tensors as a safetensors file, written one after the other and hashed on the
//! way, so that saving holds no second copy of them.
//!
//! Knows the format: eight bytes with the length of a JSON header, the header, the bytes
//! (https://github.com/huggingface/safetensors#format). Does not know what the tensors are for.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use serde_json::{Map, json};
use sha2::{Digest, Sha256};
use slm_model::ModelError;

use crate::error::Result;

/// A tensor to write: name and values.
pub type Named<'a> = (String, &'a [f32]);

/// Writes vectors of f32 and gives the SHA-256 of the file.
///
/// # Errors
/// When the disk is full or not writable; what was written so far is left there.
pub fn write(path: &Path, tensors: &[Named<'_>]) -> Result<String> {
    let written = File::create(path).and_then(|file| {
        let mut out = Hashed {
            file: BufWriter::with_capacity(1 << 18, file),
            hasher: Sha256::new(),
        };
        write_to(&mut out, tensors)?;
        out.flush()?;
        out.file.get_ref().sync_all()?;
        Ok(hexadecimal(out.hasher))
    });
    Ok(written.map_err(|e| ModelError::io("write", path, e))?)
}

fn write_to(out: &mut impl Write, tensors: &[Named<'_>]) -> io::Result<()> {
    let (mut header, mut at) = (Map::new(), 0);
    for (name, values) in tensors {
        let end = at + 4 * values.len();
        let entry = json!({"dtype": "F32", "shape": [values.len()], "data_offsets": [at, end]});
        header.insert(name.clone(), entry);
        at = end;
    }
    let mut text = serde_json::to_string(&header)?;
    // The bytes begin at a multiple of 8.
    text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
    out.write_all(&(text.len() as u64).to_le_bytes())?;
    out.write_all(text.as_bytes())?;
    for (_, values) in tensors {
        for span in values.chunks(1 << 14) {
            let bytes: Vec<u8> = span.iter().flat_map(|v| v.to_le_bytes()).collect();
            out.write_all(&bytes)?;
        }
    }
    Ok(())
}

/// SHA-256 of a file.
///
/// # Errors
/// When it cannot be read.
pub fn hash(path: &Path) -> Result<String> {
    let read = |e| ModelError::io("read", path, e);
    let mut file = File::open(path).map_err(read)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(read)? {
            0 => return Ok(hexadecimal(hasher)),
            count => hasher.update(&buffer[..count]),
        }
    }
}

fn hexadecimal(hasher: Sha256) -> String {
    let digest = hasher.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file whose bytes are hashed as they are written.
struct Hashed {
    file: BufWriter<File>,
    hasher: Sha256,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use slm_model::checkpoint::Checkpoint;

    use super::*;

    #[test]
    fn a_file_reads_as_safetensors_and_has_the_hash_it_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.safetensors");
        let long: Vec<f32> = (0..40_000).map(|i| i as f32 * 0.5).collect();
        let tensors = [("value.b".into(), &long[..]), ("first.a".into(), &[][..])];
        let told = write(&path, &tensors).unwrap();
        assert_eq!(told, hash(&path).unwrap());
        let file = Checkpoint::open_file(&path).unwrap();
        assert_eq!(file.read("value.b", &[40_000]).unwrap(), long);
        assert!(file.read("first.a", &[0]).unwrap().is_empty());
    }
}
