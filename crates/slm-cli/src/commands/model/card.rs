//! What is known about a model's folder: its family, size, licence and need of memory, or why
//! it is no whole model.
//!
//! Does not know how it is shown.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;
use slm_model::{Checkpoint, ModelConfig};

use crate::workspace::Manifest;

/// Rank of the adapters that the memory for training is told for: the recipes' default.
const RANK: usize = 16;
/// Tokens of a batch that the memory for training is told for: the recipes' default.
const BATCH_TOKENS: usize = 2048;

/// What is known about a model.
#[derive(Debug, Serialize)]
pub struct Card {
    /// The name in the workspace.
    pub name: String,
    /// The folder.
    pub path: String,
    /// The family, as the config names it.
    pub architecture: String,
    /// Number format of the linear layers.
    pub weights: String,
    /// How they were quantized, where they were.
    pub quantization: Option<String>,
    /// Number of parameters.
    pub parameters: usize,
    /// Bytes of the weights on the disk.
    pub disk_bytes: usize,
    /// Blocks.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Rows of the embedding.
    pub vocabulary: usize,
    /// Longest sequence, in tokens.
    pub context: usize,
    /// As the model's own card says it.
    pub license: Option<String>,
    /// Where the model was pulled from.
    pub origin: Option<String>,
    /// What it takes to run and to train it.
    pub memory_bytes: Memory,
}

/// Estimates of memory.
#[derive(Debug, Serialize)]
pub struct Memory {
    /// To answer, by the form of the weights, without the cache of keys and values.
    pub run: Run,
    /// The cache of keys and values, for each 1,024 tokens.
    pub cache_per_1024_tokens: usize,
    /// To train, at 2,048 tokens a batch.
    pub train: Train,
}

/// Bytes of the weights while answering.
#[derive(Debug, Serialize)]
pub struct Run {
    /// 32-bit floats.
    pub f32: usize,
    /// 16-bit floats.
    pub bf16: usize,
    /// Linear layers in 8 bits, the rest in 16.
    pub int8: usize,
    /// Linear layers in 4 bits, the rest in 16.
    pub int4: usize,
}

/// Bytes while training.
#[derive(Debug, Serialize)]
pub struct Train {
    /// All weights.
    pub full: usize,
    /// Adapters of rank 16 on all linear layers.
    pub lora: usize,
}

/// A folder among the models that is not one that can be used.
#[derive(Debug, Serialize)]
pub struct Broken {
    /// The name in the workspace.
    pub name: String,
    /// The folder.
    pub path: String,
    /// What is missing or damaged.
    pub problems: Vec<String>,
}

impl Card {
    /// Reads what can be known without reading the weights.
    ///
    /// # Errors
    /// The config or the weights' headers cannot be read, or the family is unknown.
    pub fn of(name: &str, folder: &Path) -> Result<Self> {
        let config = ModelConfig::load(folder)?;
        let checkpoint = Checkpoint::open(folder)?;
        let raw = json(folder, "config.json");
        Ok(Self {
            name: name.to_owned(),
            path: folder.display().to_string(),
            architecture: config.family.to_string(),
            weights: weights_of(&checkpoint),
            quantization: quantization_of(&raw),
            parameters: config.parameters(),
            disk_bytes: checkpoint.stored_bytes(),
            layers: config.num_hidden_layers,
            hidden_size: config.hidden_size,
            vocabulary: config.vocab_size,
            context: config.max_position_embeddings,
            license: license_of(folder),
            origin: origin_of(folder),
            memory_bytes: Memory::of(&config),
        })
    }
}

impl Card {
    /// Bytes of the weights while answering, in the form that they are stored in.
    pub fn run_bytes(&self) -> usize {
        let run = &self.memory_bytes.run;
        match self.weights.as_str() {
            "int8" => run.int8,
            "int4" => run.int4,
            "f32" => run.f32,
            _ => run.bf16,
        }
    }
}

