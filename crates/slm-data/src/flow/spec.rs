//! What a flow says: its metadata and its blocks, each with its settings.
//!
//! Does not know files (see `read`), nor what the blocks do to rows.

use super::prompt::Prompt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A flow that has been read and checked.
#[derive(Debug)]
pub struct Flow {
    /// Its name, who may use it, what it needs and gives.
    pub metadata: Metadata,
    /// What is done to each row, in order.
    pub blocks: Vec<Block>,
    /// SHA-256 over the flow and its prompts.
    pub hash: String,
}

/// The head of a flow.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Its name.
    pub name: String,
    /// A stable handle.
    #[serde(default)]
    pub id: String,
    /// What it makes.
    #[serde(default)]
    pub description: String,
    /// Raised with every change.
    #[serde(default)]
    pub version: String,
    /// Who wrote it.
    #[serde(default)]
    pub author: String,
    /// Its licence.
    #[serde(default)]
    pub license: String,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Models that it was tried with; any shape.
    #[serde(default)]
    pub recommended_models: Value,
    /// What its rows must bring.
    #[serde(default)]
    pub dataset_requirements: Requirements,
    /// The columns that become the conversation: `question` and `answer`, and perhaps `context`.
    pub output_columns: Vec<String>,
}

/// What a flow's rows must bring.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirements {
    /// Columns that every row has before the first block.
    #[serde(default)]
    pub required_columns: Vec<String>,
    /// Columns that it may have.
    #[serde(default)]
    pub optional_columns: Vec<String>,
    /// What they hold.
    #[serde(default)]
    pub description: String,
}

/// One step of a flow.
#[derive(Debug)]
pub struct Block {
    /// Unique in the flow.
    pub name: String,
    /// Columns that it reads.
    pub inputs: Vec<String>,
    /// Columns that it writes.
    pub outputs: Vec<String>,
    /// The least share of rows that it must let through, from 0 to 1.
    pub min_share: f64,
    /// Rows that come out for each that goes in, as far as its author knows; for estimates.
    pub expected: f64,
    /// What it does.
    pub step: Step,
}

/// What a block does.
#[derive(Debug)]
pub enum Step {
    /// Asks the teacher.
    Generate(Generate),
    /// Takes columns out of a text.
    Parse(Parse),
    /// Asks the teacher for a verdict.
    Judge(Judge),
    /// Drops rows by what a column holds.
    Filter(Filter),
    /// Drops rows by chance.
    Sample(Sampling),
    /// Changes columns.
    Transform(Transform),
    /// Drops rows that were there before.
    Deduplicate(Deduplicate),
}

/// The names of the block types.
pub const BLOCK_TYPES: [&str; 7] = [
    "generate",
    "parse",
    "judge",
    "filter",
    "sample",
    "transform",
    "deduplicate",
];

/// What all blocks are configured with.
#[derive(Debug, Deserialize)]
pub(super) struct Common {
    pub block_name: String,
    #[serde(default)]
    pub input_cols: Columns,
    #[serde(default)]
    pub output_cols: Columns,
    #[serde(default)]
    pub min_share: f64,
    #[serde(default = "one")]
    pub expected_rows: f64,
    #[serde(flatten)]
    pub rest: serde_yaml::Mapping,
}

fn one() -> f64 {
    1.0
}

/// One column or several.
#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
pub(super) enum Columns {
    #[default]
    None,
    One(String),
    Several(Vec<String>),
}

impl Columns {
    pub fn into_vec(self) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::One(name) => vec![name],
            Self::Several(names) => names,
        }
    }
}

/// How the teacher is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Asking {
    /// The longest answer, in tokens.
    #[serde(default = "default_max_tokens")]
    pub max_tokens: u32,
    /// 0 for the likeliest answer.
    #[serde(default)]
    pub temperature: f64,
}

fn default_max_tokens() -> u32 {
    1024
}

