//! Finds the leaves' files below the paths given, and their names in the taxonomy.
//!
//! Folders are walked in sorted order; hidden folders and links to folders are left out.
//! It does not look into files.

use crate::codes::Code;
use crate::diagnostic::Sink;
use crate::source::shown;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The name of a leaf's file.
pub const LEAF_FILE: &str = "qna.yaml";
/// The folders that make up a taxonomy.
pub const BRANCHES: [&str; 3] = ["knowledge", "compositional_skills", "foundational_skills"];

/// A file to check as a leaf.
#[derive(Debug)]
pub struct LeafFile {
    /// The file.
    pub path: PathBuf,
    /// The leaf's path below the taxonomy's root.
    pub name: String,
    /// The names of the files beside it, sorted.
    pub siblings: Vec<String>,
}

impl LeafFile {
    /// The taxonomy's folder that the leaf is below, if any.
    pub fn branch(&self) -> Option<&'static str> {
        let first = self.name.split('/').next();
        BRANCHES.into_iter().find(|branch| Some(*branch) == first)
    }

    /// The leaf's folder.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The path of a file in the leaf's folder.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.path.with_file_name(name)
    }

    /// A file beside that has this name but for case or the ending.
    pub fn misnamed(&self, name: &str) -> Option<&str> {
        let mut candidates = self.siblings.iter().filter(|s| *s != name);
        candidates.find(|s| alike(s, name)).map(String::as_str)
    }
}

/// Finds the leaves below `paths`, each once, sorted.
pub(crate) fn find(paths: &[PathBuf], sink: &mut Sink) -> Vec<LeafFile> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for path in paths {
        let before = found.len();
        let kind = fs::metadata(path);
        match kind {
            Ok(kind) if kind.is_dir() => walk(path, path, sink, &mut found),
            Ok(_) => found.push(single(path)),
            Err(error) => {
                sink.file(
                    shown(path),
                    Code::Unreadable,
                    format!("`{}` cannot be read: {error}", shown(path)),
                    "give a taxonomy's folder or a `qna.yaml`",
                );
                continue;
            }
        }
        if found.len() == before {
            sink.file(
                shown(path),
                Code::NothingToCheck,
                format!("no `qna.yaml` below `{}`", shown(path)),
                "give a taxonomy's folder, one below it, or a `qna.yaml`",
            );
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.retain(|leaf| seen.insert(absolute(&leaf.path)));
    found
}

fn single(path: &Path) -> LeafFile {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let siblings = match fs::read_dir(folder) {
        Ok(entries) => {
            let names = entries.flatten().map(|e| text(&e.file_name()));
            let mut names: Vec<String> = names.collect();
            names.sort();
            names
        }
        Err(_) => Vec::new(),
    };
    LeafFile {
        path: path.to_path_buf(),
        name: leaf_name(folder, folder),
        siblings,
    }
}

fn walk(root: &Path, folder: &Path, sink: &mut Sink, found: &mut Vec<LeafFile>) {
    let mut pending = vec![folder.to_path_buf()];
    while let Some(folder) = pending.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                sink.file(
                    shown(&folder),
                    Code::Unreadable,
                    format!("the folder cannot be read: {error}"),
                    "check its permissions",
                );
                continue;
            }
        };
        let mut files = Vec::new();
        for entry in entries.flatten() {
            let name = text(&entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !name.starts_with('.') => pending.push(entry.path()),
                Ok(kind) if !kind.is_dir() => files.push(name),
                _ => {}
            }
        }
        files.sort();
        stray(root, &folder, &files, sink);
        let leaf = files.iter().find(|name| *name == LEAF_FILE);
        let leaf = leaf.or_else(|| files.iter().find(|name| alike(name, LEAF_FILE)));
        if let Some(leaf) = leaf {
            found.push(LeafFile {
                path: folder.join(leaf),
                name: leaf_name(root, &folder),
                siblings: files,
            });
        }
    }
}

