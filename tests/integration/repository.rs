//! What the style asks of the repository, as tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::repository;

/// Longest file that needs no word of excuse at its head.
const LONGEST_FILE_LINES: usize = 600;

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![repository().join("crates"), repository().join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(repository())
        .unwrap_or(path)
        .display()
        .to_string()
}

#[test]
fn every_file_opens_with_its_purpose_and_stays_short() {
    let mut faults = Vec::new();
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        if !text.starts_with("//!") {
            faults.push(format!("{}: does not open with `//!`", shown(&path)));
        }
        let lines = text.lines().count();
        if lines > LONGEST_FILE_LINES {
            faults.push(format!("{}: {lines} lines", shown(&path)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn tensors_and_the_network_stay_in_their_rooms() {
    let rooms = |word: &str| -> Vec<String> {
        let crates = repository().join("crates");
        let mut found: Vec<String> = fs::read_dir(crates)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|room| {
                let manifest = fs::read_to_string(room.join("Cargo.toml")).unwrap();
                manifest.lines().any(|line| line.starts_with(word))
            })
            .map(|room| room.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        found.sort();
        found
    };
    for room in rooms("burn") {
        let allowed = ["slm-model", "slm-train", "slm-infer"];
        assert!(allowed.contains(&room.as_str()), "`{room}` names burn");
    }
    assert_eq!(rooms("reqwest"), ["slm-cli"]);
    assert_eq!(rooms("polars"), ["slm-table"]);
}

#[test]
fn every_licence_is_on_the_list() {
    let run = Command::new("bash")
        .arg(repository().join("scripts/check-licenses"))
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
}
