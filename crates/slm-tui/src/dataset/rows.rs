//! The rows of a dataset's file, whether it is JSONL or Parquet, as bytes of JSON.
//!
//! Does not know what a row means.

use std::fmt;
use std::io;
use std::path::Path;

use slm_table::{TableReader, is_parquet};

use super::lines::{Lines, Place};

/// The rows of an open file.
pub enum Rows {
    /// Of a JSONL file, found little by little.
    Lines(Lines),
    /// Of a Parquet file, which says how many it has. One row group is held.
    Table(Box<TableReader>),
}

impl Rows {
    /// Opens a file.
    ///
    /// # Errors
    /// The file cannot be opened, or is called Parquet and is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(match is_parquet(path) {
            true => Self::Table(Box::new(TableReader::open(path).map_err(io::Error::other)?)),
            false => Self::Lines(Lines::open(path)?),
        })
    }

    /// What a row's place in the file is called.
    pub fn unit(&self) -> &'static str {
        match self {
            Self::Lines(_) => "line",
            Self::Table(_) => "row",
        }
    }

    /// Looks through at most so many bytes more; whether there are more behind them.
    ///
    /// # Errors
    /// The file cannot be read; the rows found so far stay.
    pub fn find(&mut self, bytes: usize) -> io::Result<bool> {
        match self {
            Self::Lines(lines) => lines.find(bytes),
            Self::Table(_) => Ok(false),
        }
    }

    /// Rows found so far.
    pub fn len(&self) -> usize {
        match self {
            Self::Lines(lines) => lines.len(),
            Self::Table(table) => table.rows(),
        }
    }

    /// Whether no row was found so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the whole file was looked through.
    pub fn is_complete(&self) -> bool {
        match self {
            Self::Lines(lines) => lines.is_complete(),
            Self::Table(_) => true,
        }
    }

    /// The share of the file looked through, from 0 to 1.
    pub fn share(&self) -> f64 {
        match self {
            Self::Lines(lines) => lines.share(),
            Self::Table(_) => 1.0,
        }
    }

    /// The line of a row, from 1; of a table its number.
    pub fn line(&self, row: usize) -> Option<u64> {
        match self {
            Self::Lines(lines) => lines.place(row).map(|place| place.line),
            Self::Table(table) => (row < table.rows()).then_some(row as u64 + 1),
        }
    }

    /// The bytes of a row, without a byte order mark.
    ///
    /// # Errors
    /// Why the row cannot be shown, in words.
    pub fn row(&mut self, row: usize) -> Result<Vec<u8>, String> {
        match self {
            Self::Lines(lines) => lines.row(row),
            Self::Table(table) => {
                table.go_to(row);
                next(table).ok_or("there is no such row")?
            }
        }
    }

    /// The bytes of rows that lie together, from this row on: as many whole rows as fit, and
    /// at least one, where it is not too large to be shown. Their places are relative to the
    /// block's first byte.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn block(&mut self, first: usize, bytes: u64) -> io::Result<(Vec<u8>, Vec<Place>)> {
        let table = match self {
            Self::Lines(lines) => return lines.block(first, bytes),
            Self::Table(table) => table,
        };
        let (mut block, mut places) = (Vec::new(), Vec::new());
        table.go_to(first);
        while (block.len() as u64) < bytes
            && let Some(row) = next(table)
        {
            let row = row.map_err(io::Error::other)?;
            places.push(Place {
                start: block.len() as u64,
                length: row.len() as u64,
                line: table.row() as u64,
            });
            block.extend(row);
        }
        Ok((block, places))
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let mut rows = formatter.debug_struct("Rows");
        rows.field("len", &self.len()).finish_non_exhaustive()
    }
}

fn next(table: &mut TableReader) -> Option<Result<Vec<u8>, String>> {
    let row = table.next()?.map_err(|error| error.to_string());
    Some(row.and_then(|row| serde_json::to_vec(&row).map_err(|error| error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_the_rows_of_the_lines_it_was_written_from() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["rows.jsonl", "rows.parquet"].map(|name| folder.path().join(name));
        let rows: Vec<serde_json::Value> = (0..500)
            .map(|n| serde_json::json!({"n": n, "text": format!("row {n}")}))
            .collect();
        let lines: Vec<String> = rows.iter().map(ToString::to_string).collect();
        std::fs::write(&paths[0], lines.join("\n")).unwrap();
        let mut writer = slm_table::TableWriter::create(&paths[1]).unwrap();
        for row in &rows {
            writer.write(row.as_object().unwrap()).unwrap();
        }
        writer.finish().unwrap();
        let [mut lines, mut table] = paths.map(|path| Rows::open(&path).unwrap());
        while lines.find(100).unwrap() {}
        assert!(!table.find(100).unwrap() && table.is_complete() && !table.is_empty());
        assert_eq!(
            (table.len(), table.line(499), table.line(500)),
            (500, Some(500), None)
        );
        for row in [0, 499, 3, 250] {
            assert_eq!(table.row(row).unwrap(), lines.row(row).unwrap());
        }
        assert!(table.row(500).is_err());
        let (block, places) = table.block(490, 1 << 20).unwrap();
        assert_eq!((places.len(), places[9].line), (10, 500));
        let last = &block[places[9].start as usize..];
        assert_eq!(last, lines.row(499).unwrap());
        assert_eq!(table.block(3, 1).unwrap().1.len(), 1);
        assert!(table.block(500, 100).unwrap().1.is_empty());
    }
}
