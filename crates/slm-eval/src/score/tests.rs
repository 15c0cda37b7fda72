//! Scoring as a whole: the form of results, ids that do not fit, determinism.

use serde_json::json;

use super::*;
use crate::predictions::Prediction;

fn rows(targets: &[Value]) -> Vec<Row> {
    targets
        .iter()
        .enumerate()
        .map(|(index, target)| Row {
            id: index.to_string(),
            input: Some(format!("question {index}")),
            target: target.clone(),
            ..Row::default()
        })
        .collect()
}

fn system(name: &str, rows: &[Row], outputs: &[(usize, &str)]) -> System {
    let answers = outputs
        .iter()
        .map(|(id, output)| Prediction::text(id.to_string(), *output));
    System {
        name: name.into(),
        predictions: Predictions::new(answers, rows),
        ..System::default()
    }
}

fn label_task() -> (Task, Vec<Row>) {
    let mut task = Task::of_kind("labels", OutputType::Label);
    task.output.labels = vec!["a".into(), "b".into(), "c".into()];
    (
        task,
        rows(&[json!("a"), json!("a"), json!("b"), json!("b")]),
    )
}

#[test]
fn a_missing_answer_is_wrong_and_an_unknown_one_is_listed() {
    let (task, rows) = label_task();
    let one = system("one", &rows, &[(0, "a"), (1, "oops"), (2, "b"), (9, "a")]);
    let results = score(&task, &rows, &[one], &Options::default());
    let found = &results.systems[0];
    assert_eq!(found.metrics["exact_raw"].value, 0.5);
    assert_eq!(found.metrics["exact_raw"].n, 4);
    assert_eq!(found.metrics["label_micro_f1"].value, 0.5);
    // a: tp 1 fn 1, b: tp 1 fn 1, c: nothing.
    assert!((found.metrics["label_macro_f1"].value - 4.0 / 9.0).abs() < 1e-12);
    assert_eq!(found.failures["missing"], 1);
    assert_eq!(found.failures["invalid_label"], 1);
    assert_eq!(found.ids.missing, ["3"]);
    assert_eq!(found.ids.unknown, ["9"]);
    assert_eq!(found.labels["(invalid)"].fp, 2);
    assert!(
        results
            .notes
            .contains(&"no frontier baseline configured".to_string())
    );
}

#[test]
fn pairs_of_systems_are_tested_on_the_same_samples() {
    let (task, rows) = label_task();
    let good = system("good", &rows, &[(0, "a"), (1, "a"), (2, "b"), (3, "b")]);
    let bad = system("bad", &rows, &[(0, "a"), (1, "b"), (2, "a"), (3, "a")]);
    let results = score(&task, &rows, &[good, bad], &Options::default());
    let exact = results.comparison("good", "bad", "exact_raw").unwrap();
    assert_eq!(exact.test, "mcnemar_exact");
    assert_eq!(
        (
            exact.both_right,
            exact.only_a,
            exact.only_b,
            exact.both_wrong
        ),
        (1, 3, 0, 0)
    );
    assert_eq!(exact.difference, 0.75);
    assert!((exact.p_value - 0.25).abs() < 1e-12);
    assert_eq!(exact.verdict, "no difference shown");
    let macro_f1 = results.comparison("bad", "good", "label_macro_f1").unwrap();
    assert_eq!(macro_f1.test, "paired_bootstrap");
    assert!(macro_f1.difference < 0.0 && macro_f1.low <= macro_f1.high);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let task = Task::of_kind("json", OutputType::Json);
    let rows = rows(
        &(0..40)
            .map(|i| json!({"x": i, "y": i % 3}))
            .collect::<Vec<_>>(),
    );
    let outputs: Vec<String> = (0..40).map(|i| format!("{{\"x\":{i},\"y\":1}}")).collect();
    let outputs: Vec<(usize, &str)> = outputs.iter().map(String::as_str).enumerate().collect();
    let run = || {
        let systems = [system("s", &rows, &outputs)];
        serde_json::to_string(&score(&task, &rows, &systems, &Options::default())).unwrap()
    };
    assert_eq!(run(), run());
}

