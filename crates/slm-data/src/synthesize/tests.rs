//! Properties of what the grammar teacher makes, on leaves written here and on
//! the taxonomy that ships with the project.

use super::answer::{AnswerChecker, scalars};
use super::slots::plain;
use super::*;
use crate::ledger::Fate;
use crate::split::{SplitSettings, leakage};
use proptest::prelude::*;
use serde_json::{Value, json};
use slm_taxonomy::{Output, Slot, SlotKind};
use std::collections::BTreeSet;
use std::path::Path;

fn seed(index: usize, question: &str, answer: &str) -> Seed {
    Seed {
        index,
        context: None,
        pairs: vec![Pair {
            question: question.into(),
            answer: answer.into(),
        }],
    }
}

/// A leaf of support messages: labels, a pool, ids, amounts, dates.
fn support() -> SeedLeaf {
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["kind", "product", "order"],
        "properties": {
            "kind": {"enum": ["billing", "delivery"]}, "product": {"type": "string"},
            "order": {"type": ["string", "null"]}, "amount": {"type": "number"}, "due": {"type": "string"}
        }
    });
    SeedLeaf {
        name: "support/mail".into(),
        knowledge: false,
        output: Output::Json { schema },
        instruction: Some("Sort the mail.".into()),
        label_field: Some("/kind".into()),
        slots: vec![
            (
                "/product".into(),
                Slot::Values(
                    [
                        "Nimbus Router",
                        "Lumen Lamp",
                        "Solo Kettle",
                        "Halo Speaker",
                        "Nova Tablet",
                    ]
                    .map(String::from)
                    .to_vec(),
                ),
            ),
            ("/order".into(), Slot::Kind(SlotKind::Id)),
            ("/amount".into(), Slot::Kind(SlotKind::Amount)),
            ("/due".into(), Slot::Kind(SlotKind::DateIso)),
        ],
        parts: None,
        paraphrases: vec![vec![
            "was charged twice".into(),
            "was billed two times".into(),
        ]],
        seeds: vec![
            seed(
                0,
                "Hello, I was charged twice for the Nimbus Router. My order is KX-48213, over EUR 1,250.50, due 5 March 2024.",
                r#"{"kind":"billing","product":"Nimbus Router","order":"KX-48213","amount":1250.5,"due":"2024-03-05"}"#,
            ),
            seed(
                1,
                "The parcel with the Lumen Lamp has not arrived. Please look into it soon.",
                r#"{"kind":"delivery","product":"Lumen Lamp","order":null}"#,
            ),
            seed(
                2,
                "I was charged twice for my Solo Kettle, order DN-30582! Please send the money back to my card.",
                r#"{"kind":"billing","product":"Solo Kettle","order":"DN-30582"}"#,
            ),
            seed(
                3,
                "Where is my Halo Speaker? The courier never came to our house.",
                r#"{"kind":"delivery","product":"Halo Speaker","order":null}"#,
            ),
            seed(
                4,
                "My invoice for the Halo Speaker shows the wrong sum. It is about order BL-22756.",
                r#"{"kind":"billing","product":"Halo Speaker","order":"BL-22756"}"#,
            ),
            seed(
                5,
                "The courier left my Nova Tablet at the wrong door. Order HV-15937.",
                r#"{"kind":"delivery","product":"Nova Tablet","order":"HV-15937"}"#,
            ),
        ],
    }
}

fn request(rows: usize, seed: u64) -> Request {
    Request {
        rows,
        seed,
        side: PoolSide::Training,
    }
}

