//! Mends of leaves that change nothing in what they say: white space, quoting, the order of
//! keys, and version 2 skills as version 3.
//!
//! Each kind of mend is held against the tree read before and after it; one that would
//! change more than it is meant to is dropped. Comments and block scalars stay as they are.
//! It knows nothing of terminals.

mod edit;
mod order;
mod quoting;
mod tree;
mod version;
mod whitespace;

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::render::printable_line;
use crate::source::{Source, shown};
use crate::walk::{self, LeafFile};
use crate::yaml::Flavor;
use serde::Serialize;
use similar::TextDiff;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the mends are tried one after the other; two rounds are enough for most.
const MAX_ROUNDS: usize = 4;

/// A kind of mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MendKind {
    /// Line endings, white space at the end of lines, tabs between texts, the last newline.
    Whitespace,
    /// Quotes around what must be text and is read as something else, or as broken YAML.
    Quoting,
    /// The keys in the order of the schema.
    Order,
    /// A version 2 skill as version 3.
    Version,
}

impl MendKind {
    /// Every kind with its name, in the order in which they are applied.
    pub const ALL: [(&'static str, MendKind); 4] = [
        ("whitespace", MendKind::Whitespace),
        ("quoting", MendKind::Quoting),
        ("version", MendKind::Version),
        ("order", MendKind::Order),
    ];
}

/// A file that can be mended.
#[derive(Debug, Serialize)]
pub struct Mend {
    /// The file, as it is shown.
    pub path: String,
    /// What would be mended.
    pub kinds: Vec<MendKind>,
    /// The change as a unified diff.
    pub diff: String,
    #[serde(skip)]
    file: PathBuf,
    #[serde(skip)]
    before: Vec<u8>,
    #[serde(skip)]
    after: String,
}

/// What can be mended, and what could not be read.
#[derive(Debug, Default, Serialize)]
pub struct Mends {
    /// The files that would change, in the order of their paths.
    pub mends: Vec<Mend>,
    /// The files and folders that could not be read.
    pub unreadable: Vec<Diagnostic>,
    /// The number of leaves looked at.
    pub checked: usize,
}

/// Finds what can be mended in the leaves below `paths`. Nothing is written.
pub fn fix(paths: &[PathBuf], kinds: &[MendKind]) -> Mends {
    let mut sink = Sink::new(false);
    let files = walk::find(paths, &mut sink);
    let mut mends = Vec::new();
    for file in &files {
        mends.extend(mend_file(&file.path, Some(file), kinds, &mut sink));
        if file.siblings.iter().any(|name| name == "slm.yaml") {
            mends.extend(mend_file(&file.beside("slm.yaml"), None, kinds, &mut sink));
        }
    }
    let codes = [Code::Unreadable, Code::NotUtf8, Code::NothingToCheck];
    let mut unreadable = sink.finish();
    unreadable.retain(|d| codes.iter().any(|code| code.id() == d.code));
    Mends {
        mends,
        unreadable,
        checked: files.len(),
    }
}

/// The mended text of a `qna.yaml` (`branch` is its place in the taxonomy), and what was
/// mended in it.
pub fn mended_text(
    text: &str,
    branch: Option<&str>,
    kinds: &[MendKind],
) -> (String, Vec<MendKind>) {
    let mut text = text.to_string();
    let mut done = BTreeSet::new();
    // A mend may make readable what another could not touch before.
    for _ in 0..MAX_ROUNDS {
        let before = text.clone();
        mend_once(&mut text, branch, kinds, &mut done);
        if text == before {
            break;
        }
    }
    (text, done.into_iter().collect())
}

fn mend_once(
    text: &mut String,
    branch: Option<&str>,
    kinds: &[MendKind],
    done: &mut BTreeSet<MendKind>,
) {
    for (_, kind) in MendKind::ALL {
        if !kinds.contains(&kind) {
            continue;
        }
        let mended = match kind {
            MendKind::Whitespace => whitespace::mended(text, Flavor::Yaml11),
            MendKind::Quoting => quoting::mended(text),
            MendKind::Version => version::mended(text, branch),
            MendKind::Order => order::mended(text),
        };
        if mended != *text {
            *text = mended;
            done.insert(kind);
        }
    }
}

fn mend_file(
    path: &Path,
    leaf: Option<&LeafFile>,
    kinds: &[MendKind],
    sink: &mut Sink,
) -> Option<Mend> {
    let source = match Source::read(path) {
        Ok(source) => source,
        Err(fault) => {
            crate::check::unreadable(path, &fault, sink);
            return None;
        }
    };
    let (after, done) = match leaf {
        Some(leaf) => mended_text(&source.text, leaf.branch(), kinds),
        None if kinds.contains(&MendKind::Whitespace) => {
            let after = whitespace::mended(&source.text, Flavor::Core);
            let done = vec![MendKind::Whitespace];
            (after, done)
        }
        None => return None,
    };
    if after == source.text {
        return None;
    }
    let path_shown = shown(path);
    Some(Mend {
        kinds: done,
        diff: diff(&path_shown, &source.text, &after),
        path: path_shown,
        file: path.to_path_buf(),
        before: fs::read(path).ok()?,
        after,
    })
}

fn diff(path: &str, before: &str, after: &str) -> String {
    let mut config = TextDiff::configure();
    let changes = config
        .timeout(Duration::from_secs(2))
        .diff_lines(before, after);
    // As git writes it, so that `git apply` reads it.
    let (old, new) = match path.starts_with('/') {
        true => (path.to_string(), path.to_string()),
        false => (format!("a/{path}"), format!("b/{path}")),
    };
    let text = changes
        .unified_diff()
        .context_radius(2)
        .header(&old, &new)
        .to_string();
    let lines = text.split_inclusive('\n').map(printable_line);
    lines.collect()
}

impl Mend {
    /// Writes the mended file, whole or not at all; its permissions stay.
    ///
    /// # Errors
    /// The file was changed since it was read, or cannot be written.
    pub fn write(&self) -> io::Result<()> {
        // A link is followed, so that it stays a link.
        let file = fs::canonicalize(&self.file)?;
        if fs::read(&file)? != self.before {
            return Err(io::Error::other("it was changed since it was read"));
        }
        let permissions = fs::metadata(&file)?.permissions();
        slm_files::write(&file, self.after.as_bytes())?;
        fs::set_permissions(&file, permissions)
    }
}
