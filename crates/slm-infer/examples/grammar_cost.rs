//! What grammars cost: compiling a schema, and masks beside the forward pass.
//!
//! `cargo run --release -p slm-cli -p slm-infer --example grammar_cost -- TEXTS [TOKENIZER]` trains
//! a tokenizer of 49,152 tokens on the text files below the folder TEXTS (kept in the folder
//! TOKENIZER, if one is given), and answers under several schemas with a model of SmolLM2-135M's
//! shape and random 4-bit weights, one at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::{Value, json};
use slm_infer::load::InMemory;
use slm_infer::{
    Constraint, Ending, Engine, EngineSettings, Grammars, MaskSource, Model, Request, TokenMask,
    WeightFormat,
};
use slm_model::quant::Bits;
use slm_model::weights::Weights;
use slm_model::{LlamaShape, Tokenizer, tokenizer_training};

const VOCABULARY: usize = 49_152;
/// Most bytes of text to train on.
const TEXT_BYTES: usize = 24 << 20;

/// A mask that takes the time of another.
struct Timed {
    inner: Box<dyn TokenMask>,
    nanoseconds: Arc<AtomicU64>,
}

impl Timed {
    fn time<T>(&mut self, work: impl FnOnce(&mut dyn TokenMask) -> T) -> T {
        let started = Instant::now();
        let done = work(&mut *self.inner);
        let spent = started.elapsed().as_nanos() as u64;
        self.nanoseconds.fetch_add(spent, Ordering::Relaxed);
        done
    }
}

impl TokenMask for Timed {
    fn forced(&mut self) -> Vec<u32> {
        self.time(|mask| mask.forced())
    }

    fn allow(&mut self, logits: &mut [f32]) {
        self.time(|mask| mask.allow(logits));
    }

    fn accept(&mut self, token: u32) {
        self.time(|mask| mask.accept(token));
    }

    fn ending(&mut self) -> Ending {
        self.time(|mask| mask.ending())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let texts = PathBuf::from(arguments.next().ok_or("give a folder of text files")?);
    let folder = match arguments.next() {
        Some(folder) => PathBuf::from(folder),
        None => std::env::temp_dir().join("slm-grammar-cost"),
    };
    if !folder.join("tokenizer.json").is_file() {
        let mut lines = Vec::new();
        gather(&texts, &mut lines, &mut 0);
        tokenizer_training::train(&folder, VOCABULARY, lines.into_iter())?;
    }
    let tokenizer = Tokenizer::load(&folder)?;
    println!("vocabulary: {} tokens", tokenizer.vocabulary());
    let stops: Vec<u32> = tokenizer.eos_token().into_iter().collect();
    let started = Instant::now();
    let grammars = Grammars::new(&tokenizer, VOCABULARY, &stops)?;
    println!(
        "vocabulary readied in {:.0} ms",
        started.elapsed().as_secs_f64() * 1e3
    );
    compile_times(&tokenizer, &grammars, &stops)?;
    mask_times(&grammars, &stops)
}

/// The lines of all files below a folder that are text, up to a bound.
fn gather(folder: &Path, lines: &mut Vec<String>, bytes: &mut usize) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() && !path.is_symlink() {
            gather(&path, lines, bytes);
        } else if let Ok(text) = std::fs::read_to_string(&path)
            && *bytes < TEXT_BYTES
        {
            *bytes += text.len();
            lines.extend(text.lines().map(str::to_owned));
        }
    }
}

/// Schemas from small to large.
fn schemas() -> Vec<(&'static str, Value)> {
    let text = json!({"type": "string"});
    let fields = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("field_{n}")).collect();
        let properties: serde_json::Map<String, Value> = names
            .iter()
            .map(|name| (name.clone(), text.clone()))
            .collect();
        json!({"type": "object", "properties": properties, "required": names,
            "additionalProperties": false})
    };
    let labels: Vec<String> = (0..1_000).map(|n| format!("category {n}")).collect();
    vec![
        (
            "triage",
            json!({"type": "object", "properties": {
            "category": {"enum": ["billing", "delivery", "account", "technical", "refund"]},
            "priority": {"enum": ["low", "normal", "high"]},
            "product": {"type": "string"}, "order_id": {"type": ["string", "null"]}},
            "required": ["category", "priority", "product", "order_id"],
            "additionalProperties": false}),
        ),
        (
            "optional, bounded numbers",
            json!({"type": "object", "properties": {
            "service": {"type": "string"}, "replicas": {"type": "integer", "minimum": 1},
            "ratio": {"type": "number", "minimum": 0, "maximum": 1}, "minutes": {"type": "integer"}},
            "additionalProperties": false}),
        ),
        ("10 texts", fields(10)),
        ("100 texts", fields(100)),
        (
            "nested lists",
            json!({"type": "object", "properties": {"items": {"type": "array",
            "items": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 40},
                "tags": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "maxItems": 5}},
                "required": ["name", "tags"], "additionalProperties": false}}},
            "required": ["items"], "additionalProperties": false}),
        ),
        (
            "recursion",
            json!({"$defs": {"tree": {"type": "object", "properties": {
            "name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
            "required": ["name"], "additionalProperties": false}}, "$ref": "#/$defs/tree"}),
        ),
        (
            "formats and patterns",
            json!({"type": "object", "properties": {
            "date": {"type": "string", "format": "date"}, "id": {"type": "string", "format": "uuid"},
            "code": {"type": "string", "pattern": "^[A-Z]{2,4}-[0-9]{3,8}$"}},
            "required": ["date", "id", "code"], "additionalProperties": false}),
        ),
        ("1,000 labels", json!({"enum": labels})),
        ("any object", json!({"type": "object"})),
    ]
}

