//! `slm model list`: the models of the workspace, and folders that are none yet or no more.
//!
//! Does not know how a checkpoint is read.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

use super::card::{Broken, Card, problems};
use crate::commands::Context;
use crate::terminal::bytes;
use crate::workspace::Kind;

/// An entry of the list.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Entry {
    Whole {
        whole: bool,
        #[serde(flatten)]
        card: Box<Card>,
    },
    Broken {
        whole: bool,
        #[serde(flatten)]
        broken: Broken,
    },
}

/// Prints the list.
pub fn run(context: &Context) -> Result<()> {
    let root = context.workspace.root().join(Kind::Models.folder());
    let entries: Vec<Entry> = model_folders(&root)
        .into_iter()
        .map(|(name, folder)| entry(&name, &folder))
        .collect();
    if context.terminal.is_json() {
        return context.terminal.json(&entries);
    }
    let width = entries.iter().map(|entry| entry.name().len()).max();
    let lines: String = entries
        .iter()
        .map(|entry| entry.line(width.unwrap_or(0)))
        .collect();
    context.terminal.data(&lines)
}

fn entry(name: &str, folder: &Path) -> Entry {
    let broken = |problems: Vec<String>| Entry::Broken {
        whole: false,
        broken: Broken {
            name: name.to_owned(),
            path: folder.display().to_string(),
            problems,
        },
    };
    if name.ends_with(".partial") {
        return broken(vec!["it is not complete; run its command again".to_owned()]);
    }
    let found = problems(folder);
    if !found.is_empty() {
        return broken(found);
    }
    match Card::of(name, folder) {
        Ok(card) => Entry::Whole {
            whole: true,
            card: Box::new(card),
        },
        Err(error) => broken(vec![error.to_string()]),
    }
}

impl Entry {
    fn name(&self) -> &str {
        match self {
            Self::Whole { card, .. } => &card.name,
            Self::Broken { broken, .. } => &broken.name,
        }
    }

    fn line(&self, width: usize) -> String {
        match self {
            Self::Whole { card, .. } => format!(
                "{:<width$}  {:<10}  {:>8.1} M parameters  {:>5}  {:>9} on disk  {:>9} to run  {}\n",
                card.name,
                card.architecture,
                card.parameters as f64 / 1e6,
                card.weights,
                bytes(card.disk_bytes as u64),
                bytes(card.run_bytes() as u64),
                card.license.as_deref().unwrap_or("licence unknown"),
            ),
            Self::Broken { broken, .. } => format!(
                "{:<width$}  not whole: {}\n",
                broken.name,
                broken.problems.join("; ")
            ),
        }
    }
}

/// Folders of models by name: those that hold something of a model, and, one level deeper,
/// those of an owner's models.
fn model_folders(root: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for (name, folder) in folders(root) {
        let inner = folders(&folder);
        let owner = !holds_files(&folder) && !inner.is_empty();
        match owner {
            true => found.extend(
                inner
                    .into_iter()
                    .map(|(model, path)| (format!("{name}/{model}"), path)),
            ),
            false => found.push((name, folder)),
        }
    }
    found
}

fn folders(root: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(root) else {
        return Vec::new();
    };
    let mut found: Vec<(String, PathBuf)> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .map(|path| {
            let name = path.file_name().unwrap_or_default();
            (name.to_string_lossy().into_owned(), path)
        })
        .filter(|(name, _)| !name.starts_with('.') && !name.ends_with(".before"))
        .collect();
    found.sort();
    found
}

fn holds_files(folder: &Path) -> bool {
    std::fs::read_dir(folder)
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.path().is_file()))
}
