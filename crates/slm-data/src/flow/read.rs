//! Flows from YAML files, every fault of a file at once.
//!
//! Does not know whether blocks fit together; that is `check`'s.

use super::check::check;
use super::instructlab;
use super::pattern::pattern;
use super::prompt::{Prompt, PromptMessage};
use super::spec::*;
use crate::error::{DataError, Place, Result};
use crate::sample::hex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_yaml::{Mapping, Value as Yaml};
use sha2::{Digest, Sha256};
use std::path::Path;

/// The largest flow or prompt file, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    metadata: Metadata,
    blocks: Vec<RawBlock>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBlock {
    block_type: String,
    block_config: Yaml,
}

/// Reads and checks a flow from a file.
///
/// # Errors
/// The file cannot be read, or is no flow; all its faults are told.
pub fn read_flow(path: &Path) -> Result<Flow> {
    let text = read_text(path)?;
    parse_flow(path, &text)
}

/// Reads and checks a flow from text; `path` names it, and prompts lie beside it.
///
/// # Errors
/// As [`read_flow`].
pub fn parse_flow(path: &Path, text: &str) -> Result<Flow> {
    let fault = |error: serde_yaml::Error| {
        let place = error.location().map_or(Place::file(path), |at| {
            Place::at(path, at.line(), at.column())
        });
        let message = error.to_string();
        let message = message
            .split(" at line ")
            .next()
            .unwrap_or_default()
            .to_owned();
        DataError::content(
            place,
            format!("not a flow: {message}"),
            "a flow has `metadata` and `blocks`; compare with `slm data flows --show knowledge`",
        )
    };
    let mut reader = Reader {
        path,
        text,
        digest: Sha256::new_with_prefix(text),
        faults: Vec::new(),
    };
    if let Ok(document) = serde_yaml::from_str::<Yaml>(text)
        && instructlab::is_pipeline(&document)
    {
        return reader.pipeline(document);
    }
    // From the text, not from the value: its faults have places.
    let file: File = serde_yaml::from_str(text).map_err(fault)?;
    let mut blocks = Vec::new();
    for (n, raw) in file.blocks.into_iter().enumerate() {
        match reader.block(raw) {
            Ok(block) => blocks.push(block),
            Err((name, message, hint)) => {
                let name = name.unwrap_or_else(|| format!("number {}", n + 1));
                reader.fault(&name, &message, &hint);
            }
        }
    }
    reader.finish(file.metadata, blocks)
}

fn read_text(path: &Path) -> Result<String> {
    let about = std::fs::metadata(path).map_err(|e| DataError::io(path, "read", e))?;
    if about.len() > LARGEST_FILE {
        return Err(DataError::content(
            Place::file(path),
            "the file has more than 1 MiB",
            "is it a flow?",
        ));
    }
    std::fs::read_to_string(path).map_err(|e| DataError::io(path, "read", e))
}

/// The text of a prompt file that lies beside a flow; it shapes the flow's hash.
fn beside(
    flow: &Path,
    name: &str,
    digest: &mut Sha256,
) -> std::result::Result<String, (String, String)> {
    let path = flow.parent().unwrap_or(Path::new(".")).join(name);
    let text = read_text(&path).map_err(|e| {
        let told = e.to_string();
        let message = format!("its prompt: {}", told.lines().next().unwrap_or_default());
        (message, e.hint().to_owned())
    })?;
    digest.update(&text);
    Ok(text)
}

type Fault = (Option<String>, String, String);

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    digest: Sha256,
    faults: Vec<DataError>,
}

