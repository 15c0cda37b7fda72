//! A tensor's numbers from first to last, out of a mapped file.
//!
//! What was read is given back to the operating system part by part, so that reading a model does
//! not keep its file in memory beside the weights.

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::tensor::Dtype;

/// Bytes after which the pages that were read are given back.
const RELEASE: usize = 4 << 20;

/// The numbers of one tensor of floats.
pub struct TensorStream<'a> {
    map: &'a Mmap,
    dtype: Dtype,
    at: usize,
    end: usize,
    released: usize,
}

impl<'a> TensorStream<'a> {
    /// The bytes `start..end` of a file; `dtype` is F32, F16 or BF16.
    pub(super) fn new(map: &'a Mmap, dtype: Dtype, start: usize, end: usize) -> Self {
        Self {
            map,
            dtype,
            at: start,
            end,
            released: start,
        }
    }

    /// Whether the numbers are stored as bfloat16.
    pub fn is_bf16(&self) -> bool {
        self.dtype == Dtype::BF16
    }

    /// Numbers that are left.
    pub fn left(&self) -> usize {
        (self.end - self.at) / self.width()
    }

    fn width(&self) -> usize {
        if self.dtype == Dtype::F32 { 4 } else { 2 }
    }

    /// The next numbers, as many as `out` takes.
    ///
    /// # Panics
    /// When fewer are left.
    pub fn read(&mut self, out: &mut [f32]) {
        for part in out.chunks_mut(RELEASE / 4) {
            let dtype = self.dtype;
            let bytes = self.take(part.len());
            match dtype {
                Dtype::F32 => {
                    let bytes = bytes.as_chunks::<4>().0;
                    for (out, bytes) in part.iter_mut().zip(bytes) {
                        *out = f32::from_le_bytes(*bytes);
                    }
                }
                _ => {
                    let bytes = bytes.as_chunks::<2>().0;
                    for (out, bytes) in part.iter_mut().zip(bytes) {
                        *out = match dtype {
                            Dtype::F16 => f16::from_le_bytes(*bytes).to_f32(),
                            _ => bf16::from_le_bytes(*bytes).to_f32(),
                        };
                    }
                }
            }
        }
    }

    /// The next numbers of a tensor that is stored as bfloat16, as they are.
    ///
    /// # Panics
    /// When fewer are left, or the tensor is stored otherwise.
    pub fn read_bf16(&mut self, out: &mut [bf16]) {
        assert!(self.is_bf16(), "the tensor is stored as {:?}", self.dtype);
        for part in out.chunks_mut(RELEASE / 2) {
            let bytes = self.take(part.len()).as_chunks::<2>().0;
            for (out, bytes) in part.iter_mut().zip(bytes) {
                *out = bf16::from_le_bytes(*bytes);
            }
        }
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let from = self.at;
        self.at += count * self.width();
        assert!(
            self.at <= self.end,
            "the tensor has no {count} numbers left"
        );
        if from - self.released >= RELEASE {
            self.release(from);
        }
        &self.map[from..self.at]
    }

    fn release(&mut self, to: usize) {
        release(self.map, self.released, to);
        self.released = to;
    }
}

impl Drop for TensorStream<'_> {
    fn drop(&mut self) {
        self.release(self.at);
    }
}

/// Gives the pages of `start..end` back; they are read from the file again when needed.
pub(super) fn release(map: &Mmap, start: usize, end: usize) {
    if start >= end {
        return;
    }
    // SAFETY: the map is of a file and never written, so a page that is dropped comes back with the
    // same content. A refusal by the system costs memory only.
    #[cfg(unix)]
    let _ = unsafe {
        map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, end - start)
    };
    #[cfg(not(unix))]
    let _ = (map, start, end);
}
