//! Answers that were paid for once.
//!
//! Keyed by the hash of all that shapes an answer, so a killed run asks nothing twice
//! and a changed prompt or model asks again. Does not know where answers come from.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use super::client::{Answer, Request};
use crate::workspace::{hash_bytes, write_atomically};

/// A folder of answers.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in `folder`, which is made when something is kept.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The answer to this request, if it was given before. What cannot be read back
    /// counts as absent.
    pub fn find(&self, endpoint: &str, request: &Request) -> Option<Answer> {
        let text = fs::read_to_string(self.path(endpoint, request)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Keeps an answer.
    pub fn keep(&self, endpoint: &str, request: &Request, answer: &Answer) -> Result<()> {
        let text = serde_json::to_string(answer)?;
        write_atomically(&self.path(endpoint, request), text.as_bytes())
    }

    fn path(&self, endpoint: &str, request: &Request) -> PathBuf {
        let key = hash_bytes(format!("{endpoint}\n{}", request.body()).as_bytes());
        self.folder.join(&key[..2]).join(format!("{key}.json"))
    }
}
