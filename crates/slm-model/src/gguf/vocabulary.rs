//! A tokenizer as GGUF tells it: byte-level BPE as tokens with their kinds, merges, and the name by
//! which llama.cpp knows how a text is cut before merging; SentencePiece's as tokens with scores.
//!
//! llama.cpp has the cuts in its source; a tokenizer that cuts in none of these ways cannot be told
//! exactly. `superbpe`, which parts only digits from the rest, comes nearest for one whose merges
//! never join what it parts: only where merges could go either way are tokens others.

use std::path::Path;

use serde_json::{Value, json};

use super::format::{GgufFile, Metadata};
use super::sentencepiece::{self, Pieces};
use crate::error::{ModelError, Result};
use crate::json_file::read_json;
use crate::tokenizer_files::TokenizerFiles;

const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const NANO: &str = r"[\p{L}\p{M}_]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}_]+ ?|\s+";

/// A tokenizer's metadata, and what to know about it.
pub struct Vocabulary {
    /// Keys and values.
    pub metadata: Vec<(String, Metadata)>,
    /// The name of the cut.
    pub pre: String,
    /// Whether llama.cpp cuts every text as the tokenizer does.
    pub exact: bool,
}

/// Reads the tokenizer of a model's folder, for a model with `rows` rows in its embedding and the
/// stop tokens `stops`. `pre` names the cut where it is not known.
///
/// # Errors
/// When the tokenizer is of a kind that GGUF cannot tell.
pub fn read(dir: &Path, rows: usize, stops: &[u32], pre: Option<&str>) -> Result<Vocabulary> {
    let path = dir.join("tokenizer.json");
    let json = read_json(&path)?;
    let refuse = |problem: String, hint: &str| ModelError::invalid(&path, problem, hint);
    let model = &json["model"];
    let vocab = model["vocab"].as_object();
    let pieces = Pieces::read(&json);
    let known = pieces.is_some() || model["type"] == "BPE" && byte_level(&json);
    let (Some(vocab), true) = (vocab, known) else {
        return Err(refuse(
            "the tokenizer is neither byte-level BPE nor SentencePiece's with bytes".to_owned(),
            "other kinds are not exported; convert the model with llama.cpp's own script",
        ));
    };
    let normalized = !json["normalizer"].is_null() && json["normalizer"]["type"] != "NFC";
    if pieces.is_none() && normalized {
        let problem = format!(
            "the tokenizer has a normalizer: {}",
            json["normalizer"]["type"]
        );
        return Err(refuse(problem, "llama.cpp has none for byte-level BPE"));
    }
    let (name, exact) = match (&pieces, pre, cut(&json["pre_tokenizer"])) {
        (Some(pieces), ..) => ("default".to_owned(), pieces.exact),
        (None, Some(pre), _) => (pre.to_owned(), false),
        (None, None, Some((name, exact))) => (name.to_owned(), exact),
        (None, None, None) => {
            return Err(refuse(
                "the way it cuts texts is none that is known by llama.cpp's name".to_owned(),
                "name it with `--pre`, as in `llama_vocab::impl::load` of llama.cpp",
            ));
        }
    };
    let mut tokens: Vec<Option<(String, i32)>> = vec![None; rows];
    let mut put = |text: &str, id: &Value, kind: i32| {
        let id = id.as_u64().and_then(|id| usize::try_from(id).ok());
        let place = id.and_then(|id| tokens.get_mut(id));
        let place = place.ok_or_else(|| {
            let problem = format!("token `{text}` has no row in the model's embedding of {rows}");
            refuse(problem, "tokenizer and model do not belong together")
        })?;
        *place = Some((text.to_owned(), kind));
        Ok::<(), ModelError>(())
    };
    let own = |text: &str| pieces.as_ref().map_or(NORMAL, |pieces| pieces.kind(text));
    let joined = |text: &str| pieces.as_ref().is_some_and(|pieces| pieces.joined(text));
    for (text, id) in vocab {
        put(text, id, own(text))?;
    }
    for added in json["added_tokens"].as_array().into_iter().flatten() {
        let text = added["content"].as_str().unwrap_or_default();
        let kind = match added["special"] == true {
            _ if own(text) == sentencepiece::UNKNOWN => sentencepiece::UNKNOWN,
            true => CONTROL,
            false if joined(text) => NORMAL,
            false => USER_DEFINED,
        };
        put(text, &added["id"], kind)?;
    }
    let stripping = Stripping::of(&json);
    let (mut texts, mut kinds) = (Vec::new(), Vec::new());
    for (id, token) in tokens.into_iter().enumerate() {
        let (text, kind) = token.unwrap_or_else(|| (format!("[PAD{id}]"), UNUSED));
        texts.push(text);
        kinds.push(kind);
    }
    let merge = |merge: &Value| match merge {
        Value::Array(pair) => {
            let parts: Vec<&str> = pair.iter().filter_map(Value::as_str).collect();
            parts.join(" ")
        }
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    let merges = model["merges"].as_array().into_iter().flatten();
    let merges: Vec<String> = merges.map(merge).collect();
    let folder = dir.file_name().unwrap_or_default().to_string_lossy();
    let strips = stripping == Stripping::Behind && has_phi_tokens(&texts);
    let mut metadata = vec![
        text("general.name", &model_name(&folder, strips)),
        text(
            "tokenizer.ggml.model",
            if pieces.is_some() { "llama" } else { "gpt2" },
        ),
        text("tokenizer.ggml.pre", &name),
    ];
    let scores = pieces.as_ref().map(|pieces| {
        let scores = texts.iter().map(|text: &String| pieces.score(text));
        (scores.collect(), pieces.prefix)
    });
    let id_of = |token: Option<String>| {
        let token = token?;
        texts
            .iter()
            .position(|text| *text == token)
            .map(|id| id as u32)
    };
    let files = TokenizerFiles::read(dir);
    let mut ids = vec![
        ("bos", id_of(files.token("bos_token"))),
        ("padding", id_of(files.token("pad_token"))),
        ("unknown", id_of(files.token("unk_token"))),
    ];
    // llama.cpp ends an answer at each of these.
    for (key, stop) in ["eos", "eot", "eom"].into_iter().zip(stops) {
        ids.push((key, Some(*stop)));
    }
    metadata.push(("tokenizer.ggml.tokens".to_owned(), Metadata::Texts(texts)));
    metadata.push((
        "tokenizer.ggml.token_type".to_owned(),
        Metadata::Integers(kinds),
    ));
    match scores {
        Some((scores, prefix)) => {
            metadata.push(("tokenizer.ggml.scores".to_owned(), Metadata::Floats(scores)));
            let key = "tokenizer.ggml.add_space_prefix".to_owned();
            metadata.push((key, Metadata::Bool(prefix)));
        }
        None => metadata.push(("tokenizer.ggml.merges".to_owned(), Metadata::Texts(merges))),
    }
    for (key, id) in ids {
        if let Some(id) = id {
            metadata.push((format!("tokenizer.ggml.{key}_token_id"), Metadata::U32(id)));
        }
    }
    // Templates write the token that opens a text.
    for key in [
        "tokenizer.ggml.add_bos_token",
        "tokenizer.ggml.add_eos_token",
    ] {
        metadata.push((key.to_owned(), Metadata::Bool(false)));
    }
    for (name, template) in files.templates() {
        let key = match name.as_str() {
            "default" => "tokenizer.chat_template".to_owned(),
            other => format!("tokenizer.chat_template.{other}"),
        };
        metadata.push((key, Metadata::Text(without_generation(&template))));
    }
    Ok(Vocabulary {
        metadata,
        pre: name,
        exact: exact && (strips || stripping == Stripping::None),
    })
}

/// Whether added tokens take blanks beside them with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stripping {
    None,
    /// Special ones take those behind them, as Phi-3's do.
    Behind,
    Other,
}

