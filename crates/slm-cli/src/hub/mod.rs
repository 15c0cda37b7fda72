//! Models from a hub that speaks Hugging Face's protocol.
//!
//! Opens connections only when a model is pulled by name. Knows names, revisions, files and
//! checksums; does not know what is in the files.

mod checksum;
mod client;
mod download;
mod listing;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use download::fetch_all;
pub use listing::{Listing, RemoteFile};

use std::fmt;

use crate::failure::Failure;

/// The hub that is asked when `HF_ENDPOINT` names none.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// A model on a hub, at a revision: `NAME` or `NAME@REVISION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `model` or `owner/model`.
    pub name: String,
    /// A branch, a tag or a commit.
    pub revision: String,
}

impl Reference {
    /// Reads `NAME[@REVISION]`; the revision is `main` where none is given.
    ///
    /// # Errors
    /// The name could not be a folder's, or the revision not a branch's.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let (name, revision) = text.split_once('@').unwrap_or((text, "main"));
        let word = |part: &str| {
            !part.is_empty()
                && !part.starts_with(['.', '-'])
                && !part.contains("..")
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        let parts = name.split('/').count();
        if parts > 2 || !name.split('/').all(word) {
            return Err(Failure::usage(format!("`{name}` is no name of a model"))
                .hint("write `owner/model`, or `owner/model@revision`, as on the hub"));
        }
        if !revision.split('/').all(word) {
            return Err(Failure::usage(format!("`{revision}` is no revision"))
                .hint("a revision is a branch, a tag or a commit, as in `owner/model@main`"));
        }
        Ok(Self {
            name: name.to_owned(),
            revision: revision.to_owned(),
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.name, self.revision)
    }
}
