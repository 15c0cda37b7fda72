//! Damaged and hostile model folders: thousands of them, each from a seed. Whatever stands in
//! their files, loading ends with a model or with an error that names a file, never in a panic,
//! and never asks for memory that the files do not account for.
//!
//! `SLM_FUZZ_CASES=200000 SLM_FUZZ_SEED=1 cargo test --release --workspace --test loader_fuzz`
//! runs longer.

use std::alloc::{GlobalAlloc, Layout, System};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use slm_model::checkpoint::{StoredType, write_tables};
use slm_model::lora::{Adapter, LoraConfig};
use slm_model::weights::{Held, Weights};
use slm_model::{ChatMessage, ModelConfig, Tokenizer};

/// Bytes that are taken.
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// The most that were taken since it was set.
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// More than any of these folders needs: their files have less than 200 KB.
const ALLOWED: usize = 128 << 20;

struct Watched;

fn taken(size: usize) {
    let live = LIVE.fetch_add(size, Ordering::Relaxed) + size;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        taken(size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static WATCHED: Watched = Watched;

/// The files of a model's folder, by their paths in it.
type Files = Vec<(PathBuf, Vec<u8>)>;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/hf")
}

fn shape(model_type: &str, more: Value) -> Value {
    let mut config = json!({"model_type": model_type, "vocab_size": 384, "hidden_size": 12,
        "intermediate_size": 20, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 6, "max_position_embeddings": 64,
        "tie_word_embeddings": true});
    for (key, value) in more.as_object().unwrap() {
        config[key.as_str()] = value.clone();
    }
    config
}

/// Whole folders: of several families, in one file and in shards, with an adapter and a
/// tokenizer.
fn whole() -> Vec<Files> {
    let shapes = [
        shape(
            "llama",
            json!({"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 16}}),
        ),
        shape(
            "phi3",
            json!({"original_max_position_embeddings": 9, "rope_scaling": {"type": "longrope",
                "short_factor": [1.0, 1.1, 1.2], "long_factor": [1.5, 2.0, 4.0]}}),
        ),
        shape(
            "gemma3_text",
            json!({"sliding_window": 5, "query_pre_attn_scalar": 7, "sliding_window_pattern": 2}),
        ),
        shape(
            "granitemoehybrid",
            json!({"layer_types": ["attention", "attention"], "num_local_experts": 0,
                "shared_intermediate_size": 20, "position_embedding_type": "rope",
                "attention_multiplier": 0.2, "residual_multiplier": 0.3, "logits_scaling": 2.5}),
        ),
        shape(
            "qwen2",
            json!({"use_sliding_window": true, "sliding_window": 4, "max_window_layers": 1,
                "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}}),
        ),
    ];
    let shapes = shapes.iter().enumerate();
    shapes
        .map(|(number, shape)| folder(shape, number % 2 == 1))
        .collect()
}

fn folder(shape: &Value, sharded: bool) -> Files {
    let room = tempfile::tempdir().unwrap();
    let config = ModelConfig::from_json(shape, Path::new("shape")).unwrap();
    let weights = Weights::random(&config, 1);
    let dir = room.path();
    let source = fixtures().join("llama");
    weights
        .save(dir, &config, Some(&source), StoredType::Bf16)
        .unwrap();
    let lora = LoraConfig {
        rank: 2,
        alpha: 4.0,
        use_rslora: false,
        use_dora: sharded,
        target_modules: config.target_modules(),
    };
    let mut adapter = Adapter::new(lora, &config, 3).unwrap();
    for pair in &mut adapter.pairs {
        pair.magnitude = sharded.then(|| vec![1.0; pair.outputs]);
    }
    adapter.save(&dir.join("adapter"), "base").unwrap();
    if sharded {
        std::fs::remove_file(dir.join("model.safetensors")).unwrap();
        shard(dir, &config, &weights);
    }
    let mut files = Vec::new();
    for within in ["", "adapter"] {
        for entry in std::fs::read_dir(dir.join(within)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.strip_prefix(dir).unwrap().to_owned();
                files.push((name, std::fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

fn shard(dir: &Path, config: &ModelConfig, weights: &Weights) {
    let mut places = Map::new();
    for part in 0..2 {
        let file = format!("model-{part}.safetensors");
        let tensors = config.tensors().into_iter().enumerate();
        let own: Vec<_> = tensors
            .filter(|(number, _)| number % 2 == part)
            .map(|(_, (name, shape))| (name.clone(), shape, weights.get(&name).unwrap()))
            .collect();
        places.extend(
            own.iter()
                .map(|(name, _, _)| (name.clone(), file.as_str().into())),
        );
        write_tables(&dir.join(&file), own.into_iter(), StoredType::F32).unwrap();
    }
    let index = json!({"metadata": {}, "weight_map": places});
    let path = dir.join("model.safetensors.index.json");
    std::fs::write(path, index.to_string()).unwrap();
}

/// Loads all that a folder holds, and uses it a little.
fn load(dir: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    let mut note = |done: slm_model::Result<()>| {
        faults.extend(done.err().map(|error| error.to_string()));
    };
    match ModelConfig::load(dir) {
        Err(error) => note(Err(error)),
        Ok(config) => {
            config.parameters();
            for held in [Held::Full, Held::Packed] {
                note(Weights::load_held(dir, &config, held).map(drop));
            }
            note(Adapter::load(&dir.join("adapter"), &config).map(drop));
        }
    }
    match Tokenizer::load(dir) {
        Err(error) => note(Err(error)),
        Ok(tokenizer) => note(speak(&tokenizer)),
    }
    faults
}

fn speak(tokenizer: &Tokenizer) -> slm_model::Result<()> {
    tokenizer.check_fits(384)?;
    let tokens = tokenizer.encode("The invoice of Größe 東京 is overdue.<|im_end|>")?;
    tokenizer.decode(&tokens)?;
    tokenizer.token_text(u32::MAX);
    let messages = [
        ChatMessage {
            role: "user".into(),
            content: "q".into(),
        },
        ChatMessage {
            role: "assistant".into(),
            content: "a".into(),
        },
    ];
    tokenizer.encode_text("a text")?;
    tokenizer.encode_prompt(&messages[..1])?;
    tokenizer.encode_chat(&messages).map(drop)
}

/// Values that loaders trip over.
fn interesting(rng: &mut ChaCha8Rng) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(7),
        json!(4096),
        json!(4097),
        json!(1_u64 << 20),
        json!(u32::MAX),
        json!(1_u64 << 40),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(0.5),
        json!(-0.0),
        json!(1e-300),
        json!(1e300),
        json!(""),
        json!("é\u{0}"),
        json!("../../etc/passwd"),
        json!("F64"),
        json!([]),
        json!([[], [[]]]),
        json!({}),
        json!({"": {"a": []}}),
        json!(vec![1; 5000]),
        json!("(((a+)+)+)+$"),
        json!("[".repeat(300)),
    ];
    values[rng.random_range(0..values.len())].clone()
}

/// Changes one node of a JSON value.
fn change(value: &mut Value, rng: &mut ChaCha8Rng) {
    let inside = match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => false,
    };
    if !inside || rng.random_bool(0.1) {
        *value = match rng.random_range(0..4) {
            0 if value.is_u64() => {
                let number = value.as_u64().unwrap_or(0);
                json!(number.wrapping_add(rng.random_range(0..4)).wrapping_sub(2))
            }
            _ => interesting(rng),
        };
        return;
    }
    match value {
        Value::Array(items) => {
            let at = rng.random_range(0..items.len());
            match rng.random_range(0..8) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                _ => change(&mut items[at], rng),
            }
        }
        Value::Object(members) => {
            let at = rng.random_range(0..members.len());
            let keys: Vec<String> = members.keys().cloned().collect();
            match rng.random_range(0..8) {
                0 => drop(members.shift_remove(&keys[at])),
                1 => {
                    let other = members[&keys[rng.random_range(0..keys.len())]].clone();
                    members.insert(keys[at].clone(), other);
                }
                2 => {
                    members.insert("unheard_of".to_owned(), interesting(rng));
                }
                _ => change(&mut members[&keys[at]], rng),
            }
        }
        _ => {}
    }
}

/// Now and then the object's first member stands in it twice.
fn repeated(text: String, rng: &mut ChaCha8Rng) -> String {
    match (rng.random_range(0..8), text.find(['}', ','])) {
        (0, Some(end)) if text.starts_with('{') => {
            format!(
                "{{{},{}",
                &text[1..end].trim_end_matches(['{', '[', ':']),
                &text[1..]
            )
        }
        _ => text,
    }
}

/// Changes bytes as disks and broken transfers do.
fn damage(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    for _ in 0..rng.random_range(1..4) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.random_range(0..bytes.len());
        let until = (at + rng.random_range(1..64)).min(bytes.len());
        match rng.random_range(0..6) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = rng.random(),
            2 => drop(bytes.drain(at..until)),
            3 => {
                let copy = bytes[at..until].to_vec();
                bytes.splice(at..at, copy);
            }
            4 => bytes.truncate(at),
            _ => bytes.extend((0..until - at).map(|_| rng.random::<u8>())),
        }
    }
}

/// The header of a safetensors file changed as JSON, its length told rightly or not.
fn change_header(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    for _ in 0..rng.random_range(1..3) {
        change(&mut header, rng);
    }
    let header = repeated(header.to_string(), rng);
    let told = match rng.random_range(0..6) {
        0 => rng.random(),
        _ => header.len() as u64,
    };
    let mut changed = told.to_le_bytes().to_vec();
    changed.extend(header.as_bytes());
    changed.extend(&bytes[8 + length..]);
    *bytes = changed;
}

fn mutate(name: &Path, bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    let kind = name.extension().and_then(|kind| kind.to_str());
    match (kind, rng.random_range(0..4)) {
        (_, 0) => damage(bytes, rng),
        (Some("safetensors"), _) => change_header(bytes, rng),
        (Some("json"), _) => {
            let mut value: Value = serde_json::from_slice(bytes).unwrap();
            for _ in 0..rng.random_range(1..4) {
                change(&mut value, rng);
            }
            *bytes = repeated(value.to_string(), rng).into_bytes();
        }
        _ => damage(bytes, rng),
    }
}

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn whatever_the_files_hold_loading_ends_in_a_model_or_an_error() {
    let models = whole();
    let room = tempfile::tempdir().unwrap();
    let dir = room.path().join("model");
    let shown = dir.display().to_string();
    let write = |files: &Files| {
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("adapter")).unwrap();
        for (name, bytes) in files {
            std::fs::write(dir.join(name), bytes).unwrap();
        }
    };
    for files in &models {
        write(files);
        assert_eq!(load(&dir), Vec::<String>::new());
    }
    let first = number("SLM_FUZZ_SEED", 0);
    let (mut refused, mut taken, mut slowest) = (0, 0, (Duration::ZERO, first));
    for seed in first..first + number("SLM_FUZZ_CASES", 2000) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut files = models[rng.random_range(0..models.len())].clone();
        let at = rng.random_range(0..files.len());
        let (name, bytes) = &mut files[at];
        let what = format!("seed {seed}, `{}`", name.display());
        match rng.random_range(0..32) {
            0 => drop(files.remove(at)),
            _ => mutate(&name.clone(), bytes, &mut rng),
        }
        write(&files);
        let before = LIVE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let begun = Instant::now();
        let faults = catch_unwind(AssertUnwindSafe(|| load(&dir)));
        let faults = faults.unwrap_or_else(|_| panic!("{what}: a panic"));
        slowest = slowest.max((begun.elapsed(), seed));
        let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
        assert!(peak <= ALLOWED, "{what}: {peak} bytes");
        for fault in &faults {
            assert!(fault.contains(&shown), "{what}: names no file: {fault}");
        }
        match faults.is_empty() {
            true => taken += 1,
            false => refused += 1,
        }
    }
    assert!(refused > taken / 4, "{refused} refused, {taken} taken");
    let (time, seed) = slowest;
    println!("{refused} folders refused, {taken} taken; the slowest, seed {seed}, took {time:?}");
}