impl Memory {
    /// Weights, and for training gradients and AdamW's two moments in 32 bits beside what each
    /// block keeps for the way back. An estimate from the shape: buffers and the program itself
    /// come on top.
    fn of(config: &ModelConfig) -> Self {
        let all = config.parameters();
        let tables = match config.tie_word_embeddings {
            true => config.vocab_size * config.hidden_size,
            false => 2 * config.vocab_size * config.hidden_size,
        };
        let linear = all.saturating_sub(tables);
        // A scale of two bytes serves 32 codes.
        let packed = |bits: usize| linear * bits / 8 + linear / 32 * 2 + (all - linear) * 2;
        // Inputs of the linear layers and the norms, queries, keys, values, the MLP's inner ones.
        let kept = 6 * config.hidden_size
            + 2 * config.query_width()
            + 2 * config.key_value_width()
            + 3 * config.intermediate_size;
        let activations = 4 * BATCH_TOKENS * config.num_hidden_layers * kept;
        let adapter = config.num_hidden_layers * adapter_parameters(config);
        Self {
            run: Run {
                f32: 4 * all,
                bf16: 2 * all,
                int8: packed(8),
                int4: packed(4),
            },
            cache_per_1024_tokens: 1024
                * 2
                * 4
                * config.num_hidden_layers
                * config.key_value_width(),
            train: Train {
                full: 16 * all + activations,
                lora: 4 * all + 16 * adapter + activations,
            },
        }
    }
}

/// Parameters of one block's adapters: rank times the inputs and outputs of each layer.
fn adapter_parameters(config: &ModelConfig) -> usize {
    let linears = config.linears();
    let widths = linears.iter().map(|linear| linear.inputs + linear.outputs);
    RANK * widths.sum::<usize>()
}

/// What is missing or damaged in a folder, as far as can be known without reading it all;
/// nothing where it holds a whole model.
pub fn problems(folder: &Path) -> Vec<String> {
    let mut problems: Vec<String> = ["config.json", "tokenizer.json"]
        .into_iter()
        .filter(|name| !folder.join(name).is_file())
        .map(|name| format!("`{name}` is missing"))
        .collect();
    if let Some(manifest) = Manifest::read(folder) {
        for output in &manifest.outputs {
            let found = std::fs::metadata(folder.join(&output.path)).map(|file| file.len());
            match found {
                Ok(bytes) if bytes == output.bytes => {}
                Ok(bytes) => problems.push(format!(
                    "`{}` has {bytes} bytes instead of {}",
                    output.path, output.bytes
                )),
                Err(_) => {
                    let problem = format!("`{}` is missing", output.path);
                    if !problems.contains(&problem) {
                        problems.push(problem);
                    }
                }
            }
        }
    }
    if problems.is_empty() {
        let checks = [
            Checkpoint::open(folder).map(drop),
            ModelConfig::load(folder).map(drop),
        ];
        let said = checks.into_iter().filter_map(Result::err);
        problems.extend(said.map(|error| {
            let text = error.to_string();
            let text = text.split("\nhint: ").next().unwrap_or_default();
            text.replace(&format!("{}/", folder.display()), "")
        }));
    }
    problems
}

/// `int8` or `int4` where the linear layers are packed, otherwise their number format.
fn weights_of(checkpoint: &Checkpoint) -> String {
    let packed = checkpoint
        .tensors()
        .find(|(name, _)| name.ends_with("o_proj.weight_packed"));
    if let Some((name, packed)) = packed {
        let scales = name.replace("weight_packed", "weight_scale");
        let groups = checkpoint
            .tensors()
            .find(|(name, _)| *name == scales)
            .map(|(_, shape)| shape.last().copied().unwrap_or(1));
        // A word of 32 bits holds 8 codes of 4 bits, or 4 of 8; a scale stands for 32 codes.
        let words = packed.last().copied().unwrap_or(0);
        return match groups {
            Some(groups) if words > groups * 4 => "int8".to_owned(),
            _ => "int4".to_owned(),
        };
    }
    let dense = checkpoint
        .tensors()
        .map(|(name, _)| name.to_owned())
        .find(|name| name.ends_with("o_proj.weight"));
    match dense.and_then(|name| checkpoint.raw(&name).map(|(_, dtype, _)| dtype)) {
        Some(dtype) => format!("{dtype:?}").to_lowercase(),
        None => "unknown".to_owned(),
    }
}

