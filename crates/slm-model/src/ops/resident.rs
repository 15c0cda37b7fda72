//! Packed matrices on a device: codes and scales are sent there once, and widened there inside each
//! product by the backend's own operations, so that neither the device nor the way to it ever
//! carries the whole in floats. For backends without host kernels. Does not know products.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

use burn::tensor::{ElementConversion, Int, Tensor, TensorData};

use super::DecoderBackend;
use crate::quant::frozen::{FrozenMatrix, Pieces};
use crate::quant::nf4::CODE;

/// What of a matrix lies on a device: at most one copy, of one backend. It is no part of the
/// matrix's value.
#[derive(Default)]
pub struct Resident(OnceLock<Arc<dyn Any + Send + Sync>>);

impl Clone for Resident {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Resident {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Resident {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = self.0.get().is_some();
        formatter.debug_tuple("Resident").field(&there).finish()
    }
}

/// A matrix as it lies on a device.
struct Copy<B: DecoderBackend> {
    device: B::Device,
    held: Held<B>,
}

enum Held<B: DecoderBackend> {
    /// Floats in the format that they are multiplied in.
    Floats(Tensor<B, 2>),
    Codes {
        /// Codes, several to a word of 32 bits, the first in the lowest bits.
        words: Tensor<B, 2, Int>,
        /// How far a word is shifted for each of its codes.
        shifts: Tensor<B, 2, Int>,
        mask: i32,
        value: Value<B>,
        /// [lines, groups], each for `width` codes of a line, the last for fewer.
        scales: Tensor<B, 2>,
        width: usize,
        /// Codes of a line.
        line: usize,
    },
}

enum Value<B: DecoderBackend> {
    /// The code less this number.
    Less(i32),
    /// The code's entry in a table.
    Of(Tensor<B, 1>),
}

/// The whole matrix on a device, in the format that it is multiplied in there.
pub(super) fn widened<B: DecoderBackend>(w: &FrozenMatrix, device: &B::Device) -> Tensor<B, 2> {
    let fresh = || -> Arc<dyn Any + Send + Sync> {
        Arc::new(Copy::<B> {
            device: device.clone(),
            held: held(w, device),
        })
    };
    let known = w.resident().0.get_or_init(fresh);
    let wide = match known.downcast_ref::<Copy<B>>() {
        Some(copy) if copy.device == *device => wide(&copy.held),
        // Another backend or device was there first; this one is not remembered.
        _ => wide(&held(w, device)),
    };
    wide.reshape(w.shape())
}

fn held<B: DecoderBackend>(w: &FrozenMatrix, device: &B::Device) -> Held<B> {
    let (codes, bits, value, scales, width, line) = match w.pieces() {
        Pieces::Floats(values) => {
            let values = Tensor::from_data(TensorData::new(values, w.shape()), device);
            return Held::Floats(narrowed(values));
        }
        Pieces::Nf4 { codes, scales } => {
            let table = Tensor::from_data(TensorData::new(CODE.to_vec(), [CODE.len()]), device);
            let count = codes.len();
            (
                codes,
                4,
                Value::Of(table),
                scales,
                crate::quant::nf4::BLOCK,
                count,
            )
        }
        Pieces::Integers {
            codes,
            bits,
            scales,
            width,
        } => {
            let half = 1 << (bits - 1);
            (codes, bits, Value::Less(half), scales, width, w.shape()[1])
        }
    };
    let per_word = 32 / bits;
    let word = |codes: &[u8]| {
        let placed = codes.iter().enumerate();
        let word = placed.fold(0u32, |word, (at, code)| {
            word | u32::from(*code) << (at * bits)
        });
        word.cast_signed()
    };
    let words: Vec<i32> = codes.chunks(per_word).map(word).collect();
    let shifts: Vec<i32> = (0..per_word).map(|at| (at * bits) as i32).collect();
    let groups = line.div_ceil(width);
    let scales_shape = [scales.len() / groups.max(1), groups];
    let ints = |values: Vec<i32>, shape: [usize; 2]| {
        Tensor::<B, 2, Int>::from_data(TensorData::new(values, shape), device)
    };
    let count = words.len();
    Held::Codes {
        words: ints(words, [count, 1]),
        shifts: ints(shifts, [1, per_word]),
        mask: (1 << bits) - 1,
        value,
        scales: Tensor::from_data(TensorData::new(scales, scales_shape), device),
        width,
        line,
    }
}

/// The values, [lines, codes of a line].
fn wide<B: DecoderBackend>(held: &Held<B>) -> Tensor<B, 2> {
    let (words, shifts, mask, value, scales, width, line) = match held {
        Held::Floats(values) => return values.clone(),
        Held::Codes {
            words,
            shifts,
            mask,
            value,
            scales,
            width,
            line,
        } => (words, shifts, *mask, value, scales, *width, *line),
    };
    let shape = [words.dims()[0], shifts.dims()[1]];
    let [lines, groups] = scales.dims();
    let shifted = words
        .clone()
        .expand(shape)
        .bitwise_right_shift(shifts.clone().expand(shape));
    // The last word may have room for more codes than there are.
    let codes = shifted
        .bitwise_and_scalar(mask.elem())
        .reshape([shape[0] * shape[1]]);
    let codes = codes.slice(0..lines * line);
    let values: Tensor<B, 1> = match value {
        Value::Less(half) => codes.sub_scalar(*half).float(),
        Value::Of(table) => table.clone().select(0, codes),
    };
    let each = scales
        .clone()
        .reshape([lines, groups, 1])
        .expand([lines, groups, width]);
    let each = each
        .reshape([lines, groups * width])
        .slice([0..lines, 0..line]);
    narrowed(values.reshape([lines, line]) * each)
}

/// In the format that the backend multiplies in.
fn narrowed<B: DecoderBackend>(values: Tensor<B, 2>) -> Tensor<B, 2> {
    match B::NARROW {
        None => values,
        Some(narrow) => values.cast(narrow),
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::{Flex, NdArray};

    use super::*;
    use crate::kernels::testing::random;
    use crate::quant::{Bits, Format, Group, Method, QuantizedMatrix};

    fn same<B: DecoderBackend>(w: &FrozenMatrix) {
        let device = Default::default();
        let expected = w.dequantize();
        // Once as it is sent there, once as it lies there.
        for _ in 0..2 {
            let found = widened::<B>(w, &device);
            assert_eq!(found.dims(), w.shape());
            assert_eq!(found.into_data().to_vec::<f32>().unwrap(), expected);
        }
    }

    #[test]
    fn what_is_widened_on_a_device_has_the_bits_of_the_host() {
        for (rows, columns) in [(3, 64), (5, 37), (1, 1), (7, 130)] {
            let values = random(rows as u64, rows * columns);
            let integers = |bits, group| {
                let format = Format { bits, group };
                let matrix =
                    QuantizedMatrix::quantize_as(&values, rows, columns, format, Method::Nearest);
                FrozenMatrix::codes(matrix.unwrap())
            };
            for matrix in [
                FrozenMatrix::nf4(&values, rows, columns).unwrap(),
                FrozenMatrix::bf16(&values, rows, columns),
                integers(Bits::Int4, Group::Columns(32)),
                integers(Bits::Int8, Group::Columns(64)),
                integers(Bits::Int8, Group::Channel),
            ] {
                same::<NdArray>(&matrix);
                // The copy of another backend is there now, and this one must do without.
                same::<Flex>(&matrix);
                assert_eq!(matrix, matrix.clone());
            }
        }
    }
}
