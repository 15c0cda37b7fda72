//! Content hashes of files and folders.
//!
//! Does not know why anything is hashed.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Result;
use sha2::{Digest, Sha256};

use crate::failure::Failure;

/// SHA-256 in lower-case hexadecimal.
pub fn hash_bytes(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The content hash of a file, or of a folder: its files' relative paths and hashes,
/// in the order of their paths. Manifests do not count; they say when, not what.
pub fn hash_path(path: &Path) -> Result<String> {
    let metadata = fs::metadata(path).map_err(|error| Failure::io("read", path, &error))?;
    if metadata.is_file() {
        return hash_file(path);
    }
    let mut files = Vec::new();
    collect(path, &mut files)?;
    files.sort();
    let mut hasher = Sha256::new();
    for file in files {
        let relative = file.strip_prefix(path).unwrap_or(&file);
        hasher.update(relative.to_string_lossy().as_bytes());
        hasher.update([0]);
        hasher.update(hash_file(&file)?.as_bytes());
        hasher.update([0]);
    }
    Ok(hexadecimal(&hasher.finalize()))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let fail = |error: &std::io::Error| Failure::io("read the folder", folder, error);
    for entry in fs::read_dir(folder).map_err(|error| fail(&error))? {
        let path = entry.map_err(|error| fail(&error))?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path
            .file_name()
            .is_none_or(|name| name != super::MANIFEST_FILE)
        {
            files.push(path);
        }
    }
    Ok(())
}

fn hash_file(path: &Path) -> Result<String> {
    let fail = |error: &std::io::Error| Failure::io("read", path, error);
    let mut file = fs::File::open(path).map_err(|error| fail(&error))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).map_err(|error| fail(&error))?;
        if read == 0 {
            return Ok(hexadecimal(&hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_published_test_vector() {
        assert_eq!(
            hash_bytes(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_folder_changes_with_names_and_contents_but_not_with_its_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("a", "1");
        let first = hash_path(folder.path()).unwrap();
        write(super::super::MANIFEST_FILE, "{}");
        assert_eq!(hash_path(folder.path()).unwrap(), first);
        write("a", "2");
        let second = hash_path(folder.path()).unwrap();
        assert_ne!(second, first);
        fs::rename(folder.path().join("a"), folder.path().join("b")).unwrap();
        assert_ne!(hash_path(folder.path()).unwrap(), second);
    }
}
