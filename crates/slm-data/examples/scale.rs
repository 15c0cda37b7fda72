//! Rows through the built-in teacher, the scan for personal data and near-duplicate removal,
//! batch by batch: `cargo run --release -p slm-data --example scale -- TAXONOMY ROWS`.
//!
//! Prints rows per second and the most memory used (Linux). Writes nothing.

use slm_data::minhash::NearTexts;
use slm_data::split::{NEAR_DUPLICATE, comparable_text};
use slm_data::synthesize::{PoolSide, Request};
use slm_data::{GrammarTeacher, SeedLeaf, Teacher};
use std::path::PathBuf;
use std::time::Instant;

/// Rows of a leaf that are in memory at once.
const BATCH: usize = 10_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let taxonomy = PathBuf::from(arguments.next().ok_or("name a taxonomy")?);
    let wanted: usize = arguments.next().ok_or("name a number of rows")?.parse()?;
    let report = slm_taxonomy::check(&[taxonomy], slm_taxonomy::Options::default());
    let leaves: Vec<SeedLeaf> = report.leaves.iter().map(SeedLeaf::from).collect();
    let teacher = GrammarTeacher::default();
    let mut near = NearTexts::new(NEAR_DUPLICATE);
    let (mut rows, mut clean, mut kept) = (0, 0, 0);
    let started = Instant::now();
    for seed in 0.. {
        let before = rows;
        for leaf in &leaves {
            let request = Request {
                rows: BATCH.min(wanted - rows),
                seed,
                side: PoolSide::Training,
            };
            for sample in teacher.synthesize(leaf, &request)?.samples {
                rows += 1;
                let text = comparable_text(&sample);
                if slm_data::scan::scan(&text).is_empty() {
                    clean += 1;
                    kept += usize::from(near.find_or_keep(&text).is_none());
                }
            }
        }
        if rows >= wanted || rows == before {
            break;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{rows} rows, {clean} without findings, {kept} kept, in {seconds:.1} s: {:.0} rows/s, peak {} MiB",
        rows as f64 / seconds,
        peak_mib().map_or_else(|| "?".to_owned(), |mib| mib.to_string())
    );
    Ok(())
}

/// The most memory that this process had, as Linux tells it.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}
