//! Mends: what they change, what they leave, and that they never change a meaning.

use crate::fixture::{ATTRIBUTION, Taxonomy, knowledge_text, skill_text};
use proptest::prelude::*;
use slm_taxonomy::yaml::{self, Flavor, Limits, Node, Value};
use slm_taxonomy::{MendKind, Source, fix, mended_text};
use std::fs;

const QNA: &str = "compositional_skills/a/qna.yaml";
const ALL: [MendKind; 4] = [
    MendKind::Whitespace,
    MendKind::Quoting,
    MendKind::Version,
    MendKind::Order,
];

/// A leaf with every fault that can be mended, and comments and blocks that must stay.
const FAULTY: &str = "# Our licence.\r\ncreated_by: 42  \r\n# Why we need it.\r\ntask_description: Note: be brief\r\nversion: 2\r\nseed_examples:\r\n  - answer: yes # agreed\r\n    question: |\r\n      Is it?  \r\n      # not a comment\r\n  - question: When?\r\n    answer: 2024-05-01\r\n  - question: c\r\n    answer: d\r\n  - question: e\r\n    answer: f\r\n  - question: g\r\n    answer: h";
const MENDED: &str = "# Our licence.\nversion: 3\ncreated_by: \"42\"\n# Why we need it.\ntask_description: 'Note: be brief'\nseed_examples:\n  - question: |\n      Is it?  \n      # not a comment\n    answer: \"yes\" # agreed\n  - question: When?\n    answer: \"2024-05-01\"\n  - question: c\n    answer: d\n  - question: e\n    answer: f\n  - question: g\n    answer: h\n";

#[test]
fn a_faulty_leaf_is_mended_whole() {
    let taxonomy = Taxonomy::skill(FAULTY);
    let paths = [taxonomy.path().to_path_buf()];
    let found = fix(&paths, &ALL);
    assert_eq!((found.mends.len(), found.checked), (1, 1));
    assert_eq!(
        fs::read_to_string(taxonomy.path().join(QNA)).unwrap(),
        FAULTY
    );
    found.mends[0].write().unwrap();
    assert_eq!(
        fs::read_to_string(taxonomy.path().join(QNA)).unwrap(),
        MENDED
    );
    // What is left is the white space within the block scalar.
    let report = taxonomy.check();
    let codes: Vec<&str> = report.diagnostics.iter().map(|d| d.code).collect();
    assert_eq!(codes, ["SLM-T041"]);
    assert!(fix(&paths, &ALL).mends.is_empty());
}

#[test]
fn the_diff_shows_what_is_written() {
    let text = skill_text(5, |i| i.to_string()).replace("version: 3", "version: 2");
    let taxonomy = Taxonomy::skill(&text);
    let found = fix(&[taxonomy.path().to_path_buf()], &ALL);
    let expected = format!(
        "--- {QNA}\n+++ {QNA}\n@@ -1,3 +1,3 @@\n-version: 2\n+version: 3\n created_by: me\n task_description: Add.\n"
    );
    assert_eq!(taxonomy.shortened(&found.mends[0].diff), expected);
    assert_eq!(found.mends[0].kinds, [MendKind::Version]);
}

#[test]
fn only_the_kinds_asked_for_are_mended() {
    let (text, kinds) = mended_text(FAULTY, Some("compositional_skills"), &[MendKind::Version]);
    assert_eq!((text.as_str(), kinds.len()), (FAULTY, 0));
    let (text, kinds) = mended_text(
        &FAULTY.replace("Note: be", "Be"),
        Some("compositional_skills"),
        &[MendKind::Version],
    );
    assert!(text.contains("version: 3\r\n") && text.contains("answer: yes"));
    assert_eq!(kinds, [MendKind::Version]);
}

#[test]
fn slm_yaml_gets_its_white_space_mended_and_nothing_else() {
    let taxonomy = Taxonomy::new(&[
        (QNA, &skill_text(5, |_| "a".into())),
        ("compositional_skills/a/attribution.txt", ATTRIBUTION),
        (
            "compositional_skills/a/slm.yaml",
            "instruction: yes \noutput: {type: text}",
        ),
    ]);
    let found = fix(&[taxonomy.path().to_path_buf()], &ALL);
    found.mends[0].write().unwrap();
    let slm = fs::read_to_string(taxonomy.path().join("compositional_skills/a/slm.yaml"));
    assert_eq!(slm.unwrap(), "instruction: yes\noutput: {type: text}\n");
}

#[test]
fn a_file_that_was_changed_since_is_not_overwritten() {
    let taxonomy = Taxonomy::skill(FAULTY);
    let found = fix(&[taxonomy.path().to_path_buf()], &ALL);
    fs::write(taxonomy.path().join(QNA), "mine").unwrap();
    let error = found.mends[0].write().unwrap_err();
    assert_eq!(error.to_string(), "it was changed since it was read");
    assert_eq!(
        fs::read_to_string(taxonomy.path().join(QNA)).unwrap(),
        "mine"
    );
}

