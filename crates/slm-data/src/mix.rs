//! Datasets mixed by count or share, without replacement, and an account of what was taken.
//!
//! Reads each source twice and holds no rows: first to count, then to take. Does not know
//! what the rows teach.

use crate::dataset::{SampleReader, SampleWriter};
use crate::error::{DataError, Result};
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// How much of a source is wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weight {
    /// All its rows.
    All,
    /// So many rows.
    Count(usize),
    /// This share of the mixture, from 0 to 1.
    Share(f64),
}

/// A dataset and how much of it is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// A JSONL or Parquet file.
    pub path: PathBuf,
    /// How much.
    pub weight: Weight,
}

/// What was taken of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// The source.
    pub path: PathBuf,
    /// The rows that it has.
    pub rows: usize,
    /// The rows that were wanted.
    pub wanted: usize,
    /// The rows that were taken, each once.
    pub taken: usize,
}

/// Mixes the sources into a file. Rows keep the order of the sources; where shares are given
/// and a source has too few rows, the whole mixture is made smaller so that shares hold.
///
/// # Errors
/// A source cannot be read or is wanted in a way that cannot be, or the file cannot be written.
pub fn mix(sources: &[Source], seed: u64, to: &Path) -> Result<Vec<Taken>> {
    let mut rows = Vec::new();
    for source in sources {
        rows.push(count(&source.path)?);
    }
    let wanted = wanted(sources, &rows)?;
    let mut writer = SampleWriter::create(to)?;
    let mut account = Vec::new();
    for (n, source) in sources.iter().enumerate() {
        let taken = wanted[n].min(rows[n]);
        let mut rng = ChaCha8Rng::seed_from_u64(seed.wrapping_add(n as u64));
        let mut chosen = index::sample(&mut rng, rows[n], taken).into_vec();
        chosen.sort_unstable();
        let mut chosen = chosen.into_iter().peekable();
        for (place, sample) in SampleReader::open(&source.path)?.enumerate() {
            let sample = sample?;
            if chosen.next_if_eq(&place).is_some() {
                writer.write(&sample)?;
            }
        }
        account.push(Taken {
            path: source.path.clone(),
            rows: rows[n],
            wanted: wanted[n],
            taken,
        });
    }
    writer.finish()?;
    Ok(account)
}

fn count(path: &Path) -> Result<usize> {
    let mut rows = 0;
    for sample in SampleReader::open(path)? {
        sample?;
        rows += 1;
    }
    match rows {
        0 => Err(DataError::settings(
            format!("`{}` has no rows to mix", path.display()),
            "leave it out, or check that it was written",
        )),
        rows => Ok(rows),
    }
}

