//! The long search for bytes that the check or the mends cannot stand.
//!
//! Begins with the repository's own taxonomy, with leaves made for it, and with the files below
//! the folder that `SLM_FUZZ_FILES` names, if any; changes them at random; and wants neither a
//! panic, nor more time than a few seconds each, nor more memory than a gigabyte in all.

use crate::fixes::keeps_the_meaning;
use crate::fixture::Taxonomy;
use crate::hostile::hostile;
use crate::robust::{QNA, changed_leaves, seconds, yaml_pieces};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use slm_taxonomy::{annotations, render, sarif, tree};
use std::path::{Path, PathBuf};

/// The share of the cases that are mended too, which takes some ten times as long as the check.
const MENDED_SHARE: f64 = 0.1;

/// What is done to a file's bytes.
#[derive(Debug, Clone)]
enum Change {
    Put(String),
    PutBytes(Vec<u8>),
    Cut(usize),
    Repeat(usize),
    End,
    CarriageReturns,
    Mark,
    TabsForIndents,
    NoLineEnds,
}

fn changes() -> impl Strategy<Value = Change> {
    prop_oneof![
        8 => yaml_pieces().prop_map(|text| {
            Change::Put(text[..text.floor_char_boundary(40)].to_owned())
        }),
        2 => prop::collection::vec(any::<u8>(), 1..6).prop_map(Change::PutBytes),
        4 => (1usize..200).prop_map(Change::Cut),
        2 => (1usize..400).prop_map(Change::Repeat),
        1 => Just(Change::End),
        1 => Just(Change::CarriageReturns),
        1 => Just(Change::Mark),
        1 => Just(Change::TabsForIndents),
        1 => Just(Change::NoLineEnds),
    ]
}

fn changed(mut bytes: Vec<u8>, at: prop::sample::Index, change: Change) -> Vec<u8> {
    let at = at.index(bytes.len() + 1);
    let until = |length: usize| (at + length).min(bytes.len());
    match change {
        Change::Put(text) => drop(bytes.splice(at..at, text.into_bytes())),
        Change::PutBytes(put) => drop(bytes.splice(at..at, put)),
        Change::Cut(length) => drop(bytes.drain(at..until(length))),
        Change::Repeat(length) => {
            let part = bytes[at..until(length)].to_vec();
            bytes.splice(at..at, part);
        }
        Change::End => bytes.truncate(at),
        Change::CarriageReturns => {
            bytes = bytes
                .into_iter()
                .flat_map(|byte| match byte {
                    b'\n' => vec![b'\r', b'\n'],
                    other => vec![other],
                })
                .collect();
        }
        Change::Mark => drop(bytes.splice(0..0, [0xef, 0xbb, 0xbf])),
        Change::TabsForIndents => {
            bytes[at..].iter_mut().for_each(|byte| {
                if *byte == b' ' {
                    *byte = b'\t';
                }
            });
        }
        Change::NoLineEnds => bytes.retain(|byte| *byte != b'\n'),
    }
    bytes
}

/// The texts below a folder, each with its name in a leaf's folder.
fn files_below(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            files_below(&path, found);
        } else if ["qna.yaml", "slm.yaml", "attribution.txt"].contains(&&*name) {
            let bytes = std::fs::read(&path).unwrap_or_default();
            found.push((name.into_owned(), bytes));
        }
    }
}

fn bases() -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    files_below(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../taxonomy"),
        &mut found,
    );
    if let Some(folder) = std::env::var_os("SLM_FUZZ_FILES") {
        files_below(Path::new(&folder), &mut found);
    }
    // Of those made to bring a reader down, so much that a case stays quick.
    found.extend(hostile().into_iter().map(|(_, mut text)| {
        text.truncate(text.floor_char_boundary(1500));
        ("qna.yaml".to_owned(), text.into_bytes())
    }));
    found
}

/// The most memory that this process held at once, in MiB, where the system tells it.
fn peak_mebibytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes / 1024)
}

/// `SLM_FUZZ_CASES` says how long.
///
/// `SLM_FUZZ_CASES=300000 cargo test --release -p slm-taxonomy --test check -- --ignored`
#[test]
#[ignore = "runs for minutes"]
fn changed_files_for_long() {
    let cases = std::env::var("SLM_FUZZ_CASES")
        .ok()
        .and_then(|n| n.parse().ok());
    let cases = cases.unwrap_or(100_000);
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let bases = bases();
    let files = (
        prop::sample::select(bases.clone()),
        prop::collection::vec((any::<prop::sample::Index>(), changes()), 1..6),
    );
    let files = files.prop_map(|((name, bytes), changes)| {
        let change = |bytes, (at, change)| changed(bytes, at, change);
        (name, changes.into_iter().fold(bytes, change))
    });
    let leaves = changed_leaves().prop_map(|text| ("qna.yaml".to_owned(), text.into_bytes()));
    let slowest = std::cell::Cell::new(0.0_f64);
    let taxonomy = Taxonomy::skill("");
    let qna = taxonomy.path().join(QNA);
    let mends = prop::bool::weighted(MENDED_SHARE);
    let cases_of = (prop_oneof![2 => files, 1 => leaves], mends);
    let mended_so_far = std::cell::Cell::new(0);
    let outcome = runner.run(&cases_of, |((name, bytes), mend)| {
        let start = seconds();
        let path = qna.with_file_name(&name);
        std::fs::write(&path, &bytes).unwrap();
        let report = taxonomy.check();
        for found in &report.diagnostics {
            assert!(found.line >= 1 && found.column >= 1, "{found:?}");
        }
        for text in [
            render(&report),
            tree(&report),
            annotations(&report),
            sarif(&report).to_string(),
        ] {
            assert!(!text.is_empty() || report.diagnostics.is_empty());
        }
        if name != "qna.yaml" {
            std::fs::remove_file(&path).unwrap();
        } else if let Ok(text) = std::str::from_utf8(&bytes)
            && mend
        {
            keeps_the_meaning(text);
            mended_so_far.set(mended_so_far.get() + 1);
        }
        slowest.set(slowest.get().max(seconds() - start));
        Ok(())
    });
    outcome.unwrap();
    let (bases, slowest, peak) = (bases.len(), slowest.get(), peak_mebibytes());
    let mended = mended_so_far.get();
    println!(
        "{cases} changed files of {bases}, {mended} of them mended, the slowest took {slowest} s, {peak:?} MiB"
    );
    assert!(slowest < 20.0);
    assert!(peak.is_none_or(|peak| peak < 1024));
}
