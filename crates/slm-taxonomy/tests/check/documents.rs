//! Documents in repositories, and local ones that `slm.yaml` names.

use crate::fixture::{ATTRIBUTION, Taxonomy, knowledge_text, skill_text};
use slm_taxonomy::{Document, Lookup, Options, Repositories, check};
use std::path::PathBuf;
use std::sync::Arc;

/// A repository `r` with one commit and three files.
#[derive(Debug)]
struct One;

impl Repositories for One {
    fn files(&self, repo: &str, commit: &str) -> Lookup {
        match (repo, commit) {
            ("r", "c0ffee5") => {
                let files = ["a.md", "docs/b.pdf", "docs/c.txt"];
                Lookup::Files(Arc::from(files.map(str::to_string).to_vec()))
            }
            ("r", _) => Lookup::NoCommit("unknown".into()),
            ("elsewhere", _) => Lookup::NotAsked,
            _ => Lookup::NoRepository("not found".into()),
        }
    }
}

fn leaf(document: &str) -> Taxonomy {
    Taxonomy::new(&[
        ("knowledge/k/qna.yaml", &knowledge_text(document)),
        ("knowledge/k/attribution.txt", ATTRIBUTION),
    ])
}

/// Code, line and message of each fault.
fn found(document: &str) -> Vec<(&'static str, usize, String)> {
    let taxonomy = leaf(document);
    let options = Options {
        repositories: Some(&One),
        ..Options::default()
    };
    let report = check(&[taxonomy.path().to_path_buf()], options);
    let found = report.diagnostics.into_iter();
    found.map(|d| (d.code, d.line, d.message)).collect()
}

#[test]
fn what_a_repository_does_not_hold_is_told() {
    let document = |repo: &str, commit: &str, patterns: &str| {
        found(&format!(
            "  repo: {repo}\n  commit: {commit}\n  patterns: {patterns}\n"
        ))
    };
    let fault = |code, line, message: &str| vec![(code, line, message.to_string())];
    assert_eq!(document("r", "c0ffee5", "['*.md', '**/*.pdf']"), []);
    assert_eq!(document("elsewhere", "c0ffee5", "['*.md']"), []);
    assert_eq!(
        document("r", "c0ffee5", "['*.md', 'doc/*.md']"),
        fault("SLM-T066", 8, "no file of the repository fits `doc/*.md`")
    );
    assert_eq!(
        document("r", "c0ffee5", "[docs/*.txt]"),
        fault(
            "SLM-T067",
            8,
            "none of the files that `docs/*.txt` selects is Markdown or PDF"
        )
    );
    assert_eq!(
        document("r", "deadbeef", "['*.md']"),
        fault(
            "SLM-T065",
            7,
            "the repository has no commit `deadbeef`: unknown"
        )
    );
    assert_eq!(
        document("none", "c0ffee5", "['*.md']"),
        fault(
            "SLM-T065",
            6,
            "the repository `none` cannot be read: not found"
        )
    );
    assert_eq!(
        document("elsewhere", "main", "['*.md']"),
        fault("SLM-T068", 7, "`main` is not a commit's hash")
    );
}

const REPOSITORY: &str = "  repo: r\n  commit: c0ffee5\n  patterns: ['*.md']\n";
const LOCAL: &str = "document:\n  path: doc.md\n  sha256: 73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac\n";

#[test]
fn a_local_document_in_slm_yaml_stands_in_for_the_repository() {
    let taxonomy = Taxonomy::new(&[
        ("knowledge/k/qna.yaml", &knowledge_text(REPOSITORY)),
        ("knowledge/k/slm.yaml", LOCAL),
        ("knowledge/k/doc.md", "x\n"),
        ("knowledge/k/attribution.txt", ATTRIBUTION),
    ]);
    let report = taxonomy.check();
    assert_eq!(report.diagnostics, [], "{}", taxonomy.rendered());
    let Some(Document::Local { path, .. }) = &report.leaves[0].document else {
        panic!("{:?}", report.leaves[0].document);
    };
    assert_eq!(path, &PathBuf::from("doc.md"));
    std::fs::write(taxonomy.path().join("knowledge/k/doc.md"), "y\n").unwrap();
    let text = taxonomy.rendered();
    assert!(text.contains("error[SLM-T061]"), "{text}");
    assert!(text.contains("knowledge/k/slm.yaml:3:11"), "{text}");
}

#[test]
fn a_skill_has_no_document() {
    let taxonomy = Taxonomy::new(&[
        (
            "compositional_skills/a/qna.yaml",
            &skill_text(5, |i| i.to_string()),
        ),
        ("compositional_skills/a/attribution.txt", ATTRIBUTION),
        ("compositional_skills/a/slm.yaml", LOCAL),
    ]);
    let text = taxonomy.rendered();
    assert!(
        text.starts_with("error[SLM-T071]: a skill has no `document`\n"),
        "{text}"
    );
}

#[test]
fn yaml_files_that_nothing_reads_are_told() {
    let text = skill_text(5, |i| i.to_string());
    let taxonomy = Taxonomy::new(&[
        ("compositional_skills/a/qna.yaml", &text),
        ("compositional_skills/a/qna (1).yaml", &text),
        ("compositional_skills/a/attribution.txt", ATTRIBUTION),
        ("compositional_skills/b/questions.yml", &text),
        ("config.yaml", "x: 1\n"),
    ]);
    let report = taxonomy.check();
    let paths: Vec<String> = report
        .diagnostics
        .iter()
        .map(|d| taxonomy.shortened(&d.path))
        .collect();
    assert!(
        report.diagnostics.iter().all(|d| d.code == "SLM-T023"),
        "{}",
        taxonomy.rendered()
    );
    let mut paths = paths;
    paths.sort();
    assert_eq!(
        paths,
        [
            "compositional_skills/a/qna (1).yaml",
            "compositional_skills/b/questions.yml"
        ]
    );
}
