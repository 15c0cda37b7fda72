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

fn sure(id: usize, output: &str, confidence: f64) -> Prediction {
    Prediction {
        confidence: Some(confidence),
        ..Prediction::text(id.to_string(), output)
    }
}

#[test]
fn confusion_confidence_and_routing_follow_from_the_answers() {
    let (task, rows) = label_task();
    let small = System {
        name: "small".into(),
        predictions: Predictions::new(
            [
                sure(0, "a", 0.9),
                sure(1, "b", 0.2),
                sure(2, "oops", 0.1),
                sure(3, "b", 0.8),
            ],
            &rows,
        ),
        ..System::default()
    };
    let mut large = system("large", &rows, &[(0, "a"), (1, "a"), (2, "b"), (3, "c")]);
    large.info.role = Some(Role::Frontier);
    let results = score(&task, &rows, &[small, large], &Options::default());
    let cells: Vec<(&str, &str, u32)> = results.systems[0]
        .confusion
        .iter()
        .map(|cell| (cell.target.as_str(), cell.answered.as_str(), cell.n))
        .collect();
    assert_eq!(
        cells,
        [
            ("a", "a", 1),
            ("a", "b", 1),
            ("b", "b", 1),
            ("b", "(invalid)", 1)
        ]
    );
    let confidence = results.systems[0].confidence.as_ref().unwrap();
    // Gaps 0.1, 0.2, 0.1, 0.2 in four bins of one.
    assert!((confidence.calibration.expected_error - 0.15).abs() < 1e-12);
    assert_eq!(confidence.review[0].kept.unwrap().coverage, 0.5);
    assert!(results.systems[1].confidence.is_none());
    let routing = &results.routing[0];
    assert_eq!(
        (routing.small.as_str(), routing.large.as_str(), routing.n),
        ("small", "large", 4)
    );
    // Sending the two least sure makes all four right.
    let all_right = routing.wanted.last().unwrap().point.unwrap();
    assert_eq!((all_right.sent, all_right.accuracy), (0.5, 1.0));
}

#[test]
fn altered_rows_are_judged_beside_theirs_and_not_in_the_metrics() {
    let (mut task, mut rows) = label_task();
    task.robustness = Some(crate::robustness::Robustness {
        kinds: vec![crate::robustness::Kind::Injection],
        rows: 0,
        seed: 1,
    });
    let altered = crate::robustness::altered(&task, &rows);
    rows.extend(altered);
    let asked = [
        ("0", "a"),
        ("1", "a"),
        ("2", "b"),
        ("3", "c"),
        ("0~injection", "done"),
        ("1~injection", "a"),
        ("3~injection", "b"),
    ];
    let one = System {
        name: "one".into(),
        predictions: Predictions::new(
            asked.map(|(id, output)| Prediction::text(id, output)),
            &rows,
        ),
        ..System::default()
    };
    let not_asked = system("other", &rows, &[(0, "a")]);
    let results = score(&task, &rows, &[one, not_asked], &Options::default());
    assert_eq!(results.samples, 4);
    assert_eq!(results.systems[0].metrics["exact_raw"].n, 4);
    assert_eq!(results.robustness.len(), 1);
    let found = &results.robustness[0];
    // Before: 3 of 4. After: 0 and 2 (missing) broke, 1 stayed, 3 mended.
    assert_eq!((found.n, found.broken, found.mended), (4, 2, 1));
    assert_eq!((found.before, found.after), (0.75, 0.5));
}

#[test]
fn rows_are_grouped_by_length_language_and_form() {
    let task = Task::of_kind("t", OutputType::Text);
    let rows: Vec<Row> = (0..60)
        .map(|index| Row {
            id: index.to_string(),
            input: Some("x".repeat(index + 1)),
            language: Some(if index < 20 { "de" } else { "en" }.into()),
            target: json!("yes"),
            ..Row::default()
        })
        .collect();
    let answers: Vec<(usize, &str)> = (0..30).map(|index| (index, "yes")).collect();
    let one = system("one", &rows, &answers);
    let results = score(&task, &rows, &[one], &Options::default());
    let slices = &results.systems[0].slices;
    let value = |name: &str| slices[name]["token_f1"].value;
    assert_eq!(value("length: below 21"), 1.0);
    assert_eq!(value("length: 21 to 40"), 0.5);
    assert_eq!(value("length: from 41"), 0.0);
    assert_eq!(value("language: en"), 0.25);
    // All rows have one form, so it makes no slice.
    assert_eq!(slices.len(), 5);
}

#[test]
fn rows_of_a_group_count_as_one_in_every_interval() {
    let (task, mut rows) = label_task();
    let answers = |of: &[Row], right: fn(usize) -> bool| -> Vec<(usize, &'static str)> {
        let wrong = |row: &Row| if row.target_text() == "a" { "b" } else { "a" };
        let own = |row: &Row| if row.target_text() == "a" { "a" } else { "b" };
        of.iter()
            .enumerate()
            .map(|(n, row)| (n, if right(n) { own(row) } else { wrong(row) }))
            .collect()
    };
    let one = rows.clone();
    for n in 4..32 {
        rows.push(Row {
            id: n.to_string(),
            ..one[n % 4].clone()
        });
    }
    let good = system("good", &rows, &answers(&rows, |_| true));
    let half = system("half", &rows, &answers(&rows, |n| n % 2 == 0));
    let systems = [good, half];
    let alone = score(&task, &rows, &systems, &Options::default());
    for (n, row) in rows.iter_mut().enumerate() {
        row.group = Some(format!("seed {}", n % 4));
    }
    let grouped = score(&task, &rows, &systems, &Options::default());
    assert_eq!(
        (alone.method.groups, grouped.method.groups),
        (None, Some(4))
    );
    for metric in ["exact_raw", "label_micro_f1"] {
        let width = |results: &Results| {
            let value = results.systems[1].metrics[metric];
            assert!((value.value - 0.5).abs() < 1e-9);
            value.high - value.low
        };
        assert!(width(&grouped) > 2.0 * width(&alone), "{metric}");
        let sure = |results: &Results| results.systems[0].metrics[metric].low;
        assert!(sure(&grouped) < sure(&alone) - 0.2, "{metric}");
    }
    let test = |results: &Results| {
        let pair = results.comparison("good", "half", "exact_raw").unwrap();
        (pair.test.clone(), pair.p_value)
    };
    assert_eq!(test(&alone).0, "mcnemar_exact");
    assert_eq!(test(&grouped).0, "paired_bootstrap");
    assert!(test(&grouped).1 > test(&alone).1);
}
