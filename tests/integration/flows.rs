//! `slm data generate --flow` and the commands around it, with a teacher played on the loopback.

use serde_json::{Value, json};

use crate::run::{Place, repository};
use crate::server::{Reply, Server};

/// A server that writes questions, answers and scores.
pub fn serve() -> Server {
    Server::new(|body| {
        let seed = body["seed"].as_u64().unwrap();
        let messages = body["messages"].as_array().unwrap();
        let prompt = messages.last().unwrap()["content"].as_str().unwrap();
        match seed % 23 {
            0 => Reply::Message(json!({"content": null, "refusal": "I would rather not."})),
            _ => Reply::said(said(prompt, seed)),
        }
    })
}

/// What stands in a text between the last of one mark and the next other.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let start = text.rfind(from).unwrap() + from.len();
    let length = text[start..].find(to).unwrap();
    text[start..start + length].trim()
}

/// What a large model might say to the prompts of the shipped flows; now and then it mumbles.
pub fn said(prompt: &str, seed: u64) -> String {
    let words = format!(
        "w{} x{} y{} z{}",
        seed % 997,
        seed % 991,
        seed % 983,
        seed % 977
    );
    let judged = |verdict: &str, otherwise: &str| match seed % 11 {
        0 => "Hard to tell.".to_owned(),
        1 => format!("There is a flaw.\n{otherwise}"),
        _ => format!("All of it holds.\n{verdict}"),
    };
    if prompt.starts_with("Rate") {
        judged("Score: 3", "Score: 1")
    } else if prompt.starts_with("How well does the answer") {
        judged("Score: 2", "Score: 0")
    } else if prompt.contains("`Verdict: NO`") {
        judged("Verdict: YES", "Verdict: NO")
    } else if prompt.contains("Write three questions about the document") {
        let pair = |n: u32| {
            format!("[QUESTION]\nWhat of {n} {words}?\n[ANSWER]\nIt is {n} days.\n[END]\n")
        };
        (1..=3).map(pair).collect()
    } else if prompt.contains("Reply as [QUESTION]") {
        let before = prompt.rfind("Write one question of this kind").unwrap();
        let answer = between(&prompt[..before], "[ANSWER]", "[END]");
        format!("[QUESTION] Which of {words}? [ANSWER] {answer} [END]")
    } else if prompt.contains("Reply with a JSON object") {
        let answer = between(prompt, "\nAnswer:", "\n\nInvent");
        let answer = serde_json::from_str(answer).unwrap_or_else(|_| Value::from(answer));
        json!({"question": format!("Please see to {words}"), "answer": answer}).to_string()
    } else if prompt.contains("Put each between [QUESTION] and [END]") {
        format!("[QUESTION] Please do task {words} [END]")
    } else {
        format!("Done with {words}")
    }
}

/// A freeform skill with five seeds.
pub fn place() -> Place {
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

pub fn arguments<'a>(name: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec![
        "data",
        "generate",
        "taxonomy",
        "--flow",
        "freeform",
        "--rows-per-leaf",
        "12",
        "--uncalibrated",
        "--name",
        name,
    ];
    all.extend(more);
    all
}