#[cfg(unix)]
#[test]
fn permissions_and_links_stay() {
    use std::os::unix::fs::PermissionsExt;
    let taxonomy = Taxonomy::skill("x");
    let leaf = taxonomy.path().join("compositional_skills/a");
    let real = leaf.join("real.txt");
    fs::write(&real, FAULTY).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    fs::remove_file(leaf.join("qna.yaml")).unwrap();
    std::os::unix::fs::symlink("real.txt", leaf.join("qna.yaml")).unwrap();
    fix(&[taxonomy.path().to_path_buf()], &ALL).mends[0]
        .write()
        .unwrap();
    assert!(
        fs::symlink_metadata(leaf.join("qna.yaml"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(
        fs::metadata(&real).unwrap().permissions().mode() & 0o777,
        0o640
    );
    assert_eq!(fs::read_to_string(&real).unwrap(), MENDED);
}

/// Every text of a tree with the path to it, whatever the order of keys.
fn texts(node: &Node, path: String, found: &mut Vec<(String, String)>) {
    match &node.value {
        Value::Scalar(scalar) => found.push((path, scalar.text.clone())),
        Value::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                texts(item, format!("{path}[{index}]"), found);
            }
        }
        Value::Mapping(entries) => {
            for entry in entries {
                texts(&entry.value, format!("{path}.{}", entry.key), found);
            }
        }
    }
}

/// All that a text says; none where it is no YAML.
fn said(text: &str) -> Option<Vec<(String, String)>> {
    let source = Source::new("x", text.to_string());
    let parsed = yaml::parse(&source, Flavor::Yaml11, Limits::default());
    let root = parsed.root.filter(|_| parsed.faults.is_empty())?;
    let mut found = Vec::new();
    texts(&root, String::new(), &mut found);
    // The version may be raised, and the last line may get its newline.
    found.retain(|(path, _)| path != ".version");
    // A key may be a block of text at the end of the file, too.
    for (path, text) in &mut found {
        *path = path.replace('\n', "");
        *text = text.trim_end_matches('\n').to_string();
    }
    found.sort();
    Some(found)
}

fn comments(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    // Only spaces and tabs are white space to YAML: what follows another is text.
    let lines = text
        .lines()
        .map(|line| line.trim_start_matches([' ', '\t']).trim_end())
        .filter(|line| line.starts_with('#'));
    let mut lines: Vec<String> = lines.map(str::to_string).collect();
    lines.sort();
    lines
}

/// Mending changes nothing that is said, loses no comment, and leaves nothing to mend.
pub fn keeps_the_meaning(text: &str) {
    let text = text.trim_start_matches('\u{feff}');
    let (after, _) = mended_text(text, Some("compositional_skills"), &ALL);
    if let Some(before) = said(text) {
        assert_eq!(said(&after).as_ref(), Some(&before), "{text:?}\n{after:?}");
        assert_eq!(comments(&after), comments(text), "{text:?}\n{after:?}");
    }
    let (again, kinds) = mended_text(&after, Some("compositional_skills"), &ALL);
    assert_eq!(again, after, "{kinds:?} of {text:?}");
}

fn leaves() -> impl Strategy<Value = String> {
    let scalar = prop::sample::select(vec![
        "yes",
        "12",
        "a",
        "'b'",
        "\"c \\\n      d\"",
        "|\n      e \n\n      # f",
        "x: y",
        "*z",
        "2024-05-01",
        "plain\n      more",
        "[1, 2]",
        "'v\n\n      w'",
        ">-\n      g\n       h",
        "|+\n      k\n\n",
        "~",
        "&q r",
    ]);
    let key = prop::sample::select(vec!["question", "answer", "context", "other"]);
    let comment = prop::sample::select(vec!["", "    # why\n", "\n", "  # low\n", " # c"]);
    let pair = (key, scalar, comment.clone());
    let seed = prop::collection::vec(pair, 1..4).prop_map(|pairs| {
        let mut text = String::new();
        for (index, (key, value, comment)) in pairs.into_iter().enumerate() {
            let head = if index == 0 { "  - " } else { "    " };
            match comment.starts_with(" #") {
                true => text += &format!("{head}{key}: {value}{comment}\n"),
                false => text += &format!("{head}{key}: {value}\n{comment}"),
            }
        }
        text
    });
    let top = prop::sample::subsequence(
        vec![
            "version: 2\n",
            "created_by: 7 \n",
            "# note\n",
            "task_description: t\t# u\n",
            "\n",
        ],
        0..5,
    );
    let ending = prop::sample::select(vec!["\n", "\r\n"]);
    (
        top.prop_shuffle(),
        prop::collection::vec(seed, 1..4),
        top_end(),
        ending,
    )
        .prop_map(|(top, seeds, end, ending)| {
            let text = format!("{}seed_examples:\n{}{end}", top.concat(), seeds.concat());
            text.replace('\n', ending)
        })
}

fn top_end() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        "domain: d",
        "# end\ndocument_outline: |\n  a\n\n",
        "\n\n",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn mends_keep_the_meaning_of_leaves(text in leaves()) {
        keeps_the_meaning(&text);
    }
}

#[test]
fn valid_leaves_are_left_alone() {
    for text in [
        skill_text(5, |i| i.to_string()),
        knowledge_text("  repo: r\n  commit: c0ffee5\n  patterns: ['*.md']\n"),
    ] {
        let (after, kinds) = mended_text(&text, None, &[MendKind::Whitespace, MendKind::Quoting]);
        assert_eq!((after, kinds.len()), (text, 0));
    }
}
