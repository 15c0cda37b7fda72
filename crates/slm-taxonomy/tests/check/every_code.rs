//! Each code is raised by a case here, at the line given, and by no valid leaf.

use crate::fixture::{ATTRIBUTION, Taxonomy, knowledge_text, skill_text};
use slm_taxonomy::{Code, Report};
use std::collections::BTreeSet;

const QNA: &str = "compositional_skills/a/qna.yaml";
const SLM: &str = "compositional_skills/a/slm.yaml";
const JSON_SLM: &str = "output: {type: json, schema: {type: object, properties: {n: {type: integer}}, required: [n]}}\n";

/// A change of a valid skill that raises a code on a line of a file.
struct Case {
    code: &'static str,
    line: usize,
    files: Vec<(&'static str, String)>,
}

fn valid() -> String {
    skill_text(5, |index| format!("It is {index}"))
}

fn case(code: &'static str, line: usize, files: &[(&'static str, &str)]) -> Case {
    Case {
        code,
        line,
        files: files
            .iter()
            .map(|(path, text)| (*path, text.to_string()))
            .collect(),
    }
}

fn qna(code: &'static str, line: usize, from: &str, to: &str) -> Case {
    let text = valid();
    assert!(text.contains(from), "{from}");
    case(code, line, &[(QNA, &text.replacen(from, to, 1))])
}

fn slm(code: &'static str, line: usize, slm: &str) -> Case {
    case(code, line, &[(SLM, slm)])
}

fn json_slm(code: &'static str, line: usize, answer: &str, more: &str) -> Case {
    let text = skill_text(5, |index| {
        if index == 2 {
            answer.into()
        } else {
            format!("{{\"n\":{index}}}")
        }
    });
    let slm = format!("{JSON_SLM}{more}");
    case(code, line, &[(QNA, &text), (SLM, &slm)])
}

fn knowledge(code: &'static str, line: usize, document: &str) -> Case {
    let text = knowledge_text(document);
    case(
        code,
        line,
        &[
            ("knowledge/k/qna.yaml", &text),
            ("knowledge/k/doc.md", "x\n"),
        ],
    )
}

fn yaml_cases() -> Vec<Case> {
    let many_words = "word ".repeat(501);
    vec![
        case("SLM-T003", 1, &[(QNA, "a: [b\n")]),
        case("SLM-T004", 1, &[(QNA, &"[".repeat(200))]),
        qna("SLM-T005", 5, "  - question", "---\n  - question"),
        qna(
            "SLM-T006",
            3,
            "created_by: me\n",
            "created_by: me\ncreated_by: me\n",
        ),
        qna("SLM-T007", 2, "me", "!!python/object me"),
        case("SLM-T008", 1, &[(QNA, "# nothing\n")]),
        qna("SLM-T010", 3, "task_description", "task"),
        qna("SLM-T011", 1, "version: 3\n", ""),
        qna("SLM-T012", 2, "me", "[me]"),
        qna("SLM-T013", 2, "me", "''"),
        qna("SLM-T014", 1, "3", "1"),
        case("SLM-T015", 4, &[(QNA, &skill_text(4, |i| i.to_string()))]),
        qna(
            "SLM-T018",
            7,
            "What is 1 and 1?\n    answer: 'It is 1'",
            "what is  0 and 0?\n    answer: 'It is 0'",
        ),
        qna("SLM-T020", 7, "What is 1 and 1?", "What is 0 and 0?"),
        qna("SLM-T022", 5, "question", "context: C\n    question"),
        qna("SLM-T040", 3, "Add.", "Add\tup."),
        qna("SLM-T041", 3, "Add.", "Add. "),
        qna("SLM-T042", 3, "Add.", "Add\u{a0}up."),
        qna("SLM-T043", 1, "version: 3\n", "version: 3\r\n"),
        qna(
            "SLM-T050",
            5,
            "question",
            &format!("context: {many_words}\n    question"),
        ),
        qna("SLM-T051", 5, "What is 0", &many_words),
        qna("SLM-T052", 6, "It is 0", &many_words),
        case(
            "SLM-T053",
            4,
            &[(QNA, &skill_text(12, |i| "word ".repeat(200 + i)))],
        ),
    ]
}

