//! `slm eval run` with a frontier model, played by a server on the loopback interface.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::run::{Ended, Place};
use crate::server::{Reply, Server};

const PRICES: &str = "dated: 2026-01-31\ncurrency: EUR\nanswers_per_day: 100\nmodels:\n  big: {input_per_million: 1000, output_per_million: 2000, source: made up}\n";

/// A task of eight rows whose answers are objects.
fn place() -> Place {
    let place = Place::new();
    let rows: String = (0..8)
        .map(|n| {
            let row = json!({"id": n.to_string(), "input": format!("row {n}"), "target": {"n": n}});
            format!("{row}\n")
        })
        .collect();
    place.write("rows.jsonl", rows).write("prices.yaml", PRICES).write(
        "task.yaml",
        "name: t\ndata: rows.jsonl\noutput: {type: json, schema: {type: object, required: [n]}}\nmetrics: [exact_normalized, schema_valid]\n",
    );
    place
}

/// What a right answer to a request would be.
fn right(body: &Value) -> String {
    let messages = body["messages"].as_array().expect("messages");
    let asked = messages.last().expect("a message")["content"].as_str();
    let number = asked.expect("a text").rsplit(' ').next().expect("a word");
    format!("{{\"n\": {number}}}")
}

fn run(place: &Place, server: &Server, more: &[&str]) -> Ended {
    let frontier = format!("--frontier=big={}", server.endpoint);
    let mut arguments = vec![
        "eval",
        "run",
        "task.yaml",
        "--out=out",
        "--format=json",
        &frontier,
    ];
    arguments.extend(more);
    place.slm(&arguments)
}

fn big(ended: &Ended) -> Value {
    let results: Value = serde_json::from_str(ended.succeeds()).expect("results");
    results["systems"][0].clone()
}

#[test]
fn overload_failures_and_half_bodies_are_waited_out_and_all_is_recorded() {
    let place = place();
    let requests = AtomicUsize::new(0);
    let server = Server::new(move |body| match requests.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::Status(429, "Retry-After: 0\r\n", String::new()),
        1 => Reply::Status(500, "", "oops".into()),
        2 => Reply::Cut("{\"choices\": [".into()),
        _ => Reply::said(right(body)),
    });
    let ended = run(&place, &server, &["--prices=prices.yaml"]);
    let system = big(&ended);
    assert_eq!(system["right"], 8);
    assert_eq!(system["info"]["role"], "frontier");
    // 10 tokens in at a thousandth, 5 out at two, eight times.
    assert!((system["paid"].as_f64().unwrap() - 0.16).abs() < 1e-9);
    for body in server.answered() {
        assert_eq!(body["response_format"]["type"], "json_schema");
    }
    let log = place.read("out/log.jsonl");
    assert_eq!(log.lines().count(), 8);
    for line in log.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        assert!(entry["latency_ms"].as_f64().unwrap() > 0.0);
        assert_eq!(
            (&entry["input_tokens"], &entry["output_tokens"]),
            (&json!(10), &json!(5))
        );
        assert!((entry["cost"].as_f64().unwrap() - 0.02).abs() < 1e-12);
    }
    // Scored once more, nobody is asked.
    let again = place.slm(&[
        "eval",
        "score",
        "--task=task.yaml",
        "--log=out/log.jsonl",
        "--out=again",
        "--format=json",
    ]);
    assert_eq!(big(&again)["right"], 8);
    run(&place, &server, &["--prices=prices.yaml"]).succeeds();
    assert_eq!(server.count(), 8);
}

#[test]
fn a_cost_limit_is_never_exceeded_and_what_was_paid_is_kept() {
    let place = place();
    let server = Server::new(|body| Reply::said(right(body)));
    // A request may cost up to 0.2 and a little more, and costs 0.02.
    let limited = |most: &str| {
        run(
            &place,
            &server,
            &[
                "--prices=prices.yaml",
                "--max-tokens=64",
                "--concurrency=1",
                most,
            ],
        )
    };
    let ended = limited("--max-cost=0.3");
    let system = big(&ended);
    let asked = server.count();
    assert!((1..8).contains(&asked), "{asked}");
    assert!(system["paid"].as_f64().unwrap() <= 0.3);
    assert_eq!(system["info"]["not_asked"], 8 - asked);
    assert_eq!(system["failures"]["missing"], 8 - asked);
    let left = format!("`big` was not asked {} times", 8 - asked);
    assert!(ended.stderr.contains(&left), "{}", ended.stderr);
    let results: Value = serde_json::from_str(&ended.stdout).unwrap();
    let note = format!(
        "big: {} of 8 samples were not asked; they count as wrong",
        8 - asked
    );
    assert!(results["notes"].as_array().unwrap().contains(&note.into()));
    // With more money only the rest is asked.
    assert_eq!(big(&limited("--max-cost=9"))["right"], 8);
    assert_eq!(server.count(), 8);
}

