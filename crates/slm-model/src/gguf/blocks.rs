//! How GGUF packs numbers. Q8_0: a scale in half precision and 32 codes of 8 bits. Q4_0: a scale
//! and 16 bytes, byte `j` with element `j` in its low and `j + 16` in its high nibble, stored as
//! code + 8 (ggml-quants.c).

use half::{bf16, f16};

use crate::error::{ModelError, Result};
use crate::quant::{Bits, QuantizedMatrix};

/// Elements of a block.
const BLOCK: usize = 32;

/// How the numbers of a tensor are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockType {
    /// 32-bit floats.
    F32,
    /// Half precision.
    F16,
    /// bfloat16.
    Bf16,
    /// 4 bits in blocks of 32.
    Q4_0,
    /// 8 bits in blocks of 32.
    Q8_0,
}

impl BlockType {
    /// Its number in a GGUF file.
    pub fn id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q8_0 => 8,
            Self::Bf16 => 30,
        }
    }

    /// The type of that number.
    pub fn of_id(id: u32) -> Option<Self> {
        let all = [Self::F32, Self::F16, Self::Bf16, Self::Q4_0, Self::Q8_0];
        all.into_iter().find(|kind| kind.id() == id)
    }

    /// Numbers of a block, and its bytes.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Q4_0 => (BLOCK, 18),
            Self::Q8_0 => (BLOCK, 34),
        }
    }

    /// Bytes of `count` numbers; none when they do not fill whole blocks.
    pub fn bytes(self, count: usize) -> Option<usize> {
        let (numbers, bytes) = self.block();
        count
            .is_multiple_of(numbers)
            .then(|| (count / numbers).checked_mul(bytes))?
    }
}

/// Packs numbers as llama.cpp's reference does.
///
/// # Errors
/// When they do not fill whole blocks.
pub fn quantize(values: &[f32], kind: BlockType) -> Result<Vec<u8>> {
    if kind.bytes(values.len()).is_none() {
        let problem = format!("{} numbers do not fill blocks of {BLOCK}", values.len());
        return Err(ModelError::setting(problem, "keep them in half precision"));
    }
    Ok(match kind {
        BlockType::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        BlockType::F16 => values
            .iter()
            .flat_map(|v| f16::from_f32(*v).to_le_bytes())
            .collect(),
        BlockType::Bf16 => values
            .iter()
            .flat_map(|v| bf16::from_f32(*v).to_le_bytes())
            .collect(),
        BlockType::Q8_0 => values.as_chunks::<BLOCK>().0.iter().flat_map(q8).collect(),
        BlockType::Q4_0 => values.as_chunks::<BLOCK>().0.iter().flat_map(q4).collect(),
    })
}

fn q8(values: &[f32; BLOCK]) -> [u8; 34] {
    let largest = values.iter().fold(0.0f32, |most, v| most.max(v.abs()));
    let scale = largest / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    // `round` takes halves away from zero, as C's does.
    pack8(scale, values.map(|v| (v * inverse).round() as i8))
}

fn q4(values: &[f32; BLOCK]) -> [u8; 18] {
    let larger = |a: f32, b: f32| if b.abs() > a.abs() { b } else { a };
    let largest = values.iter().copied().fold(0.0f32, larger);
    let scale = largest / -8.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    pack4(
        scale,
        values.map(|v| ((v * inverse + 8.5) as u8).min(15) as i8 - 8),
    )
}

fn pack8(scale: f32, codes: [i8; BLOCK]) -> [u8; 34] {
    let mut block = [0; 34];
    block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    for (byte, code) in block[2..].iter_mut().zip(codes) {
        *byte = code as u8;
    }
    block
}

fn pack4(scale: f32, codes: [i8; BLOCK]) -> [u8; 18] {
    let mut block = [0; 18];
    block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    let stored = codes.map(|code| (code + 8) as u8);
    for (j, byte) in block[2..].iter_mut().enumerate() {
        *byte = stored[j] | stored[j + BLOCK / 2] << 4;
    }
    block
}

