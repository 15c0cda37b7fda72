//! Prints the speed of a shape with 8 million parameters: `cargo run --release --example speed`.

use std::path::Path;

use slm_infer::{BenchSettings, WeightFormat, bench};
use slm_model::ModelConfig;
use slm_model::quant::Bits;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shape = serde_json::json!({"model_type": "llama", "vocab_size": 12288, "hidden_size": 256,
        "intermediate_size": 832, "num_hidden_layers": 6, "num_attention_heads": 8,
        "num_key_value_heads": 4, "max_position_embeddings": 2048, "tie_word_embeddings": true});
    let config = match std::env::args().nth(1) {
        Some(path) => ModelConfig::load(Path::new(&path))?,
        None => ModelConfig::from_json(&shape, Path::new("shape"))?,
    };
    let formats = [
        ("f32", WeightFormat::F32),
        ("bf16", WeightFormat::Bf16),
        ("int8", WeightFormat::Quantized(Bits::Int8)),
        ("int4", WeightFormat::Quantized(Bits::Int4)),
    ];
    for (name, format) in formats {
        for batch in [1, 16] {
            let settings = BenchSettings {
                format,
                prompt: 128,
                new: 64,
                batch,
                seed: 1,
            };
            let report = bench(&config, settings, None)?;
            println!("{name} batch {batch}: {}", serde_json::to_string(&report)?);
        }
    }
    Ok(())
}
