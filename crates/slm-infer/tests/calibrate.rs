//! GPTQ on a model that was trained: nearer to the original than rounding, at the same size.

use std::path::{Path, PathBuf};

use slm_infer::{Model, calibrate, fidelity};
use slm_model::Tokenizer;
use slm_model::quant::{
    Bits, Format, Group, Method, QuantizeSettings, quantize_checkpoint, quantize_checkpoint_with,
};

fn nano() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../workspace/models/slm-nano")
}

/// Questions such as the model was made for, in tokens, all different.
fn texts(tokenizer: &Tokenizer, first: usize, count: usize) -> Vec<Vec<u32>> {
    let names = [
        "ada", "ben", "cleo", "dana", "emil", "fay", "gus", "hana", "ivo", "jo", "kim",
    ];
    let things = [
        "lamp", "printer", "door", "invoice", "meeting", "package", "train",
    ];
    let verbs = [
        "broke",
        "is late",
        "was moved to friday",
        "costs 40 euros",
        "is missing",
    ];
    let text = |n: usize| {
        let (name, thing, verb) = (names[n % 11], things[n % 7], verbs[n % 5]);
        format!(
            "<|user|>structure {{\"who\":\"\",\"what\":\"\"}} / content {name} says the {thing} {verb}<|end|>\
             <|assistant|>{{\"who\":\"{name}\",\"what\":\"{thing}\"}}<|end|>"
        )
    };
    let numbers = first..first + count;
    numbers
        .map(|n| tokenizer.encode(&text(n)).unwrap())
        .collect()
}

#[test]
fn gptq_beats_rounding_at_the_same_size() {
    let tokenizer = Tokenizer::load(&nano()).unwrap();
    let (seen, unseen) = (texts(&tokenizer, 0, 48), texts(&tokenizer, 200, 24));
    let original = Model::load(&nano()).unwrap();
    let room = tempfile::tempdir().unwrap();
    for group in [Group::Columns(32), Group::Columns(64)] {
        let format = Format {
            bits: Bits::Int4,
            group,
        };
        let settings = |method| QuantizeSettings {
            format,
            method,
            tables: false,
        };
        let mut found = Vec::new();
        for method in [Method::Nearest, Method::Search] {
            let target = room.path().join("rounded");
            let report = quantize_checkpoint(&nano(), &target, settings(method)).unwrap();
            let changed = Model::load(&target).unwrap();
            let fidelity = fidelity(&original, &changed, &unseen).unwrap();
            found.push((report.bytes_after, fidelity.kl_divergence));
        }
        let mut blocks = 0;
        let ready = calibrate(&nano(), &seen, format, &mut |done, all| {
            blocks += 1;
            assert!(done == blocks && all == 6);
        });
        let target = room.path().join("gptq");
        let ready = ready.unwrap();
        let settings = settings(Method::Search);
        let report = quantize_checkpoint_with(&nano(), &target, settings, ready).unwrap();
        let ours = fidelity(&original, &Model::load(&target).unwrap(), &unseen).unwrap();
        for (bytes, divergence) in found {
            assert_eq!(bytes, report.bytes_after);
            assert!(
                ours.kl_divergence < divergence,
                "{group:?}: {} by GPTQ, {divergence} by rounding",
                ours.kl_divergence
            );
        }
        assert!(ours.top_token_agreement > 0.8 && ours.perplexity_after > 1.0);
    }
}

#[test]
fn what_cannot_be_calibrated_is_refused() {
    let format = Format::grouped(Bits::Int4);
    let refusal = |sequences: &[Vec<u32>]| {
        let refused = calibrate(&nano(), sequences, format, &mut |_, _| ());
        refused.err().unwrap().to_string()
    };
    assert!(refusal(&[]).contains("empty"));
    assert!(refusal(&[vec![1; 2000]]).contains("2000 tokens"));
    assert!(refusal(&[vec![1, 70_000]]).contains("70000"));
}
