//! Takes a decoder's weights by name, checks their sizes, and puts them on a device.
//!
//! Knows names and sizes; not what is computed with them.

use burn::tensor::{Tensor, TensorData};

use crate::block::{Block, GateUp, QueryKeyValue};
use crate::config::{LinearShape, ModelConfig};
use crate::error::{ModelError, Result};
use crate::linear::{FrozenParameter, Linear, Matrix, Parameter};
use crate::ops::DecoderBackend;
use crate::weights::Weights;

/// Weights on their way to a device.
pub(crate) struct Builder<'a, B: DecoderBackend> {
    pub weights: &'a mut Weights,
    pub config: &'a ModelConfig,
    pub device: &'a B::Device,
}

impl<B: DecoderBackend> Builder<'_, B> {
    fn take(&mut self, name: &str, count: usize) -> Result<Vec<f32>> {
        let values = self
            .weights
            .take(name)
            .filter(|values| values.len() == count);
        values.ok_or_else(|| {
            ModelError::setting(
                format!("weight `{name}` is missing or of another size"),
                "the weights do not belong to this config",
            )
        })
    }

    /// The vector `name`.
    pub fn vector(&mut self, name: String, width: usize) -> Result<Parameter<B, 1>> {
        let values = self.take(&name, width)?;
        Ok(Parameter {
            name,
            value: Tensor::from_data(TensorData::new(values, [width]), self.device),
        })
    }

    /// The weight of a norm.
    pub fn norm(&mut self, module: &str, width: usize) -> Result<Parameter<B, 1>> {
        self.vector(format!("{module}.weight"), width)
    }

    /// The weight of a table or a linear layer.
    pub fn matrix(&mut self, module: &str, outputs: usize, inputs: usize) -> Result<Matrix<B>> {
        let name = format!("{module}.weight");
        let frozen = self.weights.take_frozen(&name);
        if let Some(value) = frozen.filter(|value| value.shape() == [outputs, inputs]) {
            return Ok(Matrix::Frozen(FrozenParameter { name, value }));
        }
        let values = self.take(&name, outputs * inputs)?;
        Ok(Matrix::Dense(Parameter {
            name,
            value: Tensor::from_data(TensorData::new(values, [outputs, inputs]), self.device),
        }))
    }

    fn linear(&mut self, block: &str, shape: LinearShape) -> Result<Linear<B>> {
        let module = format!("{block}.{}", shape.module);
        let weight = self.matrix(&module, shape.outputs, shape.inputs)?;
        let bias = match shape.bias {
            true => Some(self.vector(format!("{module}.bias"), shape.outputs)?),
            false => None,
        };
        Ok(Linear::new(weight, bias))
    }

    /// Block number `index`.
    pub fn block(&mut self, index: usize) -> Result<Block<B>> {
        let at = format!("model.layers.{index}");
        let (config, d) = (self.config, self.config.hidden_size);
        let modules = &config.modules;
        let mut shapes = config.linears().into_iter();
        let mut next = |builder: &mut Self| match shapes.next() {
            Some(shape) => builder.linear(&at, shape),
            None => Err(ModelError::setting(
                "the family describes too few layers",
                "report this",
            )),
        };
        let first = next(self)?;
        let qkv = match modules.qkv.len() {
            1 => QueryKeyValue::Joined(first),
            _ => QueryKeyValue::Separate {
                projections: Box::new([first, next(self)?, next(self)?]),
                head_norms: self.head_norms(&at)?,
            },
        };
        let output = next(self)?;
        let first = next(self)?;
        let gate_up = match modules.gate_up.len() {
            1 => GateUp::Joined(first),
            _ => GateUp::Separate(Box::new([first, next(self)?])),
        };
        let down = next(self)?;
        let mut norm = |name: &str| self.norm(&format!("{at}.{name}"), d);
        Ok(Block {
            attention_norm: norm(modules.attention_norm)?,
            attention_output_norm: modules.attention_output_norm.map(&mut norm).transpose()?,
            mlp_norm: norm(modules.mlp_norm)?,
            mlp_output_norm: modules.mlp_output_norm.map(&mut norm).transpose()?,
            qkv,
            output,
            gate_up,
            down,
        })
    }

    fn head_norms(&mut self, block: &str) -> Result<Option<[Parameter<B, 1>; 2]>> {
        let Some([query, key]) = self.config.modules.head_norms else {
            return Ok(None);
        };
        let width = self.config.head_dim;
        Ok(Some([
            self.norm(&format!("{block}.{query}"), width)?,
            self.norm(&format!("{block}.{key}"), width)?,
        ]))
    }
}