/// Compiles each schema without what is kept, so that every time is that of a new one.
fn compile_times(
    tokenizer: &Tokenizer,
    grammars: &Grammars,
    stops: &[u32],
) -> Result<(), Box<dyn std::error::Error>> {
    let mut medians = Vec::new();
    for (name, schema) in schemas() {
        let mut times: Vec<f64> = (0..9)
            .map(|round| {
                // Another title is another text, so nothing is found kept.
                let mut schema = schema.clone();
                schema["title"] = json!(round);
                let started = Instant::now();
                let compiled = grammars.compile(&Constraint::Schema(schema), false);
                compiled.map(|_| started.elapsed().as_secs_f64() * 1e3)
            })
            .collect::<Result<_, _>>()?;
        times.sort_by(f64::total_cmp);
        println!(
            "compile {name}: median {:.2} ms, longest {:.2} ms",
            times[4], times[8]
        );
        medians.push(times[4]);
    }
    medians.sort_by(f64::total_cmp);
    println!(
        "compile, median over schemas: {:.2} ms",
        medians[medians.len() / 2]
    );
    let fresh = Grammars::new(tokenizer, VOCABULARY, stops)?;
    let constraint = Constraint::Schema(schemas()[0].1.clone());
    fresh.compile(&constraint, false)?;
    let started = Instant::now();
    fresh.compile(&constraint, false)?;
    println!(
        "compile, kept: {:.4} ms",
        started.elapsed().as_secs_f64() * 1e3
    );
    Ok(())
}

fn mask_times(grammars: &Grammars, stops: &[u32]) -> Result<(), Box<dyn std::error::Error>> {
    let config = LlamaShape {
        eos_token_ids: stops.to_vec(),
        ..LlamaShape::smollm2_135m()
    }
    .config()?;
    let tables = Weights::random(&config, 0);
    let format = WeightFormat::Quantized(Bits::Int4);
    let model = Model::build(config, &mut InMemory { tables, format })?;
    let engine = Engine::with_settings(model, EngineSettings { batch: 1 });
    let (mut all_masks, mut all_steps) = (0.0, 0.0);
    for (name, schema) in schemas() {
        let grammar = grammars.compile(&Constraint::Schema(schema), false)?;
        let nanoseconds = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&nanoseconds);
        let source = move || {
            Box::new(Timed {
                inner: grammar.start(),
                nanoseconds: Arc::clone(&clock),
            }) as Box<dyn TokenMask>
        };
        let request = Request {
            mask: Some(Arc::new(source)),
            temperature: 1.0,
            seed: 3,
            ..Request::greedy((10..14).collect(), 48, stops.to_vec())
        };
        let started = Instant::now();
        let answers = engine.generate(&[request], &mut |_| {});
        let seconds = started.elapsed().as_secs_f64();
        let answer = answers.into_iter().next().ok_or("no answer")??;
        let masks = nanoseconds.load(Ordering::Relaxed) as f64 / 1e9;
        let steps = (answer.tokens.len() - answer.forced_tokens).max(1) as f64;
        println!(
            "masks {name}: {:.3} ms a sampled token, {:.1}% of the rest; {} tokens, {} forced",
            masks * 1e3 / steps,
            100.0 * masks / (seconds - masks),
            answer.tokens.len(),
            answer.forced_tokens,
        );
        all_masks += masks;
        all_steps += seconds - masks;
    }
    println!(
        "masks, all together: {:.1}% of the rest",
        100.0 * all_masks / all_steps
    );
    Ok(())
}
