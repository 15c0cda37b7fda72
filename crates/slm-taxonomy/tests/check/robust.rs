//! Whatever the bytes, the check ends soon and reports.

use crate::fixture::{ATTRIBUTION, Taxonomy, skill_text};
use proptest::prelude::*;
use slm_taxonomy::{render, tree};
use std::time::{Duration, Instant};

const QNA: &str = "compositional_skills/a/qna.yaml";

fn check_bytes(name: &str, bytes: &[u8]) {
    let taxonomy = Taxonomy::new(&[
        (QNA, &skill_text(5, |i| i.to_string())),
        ("compositional_skills/a/attribution.txt", ATTRIBUTION),
    ]);
    std::fs::write(
        taxonomy.path().join("compositional_skills/a").join(name),
        bytes,
    )
    .unwrap();
    let report = taxonomy.check();
    for diagnostic in &report.diagnostics {
        assert!(
            diagnostic.line >= 1 && diagnostic.column >= 1,
            "{diagnostic:?}"
        );
    }
    assert!(!render(&report).is_empty() && !tree(&report).is_empty());
}

/// Pieces that mean something to YAML, to be put together at random.
fn yaml_pieces() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "- ",
        "  ",
        "\n",
        "\n  ",
        "\n    ",
        ": ",
        ":",
        "? ",
        "key",
        "answer: ",
        "question: ",
        "seed_examples:",
        "version: 3",
        "context: |\n",
        ">-\n",
        "\"",
        "'",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&a ",
        "*a",
        "!!str ",
        "!x ",
        "%YAML 1.2\n",
        "---\n",
        "...\n",
        "#",
        " # c",
        "\t",
        "\r",
        "\r\n",
        "~",
        "é",
        "\u{feff}",
        "\u{85}",
        "\u{2028}",
        "\0",
        "<<: ",
        "yes",
        "0x",
        "|",
        "|2",
        "|+",
        "\\",
        "\\x",
        "@",
        "`",
        "document:\n  path: ../x\n",
        "output: {type: json, schema: {$ref: '#'}}\n",
        "slots: {/a: {kind: id}}\n",
        "Title of work:",
    ]);
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check_bytes("qna.yaml", &bytes);
    }

    #[test]
    fn arbitrary_yaml_never_panics(text in yaml_pieces()) {
        for name in ["qna.yaml", "slm.yaml", "attribution.txt"] {
            check_bytes(name, text.as_bytes());
        }
    }

    #[test]
    fn a_cut_or_changed_leaf_never_panics(at in 0usize..400, text in "\\PC{0,4}") {
        let mut leaf = skill_text(5, |i| format!("{{\"n\":{i}}}"));
        let at = leaf.floor_char_boundary(at.min(leaf.len()));
        leaf.insert_str(at, &text);
        check_bytes("qna.yaml", leaf.as_bytes());
        leaf.truncate(at);
        check_bytes("qna.yaml", leaf.as_bytes());
    }
}

fn hostile() -> Vec<(&'static str, String)> {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    let mut chain = String::from("a0: &a0 x\n");
    for n in 1..2000 {
        let before = n - 1;
        let items = vec![format!("*a{before}"); 10].join(", ");
        bomb += &format!("a{n}: &a{n} [{items}]\n");
        chain += &format!("a{n}: &a{n} [*a{before}]\n");
    }
    let text = "x".repeat(1_000_000);
    vec![
        ("alias bomb", bomb),
        ("alias chain", chain),
        (
            "text bomb",
            format!("a: &a {text}\nb: [{}]\n", vec!["*a"; 5000].join(", ")),
        ),
        ("self", "a: &a [*a]\n".into()),
        ("flow nesting", "[".repeat(200_000)),
        ("block nesting", "- ".repeat(200_000)),
        (
            "key nesting",
            (0..3000)
                .map(|n| format!("{}k:\n", " ".repeat(n)))
                .collect(),
        ),
        ("question marks", "? ".repeat(100_000)),
        ("anchors", "&a ".repeat(100_000)),
        ("braces", "{a: ".repeat(50_000)),
        ("long line", "a: ".to_string() + &text),
        ("many faults", "a: b: c\n".repeat(20_000)),
        ("quotes", "'".repeat(300_001)),
        ("brackets apart", "[]\n".repeat(100_000)),
        (
            "many keys",
            (0..50_000).map(|n| format!("k{n}: v\n")).collect(),
        ),
        ("same keys", "? a\n: b\n".repeat(50_000)),
        (
            "keys in one line",
            format!(
                "{{{}}}",
                (0..50_000)
                    .map(|n| format!("k{n}: é, "))
                    .collect::<String>()
            ),
        ),
        ("commas", "[".to_string() + &",".repeat(300_000)),
    ]
}

#[test]
fn hostile_files_end_soon() {
    for (name, text) in hostile() {
        let start = Instant::now();
        check_bytes("qna.yaml", text.as_bytes());
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{name} took {:?}",
            start.elapsed()
        );
    }
}
