//! Whatever the bytes, the check ends soon and reports.

use crate::fixes::keeps_the_meaning;
use crate::fixture::{ATTRIBUTION, Taxonomy, knowledge_text, skill_text};
use crate::hostile::hostile;
use proptest::prelude::*;
use slm_taxonomy::{render, tree};

pub const QNA: &str = "compositional_skills/a/qna.yaml";

pub fn check_bytes(name: &str, bytes: &[u8]) {
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
pub fn yaml_pieces() -> impl Strategy<Value = String> {
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
        "<<: *a\n",
        "<<: [*a, *a]\n",
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

/// The processor time of this thread, so that a busy machine fails no test. The time of day
/// where the system does not tell it.
pub fn seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let ticks: Vec<f64> = fields
        .skip(11)
        .take(2)
        .filter_map(|t| t.parse().ok())
        .collect();
    match ticks[..] {
        // The kernel counts hundredths of a second.
        [user, system] => (user + system) / 100.0,
        _ => std::time::UNIX_EPOCH
            .elapsed()
            .map_or(0.0, |now| now.as_secs_f64()),
    }
}

#[test]
fn hostile_files_end_soon() {
    for (name, text) in hostile() {
        let start = seconds();
        check_bytes("qna.yaml", text.as_bytes());
        keeps_the_meaning(&text);
        let taken = seconds() - start;
        assert!(taken < 60.0, "{name} took {taken} s");
    }
}

/// A leaf to change, and the changes: each puts a piece in the place of some bytes.
pub fn changed_leaves() -> impl Strategy<Value = String> {
    let repository = "  repo: r\n  commit: c0ffee5\n  patterns: ['*.md']\n";
    let leaf = prop::sample::select(vec![
        skill_text(5, |i| format!("{{\"n\":{i}}}")),
        skill_text(3, |_| "yes".into()).replace("'yes'", "yes").replace("version: 3", "version: 2"),
        knowledge_text(repository),
        "# a\nseed_examples:\n- answer: |\n    b\n\n    c\n  question: >-\n    d\n# e\nversion: 2\n".into(),
        "a: &a [x, y]\nb: *a\nc: {d: *a, e: 'f'}\n".into(),
        "a: &a {question: q, answer: r}\nseed_examples:\n- <<: *a\n  answer: s\n- {<<: [*a, {context: c}]}\n".into(),
    ]);
    let change = (any::<prop::sample::Index>(), 0usize..12, yaml_pieces());
    (leaf, prop::collection::vec(change, 1..6)).prop_map(|(mut leaf, changes)| {
        for (at, cut, piece) in changes {
            let start = leaf.floor_char_boundary(at.index(leaf.len() + 1));
            let end = leaf
                .floor_char_boundary((start + cut).min(leaf.len()))
                .max(start);
            let piece = &piece[..piece.floor_char_boundary(24)];
            leaf.replace_range(start..end, piece);
        }
        leaf
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn mends_of_changed_leaves_keep_the_meaning(text in changed_leaves()) {
        keeps_the_meaning(&text);
    }
}
