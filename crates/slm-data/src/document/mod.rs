//! Documents as text with places: Markdown, plain text, HTML and PDF.
//!
//! A document that cannot be read is an error that names it; there is no empty document.
//! Does not know tokenizers (the caller counts tokens), nor where bytes come from.

mod chunk;
mod html;
mod parts;
mod pdf;
mod sentences;

pub use chunk::{Chunk, ChunkSettings, chunks};
pub use sentences::sentences;

use crate::error::{DataError, Place, Result};
use crate::sample::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::Path;

/// The largest document that is read, in bytes.
pub const LARGEST_DOCUMENT_BYTES: u64 = 64 << 20;

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Markdown.
    Markdown,
    /// Text without marks.
    Plain,
    /// A web page.
    Html,
    /// A PDF file with text in it.
    Pdf,
}

impl Kind {
    /// The kind that a file name's ending tells.
    fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "md" | "markdown" => Some(Self::Markdown),
            "txt" | "text" => Some(Self::Plain),
            "html" | "htm" | "xhtml" => Some(Self::Html),
            "pdf" => Some(Self::Pdf),
            _ => None,
        }
    }

    /// Whether a file of this name can be a document.
    pub fn reads(path: &Path) -> bool {
        Self::of(path).is_some()
    }
}

/// The place of a document in a git repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The repository's address.
    pub repo: String,
    /// The commit.
    pub commit: String,
    /// The path within it.
    pub path: String,
}

/// A document's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Where it came from, as the user named it; `REPO@COMMIT:PATH` for one from a repository.
    pub source: String,
    /// Where it came from, if that is a repository.
    pub origin: Option<Origin>,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// How it was written.
    pub kind: Kind,
    /// Its text: that of the file for Markdown and plain text, otherwise what was extracted,
    /// with headings and tables as Markdown has them.
    pub text: String,
    /// Where each page begins in `text`; empty unless the document has pages.
    pub pages: Vec<usize>,
}

/// Reads a document from the disk.
///
/// # Errors
/// The file cannot be read, is empty or too large, is of no known kind, or holds no text.
pub fn read(path: &Path) -> Result<Document> {
    let about = std::fs::metadata(path).map_err(|e| DataError::io(path, "read", e))?;
    if !about.is_file() {
        return Err(fault(path, "is no file", "name the document itself"));
    }
    check_size(path, about.len())?;
    let bytes = std::fs::read(path).map_err(|e| DataError::io(path, "read", e))?;
    from_bytes(path, bytes)
}

/// Reads a document from the bytes that a repository has at a commit.
///
/// # Errors
/// As [`read`].
pub fn from_repository(origin: Origin, bytes: Vec<u8>) -> Result<Document> {
    let Origin { repo, commit, path } = &origin;
    let source = format!("{repo}@{commit}:{path}");
    Ok(Document {
        origin: Some(origin),
        ..from_bytes(Path::new(&source), bytes)?
    })
}

/// Reads a document from bytes; `path` names it and tells its kind.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Document> {
    check_size(path, bytes.len() as u64)?;
    let kind = match Kind::of(path) {
        _ if bytes.starts_with(b"%PDF-") => Kind::Pdf,
        Some(kind) => kind,
        None => {
            return Err(fault(
                path,
                "is a document of no known kind",
                "give Markdown (.md), text (.txt), HTML (.html) or PDF (.pdf)",
            ));
        }
    };
    let sha256 = hex(&Sha256::digest(&bytes));
    let mut pages = Vec::new();
    let text = match kind {
        Kind::Pdf => pdf::text(path, &bytes, &mut pages)?,
        Kind::Html => html::to_markdown(&utf8(path, bytes)?),
        Kind::Markdown | Kind::Plain => utf8(path, bytes)?,
    };
    if !text.chars().any(char::is_alphanumeric) {
        return Err(fault(
            path,
            "the document holds no text",
            "give a document with text in it; pictures of pages must be recognized (OCR) first",
        ));
    }
    let source = path.display().to_string();
    Ok(Document {
        source,
        origin: None,
        sha256,
        kind,
        text,
        pages,
    })
}

impl Document {
    /// The page, from 1, on which a byte of the text stands.
    pub fn page_at(&self, byte: usize) -> Option<usize> {
        match self.pages.partition_point(|start| *start <= byte) {
            0 => None,
            page => Some(page),
        }
    }
}

fn check_size(path: &Path, bytes: u64) -> Result<()> {
    if bytes == 0 {
        return Err(fault(
            path,
            "the document has 0 bytes",
            "was it downloaded or copied to the end? give a document with text in it",
        ));
    }
    if bytes > LARGEST_DOCUMENT_BYTES {
        let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        return Err(fault(
            path,
            format!(
                "the document has {:.0} MiB; at most {:.0} MiB are read",
                megabytes(bytes),
                megabytes(LARGEST_DOCUMENT_BYTES)
            ),
            "cut it into parts, and name only those that the leaf is about",
        ));
    }
    Ok(())
}

fn utf8(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
            + 1;
        DataError::content(
            Place::line(path, line),
            format!("the document is not UTF-8 from byte {at} on"),
            "save it as UTF-8, such as with `iconv -f latin1 -t utf-8`",
        )
    })
}

fn fault(path: &Path, message: impl Into<String>, hint: impl Into<String>) -> DataError {
    DataError::content(Place::file(path), message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str, bytes: &[u8]) -> String {
        from_bytes(Path::new(name), bytes.to_vec())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_document_that_fails_is_named() {
        let cases: [(&str, &[u8], &str); 6] = [
            ("a/empty.md", b"", "a/empty.md: the document has 0 bytes"),
            (
                "latin.txt",
                b"caf\xe9",
                "latin.txt:1: the document is not UTF-8 from byte 3 on",
            ),
            ("x.docx", b"PK", "x.docx: is a document of no known kind"),
            ("blank.md", b" \n\n", "blank.md: the document holds no text"),
            (
                "only.html",
                b"<script>var a;</script>",
                "only.html: the document holds no text",
            ),
            (
                "bad.pdf",
                b"%PDF-1.7\nrubbish",
                "bad.pdf: not a sound PDF file",
            ),
        ];
        for (name, bytes, start) in cases {
            let message = message(name, bytes);
            assert!(message.starts_with(start), "{message}");
            assert!(message.contains("\nhint: "), "{message}");
        }
    }

    #[test]
    fn a_huge_document_is_refused_before_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge.txt");
        // A hole in the file: nothing is written.
        std::fs::File::create(&path)
            .unwrap()
            .set_len(500 << 20)
            .unwrap();
        let message = read(&path).unwrap_err().to_string();
        assert!(
            message.contains("huge.txt: the document has 500 MiB; at most 64 MiB"),
            "{message}"
        );
    }

    #[test]
    fn pages_are_found() {
        let document = Document {
            source: "d".into(),
            origin: None,
            sha256: String::new(),
            kind: Kind::Pdf,
            text: "one\ntwo\nthree".into(),
            pages: vec![0, 8],
        };
        assert_eq!(
            (
                document.page_at(0),
                document.page_at(7),
                document.page_at(8)
            ),
            (Some(1), Some(1), Some(2))
        );
    }
}
