//! `slm eval`: answers from anywhere, scored, shown and judged.

use serde_json::Value;

use crate::run::{Place, copy, repository};

const TASK: &str = "name: colours\ndata: rows.jsonl\noutput:\n  type: label\n  labels: [red, blue]\nmetrics: [exact_raw, label_macro_f1]\ngates:\n  - {metric: exact_raw, system: good, value: 0.9}\n  - {metric: exact_raw, system: bad, value: 0.9}\n";
const ROWS: &str = "{\"id\":\"1\",\"input\":\"blood\",\"target\":\"red\"}\n{\"id\":\"2\",\"input\":\"sky\",\"target\":\"blue\"}\n";
const GOOD: &str =
    "{\"id\":\"1\",\"output\":\"red\",\"latency_ms\":5}\n{\"id\":\"2\",\"output\":\"blue\"}\n";
const BAD: &str = "{\"id\":\"1\",\"output\":\"blue\"}\n{\"id\":\"2\",\"output\":\"green\"}\n";

fn place() -> Place {
    let place = Place::new();
    place
        .write("task.yaml", TASK)
        .write("rows.jsonl", ROWS)
        .write("good.jsonl", GOOD)
        .write("bad.jsonl", BAD);
    place
}

const SCORE: [&str; 9] = [
    "eval",
    "score",
    "--task",
    "task.yaml",
    "--predictions",
    "good=good.jsonl",
    "--predictions",
    "bad=bad.jsonl",
    "--out=out",
];

#[test]
fn scores_any_systems_answers() {
    let place = place();
    let run = place.slm(&SCORE);
    assert!(run.succeeds().contains("good"), "{}", run.stdout);
    assert!(
        run.stderr.contains("report: out/report.html"),
        "{}",
        run.stderr
    );
    let results: Value = serde_json::from_str(&place.read("out/results.json")).unwrap();
    assert_eq!(results["task"], "colours");
    assert_eq!(results["samples"], 2);
    assert_eq!(results["systems"][0]["name"], "good");
    assert_eq!(results["systems"][0]["metrics"]["exact_raw"]["value"], 1.0);
    assert_eq!(results["systems"][1]["metrics"]["exact_raw"]["value"], 0.0);
    let comparison = &results["comparisons"][0];
    for key in [
        "a",
        "b",
        "metric",
        "difference",
        "low",
        "high",
        "p_value",
        "test",
        "both_right",
        "only_a",
        "only_b",
        "both_wrong",
    ] {
        assert!(!comparison[key].is_null(), "{key}: {comparison}");
    }
    assert!(
        place
            .read("out/report.html")
            .contains("no frontier baseline configured")
    );
}

#[test]
fn a_failed_gate_has_an_exit_code_of_its_own() {
    let place = place();
    place.slm(&SCORE).succeeds();
    let run = place.slm(&["eval", "gate", "out"]);
    assert_eq!(run.code, 100, "{run:?}");
    assert!(
        run.stdout
            .contains("passed  good: exact_raw at least 0.9 (found 1.0000)\n"),
        "{}",
        run.stdout
    );
    assert_eq!(
        run.stderr,
        "error: a gate failed: bad: exact_raw at least 0.9 (found 0.0000)\n"
    );
}

#[test]
fn results_are_shown_again_and_compared() {
    let place = place();
    place.slm(&SCORE).succeeds();
    let table = place.slm(&["eval", "report", "out"]);
    let from_page = place.slm(&["eval", "report", "out/report.html"]);
    assert_eq!(table.succeeds(), from_page.succeeds());
    let markdown = place.slm(&["eval", "report", "out", "--markdown"]);
    assert!(markdown.succeeds().contains('|'));
    let same = place.slm(&["eval", "compare", "out", "out"]);
    assert!(
        same.succeeds().contains("good  exact_raw"),
        "{}",
        same.stdout
    );
    assert!(!same.stdout.contains("differs"), "{}", same.stdout);
}

#[test]
fn names_tell_systems_apart() {
    let place = place();
    let twice = [
        "eval",
        "score",
        "--task",
        "task.yaml",
        "--predictions",
        "a=good.jsonl",
        "--predictions",
        "a=bad.jsonl",
        "--out=out",
    ];
    place.slm(&twice).fails(
        2,
        "error: two systems are named `a`\nhint: give each system a name of its own: `NAME=VALUE`\n",
    );
    let run = place.slm(&[
        "eval",
        "score",
        "--task",
        "t",
        "--predictions",
        "good.jsonl",
        "--out=o",
    ]);
    assert_eq!(run.code, 2);
    assert!(
        run.stderr.contains("expected `NAME=VALUE`"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_report_cut_in_half_is_an_error() {
    let place = place();
    place.slm(&SCORE).succeeds();
    let page = place.read("out/report.html");
    let half: String = page.chars().take(page.chars().count() / 2).collect();
    place.write("half.html", half);
    let run = place.slm(&["eval", "report", "half.html"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.starts_with("error: half.html: "),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("\nhint: "), "{}", run.stderr);
}

#[test]
fn answers_of_other_weights_or_settings_are_not_taken_for_this_models() {
    let place = place();
    let model = place.at("workspace/models/tiny");
    copy(&repository().join("tests/fixtures/hf/llama"), &model);
    let ask = |max_tokens: &str| {
        let task = ["eval", "run", "ask.yaml", "--model", "tiny=tiny", "--out"];
        let run = place.slm(&[&task[..], &["out", "--max-tokens", max_tokens]].concat());
        run.succeeds();
        let results: Value = serde_json::from_str(&place.read("out/results.json")).unwrap();
        assert_eq!(results["samples"], 2);
        place.read("out/log.jsonl").lines().count()
    };
    let flip_a_weight = || {
        let path = model.join("model.safetensors");
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
    };
    let task = TASK.split("gates:").next().unwrap();
    place.write("ask.yaml", task);
    assert_eq!(ask("2"), 2);
    assert_eq!(ask("2"), 2, "nothing changed");
    flip_a_weight();
    assert_eq!(ask("2"), 4, "other weights");
    assert_eq!(ask("2"), 4, "nothing changed");
    flip_a_weight();
    assert_eq!(
        ask("2"),
        6,
        "the first weights again, whose answers were replaced"
    );
    assert_eq!(ask("3"), 8, "longer answers");
}
