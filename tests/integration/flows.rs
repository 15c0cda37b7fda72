//! `slm data generate --flow` and the commands around it, with a teacher played on the loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::run::{Place, repository};

/// A server that writes questions, answers and scores, and counts its answers.
fn serve() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let counted = Arc::clone(&counted);
            std::thread::spawn(move || answer(stream.unwrap(), &counted));
        }
    });
    (endpoint, count)
}

fn answer(stream: TcpStream, counted: &AtomicUsize) {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let seed = body["seed"].as_u64().unwrap();
    let prompt = body["messages"].as_array().unwrap().last().unwrap()["content"].clone();
    let prompt = prompt.as_str().unwrap();
    let text = if prompt.starts_with("Rate") {
        "Fine.\nScore: 3".to_owned()
    } else if prompt.contains("[QUESTION]") {
        format!(
            "[QUESTION] Please do task w{} for x{} y{} [END]",
            seed % 997,
            seed % 991,
            seed % 983
        )
    } else {
        format!("Done: {}", seed % 7)
    };
    let answer = json!({
        "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    })
    .to_string();
    counted.fetch_add(1, Ordering::SeqCst);
    let mut stream = reader.into_inner();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
        answer.len()
    )
    .unwrap();
}

/// A freeform skill with five seeds.
fn place() -> Place {
    let place = Place::new();
    let mut leaf =
        "version: 3\ncreated_by: tests\ntask_description: Do the task.\nseed_examples:\n"
            .to_owned();
    for n in 0..5 {
        leaf.push_str(&format!(
            "  - question: Please do number {n}.\n    answer: Done with {n}.\n"
        ));
    }
    place.write("taxonomy/compositional_skills/tasks/qna.yaml", leaf).write(
        "taxonomy/compositional_skills/tasks/attribution.txt",
        "Title of work: t\nLink to work: l\nRevision: r\nLicense of the work: CC0-1.0\nCreator names: c\n",
    );
    place
}

fn arguments<'a>(name: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec![
        "data",
        "generate",
        "taxonomy",
        "--flow",
        "freeform",
        "--rows-per-leaf",
        "12",
        "--name",
        name,
    ];
    all.extend(more);
    all
}

#[test]
fn a_run_by_flow_asks_once_replays_offline_and_explains_its_rows() {
    let (endpoint, count) = serve();
    let place = place();
    let asking = [
        "--endpoint",
        &endpoint,
        "--model",
        "big",
        "--api-key-env",
        "SLM_FLOW_KEY",
        "--record",
        "tape",
    ];
    let run = |name: &str, more: &[&str]| {
        let output = place
            .command(&arguments(name, more))
            .env("SLM_FLOW_KEY", "s3cret-key")
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        assert!(!stderr.contains("s3cret-key"));
        place.read(&format!("workspace/datasets/{name}/train.jsonl"))
    };
    let one = run("one", &asking);
    let asked = count.load(Ordering::SeqCst);
    assert!(asked > 12);
    assert_eq!(run("two", &asking), one);
    assert_eq!(
        count.load(Ordering::SeqCst),
        asked,
        "nothing is asked twice"
    );
    assert_eq!(run("three", &["--replay", "tape", "--offline"]), one);
    let first: Value = serde_json::from_str(one.lines().next().unwrap()).unwrap();
    assert_eq!(first["metadata"]["teacher"], "big");
    assert!(first["metadata"].get("trace").is_none());
    let id = first["id"].as_str().unwrap();
    let explained = place.slm(&["data", "explain", id, "--dataset", "one"]);
    let text = explained.succeeds();
    assert!(
        text.contains("judged   by `rate_pair`: verdict 3: Fine. Score: 3"),
        "{text}"
    );
    assert!(text.contains("outcome  kept, in train"), "{text}");
}

#[test]
fn a_missing_key_and_an_unknown_flow_are_found_before_any_work() {
    let place = place();
    let asking = [
        "--endpoint",
        "http://127.0.0.1:9/v1",
        "--model",
        "big",
        "--api-key-env",
        "SLM_NO_SUCH_KEY",
    ];
    let run = place.slm(&arguments("x", &asking));
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.ends_with(
            "error: the environment variable `SLM_NO_SUCH_KEY` holds no key for the teacher\n\
             hint: `export SLM_NO_SUCH_KEY=...`, or remove `--api-key-env` for a server without a key\n"
        ),
        "{}",
        run.stderr
    );
    place.slm(&["data", "flows", "--check", "freform"]).fails(
        1,
        "error: there is no flow `freform`\nhint: did you mean `freeform`?\n",
    );
}

#[test]
fn a_budget_stops_the_run_and_nothing_paid_for_is_lost() {
    let (endpoint, count) = serve();
    let place = place();
    let asking = [
        "--endpoint",
        &endpoint,
        "--model",
        "big",
        "--max-total-tokens",
        "1300",
        "--concurrency",
        "2",
    ];
    let run = place.slm(&arguments("x", &asking));
    assert_eq!(run.code, 1);
    assert!(
        run.stderr
            .contains("error: the budget does not allow another request"),
        "{}",
        run.stderr
    );
    let paid = count.load(Ordering::SeqCst);
    assert!(paid > 0);
    let asking = ["--endpoint", &endpoint, "--model", "big"];
    place.slm(&arguments("x", &asking)).succeeds();
    let all = count.load(Ordering::SeqCst);
    let (other, anew) = serve();
    let again = self::place();
    again
        .slm(&arguments("x", &["--endpoint", &other, "--model", "big"]))
        .succeeds();
    assert_eq!(
        all,
        anew.load(Ordering::SeqCst),
        "the second run asked only what the first had not"
    );
}

#[test]
fn an_estimate_asks_nobody() {
    let place = place();
    let run = place.slm(&arguments(
        "x",
        &["--dry-run", "--price-output", "10", "--format", "json"],
    ));
    let estimate: Value = serde_json::from_str(run.succeeds()).unwrap();
    assert!(estimate["calls"].as_f64().unwrap() > 12.0 && estimate["cost"].as_f64().unwrap() > 0.0);
    assert!(!place.at("workspace").join("datasets").exists());
}

#[test]
fn verdicts_of_people_count_in_the_next_build() {
    let place = Place::new();
    let taxonomy = repository()
        .join("taxonomy/compositional_skills/support")
        .display()
        .to_string();
    let build = |name: &str| {
        let arguments = [
            "data",
            "generate",
            &taxonomy,
            "--flow",
            "adversarial",
            "--rows-per-leaf",
            "20",
            "--name",
            name,
        ];
        place.slm(&arguments).succeeds();
        place.read(&format!("workspace/datasets/{name}/train.jsonl"))
    };
    let before = build("one");
    place
        .slm(&[
            "data",
            "review",
            "out",
            "workspace/datasets/one/train.jsonl",
            "--to",
            "review.jsonl",
            "--limit",
            "1",
        ])
        .succeeds();
    let review = place.read("review.jsonl").replace(
        "\"verdict\":null,\"reason\":\"\"",
        "\"verdict\":\"reject\",\"reason\":\"odd\"",
    );
    place.write("review.jsonl", review);
    place
        .slm(&["data", "review", "in", "review.jsonl"])
        .succeeds();
    let after = build("two");
    assert_eq!(before.lines().count(), after.lines().count() + 1);
    assert!(
        place
            .read("workspace/datasets/two/ledger.jsonl")
            .contains("\"people rejected it\",\"detail\":\"odd\"")
    );
}