fn file_cases() -> Vec<Case> {
    let own = valid();
    vec![
        case(
            "SLM-T021",
            5,
            &[
                ("compositional_skills/b/qna.yaml", &own),
                ("compositional_skills/b/attribution.txt", ATTRIBUTION),
            ],
        ),
        case("SLM-T023", 1, &[("compositional_skills/b/qna.yml", &own)]),
        case(
            "SLM-T024",
            1,
            &[("compositional_skills/My Skill/qna.yaml", &own)],
        ),
        case("SLM-T025", 1, &[("other/b/qna.yaml", &own)]),
        case("SLM-T026", 1, &[("knowledge/b/qna.yaml", &own)]),
        case("SLM-T030", 1, &[("compositional_skills/b/qna.yaml", &own)]),
        case(
            "SLM-T031",
            1,
            &[("compositional_skills/a/attribution.txt", " \n")],
        ),
        case(
            "SLM-T032",
            1,
            &[(
                "compositional_skills/a/attribution.txt",
                "Title of work: A\nLink to work: -\nRevision: 1\n",
            )],
        ),
        case(
            "SLM-T033",
            1,
            &[(
                "compositional_skills/a/attribution.txt",
                &ATTRIBUTION.replace("Revision: 1\n", ""),
            )],
        ),
    ]
}

fn knowledge_cases() -> Vec<Case> {
    let hash = "0".repeat(64);
    let local = |path: &str, hash: &str| format!("  path: {path}\n  sha256: '{hash}'\n");
    let repository = "  repo: r\n  commit: c0ffee5\n  patterns: ['*.md']\n";
    let change = |code, line, from: &str, to: &str| {
        let text = knowledge_text(repository).replacen(from, to, 1);
        case(code, line, &[("knowledge/k/qna.yaml", &text)])
    };
    let last_pair = "      - question: How is 0?\n        answer: A number\n";
    vec![
        change("SLM-T016", 11, last_pair, ""),
        change("SLM-T019", 16, "How is 0", "what is 0"),
        knowledge(
            "SLM-T017",
            8,
            "  repo: r\n  commit: c0ffee5\n  patterns: []\n",
        ),
        knowledge("SLM-T060", 6, &local("other.md", &hash)),
        knowledge("SLM-T061", 7, &local("doc.md", &hash)),
        knowledge("SLM-T062", 6, &local("../doc.md", &hash)),
        knowledge("SLM-T063", 7, &local("doc.md", "abc")),
        knowledge("SLM-T064", 6, &format!("  path: doc.md\n{repository}")),
    ]
}

fn extension_cases() -> Vec<Case> {
    vec![
        slm("SLM-T070", 1, "outputs: {type: text}\n"),
        slm("SLM-T071", 1, "output: {type: label, labels: [a]}\n"),
        slm("SLM-T072", 1, "output: {type: yson}\n"),
        json_slm(
            "SLM-T073",
            3,
            "{\"n\":2}",
            "slots:\n  /m: {kind: integer}\n",
        ),
        json_slm(
            "SLM-T074",
            3,
            "{\"n\":2}",
            "slots:\n  /n: {kind: integer, values: [1]}\n",
        ),
        json_slm(
            "SLM-T074",
            4,
            "{\"n\":2}",
            "slots:\n  /n:\n    cues: {a: [x y], b: [X y]}\n",
        ),
        slm("SLM-T071", 1, "parts: {movable: true}\n"),
        slm("SLM-T071", 1, "parts: {of: line}\n"),
        slm("SLM-T071", 3, "parts:\n  of: lines\n  movable: maybe\n"),
        json_slm(
            "SLM-T073",
            4,
            "{\"n\":2}",
            "parts:\n  of: lines\n  optional: [/m]\n",
        ),
        slm("SLM-T075", 2, "paraphrases:\n  - [please]\n"),
        slm(
            "SLM-T076",
            1,
            "output: {type: json, schema: {type: objekt}}\n",
        ),
        json_slm(
            "SLM-T077",
            10,
            "{\"n\":77}",
            "slots:\n  /n: {kind: integer}\n",
        ),
        slm("SLM-T078", 1, "output: {type: label, labels: [a, a]}\n"),
        json_slm("SLM-T080", 10, "two", ""),
        json_slm("SLM-T081", 10, "{\"n\":\"2\"}", ""),
        slm("SLM-T082", 6, "output: {type: label, labels: [a, b]}\n"),
        case("SLM-T099", 1, &[(QNA, &"a: b\n".repeat(2000))]),
        {
            let text = skill_text(5, |i| {
                format!(
                    "{{\"name\":\"{}\",\"arguments\":{{}}}}",
                    if i == 2 { "g" } else { "f" }
                )
            });
            case(
                "SLM-T083",
                10,
                &[
                    (QNA, &text),
                    (
                        SLM,
                        "output: {type: calls, tools: [{type: function, function: {name: f}}]}\n",
                    ),
                ],
            )
        },
    ]
}

