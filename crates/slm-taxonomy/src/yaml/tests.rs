//! Places, limits and recovery of the YAML reader.

use super::*;
use crate::source::{Position, Source};

fn read(text: &str) -> Parsed {
    parse(
        &Source::new("x", text.into()),
        Flavor::Yaml11,
        Limits::default(),
    )
}

fn at(line: usize, column: usize) -> Position {
    Position { line, column }
}

/// Every scalar and key with the text that its span covers.
fn covered(source: &Source, node: &Node, found: &mut Vec<(String, String)>) {
    let mut cover = |span: Span, text: &str| {
        let line: Vec<char> = source.line(span.start.line).chars().collect();
        let end = match span.end.line == span.start.line {
            true => span.end.column - 1,
            false => line.len(),
        };
        let covered = line[span.start.column - 1..end].iter().collect();
        found.push((text.to_string(), covered));
    };
    match &node.value {
        Value::Scalar(scalar) => cover(node.span, &scalar.text),
        Value::Sequence(items) => items.iter().for_each(|item| covered(source, item, found)),
        Value::Mapping(entries) => {
            for entry in entries {
                let span = entry.key_span;
                let line: Vec<char> = source.line(span.start.line).chars().collect();
                let text = line[span.start.column - 1..span.end.column - 1]
                    .iter()
                    .collect();
                found.push((entry.key.clone(), text));
                covered(source, &entry.value, found);
            }
        }
    }
}