/// The method and format of `quantization_config`, where there is one.
fn quantization_of(config: &Value) -> Option<String> {
    let quantization = config.get("quantization_config")?;
    let method = quantization["quant_method"].as_str().unwrap_or("unknown");
    Some(match quantization["format"].as_str() {
        Some(format) => format!("{method}, {format}"),
        None => method.to_owned(),
    })
}

/// `license` of the front matter of the model's card.
fn license_of(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("README.md")).ok()?;
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let (front, _) = text.strip_prefix("---\n")?.split_once("\n---")?;
    let front: serde_yaml::Value = serde_yaml::from_str(front).ok()?;
    let word = |key: &str| {
        let value = front.get(key)?;
        let first = value.as_sequence().and_then(|list| list.first());
        Some(first.unwrap_or(value).as_str()?.to_owned())
    };
    match (word("license"), word("license_name")) {
        (Some(license), Some(name)) if license == "other" => Some(name),
        (license, _) => license,
    }
}

/// The hub, the name and the commit of a model that was pulled.
fn origin_of(folder: &Path) -> Option<String> {
    let manifest =
        Manifest::read(folder).filter(|manifest| manifest.stage == super::pull::STAGE)?;
    let settings = &manifest.settings;
    let revision = settings["commit"]
        .as_str()
        .or(settings["revision"].as_str())?;
    Some(format!(
        "{}/{}@{revision}",
        settings["endpoint"].as_str()?,
        settings["model"].as_str()?
    ))
}

fn json(folder: &Path, name: &str) -> Value {
    std::fs::read_to_string(folder.join(name))
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_licence_is_that_of_the_front_matter() {
        let folder = tempfile::tempdir().unwrap();
        let license = |text: &str| {
            std::fs::write(folder.path().join("README.md"), text).unwrap();
            license_of(folder.path())
        };
        assert_eq!(
            license("---\r\nlicense: mit\r\ntags: [a]\r\n---\r\n# x").as_deref(),
            Some("mit")
        );
        assert_eq!(
            license("---\nlicense: [apache-2.0]\n---\n").as_deref(),
            Some("apache-2.0")
        );
        assert_eq!(
            license("---\nlicense: other\nlicense_name: own\n---\n").as_deref(),
            Some("own")
        );
        assert_eq!(license("# license: mit\n"), None);
        assert_eq!(license("---\n: [\n---\n"), None);
    }

    #[test]
    fn memory_follows_from_the_shape() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/hf/llama");
        let card = Card::of("llama", &folder).unwrap();
        let memory = &card.memory_bytes;
        assert_eq!(memory.run.f32, 4 * card.parameters);
        assert!(memory.run.int4 < memory.run.int8 && memory.run.int8 < memory.run.bf16);
        assert!(memory.train.lora > memory.run.f32 && memory.train.full > memory.train.lora);
    }

    #[test]
    fn a_folder_that_is_not_whole_says_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            problems(folder.path()),
            ["`config.json` is missing", "`tokenizer.json` is missing"]
        );
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/hf/llama");
        for name in ["config.json", "tokenizer.json"] {
            std::fs::copy(source.join(name), folder.path().join(name)).unwrap();
        }
        let found = problems(folder.path());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("no `model.safetensors`"), "{found:?}");
        let whole = std::fs::read(source.join("model.safetensors")).unwrap();
        let place = folder.path().join("model.safetensors");
        std::fs::write(&place, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(problems(folder.path()).len(), 1);
        std::fs::write(&place, &whole).unwrap();
        assert!(problems(folder.path()).is_empty());
    }
}
