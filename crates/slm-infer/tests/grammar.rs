//! Constrained decoding's promises: what ends by itself is valid, what cannot be enforced is
//! refused with its place, and bombs stay small.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use slm_infer::grammar::{CallForm, calls_schema};
use slm_infer::load::InMemory;
use slm_infer::{
    Answer, Constraint, Ending, Engine, EngineSettings, Finish, Grammars, MaskSource, Model,
    Request, WeightFormat,
};
use slm_model::weights::Weights;
use slm_model::{ModelConfig, Tokenizer};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

/// A model with random weights over a real vocabulary, and its grammars.
struct Room {
    tokenizer: Tokenizer,
    engine: Engine,
    grammars: Grammars,
    stops: Vec<u32>,
}

impl Room {
    fn of(folder: &str, batch: usize) -> Self {
        let tokenizer = Tokenizer::load(&here(folder)).unwrap();
        let highest = tokenizer.inner().get_vocab(true).into_values().max();
        let vocabulary = highest.unwrap() as usize + 3;
        let shape = json!({"model_type": "llama", "vocab_size": vocabulary, "hidden_size": 32,
            "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "num_key_value_heads": 1, "max_position_embeddings": 1200,
            "tie_word_embeddings": true});
        let config = ModelConfig::from_json(&shape, Path::new("shape")).unwrap();
        let tables = Weights::random(&config, 5);
        let format = WeightFormat::F32;
        let model = Model::build(config, &mut InMemory { tables, format }).unwrap();
        let stops = vec![tokenizer.eos_token().unwrap()];
        Self {
            grammars: Grammars::new(&tokenizer, vocabulary, &stops).unwrap(),
            engine: Engine::with_settings(model, EngineSettings { batch }),
            tokenizer,
            stops,
        }
    }

    fn nano() -> Self {
        Self::of("workspace/models/slm-nano", 8)
    }

    fn request(&self, constraint: &Constraint, most: usize, seed: u64) -> Request {
        Request {
            mask: Some(self.grammars.compile(constraint, false).unwrap()),
            temperature: if seed == 0 { 0.0 } else { 1.0 },
            seed,
            close: true,
            ..Request::greedy(vec![3 + seed as u32 % 50, 9], most, self.stops.clone())
        }
    }

    fn ask(&self, constraint: &Constraint, most: usize, seeds: u64) -> Vec<(String, Answer)> {
        let requests: Vec<Request> = (0..seeds)
            .map(|seed| self.request(constraint, most, seed))
            .collect();
        let answers = self.engine.generate(&requests, &mut |_| {});
        answers
            .into_iter()
            .map(|answer| answer.unwrap())
            .map(|answer| (self.tokenizer.decode(&answer.tokens).unwrap(), answer))
            .collect()
    }

    /// Answers under a schema, each of which must end and validate.
    fn valid(&self, schema: &Value, seeds: u64) -> Vec<Value> {
        let validator = jsonschema::draft202012::new(schema).unwrap();
        let constraint = Constraint::Schema(schema.clone());
        let answers = self.ask(&constraint, 400, seeds);
        answers
            .into_iter()
            .map(|(text, answer)| {
                assert_eq!(answer.finish, Finish::Stop, "{schema}: {text}");
                let value: Value = serde_json::from_str(&text)
                    .unwrap_or_else(|error| panic!("{schema}: {text}: {error}"));
                let valid = validator.validate(&value);
                assert!(valid.is_ok(), "{schema}: {text}: {valid:?}");
                value
            })
            .collect()
    }

    fn refusal(&self, constraint: &Constraint) -> String {
        let refused = self.grammars.compile(constraint, false);
        refused.err().expect("refused").to_string()
    }
}