/// Settings of `generate`.
#[derive(Debug)]
pub struct Generate {
    /// What is asked.
    pub prompt: Prompt,
    /// How.
    pub asking: Asking,
    /// Answers for each row.
    pub n: u32,
    /// Whether the answer must be JSON: of the given schema, or of the leaf's.
    pub response: Response,
}

/// The shape of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    /// Any text.
    Text,
    /// JSON that fits this schema.
    Schema(Value),
    /// As the leaf's own output has it.
    Leaf,
}

/// Settings of `parse`; one of the three ways.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parse {
    /// Marks before each output column.
    #[serde(default)]
    pub start_tags: Vec<String>,
    /// Marks behind each output column; an empty one is the next start mark or the end.
    #[serde(default)]
    pub end_tags: Vec<String>,
    /// A regular expression with one group for each output column; it may end in a look-ahead.
    #[serde(default)]
    pub parsing_pattern: Option<String>,
    /// Marks that are cut out of what the expression found.
    #[serde(default)]
    pub parser_cleanup_tags: Vec<String>,
    /// The text is a JSON object, or a list of them, with the output columns as keys.
    #[serde(default)]
    pub json: bool,
}

/// Settings of `judge`.
#[derive(Debug)]
pub struct Judge {
    /// What is asked.
    pub prompt: Prompt,
    /// How.
    pub asking: Asking,
    /// A regular expression whose first group is the verdict.
    pub verdict_pattern: regex::Regex,
    /// Verdicts that let the row through; a number means that or more.
    pub accept: Vec<Value>,
    /// All verdicts that there are; anything else is unparsable.
    pub verdicts: Vec<Value>,
    /// Whether its verdicts may be used though nobody has measured them.
    pub uncalibrated: bool,
}

/// Settings of `filter`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// How values are compared.
    pub operation: Operation,
    /// What with.
    #[serde(default)]
    pub filter_value: Value,
}

/// A comparison; the row stays where it holds for every input column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Equal, as text.
    Eq,
    /// Not equal, as text.
    Ne,
    /// Less, as numbers.
    Lt,
    /// At most, as numbers.
    Le,
    /// Greater, as numbers.
    Gt,
    /// At least, as numbers.
    Ge,
    /// The text contains the value.
    Contains,
    /// The text does not contain the value.
    NotContains,
    /// The text is among the values.
    In,
    /// At least so many words.
    MinWords,
    /// At most so many words.
    MaxWords,
    /// The text is an answer as the leaf's output has it.
    FitsOutput,
    /// The text holds no personal data and no secrets.
    NoPersonalData,
}

/// Settings of `sample`; one of the two ways.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// At most so many rows of each row that the flow began with.
    #[serde(default)]
    pub rows: Option<usize>,
    /// Each row with this probability.
    #[serde(default)]
    pub share: Option<f64>,
}

/// Settings of `transform`.
#[derive(Debug)]
pub enum Transform {
    /// The input columns under the names of the output columns.
    Copy,
    /// The input columns joined.
    Concat {
        /// What stands between them.
        separator: String,
    },
    /// The output columns get a value.
    Set {
        /// The value.
        value: Value,
    },
    /// The output column is a template over the input columns.
    Template {
        /// The template.
        template: Prompt,
    },
    /// A row for each item of the list in the input column.
    Explode,
    /// A row for each input column: its value in the first output column, its name in the second.
    Flatten,
    /// A row for each variant of the text in the input column, the text itself not among them.
    Perturb {
        /// Which.
        variants: Vec<Variant>,
    },
    /// Values of a column become others; what is not listed stays.
    Map {
        /// From each value to another.
        values: BTreeMap<String, Value>,
    },
}

/// A way to make a text harder without changing its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// Typing errors.
    Typos,
    /// Case, spacing and punctuation as keyboards produce them.
    Noise,
    /// An instruction to the model hidden in the text, which the answer ignores.
    InjectedInstruction,
}

/// Settings of `deduplicate`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deduplicate {
    /// Rows at least so similar (Jaccard, word 3-grams) to an earlier one are dropped; 1 for
    /// equal ones only.
    #[serde(default = "one")]
    pub similarity: f64,
}
