//! Rows into a Parquet file, which appears whole or not at all.
//!
//! Parquet wants the types of all columns before the first row, and rows of JSON tell theirs
//! only with the last. So the rows go to a temporary file first, and are written from there.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use polars_arrow::array::Array;
use polars_arrow::datatypes::ArrowSchema;
use polars_arrow::record_batch::RecordBatchT;
use polars_buffer::Buffer;
use polars_parquet::write::{
    CompressionOptions, Encoding, FileWriter, StatisticsOptions, Version, WriteOptions,
    get_dtype_encoding, row_group_iter,
};
use slm_files::WholeFile;

use crate::Row;
use crate::columns::{Column, field};
use crate::error::{Result, TableError};
use crate::guard::guarded;
use crate::kind::Kind;

/// A row group is closed when it has so many rows ...
const GROUP_ROWS: usize = 1 << 15;
/// ... or its rows as JSON have so many bytes.
const GROUP_BYTES: usize = 1 << 26;

/// Writes rows into a Parquet file (zstd, row groups of at most 32,768 rows or 64 MiB of JSON).
///
/// A column has the type that all its values have in common; lists and objects become lists and
/// structs. A column of mixed types, or of objects with more than 64 different keys, holds JSON
/// in a text. The same rows give the same bytes.
pub struct TableWriter {
    path: PathBuf,
    file: WholeFile,
    /// Has no name, so that nothing is left of it even by a kill.
    spool: BufWriter<File>,
    kinds: Vec<(String, Kind)>,
    rows: usize,
}

impl TableWriter {
    /// Starts a file; its folder is made when missing.
    ///
    /// # Errors
    /// The folder or a temporary file in it cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let refuse = |error| TableError::io(path, "write", error);
        std::fs::create_dir_all(folder)
            .map_err(|error| TableError::io(folder, "create the folder", error))?;
        Ok(Self {
            path: path.to_owned(),
            file: WholeFile::create(path).map_err(refuse)?,
            spool: BufWriter::new(tempfile::tempfile_in(folder).map_err(refuse)?),
            kinds: Vec::new(),
            rows: 0,
        })
    }

    /// Appends a row; columns that it lacks are null there.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write(&mut self, row: &Row) -> Result<()> {
        for (name, value) in row {
            match self.kinds.iter_mut().find(|(known, _)| known == name) {
                Some((_, kind)) => kind.widen(value),
                None => {
                    let mut kind = Kind::Null;
                    kind.widen(value);
                    self.kinds.push((name.clone(), kind));
                }
            }
        }
        self.rows += 1;
        serde_json::to_writer(&mut self.spool, row)
            .map_err(std::io::Error::from)
            .and_then(|()| self.spool.write_all(b"\n"))
            .map_err(|error| TableError::io(&self.path, "write", error))
    }

    /// Puts the file in its place and returns the number of rows. Without this call nothing is
    /// left behind.
    ///
    /// # Errors
    /// There is no row, so that no column is known; the disk is full.
    pub fn finish(self) -> Result<usize> {
        let Self {
            path,
            file,
            spool,
            kinds,
            rows,
        } = self;
        if kinds.is_empty() {
            return Err(TableError::content(
                &path,
                "there are no rows, so a Parquet file would have no columns",
                "give at least one row, or write JSONL",
            ));
        }
        let refuse = |error| TableError::io(&path, "write", error);
        let spool = spool
            .into_inner()
            .map_err(|error| refuse(error.into_error()))?;
        let refused = Rc::new(RefCell::new(None));
        let output = Remembering {
            inner: BufWriter::new(file),
            refused: Rc::clone(&refused),
        };
        let written = guarded(|| encode(spool, output, kinds));
        let file = written.map_err(|reason| match refused.take() {
            Some(error) => refuse(error),
            None => TableError::content(&path, format!("cannot be written: {reason}"), BUG),
        })?;
        let file = file
            .inner
            .into_inner()
            .map_err(|error| refuse(error.into_error()))?;
        file.commit().map_err(refuse)?;
        Ok(rows)
    }
}

const BUG: &str = "this is a fault of slm; write JSONL instead, and report it";

/// Writes what was spooled, and gives the output back.
fn encode(
    mut spool: File,
    output: Remembering,
    kinds: Vec<(String, Kind)>,
) -> std::result::Result<Remembering, String> {
    let kinds: Vec<(String, Kind)> = kinds
        .into_iter()
        .map(|(name, kind)| (name, kind.settled()))
        .collect();
    let fields = kinds.iter().map(|(name, kind)| field(name, kind));
    let schema: ArrowSchema = fields.map(|field| (field.name.clone(), field)).collect();
    let options = WriteOptions {
        statistics: StatisticsOptions::default(),
        version: Version::V1,
        compression: CompressionOptions::Zstd(None),
        data_page_size: None,
    };
    let encodings: Buffer<Vec<Encoding>> = schema
        .iter_values()
        .map(|field| get_dtype_encoding(&field.dtype))
        .collect();
    let shared = Arc::new(schema.clone());
    let mut writer = FileWriter::try_new(output, schema, options).map_err(text)?;
    spool.seek(SeekFrom::Start(0)).map_err(text)?;
    let mut spool = BufReader::new(spool);
    while let Some((height, arrays)) = next_group(&mut spool, &kinds)? {
        let batch = RecordBatchT::try_new(height, Arc::clone(&shared), arrays).map_err(text)?;
        let types = writer.parquet_schema().fields().to_vec();
        let pages = row_group_iter(batch, encodings.clone(), types, options);
        writer.write(height as u64, pages).map_err(text)?;
    }
    // Without polars' own copy of the schema: older pyarrow does not know its text type.
    writer.end(Some(Vec::new())).map_err(text)?;
    Ok(writer.into_inner())
}

/// The columns of the next rows, with their number; none at the end.
fn next_group(
    spool: &mut impl BufRead,
    kinds: &[(String, Kind)],
) -> std::result::Result<Option<(usize, Vec<Box<dyn Array>>)>, String> {
    let mut columns: Vec<Column> = kinds.iter().map(|(_, kind)| Column::new(kind)).collect();
    let (mut rows, mut bytes, mut line) = (0, 0, Vec::new());
    while rows < GROUP_ROWS && bytes < GROUP_BYTES {
        line.clear();
        if spool.read_until(b'\n', &mut line).map_err(text)? == 0 {
            break;
        }
        let row: Row = serde_json::from_slice(&line).map_err(text)?;
        for ((name, _), column) in kinds.iter().zip(&mut columns) {
            column.push(row.get(name));
        }
        rows += 1;
        bytes += line.len();
    }
    let arrays = columns.into_iter().map(Column::finish);
    Ok((rows > 0).then(|| (rows, arrays.collect())))
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// Keeps what the operating system said, of which polars keeps only the text.
struct Remembering {
    inner: BufWriter<WholeFile>,
    refused: Rc<RefCell<Option<std::io::Error>>>,
}

impl Remembering {
    fn remember<T>(&self, done: std::io::Result<T>) -> std::io::Result<T> {
        done.inspect_err(|error| {
            let copy = match error.raw_os_error() {
                Some(code) => std::io::Error::from_raw_os_error(code),
                None => std::io::Error::new(error.kind(), error.to_string()),
            };
            *self.refused.borrow_mut() = Some(copy);
        })
    }
}

impl Write for Remembering {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let done = self.inner.write(bytes);
        self.remember(done)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let done = self.inner.flush();
        self.remember(done)
    }
}
