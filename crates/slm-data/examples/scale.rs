//! Rows through the built-in teacher, the scan for personal data and near-duplicate removal, one
//! by one: `cargo run --release -p slm-data --example scale -- TAXONOMY ROWS_PER_LEAF`.
//!
//! Prints rows per second and the most memory used (Linux). Writes nothing.

use slm_data::split::{Part, SplitSettings};
use slm_data::synthesize::{Filters, Sink, synthesize_into};
use slm_data::{Entry, GrammarTeacher, Result, Sample, SeedLeaf, SynthesisSettings};
use std::path::PathBuf;
use std::time::Instant;

#[derive(Default)]
struct Count {
    kept: usize,
    dropped: usize,
}

impl Sink for Count {
    fn keep(&mut self, _: Part, _: Sample) -> Result<()> {
        self.kept += 1;
        Ok(())
    }

    fn drop(&mut self, _: Entry) -> Result<()> {
        self.dropped += 1;
        Ok(())
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let taxonomy = PathBuf::from(arguments.next().ok_or("name a taxonomy")?);
    let rows_per_leaf: usize = arguments.next().ok_or("name a number of rows")?.parse()?;
    let report = slm_taxonomy::check(&[taxonomy], slm_taxonomy::Options::default());
    let leaves: Vec<SeedLeaf> = report.leaves.iter().map(SeedLeaf::from).collect();
    let settings = SynthesisSettings {
        rows_per_leaf,
        rows_of: Default::default(),
        split: SplitSettings {
            validation: 0.0,
            test: 0.0,
            seed: 7,
        },
        filters: Filters {
            near_duplicates: Some(0.8),
            personal_data: true,
        },
    };
    let started = Instant::now();
    let mut count = Count::default();
    let teacher = GrammarTeacher::default();
    synthesize_into(&teacher, &leaves, &settings, &mut count)?;
    let seconds = started.elapsed().as_secs_f64();
    let all = count.kept + count.dropped;
    println!(
        "{all} rows looked at, {} kept, in {seconds:.1} s: {:.0} rows/s, peak {} MiB",
        count.kept,
        all as f64 / seconds,
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