/// Schemas of the subset that is promised; `$defs` has a recursive one.
fn schemas() -> impl Strategy<Value = Value> {
    let bounds = (-50i64..50, 1i64..40);
    let leaf = prop_oneof![
        Just(json!({"type": "null"})),
        Just(json!({"type": "boolean"})),
        Just(json!({"type": "string"})),
        Just(json!({"type": ["integer", "null"]})),
        bounds.clone().prop_map(|(low, more)| json!(
            {"type": "integer", "minimum": low, "maximum": low + more})),
        bounds.clone().prop_map(|(low, more)| json!(
            {"type": "integer", "exclusiveMinimum": low, "exclusiveMaximum": low + more + 1})),
        bounds
            .clone()
            .prop_map(|(low, more)| json!({"type": "number",
            "exclusiveMinimum": low as f64 / 8.0, "maximum": (low + more) as f64 / 4.0 + 60.0})),
        (1i64..9).prop_map(|step| json!({"type": "integer", "multipleOf": step})),
        Just(json!({"type": "number"})),
        prop::sample::select(vec![0.25, 0.01, 0.1, 2.5])
            .prop_map(|step| json!({"type": "number", "multipleOf": step})),
        (0usize..4, 0usize..5).prop_map(|(least, more)| json!(
            {"type": "string", "minLength": least, "maxLength": least + more})),
        prop::sample::select(vec![
            "^[a-c]+$",
            "x\\d{2,3}",
            "^\\W?\\w\\s\\S$",
            "^(ab|é)*$",
            "^.{3}$"
        ])
        .prop_map(|pattern| json!({"type": "string", "pattern": pattern})),
        prop::sample::select(vec!["date", "time", "date-time", "uuid", "ipv4", "email"])
            .prop_map(|format| json!({"type": "string", "format": format})),
        Just(json!({"enum": ["a\"b", "größe", "東京\n", 7, -2.5, null, {"k": [1]}]})),
        Just(json!({"const": "tab\there \\ and 🙂"})),
        Just(json!({"$ref": "#/$defs/tree"})),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            (inner.clone(), 0usize..3, 0usize..3).prop_map(|(items, least, more)| json!(
                {"type": "array", "items": items, "minItems": least, "maxItems": least + more})),
            (prop::collection::vec(inner.clone(), 1..3), inner.clone()).prop_map(
                |(prefix, items)| json!({"type": "array", "prefixItems": prefix, "items": items})
            ),
            prop::collection::vec(inner.clone(), 1..4)
                .prop_map(|options| json!({"anyOf": options})),
            (
                prop::collection::vec((inner.clone(), any::<bool>()), 0..5),
                0usize..3
            )
                .prop_map(|(fields, open)| {
                    let names = ["zeta", "alpha", "a b", "ключ", "q\"q"];
                    let named = || names.iter().zip(&fields);
                    let properties: serde_json::Map<String, Value> = named()
                        .map(|(name, (schema, _))| ((*name).to_owned(), schema.clone()))
                        .collect();
                    let required: Vec<&str> = named()
                        .filter_map(|(name, (_, required))| required.then_some(*name))
                        .collect();
                    let mut schema = json!({"type": "object", "properties": properties,
                        "required": required});
                    match open {
                        0 => schema["additionalProperties"] = false.into(),
                        1 => schema["additionalProperties"] = json!({"type": "integer"}),
                        _ => {}
                    }
                    schema
                }),
        ]
    })
    .prop_map(|schema| {
        let mut schema = schema;
        schema["$defs"] = json!({"tree": {"type": "object", "properties": {
            "value": {"type": "integer"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
            "required": ["value"], "additionalProperties": false}});
        schema
    })
}

#[test]
fn what_ends_by_itself_validates() {
    let room = Room::nano();
    let config = ProptestConfig {
        cases: 60,
        failure_persistence: None,
        max_shrink_iters: 40,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let outcome = runner.run(&schemas(), |schema| {
        room.valid(&schema, 4);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn order_escapes_recursion_and_large_enums_hold() {
    let room = Room::nano();
    let ordered = json!({"type": "object", "properties": {"z": {"enum": ["1"]}, "a": {"enum": [2]}},
        "required": ["a", "z"], "additionalProperties": false});
    let written = room.ask(&Constraint::Schema(ordered), 50, 2);
    assert_eq!(written[0].0.replace(' ', ""), r#"{"z":"1","a":2}"#);
    assert!(written[0].1.forced_tokens > 0);
    let many: Vec<String> = (0..5_000).map(|n| format!("label-{}", n * n)).collect();
    let named = room.valid(&json!({"enum": many}), 4);
    assert!(
        named
            .iter()
            .all(|name| many.iter().any(|label| name == label))
    );
    // A name that is declared cannot come again in disguise, as `\u0061`.
    room.valid(
        &json!({"properties": {"a": {"type": "integer"}}, "type": "object"}),
        12,
    );
    room.valid(
        &json!({"$defs": {"a/b": {"$anchor": "x", "type": "array", "maxItems": 2,
        "items": {"$ref": "#"}}}, "anyOf": [{"$ref": "#/$defs/a~1b"}, {"type": "null"}]}),
        4,
    );
}

#[test]
fn a_keyword_that_cannot_be_enforced_is_named_with_its_place() {
    let room = Room::nano();
    for (schema, keyword, place) in [
        (
            json!({"properties": {"a": {"items": {"not": {}}}}}),
            "not",
            "#/properties/a/items",
        ),
        (
            json!({"type": "array", "uniqueItems": true}),
            "uniqueItems",
            "#",
        ),
        (json!({"$ref": "other.json#/x"}), "$ref", "#"),
        (
            json!({"properties": {"a/b": {"type": "object", "minProperties": 2}}}),
            "minProperties",
            "#/properties/a~1b",
        ),
        (
            json!({"$defs": {"x": {"type": "string", "pattern": "(?=a)b"}},
            "properties": {"a": {"type": "null"}, "b": {"$ref": "#/$defs/x"}}}),
            "pattern",
            "#/$defs/x",
        ),
        (
            json!({"properties": {"b": {"oneOf": [{"type": "integer"}, {"type": "number"}]}}}),
            "oneOf",
            "#/properties/b",
        ),
        (
            json!({"anyOf": [{"type": "null"}, {"type": "objekt"}]}),
            "type",
            "#/anyOf/1",
        ),
        (json!({"enum": [1e300]}), "enum", "#"),
    ] {
        let message = room.refusal(&Constraint::Schema(schema.clone()));
        let expected = format!("the schema's `{keyword}` at `{place}` cannot be enforced: ");
        assert!(message.starts_with(&expected), "{schema}: {message}");
        let lenient = room
            .grammars
            .compile(&Constraint::Schema(schema), true)
            .unwrap();
        assert_eq!(lenient.unenforced()[0].to_string(), message);
    }
    assert!(
        room.refusal(&Constraint::Schema(json!(false)))
            .contains("nothing satisfies it")
    );
    assert!(
        room.refusal(&Constraint::Regex("(a".into()))
            .starts_with("the regular expression")
    );
    assert!(
        room.refusal(&Constraint::Lark("start: nothing".into()))
            .starts_with("the grammar")
    );
    assert!(
        room.refusal(&Constraint::Labels(vec![]))
            .starts_with("the list of labels")
    );
}

#[test]
fn labels_expressions_grammars_objects_and_calls_hold() {
    let room = Room::nano();
    let labels: Vec<String> = [
        "no",
        "none",
        "größer",
        "<|end|>",
        "a/b \\ c",
        "[x]\n(\"y\")^",
    ]
    .map(Into::into)
    .to_vec();
    for (text, answer) in room.ask(&Constraint::Labels(labels.clone()), 30, 8) {
        assert!(labels.contains(&text) || text.is_empty(), "{text}");
        assert_eq!(answer.finish, Finish::Stop);
    }
    for (text, _) in room.ask(&Constraint::Regex("[0-9]{2}-(a|b)é".into()), 30, 4) {
        assert!(text.len() == 6 && text.ends_with('é'), "{text}");
    }
    let lark = "start: \"x\" item{2,3}\nitem: \"(\" /[a-z]/ \")\"".to_owned();
    for (text, _) in room.ask(&Constraint::Lark(lark), 30, 4) {
        assert!(text.starts_with("x(") && text.len() >= 7, "{text}");
    }
    for (text, _) in room.ask(&Constraint::JsonObject, 60, 6) {
        assert!(
            serde_json::from_str::<Value>(&text).unwrap().is_object(),
            "{text}"
        );
    }
    let tools = [
        json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object",
            "properties": {"x": {"type": "number"}}, "required": ["x"]}}}),
        json!({"type": "function", "function": {"name": "g/h", "parameters": {
            "$defs": {"n": {"type": "integer"}}, "properties": {"n": {"$ref": "#/$defs/n"}},
            "required": ["n"], "additionalProperties": false}}}),
    ];
    let named = room.valid(&calls_schema(&tools, CallForm::Named).unwrap(), 6);
    assert!(named.iter().all(
        |call| call["name"] == "f" && call["arguments"]["x"].is_number()
            || call["name"] == "g/h" && call["arguments"]["n"].is_number()
    ));
    let listed = room.valid(&calls_schema(&tools, CallForm::List).unwrap(), 6);
    assert!(
        listed
            .iter()
            .all(|calls| calls[0]["f"].is_object() || calls[0]["g/h"].is_object())
    );
}

#[test]
fn a_cut_answer_says_so_and_a_closed_one_is_whole() {
    let room = Room::nano();
    let schema = json!({"type": "object", "properties": {"text": {"type": "string"},
        "when": {"type": "string", "format": "date"}}, "required": ["text", "when"]});
    let constraint = Constraint::Schema(schema.clone());
    let closed = room.request(&constraint, 40, 3);
    let cut = Request {
        close: false,
        ..closed.clone()
    };
    let answers = room.engine.generate(&[closed, cut], &mut |_| {});
    let answers: Vec<Answer> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(
        (answers[0].finish, answers[1].finish),
        (Finish::Stop, Finish::Length)
    );
    assert!(answers[0].tokens.len() <= 40 && answers[1].tokens.len() == 40);
    let text = room.tokenizer.decode(&answers[0].tokens).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    assert!(jsonschema::is_valid(&schema, &value), "{text}");
}

#[test]
fn an_answer_under_a_grammar_does_not_depend_on_its_batch() {
    let constraints = [
        Constraint::Schema(json!({"type": "object", "properties": {
            "name": {"enum": ["restart", "scale"]}, "n": {"type": "integer"}, "text": {"type": "string"}},
            "required": ["name", "n"]})),
        Constraint::JsonObject,
        Constraint::Labels(vec!["one".into(), "two".into()]),
    ];
    let answers = |batch: usize| -> Vec<Answer> {
        let room = Room::of("workspace/models/slm-nano", batch);
        let request = |n: u64| Request {
            close: n.is_multiple_of(2),
            ..room.request(&constraints[n as usize % 3], 10 + n as usize * 3, n)
        };
        let mut requests: Vec<Request> = (0..14).map(request).collect();
        requests.push(Request::greedy(vec![5], 20, vec![]));
        let answers = room.engine.generate(&requests, &mut |_| {});
        answers.into_iter().map(Result::unwrap).collect()
    };
    let alone = answers(1);
    for batch in [3, 16] {
        for (one, other) in alone.iter().zip(answers(batch)) {
            assert_eq!((&one.tokens, one.finish), (&other.tokens, other.finish));
            assert_eq!(one.log_probabilities, other.log_probabilities);
        }
    }
}

#[test]
fn other_vocabularies_are_understood() {
    for folder in ["llama", "gemma2", "phi3", "qwen2"] {
        let room = Room::of(&format!("tests/fixtures/hf/{folder}"), 4);
        room.valid(
            &json!({"type": "object", "properties": {"é name": {"type": "boolean"},
            "s": {"type": "string", "maxLength": 5}}, "required": ["é name", "s"]}),
            3,
        );
    }
}

#[test]
fn yaml_holds_what_the_schema_describes() {
    let room = Room::nano();
    let schema = json!({"type": "object", "properties": {
        "name": {"type": "string"}, "kind": {"enum": ["no", "a b", "x: y", 3, null]},
        "when": {"type": ["string", "null"], "format": "date"},
        "tags": {"type": "array", "items": {"enum": ["red", "on"]}, "maxItems": 3},
        "size": {"type": "object", "properties": {"w": {"type": "integer"}, "h": {"type": "number"}},
            "additionalProperties": false},
        "parts": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"$ref": "#/$defs/part"}}},
        "required": ["name", "kind", "tags", "parts"], "additionalProperties": false,
        "$defs": {"part": {"type": "object", "properties": {"id": {"type": "string", "pattern": "^[0-9a-f]{4}$"},
            "ok": {"type": "boolean"}}, "required": ["id"], "additionalProperties": false}}});
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    for (text, answer) in room.ask(&Constraint::Yaml(schema.clone()), 300, 24) {
        assert_eq!(answer.finish, Finish::Stop, "{text}");
        let value: Value = serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{e}:\n{text}"));
        let valid = validator.validate(&value);
        assert!(valid.is_ok(), "{valid:?}:\n{text}");
    }
    let tree = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
    assert!(
        room.refusal(&Constraint::Yaml(tree))
            .contains("without recursion")
    );
    let odd = json!({"type": "object", "properties": {"a": {"prefixItems": [{"type": "null"}], "type": "array"}}});
    assert!(
        room.refusal(&Constraint::Yaml(odd))
            .contains("`prefixItems`")
    );
}