#[test]
fn a_limit_needs_prices() {
    let place = place();
    place.write("prices.yaml", PRICES.replace("big:", "other:"));
    let server = Server::new(|_| Reply::said("{}"));
    run(&place, &server, &["--prices=prices.yaml", "--max-cost=1"]).fails(
        1,
        "error: `--max-cost` needs prices to reckon with\n\
         hint: give a price table with a price for `big` under `models`; `evals/prices.example.yaml` shows the form\n",
    );
    assert_eq!(server.count(), 0);
}

#[test]
fn a_recording_is_replayed_offline() {
    let place = place();
    let server = Server::new(|body| Reply::said(right(body)));
    run(&place, &server, &["--record=tape"]).succeeds();
    let replay = |out: &str, rows: &str| {
        place.write("rows.jsonl", rows);
        place.slm(&[
            "eval",
            "run",
            "task.yaml",
            "--replay=tape",
            "--offline",
            "--format=json",
            out,
        ])
    };
    let rows = place.read("rows.jsonl");
    assert_eq!(big(&replay("--out=again", &rows))["right"], 8);
    // What the recording does not hold was not asked.
    let more = format!("{rows}{{\"id\":\"new\",\"input\":\"row 99\",\"target\":{{}}}}\n");
    let system = big(&replay("--out=more", &more));
    assert_eq!(
        (&system["right"], &system["info"]["not_asked"]),
        (&json!(8), &json!(1))
    );
    let other = replay(
        "--out=other",
        "{\"id\":\"new\",\"input\":\"row 99\",\"target\":{}}\n",
    );
    assert_eq!(other.code, 1);
    assert!(
        other
            .stderr
            .contains("the recording has no answer to any of the rows"),
        "{}",
        other.stderr
    );
    assert_eq!(server.count(), 8);
}

#[test]
fn each_row_is_asked_as_often_as_wanted() {
    let place = place();
    // The second answer to odd rows is wrong.
    let server = Server::new(|body| {
        let answer = right(body);
        let odd = answer.contains(['1', '3', '5', '7']);
        match odd && body["seed"] == 1 {
            true => Reply::said("{}"),
            false => Reply::said(answer),
        }
    });
    let system = big(&run(&place, &server, &["--repeats=3", "--temperature=0.7"]));
    assert_eq!(server.count(), 24);
    let repeats = &system["repeats"];
    assert_eq!(repeats["n"], 3);
    assert_eq!(
        repeats["metrics"]["exact_normalized"]["values"],
        json!([1.0, 0.5, 1.0])
    );
    assert_eq!(repeats["majority"]["exact_normalized"], 1.0);
    assert_eq!(
        (&repeats["same"], &repeats["ever_right"]),
        (&json!(0.5), &json!(1.0))
    );
    let log = place.read("out/log.jsonl");
    assert_eq!(
        log.lines()
            .filter(|line| line.contains("\"repeat\":2"))
            .count(),
        8
    );
}

