//! What the ledger beside a dataset says of a row, looked up in slices while the screen is drawn.
//!
//! Does not know what the ledger's entries mean to the views.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use memchr::memmem;
use slm_data::Entry;

/// Bytes looked through at a time.
const SLICE: usize = 8 << 20;

/// A ledger, and the row that is looked up.
#[derive(Debug, Default)]
pub struct Ledger {
    file: Option<(File, u64)>,
    wanted: Option<Wanted>,
}

#[derive(Debug)]
struct Wanted {
    id: String,
    at: u64,
    /// The beginning of a line whose end is in the next slice.
    rest: Vec<u8>,
    outcome: Option<Option<Box<Entry>>>,
}

/// What is known of a row in the ledger.
#[derive(Debug)]
pub enum Looked<'a> {
    /// There is no ledger, or it was not asked.
    None,
    /// The share looked through.
    Looking(f64),
    /// Its entry.
    Found(&'a Entry),
    /// It has none.
    Missing,
}

impl Ledger {
    /// The ledger in the folder of a dataset's file.
    pub fn beside(rows: &Path) -> Self {
        let file = File::open(rows.with_file_name("ledger.jsonl"))
            .and_then(|file| Ok((file.metadata()?.len(), file)))
            .map(|(size, file)| (file, size));
        Self {
            file: file.ok(),
            wanted: None,
        }
    }

    /// Begins to look for a row, unless it is looked for already.
    pub fn want(&mut self, id: &str) {
        if self.wanted.as_ref().is_none_or(|wanted| wanted.id != id) {
            self.wanted = Some(Wanted {
                id: id.to_owned(),
                at: 0,
                rest: Vec::new(),
                outcome: None,
            });
        }
    }

    /// What is known of a row.
    pub fn of(&self, id: &str) -> Looked<'_> {
        let (Some((_, size)), Some(wanted)) = (&self.file, &self.wanted) else {
            return Looked::None;
        };
        match &wanted.outcome {
            _ if wanted.id != id => Looked::None,
            None => Looked::Looking(wanted.at as f64 / (*size).max(1) as f64),
            Some(Some(entry)) => Looked::Found(entry),
            Some(None) => Looked::Missing,
        }
    }

    /// Looks through the next slice; whether there is more to look through.
    pub fn go_on(&mut self) -> bool {
        let (Some((file, _)), Some(wanted)) = (&mut self.file, &mut self.wanted) else {
            return false;
        };
        if wanted.outcome.is_some() {
            return false;
        }
        let mut block = std::mem::take(&mut wanted.rest);
        let read = file
            .seek(SeekFrom::Start(wanted.at))
            .and_then(|_| file.take(SLICE as u64).read_to_end(&mut block));
        let ended = !matches!(read, Ok(count) if count > 0);
        wanted.at += read.unwrap_or(0) as u64;
        let whole = match ended {
            true => block.len(),
            false => memchr::memrchr(b'\n', &block).map_or(0, |at| at + 1),
        };
        if let Some(entry) = search(&block[..whole], &wanted.id) {
            wanted.outcome = Some(Some(Box::new(entry)));
        } else if ended {
            wanted.outcome = Some(None);
        } else {
            wanted.rest = block.split_off(whole);
        }
        wanted.outcome.is_none()
    }
}

/// The first entry of the id in whole lines.
fn search(block: &[u8], id: &str) -> Option<Entry> {
    let needle = serde_json::to_string(id).ok()?;
    memmem::find_iter(block, needle.as_bytes()).find_map(|at| {
        let from = memchr::memrchr(b'\n', &block[..at]).map_or(0, |at| at + 1);
        let to = memchr::memchr(b'\n', &block[at..]).map_or(block.len(), |end| at + end);
        let entry: Entry = serde_json::from_slice(&block[from..to]).ok()?;
        (entry.id == id).then_some(entry)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use slm_data::{Sample, write_ledger};

    #[test]
    fn an_entry_is_found_by_its_id() {
        let folder = tempfile::tempdir().unwrap();
        let entries: Vec<Entry> = (0..5)
            .map(|n| {
                let sample = Sample::pair(format!("\"r{n}\""), "q", "a").with("leaf", "\"r3\"");
                Entry::dropped(&sample, "duplicate", None)
            })
            .collect();
        write_ledger(&folder.path().join("ledger.jsonl"), &entries).unwrap();
        let mut ledger = Ledger::beside(&folder.path().join("train.jsonl"));
        for (id, expected) in [("\"r3\"", Some(3)), ("r3", None)] {
            ledger.want(id);
            assert!(matches!(ledger.of(id), Looked::Looking(_)));
            while ledger.go_on() {}
            match (ledger.of(id), expected) {
                (Looked::Found(entry), Some(n)) => assert_eq!(entry, &entries[n]),
                (Looked::Missing, None) => {}
                other => panic!("{id}: {other:?}"),
            }
        }
        let mut none = Ledger::beside(&folder.path().join("none/train.jsonl"));
        none.want("a");
        assert!(!none.go_on() && matches!(none.of("a"), Looked::None));
    }
}