#[test]
fn bombs_stay_small() {
    let room = Room::nano();
    let mut deep = json!({"type": "null"});
    for _ in 0..120 {
        deep = json!({"type": "array", "items": deep});
    }
    let chain: serde_json::Map<String, Value> = (0..3_000)
        .map(|n| {
            (
                format!("d{n}"),
                json!({"$ref": format!("#/$defs/d{}", n + 1)}),
            )
        })
        .collect();
    let mut chain = json!({"$defs": chain, "$ref": "#/$defs/d0"});
    chain["$defs"]["d3000"] = json!({"type": "null"});
    let labels =
        |count: u64| -> Vec<String> { (0..count).map(|n| format!("{:x}", n * 7_919)).collect() };
    let doubling = (0..40).fold(json!({"minLength": 1}), |inner, _| {
        json!({"allOf": [inner.clone(), {"anyOf": [{"type": "string"}, {"type": "number"}]}],
            "anyOf": [{"type": "string"}, {"type": "integer"}, {"maxLength": 4}]})
    });
    let refused = room
        .grammars
        .compile(&Constraint::Schema(doubling.clone()), false);
    let refused = refused.err().expect("a bomb of alternatives").to_string();
    assert!(refused.contains("more than 1000 combinations"), "{refused}");
    for bomb in [
        Constraint::Schema(deep),
        Constraint::Schema(chain),
        Constraint::Schema(json!({"enum": labels(400_000)})),
        Constraint::Schema(json!({"enum": labels(20_000)})),
        Constraint::Schema(doubling),
        Constraint::Schema(json!({"$ref": "#"})),
        Constraint::Schema(
            json!({"type": "string", "pattern": "^(([a-z]*)*x){1000}(a|b|ab){900}$"}),
        ),
        Constraint::Regex("((a{1,900}){1,900}){1,900}[ab]{800}".into()),
        Constraint::Labels(labels(400_000)),
        Constraint::Labels(labels(20_000)),
    ] {
        // Refused, or compiled within the bounds; either is an end.
        if let Ok(grammar) = room.grammars.compile(&bomb, false) {
            let request = Request {
                mask: Some(Arc::clone(&grammar) as _),
                ..Request::greedy(vec![4], 12, room.stops.clone())
            };
            assert!(room.engine.generate(&[request], &mut |_| {})[0].is_ok());
        }
    }
}

