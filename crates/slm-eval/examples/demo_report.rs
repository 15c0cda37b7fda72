//! Writes a report on made-up answers, to look at and to measure:
//! `cargo run --release -p slm-eval --example demo_report -- DIR [SAMPLES]`.
//!
//! The systems' answers are the targets with seeded faults; nothing was measured.

use std::path::Path;
use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use slm_eval::cost::{Price, Prices, Serving};
use slm_eval::results::{Role, SystemInfo};
use slm_eval::task::Published;
use slm_eval::{
    Beside, EvalError, Options, OutputType, Prediction, Predictions, Row, System, Task, report,
    score,
};

const INTENTS: [&str; 4] = ["AddToPlaylist", "BookRestaurant", "GetWeather", "RateBook"];
const WORDS: [&str; 8] = [
    "jazz", "Berlin", "two", "tonight", "spicy", "old", "Oslo", "four",
];

fn main() -> Result<(), EvalError> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| ".".into());
    let samples = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(700);
    let task = task();
    let mut rows = rows(samples);
    let altered = slm_eval::robustness::altered(&task, &rows);
    rows.extend(altered);
    let systems: Vec<System> = [
        ("slm-nano", 0.75, Some(Role::Base), 16_000_000),
        ("slm-nano + LoRA", 0.05, Some(Role::Candidate), 16_800_000),
        (
            "slm-nano + LoRA int8",
            0.055,
            Some(Role::Quantized),
            9_100_000,
        ),
        (
            "slm-nano + LoRA int4",
            0.12,
            Some(Role::Quantized),
            5_600_000,
        ),
        ("nearest example", 0.4, Some(Role::Baseline), 0),
        ("frontier", 0.04, Some(Role::Frontier), 0),
    ]
    .iter()
    .enumerate()
    .map(|(seed, (name, faults, role, bytes))| system(&rows, seed, name, *faults, *role, *bytes))
    .collect();
    let start = Instant::now();
    let mut results = score(&task, &rows, &systems, &Options::default());
    beside(&task, &rows, &systems).complete(&mut results, &task, &rows, &systems);
    eprintln!("scored in {:.2} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let page = report::html(&results, &task, &rows, &systems);
    eprintln!(
        "rendered {} bytes in {:.2} s",
        page.len(),
        start.elapsed().as_secs_f64()
    );
    let folder = Path::new(&folder);
    slm_eval::results::write_atomically(&folder.join("report.html"), page.as_bytes())?;
    results.save(&folder.join("results.json"))?;
    print!("{}", report::table(&results, 100));
    Ok(())
}

/// Made-up prices, training data and an earlier run.
fn beside(task: &Task, rows: &[Row], systems: &[System]) -> Beside {
    let earlier: Vec<System> = systems
        .iter()
        .enumerate()
        .map(|(seed, known)| System {
            info: known.info.clone(),
            ..system(
                rows,
                seed + 50,
                &known.name,
                0.1,
                known.info.role,
                16_000_000,
            )
        })
        .collect();
    let earlier = score(task, rows, &earlier, &Options::default());
    Beside {
        training: Some(
            rows.iter()
                .take(rows.len() / 50)
                .map(Row::question)
                .collect(),
        ),
        prices: Some(Prices {
            dated: "made up".into(),
            currency: "EUR".into(),
            answers_per_day: 10_000.0,
            models: [(
                "frontier".to_string(),
                Price {
                    input_per_million: 2.0,
                    output_per_million: 10.0,
                    source: "made up".into(),
                },
            )]
            .into(),
            serving: Some(Serving {
                hardware_price: 1500.0,
                years: 4.0,
                watts: 65.0,
                price_per_kilowatt_hour: 0.35,
                hours_per_day: 24.0,
                upkeep_per_day: 0.5,
                spent_once: 2000.0,
            }),
        }),
        earlier: Some(report::Embedded {
            results: earlier,
            ..report::Embedded::default()
        }),
    }
}

fn task() -> Task {
    let mut task = Task::of_kind("snips, made up", OutputType::Json);
    task.description = Some("One model for four intents that answers with JSON. The answers are made up to show the report.".into());
    task.metrics = [
        "slot_f1",
        "intent_accuracy",
        "label_macro_f1",
        "field_f1",
        "json_valid",
        "schema_valid",
        "exact_normalized",
        "exact_raw",
    ]
    .iter()
    .filter_map(|name| slm_eval::metrics::Metric::parse(name))
    .collect();
    task.label_field = Some("/intent".into());
    task.margin = Some(0.02);
    task.robustness = Some(slm_eval::robustness::Robustness::default());
    task.output.schema = Some(json!({
        "type": "object",
        "required": ["intent", "slots"],
        "properties": {"intent": {"enum": INTENTS}, "slots": {"type": "object"}}
    }));
    task.published = vec![Published {
        name: "Snips engine".into(),
        metrics: [
            ("slot_f1".to_string(), 0.941),
            ("intent_accuracy".to_string(), 0.989),
        ]
        .into(),
        source: "Coucke et al. 2018".into(),
        note: Some("Mean over intents.".into()),
        ..Published::default()
    }];
    task
}

fn rows(samples: usize) -> Vec<Row> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    (0..samples)
        .map(|index| {
            let intent = INTENTS[random.random_range(0..INTENTS.len())];
            let mut word = || WORDS[random.random_range(0..WORDS.len())];
            let (a, b, c) = (word(), word(), word());
            Row {
                id: format!("demo-{index:06}"),
                input: Some(format!(
                    "please do {intent} with {a} and {b} near {c}, request {index}"
                )),
                target: json!({"intent": intent, "slots": {"what": a, "city": b, "when": c}}),
                tags: vec![format!("snips/{intent}")],
                ..Row::default()
            }
        })
        .collect()
}

fn system(
    rows: &[Row],
    seed: usize,
    name: &str,
    faults: f64,
    role: Option<Role>,
    bytes: u64,
) -> System {
    let mut random = ChaCha8Rng::seed_from_u64(seed as u64 + 10);
    let answers: Vec<Prediction> = rows
        .iter()
        .map(|row| {
            let mut target = row.target.clone();
            let hard: f64 = random.random();
            let faults = (faults * 2.0 * hard).min(1.0);
            if random.random_bool(faults) {
                target["slots"]["city"] = json!(WORDS[random.random_range(0..WORDS.len())]);
            }
            if random.random_bool(faults / 2.0) {
                target["intent"] = json!(INTENTS[random.random_range(0..INTENTS.len())]);
            }
            let mut output = target.to_string();
            if random.random_bool(faults / 4.0) {
                output.truncate(output.len() / 2);
            }
            Prediction {
                latency_ms: Some(random.random_range(20.0..60.0)),
                input_tokens: Some(31),
                output_tokens: Some(24),
                confidence: (bytes > 0).then_some((1.0 - 0.9 * hard * hard).clamp(0.0, 1.0)),
                output: Value::String(output),
                ..Prediction::text(row.id.clone(), "")
            }
        })
        .collect();
    System {
        name: name.into(),
        predictions: Predictions::new(answers, rows),
        info: SystemInfo {
            role,
            size_bytes: (bytes > 0).then_some(bytes),
            tokens_per_second: (bytes > 0).then_some(620.0),
            ..SystemInfo::default()
        },
        ..System::default()
    }
}
