//! Where the linear layers of inference are multiplied, if not by the host's kernels: on a burn
//! backend, by the products that training has there. A quantized weight lies there packed.
//!
//! Knows matrices and devices; not what a layer is for.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};

use crate::device::Device;
use crate::ops::DecoderBackend;
use crate::quant::FrozenMatrix;

/// Joined matrices that read the same inputs, on a device.
pub trait Product: Send + Sync {
    /// `y = x W^T`, the outputs of the matrices one behind the other.
    ///
    /// # Shapes
    /// `x` [m, columns], result [m, rows of all].
    fn apply(&self, x: &[f32], m: usize) -> Vec<f32>;

    /// Bytes of the weights, packed.
    fn bytes(&self) -> usize;
}

/// A device that multiplies.
pub trait Place: Send + Sync {
    /// Takes matrices of equal columns over.
    fn product(&self, parts: Vec<FrozenMatrix>) -> Box<dyn Product>;
}

/// The place for a device; none for the one that the host's kernels serve.
pub fn place_of(device: Device) -> Option<Box<dyn Place>> {
    match device {
        Device::Flex => None,
        Device::NdArray => Some(Box::new(On::<burn::backend::NdArray>(Default::default()))),
        #[cfg(feature = "cuda")]
        Device::Cuda(number) => {
            let device = burn::backend::cuda::CudaDevice::new(number);
            Some(Box::new(On::<burn::backend::Cuda>(device)))
        }
        #[cfg(not(feature = "cuda"))]
        Device::Cuda(_) => unreachable!("a build without CUDA makes no such device"),
    }
}

struct On<B: DecoderBackend>(B::Device);

impl<B: DecoderBackend> Place for On<B> {
    fn product(&self, parts: Vec<FrozenMatrix>) -> Box<dyn Product> {
        Box::new(Joined::<B> {
            device: self.0.clone(),
            parts: parts.into_iter().map(Arc::new).collect(),
        })
    }
}

struct Joined<B: DecoderBackend> {
    device: B::Device,
    parts: Vec<Arc<FrozenMatrix>>,
}

impl<B: DecoderBackend> Product for Joined<B> {
    fn apply(&self, x: &[f32], m: usize) -> Vec<f32> {
        let columns = x.len() / m.max(1);
        let x = Tensor::<B, 2>::from_data(TensorData::new(x.to_vec(), [m, columns]), &self.device);
        let parts = self.parts.iter();
        let parts: Vec<Tensor<B, 2>> = parts.map(|w| B::frozen_linear(x.clone(), w)).collect();
        let y = Tensor::cat(parts, 1).into_data().convert::<f32>();
        y.to_vec().expect("it was converted to f32")
    }

    fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::random;

    #[test]
    fn joined_products_are_those_of_the_host() {
        assert!(place_of(Device::Flex).is_none());
        let place = place_of(Device::NdArray).unwrap();
        let (a, b, x) = (random(1, 7 * 64), random(2, 3 * 64), random(3, 5 * 64));
        let parts = || {
            vec![
                FrozenMatrix::nf4(&a, 7, 64).unwrap(),
                FrozenMatrix::floats(b.clone(), 3, 64),
            ]
        };
        let product = place.product(parts());
        let y = product.apply(&x, 5);
        let host: Vec<Vec<f32>> = parts().iter().map(|part| part.linear(&x, 5)).collect();
        for (row, y) in y.chunks_exact(10).enumerate() {
            let expected = host[0][row * 7..][..7]
                .iter()
                .chain(&host[1][row * 3..][..3]);
            for (y, expected) in y.iter().zip(expected) {
                assert!((y - expected).abs() < 1e-4, "{y}, not {expected}");
            }
        }
        assert_eq!(
            product.bytes(),
            parts().iter().map(FrozenMatrix::bytes).sum::<usize>()
        );
    }
}
