//! Weights in the layouts that inference reads: packed integers with a scale per group, or floats
//! in panels; their products with activations; their saved form. And weights that training reads
//! but does not change: NF4, widened inside the product ([`FrozenMatrix`]).
//!
//! Every output row of an inference product is summed in one fixed order, whatever the number of rows, the
//! threads or the instruction set, so a batched answer equals a single one bit for bit. Knows
//! matrices and files; not burn, not decoders.

pub mod activations;
pub mod compressed;
pub mod dense;
pub mod folder;
pub mod frozen;
pub mod gptq;
pub mod gptq_format;
pub mod isa;
pub mod kernel;
pub mod linear;
pub mod matrix;
pub mod nf4;
pub mod nf4_format;
pub mod nf4_scales;
pub mod packed;
mod portable;
pub mod rounding;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use compressed::{QuantizationConfig, StoredWeight, read_quantized};
pub use dense::DenseMatrix;
pub use folder::{
    QuantizeReport, QuantizeSettings, TensorReport, quantize_checkpoint, quantize_checkpoint_nf4,
    quantize_checkpoint_with,
};
pub use frozen::FrozenMatrix;
pub use isa::Isa;
pub use linear::{Linear, Threads, Weights};
pub use matrix::{Bits, Format, Group, Method, QuantizedMatrix, ScaleType};
pub use packed::PackedMatrix;

/// Columns that share a scale in the kernels, and by default.
pub const GROUP: usize = 32;

/// Output rows that a kernel computes together, one per lane.
pub const LANES: usize = 16;

/// Most activation rows that a kernel takes at once.
pub const MAX_TILE: usize = 8;

#[cfg(test)]
mod testing {
    //! Random numbers for the tests of this room.
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// `count` values, uniform in -1..1, the same for a seed.
    pub fn random(seed: u64, count: usize) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
    }
}