#[test]
fn the_contract_form_holds() {
    let task = Task::of_kind("text", OutputType::Text);
    let rows = rows(&[json!("x"), json!("y")]);
    let systems = [
        system("p", &rows, &[(0, "x"), (1, "y")]),
        system("q", &rows, &[(0, "x")]),
    ];
    let results = score(&task, &rows, &systems, &Options::default());
    let value = serde_json::to_value(&results).unwrap();
    for pointer in [
        "/task",
        "/samples",
        "/systems/0/name",
        "/systems/0/metrics/token_f1/value",
        "/systems/0/metrics/token_f1/low",
        "/systems/0/metrics/token_f1/high",
        "/systems/0/metrics/token_f1/n",
        "/comparisons/0/a",
        "/comparisons/0/b",
        "/comparisons/0/metric",
        "/comparisons/0/difference",
        "/comparisons/0/low",
        "/comparisons/0/high",
        "/comparisons/0/p_value",
        "/comparisons/0/test",
        "/comparisons/0/both_right",
        "/comparisons/0/only_a",
        "/comparisons/0/only_b",
        "/comparisons/0/both_wrong",
    ] {
        assert!(value.pointer(pointer).is_some(), "{pointer} is missing");
    }
}

#[test]
fn a_perfect_score_keeps_an_honest_lower_bound() {
    let task = Task::of_kind("text", OutputType::Text);
    let rows = rows(&[json!("x"), json!("y")]);
    let systems = [system("p", &rows, &[(0, "x"), (1, "y")])];
    let results = score(&task, &rows, &systems, &Options::default());
    let f1 = results.systems[0].metrics["token_f1"];
    assert_eq!(f1.value, 1.0);
    assert!(f1.low < 0.5, "{f1:?}");
}

#[test]
fn tags_become_slices() {
    let (task, mut rows) = label_task();
    rows[0].tags = vec!["short".into()];
    rows[1].tags = vec!["short".into(), "odd".into()];
    let one = system("one", &rows, &[(0, "a"), (1, "b"), (2, "b"), (3, "b")]);
    let results = score(&task, &rows, &[one], &Options::default());
    let slices = &results.systems[0].slices;
    assert_eq!(slices["short"]["exact_raw"].value, 0.5);
    assert_eq!(slices["short"]["exact_raw"].n, 2);
    assert_eq!(slices["odd"]["exact_raw"].value, 0.0);
}

#[test]
fn every_leaf_of_a_mixed_task_has_its_own_label_figures() {
    let mut task = Task::of_kind("mixed", OutputType::Json);
    task.label_field = Some("/category".into());
    task.metrics = vec![Metric::FieldF1, Metric::ExactNormalized];
    let mut rows = rows(&[
        json!({"category": "a"}),
        json!({"category": "b"}),
        json!({"intent": "x", "tone": "up"}),
        json!({"intent": "y", "tone": "up"}),
    ]);
    for (index, row) in rows.iter_mut().enumerate() {
        let (tag, schema) = match index < 2 {
            true => (
                "triage",
                json!({"properties": {"category": {"enum": ["a", "b"]}}}),
            ),
            false => (
                "route",
                json!({"properties": {"intent": {"enum": ["x", "y"]}, "tone": {"enum": ["up", "down"]}}}),
            ),
        };
        row.tags = vec![tag.into()];
        row.schema = Some(schema);
    }
    let outputs = [
        (0, "{\"category\":\"a\"}"),
        (1, "{\"category\":\"a\"}"),
        (2, "{\"intent\":\"x\",\"tone\":\"up\"}"),
        (3, "{\"intent\":\"y\",\"tone\":\"up\"}"),
    ];
    let systems = [system("one", &rows, &outputs), system("none", &rows, &[])];
    let results = score(&task, &rows, &systems, &Options::default());
    let slices = &results.systems[0].slices;
    // a: tp 1 fp 1, b: fn 1.
    assert!((slices["triage"]["label_macro_f1"].value - 1.0 / 3.0).abs() < 1e-12);
    assert_eq!(slices["triage"]["exact_normalized"].value, 0.5);
    assert_eq!(slices["route"]["label_macro_f1 /intent"].value, 1.0);
    // `down` is declared and never right.
    assert_eq!(slices["route"]["label_macro_f1 /tone"].value, 0.5);
    assert!(!slices["route"].contains_key("label_macro_f1"));
    assert!(slices["route"]["label_macro_f1 /intent"].low < 1.0);
    let none = &results.systems[1].slices["route"];
    assert_eq!(none["label_macro_f1 /intent"].value, 0.0);
    assert_eq!(none["field_f1"].value, 0.0);
}

#[test]
fn no_systems_and_a_metric_without_samples_do_not_break() {
    let (mut task, rows) = label_task();
    task.metrics = vec![Metric::CallMatch, Metric::ExactRaw];
    let results = score(&task, &rows, &[], &Options::default());
    assert!(results.systems.is_empty());
    let one = system("one", &rows, &[]);
    let results = score(&task, &rows, &[one], &Options::default());
    assert!(!results.systems[0].metrics.contains_key("call_match"));
    assert!(
        results
            .notes
            .contains(&"call_match applies to no sample".to_string())
    );
    assert_eq!(results.systems[0].metrics["exact_raw"].value, 0.0);
}
