//! 4-bit NormalFloat (NF4) with double quantization, as bitsandbytes packs it for QLoRA
//! (Dettmers et al. 2023).
//!
//! Blocks of 64 run along the flattened weight, across rows; a byte holds two codes, the first
//! element in the high nibble. With the quantized block scales a weight takes 4.13 bits. Knows
//! numbers; not files, not products.

use rayon::prelude::*;

use super::nf4_scales::Nf4Scales;
use crate::error::{ModelError, Result};

/// Elements that share a scale.
pub const BLOCK: usize = 64;

/// The 16 values of the code: quantiles of a standard normal, scaled to -1..1.
pub const CODE: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// Both values of each byte, so that a byte is unpacked by one look-up.
static PAIRS: [[f32; 2]; 256] = pairs();

const fn pairs() -> [[f32; 2]; 256] {
    let mut table = [[0.0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [CODE[byte >> 4], CODE[byte & 15]];
        byte += 1;
    }
    table
}

/// Numbers in NF4.
#[derive(Debug, Clone, PartialEq)]
pub struct Nf4 {
    count: usize,
    packed: Vec<u8>,
    scales: Nf4Scales,
}

impl Nf4 {
    /// Packs numbers: each block is divided by its largest magnitude and rounded to the nearest
    /// code, the lower one where two are equally near.
    ///
    /// # Errors
    /// When a number is not finite.
    pub fn quantize(values: &[f32]) -> Result<Self> {
        let blocks: Vec<(f32, Vec<u8>)> = values.par_chunks(BLOCK).map(pack_block).collect();
        let scales: Vec<f32> = blocks.iter().map(|(scale, _)| *scale).collect();
        if scales.iter().any(|scale| !scale.is_finite()) {
            return Err(ModelError::setting(
                "a weight is not finite and cannot be quantized",
                "the checkpoint is damaged, or its training diverged",
            ));
        }
        let packed = blocks
            .iter()
            .flat_map(|(_, bytes)| bytes)
            .copied()
            .collect();
        Ok(Self {
            count: values.len(),
            packed,
            scales: Nf4Scales::quantize(&scales),
        })
    }

    /// Takes over what another program packed.
    ///
    /// # Panics
    /// When codes or scales are not as many as `count` numbers have.
    pub fn from_parts(count: usize, packed: Vec<u8>, scales: Nf4Scales) -> Self {
        assert_eq!(packed.len(), count.div_ceil(2), "codes of {count} numbers");
        assert_eq!(
            scales.codes().len(),
            count.div_ceil(BLOCK),
            "scales of {count} numbers"
        );
        Self {
            count,
            packed,
            scales,
        }
    }

    /// The code of a number, from 0 to 15.
    pub(super) fn code(&self, at: usize) -> u8 {
        self.packed[at / 2] >> (4 * (1 - at % 2)) & 15
    }

    /// All numbers.
    pub fn values(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.count];
        self.read(0, &mut values);
        values
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.packed.len() + self.scales.bytes()
    }

    /// The packed codes, two to a byte, the first in the high nibble.
    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// The quantized scales of the blocks.
    pub fn scales(&self) -> &Nf4Scales {
        &self.scales
    }

    /// Unpacks the numbers from `start` on into `out`, on the calling thread.
    ///
    /// # Panics
    /// When `out` reaches beyond the last number.
    pub fn read(&self, start: usize, out: &mut [f32]) {
        assert!(start + out.len() <= self.count, "NF4 read out of bounds");
        let (mut at, mut rest) = (start, out);
        while !rest.is_empty() {
            let block = at / BLOCK;
            let here = rest.len().min((block + 1) * BLOCK - at);
            let (now, later) = rest.split_at_mut(here);
            self.unpack(at, self.scales.get(block), now);
            (at, rest) = (at + here, later);
        }
    }

    /// Unpacks numbers of one block.
    fn unpack(&self, at: usize, scale: f32, out: &mut [f32]) {
        let odd = (at % 2).min(out.len());
        let (first, rest) = out.split_at_mut(odd);
        if let Some(first) = first.first_mut() {
            *first = PAIRS[self.packed[at / 2] as usize][1] * scale;
        }
        let bytes = &self.packed[(at + odd) / 2..];
        let (twos, last) = rest.split_at_mut(rest.len() / 2 * 2);
        for (two, byte) in twos.chunks_exact_mut(2).zip(bytes) {
            let [high, low] = PAIRS[*byte as usize];
            two[0] = high * scale;
            two[1] = low * scale;
        }
        if let Some(last) = last.first_mut() {
            *last = PAIRS[bytes[twos.len() / 2] as usize][0] * scale;
        }
    }
}

