//! A decoder of any known family ready for inference: its description and its packed weights.

use std::path::Path;

use slm_model::ModelConfig;
use slm_model::config::LinearShape;
use slm_model::place::Place;
use slm_model::quant::{Linear, Threads, Weights};

use crate::error::Result;
use crate::forward::Site;
use crate::load::{Files, WeightSource};

/// A decoder with weights in the kernels' layouts.
pub struct Model {
    pub(crate) config: ModelConfig,
    pub(crate) embedding: Linear,
    pub(crate) layers: Vec<Layer>,
    /// Norms hold what they multiply by, the family's offset included.
    pub(crate) norm: Vec<f32>,
    /// None when the embedding is the head.
    pub(crate) head: Option<Linear>,
    /// The sets of frequencies of each rope.
    pub(crate) frequencies: Vec<Vec<Vec<f64>>>,
}

/// One block.
pub(crate) struct Layer {
    pub attention_norm: Vec<f32>,
    /// Query, key and value projections, joined.
    pub qkv: Projection,
    /// Norms of query and key heads.
    pub head_norms: Option<[Vec<f32>; 2]>,
    pub output: Projection,
    pub attention_output_norm: Option<Vec<f32>>,
    pub mlp_norm: Vec<f32>,
    /// Gate and up projections, joined.
    pub gate_up: Projection,
    pub down: Projection,
    pub mlp_output_norm: Option<Vec<f32>>,
}

impl Layer {
    /// The linear layers at a place.
    pub fn at(&mut self, site: Site) -> &mut Projection {
        match site {
            Site::QueryKeyValue => &mut self.qkv,
            Site::Output => &mut self.output,
            Site::GateUp => &mut self.gate_up,
            Site::Down => &mut self.down,
        }
    }
}

/// A linear layer, and its bias where it has one.
pub(crate) struct Projection {
    linear: Linear,
    bias: Option<Vec<f32>>,
}

impl Projection {
    /// `y = x W^T + bias`.
    ///
    /// # Shapes
    /// `x` [m, inputs], result [m, outputs].
    pub fn apply(&self, x: &[f32], threads: Threads) -> Vec<f32> {
        let mut y = self
            .linear
            .apply(x, x.len() / self.linear.columns(), threads);
        if let Some(bias) = &self.bias {
            for row in y.chunks_exact_mut(bias.len()) {
                row.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias);
            }
        }
        y
    }

    /// Puts other weights in the place of its own; the bias stays.
    pub fn replace(&mut self, weights: Vec<Weights>) {
        self.linear = Linear::new(weights);
    }

    fn bytes(&self) -> usize {
        let bias = self.bias.as_ref().map_or(0, |b| size_of_val(b.as_slice()));
        self.linear.bytes() + bias
    }
}

impl Model {
    /// Loads the checkpoint in `dir`: floats (f32, f16, bfloat16) or quantized.
    ///
    /// # Errors
    /// When a file is missing or damaged, or the model is of a kind that is not known.
    pub fn load(dir: &Path) -> Result<Self> {
        Self::load_adapted(dir, None)
    }

    /// Loads the checkpoint in `dir` and merges the PEFT adapter in `adapter`, if any. Adapted
    /// layers are held in f32, also where the checkpoint is narrower.
    ///
    /// # Errors
    /// As [`Model::load`], and when the adapter does not fit the model.
    pub fn load_adapted(dir: &Path, adapter: Option<&Path>) -> Result<Self> {
        let config = ModelConfig::load(dir)?;
        let mut files = Files::open(dir, &config, adapter)?;
        Self::build(config, &mut files)
    }

    /// As [`Model::load_adapted`], with the products of linear layers computed at `place`, where
    /// one is given.
    ///
    /// # Errors
    /// As [`Model::load_adapted`].
    pub fn load_at(dir: &Path, adapter: Option<&Path>, place: Option<&dyn Place>) -> Result<Self> {
        let config = ModelConfig::load(dir)?;
        let mut files = Files::open(dir, &config, adapter)?;
        Self::build_at(config, &mut files, place)
    }

    /// Builds a model from weights of any source.
    ///
    /// # Errors
    /// When the source lacks a weight.
    pub fn build(config: ModelConfig, source: &mut dyn WeightSource) -> Result<Self> {
        Self::build_at(config, source, None)
    }

