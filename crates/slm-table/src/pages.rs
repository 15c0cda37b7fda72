//! What headers declare, held against the bytes that are there, for polars takes memory by it.
//!
//! A file that says of itself that it holds gigabytes, consistently, is refused where its bytes
//! cannot hold them. Does not decode values.

use std::io::Cursor;

use polars_buffer::Buffer;
use polars_parquet::parquet::compression::Compression;
use polars_parquet::read::{ColumnChunkMetadata, PageReader, RowGroupMetadata};
use polars_parquet::write::CompressedPage;

/// Cells of a row group that any file may hold: runs and nulls take next to no bytes.
const CELLS: usize = 1 << 24;

/// Cells of a row group for each byte of the file.
const CELLS_PER_BYTE: usize = 64;

/// Bytes of a page.
const PAGE_BYTES: usize = 1 << 29;

/// The pages of a chunk.
pub fn pages(chunk: &ColumnChunkMetadata, bytes: Buffer<u8>) -> PageReader {
    PageReader::new(Cursor::new(bytes), chunk, Vec::new(), usize::MAX)
}

/// Checks that a row group declares no more cells than a file of so many bytes may hold.
pub fn check_cells(group: &RowGroupMetadata, file_bytes: u64) -> Result<(), String> {
    let columns = group.parquet_columns().iter();
    let cells = columns
        .map(|chunk| usize::try_from(chunk.num_values()).unwrap_or(0))
        .map(|values| values.max(group.num_rows()))
        .fold(0_usize, usize::saturating_add);
    let bytes = usize::try_from(file_bytes).unwrap_or(usize::MAX);
    match cells > bytes.saturating_mul(CELLS_PER_BYTE).max(CELLS) {
        true => Err(format!(
            "it declares {cells} values in a file of {bytes} bytes"
        )),
        false => Ok(()),
    }
}

/// Checks that pages have the sizes that their chunk declares, and that their bytes can hold them.
pub fn check_pages(
    chunk: &ColumnChunkMetadata,
    bytes: Buffer<u8>,
    rows: usize,
) -> Result<(), String> {
    let declared = usize::try_from(chunk.uncompressed_size()).unwrap_or(0);
    let mut values = 0_usize;
    for (number, page) in pages(chunk, bytes.clone()).enumerate() {
        match page.map_err(|error| error.to_string())? {
            CompressedPage::Data(page) => {
                let size = page.uncompressed_size();
                if size > declared {
                    return Err(format!("a page of {size} bytes in a chunk of {declared}"));
                }
                check_size(size, page.compressed_size(), chunk.compression())?;
                values = values.saturating_add(page.num_values());
            }
            CompressedPage::Dict(_) => {
                let header = Dictionary::read(&bytes).filter(|_| number == 0);
                let header = header.ok_or("a dictionary that is not its first page")?;
                check_size(header.size, header.compressed, chunk.compression())?;
                // Every value has a byte at least.
                if header.values > header.size {
                    let Dictionary { size, values, .. } = header;
                    return Err(format!("a dictionary of {values} values in {size} bytes"));
                }
            }
        }
    }
    let flat = chunk.descriptor().descriptor.max_rep_level == 0;
    if Ok(values) != usize::try_from(chunk.num_values()) || (flat && values != rows) {
        let declared = chunk.num_values();
        return Err(format!(
            "its pages hold {values} values, where {declared} are declared for {rows} rows"
        ));
    }
    Ok(())
}

/// Checks that `compressed` bytes can become `size`.
fn check_size(size: usize, compressed: usize, compression: Compression) -> Result<(), String> {
    let ratio = match compression {
        Compression::Uncompressed => 1,
        // 64 bytes out of 3.
        Compression::Snappy => 32,
        // 255 out of 1.
        Compression::Lz4 | Compression::Lz4Raw => 256,
        // 258 out of 2 bits.
        Compression::Gzip => 1_100,
        // A block of 128 KiB out of 4 bytes.
        Compression::Zstd | Compression::Brotli | Compression::Lzo => 1 << 16,
    };
    let most = compressed.saturating_mul(ratio).saturating_add(1 << 12);
    match size > most.min(PAGE_BYTES) {
        true => Err(format!("a page of {size} bytes out of {compressed}")),
        false => Ok(()),
    }
}

/// What the header of a dictionary page declares, which polars keeps to itself.
struct Dictionary {
    size: usize,
    compressed: usize,
    values: usize,
}

impl Dictionary {
    /// Reads the header at the beginning of a chunk: a `PageHeader` of the Parquet format in
    /// Thrift's compact protocol, with its fields in order, as all writers put them.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (mut at, mut field) = (0, 0);
        let (mut size, mut compressed) = (None, None);
        loop {
            let head = *bytes.get(at)?;
            at += 1;
            field += head >> 4;
            match (field, head & 15) {
                (1 | 4, 5) => drop(integer(bytes, &mut at)?),
                (2, 5) => size = Some(integer(bytes, &mut at)?),
                (3, 5) => compressed = Some(integer(bytes, &mut at)?),
                // The header of the dictionary, which begins with the number of its values.
                (7, 12) if *bytes.get(at)? == 0x15 => {
                    at += 1;
                    return Some(Self {
                        size: size?,
                        compressed: compressed?,
                        values: integer(bytes, &mut at)?,
                    });
                }
                _ => return None,
            }
        }
    }
}

