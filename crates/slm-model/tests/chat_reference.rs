//! Token ids, rendered conversations and masks against what transformers computed, for every
//! recorded checkpoint: with the template's `generation` blocks, and without them.
//!
//! Does not know weights.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use slm_model::{ChatMessage, Tokenizer};

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/hf");
    let mut folders: Vec<PathBuf> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|folder| folder.join("expected.json").is_file())
        .collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

fn expected(folder: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join("expected.json")).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<u32> {
    let numbers = value.as_array().unwrap().iter();
    numbers
        .map(|number| number.as_u64().unwrap() as u32)
        .collect()
}

/// The folder's tokenizer with a template that has no `generation` blocks.
fn without_blocks(folder: &Path, place: &Path) -> Tokenizer {
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(folder.join(name), place.join(name)).unwrap();
    }
    let template = fs::read_to_string(folder.join("chat_template.jinja")).unwrap();
    let plain = template
        .replace("{% generation %}", "")
        .replace("{% endgeneration %}", "");
    assert_ne!(plain, template);
    fs::write(place.join("chat_template.jinja"), plain).unwrap();
    Tokenizer::load(place).unwrap()
}

#[test]
fn texts_have_the_same_tokens() {
    for folder in folders() {
        let tokenizer = Tokenizer::load(&folder).unwrap();
        for case in expected(&folder)["texts"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            assert_eq!(
                tokenizer.encode(text).unwrap(),
                numbers(&case["ids"]),
                "{folder:?}: {text:?}"
            );
        }
    }
}

#[test]
fn conversations_have_the_same_text_tokens_and_mask_with_blocks_and_without() {
    for folder in folders() {
        let place = tempfile::tempdir().unwrap();
        let tokenizers = [
            Tokenizer::load(&folder).unwrap(),
            without_blocks(&folder, place.path()),
        ];
        for (tokenizer, case) in tokenizers.iter().flat_map(|tokenizer| {
            expected(&folder)["chats"]
                .as_array()
                .unwrap()
                .clone()
                .into_iter()
                .map(move |case| (tokenizer, case))
        }) {
            let messages: Vec<ChatMessage> =
                serde_json::from_value(case["messages"].clone()).unwrap();
            let question = &messages[..messages.len() - 1];
            assert_eq!(
                tokenizer.render(&messages, false).unwrap(),
                case["rendered"],
                "{folder:?}"
            );
            assert_eq!(
                tokenizer.render(question, true).unwrap(),
                case["rendered_generation_prompt"]
            );
            let encoded = tokenizer.encode_chat(&messages).unwrap();
            assert_eq!(encoded.tokens, numbers(&case["ids"]), "{folder:?}");
            let mask: Vec<u32> = encoded
                .assistant
                .iter()
                .map(|own| u32::from(*own))
                .collect();
            assert_eq!(mask, numbers(&case["assistant_mask"]), "{folder:?}");
            assert!(tokenizer.ends_turn(&encoded));
        }
    }
}

#[test]
fn the_token_that_opens_a_text_is_there_once() {
    let folder = &folders()[0];
    let place = tempfile::tempdir().unwrap();
    // A tokenizer that opens every text with `<|endoftext|>`, as Llama's does.
    let mut tokenizer: Value =
        serde_json::from_str(&fs::read_to_string(folder.join("tokenizer.json")).unwrap()).unwrap();
    let piece = |name: &str| serde_json::json!({name: {"id": if name == "Sequence" { "A" } else { "<|endoftext|>" }, "type_id": 0}});
    tokenizer["post_processor"] = serde_json::json!({
        "type": "TemplateProcessing",
        "single": [piece("SpecialToken"), piece("Sequence")],
        "pair": [piece("Sequence"), {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}}
    });
    fs::write(place.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    fs::copy(
        folder.join("tokenizer_config.json"),
        place.path().join("tokenizer_config.json"),
    )
    .unwrap();
    let template =
        "{{ bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}";
    fs::write(place.path().join("chat_template.jinja"), template).unwrap();
    let tokenizer = Tokenizer::load(place.path()).unwrap();
    let opens = |tokens: &[u32]| tokens.iter().filter(|token| **token == 0).count();
    let messages = [
        ChatMessage::new("user", "a"),
        ChatMessage::new("assistant", "b"),
    ];
    assert_eq!(opens(&tokenizer.encode_prompt(&messages[..1]).unwrap()), 1);
    assert_eq!(opens(&tokenizer.encode_chat(&messages).unwrap().tokens), 1);
    for text in ["a", "<|endoftext|>a"] {
        let encoded = tokenizer.encode_text(text).unwrap();
        assert_eq!(opens(&encoded.tokens), 1, "{text}");
        assert_eq!(encoded.tokens.last().copied(), tokenizer.eos_token());
        assert!(tokenizer.ends_turn(&encoded));
    }
    let encoded = tokenizer.encode_completion("2+2=", "4").unwrap();
    let learned: Vec<bool> = encoded.assistant.clone();
    assert_eq!(learned.iter().filter(|own| **own).count(), 2, "{encoded:?}");
    let halves = encoded.split(encoded.tokens.len() - 1);
    assert_eq!(
        halves.len(),
        1,
        "the last part has one token, and nothing before it"
    );
}
