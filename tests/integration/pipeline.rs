//! Recipes from end to end, on a model of a few thousand parameters.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::run::{Place, copy, repository};

const RECIPE: &str = "\
name: tiny
seed: 3
model: tiny-llama
data: {train: [train.jsonl], test: [test.jsonl]}
train:
  method: lora
  rank: 4
  learning_rate: 0.01
  epochs: 4
  batch_tokens: 256
  checkpoint_every: 1
quantize: {weights: [int8, int4]}
evaluate:
  max_tokens: 8
  systems: [base, tuned, tuned-int8, tuned-int4, nearest]
";

fn row(id: &str, question: &str, answer: &str) -> String {
    format!(
        "{{\"id\":\"{id}\",\"messages\":[{{\"role\":\"user\",\"content\":\"{question}\"}},{{\"role\":\"assistant\",\"content\":\"{answer}\"}}]}}\n"
    )
}

/// A place with the recipe, its rows and a tiny model.
fn place() -> Place {
    let place = Place::new();
    let rows = |prefix: &str, verb: &str, count: usize| -> String {
        (0..count)
            .map(|n| {
                row(
                    &format!("{prefix}{n}"),
                    &format!("{verb} number {n}"),
                    "yes",
                )
            })
            .collect()
    };
    place
        .write("recipe.yaml", RECIPE)
        .write("train.jsonl", rows("train", "say", 24))
        .write("test.jsonl", rows("test", "tell", 6));
    copy(
        &repository().join("tests/fixtures/hf/llama"),
        &place.at("workspace/models/tiny-llama"),
    );
    place
}

fn hashes(place: &Place, artefact: &str) -> Vec<(String, String)> {
    let manifest = place.read(&format!("workspace/{artefact}/manifest.json"));
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    manifest["outputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|output| {
            let text = |key: &str| output[key].as_str().unwrap().to_owned();
            (text("path"), text("sha256"))
        })
        .filter(|(path, _)| path.ends_with(".safetensors"))
        .collect()
}