impl Reader<'_> {
    /// The flow, unless there were faults.
    fn finish(mut self, metadata: Metadata, blocks: Vec<Block>) -> Result<Flow> {
        // Blocks that cannot be read would make others look wrong.
        if self.faults.is_empty() {
            for fault in check(&metadata, &blocks) {
                self.fault(&fault.block, &fault.message, &fault.hint);
            }
        }
        match self.faults.is_empty() {
            true => Ok(Flow {
                metadata,
                blocks,
                hash: hex(&self.digest.finalize()),
            }),
            false => Err(DataError::Several {
                faults: self.faults,
            }),
        }
    }

    /// A pipeline as InstructLab writes them.
    fn pipeline(mut self, document: Yaml) -> Result<Flow> {
        let path = self.path;
        let digest = &mut self.digest;
        let mut load = |name: &str| beside(path, name, digest);
        match instructlab::translate(path, document, &mut load) {
            Ok((metadata, blocks)) => self.finish(metadata, blocks),
            Err(faults) => {
                for (block, message, hint) in faults {
                    self.fault(&block, &message, &hint);
                }
                self.finish(Metadata::default(), Vec::new())
            }
        }
    }

    /// Notes a fault at the line where the block is named.
    fn fault(&mut self, block: &str, message: &str, hint: &str) {
        let key = match self.text.contains("block_name:") {
            true => "block_name:",
            false => "name:",
        };
        let named = |line: &str| {
            let value = line
                .split_once(key)
                .map(|(_, rest)| rest.split([',', '}', '#']).next().unwrap_or(rest));
            value.is_some_and(|value| value.trim().trim_matches(['"', '\'']) == block)
        };
        let line = self.text.lines().position(named).map(|n| n + 1);
        let place = Place {
            path: self.path.to_owned(),
            line,
            column: None,
        };
        let message = match block.is_empty() {
            true => message.to_owned(),
            false => format!("block `{block}`: {message}"),
        };
        self.faults.push(DataError::content(place, message, hint));
    }

    fn block(&mut self, raw: RawBlock) -> std::result::Result<Block, Fault> {
        let common: Common = serde_yaml::from_value(raw.block_config).map_err(|e| {
            (
                None,
                format!("`block_config`: {e}"),
                "give it at least `block_name`, `input_cols` and `output_cols`".into(),
            )
        })?;
        let name = common.block_name.clone();
        let step = self
            .step(&raw.block_type, common.rest)
            .map_err(|(message, hint)| (Some(name.clone()), message, hint))?;
        Ok(Block {
            name,
            inputs: common.input_cols.into_vec(),
            outputs: common.output_cols.into_vec(),
            min_share: common.min_share,
            expected: common.expected_rows,
            step,
        })
    }

    fn step(&mut self, kind: &str, rest: Mapping) -> std::result::Result<Step, (String, String)> {
        match kind {
            "generate" => self.generate(rest).map(Step::Generate),
            "judge" => self.judge(rest).map(Step::Judge),
            "parse" => settings(rest).map(Step::Parse),
            "filter" => settings(rest).map(Step::Filter),
            "sample" => settings(rest).map(Step::Sample),
            "deduplicate" => settings(rest).map(Step::Deduplicate),
            "transform" => transform(rest).map(Step::Transform),
            other => {
                let near = slm_taxonomy::nearest(&other.to_lowercase(), BLOCK_TYPES);
                let hint = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the block types are {}", BLOCK_TYPES.join(", ")),
                };
                Err((format!("`{other}` is no block type"), hint))
            }
        }
    }

    fn generate(&mut self, mut rest: Mapping) -> std::result::Result<Generate, (String, String)> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw {
            #[serde(default = "default_n")]
            n: u32,
            #[serde(default)]
            response_format: Option<Yaml>,
            #[serde(default = "default_max")]
            max_tokens: u32,
            #[serde(default)]
            temperature: f64,
        }
        let prompt = self.prompt(&mut rest)?;
        let raw: Raw = settings(rest)?;
        let response = match raw.response_format {
            None => Response::Text,
            Some(Yaml::String(word)) if word == "leaf" => Response::Leaf,
            Some(schema @ Yaml::Mapping(_)) => Response::Schema(to_json(schema)?),
            Some(_) => {
                return Err((
                    "`response_format` is neither `leaf` nor a JSON Schema".into(),
                    "give `leaf`, a schema, or leave it out".into(),
                ));
            }
        };
        let asking = Asking {
            max_tokens: raw.max_tokens,
            temperature: raw.temperature,
        };
        Ok(Generate {
            prompt,
            asking,
            n: raw.n,
            response,
        })
    }

    fn judge(&mut self, mut rest: Mapping) -> std::result::Result<Judge, (String, String)> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw {
            verdict_pattern: String,
            verdicts: Vec<Value>,
            accept: Vec<Value>,
            #[serde(default)]
            uncalibrated: bool,
            #[serde(default = "default_max")]
            max_tokens: u32,
            #[serde(default)]
            temperature: f64,
        }
        let prompt = self.prompt(&mut rest)?;
        let raw: Raw = settings(rest)?;
        let verdict_pattern = pattern(&raw.verdict_pattern)?;
        let asking = Asking {
            max_tokens: raw.max_tokens,
            temperature: raw.temperature,
        };
        Ok(Judge {
            prompt,
            asking,
            verdict_pattern,
            accept: raw.accept,
            verdicts: raw.verdicts,
            uncalibrated: raw.uncalibrated,
        })
    }

    /// The prompt, given as `prompt` or in the file `prompt_config_path`.
    fn prompt(&mut self, rest: &mut Mapping) -> std::result::Result<Prompt, (String, String)> {
        let mend = || {
            "give `prompt` as a list of `{role, content}`, or `prompt_config_path` with a file that holds one".to_owned()
        };
        let given = match (rest.remove("prompt"), rest.remove("prompt_config_path")) {
            (Some(messages), None) => messages,
            (None, Some(Yaml::String(name))) => {
                let text = beside(self.path, &name, &mut self.digest)?;
                serde_yaml::from_str(&text)
                    .map_err(|e| (format!("its prompt `{name}` is no YAML: {e}"), mend()))?
            }
            _ => return Err(("it has no prompt, or two".into(), mend())),
        };
        let messages: Vec<PromptMessage> =
            serde_yaml::from_value(given).map_err(|e| (format!("its prompt: {e}"), mend()))?;
        Prompt::new(messages).map_err(|message| {
            (
                message,
                "see https://jinja.palletsprojects.com for the syntax".into(),
            )
        })
    }
}

