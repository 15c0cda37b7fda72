//! Whatever the file, the check's memory is bounded. A binary of its own, because the
//! highest use is counted per process.

#[path = "check/hostile.rs"]
mod hostile;

use slm_taxonomy::{MendKind, Options, check, fix};
use std::fs;

/// The most that one leaf may cost, whatever it holds.
const MOST_MEBIBYTES: u64 = 700;

/// Files of the largest size that is read, so that nothing larger comes to the reader.
fn largest() -> Vec<(&'static str, String)> {
    const SIZE: usize = 4 * 1024 * 1024 - 64;
    let filled = |piece: &str| piece.repeat(SIZE / piece.len());
    vec![
        ("nested lists", filled("[")),
        ("empty lists", format!("[{}]", filled("[],"))),
        ("same keys", filled("a: b\n")),
        ("short entries", filled("- a\n")),
        ("broken lines", filled("a: b: c\n")),
        ("tabs", filled("\ta:\n")),
        ("one word", filled("x")),
        ("odd spaces", filled("a \u{a0} \n")),
        ("comments", filled("#\n")),
        ("anchors", filled("- &a x\n")),
    ]
}

/// The highest use of memory of this process so far, in MiB.
#[cfg(target_os = "linux")]
fn highest_mebibytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kibibytes.expect("Linux tells it") / 1024
}

#[cfg(target_os = "linux")]
#[test]
fn memory_is_bounded_on_hostile_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let leaf = folder.path().join("compositional_skills/a");
    fs::create_dir_all(&leaf).expect("writable");
    let paths = [folder.path().to_path_buf()];
    for (name, text) in hostile::hostile().into_iter().chain(largest()) {
        fs::write(leaf.join("qna.yaml"), &text).expect("writable");
        drop(text);
        assert!(!check(&paths, Options::default()).diagnostics.is_empty());
        fix(&paths, &MendKind::ALL.map(|(_, kind)| kind));
        let highest = highest_mebibytes();
        println!("{highest:>5} MiB after {name}");
        assert!(highest < MOST_MEBIBYTES, "{name} cost {highest} MiB");
    }
}
