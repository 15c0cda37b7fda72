//! `slm model` and those who answer with one, on tiny checkpoints with recorded outputs.

use serde_json::{Value, json};

use crate::run::{Place, repository};

fn fixture(family: &str) -> String {
    let path = repository().join("tests/fixtures/hf").join(family);
    path.display().to_string()
}

#[test]
fn checkpoints_compute_what_their_references_say() {
    let place = Place::new();
    for family in [
        "llama",
        "llama-untied",
        "llama-rope-scaled",
        "qwen2",
        "granite4-nano",
        "phi3",
        "gemma2",
        "gemma3",
    ] {
        let run = place.slm(&["model", "verify", &fixture(family), "--format", "json"]);
        let report: Value = serde_json::from_str(run.succeeds()).unwrap();
        for section in ["tokenizer", "chat_template", "assistant_mask"] {
            assert_eq!(report[section]["mismatches"], 0, "{family}: {report:#}");
            assert!(report[section]["cases"].as_u64().unwrap() > 0, "{report:#}");
        }
        assert!(
            report["logits"]["max_abs_diff"].as_f64().unwrap() < 1e-3,
            "{report:#}"
        );
        assert!(
            report["train"]["loss_max_abs_diff"].as_f64().unwrap() < 2e-3,
            "{report:#}"
        );
        assert_eq!(report["generate"]["mismatches"], 0, "{report:#}");
    }
    assert!(!place.at("workspace/cache").join("verify").exists());
}

#[test]
fn another_reference_is_found_out() {
    let place = Place::new();
    for name in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "expected.json",
    ] {
        let from = repository().join("tests/fixtures/hf/llama").join(name);
        place.write(&format!("m/{name}"), std::fs::read(from).unwrap());
    }
    let template = "{% for message in messages %}{{ message.content }}{% endfor %}";
    place.write("m/chat_template.jinja", template);
    let run = place.slm(&["model", "verify", "m"]);
    assert_eq!(run.code, 1);
    assert_eq!(
        run.stderr,
        "error: `m` computes something else than its reference\n"
    );
    place.write("n/config.json", "{}");
    place.slm(&["model", "verify", "n"]).fails(
        1,
        "error: `n` holds no recorded outputs\n\
         hint: put `expected.json` and `expected.safetensors` beside the checkpoint; `slm model inspect` describes a checkpoint without them\n",
    );
}

#[test]
fn a_model_is_described_quantized_and_answers() {
    let place = Place::new();
    let model = fixture("llama");
    let run = place.slm(&["model", "inspect", &model, "--format", "json"]);
    let card: Value = serde_json::from_str(run.succeeds()).unwrap();
    assert_eq!(
        (&card["weights"], &card["layers"]),
        (&json!("f32"), &json!(3))
    );
    for width in ["int8", "int4"] {
        let run = place.slm(&["quantize", &model, "--weights", width]);
        assert_eq!(run.succeeds(), format!("workspace/models/llama-{width}\n"));
        let name = format!("llama-{width}");
        let card = place.slm(&["model", "inspect", &name, "--format", "json"]);
        let card: Value = serde_json::from_str(card.succeeds()).unwrap();
        assert_eq!(card["weights"], width);
    }
    let list = place.slm(&["model", "list"]);
    assert_eq!(list.succeeds().lines().count(), 2, "{}", list.stdout);
    let ask = |more: &[&str]| {
        let mut arguments = vec![
            "generate",
            "--model",
            &model,
            "--max-tokens",
            "8",
            "--format",
            "json",
        ];
        arguments.extend(more);
        let run = place.slm(&arguments);
        serde_json::from_str::<Value>(run.succeeds()).unwrap()
    };
    let plain = ask(&["hello"]);
    assert_eq!(plain["output"], ask(&["hello"])["output"]);
    assert_eq!(plain["output_tokens"], 8);
    let held = ask(&["hello", "--labels", "red,green"]);
    assert!(held["output"] == "red" || held["output"] == "green");
    assert_eq!(held["finish_reason"], "stop");
    let adapter = format!("{model}/adapter");
    assert_ne!(
        plain["output"],
        ask(&["hello", "--adapter", &adapter])["output"]
    );
}

