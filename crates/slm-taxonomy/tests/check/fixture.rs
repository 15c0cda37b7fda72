//! Taxonomies in a temporary folder, and their check's output with that folder cut away.

use slm_taxonomy::{Options, Report, check, render};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A complete `attribution.txt`.
pub const ATTRIBUTION: &str = "Title of work: A\nLink to work: -\nRevision: 1\nLicense of the work: CC0-1.0\nCreator names: B\n";

/// A taxonomy that holds the files given by path and content.
pub struct Taxonomy {
    folder: TempDir,
}

impl Taxonomy {
    pub fn new(files: &[(&str, &str)]) -> Taxonomy {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a file has a folder")).expect("writable");
            fs::write(path, content).expect("writable");
        }
        Taxonomy { folder }
    }

    /// One skill with a complete attribution.
    pub fn skill(qna: &str) -> Taxonomy {
        Taxonomy::new(&[
            ("compositional_skills/a/qna.yaml", qna),
            ("compositional_skills/a/attribution.txt", ATTRIBUTION),
        ])
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn check(&self) -> Report {
        self.check_with(Options::default())
    }

    pub fn check_with(&self, options: Options) -> Report {
        check(&[self.path().to_path_buf()], options)
    }

    /// The rendered check, with paths from the taxonomy's folder on.
    pub fn rendered(&self) -> String {
        self.shortened(&render(&self.check()))
    }

    pub fn shortened(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.path().display()), "")
    }
}

/// A valid skill of `count` seed examples whose answers are made by `answer`.
pub fn skill_text(count: usize, answer: impl Fn(usize) -> String) -> String {
    let mut text =
        String::from("version: 3\ncreated_by: me\ntask_description: Add.\nseed_examples:\n");
    for index in 0..count {
        let answer = answer(index);
        text += &format!("  - question: What is {index} and {index}?\n    answer: '{answer}'\n");
    }
    text
}

/// A valid knowledge leaf with this `document`.
pub fn knowledge_text(document: &str) -> String {
    let mut text = format!(
        "version: 3\ncreated_by: me\ndomain: Sums\ndocument_outline: About sums\ndocument:\n{document}seed_examples:\n"
    );
    for index in 0..5 {
        text += &format!("  - context: About {index}.\n    questions_and_answers:\n");
        for question in ["What", "Why", "How"] {
            text +=
                &format!("      - question: {question} is {index}?\n        answer: A number\n");
        }
    }
    text
}
