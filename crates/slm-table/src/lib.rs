//! Tables in Parquet files, as streams of rows and back, through polars' reader and writer.
//!
//! A row is a JSON object, as a line of a JSONL file is, so that whoever reads one reads the
//! other. Does not know what a row means. It is the only crate that names polars.

mod columns;
mod error;
mod guard;
mod kind;
mod pages;
mod read;
mod value;
mod write;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use error::{Result, TableError};
pub use read::TableReader;
pub use write::TableWriter;

/// A row of a table, its columns in their order.
pub type Row = serde_json::Map<String, serde_json::Value>;

/// Whether a file's name says that it is Parquet.
pub fn is_parquet(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"))
}
