//! A new leaf: from what its author says to the files of a leaf without faults.
//!
//! The leaf's folder appears whole or not at all. It does not ask anybody anything.

use crate::check::check_file;
use crate::diagnostic::Report;
use crate::leaf::{Kind, SeedExample};
use crate::walk::{self, BRANCHES, LEAF_FILE, LeafFile};
use crate::yaml::text_value;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What a new leaf says.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Knowledge or skill.
    pub kind: Kind,
    /// Who contributes it.
    pub created_by: String,
    /// What the skill is to do; skills only.
    pub task_description: String,
    /// The knowledge's domain; knowledge only.
    pub domain: String,
    /// A summary of the document; knowledge only.
    pub document_outline: String,
    /// Where the document is; knowledge only.
    pub document: Option<DraftDocument>,
    /// The seed examples.
    pub seed_examples: Vec<SeedExample>,
    /// The labels that answers are chosen from; none for free text.
    pub labels: Vec<String>,
    /// Where the content comes from.
    pub attribution: Attribution,
}

/// The document of a new knowledge leaf.
#[derive(Debug, Clone)]
pub enum DraftDocument {
    /// A file that is copied beside the `qna.yaml`.
    Local(PathBuf),
    /// Files of a git repository.
    Repository {
        /// The repository's address.
        repo: String,
        /// The commit that holds the files.
        commit: String,
        /// Globs over the repository's files.
        patterns: Vec<String>,
    },
}

/// The fields of `attribution.txt`.
#[derive(Debug, Clone)]
pub struct Attribution {
    /// Title of work.
    pub title: String,
    /// Link to work; `-` for one's own.
    pub link: String,
    /// Revision.
    pub revision: String,
    /// License of the work.
    pub license: String,
    /// Creator names.
    pub creators: String,
}

/// Why a leaf was not written.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// Something has the leaf's place.
    #[error(
        "`{0}` is there already\nhint: choose another folder, or change the leaf that is there"
    )]
    Taken(String),
    /// The place is not below one of the taxonomy's folders of that kind.
    #[error(
        "`{folder}` is no place for {kind}\nhint: choose a folder below `{branch}`, such as `taxonomy/{branch}/my_area/my_leaf`"
    )]
    Place {
        /// The folder asked for.
        folder: String,
        /// What the leaf is.
        kind: &'static str,
        /// The taxonomy's folder for such leaves.
        branch: &'static str,
    },
    /// The leaf would have faults.
    #[error("the leaf would have faults, so nothing was written")]
    Faulty(Report),
    /// A file cannot be read or written.
    #[error("`{0}` cannot be read or written: {1}")]
    Io(String, #[source] io::Error),
}

impl Draft {
    /// Writes the leaf into `folder`, which must not be there yet, and returns its check.
    ///
    /// # Errors
    /// The place is taken or wrong, the leaf would have errors, or the disk refuses.
    pub fn write(&self, folder: &Path) -> Result<Report, DraftError> {
        let shown = crate::source::shown(folder);
        if folder.exists() {
            return Err(DraftError::Taken(shown));
        }
        let name = self.place(folder)?;
        let failed = |error| DraftError::Io(shown.clone(), error);
        let made = missing_parents(folder);
        let partial = partial(folder).map_err(failed)?;
        let outcome = self.write_into(&partial, &name).and_then(|mut report| {
            let old = format!("{}/", crate::source::shown(&partial));
            for diagnostic in &mut report.diagnostics {
                diagnostic.path = diagnostic.path.replace(&old, &format!("{shown}/"));
            }
            if report.errors() > 0 {
                return Err(DraftError::Faulty(report));
            }
            fs::rename(&partial, folder).map_err(failed)?;
            Ok(report)
        });
        if outcome.is_err() {
            // Nothing is left of a leaf that was refused.
            fs::remove_dir_all(&partial).ok();
            for parent in made {
                fs::remove_dir(parent).ok();
            }
        }
        outcome
    }

    /// The leaf's name in the taxonomy, if a leaf of its kind may have that place.
    fn place(&self, folder: &Path) -> Result<String, DraftError> {
        let name = walk::leaf_name(folder, folder);
        let is_knowledge = self.kind == Kind::Knowledge;
        let branch = name.split('/').next().unwrap_or_default();
        let fits = BRANCHES.contains(&branch) && (branch == "knowledge") == is_knowledge;
        if fits && name.contains('/') {
            return Ok(name);
        }
        Err(DraftError::Place {
            folder: crate::source::shown(folder),
            kind: self.kind.label(),
            branch: if is_knowledge {
                BRANCHES[0]
            } else {
                BRANCHES[1]
            },
        })
    }

