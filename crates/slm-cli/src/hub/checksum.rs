//! Checksums of files as hubs give them: SHA-256 of large files, git's hash of small ones.
//!
//! Does not know where a file comes from.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// What a file's content must hash to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// SHA-256 of the content, as Git LFS keeps it.
    Sha256(String),
    /// SHA-1 of `blob SIZE\0` and the content, as git names a file.
    GitBlob(String),
}

impl Checksum {
    /// A checksum by its form: 64 hexadecimal digits are SHA-256, 40 are git's.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches("W/").trim_matches('"');
        let text = text.strip_prefix("sha256:").unwrap_or(text);
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let text = text.to_ascii_lowercase();
        match text.len() {
            64 => Some(Self::Sha256(text)),
            40 => Some(Self::GitBlob(text)),
            _ => None,
        }
    }

    /// The same kind of checksum over the content of a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of_same_kind(&self, path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        Ok(match self {
            Self::Sha256(_) => Self::Sha256(digest(Sha256::new(), &mut file)?),
            Self::GitBlob(_) => {
                let mut hasher = Sha1::new();
                hasher.update(format!("blob {}\0", file.metadata()?.len()));
                Self::GitBlob(digest(hasher, &mut file)?)
            }
        })
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(text) => write!(formatter, "sha256:{text}"),
            Self::GitBlob(text) => write!(formatter, "git:{text}"),
        }
    }
}

fn digest<D: Digest>(mut hasher: D, file: &mut File) -> io::Result<String> {
    let mut buffer = vec![0; 1 << 17];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            let digest = hasher.finalize();
            return Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hasher.update(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_git_and_sha256sum() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, "hello\n").unwrap();
        // echo hello | git hash-object --stdin; echo hello | sha256sum
        let git = "ce013625030ba8dba906f756967f9e9ca394464a";
        let sha = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        for text in [git, sha] {
            let expected = Checksum::parse(&format!("\"{text}\"")).unwrap();
            assert_eq!(expected.of_same_kind(&path).unwrap(), expected);
        }
        assert_eq!(Checksum::parse("\"abc\""), None);
        assert_eq!(Checksum::parse(&"z".repeat(40)), None);
    }
}