#[test]
fn a_recipe_runs_to_its_report_and_the_adapter_has_an_effect() {
    let place = place();
    let run = place.slm(&["run", "recipe.yaml"]);
    let table = run.succeeds();
    for system in ["base", "tuned", "tuned-int8", "tuned-int4", "nearest"] {
        assert!(table.contains(system), "{table}");
    }
    assert!(
        run.stderr
            .contains("report: workspace/evals/tiny/report.html"),
        "{}",
        run.stderr
    );
    let log = place.read("workspace/evals/tiny/log.jsonl");
    let outputs = |system: &str| -> Vec<String> {
        log.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|entry| entry["system"] == system)
            .map(|entry| entry["output"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(outputs("tuned").len(), 6);
    assert_ne!(outputs("base"), outputs("tuned"));
    assert!(
        outputs("tuned").iter().all(|output| output == "yes"),
        "{:?}",
        outputs("tuned")
    );
    let again = place.slm(&["run", "recipe.yaml"]);
    assert_eq!(again.succeeds(), table);
    assert!(!again.stderr.contains("done in"), "{}", again.stderr);
    assert_eq!(
        again.stderr.matches("up to date").count(),
        5,
        "{}",
        again.stderr
    );
}

#[test]
fn killed_at_any_moment_a_run_resumes_to_the_same_weights() {
    let whole = place();
    whole.slm(&["run", "recipe.yaml"]).succeeds();
    let broken = place();
    let mut kills = 0;
    for wait_ms in [30, 60, 120, 250, 500, 1000] {
        let mut child = broken
            .command(&["run", "recipe.yaml", "--quiet"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(wait_ms));
        if child.try_wait().unwrap().is_none() {
            kills += 1;
        }
        child.kill().ok();
        child.wait().unwrap();
    }
    assert!(kills > 0, "every run ended before it was killed");
    broken.slm(&["run", "recipe.yaml"]).succeeds();
    for artefact in [
        "runs/tiny",
        "models/tiny",
        "models/tiny-int8",
        "models/tiny-int4",
    ] {
        let (left, right) = (hashes(&whole, artefact), hashes(&broken, artefact));
        assert!(!left.is_empty(), "{artefact}");
        assert_eq!(left, right, "{artefact}");
    }
    let metrics = |place: &Place| -> Value {
        let results: Value =
            serde_json::from_str(&place.read("workspace/evals/tiny/results.json")).unwrap();
        results["systems"]
            .as_array()
            .unwrap()
            .iter()
            .map(|system| serde_json::json!([system["name"], system["metrics"]]))
            .collect()
    };
    assert_eq!(metrics(&whole), metrics(&broken));
}

#[test]
fn a_second_process_on_the_same_recipe_is_refused() {
    let place = place();
    let mut first = place
        .command(&["run", "recipe.yaml", "--quiet", "train.epochs=2000"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let lock = place.at("workspace/cache/locks/tiny.lock");
    let begun = Instant::now();
    while fs::read_to_string(&lock).unwrap_or_default().is_empty() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "the lock never came"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    let second = place.slm(&["run", "recipe.yaml"]);
    let id = first.id();
    first.kill().unwrap();
    first.wait().unwrap();
    second.fails(
        1,
        &format!(
            "error: `tiny` is being worked on by process {id}\n\
             hint: wait until it ends, or end it; what it has done so far is kept\n"
        ),
    );
}

#[test]
fn a_model_that_is_not_there() {
    let place = place();
    let run = place.slm(&["run", "recipe.yaml", "model=nobody"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr
            .contains("error: there is no model `nobody`; looked at"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("hint: `slm model list`"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_truncated_checkpoint_and_a_tokenizer_of_another_model() {
    let place = place();
    let weights = place.at("workspace/models/tiny-llama/model.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    let run = place.slm(&["train", "recipe.yaml"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("model.safetensors: "), "{}", run.stderr);
    assert!(run.stderr.contains("\nhint: "), "{}", run.stderr);
    assert!(!place.at("workspace/runs/tiny").exists());
    fs::write(&weights, &whole).unwrap();
    let config = place.read("workspace/models/tiny-llama/config.json");
    place.write(
        "workspace/models/tiny-llama/config.json",
        config.replace("\"vocab_size\": 384", "\"vocab_size\": 300"),
    );
    let run = place.slm(&["train", "recipe.yaml"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr
            .contains("has no row in the model's embedding of 300"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr
            .contains("hint: tokenizer and model do not belong together"),
        "{}",
        run.stderr
    );
}

#[test]
fn an_unknown_target_module_lists_the_ones_there_are() {
    let run = place().slm(&["train", "recipe.yaml", "train.target_modules=[q_prj]"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr
            .contains("error: unknown target module `q_prj`\nhint: this model has: q_proj"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_baseline_is_not_asked_offline() {
    let run = place().slm(&[
        "run",
        "recipe.yaml",
        "--offline",
        "evaluate.systems=[nearest]",
        "baseline={endpoint: 'http://127.0.0.1:9/v1', model: big}",
    ]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr
            .contains("error: the baseline `big` needs a connection, which `--offline` forbids\n"),
        "{}",
        run.stderr
    );
}

/// Rows in Alpaca's form: two that fit into 64 tokens and one that does not.
fn alpaca() -> String {
    let row = |output: &str| format!("{{\"instruction\":\"say\",\"output\":\"{output}\"}}\n");
    [row("yes"), row(&"no ".repeat(60)), row("yes")].concat()
}

#[test]
fn over_long_rows_are_refused_dropped_or_split_and_always_counted() {
    let place = place();
    place.write("train.jsonl", alpaca());
    let train = |over_long: &str| {
        let over_long = format!("train.over_long={over_long}");
        place.slm(&["train", "recipe.yaml", "train.max_length=64", &over_long])
    };
    train("refuse").fails(
        1,
        "error: train.jsonl:2: the row has more than 64 tokens\n\
         hint: set `train.over_long` to `drop` or `split`, or shorten the rows; `slm data inspect FILE --model M` shows their lengths\n",
    );
    let run = train("drop");
    run.succeeds();
    let counted = |run: &crate::run::Ended| {
        let line = run
            .stderr
            .lines()
            .find(|line| line.starts_with("train: 3 rows"))
            .unwrap_or_default();
        line.split(", over 64: ")
            .nth(1)
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(counted(&run), "1, dropped", "{}", run.stderr);
    let run = train("split");
    run.succeeds();
    let parts = counted(&run);
    assert!(
        parts.starts_with("1, split into ") && parts.ends_with(" parts"),
        "{}",
        run.stderr
    );
    let run = place.slm(&["train", "recipe.yaml", "train.max_length=100000"]);
    assert!(
        run.stderr
            .contains("error: `train.max_length` is 100000, the model's context is 512 tokens"),
        "{}",
        run.stderr
    );
}

#[test]
fn rows_of_which_nothing_or_no_end_would_be_learned_are_refused_by_name() {
    let place = place();
    let template = |text: &str| {
        place.write("workspace/models/tiny-llama/chat_template.jinja", text);
        let run = place.slm(&["train", "recipe.yaml"]);
        assert_eq!(run.code, 1, "{}", run.stderr);
        run.stderr
    };
    let said = template(
        "{% for m in messages %}{% if m.role == 'user' %}{% generation %}{% endgeneration %}{% endif %}{{ m.content }}{% endfor %}",
    );
    assert!(
        said.starts_with("error: train.jsonl:1: no token of the row would be learned; 23 more rows likewise, in lines 2, 3,"),
        "{said}"
    );
    let said = template(
        "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{{ eos_token }}{% else %}{{ m.content }}{% endif %}{% endfor %}",
    );
    assert!(
        said.contains("train.jsonl:1: no end-of-turn token of the row would be learned"),
        "{said}"
    );
    assert!(
        said.contains("\nhint: let the chat template close the assistant's turn"),
        "{said}"
    );
    let said = template("{{ raise_exception('System role not supported') }}");
    assert!(
        said.contains(
            "the model's chat template refuses the conversation: System role not supported"
        ),
        "{said}"
    );
}

#[test]
fn a_named_format_goes_before_the_keys_and_not_with_an_import() {
    let place = place();
    place.write(
        "train.jsonl",
        "{\"prompt\":\"1+1=\",\"completion\":\"2\"}\n",
    );
    let run = place.slm(&["train", "recipe.yaml", "data.format=raw-prompt-completion"]);
    run.succeeds();
    let run = place.slm(&["train", "recipe.yaml", "data.format=alpaca"]);
    assert!(
        run.stderr
            .contains("train.jsonl:1: the row has no `instruction`"),
        "{}",
        run.stderr
    );
    let run = place.slm(&["train", "recipe.yaml", "data.format=csv"]);
    assert!(
        run.stderr.contains("unknown value `csv` of `data.format`"),
        "{}",
        run.stderr
    );
    let run = place.slm(&[
        "train",
        "recipe.yaml",
        "data={import: snips, from: x, format: text}",
    ]);
    assert!(
        run.stderr
            .contains("error: `data` has both `import` and `format: text`"),
        "{}",
        run.stderr
    );
}