impl Stripping {
    fn of(json: &Value) -> Self {
        let added = json["added_tokens"].as_array();
        let added = || added.into_iter().flatten();
        let has = |key: &str| added().any(|token| token[key] == true);
        match (has("rstrip"), has("lstrip") || has("single_word")) {
            (false, false) => Self::None,
            (true, false) => Self::Behind,
            _ => Self::Other,
        }
    }
}

/// llama.cpp takes blanks behind special tokens where the model's name tells that it is Phi-3, and
/// then wants these tokens to be there.
const PHI_TOKENS: [&str; 4] = ["</s>", "<unk>", "<s>", "<|endoftext|>"];

fn has_phi_tokens(texts: &[String]) -> bool {
    let known = |token: &&str| texts.iter().any(|text| text == token);
    PHI_TOKENS.iter().all(known)
}

/// The model's name such that llama.cpp takes blanks behind special tokens, or leaves them.
fn model_name(folder: &str, strips: bool) -> String {
    let lower = folder.to_lowercase();
    let told = lower.contains("phi-3") || lower.contains("phi3");
    match (told, strips) {
        (true, false) => lower.replace("phi-3", "phi_3").replace("phi3", "phi_3"),
        (false, true) => format!("phi-3 {folder}"),
        _ => folder.to_owned(),
    }
}

fn text(key: &str, value: &str) -> (String, Metadata) {
    (key.to_owned(), Metadata::Text(value.to_owned()))
}

