//! `slm quantize` with its comparison and gate, and GGUF out and in again.

use serde_json::{Value, json};

use crate::run::{Place, repository};

fn nano() -> String {
    let path = repository().join("workspace/models/slm-nano");
    path.display().to_string()
}

/// Rows with a field to find, such as the model was made for.
fn rows(first: usize, count: usize) -> String {
    let names = [
        "ada", "ben", "cleo", "dana", "emil", "fay", "gus", "hana", "ivo", "jo", "kim",
    ];
    let things = [
        "lamp", "printer", "door", "invoice", "meeting", "package", "train",
    ];
    let row = |n: usize| {
        let (name, thing) = (names[n % 11], things[n % 7]);
        let question = format!("structure {{\"who\":\"\"}} / content {name} lost the {thing} {n}");
        let answer = json!({"who": name}).to_string();
        let messages = json!([{"role": "user", "content": question},
            {"role": "assistant", "content": answer}]);
        json!({"id": format!("r{n}"), "messages": messages}).to_string() + "\n"
    };
    (first..first + count).map(row).collect()
}

fn report(place: &Place, name: &str) -> Value {
    let path = place.at(&format!("workspace/models/{name}/quantization.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn gptq_is_nearer_than_rounding_and_a_gate_judges_what_is_lost() {
    let place = Place::new();
    place.write("seen.jsonl", rows(0, 40));
    place.write("unseen.jsonl", rows(1000, 16));
    let task = "name: who\ndata: unseen.jsonl\noutput: {type: json}\nmetrics: [field_f1]\n";
    place.write("who.yaml", task);
    let mut divergence = Vec::new();
    for method in ["nearest", "gptq"] {
        let run = place.slm(&[
            "quantize",
            &nano(),
            "--weights",
            "int4",
            "--group",
            "64",
            "--method",
            method,
            "--calibration",
            "seen.jsonl",
            "--check",
            "unseen.jsonl",
            "--name",
            method,
            "--task",
            "who.yaml",
            "--max-f1-drop",
            "1.0",
            "--max-tokens",
            "24",
        ]);
        run.succeeds();
        let report = report(&place, method);
        assert_eq!(
            report["tensors"].as_array().unwrap().len(),
            42,
            "{report:#}"
        );
        assert!(report["bits_per_weight"].as_f64().unwrap() < 9.0);
        assert_eq!(report["tasks"][0]["metric"], "field_f1");
        assert_eq!(report["tasks"][0]["rows"], 16);
        let fidelity = &report["fidelity"];
        assert!(fidelity["top_token_agreement"].as_f64().unwrap() > 0.5);
        divergence.push((
            report["bytes_after"].as_u64().unwrap(),
            fidelity["kl_divergence"].as_f64().unwrap(),
        ));
    }
    assert_eq!(divergence[0].0, divergence[1].0);
    assert!(divergence[1].1 < divergence[0].1, "{divergence:?}");
    // No F1 falls by less than nothing.
    let run = place.slm(&[
        "quantize",
        &nano(),
        "--weights",
        "int8",
        "--group",
        "channel",
        "--name",
        "gated",
        "--task",
        "who.yaml",
        "--max-f1-drop=-1",
        "--max-tokens",
        "24",
    ]);
    assert_eq!(run.code, 100, "{}", run.stderr);
    assert!(run.stderr.contains("by more than -1"), "{}", run.stderr);
}

#[test]
fn what_a_plan_lacks_is_told() {
    let place = Place::new();
    let run = place.slm(&["quantize", &nano(), "--weights", "int4", "--method", "gptq"]);
    assert_eq!(run.code, 2);
    assert!(
        run.stderr
            .contains("hint: name a dataset with `--calibration`"),
        "{}",
        run.stderr
    );
    let run = place.slm(&["quantize", &nano(), "--weights", "int4", "--group", "48"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("multiple of 32"), "{}", run.stderr);
}

#[test]
fn a_quantized_model_goes_to_gguf_and_comes_back_with_the_same_answers() {
    let place = Place::new();
    place
        .slm(&[
            "quantize",
            &nano(),
            "--weights",
            "int4",
            "--tables",
            "--name",
            "q",
        ])
        .succeeds();
    let run = place.slm(&["model", "export", "q", "--gguf", "q4_0", "--out", "q.gguf"]);
    run.succeeds();
    assert!(
        run.stderr.contains("`superbpe` is written"),
        "{}",
        run.stderr
    );
    place
        .slm(&["model", "import", "q.gguf", "--name", "back"])
        .succeeds();
    let ask = |model: &str| {
        let question = "structure {\"who\":\"\"} / content ada lost the lamp";
        let run = place.slm(&["generate", "--model", model, "--max-tokens", "24", question]);
        run.succeeds().to_owned()
    };
    assert_eq!(ask("q"), ask("back"));
    let run = place.slm(&["model", "import", "q.gguf", "--name", "back"]);
    assert_eq!(run.code, 2);
    assert!(
        run.stderr.contains("there is a model `back` already"),
        "{}",
        run.stderr
    );
    let whole = std::fs::read(place.at("q.gguf")).unwrap();
    place.write("cut.gguf", &whole[..whole.len() / 2]);
    let run = place.slm(&["model", "import", "cut.gguf", "--name", "cut"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("lies outside of it"), "{}", run.stderr);
    assert!(!place.at("workspace/models/cut").exists());
}

#[test]
fn answers_end_at_stop_strings_and_batches_tell_confidence() {
    let place = Place::new();
    let line = |id: &str, stop: Value| {
        let messages = json!([{"role": "user",
            "content": "structure {\"who\":\"\"} / content ada lost the lamp"}]);
        json!({"custom_id": id, "body": {"messages": messages, "stop": stop, "max_tokens": 24,
            "logprobs": true}})
        .to_string()
    };
    let lines = [
        line("free", Value::Null),
        line("cut", json!(["\""])),
        line("bad", json!([""])),
        "{oops".to_owned(),
    ];
    place.write("in.jsonl", lines.join("\n"));
    let run = place.slm(&[
        "batch",
        "--model",
        &nano(),
        "--input",
        "in.jsonl",
        "--output",
        "out.jsonl",
    ]);
    run.succeeds();
    let text = std::fs::read_to_string(place.at("out.jsonl")).unwrap();
    let answers: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let body = |n: usize| &answers[n]["response"]["body"];
    let content = |n: usize| {
        body(n)["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
    };
    let confidence = body(0)["confidence"].as_f64().unwrap();
    assert!(confidence > 0.0 && confidence <= 1.0);
    let tokens = |n: usize| {
        body(n)["choices"][0]["logprobs"]["content"]
            .as_array()
            .unwrap()
    };
    let sum: f64 = tokens(0)
        .iter()
        .map(|token| token["logprob"].as_f64().unwrap())
        .sum();
    assert!((sum.exp() - confidence).abs() < 1e-6);
    let text: Vec<&str> = tokens(0)
        .iter()
        .map(|token| token["token"].as_str().unwrap())
        .collect();
    assert_eq!(text.concat(), content(0));
    assert!(tokens(1).len() < tokens(0).len());
    assert_eq!(content(1), content(0).split('"').next().unwrap());
    assert_eq!(body(2)["error"]["param"], "stop");
    assert_eq!(answers[3]["error"]["code"], "invalid_line");
}
