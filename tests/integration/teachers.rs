//! Teachers that misbehave, and runs that are killed: what is said, and that nothing paid for is
//! lost or asked for twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::flows::{arguments, place, said};
use crate::run::Place;
use crate::server::{Reply, Server};

/// What a sound teacher says.
fn sound(body: &Value) -> Reply {
    let messages = body["messages"].as_array().unwrap();
    let prompt = messages.last().unwrap()["content"].as_str().unwrap();
    Reply::said(said(prompt, body["seed"].as_u64().unwrap()))
}

/// A server that misbehaves from the seventh request on, until it is mended.
fn failing(misbehave: fn() -> Reply) -> (Server, Arc<AtomicBool>) {
    let (mended, asked) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
    let is_mended = Arc::clone(&mended);
    let server = Server::new(move |body| {
        let early = asked.fetch_add(1, Ordering::SeqCst) < 6;
        match early || is_mended.load(Ordering::SeqCst) {
            true => sound(body),
            false => misbehave(),
        }
    });
    (server, mended)
}

const KEY: &str = "s3cret-key-of-some-length";

fn long_before_key() -> String {
    format!("{}{KEY}", "x".repeat(290))
}

/// Runs against a server that misbehaves; checks what is said, and that a run against the mended
/// server asks only for what is missing.
#[track_caller]
fn stops_and_goes_on(misbehave: fn() -> Reply, said: &str, hint: &str) {
    let (server, mended) = failing(misbehave);
    let place = place();
    let asking = [
        "--endpoint",
        &server.endpoint,
        "--model",
        "big",
        "--api-key-env",
        "SLM_TEACHER_KEY",
        "--concurrency",
        "2",
        "--retries",
        "1",
        "--timeout",
        "2",
    ];
    let run = |place: &Place| {
        let output = place
            .command(&arguments("x", &asking))
            .env("SLM_TEACHER_KEY", KEY)
            .output()
            .unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, stderr) = run(&place);
    assert_eq!(code, 1, "{stderr}");
    let told = stderr.lines().rev().take(2).collect::<Vec<_>>();
    assert!(
        told[1].starts_with("error: ") && told[1].contains(said),
        "{stderr}"
    );
    assert!(
        told[0].starts_with("hint: ") && told[0].contains(hint),
        "{stderr}"
    );
    assert!(told[0].contains("all answers so far are kept"), "{stderr}");
    for part in 8..KEY.len() {
        assert!(!stderr.contains(&KEY[..part]), "{stderr}");
    }
    assert_eq!(server.count(), 6, "the answers before were paid for");
    mended.store(true, Ordering::SeqCst);
    let (code, stderr) = run(&place);
    assert_eq!(code, 0, "{stderr}");
    let answered = server.answered();
    let different: BTreeSet<String> = answered.iter().map(Value::to_string).collect();
    assert_eq!(
        answered.len(),
        different.len(),
        "nothing is asked for twice"
    );
    assert!(stderr.contains(", 6 answers from before;"), "{stderr}");
}

#[test]
fn a_server_that_hangs() {
    stops_and_goes_on(|| Reply::Silence, "no answer in time", "`--timeout`");
}