/// The steps of a pre-tokenizer.
fn steps(pre: &Value) -> Vec<&Value> {
    match pre["pretokenizers"].as_array() {
        Some(steps) => steps.iter().collect(),
        None => vec![pre],
    }
}

fn byte_level(json: &Value) -> bool {
    let steps = steps(&json["pre_tokenizer"]);
    steps.last().is_some_and(|last| last["type"] == "ByteLevel")
}

/// llama.cpp's name of a pre-tokenizer, and whether it cuts in the same way.
fn cut(pre: &Value) -> Option<(&'static str, bool)> {
    let steps = steps(pre);
    let own = steps.last()?["use_regex"] != false;
    match (&steps[..steps.len() - 1], own) {
        ([], true) => Some(("gpt-2", true)),
        ([digits], true) if digits["type"] == "Digits" => {
            (digits["individual_digits"] == true).then_some(("smollm", true))
        }
        ([split], false) if split["type"] == "Split" => {
            match split["pattern"]["Regex"].as_str()? {
                LLAMA3 => Some(("llama-bpe", true)),
                QWEN2 => Some(("qwen2", true)),
                NANO => Some(("superbpe", false)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The parts of `tokenizer.json` that are a byte-level tokenizer's own, or why it is not known.
fn byte_level_parts(
    file: &GgufFile,
    vocab: serde_json::Map<String, Value>,
) -> std::result::Result<Vec<(&'static str, Value)>, String> {
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
        "use_regex": false});
    let with_regex = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
        "use_regex": true});
    let split = |pattern: &str| {
        let split = json!({"type": "Split", "pattern": {"Regex": pattern},
            "behavior": "Isolated", "invert": false});
        json!({"type": "Sequence", "pretokenizers": [split, bytes]})
    };
    let name = match file.get("tokenizer.ggml.pre") {
        Some(Metadata::Text(name)) => name.as_str(),
        _ => "",
    };
    let pre = match name {
        "gpt-2" => with_regex,
        "smollm" => json!({"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": true}, with_regex]}),
        "llama-bpe" | "llama3" => split(LLAMA3),
        "qwen2" => split(QWEN2),
        "superbpe" => split(NANO),
        other => return Err(format!("the tokenizer cuts texts as `{other}`")),
    };
    let Some(Metadata::Texts(merges)) = file.get("tokenizer.ggml.merges") else {
        return Err("it holds no merges".to_owned());
    };
    let merges: Vec<Value> = merges
        .iter()
        .filter_map(|merge| merge.split_once(' '))
        .map(|(a, b)| json!([a, b]))
        .collect();
    let decoder = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
        "use_regex": true});
    // As llama.cpp does for Llama 3, whose tokenizer says so.
    let ignore = matches!(name, "llama-bpe" | "llama3");
    let model = json!({"type": "BPE", "dropout": null, "unk_token": null,
        "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
        "byte_fallback": false, "ignore_merges": ignore, "vocab": vocab, "merges": merges});
    Ok(vec![
        ("pre_tokenizer", pre),
        ("decoder", decoder),
        ("model", model),
    ])
}

/// A template without the tags that mark the assistant's words, which llama.cpp does not know; a
/// comment in their place keeps what they do to blanks.
fn without_generation(template: &str) -> String {
    let (mut out, mut rest) = (String::new(), template);
    while let Some(start) = rest.find("{%") {
        let Some(length) = rest[start..].find("%}") else {
            break;
        };
        let tag = &rest[start..start + length + 2];
        let inner = &tag[2..tag.len() - 2];
        let word = inner.trim_matches(|c: char| c == '-' || c == '+' || c.is_whitespace());
        out.push_str(&rest[..start]);
        if matches!(word, "generation" | "endgeneration") {
            let before = if inner.starts_with('-') { "-" } else { "" };
            let after = if inner.ends_with('-') { "-" } else { "" };
            out.push_str(&format!("{{#{before} {after}#}}"));
        } else {
            out.push_str(tag);
        }
        rest = &rest[start + length + 2..];
    }
    out + rest
}