/// Whether a schema lets a model write just this text.
fn lets_write(room: &Room, schema: &Value, text: &str) -> bool {
    let constraint = Constraint::Schema(schema.clone());
    let grammar = room.grammars.compile(&constraint, false).unwrap();
    let mut mask = MaskSource::start(&*grammar);
    let mut written = Vec::new();
    loop {
        written.extend(mask.forced());
        let so_far = room.tokenizer.decode(&written).unwrap();
        let Some(rest) = text.strip_prefix(&so_far) else {
            return false;
        };
        if rest.is_empty() {
            return mask.ending() != Ending::Open;
        }
        let next = room.tokenizer.encode(rest).unwrap()[0];
        let mut logits = vec![0.0; room.tokenizer.inner().get_vocab_size(true)];
        mask.allow(&mut logits);
        if logits[next as usize] < 0.0 || mask.refuses(next) {
            return false;
        }
        mask.accept(next);
        written.push(next);
    }
}

#[test]
fn properties_that_may_be_left_out_come_in_any_order() {
    let room = Room::nano();
    let text = json!({"type": "string"});
    let slots = json!({"type": "object", "properties": {"artist": text, "city": text,
        "party size": {"type": "integer"}}, "additionalProperties": false});
    for answer in [
        r#"{"city":"Bern","artist":"Nena"}"#,
        r#"{"party size":4,"artist":"Nena","city":"Bern"}"#,
        r#"{"artist":"Nena","city":"Bern"}"#,
        "{}",
    ] {
        assert!(lets_write(&room, &slots, answer), "{answer}");
    }
    for answer in [
        r#"{"cities":"Bern"}"#,
        r#"{"party size":"4"}"#,
        r#"{"partyxsize":4}"#,
        r#"{"city":4}"#,
    ] {
        assert!(!lets_write(&room, &slots, answer), "{answer}");
    }
    let outer = json!({"type": "object", "properties": {"intent": {"enum": ["a", "b"]},
        "slots": {"$ref": "#/$defs/slots"}}, "required": ["intent", "slots"],
        "additionalProperties": false, "$defs": {"slots": slots}});
    let answer = r#"{"intent":"a","slots":{"city":"Bern","artist":"Nena"}}"#;
    assert!(lets_write(&room, &outer, answer));
    let turned = r#"{"slots":{"city":"Bern"},"intent":"a"}"#;
    assert!(!lets_write(&room, &outer, turned));
    room.valid(&outer, 8);
}

