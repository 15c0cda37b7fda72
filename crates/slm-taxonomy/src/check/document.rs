//! The document of a knowledge leaf: files of a repository, or a local file with its hash.
//!
//! Local files are read to compare their hash. What a repository holds is asked of
//! [`Repositories`].

use super::fields::{Fields, Page, Text, child, excerpt};
use crate::codes::Code;
use crate::leaf::Document;
use crate::repositories::{Lookup, Repositories, fits, is_read_upstream};
use crate::source::open_regular;
use crate::walk::LeafFile;
use crate::yaml::Node;
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Component, Path, PathBuf};

const REPOSITORY_KEYS: &[&str] = &["repo", "commit", "patterns"];
const LOCAL_KEYS: &[&str] = &["path", "sha256"];
const PATH: &str = ".document";

/// Reads and checks `document`.
pub(super) fn read(
    page: &mut Page,
    node: &Node,
    leaf: &LeafFile,
    repositories: Option<&dyn Repositories>,
) -> Option<Document> {
    let mut fields = page.mapping(node, PATH, "`document`")?;
    let local = LOCAL_KEYS.iter().any(|key| fields.get(key).is_some());
    let remote = REPOSITORY_KEYS.iter().any(|key| fields.get(key).is_some());
    match (local, remote) {
        (true, true) => {
            let message = "`document` mixes a repository with a local file";
            let hint = "keep either `repo`, `commit` and `patterns`, or `path` and `sha256`";
            page.fault(fields.head(), Code::DocumentForms, PATH, message, hint);
            None
        }
        (true, false) => local_file(page, &mut fields, leaf),
        (false, _) => repository(page, &mut fields, repositories),
    }
}

/// Reads the `document` of a `slm.yaml`: a local file.
pub(super) fn read_local(page: &mut Page, node: &Node, leaf: &LeafFile) -> Option<Document> {
    let mut fields = page.mapping(node, PATH, "`document`")?;
    local_file(page, &mut fields, leaf)
}

fn repository(
    page: &mut Page,
    fields: &mut Fields,
    repositories: Option<&dyn Repositories>,
) -> Option<Document> {
    let what = "a `document` in a repository";
    fields.only(page, Code::UnknownKey, REPOSITORY_KEYS, what);
    let repo = fields.text(page, "repo");
    let commit = fields.text(page, "commit");
    let node = fields.required(page, Code::MissingKey, "patterns")?;
    let path = child(PATH, "patterns");
    let items = page.list(node, &path, "`patterns`")?;
    if items.is_empty() {
        let hint = "add a glob, such as `- \"*.md\"`";
        page.fault(
            node.span,
            Code::FewPatterns,
            &path,
            "`patterns` is empty",
            hint,
        );
    }
    let mut patterns = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        patterns.extend(page.text(item, &path, "a pattern"));
    }
    let (repo, commit) = (repo?, commit?);
    is_hash(page, &commit);
    if let Some(repositories) = repositories {
        look_up(page, &repo, &commit, &patterns, repositories);
    }
    Some(Document::Repository {
        repo: repo.text.to_string(),
        commit: commit.text.to_string(),
        patterns: patterns.iter().map(|p| p.text.to_string()).collect(),
    })
}

fn is_hash(page: &mut Page, commit: &Text) {
    let text = commit.text;
    if (7..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return;
    }
    let message = format!("`{}` is not a commit's hash", excerpt(text));
    let hint = "write the hash, as `git rev-parse HEAD` prints it; a branch may move";
    page.fault(
        commit.span,
        Code::DocumentCommit,
        &commit.path,
        message,
        hint,
    );
}

fn look_up(
    page: &mut Page,
    repo: &Text,
    commit: &Text,
    patterns: &[Text],
    repositories: &dyn Repositories,
) {
    let code = Code::DocumentUnreachable;
    match repositories.files(repo.text, commit.text) {
        Lookup::NotAsked => {}
        Lookup::NoRepository(why) => {
            let message = format!(
                "the repository `{}` cannot be read: {why}",
                excerpt(repo.text)
            );
            let hint = "mend the address; `git clone` must be able to read it";
            page.fault(repo.span, code, &repo.path, message, hint);
        }
        Lookup::NoCommit(why) => {
            let message = format!(
                "the repository has no commit `{}`: {why}",
                excerpt(commit.text)
            );
            let hint = "write the hash of a commit of that repository";
            page.fault(commit.span, code, &commit.path, message, hint);
        }
        Lookup::Files(files) => {
            for pattern in patterns {
                selects(page, pattern, &files);
            }
        }
    }
}

