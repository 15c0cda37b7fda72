//! `slm data`: rows from leaves and public sets, divided, looked at.

use std::path::Path;

use serde_json::Value;

use crate::run::{Place, repository};

fn taxonomy() -> String {
    repository().join("taxonomy").display().to_string()
}

fn rows(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn generated_rows_are_the_same_for_the_same_seed_and_share_no_seed_example_across_the_split() {
    let place = Place::new();
    let generate = |name: &str, seed: &str| {
        let taxonomy = taxonomy();
        let arguments = [
            "data",
            "generate",
            &taxonomy,
            "--name",
            name,
            "--rows-per-leaf",
            "20",
            "--seed",
            seed,
        ];
        let run = place.slm(&arguments);
        assert_eq!(run.succeeds(), format!("workspace/datasets/{name}\n"));
        place.read(&format!("workspace/datasets/{name}/train.jsonl"))
    };
    let one = generate("one", "3");
    assert_eq!(one, generate("two", "3"));
    assert_ne!(one, generate("three", "4"));
    let family = |row: &Value| format!("{} {}", row["metadata"]["leaf"], row["metadata"]["seed"]);
    let test = rows(&place.read("workspace/datasets/one/test.jsonl"));
    assert!(!test.is_empty());
    let trained: Vec<String> = rows(&one).iter().map(family).collect();
    for row in &test {
        assert!(!trained.contains(&family(row)), "{row}");
        assert_eq!(row["metadata"]["teacher"], "grammar");
    }
}

#[test]
fn a_stage_is_done_once_and_again_when_something_changed_or_was_lost() {
    let place = Place::new();
    let taxonomy = taxonomy();
    let generate = |rows: &str| {
        let arguments = [
            "data",
            "generate",
            &taxonomy,
            "--name",
            "d",
            "--rows-per-leaf",
            rows,
        ];
        let run = place.slm(&arguments);
        run.succeeds();
        run.stderr.contains("synthesize: up to date")
    };
    assert!(!generate("10"));
    assert!(generate("10"));
    assert!(!generate("12"));
    place.write("workspace/datasets/d/train.jsonl", "cut");
    assert!(!generate("12"), "a cut output is made again");
    assert!(generate("12"));
    let manifest: Value =
        serde_json::from_str(&place.read("workspace/datasets/d/manifest.json")).unwrap();
    assert_eq!(manifest["settings"]["seed"], 7);
    assert_eq!(manifest["inputs"][0]["sha256"].as_str().unwrap().len(), 64);
    assert!(manifest["outputs"].as_array().unwrap().len() >= 4);
}

#[test]
fn a_dataset_has_a_card_and_figures_and_filters_replace_what_they_drop() {
    let place = Place::new();
    let taxonomy = taxonomy();
    let generate = |name: &str, more: &[&str]| {
        let mut arguments = vec!["data", "generate", &taxonomy, "--name", name];
        arguments.extend(["--rows-per-leaf", "60"]);
        arguments.extend(more);
        place.slm(&arguments).succeeds();
        let read = |file: &str| place.read(&format!("workspace/datasets/{name}/{file}"));
        let figures: Value = serde_json::from_str(&read("figures.json")).unwrap();
        (rows(&read("train.jsonl")), figures, read("README.md"))
    };
    let (all, figures, card) = generate("plain", &[]);
    assert_eq!(figures["rows"]["train"], all.len());
    assert_eq!(figures["shared_families"], 0);
    assert!(figures["diversity"]["distinct_3"].as_f64().unwrap() > 0.0);
    let labels = &figures["leaves"]["compositional_skills/support/ticket_triage"]["labels"];
    let labels = labels.as_object().unwrap().values();
    assert_eq!(labels.map(|n| n.as_u64().unwrap()).sum::<u64>(), 60);
    assert!(
        card.contains("| Support ticket triage, by slm-authors | Apache-2.0 | 48 | 0 | 12 |"),
        "{card}"
    );
    let (kept, figures, _) = generate("sifted", &["--near-duplicates", "0.6"]);
    assert_eq!(
        kept.len(),
        all.len(),
        "others take the place of dropped rows"
    );
    assert_ne!(kept, all);
    let near = &figures["dropped"]["it is nearly equal to an earlier row"];
    assert!(near.as_u64().unwrap() > 0, "{figures}");
    let more = [
        "--near-duplicates",
        "1.5",
        "--name",
        "odd",
        "--rows-per-leaf",
        "9",
    ];
    let odd = place.slm(&[&["data", "generate", &taxonomy][..], &more].concat());
    assert_eq!(odd.code, 1);
    assert!(
        odd.stderr
            .contains("`near_duplicates: 1.5` is no similarity"),
        "{}",
        odd.stderr
    );
}

#[test]
fn a_dataset_is_divided_and_described() {
    let place = Place::new();
    let rows: String = (0..20)
        .map(|n| format!(
            "{{\"id\":\"r{n}\",\"messages\":[{{\"role\":\"user\",\"content\":\"question {n} about thing {}\"}},{{\"role\":\"assistant\",\"content\":\"a{n}\"}}]}}\n",
            n * 7
        ))
        .collect();
    place.write("rows.jsonl", rows);
    let run = place.slm(&["data", "split", "rows.jsonl", "--name", "s", "--quiet"]);
    run.succeeds();
    assert_eq!(run.stderr, "");
    let lines = |part: &str| {
        place
            .read(&format!("workspace/datasets/s/{part}.jsonl"))
            .lines()
            .count()
    };
    assert_eq!(
        (lines("train"), lines("validation"), lines("test")),
        (14, 2, 4)
    );
    let run = place.slm(&[
        "data",
        "inspect",
        "rows.jsonl",
        "--format",
        "json",
        "--row",
        "r3",
    ]);
    let summary: Value = serde_json::from_str(run.succeeds()).unwrap();
    assert_eq!(summary["rows"], 20);
    assert_eq!(summary["row"]["messages"][1]["content"], "a3");
    place
        .slm(&["data", "inspect", "rows.jsonl", "--row", "none"])
        .fails(
            1,
            "error: `rows.jsonl` has no row `none`\n\
         hint: without `--row` the first row is shown, with its id\n",
        );
}

#[test]
fn snips_is_imported_whole_where_a_copy_is_at_hand() {
    let copy = repository().join("../shared/data/snips");
    if !Path::new(&copy).is_dir() {
        println!("skipped: no copy of SNIPS in `../shared/data/snips`");
        return;
    }
    let place = Place::new();
    let arguments = ["data", "import", "snips", "--from", copy.to_str().unwrap()];
    place.slm(&arguments).succeeds();
    let lines = |part: &str| {
        let text = place.read(&format!("workspace/datasets/snips/{part}.jsonl"));
        text.lines().count()
    };
    assert_eq!((lines("train"), lines("validation")), (13_784, 700));
}

/// The same question and answer in each format, and what the model sees of it.
const FORMATS: [(&str, &str); 5] = [
    (
        "messages",
        r#"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"}]}"#,
    ),
    (
        "sharegpt",
        r#"{"conversations":[{"from":"human","value":"hi"},{"from":"gpt","value":"ho"}]}"#,
    ),
    ("alpaca", r#"{"instruction":"hi","input":"","output":"ho"}"#),
    ("prompt-completion", r#"{"prompt":"hi","completion":"ho"}"#),
    (
        "prompt-completion",
        r#"{"prompt":[{"role":"user","content":"hi"}],"completion":[{"role":"assistant","content":"ho"}]}"#,
    ),
];

fn nano() -> String {
    let path = repository().join("workspace/models/slm-nano");
    path.display().to_string()
}

#[test]
fn every_format_becomes_the_same_tokens() {
    let place = Place::new();
    for (format, row) in FORMATS {
        place.write("rows.jsonl", row);
        let run = place.slm(&["data", "inspect", "rows.jsonl", "--model", &nano()]);
        let shown = run.succeeds();
        assert!(shown.contains(&format!("format    {format}\n")), "{shown}");
        assert!(
            shown.ends_with("row `rows-1`, tokens between bars, {+learned+}\n<|user|>|hi|<|end|>|<|assistant|>|{+ho|<|end|>+}\n"),
            "{shown}"
        );
        assert!(
            shown.contains("learned   2 of 6 tokens, 33.3%\n"),
            "{shown}"
        );
        assert!(
            shown.contains("over-long 0 rows beyond 1024 tokens\n"),
            "{shown}"
        );
    }
    place.write("rows.jsonl", r#"{"id":"t","text":"hi ho"}"#);
    let arguments = [
        "data",
        "inspect",
        "rows.jsonl",
        "--model",
        &nano(),
        "--max-length",
        "2",
        "--format",
        "json",
    ];
    let found: Value = serde_json::from_str(place.slm(&arguments).succeeds()).unwrap();
    assert_eq!(found["data_format"], "text");
    let tokens = &found["tokens"];
    assert_eq!(tokens["over_long"], 1, "{tokens:#}");
    assert_eq!(tokens["lengths"]["max"], tokens["total"]);
    let last = tokens["shown"][0].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["text"], &last["learned"]),
        (&"<|end|>".into(), &true.into())
    );
}

#[test]
fn every_bad_row_is_told_with_its_line_and_a_hint() {
    let place = Place::new();
    let (_, good) = FORMATS[2];
    place.write(
        "rows.jsonl",
        format!("{good}\n{{\"instruction\":\"x\"}}\n{good}\n[]\n"),
    );
    place.slm(&["data", "inspect", "rows.jsonl"]).fails(
        1,
        "error: rows.jsonl: 2 of 4 rows cannot be used\n\
         rows.jsonl:2: the row has no `output`, as rows of the format alpaca have\n\
         hint: add it, or drop the row; a file has one format, told by its first row or by `data.format`\n\
         rows.jsonl:4: the row is no JSON object\n\
         hint: each line must hold one object, such as `{\"messages\": [...]}`\n",
    );
}
