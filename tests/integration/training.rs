//! Training from the outside: methods, phases, preferences, what is refused, and what a full disk
//! leaves.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::run::{Ended, Place, copy, ended, repository};

const RECIPE: &str = "\
name: tiny
seed: 3
model: tiny-llama
data: {train: [train.jsonl], validation: [validation.jsonl]}
train: {rank: 4, learning_rate: 0.01, epochs: 2, batch_tokens: 256, checkpoint_every: 2}
";

fn row(id: &str, leaf: &str, answer: &str) -> String {
    let row = json!({
        "id": id,
        "messages": [
            {"role": "user", "content": format!("say {id}")},
            {"role": "assistant", "content": answer},
        ],
        "metadata": {"leaf": leaf},
    });
    format!("{row}\n")
}

fn rows(prefix: &str, count: usize) -> String {
    let leaf = |n: usize| ["knowledge/birds", "compositional_skills/sort"][n % 2];
    (0..count)
        .map(|n| row(&format!("{prefix}{n}"), leaf(n), "yes"))
        .collect()
}

fn place() -> Place {
    let place = Place::new();
    place
        .write("recipe.yaml", RECIPE)
        .write("train.jsonl", rows("train", 24))
        .write("validation.jsonl", rows("validation", 6));
    copy(
        &repository().join("tests/fixtures/hf/llama"),
        &place.at("workspace/models/tiny-llama"),
    );
    place
}

fn train(place: &Place, overrides: &[&str]) -> Ended {
    let mut arguments = vec!["train", "recipe.yaml"];
    arguments.extend(overrides);
    place.slm(&arguments)
}

fn adapter(place: &Place, run: &str) -> Vec<u8> {
    let file = format!("workspace/runs/{run}/adapter/adapter_model.safetensors");
    fs::read(place.at(&file)).unwrap()
}