#[test]
fn a_batch_answers_line_by_line_and_goes_on_where_it_was() {
    let place = Place::new();
    let request = |id: &str| {
        json!({"custom_id": id, "method": "POST", "url": "/v1/chat/completions",
            "body": {"messages": [{"role": "user", "content": format!("say {id}")}], "max_tokens": 4}})
    };
    let held = |id: &str, more: Value| {
        let mut body = json!({"messages": [{"role": "user", "content": "?"}], "max_tokens": 60});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({"custom_id": id, "body": body})
    };
    let under = |schema: Value| {
        json!({"response_format": {"type": "json_schema",
            "json_schema": {"name": "n", "schema": schema}}})
    };
    let refused = held("c", under(json!({"items": {"uniqueItems": true}})));
    let kept = held(
        "k",
        under(
            json!({"type": "object", "properties": {"a": {"enum": ["yes", "no"]}},
            "required": ["a"], "additionalProperties": false}),
        ),
    );
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {
        "type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"],
        "additionalProperties": false}}});
    let call = held("t", json!({"tools": [tool], "tool_choice": "required"}));
    let lines = format!(
        "{}\n{{oops\n\n{refused}\n{}\n{kept}\n{call}\n",
        request("a"),
        request("d")
    );
    place.write("in.jsonl", &lines);
    let model = fixture("llama");
    let arguments = [
        "batch",
        "--model",
        &model,
        "--input",
        "in.jsonl",
        "--output",
        "out.jsonl",
    ];
    place.slm(&arguments).succeeds();
    let whole = place.read("out.jsonl");
    let rows: Vec<Value> = whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 6);
    assert_eq!(rows[0]["custom_id"], "a");
    assert_eq!(rows[0]["response"]["body"]["usage"]["completion_tokens"], 4);
    assert_eq!(rows[1]["error"]["code"], "invalid_line");
    assert_eq!(rows[2]["response"]["status_code"], 400);
    let message = rows[2]["response"]["body"]["error"]["message"].as_str();
    assert!(
        message.is_some_and(|text| text.contains("`uniqueItems` at `#/items`")),
        "{message:?}"
    );
    assert_eq!(rows[3]["response"]["status_code"], 200);
    let choice = &rows[4]["response"]["body"]["choices"][0];
    let content = choice["message"]["content"].as_str().unwrap();
    let value: Value = serde_json::from_str(content).unwrap();
    assert!(value == json!({"a": "yes"}) || value == json!({"a": "no"}));
    assert_eq!(choice["finish_reason"], "stop");
    let choice = &rows[5]["response"]["body"]["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    let function = &choice["message"]["tool_calls"][0]["function"];
    assert_eq!(function["name"], "f");
    let arguments_of_call: Value =
        serde_json::from_str(function["arguments"].as_str().unwrap()).unwrap();
    assert!(arguments_of_call["on"].is_boolean());
    let first: String = whole.split_inclusive('\n').take(1).collect();
    place.write("out.jsonl.partial", format!("{first}{{\"custom_"));
    place.slm(&arguments).succeeds();
    assert_eq!(place.read("out.jsonl"), whole);
    assert!(!place.at("out.jsonl.partial").exists());
}

#[test]
fn speed_is_measured_in_the_shape_that_scripts_read() {
    let place = Place::new();
    let shape = format!("{}/config.json", fixture("llama"));
    let run = place.slm(&[
        "bench",
        "train",
        "--shape",
        &shape,
        "--batch",
        "2",
        "--seq-len",
        "16",
        "--rank",
        "4",
        "--steps",
        "2",
        "--format",
        "json",
    ]);
    let found: Value = serde_json::from_str(run.succeeds()).unwrap();
    assert_eq!(found["step_seconds"].as_array().unwrap().len(), 2);
    assert!(found["tokens_per_second"].as_f64().unwrap() > 0.0);
    assert!(found["peak_rss_bytes"].as_u64().unwrap() > 0);
    let run = place.slm(&[
        "bench",
        "generate",
        "--shape",
        &shape,
        "--weights",
        "int4",
        "--prompt",
        "8",
        "--new",
        "4",
        "--format",
        "json",
    ]);
    let found: Value = serde_json::from_str(run.succeeds()).unwrap();
    for key in [
        "prefill_tokens_per_second",
        "decode_tokens_per_second",
        "peak_rss_bytes",
    ] {
        assert!(found[key].as_f64().unwrap() > 0.0, "{key}: {found}");
    }
}