fn default_n() -> u32 {
    1
}

fn default_max() -> u32 {
    1024
}

fn settings<T: DeserializeOwned>(rest: Mapping) -> std::result::Result<T, (String, String)> {
    serde_yaml::from_value(Yaml::Mapping(rest)).map_err(|e| {
        (
            e.to_string(),
            "the block's settings are described in docs/flows.md".into(),
        )
    })
}

fn to_json(value: Yaml) -> std::result::Result<Value, (String, String)> {
    serde_json::to_value(value).map_err(|e| {
        (
            format!("a setting is no JSON: {e}"),
            "use text as keys".into(),
        )
    })
}

fn transform(mut rest: Mapping) -> std::result::Result<Transform, (String, String)> {
    const KINDS: [&str; 8] = [
        "copy", "concat", "set", "template", "explode", "flatten", "perturb", "map",
    ];
    let kind = match rest.remove("operation") {
        Some(Yaml::String(kind)) => kind,
        _ => {
            return Err((
                "it has no `operation`".into(),
                format!("give one of {}", KINDS.join(", ")),
            ));
        }
    };
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Concat {
        #[serde(default)]
        separator: String,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Set {
        value: Value,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Template {
        template: String,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Perturb {
        variants: Vec<Variant>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Map {
        values: std::collections::BTreeMap<String, Value>,
    }
    match kind.as_str() {
        "copy" => settings::<Nothing>(rest).map(|_| Transform::Copy),
        "flatten" => settings::<Nothing>(rest).map(|_| Transform::Flatten),
        "explode" => settings::<Nothing>(rest).map(|_| Transform::Explode),
        "concat" => settings::<Concat>(rest).map(|c| Transform::Concat {
            separator: c.separator,
        }),
        "set" => settings::<Set>(rest).map(|s| Transform::Set { value: s.value }),
        "perturb" => settings::<Perturb>(rest).map(|p| Transform::Perturb {
            variants: p.variants,
        }),
        "map" => settings::<Map>(rest).map(|m| Transform::Map { values: m.values }),
        "template" => {
            let raw: Template = settings(rest)?;
            let message = PromptMessage {
                role: "user".into(),
                content: raw.template,
            };
            let template = Prompt::new(vec![message]).map_err(|m| {
                (
                    m,
                    "see https://jinja.palletsprojects.com for the syntax".into(),
                )
            })?;
            Ok(Transform::Template { template })
        }
        other => {
            let hint = slm_taxonomy::nearest(other, KINDS)
                .map_or(format!("the operations are {}", KINDS.join(", ")), |near| {
                    format!("did you mean `{near}`?")
                });
            Err((format!("`{other}` is no operation of `transform`"), hint))
        }
    }
}