/// The blocks of a matrix that is quantized already, its codes as they are; none when they do not
/// fit `kind`.
pub(super) fn of_quantized(matrix: &QuantizedMatrix, kind: BlockType) -> Option<Vec<u8>> {
    let fits = matches!(
        (matrix.bits(), kind),
        (Bits::Int4, BlockType::Q4_0) | (_, BlockType::Q8_0)
    );
    let columns = matrix.columns();
    let width = matrix.format().group.width(columns);
    let aligned = width.is_multiple_of(BLOCK) || width == columns;
    if !fits || !aligned || !columns.is_multiple_of(BLOCK) {
        return None;
    }
    let mut bytes = Vec::new();
    for (number, codes) in matrix.codes().as_chunks::<BLOCK>().0.iter().enumerate() {
        let place = number * BLOCK;
        let scale = matrix.scale(place / columns, place % columns);
        match kind {
            BlockType::Q4_0 => bytes.extend(pack4(scale, *codes)),
            _ => bytes.extend(pack8(scale, *codes)),
        }
    }
    Some(bytes)
}

/// The codes and scales of Q8_0 or Q4_0 blocks, in order; none for other types.
pub(super) fn codes(bytes: &[u8], kind: BlockType) -> Option<(Bits, Vec<i8>, Vec<f32>)> {
    let scale = |block: &[u8]| f16::from_le_bytes([block[0], block[1]]).to_f32();
    let blocks = bytes.chunks_exact(kind.block().1);
    let scales = blocks.clone().map(scale).collect();
    match kind {
        BlockType::Q8_0 => {
            let codes = blocks.flat_map(|block| block[2..].iter().map(|byte| *byte as i8));
            Some((Bits::Int8, codes.collect(), scales))
        }
        BlockType::Q4_0 => {
            let code = |nibble: u8| nibble as i8 - 8;
            let codes = blocks.flat_map(|block| {
                let low = block[2..].iter().map(move |byte| code(byte & 15));
                low.chain(block[2..].iter().map(move |byte| code(byte >> 4)))
            });
            Some((Bits::Int4, codes.collect(), scales))
        }
        _ => None,
    }
}

/// The numbers of packed bytes.
pub fn dequantize(bytes: &[u8], kind: BlockType) -> Vec<f32> {
    if let Some((_, codes, scales)) = codes(bytes, kind) {
        let blocks = codes.chunks(BLOCK).zip(scales);
        return blocks
            .flat_map(|(codes, scale)| codes.iter().map(move |code| f32::from(*code) * scale))
            .collect();
    }
    let pairs = || bytes.as_chunks::<2>().0.iter();
    match kind {
        BlockType::F32 => {
            let words = bytes.as_chunks::<4>().0.iter();
            words.map(|bytes| f32::from_le_bytes(*bytes)).collect()
        }
        BlockType::Bf16 => pairs().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        _ => pairs().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;

    #[test]
    fn blocks_are_those_of_the_gguf_package() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/gguf_blocks.safetensors");
        let file = Checkpoint::open_file(&path).unwrap();
        let (_, _, shape) = file.raw("weight").unwrap();
        let weight = file.read("weight", shape).unwrap();
        for (name, kind) in [("Q8_0", BlockType::Q8_0), ("Q4_0", BlockType::Q4_0)] {
            let (expected, _, _) = file.raw(&format!("{name}_bytes")).unwrap();
            let bytes = quantize(&weight, kind).unwrap();
            assert!(bytes == expected, "{name}: other bytes");
            let values = file.read(&format!("{name}_dequantized"), shape).unwrap();
            assert_eq!(dequantize(&bytes, kind), values, "{name}");
        }
    }

    #[test]
    fn codes_of_a_quantized_matrix_stay_as_they_are() {
        let values: Vec<f32> = (0..4 * 64).map(|i| (i as f32 * 0.7).sin()).collect();
        for (bits, kind) in [(Bits::Int8, BlockType::Q8_0), (Bits::Int4, BlockType::Q4_0)] {
            let matrix = QuantizedMatrix::quantize(&values, 4, 64, bits).unwrap();
            let bytes = of_quantized(&matrix, kind).unwrap();
            assert_eq!(dequantize(&bytes, kind), matrix.dequantize());
            let (found, codes, _) = codes(&bytes, kind).unwrap();
            assert_eq!((found, codes.as_slice()), (bits, matrix.codes()));
        }
        let matrix = QuantizedMatrix::quantize(&values, 8, 32, Bits::Int8).unwrap();
        assert_eq!(of_quantized(&matrix, BlockType::Q4_0), None);
        assert!(quantize(&values[..33], BlockType::Q8_0).is_err());
    }
}