fn selects(page: &mut Page, pattern: &Text, files: &[String]) {
    let mut fitting = files
        .iter()
        .filter(|file| fits(pattern.text, file))
        .peekable();
    if fitting.peek().is_none() {
        let names = files.iter().map(String::as_str);
        let hint = match crate::suggest::nearest(pattern.text, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`*` stays within one folder; `**/*.md` selects in all folders".to_string(),
        };
        let message = format!("no file of the repository fits `{}`", excerpt(pattern.text));
        let code = Code::PatternMatchesNothing;
        page.fault(pattern.span, code, &pattern.path, message, hint);
    } else if !fitting.any(|file| is_read_upstream(file)) {
        let message = format!(
            "none of the files that `{}` selects is Markdown or PDF",
            excerpt(pattern.text)
        );
        let hint = "InstructLab reads only `.md` and `.pdf`; convert the document";
        page.fault(
            pattern.span,
            Code::DocumentFormat,
            &pattern.path,
            message,
            hint,
        );
    }
}

fn local_file(page: &mut Page, fields: &mut Fields, leaf: &LeafFile) -> Option<Document> {
    let what = "a local `document`";
    fields.only(page, Code::UnknownKey, LOCAL_KEYS, what);
    let path = fields.text(page, "path")?;
    let hash = hash_of(page, &path, leaf);
    let declared = declared_hash(page, fields, hash.as_deref())?;
    let declared_text = declared.text.to_lowercase();
    if let Some(hash) = hash.filter(|hash| *hash != declared_text) {
        let message = format!(
            "`{}` is not the document that this hash was taken from",
            path.text
        );
        let hint = format!("check that the seed examples still hold, then write `sha256: {hash}`");
        page.fault(
            declared.span,
            Code::DocumentChanged,
            &declared.path,
            message,
            hint,
        );
    }
    Some(Document::Local {
        path: PathBuf::from(path.text),
        sha256: declared_text,
    })
}

/// The document's hash, when it can be read.
fn hash_of(page: &mut Page, path: &Text, leaf: &LeafFile) -> Option<String> {
    let relative = Path::new(path.text);
    let inside = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside {
        let message = format!("`{}` leads out of the leaf's folder", path.text);
        let hint = "copy the document beside the `qna.yaml` and give its name";
        page.fault(path.span, Code::DocumentPath, &path.path, message, hint);
        return None;
    }
    match hash_file(&leaf.folder().join(relative)) {
        Ok(hash) => Some(hash),
        Err(error) => {
            let message = format!("the document `{}` cannot be read: {error}", path.text);
            let hint =
                "put the document there, or mend the path (it is relative to the leaf's folder)";
            page.fault(path.span, Code::DocumentMissing, &path.path, message, hint);
            None
        }
    }
}

fn declared_hash<'n>(
    page: &mut Page,
    fields: &Fields<'n>,
    actual: Option<&str>,
) -> Option<Text<'n>> {
    let path = fields.path_of("sha256");
    let Some(node) = fields.get("sha256") else {
        let hint = match actual {
            Some(hash) => format!("add `sha256: {hash}`"),
            None => "add `sha256: ...`, as `sha256sum FILE` prints it".to_string(),
        };
        let message = "a local `document` lacks the key `sha256`";
        page.fault(fields.head(), Code::MissingKey, PATH, message, hint);
        return None;
    };
    let text = page.text(node, &path, "`sha256`")?;
    let fits = text.text.len() == 64 && text.text.bytes().all(|b| b.is_ascii_hexdigit());
    if !fits {
        let hint = match actual {
            Some(hash) => format!("write `sha256: {hash}`"),
            None => "write the 64 digits that `sha256sum FILE` prints".to_string(),
        };
        let message = "a SHA-256 is 64 hexadecimal digits";
        page.fault(text.span, Code::DocumentHash, &path, message, hint);
        return None;
    }
    Some(text)
}

/// The SHA-256 of a file, in lower-case hexadecimal.
pub(crate) fn hash_file(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut open_regular(path)?, &mut hasher)?;
    let digest = hasher.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}