/// An address is not over before its `@`, nor a period before its unit: the way to the end of a
/// text that takes any letter leads over a certain one.
#[test]
fn texts_that_want_a_certain_letter_are_closed_too() {
    let room = Room::nano();
    let texts = [
        json!({"type": "string", "format": "email"}),
        json!({"type": "string", "format": "uri"}),
        json!({"type": "string", "format": "duration"}),
        json!({"type": "string", "pattern": "ab"}),
    ];
    for text in texts {
        let schema = json!({"type": "object", "additionalProperties": false,
            "properties": {"to": text, "count": {"type": "integer", "minimum": 724, "maximum": 2657}},
            "required": ["to", "count"]});
        for (text, answer) in room.ask(&Constraint::Schema(schema.clone()), 120, 4) {
            assert_eq!(answer.finish, Finish::Stop, "{schema}: {text}");
            let value: Value = serde_json::from_str(&text).unwrap();
            assert!(jsonschema::is_valid(&schema, &value), "{schema}: {text}");
        }
    }
}

#[test]
fn dates_and_times_are_those_that_readers_take() {
    let room = Room::nano();
    for (format, text, allowed) in [
        ("date", "2024-02-29", true),
        ("date", "2023-02-29", false),
        ("date", "2000-02-29", true),
        ("date", "1900-02-29", false),
        ("date", "0000-01-01", false),
        ("time", "10:00:00Z", true),
        ("time", "10:00:00z", false),
        ("time", "10:00:60Z", false),
        ("date-time", "2024-02-29T23:59:59.5+01:00", true),
        ("date-time", "2023-02-29T10:00:00Z", false),
    ] {
        let schema = json!({"type": "string", "format": format});
        let written = lets_write(&room, &schema, &format!("\"{text}\""));
        assert_eq!(written, allowed, "{format} {text}");
    }
}