#[test]
fn refusals_and_rows_without_an_answer_are_listed_by_cause() {
    let place = place();
    let server = Server::new(|body| match right(body).as_str() {
        "{\"n\": 0}" => Reply::Message(json!({"content": null, "refusal": "I will not"})),
        "{\"n\": 1}" => Reply::Status(400, "", "blocked by content_filter".into()),
        "{\"n\": 2}" => Reply::Status(400, "", "the prompt is too long".into()),
        "{\"n\": 3}" => Reply::Status(500, "", "oops".into()),
        answer => Reply::said(answer),
    });
    let stopped = run(&place, &server, &["--retries=0"]);
    assert_eq!(stopped.code, 1);
    assert!(
        stopped
            .stderr
            .contains("1 rows got no answer from `big`; the first `3`: asked"),
        "{}",
        stopped.stderr
    );
    assert_eq!(server.count(), 5);
    let system = big(&run(&place, &server, &["--retries=0", "--accept-errors"]));
    assert_eq!(system["right"], 4);
    assert_eq!(
        (&system["failures"]["refused"], &system["failures"]["error"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(server.count(), 5, "what was answered is not asked again");
}

#[test]
fn a_server_that_takes_no_request_stops_the_run() {
    let place = place();
    let server = Server::new(|_| Reply::Status(400, "", "no such model".into()));
    let stopped = run(&place, &server, &[]);
    assert_eq!(stopped.code, 1);
    assert!(
        stopped.stderr.contains("400 Bad Request: no such model"),
        "{}",
        stopped.stderr
    );
    assert!(!place.path().join("out/report.html").exists());
    // Accepted, it is told in the verdict, which then says nothing of replacing.
    let told = run(&place, &server, &["--accept-errors"]);
    assert_eq!(big(&told)["failures"]["error"], 8);
}

#[test]
fn a_server_that_is_not_there_stops_the_run_at_once() {
    let place = place();
    let ended = place.slm(&[
        "eval",
        "run",
        "task.yaml",
        "--frontier=big=http://127.0.0.1:1/v1",
        "--retries=0",
        "--out=out",
    ]);
    assert_eq!(ended.code, 1);
    let hint = "hint: see that the server runs and that `--frontier` is its address; all answers so far are kept";
    assert!(ended.stderr.contains(hint), "{}", ended.stderr);
}

#[test]
fn tools_are_sent_and_said_in_words_where_a_server_takes_none() {
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {"type": "dict", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}});
    let place = Place::new();
    let row = |n: usize| {
        json!({"id": n, "input": format!("row {n}"), "target": [{"f": {"n": [n]}}], "tools": [tool]}).to_string() + "\n"
    };
    place.write("rows.jsonl", row(1) + &row(2)).write(
        "task.yaml",
        "name: t\ndata: rows.jsonl\noutput: {type: calls}\nmetrics: [call_match]\n",
    );
    let call = |body: &Value| json!([{"name": "f", "arguments": right(body)}]);
    let takes = Server::new(move |body| {
        let calls = json!([{"type": "function", "function": call(body)[0]}]);
        Reply::Message(json!({"content": null, "tool_calls": calls}))
    });
    assert_eq!(
        big(&run(&place, &takes, &[]))["metrics"]["call_match"]["value"],
        1.0
    );
    let sent = &takes.answered()[0];
    assert_eq!(sent["tools"][0]["function"]["parameters"]["type"], "object");
    assert!(sent.get("response_format").is_none());
    let refuses = Server::new(move |body| match body.get("tools") {
        Some(_) => Reply::Status(400, "", "this model does not support tools".into()),
        None => Reply::said(call(body).to_string()),
    });
    std::fs::remove_dir_all(place.at("out")).unwrap();
    let system = big(&run(&place, &refuses, &["--concurrency=1"]));
    assert_eq!(system["metrics"]["call_match"]["value"], 1.0);
    let note = system["info"]["note"].as_str().unwrap();
    assert!(
        note.contains("2 answers without `tools`, which it refused"),
        "{note}"
    );
}

#[test]
fn a_recipe_reckons_costs_and_shows_what_changed() {
    let place = place();
    let server = Server::new(|body| Reply::said(right(body)));
    let recipe = format!(
        "name: ask\ndata: {{train: [rows.jsonl], test: [test.jsonl]}}\n\
         evaluate: {{systems: [nearest, majority], prices: prices.yaml, earlier: before}}\n\
         baseline: {{endpoint: '{}', model: big, max_cost: 5, concurrency: 2}}\n",
        server.endpoint
    );
    let row = "{\"id\":\"1\",\"messages\":[{\"role\":\"user\",\"content\":\"row 1\"},{\"role\":\"assistant\",\"content\":\"yes\"}]}\n";
    place
        .write("test.jsonl", row)
        .write("rows.jsonl", row.replace("row 1", "another question"))
        .write(
            "task.yaml",
            "name: ask\ndata: eval.jsonl\noutput: {type: text}\n",
        )
        .write("eval.jsonl", row)
        .write("p.jsonl", "{\"id\":\"1\",\"output\":\"no\"}\n");
    place
        .slm(&[
            "eval",
            "score",
            "--task=task.yaml",
            "--predictions=nearest=p.jsonl",
            "--out=before",
        ])
        .succeeds();
    place.write("recipe.yaml", recipe);
    let ended = place.slm(&["run", "recipe.yaml", "--format=json"]);
    let results: Value = serde_json::from_str(ended.succeeds()).unwrap();
    assert_eq!(results["costs"]["systems"][0]["per_thousand"], 20.0);
    assert_eq!(results["regression"]["answers"][0]["mended"], 1);
    let names: Vec<&str> = results["systems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["nearest", "majority", "big"]);
}