#[test]
fn an_adapter_learns_on_a_quantized_base_whose_own_weights_cannot() {
    let place = place();
    place
        .slm(&[
            "quantize",
            "tiny-llama",
            "--weights",
            "int8",
            "--tables",
            "--name",
            "small",
        ])
        .succeeds();
    train(&place, &["model=small", "train.method=lora"]).succeeds();
    let events = fs::read_to_string(place.at("workspace/runs/tiny/events.jsonl")).unwrap();
    let events: Vec<Value> = events
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let losses: Vec<f64> = events
        .iter()
        .filter_map(|event| event["loss"].as_f64())
        .collect();
    assert!(
        losses.len() > 2 && losses.last() < losses.first(),
        "{losses:?}"
    );
    // The merged model is one of floats again.
    let card = place.slm(&["model", "inspect", "tiny", "--format", "json"]);
    let card: Value = serde_json::from_str(card.succeeds()).unwrap();
    assert_eq!(card["weights"], "bf16");
    let refused = train(&place, &["name=whole", "model=small", "train.method=full"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused
            .stderr
            .contains("is quantized, and its own weights cannot learn")
    );
}

#[test]
fn every_method_trains_says_what_it_takes_and_leaves_a_model() {
    for overrides in [
        &["train.method=lora", "train.use_rslora=true"][..],
        &[
            "train.method=qlora",
            "train.use_dora=true",
            "train.optimizer=lion",
        ][..],
        &["train.method=full", "train.learning_rate=0.001"][..],
        &["train.neftune_alpha=5", "train.gradient_checkpointing=true"][..],
        &[
            "train.evaluate_every=2",
            "train.early_stopping_patience=1",
            "train.load_best=true",
        ][..],
    ] {
        let place = place();
        let run = train(&place, overrides);
        assert_eq!(run.succeeds(), "workspace/models/tiny\n");
        assert!(run.stderr.contains("train: about "), "{}", run.stderr);
        assert!(run.stderr.contains(" of memory, "), "{}", run.stderr);
        place.slm(&["model", "inspect", "tiny"]).succeeds();
        let folder = place.at("workspace/runs/tiny");
        assert!(
            !folder.join("best").exists(),
            "a finished run keeps no checkpoint"
        );
        let boards = fs::read_dir(folder.join("tensorboard")).unwrap().count();
        assert_eq!(boards, 1);
    }
}

#[test]
fn an_adapter_with_magnitudes_is_written_as_peft_does() {
    let place = place();
    train(&place, &["train.use_dora=true"]).succeeds();
    let config = place.read("workspace/runs/tiny/adapter/adapter_config.json");
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(
        (&config["use_dora"], &config["r"]),
        (&json!(true), &json!(4))
    );
    let bytes = adapter(&place, "tiny");
    let header = String::from_utf8_lossy(&bytes);
    let name = "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector\"";
    assert!(header.contains(name));
}

#[test]
fn phases_go_on_from_each_other_and_are_done_once() {
    let place = place();
    let phases = "train.phases=[{name: knowledge, leaves: [knowledge]}, \
                  {name: skills, leaves: [compositional_skills], epochs: 1, learning_rate: 0.002}]";
    let run = train(&place, &[phases]);
    assert_eq!(run.succeeds(), "workspace/models/tiny\n");
    for phase in ["phase `knowledge`", "phase `skills`"] {
        assert!(run.stderr.contains(phase), "{}", run.stderr);
    }
    let (first, second) = (
        adapter(&place, "tiny-knowledge"),
        adapter(&place, "tiny-skills"),
    );
    assert_ne!(first, second);
    // Another rate in the second phase leaves the first as it is.
    let changed = phases.replace("0.002", "0.004");
    let again = train(&place, &[&changed]);
    again.succeeds();
    assert_eq!(
        again.stderr.matches("train: up to date").count(),
        1,
        "{}",
        again.stderr
    );
    assert_eq!(adapter(&place, "tiny-knowledge"), first);
    assert_ne!(adapter(&place, "tiny-skills"), second);
    let none = train(&place, &["train.phases=[{name: a, leaves: [none]}]"]);
    assert_eq!(none.code, 1);
    assert!(
        none.stderr
            .contains("error: no row is of a leaf below none\n"),
        "{}",
        none.stderr
    );
}

#[test]
fn preferences_are_learned_from_pairs() {
    let place = place();
    let pairs: String = (0..8)
        .map(|n| {
            format!(
                "{}\n",
                json!({"prompt": format!("say {n}"), "chosen": "yes", "rejected": "no"})
            )
        })
        .collect();
    place
        .write("train.jsonl", &pairs)
        .write("validation.jsonl", &pairs);
    let run = train(&place, &["train.dpo={beta: 0.2}", "train.evaluate_every=1"]);
    run.succeeds();
    let events = place.read("workspace/runs/tiny/events.jsonl");
    let losses: Vec<f64> = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["event"] == "step")
        .map(|event| event["loss"].as_f64().unwrap())
        .collect();
    assert!((losses[0] - 2f64.ln()).abs() < 1e-5, "{losses:?}");
    assert!(losses[losses.len() - 1] < losses[0], "{losses:?}");
    place.write("train.jsonl", "{\"prompt\": \"x\", \"chosen\": \"yes\"}\n");
    let run = train(&place, &["train.dpo={}"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr
            .contains("error: train.jsonl:1: no preference pair: missing field `rejected`"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_larger_model_teaches_one_with_its_tokenizer() {
    let place = place();
    let teacher = "train.distillation={teacher: tiny-llama, weight: 0.3}";
    train(&place, &[teacher]).succeeds();
    let other = place.at("workspace/models/other");
    copy(&place.at("workspace/models/tiny-llama"), &other);
    let tokens = place.read("workspace/models/other/tokenizer.json");
    place.write(
        "workspace/models/other/tokenizer.json",
        format!("{tokens}\n"),
    );
    let run = train(&place, &["train.distillation={teacher: other}"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.contains("has another tokenizer than the model"),
        "{}",
        run.stderr
    );
}

#[test]
fn keys_that_contradict_each_other() {
    let place = place();
    let refused = |overrides: &[&str], problem: &str| {
        let run = train(&place, overrides);
        assert_eq!(run.code, 1, "{run:?}");
        assert!(
            run.stderr.starts_with(&format!("error: {problem}")),
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains("\nhint: "), "{}", run.stderr);
    };
    refused(
        &["train.method=full", "train.use_dora=true"],
        "`train.use_dora` needs an adapter",
    );
    refused(
        &["train.distillation={teacher: tiny-llama}", "train.dpo={}"],
        "`train` has both `distillation` and `dpo`",
    );
    refused(
        &["train.method=full", "train.dpo={}"],
        "`train.dpo` compares with the frozen base",
    );
    refused(
        &["train.phases=[{name: a}, {name: a}]"],
        "two phases are called `a`",
    );
    let again = |overrides: &[&str], problem: &str| {
        let run = train(&place, overrides);
        assert_eq!(run.code, 1, "{run:?}");
        assert!(
            run.stderr.contains(&format!("error: {problem}")),
            "{}",
            run.stderr
        );
    };
    again(
        &["train.load_best=true"],
        "`early_stopping_patience` and `load_best` need evaluations",
    );
    again(
        &["train.rank=100000"],
        "LoRA rank 100000 does not fit layers as narrow as ",
    );
    again(
        &["train.target_modules=[q_proj, lm_head]"],
        "`lm_head` cannot be adapted: head and embedding of this model are one table",
    );
    again(&["train.epochs=0"], "`steps` is 0");
    place.write("train.jsonl", "");
    again(&[], "the dataset has no rows");
}

#[test]
fn a_model_that_cannot_fit_is_refused_before_it_is_loaded() {
    let place = place();
    let config = place.read("workspace/models/tiny-llama/config.json");
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["hidden_size"] = json!(1 << 20);
    config["head_dim"] = json!(1 << 10);
    config["num_hidden_layers"] = json!(1000);
    place.write(
        "workspace/models/tiny-llama/config.json",
        config.to_string(),
    );
    let run = train(&place, &[]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.contains("error: training needs about "),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("hint: "), "{}", run.stderr);
    assert!(run.stderr.contains("use `method: qlora`"), "{}", run.stderr);
}

#[test]
fn an_adapter_of_another_base_is_refused_unless_forced() {
    let place = place();
    train(&place, &[]).succeeds();
    let other = place.at("workspace/models/other");
    copy(&place.at("workspace/models/tiny-llama"), &other);
    let weights = other.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    fs::write(&weights, bytes).unwrap();
    let adapter = "workspace/runs/tiny/adapter";
    let merge = |base: &str, more: &[&str]| {
        let mut arguments = vec!["model", "merge", base, adapter, "--name", "m"];
        arguments.extend(more);
        place.slm(&arguments)
    };
    merge("tiny-llama", &[]).succeeds();
    merge("other", &[]).fails(
        1,
        "error: the adapter `workspace/runs/tiny/adapter` was trained on other weights than those of `workspace/models/other`\n\
         hint: use the base that it was trained on; `--force` uses it on this one all the same\n",
    );
    let forced = merge("other", &["--force"]);
    forced.succeeds();
    assert!(
        forced.stderr.contains("warning: the adapter"),
        "{}",
        forced.stderr
    );
    let ask = [
        "generate",
        "--model",
        "other",
        "--adapter",
        adapter,
        "--max-tokens",
        "2",
        "hi",
    ];
    assert_eq!(place.slm(&ask).code, 1);
    place.slm(&[&ask[..], &["--force"]].concat()).succeeds();
}

#[test]
fn a_merged_model_computes_what_base_and_adapter_do() {
    let place = place();
    let fixture = repository().join("tests/fixtures/hf/llama/adapter");
    let fixture = fixture.display().to_string();
    let merge = |more: &[&str]| {
        let arguments = ["model", "merge", "tiny-llama", &fixture, "--name", "m"];
        place.slm(&[&arguments[..], more].concat())
    };
    merge(&[]).succeeds();
    // What PEFT computes with the adapter is expected of the merged model.
    let merged = place.at("workspace/models/m");
    let peft = format!("{fixture}/expected.safetensors");
    fs::copy(&peft, merged.join("expected.safetensors")).unwrap();
    fs::write(
        merged.join("expected.json"),
        r#"{"texts": [], "chats": []}"#,
    )
    .unwrap();
    let verify = ["model", "verify", "workspace/models/m", "--format", "json"];
    let run = place.slm(&verify);
    let found: Value = serde_json::from_str(run.succeeds()).unwrap();
    let difference = found["logits"]["max_abs_diff"].as_f64().unwrap();
    assert!(difference < 1e-3, "{difference}");
    let config = |key: &str| {
        let config = place.read("workspace/models/m/config.json");
        let config: Value = serde_json::from_str(&config).unwrap();
        config[key].clone()
    };
    assert_eq!(config("dtype"), "float32");
    merge(&["--dtype", "bf16"]).succeeds();
    assert_eq!(config("dtype"), "bfloat16");
    let run = merge(&["--dtype", "f8"]);
    assert_eq!(run.code, 2);
    assert!(
        run.stderr.contains("use f32, f16 or bf16"),
        "{}",
        run.stderr
    );
}

/// A limit on the size of files stands in for a disk that fills up in mid-checkpoint.
#[test]
#[cfg(unix)]
fn a_full_disk_in_mid_checkpoint_leaves_the_ones_before_and_the_run_goes_on() {
    let overrides = ["train.epochs=200", "train.checkpoint_every=5"];
    let whole = place();
    train(&whole, &overrides).succeeds();
    let broken = place();
    let mut first = broken
        .command(&[&["train", "recipe.yaml", "--quiet"][..], &overrides].concat())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let partial = broken.at("workspace/runs/tiny.partial");
    let names = || -> Vec<String> {
        let entries = fs::read_dir(&partial).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names
            .filter(|name| name.starts_with("checkpoint-") && !name.ends_with(".tmp"))
            .collect()
    };
    let begun = Instant::now();
    while names().is_empty() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "no checkpoint came"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let before = names();
    let limited = ended(
        std::process::Command::new("sh")
            .arg("-c")
            .arg("trap '' XFSZ; ulimit -f 64; exec \"$@\"")
            .arg("sh")
            .arg(env!("CARGO_BIN_EXE_slm"))
            .args(["train", "recipe.yaml"])
            .args(overrides)
            .current_dir(broken.path())
            .env("NO_COLOR", "1"),
    );
    assert_eq!(limited.code, 1, "{limited:?}");
    assert!(
        limited.stderr.contains("File too large"),
        "{}",
        limited.stderr
    );
    assert!(
        limited.stderr.contains("\nhint: free some space"),
        "{}",
        limited.stderr
    );
    assert!(
        limited.stderr.contains("/checkpoint-"),
        "{}",
        limited.stderr
    );
    let kept = names();
    assert!(
        before.iter().any(|name| kept.contains(name)),
        "{before:?}, {kept:?}"
    );
    train(&broken, &overrides).succeeds();
    assert_eq!(adapter(&broken, "tiny"), adapter(&whole, "tiny"));
}

#[test]
fn a_row_that_breaks_the_loss_is_named() {
    let place = place();
    let run = train(
        &place,
        &["train.learning_rate=1e30", "train.clip_grad_norm=0"],
    );
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.contains(" is not finite at step "),
        "{}",
        run.stderr
    );
    let places = |n: usize| format!("train.jsonl:{}: row `train{n}`", n + 1);
    let named = (0..24).filter(|n| run.stderr.contains(&places(*n))).count();
    assert_eq!(run.stderr.matches("train.jsonl:").count(), named);
    assert!((1..24).contains(&named), "{}", run.stderr);
}

#[test]
fn a_dataset_in_parquet_is_looked_at_trained_on_and_turned_back() {
    let place = place();
    let convert = |from: &str, to: &str| {
        let run = place.slm(&["data", "convert", from, to]);
        assert_eq!(run.succeeds(), format!("{to}\n"));
    };
    convert("train.jsonl", "train.parquet");
    convert("train.parquet", "back.jsonl");
    assert_eq!(place.read("back.jsonl"), place.read("train.jsonl"));
    let shown = |file: &str| {
        let run = place.slm(&["data", "inspect", file, "--format", "json"]);
        run.succeeds().to_owned()
    };
    assert_eq!(shown("train.parquet"), shown("train.jsonl"));
    train(&place, &[]).succeeds();
    let from_jsonl = adapter(&place, "tiny");
    let named = ["data.train=[train.parquet]", "name=table"];
    train(&place, &named).succeeds();
    assert_eq!(adapter(&place, "table"), from_jsonl);
    place
        .slm(&[
            "data",
            "mix",
            "train.parquet=5",
            "validation.jsonl",
            "--to",
            "mixed.parquet",
        ])
        .succeeds();
    let mixed: Value = serde_json::from_str(&shown("mixed.parquet")).unwrap();
    assert_eq!(mixed["rows"], 11);
}

#[test]
fn a_damaged_table_is_refused_and_what_was_there_stays() {
    let place = place();
    place
        .slm(&["data", "convert", "train.jsonl", "t.parquet"])
        .succeeds();
    let whole = fs::read(place.at("t.parquet")).unwrap();
    place.write("cut.parquet", &whole[..whole.len() - 9]);
    let run = place.slm(&["data", "convert", "cut.parquet", "t.parquet"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr
            .starts_with("error: cut.parquet: not a Parquet file: "),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr
            .contains("\nhint: the file is damaged or cut short"),
        "{}",
        run.stderr
    );
    assert_eq!(fs::read(place.at("t.parquet")).unwrap(), whole);
    place.write("rows.jsonl", "{\"text\": \"a\"}\n{\"txt\": \"b\"}\n");
    place.slm(&["data", "convert", "rows.jsonl", "t.parquet"]).fails(
        1,
        "error: rows.jsonl:2: the row has no `text`, as rows of the format text have\n\
         hint: add it, or drop the row; a file has one format, told by its first row or by `data.format`\n",
    );
    assert_eq!(fs::read(place.at("t.parquet")).unwrap(), whole);
}
