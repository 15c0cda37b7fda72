//! Speed of prefill and decode on random weights.

use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use slm_model::ModelConfig;
use slm_model::place::Place;
use slm_model::quant::{Isa, Threads};

use crate::awake::awake;
use crate::cache::Cache;
use crate::engine::{Engine, EngineSettings};
use crate::error::Result;
use crate::load::{Drawn, WeightFormat};
use crate::model::Model;
use crate::request::{Answer, Request};

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BenchSettings {
    /// How the weights are held.
    pub format: WeightFormat,
    /// Tokens of each prompt.
    pub prompt: usize,
    /// Tokens generated after each.
    pub new: usize,
    /// Sequences decoded together.
    pub batch: usize,
    /// Seed of weights and prompts.
    pub seed: u64,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchReport {
    /// Prompt tokens per second of one prompt after another.
    pub prefill_tokens_per_second: f64,
    /// Generated tokens per second, of all sequences together.
    pub decode_tokens_per_second: f64,
    /// Tokens per second, prompts and answers, of the engine over twice as many requests as fit
    /// the batch.
    pub engine_tokens_per_second: f64,
    /// Bytes of the weights in memory.
    pub weight_bytes: usize,
    /// Instruction set of the kernels.
    pub instruction_set: &'static str,
    /// Threads used.
    pub threads: usize,
}

/// Measures a model of this shape with random weights, its linear layers at `place` where one is
/// given.
///
/// # Errors
/// When prompt and answer exceed the context, or are empty.
pub fn bench(
    config: &ModelConfig,
    settings: BenchSettings,
    place: Option<&dyn Place>,
) -> Result<BenchReport> {
    let model = drawn(config, settings.format, settings.seed, place)?;
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let mut prompt = || -> Vec<u32> {
        (0..settings.prompt)
            .map(|_| rng.random_range(0..config.vocab_size as u32))
            .collect()
    };
    let batch = settings.batch.max(1);
    let requests: Vec<Request> = (0..2 * batch)
        .map(|_| Request::greedy(prompt(), settings.new, vec![]))
        .collect();
    for request in &requests {
        request.check(
            config.vocab_size,
            config.max_position_embeddings.saturating_sub(settings.new),
        )?;
    }
    // On a thread of the pool, as the engine works.
    let (prefill, decode) = awake(|| steps(&model, &requests[..batch], settings.new));
    let engine = Engine::with_settings(model, EngineSettings { batch });
    let started = Instant::now();
    let answers = engine.generate(&requests, &mut |_| {});
    let seconds = started.elapsed().as_secs_f64();
    let tokens: usize = answers
        .iter()
        .flatten()
        .map(|a| a.tokens.len() + a.prefill_tokens)
        .sum();
    Ok(BenchReport {
        prefill_tokens_per_second: (batch * settings.prompt) as f64 / prefill,
        decode_tokens_per_second: (batch * settings.new) as f64 / decode,
        engine_tokens_per_second: tokens as f64 / seconds,
        weight_bytes: engine.model().weight_bytes(),
        instruction_set: Isa::best().name(),
        threads: rayon::current_num_threads(),
    })
}

/// Many requests whose prompts begin alike, answered one by one and together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SharedSettings {
    /// How the weights are held.
    pub format: WeightFormat,
    /// Requests.
    pub requests: usize,
    /// Tokens that all prompts begin with.
    pub prefix: usize,
    /// Tokens of each prompt after those.
    pub own: usize,
    /// Tokens generated for each.
    pub new: usize,
    /// Sequences decoded together.
    pub batch: usize,
    /// Seed of weights and prompts.
    pub seed: u64,
}

/// What was measured of requests whose prompts begin alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SharedReport {
    /// Seconds for all of them, each answered alone.
    pub one_by_one_seconds: f64,
    /// Seconds for all of them together.
    pub together_seconds: f64,
    /// The former divided by the latter.
    pub ratio: f64,
    /// Whether both gave the same tokens.
    pub same_answers: bool,
    /// Instruction set of the kernels.
    pub instruction_set: &'static str,
    /// Threads used.
    pub threads: usize,
}