#[test]
fn spans_cover_the_text_of_keys_and_values() {
    for ending in ["\n", "\r\n"] {
        let text = [
            "clé: vålue",
            "東京: 駅",
            "list:",
            "  - {é: ü, b: 12}",
            "  - plain text  # c",
            "  - [x, \"q\"]",
            "",
        ];
        let source = Source::new("x", format!("\u{feff}{}", text.join(ending)));
        let parsed = parse(&source, Flavor::Yaml11, Limits::default());
        let mut found = Vec::new();
        covered(
            &source,
            &parsed.root.expect("the text is valid"),
            &mut found,
        );
        let expected = [
            ("clé", "clé"),
            ("vålue", "vålue"),
            ("東京", "東京"),
            ("駅", "駅"),
            ("list", "list"),
            ("é", "é"),
            ("ü", "ü"),
            ("b", "b"),
            ("12", "12"),
            ("plain text", "plain text"),
            ("x", "x"),
            ("q", "\"q\""),
        ];
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn blocks_and_absent_values_have_a_place() {
    let root = read("a: |\n  one\n  two\nb:\nc: >-\n  x\n").root.unwrap();
    let entries = root.as_mapping().unwrap();
    let starts: Vec<Position> = entries.iter().map(|e| e.value.span.start).collect();
    assert_eq!(starts[0], at(2, 3));
    assert_eq!(starts[1], at(4, 1));
    assert_eq!(starts[2], at(6, 3));
    assert_eq!(entries[0].value.as_text(), Some("one\ntwo\n"));
}

#[test]
fn merge_keys_take_over_entries_as_pyyaml_does() {
    // Each with what PyYAML 6.0.3's `safe_load` gives.
    for (text, expected) in [
        (
            "a: &a {x: p, y: q}\nb:\n  <<: *a\n  y: r\n",
            r#"{"a":{"x":"p","y":"q"},"b":{"x":"p","y":"r"}}"#,
        ),
        (
            "b: {<<: [{x: p}, {x: q, y: r}], z: s}\n",
            r#"{"b":{"x":"p","y":"r","z":"s"}}"#,
        ),
        ("b: {<<: {x: p}, <<: {x: q}}\n", r#"{"b":{"x":"q"}}"#),
        (
            "a: &a {x: p}\nb: &b {<<: *a, y: q}\nc: {<<: *b}\n",
            r#"{"a":{"x":"p"},"b":{"x":"p","y":"q"},"c":{"x":"p","y":"q"}}"#,
        ),
        ("b: {'<<': {x: p}}\n", r#"{"b":{"<<":{"x":"p"}}}"#),
        ("b: {<<: []}\n", r#"{"b":{}}"#),
    ] {
        let parsed = read(text);
        assert_eq!(parsed.faults, [], "{text}");
        let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
        assert_eq!(parsed.root.unwrap().to_json(), expected, "{text}");
    }
}

#[test]
fn a_merge_of_something_else_is_told_at_its_place() {
    for (text, column) in [("b: {<<: text}\n", 9), ("b: {<<: [{x: p}, q]}\n", 9)] {
        let parsed = read(text);
        assert_eq!(parsed.faults.len(), 1, "{text}");
        let fault = &parsed.faults[0];
        assert_eq!(fault.span.start, at(1, column));
        assert!(fault.message.contains("takes over a mapping"));
        assert_eq!(fault.kind, FaultKind::Merge);
    }
}

#[test]
fn aliases_repeat_the_value_at_their_own_place() {
    let root = read("a: &x [1, two]\nb: *x\n").root.unwrap();
    let (a, b) = (root.get("a").unwrap(), root.get("b").unwrap());
    assert_eq!(a.value, b.value);
    assert_eq!(b.span.start, at(2, 4));
}

#[test]
fn tags_and_quotes_decide_the_type() {
    let root = read("a: !!str 12\nb: \"12\"\nc: 12\nd: ! 12\n")
        .root
        .unwrap();
    let kinds: Vec<ScalarKind> = ["a", "b", "c", "d"]
        .iter()
        .map(|key| root.get(key).and_then(Node::as_scalar).unwrap().kind)
        .collect();
    assert_eq!(
        kinds,
        [
            ScalarKind::String,
            ScalarKind::String,
            ScalarKind::Integer,
            ScalarKind::String
        ]
    );
}

#[test]
fn limits_stop_the_reading() {
    let limits = Limits {
        depth: 3,
        nodes: 10,
        text_bytes: 20,
    };
    let kind = |text: &str| {
        let parsed = parse(&Source::new("x", text.into()), Flavor::Core, limits);
        parsed.faults.first().map(|fault| fault.kind)
    };
    assert_eq!(kind("[[[]]]"), None);
    assert_eq!(kind("[[[[]]]]"), Some(FaultKind::Limit));
    assert_eq!(kind("[1, 2, 3, 4, 5, 6, 7, 8, 9]"), None);
    assert_eq!(
        kind("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"),
        Some(FaultKind::Limit)
    );
    assert_eq!(kind("[&a 123456789, *a]"), Some(FaultKind::Limit));
    assert_eq!(kind("[&a [[]], [*a]]"), Some(FaultKind::Limit));
    assert_eq!(kind("&a [*a]"), Some(FaultKind::Limit));
}

#[test]
fn every_syntax_error_is_found_and_the_tree_kept_where_it_is_sure() {
    let parsed = read("a: b: c\n  more\nd: @x\ne: fine\n");
    let places: Vec<Position> = parsed.faults.iter().map(|f| f.span.start).collect();
    assert_eq!(places, [at(1, 5), at(3, 4)]);
    let root = parsed.root.unwrap();
    assert_eq!(root.get("a").and_then(Node::as_text), Some("b: c"));
    assert_eq!(root.get("e").and_then(Node::as_text), Some("fine"));
    let doubtful = read("a:\n\tb: c\nd: @x\n");
    assert_eq!(doubtful.root, None);
    assert_eq!(doubtful.faults[0].span.start, at(2, 1));
}

#[test]
fn errors_are_placed_where_they_were_made() {
    let cases = [
        ("a: b\nc d\ne: f\n", at(2, 1)),
        ("a: |\nno indent\nb: c\n", at(2, 1)),
        ("l:\n  - a: b\n    - c: d\n", at(3, 5)),
        ("a: 'b\nc: d\n", at(1, 4)),
        ("l:\n\t- a\n", at(2, 1)),
    ];
    for (text, place) in cases {
        let parsed = read(text);
        assert_eq!(
            parsed.faults.first().map(|f| f.span.start),
            Some(place),
            "{text}"
        );
    }
}
