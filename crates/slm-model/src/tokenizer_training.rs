//! Trains the byte-level BPE tokenizer of a model made from nothing, with its chat template.
//!
//! A pre-token is a run of letters, one digit, a run of punctuation with at most one space on
//! either side, or white space. So a word is the same token inside a JSON string as in running
//! text (no leading space belongs to it), which is what copying a span needs; and `": "` is one.

use std::path::Path;

use serde_json::json;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, TokenizerBuilder};

use crate::checkpoint::write_atomically;
use crate::error::{ModelError, Result};

const PATTERN: &str = r"[\p{L}\p{M}_]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}_]+ ?|\s+";

/// Special tokens, in the order of their ids.
pub const SPECIAL_TOKENS: [&str; 6] = [
    "<|pad|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|tool|>",
    "<|end|>",
];

/// Id of `<|end|>`, the end of a turn.
pub const END_TOKEN: u32 = 5;

/// Each turn is its role's token, the text and `<|end|>`; the assistant's text and end are trained.
const TEMPLATE: &str = "{%- for message in messages -%}\
{%- if message['role'] not in ['system', 'user', 'assistant', 'tool'] -%}\
{{- raise_exception('unknown role: ' + message['role']) -}}{%- endif -%}\
{{- '<|' + message['role'] + '|>' -}}\
{%- if message['role'] == 'assistant' -%}{% generation %}{{- message['content'] + '<|end|>' -}}{% endgeneration %}\
{%- else -%}{{- message['content'] + '<|end|>' -}}{%- endif -%}{%- endfor -%}\
{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}";

/// Trains a tokenizer of `vocabulary` tokens on `texts` and writes its files into `dir`.
///
/// # Errors
/// When training fails or the folder cannot be written.
pub fn train(
    dir: &Path,
    vocabulary: usize,
    texts: impl Iterator<Item = String> + Send,
) -> Result<()> {
    let failed = |e: tokenizers::Error| {
        ModelError::setting(
            format!("training the tokenizer failed: {e}"),
            "check the corpus and the vocabulary size",
        )
    };
    let split = Split::new(
        SplitPattern::Regex(PATTERN.to_string()),
        SplitDelimiterBehavior::Isolated,
        false,
    )
    .map_err(failed)?;
    let bytes = ByteLevel::new(false, true, false);
    let specials = SPECIAL_TOKENS.map(|token| AddedToken::from(token, true).normalized(false));
    let mut trainer = BpeTrainer::builder()
        .vocab_size(vocabulary)
        .min_frequency(2)
        .show_progress(false)
        .special_tokens(specials.to_vec())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let mut tokenizer = TokenizerBuilder::<
        BPE,
        tokenizers::NormalizerWrapper,
        PreTokenizerWrapper,
        tokenizers::PostProcessorWrapper,
        tokenizers::DecoderWrapper,
    >::new()
    .with_model(BPE::default())
    .with_pre_tokenizer(Some(PreTokenizerWrapper::Sequence(Sequence::new(vec![
        split.into(),
        bytes.into(),
    ]))))
    .with_decoder(Some(ByteLevel::default().into()))
    .build()
    .map_err(failed)?;
    tokenizer.train(&mut trainer, texts).map_err(failed)?;
    std::fs::create_dir_all(dir).map_err(|e| ModelError::io("write", dir, e))?;
    let text = serde_json::to_string(&tokenizer).map_err(|e| failed(e.into()))?;
    write_atomically(&dir.join("tokenizer.json"), text.as_bytes())?;
    write_settings(dir)
}

fn write_settings(dir: &Path) -> Result<()> {
    let settings = json!({
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>", "pad_token": "<|pad|>",
        "bos_token": null, "unk_token": null, "add_prefix_space": false,
        "clean_up_tokenization_spaces": false, "model_max_length": 1024
    });
    let generation = json!({"eos_token_id": END_TOKEN, "pad_token_id": 0, "do_sample": false});
    for (name, value) in [
        ("tokenizer_config.json", settings),
        ("generation_config.json", generation),
    ] {
        write_atomically(
            &dir.join(name),
            serde_json::to_string_pretty(&value)
                .unwrap_or_default()
                .as_bytes(),
        )?;
    }
    write_atomically(&dir.join("chat_template.jinja"), TEMPLATE.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::{ChatMessage, Tokenizer};

    #[test]
    fn a_word_is_the_same_token_in_text_and_in_json() {
        let dir = tempfile::tempdir().unwrap();
        let texts =
            (0..200).map(|i| format!("play blue moon {i} {{\"track\":\"blue moon\",\"n\":{i}}}"));
        train(dir.path(), 320, texts).unwrap();
        let tokenizer = Tokenizer::load(dir.path()).unwrap();
        let plain = tokenizer.encode("blue moon").unwrap();
        let json = tokenizer.encode("{\"track\":\"blue moon\"}").unwrap();
        assert!(json.windows(plain.len()).any(|window| window == plain));
        let message = |role: &str, content: &str| ChatMessage {
            role: role.into(),
            content: content.into(),
        };
        let encoded = tokenizer
            .encode_chat(&[message("user", "größe 東京"), message("assistant", "moon")])
            .unwrap();
        let trained: Vec<u32> = encoded
            .tokens
            .iter()
            .zip(&encoded.assistant)
            .filter(|(_, t)| **t)
            .map(|(t, _)| *t)
            .collect();
        assert_eq!(
            trained,
            [tokenizer.encode("moon").unwrap(), vec![END_TOKEN]].concat()
        );
        assert_eq!(tokenizer.decode(&encoded.tokens).unwrap(), "größe 東京moon");
    }
}
