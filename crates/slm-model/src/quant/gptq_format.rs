//! Weights as GPTQ checkpoints have them: codes packed along the inputs, with zero points.
//!
//! `qweight` I32 [inputs / per word, outputs], `qzeros` I32 [groups, outputs / per word] (one less
//! than the zero point, except in version 2), `scales` F16 [groups, outputs], `g_idx` I32 [inputs].
//! `value = (code - zero) * scale`. Knows the tensors of one weight; not folders.

use std::path::Path;

use half::f16;
use safetensors::Dtype;
use serde_json::{Value, json};

use super::GROUP;
use super::compressed::StoredWeight;
use super::matrix::{Bits, Format, Group, QuantizedMatrix, ScaleType};
use crate::checkpoint::Checkpoint;
use crate::error::{ModelError, Result};

/// What `quantization_config` says of a GPTQ checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GptqSettings {
    bits: Bits,
    /// Inputs that share a scale; none where all do.
    group: Option<usize>,
    /// What is added to a stored zero point.
    zero_offset: i32,
}

impl GptqSettings {
    /// Reads the settings; `refuse` makes the error for a key, its value and what is supported.
    pub(super) fn read(
        value: &Value,
        refuse: &dyn Fn(&str, &Value, &str) -> ModelError,
    ) -> Result<Self> {
        let bits = match value["bits"].as_u64() {
            Some(4) => Bits::Int4,
            Some(8) => Bits::Int8,
            _ => return Err(refuse("bits", &value["bits"], "4, 8")),
        };
        let group = match value["group_size"].as_i64() {
            Some(-1) => None,
            Some(size) if size > 0 => Some(size as usize),
            _ => {
                return Err(refuse(
                    "group_size",
                    &value["group_size"],
                    "-1, or a number above 0",
                ));
            }
        };
        let format = &value["checkpoint_format"];
        let zero_offset = match format.as_str() {
            Some("gptq_v2") => 0,
            Some("gptq") => 1,
            None if format.is_null() => 1,
            _ => return Err(refuse("checkpoint_format", format, "gptq, gptq_v2")),
        };
        if value["lm_head"] == json!(true) {
            return Err(refuse("lm_head", &value["lm_head"], "false"));
        }
        Ok(Self {
            bits,
            group,
            zero_offset,
        })
    }

    /// The format of its weights where they are symmetric.
    pub(super) fn format(&self) -> Format {
        let bits = self.bits;
        let group = self.group.map_or(Group::Channel, Group::Columns);
        Format { bits, group }
    }
}

/// Reads the weight of `module`, [rows, columns]. Codes without their zero points that fit 4 or 8
/// bits stay codes; with larger ones, or where the inputs of a group do not lie together, the
/// weight is given in floats.
///
/// # Errors
/// When a tensor is missing or has another shape or number format.
pub(super) fn read(
    checkpoint: &Checkpoint,
    dir: &Path,
    module: &str,
    rows: usize,
    columns: usize,
    settings: &GptqSettings,
) -> Result<StoredWeight> {
    let per_word = 32 / settings.bits.width();
    let width = settings.group.unwrap_or(columns);
    let groups = columns.div_ceil(width);
    let damaged = |problem: String| {
        ModelError::invalid(
            dir,
            problem,
            "the weights do not belong to this config.json",
        )
    };
    let tensor = |suffix: &str, dtype: Dtype, shape: &[usize]| {
        let name = format!("{module}.{suffix}");
        match checkpoint.raw(&name) {
            Some((bytes, found, size)) if found == dtype && size == shape => Ok(bytes),
            Some((_, found, size)) => Err(damaged(format!(
                "tensor `{name}` is {found:?} {size:?}, not {dtype:?} {shape:?}"
            ))),
            None => Err(damaged(format!("tensor `{name}` is missing"))),
        }
    };
    let words = [columns.div_ceil(per_word), rows];
    let codes = Packed::new(tensor("qweight", Dtype::I32, &words)?, settings.bits);
    let zeros = [groups, rows.div_ceil(per_word)];
    let zeros = Packed::new(tensor("qzeros", Dtype::I32, &zeros)?, settings.bits);
    let scales = tensor("scales", Dtype::F16, &[groups, rows])?;
    let scales = scales.as_chunks::<2>().0;
    let places = match checkpoint.contains(&format!("{module}.g_idx")) {
        true => integers(tensor("g_idx", Dtype::I32, &[columns])?),
        false => (0..columns).map(|column| (column / width) as i32).collect(),
    };
    if let Some(place) = places
        .iter()
        .find(|place| !(0..groups as i32).contains(place))
    {
        let problem = format!("tensor `{module}.g_idx` names group {place} of {groups}");
        return Err(damaged(problem));
    }
    let scale = |row: usize, group: usize| f16::from_le_bytes(scales[group * rows + row]).to_f32();
    let code = |row: usize, column: usize| {
        let group = places[column] as usize;
        let word = codes.words[column / per_word * rows + row];
        let zero_word = zeros.words[group * rows.div_ceil(per_word) + row / per_word];
        codes.code(word, column % per_word)
            - zeros.code(zero_word, row % per_word)
            - settings.zero_offset
    };
    let all = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    let values: Vec<i32> = all.map(|(row, column)| code(row, column)).collect();
    let in_order = (0..columns).all(|column| places[column] as usize == column / width);
    let fits = |half: i32| values.iter().all(|value| (-half..half).contains(value));
    let bits = [Bits::Int4, Bits::Int8]
        .into_iter()
        .find(|bits| fits(bits.half()));
    let grouped = width.is_multiple_of(GROUP) || settings.group.is_none() || groups == 1;
    let (true, true, Some(bits)) = (in_order, grouped, bits) else {
        let floats = values.iter().enumerate().map(|(place, value)| {
            let (row, column) = (place / columns, place % columns);
            *value as f32 * scale(row, places[column] as usize)
        });
        return Ok(StoredWeight::Floats(floats.collect()));
    };
    let format = Format {
        bits,
        group: match groups {
            1 => Group::Channel,
            _ => Group::Columns(width),
        },
    };
    let codes = values.iter().map(|value| *value as i8).collect();
    let scales = (0..rows * groups).map(|place| scale(place / groups, place % groups));
    let scales = scales.collect();
    QuantizedMatrix::from_parts(rows, columns, format, codes, scales, ScaleType::F16)
        .map(StoredWeight::Packed)
}