/// A whole number that is not negative: seven bits to a byte, the sign in the lowest.
fn integer(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let mut number = 0_u64;
    for shift in (0..35).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return match number & 1 {
                0 => usize::try_from(number >> 1).ok(),
                _ => None,
            };
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::TableReader;
    use std::path::Path;

    /// A field of Thrift's compact protocol: an integer, text, list or struct behind its number.
    fn field(out: &mut Vec<u8>, step: u8, kind: u8) {
        out.push(step << 4 | kind);
    }

    fn number(out: &mut Vec<u8>, number: u64) {
        let mut left = number << 1;
        while left > 127 {
            out.push(left as u8 | 128);
            left >>= 7;
        }
        out.push(left as u8);
    }

    fn numbered(out: &mut Vec<u8>, step: u8, kind: u8, value: u64) {
        field(out, step, kind);
        number(out, value);
    }

    fn text(out: &mut Vec<u8>, step: u8, text: &str) {
        field(out, step, 8);
        out.push(text.len() as u8);
        out.extend(text.as_bytes());
    }

    /// What a file with one column of i64 in one page says of itself.
    struct Said {
        rows: u64,
        /// Bytes of the page.
        size: u64,
        /// Of Parquet: 0 is none, 6 is zstd.
        codec: u64,
        /// Values of a dictionary before the page, of `size` bytes.
        dictionary: Option<u64>,
    }

    /// A file whose headers agree on what it says.
    fn file(said: &Said) -> Vec<u8> {
        let body = [0_u8; 8];
        let mut out = b"PAR1".to_vec();
        if let Some(values) = said.dictionary {
            numbered(&mut out, 1, 5, 2);
            numbered(&mut out, 1, 5, said.size);
            numbered(&mut out, 1, 5, body.len() as u64);
            field(&mut out, 4, 12);
            numbered(&mut out, 1, 5, values);
            numbered(&mut out, 1, 5, 0);
            out.extend([0, 0]);
            out.extend(body);
        }
        let data = out.len() as u64;
        numbered(&mut out, 1, 5, 0);
        numbered(&mut out, 1, 5, said.size);
        numbered(&mut out, 1, 5, body.len() as u64);
        field(&mut out, 2, 12);
        numbered(&mut out, 1, 5, said.rows);
        for encoding in [0, 3, 3] {
            numbered(&mut out, 1, 5, encoding);
        }
        out.extend([0, 0]);
        out.extend(body);
        let bytes = out.len() as u64 - 4;
        let footer = out.len();
        numbered(&mut out, 1, 5, 1);
        // The schema: the root, and a column `n` of required i64.
        out.extend([0x19, 0x2c]);
        text(&mut out, 4, "root");
        numbered(&mut out, 1, 5, 1);
        out.push(0);
        numbered(&mut out, 1, 5, 2);
        numbered(&mut out, 2, 5, 0);
        text(&mut out, 1, "n");
        out.push(0);
        numbered(&mut out, 1, 6, said.rows);
        // One row group with one chunk.
        out.extend([0x19, 0x1c, 0x19, 0x1c]);
        numbered(&mut out, 2, 6, 4);
        field(&mut out, 1, 12);
        numbered(&mut out, 1, 5, 2);
        out.extend([0x19, 0x15, 0, 0x19, 0x18, 1, b'n']);
        numbered(&mut out, 1, 5, said.codec);
        numbered(&mut out, 1, 6, said.rows);
        numbered(&mut out, 1, 6, 2 * said.size);
        numbered(&mut out, 1, 6, bytes);
        numbered(&mut out, 2, 6, data);
        if said.dictionary.is_some() {
            numbered(&mut out, 2, 6, 4);
        }
        out.extend([0, 0]);
        numbered(&mut out, 1, 6, 2 * said.size);
        numbered(&mut out, 1, 6, said.rows);
        out.extend([0, 0]);
        let length = (out.len() - footer) as u32;
        out.extend(length.to_le_bytes());
        out.extend(b"PAR1");
        out
    }

    fn read(path: &Path, said: &Said) -> Result<usize, String> {
        std::fs::write(path, file(said)).unwrap();
        let rows = TableReader::open(path).map_err(|error| error.to_string())?;
        let rows: Result<Vec<_>, _> = rows.collect();
        rows.map(|rows| rows.len())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_that_declares_gigabytes_in_few_bytes_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        let said = |rows, size, codec, dictionary| Said {
            rows,
            size,
            codec,
            dictionary,
        };
        assert_eq!(read(&path, &said(1, 8, 0, None)), Ok(1));
        let refused = |said: &Said, reason: &str| {
            let error = read(&path, said).unwrap_err();
            assert!(error.contains(reason), "{error}");
            assert!(error.contains("t.parquet: "), "{error}");
        };
        let giga = 1 << 30;
        refused(
            &said(giga, 8, 0, None),
            "it declares 1073741824 values in a file of ",
        );
        refused(
            &said(1, giga, 0, None),
            "a page of 1073741824 bytes out of 8",
        );
        refused(
            &said(1, giga, 6, None),
            "a page of 1073741824 bytes out of 8",
        );
        refused(
            &said(1, giga, 6, Some(1)),
            "a page of 1073741824 bytes out of 8",
        );
        refused(
            &said(1, 8, 0, Some(giga)),
            "a dictionary of 1073741824 values in 8 bytes",
        );
    }
}
