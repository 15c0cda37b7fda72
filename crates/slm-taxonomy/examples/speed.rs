//! Measures the check on a generated taxonomy: wall and processor time, and memory.
//!
//! `cargo run --release -p slm-taxonomy --example speed -- 10000`
//!
//! One leaf in five is knowledge with a local document; all are as long as those of the
//! public InstructLab taxonomy, and no two seed examples are the same.

use slm_taxonomy::{Options, check, summary};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

const WORDS: [&str; 12] = [
    "the", "order", "river", "when", "birds", "carry", "their", "report", "over", "blue",
    "mountain", "and",
];
const ATTRIBUTION: &str = "Title of work: A\nLink to work: -\nRevision: 1\nLicense of the work: CC0-1.0\nCreator names: B\n";
const DOCUMENT: &str = "# Sums\n";
/// `sha256sum` of [`DOCUMENT`].
const DOCUMENT_SHA256: &str = "477056be5f746c9d506fa1aa535998016f478b19db30c1921d23ab45957c9587";

fn main() -> ExitCode {
    let count = std::env::args().nth(1).and_then(|n| n.parse().ok());
    let count: usize = count.unwrap_or(10_000);
    let folder = std::env::temp_dir().join(format!("slm-speed-{}", std::process::id()));
    let written = write_taxonomy(&folder, count);
    let outcome = written.map(|bytes| {
        println!("{count} leaves, {:.1} MB", bytes as f64 / 1e6);
        for round in 1..=3 {
            measure(round, &folder);
        }
    });
    fs::remove_dir_all(&folder).ok();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(round: usize, folder: &Path) {
    let (start, before) = (Instant::now(), processor_seconds());
    let report = check(&[folder.to_path_buf()], Options::default());
    let wall = start.elapsed().as_secs_f64();
    let cpu = processor_seconds() - before;
    println!(
        "round {round}: {wall:.2} s, {cpu:.2} s of processor time; {}",
        summary(&report)
    );
}

/// User and system time of this process. Linux; elsewhere zero.
fn processor_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields = after_name.split_whitespace().skip(11).take(2);
    // The kernel counts hundredths of a second.
    fields
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

fn write_taxonomy(folder: &Path, count: usize) -> std::io::Result<usize> {
    let mut bytes = 0;
    for index in 0..count {
        let knowledge = index % 5 == 0;
        let branch = if knowledge {
            "knowledge"
        } else {
            "compositional_skills"
        };
        let leaf = folder.join(format!("{branch}/area_{}/leaf_{index}", index % 97));
        fs::create_dir_all(&leaf)?;
        let text = if knowledge {
            knowledge_text(index)
        } else {
            skill_text(index)
        };
        bytes += text.len();
        fs::write(leaf.join("qna.yaml"), text)?;
        fs::write(leaf.join("attribution.txt"), ATTRIBUTION)?;
        if knowledge {
            fs::write(leaf.join("sums.md"), DOCUMENT)?;
        }
    }
    Ok(bytes)
}

fn skill_text(leaf: usize) -> String {
    let mut text =
        String::from("version: 3\ncreated_by: me\ntask_description: Answer.\nseed_examples:\n");
    for seed in 0..8 {
        let (question, answer) = (words(leaf, seed, 25), words(leaf, seed + 50, 45));
        write!(
            text,
            "  - question: |\n      {question}?\n    answer: |\n      {answer}.\n"
        )
        .ok();
    }
    text
}

fn knowledge_text(leaf: usize) -> String {
    let mut text = format!(
        "version: 3\ncreated_by: me\ndomain: Sums\ndocument_outline: About sums\ndocument:\n  path: sums.md\n  sha256: {DOCUMENT_SHA256}\nseed_examples:\n"
    );
    for seed in 0..6 {
        let context = words(leaf, seed + 100, 150);
        write!(
            text,
            "  - context: |\n      {context}.\n    questions_and_answers:\n"
        )
        .ok();
        for pair in 0..3 {
            let (question, answer) = (words(leaf, seed * 3 + pair, 12), words(leaf, pair, 20));
            write!(
                text,
                "      - question: {question}?\n        answer: {answer}.\n"
            )
            .ok();
        }
    }
    text
}

/// Words that differ by leaf and place.
fn words(leaf: usize, place: usize, count: usize) -> String {
    let mut state = (leaf * 1000 + place) as u64;
    let mut text = format!("Text {leaf} {place}");
    for _ in 0..count {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        text.push(' ');
        text.push_str(WORDS[(state >> 33) as usize % WORDS.len()]);
    }
    text
}