    /// As [`Model::build`], with the products of linear layers computed at `place`, where one is
    /// given. The embedding, norms and attention stay here.
    ///
    /// # Errors
    /// As [`Model::build`].
    pub fn build_at(
        config: ModelConfig,
        source: &mut dyn WeightSource,
        place: Option<&dyn Place>,
    ) -> Result<Self> {
        let d = config.hidden_size;
        let mut build = Builder {
            config: &config,
            source,
            place,
        };
        // A table that is both is read as one here and as the other there.
        let head = match (config.tie_word_embeddings, place) {
            (true, None) => None,
            (true, Some(place)) => Some(build.table_at("model.embed_tokens", place)?),
            (false, None) => Some(build.table("lm_head")?),
            (false, Some(place)) => Some(build.table_at("lm_head", place)?),
        };
        let embedding = build.table("model.embed_tokens")?;
        let layers = (0..config.num_hidden_layers).map(|layer| build.layer(layer));
        let layers = layers.collect::<Result<_>>()?;
        let norm = build.norm("model.norm", d)?;
        let frequencies = config.ropes.iter().map(|rope| rope.frequency_sets());
        Ok(Self {
            embedding,
            layers,
            norm,
            head,
            frequencies: frequencies.collect(),
            config,
        })
    }

    /// The model's description.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Whether a device computes the products of its linear layers.
    pub fn is_elsewhere(&self) -> bool {
        self.head.as_ref().is_some_and(Linear::is_elsewhere)
    }

    /// Bytes of the weights in memory.
    pub fn weight_bytes(&self) -> usize {
        let layers = self.layers.iter().map(|layer| {
            layer.qkv.bytes() + layer.output.bytes() + layer.gate_up.bytes() + layer.down.bytes()
        });
        let head = self.head.as_ref().map_or(0, Linear::bytes);
        self.embedding.bytes() + head + layers.sum::<usize>()
    }
}

/// Takes weights from a source by the names of the family.
struct Builder<'a> {
    config: &'a ModelConfig,
    source: &'a mut dyn WeightSource,
    place: Option<&'a dyn Place>,
}

impl Builder<'_> {
    fn table(&mut self, module: &str) -> Result<Linear> {
        let (rows, columns) = (self.config.vocab_size, self.config.hidden_size);
        Ok(Linear::new(vec![
            self.source.matrix(module, rows, columns)?,
        ]))
    }

    fn table_at(&mut self, module: &str, place: &dyn Place) -> Result<Linear> {
        let (rows, columns) = (self.config.vocab_size, self.config.hidden_size);
        let matrix = self.source.frozen(module, rows, columns)?;
        Ok(Linear::elsewhere(
            place.product(vec![matrix]),
            rows,
            columns,
        ))
    }

    fn norm(&mut self, module: &str, width: usize) -> Result<Vec<f32>> {
        let mut weight = self.source.vector(&format!("{module}.weight"), width)?;
        let offset = self.config.norm_offset as f32;
        if offset != 0.0 {
            weight.iter_mut().for_each(|weight| *weight += offset);
        }
        Ok(weight)
    }

    fn projection(&mut self, block: &str, shapes: &[LinearShape]) -> Result<Projection> {
        let (mut parts, mut frozen, mut biases) = (Vec::new(), Vec::new(), Vec::new());
        for shape in shapes {
            let module = format!("{block}.{}", shape.module);
            let (rows, columns) = (shape.outputs, shape.inputs);
            match self.place {
                None => parts.push(self.source.matrix(&module, rows, columns)?),
                Some(_) => frozen.push(self.source.frozen(&module, rows, columns)?),
            }
            if shape.bias {
                biases.extend(
                    self.source
                        .vector(&format!("{module}.bias"), shape.outputs)?,
                );
            }
        }
        let linear = match self.place {
            None => Linear::new(parts),
            Some(place) => {
                let rows = shapes.iter().map(|shape| shape.outputs).sum();
                let columns = shapes.first().map_or(0, |shape| shape.inputs);
                Linear::elsewhere(place.product(frozen), rows, columns)
            }
        };
        Ok(Projection {
            linear,
            bias: (!biases.is_empty()).then_some(biases),
        })
    }

    fn layer(&mut self, number: usize) -> Result<Layer> {
        let at = format!("model.layers.{number}");
        let (modules, d) = (&self.config.modules, self.config.hidden_size);
        let linears = self.config.linears();
        let (qkv, rest) = linears.split_at(modules.qkv.len());
        let (output, rest) = rest.split_at(1);
        let (gate_up, down) = rest.split_at(modules.gate_up.len());
        let qkv = self.projection(&at, qkv)?;
        let output = self.projection(&at, output)?;
        let gate_up = self.projection(&at, gate_up)?;
        let down = self.projection(&at, down)?;
        let width = self.config.head_dim;
        let head_norms = match modules.head_norms {
            None => None,
            Some([query, key]) => Some([
                self.norm(&format!("{at}.{query}"), width)?,
                self.norm(&format!("{at}.{key}"), width)?,
            ]),
        };
        let mut norm = |name: &str| self.norm(&format!("{at}.{name}"), d);
        Ok(Layer {
            attention_norm: norm(modules.attention_norm)?,
            attention_output_norm: modules.attention_output_norm.map(&mut norm).transpose()?,
            mlp_norm: norm(modules.mlp_norm)?,
            mlp_output_norm: modules.mlp_output_norm.map(&mut norm).transpose()?,
            qkv,
            head_norms,
            output,
            gate_up,
            down,
        })
    }
}