#[test]
fn a_run_by_flow_asks_once_replays_offline_and_explains_its_rows() {
    let server = serve();
    let endpoint = server.endpoint.clone();
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
    let asked = server.count();
    assert!(asked > 12);
    assert_eq!(run("two", &asking), one);
    assert_eq!(server.count(), asked, "nothing is asked twice");
    assert_eq!(run("three", &["--replay", "tape", "--offline"]), one);
    let first: Value = serde_json::from_str(one.lines().next().unwrap()).unwrap();
    assert_eq!(first["metadata"]["teacher"], "big");
    assert!(first["metadata"].get("trace").is_none());
    let id = first["id"].as_str().unwrap();
    let explained = place.slm(&["data", "explain", id, "--dataset", "one"]);
    let text = explained.succeeds();
    assert!(
        text.contains(
            "judged   by `rate_pair` (not calibrated): verdict 3: All of it holds. Score: 3"
        ),
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
    let server = serve();
    let endpoint = server.endpoint.clone();
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
    let paid = server.count();
    assert!(paid > 0);
    let asking = ["--endpoint", &endpoint, "--model", "big"];
    place.slm(&arguments("x", &asking)).succeeds();
    let all = server.count();
    let anew = serve();
    let other = anew.endpoint.clone();
    let again = self::place();
    again
        .slm(&arguments("x", &["--endpoint", &other, "--model", "big"]))
        .succeeds();
    assert_eq!(
        all,
        anew.count(),
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

/// Every leaf that a shipped flow is for, and what the flow needs beside it.
fn jobs() -> Vec<(&'static str, String, Vec<String>)> {
    let shipped = |leaf: &str| {
        repository()
            .join("taxonomy")
            .join(leaf)
            .display()
            .to_string()
    };
    vec![
        (
            "knowledge",
            shipped("knowledge/hr/leave_policy"),
            vec!["--chunk-tokens=60".into()],
        ),
        (
            "grounded",
            shipped("compositional_skills/grounded/finance/invoice_fields"),
            vec![],
        ),
        (
            "structured",
            shipped("compositional_skills/support/ticket_triage"),
            vec![],
        ),
        (
            "structured",
            shipped("compositional_skills/operations/command_to_api"),
            vec![],
        ),
        ("near-miss", "taxonomy".into(), vec![]),
    ]
}

/// A skill whose answers are labels.
fn labels() -> Place {
    let place = place();
    let leaf = "taxonomy/compositional_skills/tasks";
    let mut qna =
        "version: 3\ncreated_by: tests\ntask_description: Tell the tone.\nseed_examples:\n"
            .to_owned();
    for n in 0..6 {
        let label = ["glad", "sad", "angry"][n % 3];
        qna.push_str(&format!(
            "  - question: Message number {n} arrived.\n    answer: {label}\n"
        ));
    }
    place.write(&format!("{leaf}/qna.yaml"), qna).write(
        &format!("{leaf}/slm.yaml"),
        "output: {type: label, labels: [glad, sad, angry]}\n",
    );
    place
}

#[test]
fn every_shipped_flow_that_asks_gives_rows_with_their_history() {
    let endpoint = serve().endpoint;
    let place = labels();
    for (n, (flow, leaf, more)) in jobs().into_iter().enumerate() {
        let name = format!("{flow}-{n}");
        let mut arguments = vec![
            "data",
            "generate",
            &leaf,
            "--flow",
            flow,
            "--name",
            &name,
            "--rows-per-leaf",
            "30",
            "--uncalibrated",
            "--endpoint",
            &endpoint,
            "--model",
            "big",
        ];
        arguments.extend(more.iter().map(String::as_str));
        let run = place.slm(&arguments);
        run.succeeds();
        let folder = format!("workspace/datasets/{name}");
        let rows = place.read(&format!("{folder}/train.jsonl"));
        assert_eq!(rows.lines().count(), 24, "{flow}: {}", run.stderr);
        let ledger = place.read(&format!("{folder}/ledger.jsonl"));
        for reason in [
            "the judge's verdict cannot be parsed",
            "the judge rejected it",
        ] {
            assert!(ledger.contains(reason), "{flow} has no `{reason}`");
        }
        assert!(ledger.contains("the teacher refused"), "{flow}");
        let funnel: Value =
            serde_json::from_str(&place.read(&format!("{folder}/funnel.json"))).unwrap();
        assert!(!funnel["uncalibrated"].as_array().unwrap().is_empty());
        let card = place.read(&format!("{folder}/README.md"));
        assert!(card.contains("**Beware:** nobody measured"), "{card}");
        assert!(card.contains(&format!("The flow is `{flow}`")), "{card}");
        // Equal labels of near-miss rows are what was asked for, not what sounds like it.
        if flow == "near-miss" {
            for row in rows.lines() {
                let row: Value = serde_json::from_str(row).unwrap();
                assert_eq!(row["messages"][1]["content"], row["metadata"]["label"]);
            }
        }
    }
}

#[test]
fn verdicts_of_a_judge_are_used_only_when_it_was_measured_or_that_is_waived() {
    let server = serve();
    let endpoint = server.endpoint.clone();
    let place = place();
    let asking = ["--endpoint", &endpoint, "--model", "big"];
    let mut arguments = arguments("x", &asking);
    arguments.retain(|argument| *argument != "--uncalibrated");
    let run = place.slm(&arguments);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.contains("error: nobody has measured how far `rate_pair` of flow `freeform` agrees with people when `big` judges\nhint: label"),
        "{}",
        run.stderr
    );
    assert_eq!(server.count(), 0, "nothing is asked before");
    let mut labelled = String::new();
    for n in 0..20 {
        let row = json!({"task_description": "t", "question": n.to_string(), "answer": "a", "accept": n % 2 == 0});
        labelled.push_str(&format!("{row}\n"));
    }
    place.write("labelled.jsonl", labelled);
    let calibrate = ["data", "calibrate", "labelled.jsonl", "--flow", "freeform"];
    place.slm(&[&calibrate[..], &asking].concat()).succeeds();
    let run = place.slm(&arguments);
    run.succeeds();
    assert!(
        run.stderr.contains("judge `rate_pair`: 20 labelled rows"),
        "{}",
        run.stderr
    );
    assert!(
        !place
            .read("workspace/datasets/x/README.md")
            .contains("Beware")
    );
    // Another model is another judge.
    arguments.extend(["--model", "other"]);
    arguments.retain(|argument| *argument != "big");
    let at = arguments.iter().position(|a| *a == "--model").unwrap();
    arguments.remove(at);
    assert_eq!(place.slm(&arguments).code, 1);
}

#[test]
fn documents_come_from_a_repository_at_a_commit() {
    let endpoint = serve().endpoint;
    let place = Place::new();
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git")
            .current_dir(place.at("handbook"))
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    place.write("handbook/docs/rules.md", "# Rules\n\nLeave is 30 days.\n");
    place.write("handbook/docs/notes.md", "# Notes\n\nNothing yet.\n");
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "first"]);
    let commit = git(&["rev-parse", "HEAD"]);
    place.write("handbook/docs/rules.md", "# Rules\n\nChanged since.\n");
    let repo = place.at("handbook").display().to_string();
    let qna =
        std::fs::read_to_string(repository().join("taxonomy/knowledge/hr/leave_policy/qna.yaml"))
            .unwrap();
    let document = qna.find("\ndocument:").unwrap();
    let seeds = qna.find("\nseed_examples:").unwrap();
    let leaf = "taxonomy/knowledge/hr";
    place
        .write(
            &format!("{leaf}/qna.yaml"),
            format!(
                "{}\ndocument:\n  repo: {repo}\n  commit: {commit}\n  patterns: ['docs/*.md']{}",
                &qna[..document],
                &qna[seeds..]
            ),
        )
        .write(
            &format!("{leaf}/attribution.txt"),
            "Title of work: t\nLink to work: l\nRevision: r\nLicense of the work: CC0-1.0\nCreator names: c\n",
        );
    let arguments = [
        "data",
        "generate",
        "taxonomy",
        "--flow",
        "knowledge",
        "--name",
        "x",
        "--rows-per-leaf",
        "6",
        "--uncalibrated",
        "--endpoint",
        &endpoint,
        "--model",
        "big",
    ];
    place.slm(&arguments).succeeds();
    let ledger = place.read("workspace/datasets/x/ledger.jsonl");
    let first: Value = serde_json::from_str(ledger.lines().next().unwrap()).unwrap();
    let chunk = first["trace"]["chunk"].as_str().unwrap();
    assert!(
        chunk.starts_with(&format!("{repo}@{commit}:docs/")) && chunk.contains(".md#0-"),
        "{chunk}"
    );
    assert!(!ledger.contains("Changed since"));
    let gone = place
        .read(&format!("{leaf}/qna.yaml"))
        .replace("docs/*.md", "*.rst");
    place.write(&format!("{leaf}/qna.yaml"), gone);
    assert_eq!(place.slm(&arguments).code, 1);
}
