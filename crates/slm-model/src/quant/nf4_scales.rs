//! The block scales of NF4, themselves in 8 bits ("double quantization", Dettmers et al. 2023).
//!
//! The mean is subtracted, and blocks of 256 scales are divided by their largest magnitude and
//! rounded to the nearest of 256 values of a dynamic (tree-shaped) code, as bitsandbytes does:
//! its CPU kernel looks the value up in a table of 65536 equal steps, and so do we, because close
//! to the middle of two codes that decides. Knows scales; not weights.

use std::sync::OnceLock;

use super::nf4::nearest;

/// Scales that share a nested scale.
pub(super) const NESTED_BLOCK: usize = 256;

/// Quantized scales.
#[derive(Debug, Clone, PartialEq)]
pub struct Nf4Scales {
    codes: Vec<u8>,
    nested: Vec<f32>,
    offset: f32,
}

impl Nf4Scales {
    /// Quantizes finite scales.
    pub(super) fn quantize(scales: &[f32]) -> Self {
        let sum: f64 = scales.iter().map(|scale| *scale as f64).sum();
        let offset = (sum / scales.len().max(1) as f64) as f32;
        let (mut codes, mut nested) = (Vec::with_capacity(scales.len()), Vec::new());
        for block in scales.chunks(NESTED_BLOCK) {
            let largest = |most: f32, scale: &f32| most.max((scale - offset).abs());
            let most = block.iter().fold(0.0, largest);
            nested.push(most);
            let inverse = if most > 0.0 { 1.0 / most } else { 0.0 };
            let coded = |scale: &f32| nearest(code(), on_grid((scale - offset) * inverse)) as u8;
            codes.extend(block.iter().map(coded));
        }
        Self {
            codes,
            nested,
            offset,
        }
    }

    /// Takes over what another program quantized.
    ///
    /// # Panics
    /// When there is not one nested scale to each 256 codes.
    pub fn from_parts(codes: Vec<u8>, nested: Vec<f32>, offset: f32) -> Self {
        assert_eq!(
            nested.len(),
            codes.len().div_ceil(NESTED_BLOCK),
            "nested scales"
        );
        Self {
            codes,
            nested,
            offset,
        }
    }

    /// The scale of a block.
    pub fn get(&self, block: usize) -> f32 {
        code()[self.codes[block] as usize] * self.nested[block / NESTED_BLOCK] + self.offset
    }

    /// The code of each scale.
    pub fn codes(&self) -> &[u8] {
        &self.codes
    }

    /// The largest magnitude of each block of scales, the mean subtracted.
    pub fn nested(&self) -> &[f32] {
        &self.nested
    }

    /// The mean that was subtracted.
    pub fn offset(&self) -> f32 {
        self.offset
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.codes.len() + 4 * self.nested.len() + 4
    }
}

/// The nearest of 65536 equal steps of -1..1.
fn on_grid(value: f32) -> f32 {
    const STEPS: f32 = 65535.0;
    let step = ((value.clamp(-1.0, 1.0) + 1.0) * 0.5 * STEPS + 0.5).trunc();
    step * (2.0 / STEPS) - 1.0
}

/// bitsandbytes' signed dynamic map of 8 bits: for each power of ten from 1e-6 to 1, the middles
/// of `2^i` equal steps of 0.1..1, in both signs; 0 and 1 beside them (Dettmers 2016).
pub(super) fn code() -> &'static [f32] {
    static TABLE: OnceLock<Vec<f32>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = vec![0.0, 1.0];
        for i in 0..7 {
            let power = 10f64.powi(i - 6) as f32;
            let bounds = steps(1 << i);
            for pair in bounds.windows(2) {
                let middle = (pair[0] + pair[1]) / 2.0;
                table.extend([power * middle, -power * middle]);
            }
        }
        table.sort_by(f32::total_cmp);
        table
    })
}

/// `count` equal steps from 0.1 to 1, counted from the nearer end, each rounded once, as torch's
/// `linspace` does.
fn steps(count: usize) -> Vec<f32> {
    let step = (1.0f32 - 0.1) / count as f32;
    let bound = |i: usize| match i < count.div_ceil(2) {
        true => step.mul_add(i as f32, 0.1),
        false => (-step).mul_add((count - i) as f32, 1.0),
    };
    (0..=count).map(bound).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::checkpoint::Checkpoint;

    #[test]
    fn the_code_is_that_of_bitsandbytes() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/nf4/nf4.safetensors");
        let file = Checkpoint::open_file(&path).unwrap();
        let expected = file.read("dq_nested_code", &[256]).unwrap();
        assert_eq!(code(), expected);
    }

    #[test]
    fn equal_scales_come_back_as_they_were() {
        let scales = Nf4Scales::quantize(&[0.25; 300]);
        assert!((0..300).all(|block| scales.get(block) == 0.25));
        assert_eq!(scales.nested().len(), 2);
    }
}