/// The rows wanted of each source. Shares are of a mixture as large as the scarcest of the
/// shared sources allows, beside the sources that are wanted by count or whole.
fn wanted(sources: &[Source], rows: &[usize]) -> Result<Vec<usize>> {
    let refuse = |message: String| {
        Err(DataError::settings(
            message,
            "give shares above 0 that add up to 1 at most, and less than 1 beside other sources",
        ))
    };
    let mut shares = 0.0;
    let mut fixed = 0;
    for (source, rows) in sources.iter().zip(rows) {
        match source.weight {
            Weight::Share(share) if !(share > 0.0 && share <= 1.0) => {
                return refuse(format!(
                    "`{}` is wanted with the share {share}",
                    source.path.display()
                ));
            }
            Weight::Share(share) => shares += share,
            Weight::Count(count) => fixed += count.min(*rows),
            Weight::All => fixed += rows,
        }
    }
    let alone = fixed == 0;
    if shares > 1.0 + 1e-9
        || (!alone && shares > 1.0 - 1e-9)
        || (alone && shares > 0.0 && shares < 1.0 - 1e-9)
    {
        return refuse(format!("the shares add up to {shares}"));
    }
    let possible = |(source, rows): (&Source, &usize)| match source.weight {
        Weight::Share(share) => Some(*rows as f64 / share),
        _ => None,
    };
    let asked = if alone {
        f64::INFINITY
    } else {
        fixed as f64 / (1.0 - shares)
    };
    let total = sources
        .iter()
        .zip(rows)
        .filter_map(possible)
        .fold(asked, f64::min);
    let of = |(source, rows): (&Source, &usize)| match source.weight {
        Weight::All => *rows,
        Weight::Count(count) => count,
        Weight::Share(share) => ((total * share) + 1e-9).floor() as usize,
    };
    Ok(sources.iter().zip(rows).map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::read_all;
    use crate::jsonl::write_all;
    use crate::sample::Sample;
    use std::collections::HashSet;

    fn source(folder: &Path, name: &str, rows: usize, weight: Weight) -> Source {
        let path = folder.join(name);
        let samples: Vec<Sample> = (0..rows)
            .map(|n| Sample::pair(format!("{name}{n}"), "q", "a"))
            .collect();
        write_all(&path, &samples).unwrap();
        Source { path, weight }
    }

    fn taken(sources: &[Source], folder: &Path) -> Vec<(usize, usize)> {
        let account = mix(sources, 3, &folder.join("mixed.jsonl")).unwrap();
        let rows = read_all(&folder.join("mixed.jsonl")).unwrap();
        let ids: HashSet<String> = rows.iter().map(|row| row.id.clone()).collect();
        assert_eq!(ids.len(), rows.len(), "no row is taken twice");
        assert_eq!(rows.len(), account.iter().map(|t| t.taken).sum::<usize>());
        account.iter().map(|t| (t.wanted, t.taken)).collect()
    }

    #[test]
    fn counts_are_taken_as_far_as_there_are_rows() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let sources = [
            source(at, "a", 10, Weight::Count(4)),
            source(at, "b", 3, Weight::Count(30)),
            source(at, "c", 5, Weight::All),
        ];
        assert_eq!(taken(&sources, at), [(4, 4), (30, 3), (5, 5)]);
        let first = std::fs::read(at.join("mixed.jsonl")).unwrap();
        mix(&sources, 3, &at.join("again.jsonl")).unwrap();
        assert_eq!(std::fs::read(at.join("again.jsonl")).unwrap(), first);
    }

    #[test]
    fn shares_hold_exactly_and_the_scarcest_source_decides() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let sources = [
            source(at, "a", 100, Weight::Share(0.75)),
            source(at, "b", 10, Weight::Share(0.25)),
        ];
        assert_eq!(taken(&sources, at), [(30, 30), (10, 10)]);
        let sources = [
            source(at, "a", 100, Weight::Share(0.2)),
            source(at, "b", 40, Weight::All),
        ];
        assert_eq!(taken(&sources, at), [(10, 10), (40, 40)]);
    }

    #[test]
    fn impossible_wishes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let message = |weights: [Weight; 2]| {
            let sources = [
                source(at, "a", 4, weights[0]),
                source(at, "b", 4, weights[1]),
            ];
            mix(&sources, 1, &at.join("m.jsonl"))
                .unwrap_err()
                .to_string()
        };
        assert!(message([Weight::Share(0.5), Weight::Share(0.6)]).contains("add up to 1.1"));
        assert!(message([Weight::Share(1.0), Weight::All]).contains("add up to 1"));
        assert!(message([Weight::Share(0.5), Weight::Share(0.3)]).contains("add up to 0.8"));
        assert!(message([Weight::Share(-1.0), Weight::All]).contains("share -1"));
        let empty = Source {
            path: at.join("none"),
            weight: Weight::All,
        };
        std::fs::write(&empty.path, "\n").unwrap();
        assert!(
            mix(&[empty], 1, &at.join("m.jsonl"))
                .unwrap_err()
                .to_string()
                .contains("has no rows to mix")
        );
    }
}
