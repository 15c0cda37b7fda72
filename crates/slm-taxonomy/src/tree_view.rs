//! A taxonomy as a tree: each leaf with its kind, the number of its seed examples and of
//! its faults.
//!
//! It knows nothing of files.

use crate::diagnostic::Report;
use crate::leaf::{Kind, Leaf};
use crate::render::counted;
use std::collections::BTreeMap;

/// The leaves of a report as a tree, one line per folder and leaf.
pub fn tree(report: &Report) -> String {
    let mut root = Branch::default();
    for leaf in &report.leaves {
        let mut branch = &mut root;
        for part in leaf.name.split('/') {
            branch = branch.below.entry(part.to_string()).or_default();
        }
        branch.leaf = Some(leaf);
    }
    let mut out = String::new();
    for (name, branch) in &root.below {
        out.push_str(&line(name, branch));
        branch.draw("", &mut out);
    }
    out.push_str(&crate::render::summary(report));
    out.push('\n');
    out
}

#[derive(Default)]
struct Branch<'r> {
    leaf: Option<&'r Leaf>,
    below: BTreeMap<String, Branch<'r>>,
}

impl Branch<'_> {
    fn draw(&self, indent: &str, out: &mut String) {
        let last = self.below.len().saturating_sub(1);
        for (index, (name, branch)) in self.below.iter().enumerate() {
            let (corner, bar) = if index == last {
                ("└── ", "    ")
            } else {
                ("├── ", "│   ")
            };
            out.push_str(&format!("{indent}{corner}{}", line(name, branch)));
            branch.draw(&format!("{indent}{bar}"), out);
        }
    }
}

fn line(name: &str, branch: &Branch) -> String {
    match branch.leaf {
        Some(leaf) => format!("{name}  {}\n", about(leaf)),
        None => format!("{name}\n"),
    }
}

fn about(leaf: &Leaf) -> String {
    let seeds = leaf.seed_examples.len();
    let mut parts = vec![
        leaf.kind.label().to_string(),
        counted(seeds, "seed example", "seed examples"),
    ];
    if leaf.kind == Kind::Knowledge {
        let questions = leaf
            .seed_examples
            .iter()
            .map(|s| s.questions_and_answers.len());
        parts.push(counted(questions.sum(), "question", "questions"));
    }
    if leaf.errors > 0 {
        parts.push(counted(leaf.errors, "error", "errors"));
    }
    if leaf.warnings > 0 {
        parts.push(counted(leaf.warnings, "warning", "warnings"));
    }
    parts.join(", ")
}
