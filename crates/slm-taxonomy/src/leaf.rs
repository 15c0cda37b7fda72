//! What a taxonomy says once it is read: leaves and their seed examples.
//!
//! These types know nothing of YAML, of files' faults or of training.

use crate::extension::Extension;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One leaf of the taxonomy: the content of one `qna.yaml` and of the files beside it.
///
/// A leaf is built as far as its file can be read; whether it may be used is said by
/// [`Leaf::errors`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leaf {
    /// The path below the taxonomy's root, such as `compositional_skills/support/triage`.
    pub name: String,
    /// The `qna.yaml` the leaf was read from.
    pub file: PathBuf,
    /// Knowledge or skill.
    pub kind: Kind,
    /// The schema version the file declares; 0 when it declares none.
    pub version: u32,
    /// What the skill is to do; empty for knowledge.
    pub task_description: String,
    /// A summary of the document; knowledge only.
    pub document_outline: Option<String>,
    /// The knowledge's domain; knowledge only.
    pub domain: Option<String>,
    /// Who contributed the leaf.
    pub created_by: String,
    /// The seed examples, in the order of the file.
    pub seed_examples: Vec<SeedExample>,
    /// Where the knowledge's document is; knowledge only.
    pub document: Option<Document>,
    /// What the sibling file `slm.yaml` adds.
    pub extension: Option<Extension>,
    /// The number of errors found in the leaf's files.
    pub errors: usize,
    /// The number of warnings found in the leaf's files.
    pub warnings: usize,
}

/// What a leaf teaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "type")]
pub enum Kind {
    /// Facts from a document.
    Knowledge,
    /// A way of answering.
    Skill {
        /// Whether each question comes with a context to answer from.
        grounded: bool,
    },
}

impl Kind {
    /// The kind in words: `knowledge`, `grounded skill` or `freeform skill`.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Knowledge => "knowledge",
            Kind::Skill { grounded: true } => "grounded skill",
            Kind::Skill { grounded: false } => "freeform skill",
        }
    }
}

/// One seed example. A skill's has one question, knowledge's has several on one context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedExample {
    /// The text the questions are about.
    pub context: Option<String>,
    /// The questions with their answers.
    pub questions_and_answers: Vec<QuestionAnswer>,
}

/// A question and the answer it should get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuestionAnswer {
    /// What is asked.
    pub question: String,
    /// What is to be answered.
    pub answer: String,
}

/// Where the document of a knowledge leaf is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Document {
    /// Files of a git repository at a commit.
    Repository {
        /// The repository's address.
        repo: String,
        /// The commit that holds the files.
        commit: String,
        /// Globs over the repository's files.
        patterns: Vec<String>,
    },
    /// A file in the leaf's folder.
    Local {
        /// The path, relative to the leaf's folder.
        path: PathBuf,
        /// The file's SHA-256, in lower-case hexadecimal.
        sha256: String,
    },
}