    fn write_into(&self, partial: &Path, name: &str) -> Result<Report, DraftError> {
        let write = |file: &str, text: &str| {
            let path = partial.join(file);
            let failed = |error| DraftError::Io(crate::source::shown(&path), error);
            slm_files::write(&path, text.as_bytes()).map_err(failed)
        };
        let mut siblings = vec!["attribution.txt".to_string(), LEAF_FILE.to_string()];
        let mut document = String::new();
        if let Some(given) = &self.document {
            let (text, file) = document_text(given, partial)?;
            document = text;
            siblings.extend(file);
        }
        if !self.labels.is_empty() {
            write("slm.yaml", &self.slm())?;
            siblings.push("slm.yaml".into());
        }
        write("attribution.txt", &self.attribution.text())?;
        write(LEAF_FILE, &self.qna(&document))?;
        siblings.sort();
        Ok(check_file(LeafFile {
            path: partial.join(LEAF_FILE),
            name: name.to_string(),
            siblings,
        }))
    }

    /// The text of `qna.yaml`, with the lines of its document.
    fn qna(&self, document: &str) -> String {
        let key = |key: &str, text: &str| format!("{key}:{}", text_value(&tidy(text), 0));
        let mut out = String::from("version: 3\n") + &key("created_by", &self.created_by);
        let is_knowledge = self.kind == Kind::Knowledge;
        if is_knowledge {
            out += &key("domain", &self.domain);
            out += &key("document_outline", &self.document_outline);
        } else {
            out += &key("task_description", &self.task_description);
        }
        out += "seed_examples:\n";
        for seed in &self.seed_examples {
            out += &seed_text(seed, is_knowledge);
        }
        out + document
    }

    fn slm(&self) -> String {
        let labels = self.labels.iter();
        let labels = labels.map(|label| format!("    -{}", text_value(&tidy(label), 4)));
        format!(
            "output:\n  type: label\n  labels:\n{}",
            labels.collect::<String>()
        )
    }
}

fn seed_text(seed: &SeedExample, is_knowledge: bool) -> String {
    let mut out = String::new();
    let mut line = |first: &str, indent: usize, key: &str, text: &str| {
        out += &format!("{first}{key}:{}", text_value(&tidy(text), indent));
    };
    if let Some(context) = &seed.context {
        line("  - ", 4, "context", context);
    }
    if is_knowledge {
        out += "    questions_and_answers:\n";
        for pair in &seed.questions_and_answers {
            out += &format!("      - question:{}", text_value(&tidy(&pair.question), 8));
            out += &format!("        answer:{}", text_value(&tidy(&pair.answer), 8));
        }
        return out;
    }
    for pair in &seed.questions_and_answers {
        let first = if seed.context.is_some() {
            "    "
        } else {
            "  - "
        };
        out += &format!("{first}question:{}", text_value(&tidy(&pair.question), 4));
        out += &format!("    answer:{}", text_value(&tidy(&pair.answer), 4));
    }
    out
}

/// The lines of `document`, and the name of the file that was copied.
fn document_text(
    document: &DraftDocument,
    partial: &Path,
) -> Result<(String, Option<String>), DraftError> {
    let key = |key: &str, text: &str| format!("  {key}:{}", text_value(text, 2));
    match document {
        DraftDocument::Local(path) => {
            let failed = |error| DraftError::Io(crate::source::shown(path), error);
            let name = path
                .file_name()
                .ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()));
            let name = name?.to_string_lossy().into_owned();
            fs::copy(path, partial.join(&name)).map_err(failed)?;
            let hash = crate::check::hash_file(&partial.join(&name)).map_err(failed)?;
            let text = format!("document:\n{}{}", key("path", &name), key("sha256", &hash));
            Ok((text, Some(name)))
        }
        DraftDocument::Repository {
            repo,
            commit,
            patterns,
        } => {
            let patterns = patterns
                .iter()
                .map(|p| format!("    -{}", text_value(p, 4)));
            let text = format!(
                "document:\n{}{}  patterns:\n{}",
                key("repo", repo),
                key("commit", commit),
                patterns.collect::<String>()
            );
            Ok((text, None))
        }
    }
}

impl Attribution {
    fn text(&self) -> String {
        let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        format!(
            "Title of work: {}\nLink to work: {}\nRevision: {}\nLicense of the work: {}\nCreator names: {}\n",
            line(&self.title),
            line(&self.link),
            line(&self.revision),
            line(&self.license),
            line(&self.creators)
        )
    }
}

/// A text without white space at the ends of its lines and around it, and without tabs.
fn tidy(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\t', "    ");
    let lines: Vec<&str> = text.trim().split('\n').map(str::trim_end).collect();
    lines.join("\n")
}

/// The folder in which the leaf comes to be, empty.
fn partial(folder: &Path) -> io::Result<PathBuf> {
    let name = folder.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let partial = folder.with_file_name(format!(".{}.partial", name.to_string_lossy()));
    match fs::remove_dir_all(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir_all(&partial)?,
    }
    Ok(partial)
}

/// The folders above that are not there yet, innermost first.
fn missing_parents(folder: &Path) -> Vec<PathBuf> {
    let parents = folder.ancestors().skip(1);
    let missing = parents.take_while(|p| !p.as_os_str().is_empty() && !p.exists());
    missing.map(Path::to_path_buf).collect()
}
