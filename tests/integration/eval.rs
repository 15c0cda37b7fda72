//! `slm eval`: answers from anywhere, scored, shown and judged.

use serde_json::Value;

use crate::run::{Ended, Place, copy, repository};

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
fn samples_are_written_as_a_table_where_that_is_asked_for() {
    let place = place();
    place.slm(&SCORE).succeeds();
    let table = place.at("out/samples.parquet");
    assert!(!table.exists());
    let run = place.slm(&[&SCORE[..], &["--parquet"]].concat());
    run.succeeds();
    assert!(
        run.stderr.contains("samples: out/samples.parquet"),
        "{}",
        run.stderr
    );
    assert_eq!(&std::fs::read(table).unwrap()[..4], b"PAR1");
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

const PRICES: &str = "dated: 2026-01-31\ncurrency: EUR\nanswers_per_day: 1000\nmodels:\n  bad: {input_per_million: 1, output_per_million: 2, source: made up}\nserving: {hardware_price: 100, years: 1, watts: 10, price_per_kilowatt_hour: 0.3}\n";

fn score(place: &Place, more: &[&str]) -> Ended {
    let all: Vec<&str> = SCORE.iter().chain(more).copied().collect();
    place.slm(&all)
}

#[test]
fn costs_routing_and_leakage_are_told() {
    let place = place();
    place
        .write("prices.yaml", PRICES)
        .write(
            "good.jsonl",
            "{\"id\":\"1\",\"output\":\"red\",\"latency_ms\":5,\"confidence\":0.9}\n{\"id\":\"2\",\"output\":\"blue\",\"confidence\":0.4}\n",
        )
        .write(
            "bad.jsonl",
            "{\"id\":\"1\",\"output\":\"blue\",\"input_tokens\":100,\"output_tokens\":50}\n{\"id\":\"2\",\"output\":\"green\",\"input_tokens\":300,\"output_tokens\":50}\n",
        )
        .write(
            "train.jsonl",
            "{\"messages\":[{\"role\":\"user\",\"content\":\"Blood!\"},{\"role\":\"assistant\",\"content\":\"red\"}]}\n",
        );
    let run = score(
        &place,
        &[
            "--frontier=bad",
            "--candidate=good",
            "--prices=prices.yaml",
            "--train=train.jsonl",
        ],
    );
    let shown = run.succeeds();
    // (200 in · 1 + 50 out · 2) / 1,000.
    assert!(
        shown.contains("cost of 1,000 answers: ") && shown.contains("bad 0.300 EUR"),
        "{shown}"
    );
    assert!(shown.contains("routing good to bad"), "{shown}");
    assert!(
        run.stderr.contains("leakage: 1 of 2 questions (50.0%)"),
        "{}",
        run.stderr
    );
    let results: Value = serde_json::from_str(&place.read("out/results.json")).unwrap();
    assert_eq!(results["leakage"]["exact"], 1);
    assert_eq!(results["routing"][0]["curve"][0]["sent"], 0.0);
    let page = place.read("out/report.html");
    for title in [
        "What it costs",
        "Routing to the frontier model",
        "Confusions",
        "Leakage",
    ] {
        assert!(page.contains(title), "{title}");
    }
    let run = score(&place, &["--frontier=gone"]);
    assert_eq!(run.code, 2);
    assert_eq!(
        run.stderr,
        "error: no system is named `gone`\nhint: there are `good`, `bad`\n"
    );
}

#[test]
fn gates_are_given_by_hand_and_written_for_ci() {
    let place = place();
    place.slm(&SCORE).succeeds();
    let good = [
        "eval",
        "gate",
        "out",
        "--gate=metric=exact_raw,system=good,value=0.9",
        "--junit=gates.xml",
    ];
    assert!(
        place
            .slm(&good)
            .succeeds()
            .starts_with("passed  good: exact_raw at least 0.9")
    );
    assert!(
        place
            .read("gates.xml")
            .contains("tests=\"1\" failures=\"0\"")
    );
    // Worse answers under the same name, against the earlier run.
    place
        .slm(&[
            "eval",
            "score",
            "--task=task.yaml",
            "--predictions=good=bad.jsonl",
            "--out=later",
        ])
        .succeeds();
    let change = [
        "eval",
        "gate",
        "later",
        "--earlier=out",
        "--gate=metric=exact_raw,system=good,change=0",
        "--junit=gates.xml",
    ];
    let run = place.slm(&change);
    assert_eq!(run.code, 100, "{run:?}");
    assert!(
        run.stdout.contains(
            "failed  good: change of exact_raw since the earlier run at least 0 (found -1.0000)"
        ),
        "{}",
        run.stdout
    );
    assert!(place.read("gates.xml").contains("<failure type=\"gate\""));
    let run = place.slm(&["eval", "gate", "out", "--gate=metric=exact_rw,value=1"]);
    assert_eq!(run.code, 2);
    assert!(
        run.stderr.contains("did you mean `exact_raw`?"),
        "{}",
        run.stderr
    );
    let compared = place.slm(&["eval", "compare", "out", "later"]);
    let text = compared.succeeds();
    let first = text.lines().next().unwrap_or_default();
    assert!(first.starts_with("differs: `good`: answers: "), "{text}");
    assert!(
        text.contains("on the 2 same rows 2 broken, 0 mended"),
        "{text}"
    );
}

#[test]
fn rows_are_written_as_they_are_asked_and_reviews_are_merged() {
    let place = place();
    place.write(
        "task.yaml",
        format!("{TASK}prompt: 'Colour of {{{{ input }}}}?'\nrobustness: {{kinds: [injection]}}\n"),
    );
    place
        .slm(&["eval", "rows", "task.yaml", "--out=asked.jsonl"])
        .succeeds();
    let asked = place.read("asked.jsonl");
    assert_eq!(asked.lines().count(), 4, "{asked}");
    let last: Value = serde_json::from_str(asked.lines().last().unwrap()).unwrap();
    assert_eq!(last["id"], "2~injection");
    assert!(
        last["messages"][0]["content"]
            .as_str()
            .unwrap()
            .starts_with("Colour of sky"),
        "{last}"
    );

    place.slm(&SCORE).succeeds();
    let review = |who: &str, opinion: &str| {
        format!(
            "{{\"id\":\"1\",\"reviewer\":\"{who}\",\"opinion\":\"{opinion}\",\"comment\":\"<b>\"}}\n"
        )
    };
    place
        .write("ann.jsonl", review("ann", "agree"))
        .write("bob.jsonl", review("bob", "bad_target"));
    let run = place.slm(&[
        "eval",
        "report",
        "out",
        "--merge=ann.jsonl",
        "--merge=bob.jsonl",
    ]);
    run.succeeds();
    assert!(
        run.stderr
            .contains("reviewers disagree on `1`; both verdicts are kept"),
        "{}",
        run.stderr
    );
    let page = place.read("out/report.html");
    assert!(
        page.contains("\"reviewer\":\"ann\"")
            && page.contains("\"reviewer\":\"bob\"")
            && !page.contains("<b>\"")
    );
}

#[test]
fn baselines_are_made_from_the_training_rows() {
    let place = place();
    let row = |id: &str, asked: &str, answer: &str| {
        format!(
            "{{\"id\":\"{id}\",\"messages\":[{{\"role\":\"user\",\"content\":\"{asked}\"}},{{\"role\":\"assistant\",\"content\":\"{answer}\"}}]}}\n"
        )
    };
    let rows = [
        row("a", "blood red", "red"),
        row("b", "the sky", "blue"),
        row("c", "rust", "red"),
    ];
    place.write("train.jsonl", rows.concat());
    let run = score(
        &place,
        &[
            "--train=train.jsonl",
            "--baseline=nearest",
            "--baseline=majority",
        ],
    );
    run.succeeds();
    let results: Value = serde_json::from_str(&place.read("out/results.json")).unwrap();
    let value = |system: usize| results["systems"][system]["metrics"]["exact_raw"]["value"].clone();
    assert_eq!(
        (results["systems"][2]["name"].as_str(), value(2)),
        (Some("nearest"), 1.0.into())
    );
    assert_eq!(
        (results["systems"][3]["name"].as_str(), value(3)),
        (Some("majority"), 0.5.into())
    );
    assert_eq!(score(&place, &["--baseline=nearest"]).code, 2);
}