/// The files of a tokenizer that a GGUF file tells: `tokenizer.json`, `tokenizer_config.json` and
/// the chat template.
///
/// # Errors
/// When it is of a kind that is not known here.
pub fn restore(file: &GgufFile) -> Result<Vec<(&'static str, String)>> {
    let refuse = |problem: String| {
        ModelError::invalid(
            file.path(),
            problem,
            "known: byte-level BPE (`gpt2`) cut as gpt-2, smollm, llama-bpe, qwen2 or superbpe, and SentencePiece's (`llama`)",
        )
    };
    let named = |key: &str| match file.get(key) {
        Some(Metadata::Text(text)) => text.as_str(),
        _ => "",
    };
    let Some(Metadata::Texts(tokens)) = file.get("tokenizer.ggml.tokens") else {
        return Err(refuse("it holds no tokenizer".to_owned()));
    };
    let kinds = match file.get("tokenizer.ggml.token_type") {
        Some(Metadata::Integers(kinds)) => kinds.as_slice(),
        _ => &[],
    };
    let kind = |id: usize| kinds.get(id).copied().unwrap_or(NORMAL);
    let mut vocab = serde_json::Map::new();
    let mut added = Vec::new();
    for (id, token) in tokens.iter().enumerate() {
        if kind(id) == UNUSED {
            continue;
        }
        // Added tokens too: otherwise they would be numbered behind all others.
        vocab.insert(token.clone(), id.into());
        if matches!(kind(id), CONTROL | USER_DEFINED | sentencepiece::UNKNOWN) {
            added.push(
                json!({"id": id, "content": token, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": kind(id) != USER_DEFINED}),
            );
        }
    }
    let own = match named("tokenizer.ggml.model") {
        "gpt2" => byte_level_parts(file, vocab).map_err(refuse)?,
        "llama" => {
            let Some(Metadata::Floats(scores)) = file.get("tokenizer.ggml.scores") else {
                return Err(refuse("its tokens have no scores".to_owned()));
            };
            let pieces = tokens.iter().zip(scores).enumerate();
            let pieces: Vec<(&str, f32, i32)> = pieces
                .map(|(id, (text, score))| (text.as_str(), *score, kind(id)))
                .collect();
            let without = Some(&Metadata::Bool(false));
            let prefix = file.get("tokenizer.ggml.add_space_prefix") != without;
            sentencepiece::restore(&pieces, vocab, prefix).to_vec()
        }
        other => return Err(refuse(format!("the tokenizer is of the kind `{other}`"))),
    };
    let mut tokenizer = json!({"version": "1.0", "truncation": null, "padding": null,
        "added_tokens": added, "normalizer": null, "pre_tokenizer": null, "post_processor": null});
    for (key, value) in own {
        tokenizer[key] = value;
    }
    let token = |key: &str| match file.get(&format!("tokenizer.ggml.{key}_token_id")) {
        Some(Metadata::U32(id)) => tokens.get(*id as usize).map_or(Value::Null, |t| json!(t)),
        _ => Value::Null,
    };
    let settings = json!({"tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": token("bos"), "eos_token": token("eos"), "pad_token": token("padding"),
        "unk_token": token("unknown"), "clean_up_tokenization_spaces": false});
    let mut files = vec![
        ("tokenizer.json", tokenizer.to_string()),
        ("tokenizer_config.json", settings.to_string()),
    ];
    if let Some(Metadata::Text(template)) = file.get("tokenizer.chat_template") {
        files.push(("chat_template.jinja", template.clone()));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_known_by_name() {
        let split = |regex: &str| {
            json!({"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": regex}},
                {"type": "ByteLevel", "use_regex": false}]})
        };
        assert_eq!(cut(&split(QWEN2)), Some(("qwen2", true)));
        assert_eq!(cut(&split(NANO)), Some(("superbpe", false)));
        assert_eq!(cut(&split("x")), None);
        assert_eq!(cut(&json!({"type": "ByteLevel"})), Some(("gpt-2", true)));
        let digits = json!({"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": true}, {"type": "ByteLevel"}]});
        assert_eq!(cut(&digits), Some(("smollm", true)));
    }

    #[test]
    fn blanks_behind_special_tokens_are_told_by_the_model_s_name() {
        let cases = [
            ("Phi-3-mini", false, "phi_3-mini"),
            ("Phi-3-mini", true, "Phi-3-mini"),
            ("tuned", true, "phi-3 tuned"),
            ("tuned", false, "tuned"),
        ];
        for (folder, strips, name) in cases {
            assert_eq!(model_name(folder, strips), name);
        }
        let with = |key: &str| json!({"added_tokens": [{"content": "<s>", key: true}]});
        assert_eq!(Stripping::of(&with("special")), Stripping::None);
        assert_eq!(Stripping::of(&with("rstrip")), Stripping::Behind);
        assert_eq!(Stripping::of(&with("lstrip")), Stripping::Other);
    }

    #[test]
    fn marks_of_the_assistant_are_left_out() {
        let template = "a {% generation %}b{%- endgeneration -%} {%- if x -%}c{% endif %} {% open";
        let plain = "a {# #}b{#- -#} {%- if x -%}c{% endif %} {% open";
        assert_eq!(without_generation(template), plain);
    }
}