/// Reports YAML files in the taxonomy's folders that nothing reads, such as `qna (1).yaml`.
/// Names that differ from a known one only by case or ending are the check's to report.
fn stray(root: &Path, folder: &Path, files: &[String], sink: &mut Sink) {
    let is_yaml = |name: &&String| {
        let lower = name.to_lowercase();
        (lower.ends_with(".yaml") || lower.ends_with(".yml")) && !name.starts_with('.')
    };
    let known = |name: &str| alike(name, LEAF_FILE) || alike(name, "slm.yaml");
    let mut strays = files
        .iter()
        .filter(is_yaml)
        .filter(|name| !known(name))
        .peekable();
    if strays.peek().is_none() {
        return;
    }
    let name = leaf_name(root, folder);
    let branch = name.split('/').next().unwrap_or_default();
    if !BRANCHES.contains(&branch) {
        return;
    }
    for stray in strays {
        sink.file(
            shown(&folder.join(stray)),
            Code::FileName,
            format!("`{stray}` is ignored: a leaf's file is named exactly `{LEAF_FILE}`"),
            format!("put it into a folder of its own as `{LEAF_FILE}`, or remove it"),
        );
    }
}

/// The path below the taxonomy's root. The folder `knowledge` may also be a user's own
/// above the taxonomy, so the two distinctive names win over it, and below `root` it wins
/// over one above.
pub(crate) fn leaf_name(root: &Path, folder: &Path) -> String {
    let parts: Vec<String> = absolute(folder)
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(text(name)),
            _ => None,
        })
        .collect();
    let root_parts = absolute(root)
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .count();
    let is = |name: &String, branch: &str| name == branch;
    let skills = parts
        .iter()
        .rposition(|p| is(p, "compositional_skills") || is(p, "foundational_skills"));
    let below = parts
        .iter()
        .skip(root_parts)
        .position(|p| is(p, "knowledge"));
    let start = skills
        .or(below.map(|index| root_parts + index))
        .or_else(|| parts.iter().rposition(|p| is(p, "knowledge")));
    let start = start.unwrap_or(root_parts.min(parts.len().saturating_sub(1)));
    parts[start..].join("/")
}

fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}

/// Whether two file names are the same but for case and the YAML ending.
fn alike(name: &str, wanted: &str) -> bool {
    let plain = |name: &str| {
        let lower = name.to_lowercase();
        match lower.strip_suffix(".yml") {
            Some(stem) => format!("{stem}.yaml"),
            None => lower,
        }
    };
    plain(name) == plain(wanted)
}

fn text(name: &std::ffi::OsStr) -> String {
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(root: &str, folder: &str) -> String {
        leaf_name(Path::new(root), Path::new(folder))
    }

    #[test]
    fn names_begin_at_the_taxonomys_folders() {
        let leaf = "/t/compositional_skills/support/triage";
        let wanted = "compositional_skills/support/triage";
        for root in ["/", "/t", "/t/compositional_skills", leaf] {
            assert_eq!(name(root, leaf), wanted);
        }
        assert_eq!(
            name("/t", "/t/compositional_skills/knowledge/x"),
            "compositional_skills/knowledge/x"
        );
        assert_eq!(
            name("/knowledge/t", "/knowledge/t/knowledge/a/knowledge"),
            "knowledge/a/knowledge"
        );
        assert_eq!(name("/t/knowledge/a", "/t/knowledge/a/b"), "knowledge/a/b");
        assert_eq!(name("/t", "/t/a/b"), "a/b");
    }

    #[test]
    fn file_names_are_alike_but_for_case_and_ending() {
        assert!(alike("QNA.yml", LEAF_FILE));
        assert!(alike("Qna.yaml", LEAF_FILE));
        assert!(!alike("qna.txt", LEAF_FILE));
        assert!(alike("Attribution.TXT", "attribution.txt"));
    }
}
