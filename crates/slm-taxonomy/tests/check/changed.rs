//! The leaves that differ from a git base.

use crate::fixture::{ATTRIBUTION, Taxonomy, skill_text};
use slm_taxonomy::{Changed, ChangedError, LeafStatus, changed};
use std::fs;
use std::path::Path;
use std::process::Command;

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=t", "-c", "user.email=t@example.invalid"])
        .args([
            "-c",
            "commit.gpgsign=false",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .output()
        .expect("git runs");
    assert!(output.status.success(), "{arguments:?} {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}

/// A repository whose folder `t` holds the leaves a, b and c, all committed.
fn repository() -> Taxonomy {
    let text = skill_text(5, |i| i.to_string());
    let taxonomy = Taxonomy::new(&[
        ("t/compositional_skills/a/qna.yaml", &text),
        ("t/compositional_skills/a/attribution.txt", ATTRIBUTION),
        ("t/compositional_skills/b/qna.yaml", &text),
        ("t/compositional_skills/b/attribution.txt", ATTRIBUTION),
        ("t/compositional_skills/c/qna.yaml", &text),
        ("t/notes/qna.yaml", "not a leaf"),
        (".gitignore", "ignored\n"),
    ]);
    git(taxonomy.path(), &["init", "-q"]);
    git(taxonomy.path(), &["add", "."]);
    git(taxonomy.path(), &["commit", "-qm", "one"]);
    taxonomy
}

fn listed(taxonomy: &Taxonomy, changed: &Changed) -> Vec<(String, LeafStatus)> {
    let leaves = changed.leaves.iter();
    leaves
        .map(|leaf| (taxonomy.shortened(&leaf.path), leaf.status))
        .collect()
}

#[test]
fn new_changed_and_removed_leaves_are_told_apart() {
    let taxonomy = repository();
    let folder = taxonomy.path().join("t");
    let at = |path: &str| folder.join(path);
    assert!(changed(&folder, "main").unwrap().leaves.is_empty());
    fs::write(at("compositional_skills/a/attribution.txt"), "x").unwrap();
    fs::remove_file(at("compositional_skills/c/qna.yaml")).unwrap();
    for leaf in ["d", "é x", "ignored"] {
        fs::create_dir(at("compositional_skills").join(leaf)).unwrap();
        fs::write(at("compositional_skills").join(leaf).join("qna.yaml"), "x").unwrap();
    }
    fs::write(at("notes/qna.yaml"), "changed, and still not a leaf").unwrap();
    let found = changed(&folder, "main").unwrap();
    let expected = [
        ("t/compositional_skills/a/qna.yaml", LeafStatus::Changed),
        ("t/compositional_skills/d/qna.yaml", LeafStatus::Added),
        ("t/compositional_skills/é x/qna.yaml", LeafStatus::Added),
    ];
    let expected = expected.map(|(path, status)| (path.to_string(), status));
    assert_eq!(listed(&taxonomy, &found), expected);
    assert_eq!(found.removed.len(), 1);
    assert_eq!(
        found.base.unwrap(),
        git(taxonomy.path(), &["rev-parse", "HEAD"])
    );
}

#[test]
fn a_branch_counts_from_where_it_was_left_and_a_commit_as_it_is() {
    let taxonomy = repository();
    let folder = taxonomy.path().join("t");
    let first = git(taxonomy.path(), &["rev-parse", "HEAD"]);
    git(taxonomy.path(), &["checkout", "-qb", "mine"]);
    fs::write(folder.join("compositional_skills/b/qna.yaml"), "mine").unwrap();
    git(taxonomy.path(), &["commit", "-qam", "two"]);
    git(taxonomy.path(), &["checkout", "-q", "main"]);
    fs::write(folder.join("compositional_skills/a/qna.yaml"), "theirs").unwrap();
    git(taxonomy.path(), &["commit", "-qam", "three"]);
    git(taxonomy.path(), &["checkout", "-q", "mine"]);
    let paths = |base: &str| {
        let found = changed(&folder, base).unwrap();
        listed(&taxonomy, &found).len()
    };
    // What others did on the branch since is not ours.
    assert_eq!((paths("main"), paths(&first), paths("HEAD")), (1, 1, 0));
    let theirs = git(taxonomy.path(), &["rev-parse", "main"]);
    assert_eq!(paths(&theirs), 2);
    assert_eq!(paths("empty"), 3);
}

#[test]
fn what_cannot_be_compared_is_told() {
    let taxonomy = repository();
    let folder = taxonomy.path().join("t");
    for base in ["nowhere", "--help", "HEAD~9"] {
        assert!(
            matches!(changed(&folder, base), Err(ChangedError::NoBase(_))),
            "{base}"
        );
    }
    let loose = Taxonomy::new(&[]);
    let outcome = changed(loose.path(), "main");
    assert!(
        matches!(outcome, Err(ChangedError::NoRepository(..))),
        "{outcome:?}"
    );
}