fn report(case: &Case) -> (Taxonomy, Report) {
    let own = valid();
    let mut files = vec![
        (QNA, own.as_str()),
        ("compositional_skills/a/attribution.txt", ATTRIBUTION),
    ];
    files.push(("knowledge/k/attribution.txt", ATTRIBUTION));
    files.extend(case.files.iter().map(|(path, text)| (*path, text.as_str())));
    let taxonomy = Taxonomy::new(&files);
    let report = taxonomy.check();
    (taxonomy, report)
}

fn cases() -> Vec<Case> {
    let parts = [
        yaml_cases(),
        file_cases(),
        knowledge_cases(),
        extension_cases(),
    ];
    parts.into_iter().flatten().collect()
}

#[test]
fn each_case_raises_its_code_at_its_line() {
    for case in cases() {
        let (taxonomy, report) = report(&case);
        let found: Vec<(&str, usize)> = report
            .diagnostics
            .iter()
            .map(|d| (d.code, d.line))
            .collect();
        let text = taxonomy.rendered();
        assert!(
            found.contains(&(case.code, case.line)),
            "{} at line {}:\n{text}",
            case.code,
            case.line
        );
    }
}

#[test]
fn every_code_has_a_case() {
    // Raised by what a file system holds rather than by text; tested in `rendered` and here below.
    // Those of repositories are tested in `documents`.
    let by_files = [
        "SLM-T001", "SLM-T002", "SLM-T009", "SLM-T065", "SLM-T066", "SLM-T067", "SLM-T068",
    ];
    let covered: BTreeSet<&str> = cases()
        .iter()
        .map(|case| case.code)
        .chain(by_files)
        .collect();
    let all: BTreeSet<&str> = Code::ALL.iter().map(|code| code.id()).collect();
    assert_eq!(covered, all);
}

#[test]
fn a_valid_leaf_of_each_kind_has_no_fault() {
    let mut kinds = vec![
        case("", 0, &[]),
        qna("", 0, "version: 3", "version: 2"),
        json_slm(
            "",
            0,
            "{\"n\":2}",
            "slots:\n  /n: {kind: integer}\nlabel_field: null\n",
        ),
        knowledge(
            "",
            0,
            "  repo: r\n  commit: c0ffee5\n  patterns: ['*.md']\n",
        ),
        knowledge(
            "",
            0,
            "  path: doc.md\n  sha256: 73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac\n",
        ),
    ];
    kinds[2].files[1].1 = kinds[2].files[1].1.replace("label_field: null\n", "");
    for case in kinds {
        let (taxonomy, report) = report(&case);
        assert_eq!(report.diagnostics, [], "{}", taxonomy.rendered());
    }
}

#[test]
fn a_file_that_is_not_utf_8_is_located() {
    let taxonomy = Taxonomy::skill("");
    std::fs::write(
        taxonomy.path().join(QNA),
        b"version: 3\ncreated_by: J\xf6rg\n",
    )
    .unwrap();
    let text = taxonomy.rendered();
    assert!(
        text.contains(
            "error[SLM-T002]: the file is not UTF-8 text: the byte 0xF6 is wrong\n --> compositional_skills/a/qna.yaml:2:14\n  |\n2 | created_by: J\n  |              ^\n"
        ),
        "{text}"
    );
}