/// Every string and number of the answer that the seed's text showed is shown.
fn check_row(leaf: &SeedLeaf, sample: &Sample) {
    let checker = AnswerChecker::new(&leaf.name, &leaf.output).unwrap();
    let answer = checker.parse(sample.answer().unwrap()).unwrap();
    checker.check(&answer).unwrap();
    let prompt = sample.question().unwrap();
    let template = leaf
        .seeds
        .iter()
        .find(|s| s.index as u64 == sample.seed().unwrap())
        .unwrap();
    let old = checker.parse(&template.pairs[0].answer).unwrap();
    let text = format!(
        "{}\n{}",
        template.pairs[0].question,
        template.context.clone().unwrap_or_default()
    );
    for (pointer, value) in scalars(&answer) {
        let was = old.pointer(&pointer).unwrap();
        if text.contains(&plain(was)) {
            assert!(
                prompt.contains(&plain(value)),
                "{pointer} {value} not in {prompt}"
            );
            assert!(
                value == was || !prompt.contains(&plain(was)),
                "{pointer} {was} still in {prompt}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn text_and_answer_change_together(seed: u64) {
        let leaf = support();
        let made = GrammarTeacher::default().synthesize(&leaf, &request(60, seed)).unwrap();
        prop_assert_eq!(made.samples.len(), 60);
        prop_assert_eq!(&made.shortfall, &None);
        made.samples.iter().for_each(|sample| check_row(&leaf, sample));
        let prompts: BTreeSet<&str> = made.samples.iter().filter_map(Sample::question).collect();
        prop_assert_eq!(prompts.len(), 60);
        let ids: BTreeSet<&str> = made.samples.iter().map(|s| s.id.as_str()).collect();
        prop_assert_eq!(ids.len(), 60);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn no_text_makes_the_teacher_panic_or_lie(
        before in "\\PC{0,12}", value in "[ -~é]{1,8}|\\PC{1,5}|[0-9]{4}-[0-9]{2}-[0-9]{2}", after in "\\PC{0,12}",
        context in prop::option::of("\\PC{0,30}"), number in any::<i64>(), kind in 0usize..10, seed: u64,
    ) {
        let mut leaf = support();
        leaf.output = Output::Json { schema: json!({}) };
        leaf.slots = vec![("/a".into(), Slot::Kind(SlotKind::ALL[kind].1)), ("/n".into(), Slot::Kind(SlotKind::Integer))];
        let answer = json!({"a": value, "n": number, "list": [value]}).to_string();
        leaf.seeds = vec![seed_with(&format!("{before} {value} {number} {after}"), context, &answer)];
        let made = GrammarTeacher::default().synthesize(&leaf, &request(15, seed)).unwrap();
        for sample in &made.samples {
            let answer: Value = serde_json::from_str(sample.answer().unwrap()).unwrap();
            prop_assert_eq!(&answer["a"], &answer["list"][0]);
        }
    }
}

fn seed_with(question: &str, context: Option<String>, answer: &str) -> Seed {
    Seed {
        context,
        ..seed(0, question, answer)
    }
}

#[test]
fn the_same_request_gives_the_same_rows_and_more_rows_extend_them() {
    let teacher = GrammarTeacher::default();
    let few = teacher
        .synthesize(&support(), &request(20, 9))
        .unwrap()
        .samples;
    let many = teacher
        .synthesize(&support(), &request(50, 9))
        .unwrap()
        .samples;
    assert_eq!(few, many[..20]);
    assert_ne!(
        few,
        teacher
            .synthesize(&support(), &request(20, 10))
            .unwrap()
            .samples
    );
}

#[test]
fn rows_say_where_they_come_from() {
    let made = GrammarTeacher::default()
        .synthesize(&support(), &request(80, 1))
        .unwrap();
    let first = &made.samples[0];
    assert_eq!(first.id, "support/mail-s000-00000");
    assert_eq!(
        first.metadata["operations"],
        json!([]),
        "the first row of a seed is the seed"
    );
    assert_eq!(first.metadata["label"], "billing");
    assert_eq!(first.metadata["teacher"], "grammar");
    assert_eq!(first.metadata["instruction_bytes"], 15);
    let operations: BTreeSet<String> = made
        .samples
        .iter()
        .flat_map(|s| s.metadata["operations"].as_array().unwrap())
        .map(|o| o.as_str().unwrap().to_owned())
        .collect();
    for operation in [
        "substitution",
        "paraphrase",
        "greeting",
        "thanks",
        "case",
        "punctuation",
        "typo",
        "carrier",
    ] {
        assert!(
            operations.contains(operation),
            "{operation} is missing in {operations:?}"
        );
    }
    let carried = made.samples.iter().find(|s| {
        s.metadata["operations"]
            .as_array()
            .unwrap()
            .contains(&json!("carrier"))
    });
    assert!(carried.unwrap().metadata["seeds"].as_array().unwrap().len() >= 2);
}

#[test]
fn dates_and_amounts_change_in_their_written_form() {
    let made = GrammarTeacher::default()
        .synthesize(&support().with_seeds(&[0]), &request(40, 1))
        .unwrap();
    let changed = made.samples.iter().filter(|s| {
        let answer: Value = serde_json::from_str(s.answer().unwrap()).unwrap();
        let due = answer["due"].as_str().unwrap();
        assert!(!s.question().unwrap().contains(due), "dates stay in words");
        due != "2024-03-05"
    });
    assert!(changed.count() > 20);
}

#[test]
fn values_that_cannot_be_replaced_cleanly_stay() {
    let mut leaf = support();
    leaf.seeds = vec![
        // The product's name is also part of an address.
        seed(
            0,
            "My Nova broke, see nova@shop.example",
            r#"{"kind":"billing","product":"Nova","order":null}"#,
        ),
        // The order number lies inside another value.
        seed(
            1,
            "Order 77 of Lumen Lamp 77-B",
            r#"{"kind":"billing","product":"Lumen Lamp 77-B","order":"Lumen Lamp"}"#,
        ),
    ];
    let made = GrammarTeacher::default()
        .synthesize(&leaf, &request(30, 4))
        .unwrap();
    for sample in &made.samples {
        let answer: Value = serde_json::from_str(sample.answer().unwrap()).unwrap();
        let expected = if sample.seed() == Some(0) {
            "Nova"
        } else {
            "Lumen Lamp 77-B"
        };
        assert_eq!(answer["product"], expected);
    }
}

#[test]
fn the_word_of_a_label_may_be_paraphrased() {
    let mut leaf = support();
    leaf.paraphrases = vec![vec!["billing".into(), "charging".into()]];
    leaf.seeds = vec![seed(
        0,
        "A billing matter about the Lumen Lamp",
        r#"{"kind":"billing","product":"Lumen Lamp","order":null}"#,
    )];
    let made = GrammarTeacher::default()
        .synthesize(&leaf, &request(30, 4))
        .unwrap();
    let charging = made
        .samples
        .iter()
        .filter(|s| s.question().unwrap().contains("charging matter"));
    assert!(charging.clone().count() > 3);
    assert!(
        charging
            .clone()
            .all(|s| s.answer().unwrap().contains(r#""kind":"billing""#))
    );
}

#[test]
fn test_rows_show_values_that_training_rows_never_do() {
    let mut leaf = support();
    let pool: Vec<String> = (0..40)
        .map(|n| format!("Gadget {}{n}", char::from(b'A' + n % 26)))
        .collect();
    leaf.slots[0].1 = Slot::Values(pool.clone());
    let made = synthesize_split(&GrammarTeacher::default(), &[leaf], &settings(400, 5)).unwrap();
    let shown = |rows: &[Sample]| -> BTreeSet<String> {
        pool.iter()
            .filter(|v| {
                rows.iter()
                    .any(|s| s.answer().unwrap().contains(&format!("\"{v}\"")))
            })
            .cloned()
            .collect()
    };
    let (train, test) = (shown(&made.train), shown(&made.test));
    assert_eq!(train.len(), 30, "three values in four are for training");
    assert!(test.difference(&train).count() >= 5 && test.intersection(&train).count() >= 5);
}

#[test]
fn calls_change_in_text_and_arguments() {
    let mut leaf = support();
    leaf.label_field = None;
    leaf.output = Output::Calls {
        tools: vec![
            json!({"type": "function", "function": {"name": "book", "parameters": {
                "type": "object", "required": ["city", "nights"],
                "properties": {"city": {"type": "string"}, "nights": {"type": "integer"}, "board": {"enum": ["full", "none"]}}
            }}}),
        ],
    };
    leaf.slots = vec![
        ("/city".into(), Slot::Kind(SlotKind::City)),
        ("/0/arguments/nights".into(), Slot::Kind(SlotKind::Integer)),
    ];
    leaf.seeds = vec![seed(
        0,
        "Please book 3 nights in Rome with full board",
        r#"[{"name":"book","arguments":{"city":"Rome","nights":3,"board":"full"}}]"#,
    )];
    let made = GrammarTeacher::default()
        .synthesize(&leaf, &request(40, 4))
        .unwrap();
    let mut cities = BTreeSet::new();
    for sample in &made.samples {
        let answer: Value = serde_json::from_str(sample.answer().unwrap()).unwrap();
        assert_eq!(
            (&answer[0]["name"], &answer[0]["arguments"]["board"]),
            (&json!("book"), &json!("full"))
        );
        let (city, nights) = (
            &answer[0]["arguments"]["city"],
            &answer[0]["arguments"]["nights"],
        );
        let text = sample.question().unwrap();
        assert!(
            text.contains(city.as_str().unwrap()) && text.contains(&format!("{nights} ")),
            "{text} {answer}"
        );
        assert!(sample.tools.is_some());
        cities.insert(city.to_string());
    }
    assert!(cities.len() > 10);
}

#[test]
fn too_few_variants_are_explained() {
    let mut leaf = support();
    leaf.output = Output::Label {
        labels: vec!["yes".into()],
    };
    leaf.slots.clear();
    leaf.paraphrases.clear();
    leaf.seeds = vec![seed(0, "Go", "yes"), seed(1, "Stay", "no")];
    let made = GrammarTeacher::default()
        .synthesize(&leaf, &request(5000, 4))
        .unwrap();
    let shortfall = made.shortfall.unwrap();
    assert_eq!(
        (shortfall.wanted, shortfall.got),
        (5000, made.samples.len())
    );
    let shown = shortfall.to_string();
    assert!(
        shown.contains("leaf `support/mail`") && shown.contains("add seed examples"),
        "{shown}"
    );
    let unusable = made.dropped.iter().find(|e| e.seed == Some(1)).unwrap();
    assert!(
        matches!(&unusable.fate, Fate::Dropped { detail: Some(d), .. } if d.contains("`no` is not among"))
    );
    leaf.seeds.remove(0);
    let message = GrammarTeacher::default()
        .synthesize(&leaf, &request(5, 4))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("no seed of leaf `support/mail` can be used") && message.contains("hint:"),
        "{message}"
    );
}

fn settings(rows_per_leaf: usize, seed: u64) -> SynthesisSettings {
    SynthesisSettings {
        rows_per_leaf,
        rows_of: Default::default(),
        split: SplitSettings {
            validation: 0.1,
            test: 0.2,
            seed,
        },
        filters: Filters::default(),
    }
}

#[test]
fn a_leaf_may_have_rows_of_its_own_number() {
    let (mut other, mut settings) = (support(), settings(100, 5));
    other.name = "other".into();
    settings.rows_of.insert("other".into(), 40);
    let made =
        synthesize_split(&GrammarTeacher::default(), &[support(), other], &settings).unwrap();
    assert_eq!(
        (made.train.len(), made.validation.len(), made.test.len()),
        (70 + 28, 10 + 4, 20 + 8)
    );
}

#[test]
fn splits_share_no_seed_and_count_what_was_asked() {
    let made =
        synthesize_split(&GrammarTeacher::default(), &[support()], &settings(100, 5)).unwrap();
    assert_eq!(
        (made.train.len(), made.validation.len(), made.test.len()),
        (70, 10, 20),
        "{:?}",
        made.shortfalls
    );
    let seeds = |rows: &[Sample]| -> BTreeSet<u64> {
        rows.iter()
            .flat_map(|s| {
                s.metadata.get("seeds").map_or_else(
                    || vec![s.seed().unwrap()],
                    |v| {
                        v.as_array()
                            .unwrap()
                            .iter()
                            .filter_map(Value::as_u64)
                            .collect()
                    },
                )
            })
            .collect()
    };
    let (train, validation, test) = (
        seeds(&made.train),
        seeds(&made.validation),
        seeds(&made.test),
    );
    assert!(
        train.is_disjoint(&test) && train.is_disjoint(&validation) && test.is_disjoint(&validation)
    );
    let report = leakage(&made.train, &made.test);
    assert!(report.is_clean(), "{report}");
    let kept = made
        .ledger
        .iter()
        .filter(|e| matches!(e.fate, Fate::Kept { .. }))
        .count();
    assert_eq!(kept, 100);
    let again =
        synthesize_split(&GrammarTeacher::default(), &[support()], &settings(100, 5)).unwrap();
    assert_eq!(again, made);
}

#[test]
fn the_shipped_taxonomy_gives_the_rows_asked_for() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../taxonomy");
    let report = slm_taxonomy::check(&[folder], slm_taxonomy::Options::default());
    let leaves: Vec<SeedLeaf> = report.leaves.iter().map(SeedLeaf::from).collect();
    assert!(leaves.len() >= 4, "{}", leaves.len());
    let start = std::time::Instant::now();
    let made = synthesize_split(&GrammarTeacher::default(), &leaves, &settings(400, 5)).unwrap();
    println!(
        "{} rows in {:?}",
        made.train.len() + made.test.len(),
        start.elapsed()
    );
    for shortfall in &made.shortfalls {
        println!("{shortfall}");
    }
    println!("{:?}", crate::ledger::dropped_by_reason(&made.ledger));
    println!("{}", leakage(&made.train, &made.test));
    for sample in made
        .train
        .iter()
        .step_by(23)
        .chain(made.test.iter().step_by(17))
    {
        println!(
            "--- {} {}\n{}\n=> {}",
            sample.id,
            sample.metadata["operations"],
            crate::split::comparable_text(sample),
            sample.answer().unwrap()
        );
    }
    for leaf in &leaves {
        let rows = made
            .train
            .iter()
            .filter(|s| s.leaf() == Some(&leaf.name))
            .count();
        assert_eq!(rows, 280, "{}", leaf.name);
    }
    assert!(leakage(&made.train, &made.test).is_clean());
}
