//! The engine against Hugging Face transformers and PEFT, on tiny checkpoints that they wrote.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use slm_infer::{Engine, EngineSettings, Finish, Model, Request};
use slm_model::quant::Threads;

/// Every checkpoint there is a reference for.
fn references() -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/hf");
    let mut found: Vec<(String, PathBuf)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, path)
        })
        .collect();
    found.sort();
    assert!(found.len() >= 8, "{found:?}");
    found
}

fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let bytes = file.tensor(name).unwrap().data();
    bytes
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

fn tokens(file: &SafeTensors<'_>, name: &str) -> Vec<u32> {
    let bytes = file.tensor(name).unwrap().data();
    bytes
        .chunks_exact(8)
        .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as u32)
        .collect()
}

/// The largest difference to the logits in `expected`, [B, T, V].
fn logits_difference(model: &Model, expected: &Path) -> f32 {
    let data = std::fs::read(expected).unwrap();
    let file = SafeTensors::deserialize(&data).unwrap();
    let length = file.tensor("input_ids").unwrap().shape()[1];
    let inputs = tokens(&file, "input_ids");
    let got: Vec<f32> = inputs
        .chunks(length)
        .flat_map(|row| model.all_logits(row, Threads::All))
        .collect();
    let want = floats(&file, "logits");
    assert_eq!(got.len(), want.len());
    got.iter()
        .zip(&want)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn logits_agree_with_transformers_and_peft() {
    for (family, dir) in references() {
        let plain = Model::load(&dir).unwrap();
        let difference = logits_difference(&plain, &dir.join("expected.safetensors"));
        assert!(difference < 1e-3, "{family}: {difference}");
        let adapter = dir.join("adapter");
        if !adapter.is_dir() {
            continue;
        }
        let adapted = Model::load_adapted(&dir, Some(&adapter)).unwrap();
        let difference = logits_difference(&adapted, &adapter.join("expected.safetensors"));
        assert!(difference < 1e-3, "{family} with adapter: {difference}");
        let without = logits_difference(&plain, &adapter.join("expected.safetensors"));
        assert!(without > 1e-2, "{family}: the adapter changes nothing");
    }
}

#[test]
fn greedy_answers_agree_with_transformers() {
    for (family, dir) in references() {
        let data = std::fs::read(dir.join("expected.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&data).unwrap();
        let (prompt, whole) = (
            tokens(&file, "generate_prompt"),
            tokens(&file, "generate_output"),
        );
        for batch in [1, 4] {
            let model = Model::load(&dir).unwrap();
            let engine = Engine::with_settings(model, EngineSettings { batch });
            let new = whole.len() - prompt.len();
            let requests = vec![Request::greedy(prompt.clone(), new, vec![]); batch];
            for answer in engine.generate(&requests, &mut |_| {}) {
                let answer = answer.unwrap();
                assert_eq!([prompt.clone(), answer.tokens].concat(), whole, "{family}");
                assert_eq!(
                    (answer.finish, answer.prefill_tokens),
                    (Finish::Length, prompt.len())
                );
            }
        }
    }
}
