//! Rows out of a Parquet file, one row group at a time.
//!
//! The schema is the one of Parquet itself; what pyarrow or polars add to it in their own
//! metadata (dictionaries, widths) does not change a row.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use polars_arrow::array::Array;
use polars_arrow::datatypes::Field;
use polars_buffer::Buffer;
use polars_parquet::read::{
    BasicDecompressor, ColumnChunkMetadata, FileMetadata, column_iter_to_arrays, read_metadata,
    schema::parquet_to_arrow_schema,
};

use crate::error::{DAMAGED, Result, TableError};
use crate::guard::guarded;
use crate::pages::{check_cells, check_pages, pages};
use crate::value::value;
use crate::{Row, is_parquet};

/// Iterates over the rows of a Parquet file; holds one row group.
///
/// A cell that is null is absent from its row. After an error there are no more rows.
pub struct TableReader {
    path: PathBuf,
    file: File,
    bytes: u64,
    metadata: FileMetadata,
    fields: Vec<Field>,
    /// The next row group to read.
    group: usize,
    /// The columns of the row group that is held, of `height` rows.
    columns: Vec<Vec<Box<dyn Array>>>,
    height: usize,
    /// The next row of it.
    at: usize,
    row: usize,
}

impl TableReader {
    /// Opens a file and reads its schema.
    ///
    /// # Errors
    /// The file cannot be opened or is no Parquet.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(|error| TableError::io(path, "open", error))?;
        let bytes = file
            .metadata()
            .map_err(|error| TableError::io(path, "open", error))?
            .len();
        let read = guarded(|| {
            let metadata = read_metadata(&mut file).map_err(|error| error.to_string())?;
            let schema = parquet_to_arrow_schema(metadata.schema().fields());
            let fields: Vec<Field> = schema.iter_values().cloned().collect();
            Ok::<_, String>((metadata, fields))
        });
        let (metadata, fields) = read.map_err(|reason| not_parquet(path, &reason))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            bytes,
            metadata,
            fields,
            group: 0,
            columns: Vec::new(),
            height: 0,
            at: 0,
            row: 0,
        })
    }

    /// How many rows the file says it has.
    pub fn rows(&self) -> usize {
        self.metadata.num_rows
    }

    /// The names of the columns.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }

    /// The row, from 1, that was returned last.
    pub fn row(&self) -> usize {
        self.row
    }

    /// Goes to a row, counted from 0, forwards or back; row groups before it are not read, and
    /// the one that is held is not read again. Behind the last row there are no more.
    pub fn go_to(&mut self, row: usize) {
        let mut begin = 0;
        let holding = self.height > 0;
        for (group, of_group) in self.metadata.row_groups.iter().enumerate() {
            let height = of_group.num_rows();
            if row < begin + height {
                if !(holding && group + 1 == self.group) {
                    // The first rows of the group are passed over when it is read.
                    (self.group, self.height) = (group, 0);
                }
                (self.at, self.row) = (row - begin, row);
                return;
            }
            begin += height;
        }
        self.end();
    }

    /// Reads the next row group; false at the end.
    fn next_group(&mut self) -> Result<bool> {
        let Some(group) = self.metadata.row_groups.get(self.group) else {
            return Ok(false);
        };
        let at = format!("row group {}", self.group + 1);
        check_cells(group, self.bytes).map_err(|reason| {
            let message = format!("{at} cannot be read: {reason}");
            TableError::content(&self.path, message, "write it again in smaller row groups")
        })?;
        let mut columns = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let fault = |reason: String| {
                let name = &field.name;
                let message = format!("column `{name}` of {at} cannot be read: {reason}");
                TableError::content(&self.path, message, hint(&reason))
            };
            let chunks: Vec<&ColumnChunkMetadata> = group
                .columns_under_root_iter(&field.name)
                .map(Iterator::collect)
                .unwrap_or_default();
            let mut readers = Vec::with_capacity(chunks.len());
            for chunk in &chunks {
                let bytes = read_range(&mut self.file, chunk.byte_range(), self.bytes)
                    .map_err(|error| fault(error.to_string()))?;
                let bytes = Buffer::from_vec(bytes);
                guarded(|| check_pages(chunk, bytes.clone(), group.num_rows())).map_err(&fault)?;
                readers.push(BasicDecompressor::new(pages(chunk, bytes), Vec::new()));
            }
            let types = chunks
                .iter()
                .map(|chunk| &chunk.descriptor().descriptor.primitive_type)
                .collect();
            let arrays = guarded(|| column_iter_to_arrays(readers, types, field.clone(), None))
                .map_err(&fault)?
                .0;
            let length: usize = arrays.iter().map(|array| array.len()).sum();
            if length != group.num_rows() {
                let rows = group.num_rows();
                return Err(fault(format!("it has {length} values for {rows} rows")));
            }
            columns.push(arrays);
        }
        self.columns = columns;
        self.height = group.num_rows();
        self.group += 1;
        Ok(true)
    }

    fn read_row(&self) -> Result<Row> {
        let mut row = Row::new();
        for (field, arrays) in self.fields.iter().zip(&self.columns) {
            let mut index = self.at;
            let mut arrays = arrays.iter();
            let array = loop {
                match arrays.next() {
                    Some(array) if index < array.len() => break array,
                    Some(array) => index -= array.len(),
                    None => unreachable!("the lengths were summed up when the group was read"),
                }
            };
            let cell = guarded(|| Ok::<_, String>(value(array.as_ref(), index)));
            let cell = cell.map_err(|reason| {
                let message = format!("row {}, column `{}`: {reason}", self.row + 1, field.name);
                TableError::content(&self.path, message, DAMAGED)
            })?;
            if !cell.is_null() {
                row.insert(field.name.to_string(), cell);
            }
        }
        Ok(row)
    }

    fn end(&mut self) {
        self.group = self.metadata.row_groups.len();
        (self.height, self.at) = (0, 0);
    }
}

impl Iterator for TableReader {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Result<Row>> {
        while self.at >= self.height {
            // Rows that were skipped before their group was read stay skipped.
            let skipped = self.at - self.height;
            match self.next_group() {
                Ok(true) => self.at = skipped,
                Ok(false) => {
                    self.end();
                    return None;
                }
                Err(error) => {
                    self.end();
                    return Some(Err(error));
                }
            }
        }
        let row = self.read_row();
        self.at += 1;
        self.row += 1;
        if row.is_err() {
            self.end();
        }
        Some(row)
    }
}

/// The bytes of a column's chunk, which must lie within the file.
fn read_range(
    file: &mut File,
    range: std::ops::Range<u64>,
    file_bytes: u64,
) -> std::io::Result<Vec<u8>> {
    if range.end > file_bytes || range.start > range.end {
        return Err(std::io::Error::other(format!(
            "its bytes {}..{} lie outside the file of {file_bytes} bytes",
            range.start, range.end
        )));
    }
    let mut bytes =
        vec![0; usize::try_from(range.end - range.start).map_err(std::io::Error::other)?];
    file.seek(SeekFrom::Start(range.start))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn not_parquet(path: &Path, reason: &str) -> TableError {
    let hint = match is_parquet(path) {
        true => DAMAGED,
        false => "name a Parquet file",
    };
    TableError::content(path, format!("not a Parquet file: {reason}"), hint)
}

fn hint(reason: &str) -> &'static str {
    match reason.contains("needs to be active") {
        true => "write the file again with the compression zstd, snappy, gzip, lz4 or none",
        false => DAMAGED,
    }
}