/// Measures how much sharing the beginning of prompts and decoding together saves.
///
/// # Errors
/// When prompt and answer exceed the context, or are empty.
pub fn bench_shared(
    config: &ModelConfig,
    settings: SharedSettings,
    place: Option<&dyn Place>,
) -> Result<SharedReport> {
    let model = drawn(config, settings.format, settings.seed, place)?;
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let mut draw = |count: usize| -> Vec<u32> {
        (0..count)
            .map(|_| rng.random_range(0..config.vocab_size as u32))
            .collect()
    };
    let prefix = draw(settings.prefix);
    let requests: Vec<Request> = (0..settings.requests)
        .map(|_| {
            Request::greedy(
                [prefix.clone(), draw(settings.own)].concat(),
                settings.new,
                vec![],
            )
        })
        .collect();
    for request in &requests {
        request.check(
            config.vocab_size,
            config.max_position_embeddings.saturating_sub(settings.new),
        )?;
    }
    let alone = Engine::with_settings(model, EngineSettings { batch: 1 });
    let started = Instant::now();
    let single: Vec<_> = requests
        .iter()
        .flat_map(|request| alone.generate(std::slice::from_ref(request), &mut |_| {}))
        .collect();
    let one_by_one = started.elapsed().as_secs_f64();
    let batch = settings.batch;
    let engine = Engine::with_settings(alone.into_model(), EngineSettings { batch });
    let started = Instant::now();
    let together = engine.generate(&requests, &mut |_| {});
    let seconds = started.elapsed().as_secs_f64();
    let tokens = |answers: Vec<Result<Answer>>| -> Vec<Option<Vec<u32>>> {
        let tokens = answers.into_iter().map(|a| a.ok().map(|a| a.tokens));
        tokens.collect()
    };
    Ok(SharedReport {
        one_by_one_seconds: one_by_one,
        together_seconds: seconds,
        ratio: one_by_one / seconds,
        same_answers: tokens(single) == tokens(together),
        instruction_set: Isa::best().name(),
        threads: rayon::current_num_threads(),
    })
}

fn drawn(
    config: &ModelConfig,
    format: WeightFormat,
    seed: u64,
    place: Option<&dyn Place>,
) -> Result<Model> {
    Model::build_at(config.clone(), &mut Drawn::new(format, seed), place)
}

/// Seconds of all prefills and of `new` decode steps of all sequences, after one of each unmeasured.
fn steps(model: &Model, requests: &[Request], new: usize) -> (f64, f64) {
    let room = requests[0].prompt.len() + new + 1;
    let fresh = || Cache::new(model.config(), room);
    model.prefill(&mut fresh(), &requests[0].prompt, Threads::All);
    let started = Instant::now();
    let mut caches: Vec<Cache> = Vec::new();
    for request in requests {
        let mut cache = fresh();
        model.prefill(&mut cache, &request.prompt, Threads::All);
        caches.push(cache);
    }
    let prefill = started.elapsed().as_secs_f64();
    let mut step = |token: u32| {
        let mut steps: Vec<(&mut Cache, u32)> =
            caches.iter_mut().map(|cache| (cache, token)).collect();
        model.decode(&mut steps, Threads::All);
    };
    step(0);
    let started = Instant::now();
    (0..new).for_each(|_| step(0));
    (prefill, started.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use slm_model::quant::Bits;

    use super::*;

    #[test]
    fn speeds_are_measured_and_what_does_not_fit_is_refused() {
        let json = serde_json::json!({"model_type": "llama", "vocab_size": 64, "hidden_size": 32,
            "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
            "max_position_embeddings": 32, "tie_word_embeddings": true});
        let config = ModelConfig::from_json(&json, std::path::Path::new("shape")).unwrap();
        let format = WeightFormat::Quantized(Bits::Int4);
        let settings = BenchSettings {
            format,
            prompt: 8,
            new: 4,
            batch: 2,
            seed: 1,
        };
        let report = bench(&config, settings, None).unwrap();
        assert!(report.prefill_tokens_per_second > 0.0 && report.decode_tokens_per_second > 0.0);
        assert!(report.engine_tokens_per_second > 0.0 && report.weight_bytes > 0);
        assert!(
            bench(
                &config,
                BenchSettings {
                    prompt: 29,
                    ..settings
                },
                None
            )
            .is_err()
        );
        assert!(
            bench(
                &config,
                BenchSettings {
                    prompt: 0,
                    ..settings
                },
                None
            )
            .is_err()
        );
        let shared = SharedSettings {
            format,
            requests: 5,
            prefix: 20,
            own: 3,
            new: 4,
            batch: 4,
            seed: 1,
        };
        let report = bench_shared(&config, shared, None).unwrap();
        assert!(report.same_answers && report.ratio > 0.0);
    }
}