/// Words of several codes.
struct Packed {
    words: Vec<i32>,
    width: usize,
}

impl Packed {
    fn new(bytes: &[u8], bits: Bits) -> Self {
        Self {
            words: integers(bytes),
            width: bits.width(),
        }
    }

    fn code(&self, word: i32, place: usize) -> i32 {
        (word >> (place * self.width)) & ((1 << self.width) - 1)
    }
}

fn integers(bytes: &[u8]) -> Vec<i32> {
    let words = bytes.as_chunks::<4>().0.iter();
    words.map(|bytes| i32::from_le_bytes(*bytes)).collect()
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;
    use crate::checkpoint::write_views;

    const ROWS: usize = 8;
    const COLUMNS: usize = 64;

    /// Packs codes 0..16 of [COLUMNS, ROWS] and zero points of [groups, ROWS] as GPTQ does.
    fn written(dir: &Path, code: &dyn Fn(usize, usize) -> u32, zero: u32, order: &[i32]) {
        let groups = 2;
        let mut qweight = vec![0u32; COLUMNS / 8 * ROWS];
        for column in 0..COLUMNS {
            for row in 0..ROWS {
                qweight[column / 8 * ROWS + row] |= code(row, column) << (column % 8 * 4);
            }
        }
        let stored = (0..8).fold(0u32, |word, i| word | (zero - 1) << (i * 4));
        let bytes =
            |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_le_bytes()).collect() };
        let scales: Vec<u8> = (0..groups * ROWS)
            .flat_map(|i| f16::from_f32(0.01 * (i + 1) as f32).to_le_bytes())
            .collect();
        let order: Vec<u8> = order.iter().flat_map(|i| i.to_le_bytes()).collect();
        let (qweight, qzeros) = (bytes(&qweight), bytes(&vec![stored; groups]));
        let view = |name: &str, dtype, shape: Vec<usize>, data| {
            (
                format!("m.{name}"),
                TensorView::new(dtype, shape, data).unwrap(),
            )
        };
        let views = vec![
            view("qweight", Dtype::I32, vec![COLUMNS / 8, ROWS], &qweight[..]),
            view("qzeros", Dtype::I32, vec![groups, 1], &qzeros[..]),
            view("scales", Dtype::F16, vec![groups, ROWS], &scales[..]),
            view("g_idx", Dtype::I32, vec![COLUMNS], &order[..]),
        ];
        write_views(&dir.join("model.safetensors"), views).unwrap();
    }

    #[test]
    fn codes_zero_points_and_orders_are_read() {
        let room = tempfile::tempdir().unwrap();
        let settings = GptqSettings {
            bits: Bits::Int4,
            group: Some(32),
            zero_offset: 1,
        };
        let code = |row: usize, column: usize| ((row * 7 + column * 3) % 16) as u32;
        let plain: Vec<i32> = (0..64).map(|i| i / 32).collect();
        let mixed: Vec<i32> = (0..64).map(|i| i % 2).collect();
        let cases = [
            (8, &plain, Some(Bits::Int4)),
            (3, &plain, Some(Bits::Int8)),
            (8, &mixed, None),
        ];
        for (zero, order, bits) in cases {
            written(room.path(), &code, zero, order);
            let checkpoint = Checkpoint::open(room.path()).unwrap();
            let read = read(&checkpoint, room.path(), "m", ROWS, COLUMNS, &settings).unwrap();
            match (&read, bits) {
                (StoredWeight::Packed(matrix), Some(bits)) => assert_eq!(matrix.bits(), bits),
                (StoredWeight::Floats(_), None) => {}
                _ => panic!("zero point {zero} was read in another way"),
            }
            for (place, value) in read.values().iter().enumerate() {
                let (row, column) = (place / COLUMNS, place % COLUMNS);
                let group = order[column] as usize;
                let scale = f16::from_f32(0.01 * (group * ROWS + row + 1) as f32).to_f32();
                let expected = (code(row, column) as i32 - zero as i32) as f32 * scale;
                assert_eq!(*value, expected, "row {row}, column {column}");
            }
        }
    }
}