/// Scale and packed codes of one block.
fn pack_block(values: &[f32]) -> (f32, Vec<u8>) {
    // `max` passes over what is not a number, which must be seen here.
    let scale = match values.iter().all(|value| value.is_finite()) {
        true => values
            .iter()
            .fold(0.0, |most: f32, value| most.max(value.abs())),
        false => f32::NAN,
    };
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    let code = |value: &f32| nearest(&CODE, (value * inverse).clamp(-1.0, 1.0)) as u8;
    let byte = |two: &[f32]| code(&two[0]) << 4 | two.get(1).map_or(0, code);
    (scale, values.chunks(2).map(byte).collect())
}

/// Index of the entry of a rising `table` that is nearest to `value`, the lower of two.
pub(super) fn nearest(table: &[f32], value: f32) -> usize {
    let above = table.partition_point(|entry| *entry < value);
    if above == 0 {
        return 0;
    }
    if above == table.len() || (value - table[above - 1]).abs() <= (table[above] - value).abs() {
        return above - 1;
    }
    above
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::checkpoint::Checkpoint;

    /// What bitsandbytes computed: see `shared/reference/make_nf4.py`.
    fn reference() -> Checkpoint {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/nf4/nf4.safetensors");
        Checkpoint::open_file(&path).unwrap()
    }

    fn floats(file: &Checkpoint, name: &str) -> Vec<f32> {
        let shape = file.raw(name).unwrap().2.to_vec();
        file.read(name, &shape).unwrap()
    }

    #[test]
    fn codes_scales_and_values_are_those_of_bitsandbytes() {
        let file = reference();
        assert_eq!(floats(&file, "code"), CODE);
        let nf4 = Nf4::quantize(&floats(&file, "weight")).unwrap();
        assert_eq!(nf4.packed(), file.raw("packed").unwrap().0);
        assert_eq!(nf4.packed(), file.raw("dq_packed").unwrap().0);
        assert_eq!(nf4.scales().codes(), file.raw("dq_absmax_u8").unwrap().0);
        assert_eq!(nf4.scales().nested(), floats(&file, "dq_nested_absmax"));
        assert_eq!(nf4.scales().offset(), floats(&file, "dq_offset")[0]);
        assert_eq!(nf4.values(), floats(&file, "dq_dequantized"));
    }

    #[test]
    fn any_piece_reads_as_the_whole_does() {
        let values: Vec<f32> = (0..1001)
            .map(|i| ((i * 37 % 101) as f32 - 50.0) / 30.0)
            .collect();
        let nf4 = Nf4::quantize(&values).unwrap();
        let whole = nf4.values();
        for (start, length) in [
            (0, 1),
            (1, 1),
            (63, 3),
            (5, 200),
            (999, 2),
            (64, 64),
            (1001, 0),
        ] {
            let mut piece = vec![0.0; length];
            nf4.read(start, &mut piece);
            assert_eq!(piece, whole[start..start + length], "from {start}");
        }
    }

    #[test]
    fn nothing_and_zeros_and_what_is_not_finite() {
        assert!(Nf4::quantize(&[]).unwrap().is_empty());
        assert_eq!(Nf4::quantize(&[0.0; 70]).unwrap().values(), [0.0; 70]);
        for bad in [f32::NAN, f32::INFINITY] {
            assert!(Nf4::quantize(&[1.0, bad, 2.0]).is_err());
        }
    }

    #[test]
    fn a_weight_takes_about_4_1_bits() {
        let count = 1 << 20;
        let values: Vec<f32> = (0..count).map(|i| (i as f32 * 0.7).sin()).collect();
        let bits = Nf4::quantize(&values).unwrap().bytes() as f64 * 8.0 / count as f64;
        assert!((4.12..4.14).contains(&bits), "{bits}");
    }
}
