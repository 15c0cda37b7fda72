//! What InstructLab's pipeline and prompt files hold, as they are written.
//!
//! Keys that change nothing here are named with an underscore: they are accepted, and not read.

use super::super::spec::Operation;
use serde::Deserialize;
use serde_yaml::{Mapping, Value as Yaml};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    #[serde(rename = "version")]
    pub _version: String,
    pub blocks: Vec<Raw>,
    /// How upstream mixes the result; there is nothing to mix here.
    #[serde(default, rename = "datamixing")]
    pub _datamixing: Option<Yaml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub config: Mapping,
    /// Columns that no later block reads; they may as well stay.
    #[serde(default, rename = "drop_columns")]
    pub _drop_columns: Vec<String>,
    #[serde(default)]
    pub drop_duplicates: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Llm {
    pub config_path: String,
    pub output_cols: Vec<String>,
    #[serde(default)]
    pub model_prompt: Option<String>,
    #[serde(default)]
    pub gen_kwargs: GenerateKwargs,
    #[serde(default)]
    pub parser_kwargs: ParserKwargs,
    #[serde(default)]
    pub batch_kwargs: BatchKwargs,
    #[serde(default, rename = "model_id")]
    pub _model_id: Option<String>,
    #[serde(default, rename = "model_family")]
    pub _model_family: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct GenerateKwargs {
    pub max_tokens: Option<u32>,
    pub temperature: f64,
    /// A number, or `scaled`: here rounds scale, so that it means 1.
    pub n: Option<Yaml>,
    /// Every request has a seed of its own here.
    #[serde(rename = "seed")]
    pub _seed: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct ParserKwargs {
    pub parser_name: Option<String>,
    pub parsing_pattern: Option<String>,
    pub parser_cleanup_tags: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct BatchKwargs {
    pub num_samples: Option<u32>,
    #[serde(rename = "batched")]
    pub _batched: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterConfig {
    pub filter_column: String,
    pub filter_value: Yaml,
    pub operation: Operation,
    #[serde(default)]
    pub convert_dtype: Option<String>,
    /// Stood in for what cannot be converted; here that is an outcome of its own.
    #[serde(default, rename = "default_value")]
    pub _default_value: Option<Yaml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnsMap {
    pub columns_map: Mapping,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Combine {
    pub columns: Vec<String>,
    pub output_col: String,
    #[serde(default = "empty_line")]
    pub separator: String,
}

fn empty_line() -> String {
    "\n\n".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flatten {
    pub var_cols: Vec<String>,
    pub value_name: String,
    pub var_name: String,
}

/// A prompt file.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct PromptFile {
    pub system: Option<String>,
    pub introduction: Option<String>,
    pub principles: Option<String>,
    pub examples: Option<String>,
    pub generation: Option<String>,
    pub start_tags: Vec<String>,
    pub end_tags: Vec<String>,
}
