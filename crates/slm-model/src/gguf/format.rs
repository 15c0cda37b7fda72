//! The GGUF container, version 3: metadata, the list of tensors, their bytes at multiples of the
//! alignment. Nothing in a file is believed: every length is checked against the file before memory
//! is taken for it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use slm_files::WholeFile;

use super::blocks::BlockType;
use crate::error::{ModelError, Result};

const MAGIC: &[u8; 4] = b"GGUF";
const VERSION: u32 = 3;
const ALIGNMENT: usize = 32;

/// A value of the metadata.
#[derive(Debug, Clone, PartialEq)]
pub enum Metadata {
    /// An unsigned number of 32 bits; also what smaller and larger integers are read as.
    U32(u32),
    /// A signed number of 64 bits, where 32 unsigned ones do not hold it.
    I64(i64),
    /// A number.
    F32(f32),
    /// Yes or no.
    Bool(bool),
    /// A text.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
    /// Whole numbers.
    Integers(Vec<i32>),
    /// Numbers.
    Floats(Vec<f32>),
}

impl Metadata {
    fn write(&self, out: &mut Vec<u8>) {
        fn text(out: &mut Vec<u8>, text: &str) {
            out.extend((text.len() as u64).to_le_bytes());
            out.extend(text.as_bytes());
        }
        fn list(out: &mut Vec<u8>, kind: u32, count: usize) {
            out.extend(9u32.to_le_bytes());
            out.extend(kind.to_le_bytes());
            out.extend((count as u64).to_le_bytes());
        }
        match self {
            Self::U32(value) => {
                out.extend(4u32.to_le_bytes());
                out.extend(value.to_le_bytes());
            }
            Self::I64(value) => {
                out.extend(11u32.to_le_bytes());
                out.extend(value.to_le_bytes());
            }
            Self::F32(value) => {
                out.extend(6u32.to_le_bytes());
                out.extend(value.to_le_bytes());
            }
            Self::Bool(value) => {
                out.extend(7u32.to_le_bytes());
                out.push(u8::from(*value));
            }
            Self::Text(value) => {
                out.extend(8u32.to_le_bytes());
                text(out, value);
            }
            Self::Texts(values) => {
                list(out, 8, values.len());
                values.iter().for_each(|value| text(out, value));
            }
            Self::Integers(values) => {
                list(out, 5, values.len());
                out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
            Self::Floats(values) => {
                list(out, 6, values.len());
                out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
        }
    }
}

/// A tensor to write: its bytes are asked for when it is its turn.
pub(super) struct Planned {
    pub name: String,
    /// Rows first, as everywhere here; GGUF has them the other way round.
    pub shape: Vec<usize>,
    pub kind: BlockType,
}

impl Planned {
    fn bytes(&self) -> usize {
        let count = self.shape.iter().product();
        self.kind.bytes(count).unwrap_or_default()
    }
}

/// Writes a file; `bytes` gives those of each tensor, in order.
///
/// # Errors
/// When the file cannot be written; an older one is left whole.
pub(super) fn write(
    path: &Path,
    metadata: &[(String, Metadata)],
    tensors: &[Planned],
    mut bytes: impl FnMut(&Planned) -> Result<Vec<u8>>,
) -> Result<()> {
    let mut head = Vec::new();
    head.extend(MAGIC);
    head.extend(VERSION.to_le_bytes());
    head.extend((tensors.len() as u64).to_le_bytes());
    head.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        head.extend((key.len() as u64).to_le_bytes());
        head.extend(key.as_bytes());
        value.write(&mut head);
    }
    let mut offset = 0;
    for tensor in tensors {
        head.extend((tensor.name.len() as u64).to_le_bytes());
        head.extend(tensor.name.as_bytes());
        head.extend((tensor.shape.len() as u32).to_le_bytes());
        for size in tensor.shape.iter().rev() {
            head.extend((*size as u64).to_le_bytes());
        }
        head.extend(tensor.kind.id().to_le_bytes());
        head.extend((offset as u64).to_le_bytes());
        offset += tensor.bytes().next_multiple_of(ALIGNMENT);
    }
    head.resize(head.len().next_multiple_of(ALIGNMENT), 0);
    let failed = |error| ModelError::io("write", path, error);
    let mut file = WholeFile::create(path).map_err(failed)?;
    file.write_all(&head).map_err(failed)?;
    for tensor in tensors {
        let mut data = bytes(tensor)?;
        if data.len() != tensor.bytes() {
            let problem = format!("tensor `{}` has {} bytes", tensor.name, data.len());
            return Err(ModelError::invalid(path, problem, "report this"));
        }
        data.resize(data.len().next_multiple_of(ALIGNMENT), 0);
        file.write_all(&data).map_err(failed)?;
    }
    file.commit().map_err(failed)
}

/// Where a tensor lies.
struct Place {
    shape: Vec<usize>,
    kind: BlockType,
    start: usize,
    end: usize,
}

/// A GGUF file, mapped into memory.
pub struct GgufFile {
    path: PathBuf,
    map: Mmap,
    metadata: BTreeMap<String, Metadata>,
    places: BTreeMap<String, Place>,
}

impl GgufFile {
    /// Opens a file.
    ///
    /// # Errors
    /// When it is no GGUF file of version 2 or 3, is truncated, or holds a tensor of a type that is
    /// not known here.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| ModelError::io("read", path, e))?;
        // SAFETY: the map is only read; a file changed under us while mapped is the one hazard,
        // shared by every memory-mapped loader.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| ModelError::io("map", path, e))?;
        let mut reader = Reader {
            path,
            bytes: &map,
            at: 0,
        };
        if reader.take(4)? != MAGIC {
            return Err(reader.refuse("it does not begin with `GGUF`"));
        }
        let version = reader.u32()?;
        if !(2..=VERSION).contains(&version) {
            return Err(reader.refuse(&format!("it is of version {version}; 2 and 3 are read")));
        }
        let (tensors, keys) = (reader.count(24)?, reader.count(12)?);
        let mut metadata = BTreeMap::new();
        for _ in 0..keys {
            let key = reader.text()?;
            let kind = reader.u32()?;
            let value = reader.value(kind, &key)?;
            metadata.insert(key, value);
        }
        let alignment = match metadata.get("general.alignment") {
            Some(Metadata::U32(value)) if value.is_power_of_two() => *value as usize,
            _ => ALIGNMENT,
        };
        let mut listed = Vec::new();
        for _ in 0..tensors {
            listed.push(reader.tensor()?);
        }
        let body = reader.at.next_multiple_of(alignment);
        let mut places = BTreeMap::new();
        for (name, shape, kind, offset) in listed {
            let count = shape
                .iter()
                .try_fold(1usize, |all, size| all.checked_mul(*size));
            let bytes = count.and_then(|count| kind.bytes(count));
            let start = body.checked_add(offset);
            let end = start
                .zip(bytes)
                .and_then(|(start, bytes)| start.checked_add(bytes));
            let (Some(start), Some(end)) = (start, end.filter(|end| *end <= map.len())) else {
                return Err(reader.refuse(&format!("tensor `{name}` lies outside of it")));
            };
            let place = Place {
                shape,
                kind,
                start,
                end,
            };
            if places.insert(name.clone(), place).is_some() {
                return Err(reader.refuse(&format!("tensor `{name}` is there twice")));
            }
        }
        Ok(Self {
            path: path.to_path_buf(),
            metadata,
            places,
            map,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A value of the metadata.
    pub fn get(&self, key: &str) -> Option<&Metadata> {
        self.metadata.get(key)
    }

    /// How many tensors there are.
    pub fn tensors(&self) -> usize {
        self.places.len()
    }

    /// Whether there is a tensor of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Shape (rows first), type and bytes of a tensor.
    pub fn tensor(&self, name: &str) -> Option<(&[usize], BlockType, &[u8])> {
        let place = self.places.get(name)?;
        Some((&place.shape, place.kind, &self.map[place.start..place.end]))
    }
}

/// Reads the head of a file.
struct Reader<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn refuse(&self, problem: &str) -> ModelError {
        ModelError::invalid(
            self.path,
            format!("not a GGUF file that is read here: {problem}"),
            "fetch it again, or convert it to F32, F16, BF16, Q8_0 or Q4_0",
        )
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self
            .at
            .checked_add(count)
            .filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| self.refuse("it is truncated"))?;
        let bytes = &self.bytes[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of things that take at least `least` bytes each.
    fn count(&mut self, least: usize) -> Result<usize> {
        let count = self.u64()?;
        let left = (self.bytes.len() - self.at) / least.max(1);
        match usize::try_from(count) {
            Ok(count) if count <= left => Ok(count),
            _ => Err(self.refuse("it is truncated")),
        }
    }

    fn text(&mut self) -> Result<String> {
        let length = self.count(1)?;
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    /// A whole number of the types 0 to 5, 10 and 11.
    fn integer(&mut self, kind: u32) -> Result<Option<i64>> {
        Ok(Some(match kind {
            0 => self.array::<1>()?[0].into(),
            1 => i8::from_le_bytes(self.array()?).into(),
            2 => u16::from_le_bytes(self.array()?).into(),
            3 => i16::from_le_bytes(self.array()?).into(),
            4 => self.u32()?.into(),
            5 => i32::from_le_bytes(self.array()?).into(),
            10 | 11 => i64::from_le_bytes(self.array()?),
            _ => return Ok(None),
        }))
    }

    fn value(&mut self, kind: u32, key: &str) -> Result<Metadata> {
        if let Some(value) = self.integer(kind)? {
            return Ok(u32::try_from(value).map_or(Metadata::I64(value), Metadata::U32));
        }
        Ok(match kind {
            6 => Metadata::F32(f32::from_le_bytes(self.array()?)),
            12 => Metadata::F32(f64::from_le_bytes(self.array()?) as f32),
            7 => Metadata::Bool(self.array::<1>()?[0] != 0),
            8 => Metadata::Text(self.text()?),
            9 => self.list(key)?,
            _ => return Err(self.refuse(&format!("`{key}` has a value of type {kind}"))),
        })
    }

    fn list(&mut self, key: &str) -> Result<Metadata> {
        let kind = self.u32()?;
        let least = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            _ => 8,
        };
        let count = self.count(least)?;
        Ok(match kind {
            8 => Metadata::Texts((0..count).map(|_| self.text()).collect::<Result<_>>()?),
            6 => Metadata::Floats(
                (0..count)
                    .map(|_| self.array().map(f32::from_le_bytes))
                    .collect::<Result<_>>()?,
            ),
            7 => Metadata::Integers(
                (0..count)
                    .map(|_| Ok(i32::from(self.array::<1>()?[0])))
                    .collect::<Result<_>>()?,
            ),
            0..=5 | 10 | 11 => Metadata::Integers(
                (0..count)
                    .map(|_| Ok(self.integer(kind)?.unwrap_or_default() as i32))
                    .collect::<Result<_>>()?,
            ),
            _ => return Err(self.refuse(&format!("`{key}` is a list of type {kind}"))),
        })
    }

    fn tensor(&mut self) -> Result<(String, Vec<usize>, BlockType, usize)> {
        let name = self.text()?;
        let dimensions = self.u32()?;
        if dimensions > 4 {
            return Err(self.refuse(&format!("tensor `{name}` has {dimensions} dimensions")));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(self.u64()? as usize);
        }
        shape.reverse();
        let id = self.u32()?;
        let kind = BlockType::of_id(id)
            .ok_or_else(|| self.refuse(&format!("tensor `{name}` is packed as type {id}")))?;
        Ok((name, shape, kind, self.u64()? as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(path: &Path) -> Vec<(String, Metadata)> {
        let metadata = vec![
            ("a".to_owned(), Metadata::U32(7)),
            (
                "b".to_owned(),
                Metadata::Texts(vec!["x".into(), "äö".into()]),
            ),
            ("c".to_owned(), Metadata::F32(0.5)),
            ("d".to_owned(), Metadata::Bool(true)),
            ("e".to_owned(), Metadata::Integers(vec![-1, 3])),
            ("f".to_owned(), Metadata::Text("text".into())),
            ("g".to_owned(), Metadata::Floats(vec![1.0, 2.0])),
            ("h".to_owned(), Metadata::I64(-9)),
        ];
        let planned = |name: &str, shape: &[usize], kind| Planned {
            name: name.to_owned(),
            shape: shape.to_vec(),
            kind,
        };
        let tensors = [
            planned("t", &[3, 1], BlockType::F32),
            planned("u", &[2, 32], BlockType::Q8_0),
        ];
        write(path, &metadata, &tensors, |tensor| {
            Ok(vec![tensor.name.as_bytes()[0]; tensor.bytes()])
        })
        .unwrap();
        metadata
    }

    #[test]
    fn what_is_written_is_read() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("m.gguf");
        let metadata = example(&path);
        let file = GgufFile::open(&path).unwrap();
        for (key, value) in &metadata {
            assert_eq!(file.get(key), Some(value));
        }
        let (shape, kind, bytes) = file.tensor("u").unwrap();
        assert_eq!((shape, kind), (&[2, 32][..], BlockType::Q8_0));
        assert_eq!(bytes, [b'u'; 68]);
        assert_eq!(file.tensor("t").unwrap().2, [b't'; 12]);
        assert!(file.contains("t") && !file.contains("v"));
    }

    #[test]
    fn truncated_and_foreign_files_are_refused() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("m.gguf");
        example(&path);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() - 60 {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(GgufFile::open(&path).is_err(), "{length} bytes were taken");
        }
        let mut hostile = whole.clone();
        hostile[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        std::fs::write(&path, &hostile).unwrap();
        assert!(GgufFile::open(&path).is_err());
        std::fs::write(&path, b"PK12345678").unwrap();
        let error = GgufFile::open(&path).err().unwrap().to_string();
        assert!(error.contains("does not begin with `GGUF`"), "{error}");
    }
}