#[test]
fn a_server_that_answers_too_many_requests() {
    let reply = || Reply::Status(429, "Retry-After: 0\r\n", r#"{"error":"slow"}"#.into());
    stops_and_goes_on(reply, "429", "`--concurrency`");
}

#[test]
fn a_server_that_answers_500() {
    let reply = || Reply::Status(500, "", long_before_key());
    stops_and_goes_on(reply, "asked `http://", "see to the server");
}

#[test]
fn a_server_that_tells_the_key_as_it_refuses_it() {
    let reply = || Reply::Status(401, "", format!("no such key: {KEY}"));
    stops_and_goes_on(reply, "no such key: <key>", "`--api-key-env`");
}

#[test]
fn a_server_that_sends_half_an_answer() {
    let reply = || Reply::Cut(r#"{"choices":[{"mess"#.into());
    stops_and_goes_on(reply, "2 times: ", "`--endpoint`");
}

#[test]
fn a_server_that_sends_no_json() {
    let reply = || Reply::Status(200, "", "<html>".into());
    stops_and_goes_on(reply, "no chat completion: <html>", "OpenAI-compatible");
}

#[test]
fn a_teacher_that_refuses_everything_is_told_with_its_reason() {
    let refusal = || serde_json::json!({"content": null, "refusal": "I would rather not."});
    let server = Server::new(move |_| Reply::Message(refusal()));
    let place = place();
    let run = place.slm(&arguments(
        "x",
        &["--endpoint", &server.endpoint, "--model", "big"],
    ));
    assert_eq!(run.code, 1, "{}", run.stderr);
    let told = "error: flow `freeform` made no row for leaf `compositional_skills/tasks`: ";
    assert!(run.stderr.contains(told), "{}", run.stderr);
    assert!(
        run.stderr.contains("since the teacher refused"),
        "{}",
        run.stderr
    );
    let ledger = place.read("workspace/datasets/x.partial/ledger.jsonl");
    assert!(ledger.contains("I would rather not."), "{ledger}");
}

/// The requests whose answers are on the disk.
fn kept(place: &Place) -> BTreeSet<(String, u64)> {
    let mut found = BTreeSet::new();
    let folder = place.at("workspace/cache/teacher");
    for part in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        for file in std::fs::read_dir(part.path()).unwrap().flatten() {
            // What has not got its name yet was on its way.
            if file.path().extension().is_none_or(|kind| kind != "json") {
                continue;
            }
            let text = std::fs::read(file.path()).unwrap_or_default();
            let record: Value = serde_json::from_slice(&text).unwrap_or_default();
            if record["answer"].is_object() {
                found.insert(request_of(&record["request"]));
            }
        }
    }
    found
}

fn request_of(body: &Value) -> (String, u64) {
    (
        body["messages"].to_string(),
        body["seed"].as_u64().unwrap_or_default(),
    )
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_as_one_that_was_not() {
    let server = Server::new(|body| {
        std::thread::sleep(Duration::from_millis(body["seed"].as_u64().unwrap() % 40));
        // Some verdicts cannot be parsed, some reject: such rows stay dropped.
        sound(body)
    });
    let place = place();
    let asking = [
        "--endpoint",
        &server.endpoint,
        "--model",
        "big",
        "--concurrency",
        "4",
        "--api-key-env",
        "SLM_TEACHER_KEY",
    ];
    // Requests of a killed run may be answered late: each run has a key of its own.
    let command = |place: &Place, key: &str| {
        let mut command = place.command(&arguments("x", &asking));
        command.env("SLM_TEACHER_KEY", key);
        command
    };
    let asked_by = |key: &str| {
        let (all, header) = (server.answered(), format!("Bearer {key}"));
        let own = all
            .into_iter()
            .filter(|body| body["authorization"] == *header);
        own.map(|body| request_of(&body)).collect::<BTreeSet<_>>()
    };
    for kill in 1..=5u64 {
        let (before, key) = (kept(&place), format!("key-{kill}"));
        let asked = server.count();
        let mut run = command(&place, &key)
            .stderr(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Killed after another number of answers each time, or at its end.
        while server.count() < asked + 3 * kill as usize && run.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        run.kill().unwrap();
        run.wait().unwrap();
        let again: Vec<_> = asked_by(&key).intersection(&before).cloned().collect();
        assert!(again.is_empty(), "asked for again: {again:?}");
    }
    let before = kept(&place);
    crate::run::ended(&mut command(&place, "last")).succeeds();
    assert!(asked_by("last").is_disjoint(&before));
    let whole = crate::flows::place();
    crate::run::ended(&mut command(&whole, "whole")).succeeds();
    assert!(asked_by("whole").is_superset(&before));
    for file in [
        "train.jsonl",
        "test.jsonl",
        "ledger.jsonl",
        "funnel.json",
        "README.md",
    ] {
        let path = format!("workspace/datasets/x/{file}");
        assert_eq!(place.read(&path), whole.read(&path), "{file}");
    }
    let ledger = whole.read("workspace/datasets/x/ledger.jsonl");
    assert!(ledger.contains("\"outcome\":\"dropped\""), "{ledger}");
}
