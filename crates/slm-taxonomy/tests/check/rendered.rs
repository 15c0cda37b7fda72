//! Whole outputs, compared letter by letter.

use crate::fixture::{ATTRIBUTION, Taxonomy, skill_text};
use slm_taxonomy::{Options, render, tree};

const FAULTY: &str = r#"version: 3
created_by: me
task_descripton: Answer in one word.
seed_examples:
  - question: Is it raining?
    answer: yes
  - question: When is it due?
    answer: 2024-05-01
  - question:
    answer: "42"
  - question: Straße nach 東京?
    answer: [a, b]
"#;

#[test]
fn every_fault_of_a_file_is_shown_at_its_place() {
    let taxonomy = Taxonomy::skill(FAULTY);
    let expected = r#"error[SLM-T010]: unknown key `task_descripton` in a skill
 --> compositional_skills/a/qna.yaml:3:1
  |
3 | task_descripton: Answer in one word.
  | ^^^^^^^^^^^^^^^
  = at `.task_descripton`
hint: did you mean `task_description`?

error[SLM-T015]: 4 seed examples where at least 5 are needed
 --> compositional_skills/a/qna.yaml:4:1
  |
4 | seed_examples:
  | ^^^^^^^^^^^^^
  = at `.seed_examples`
hint: add 1 more, as varied as possible

error[SLM-T012]: `answer` must be text, but this is a boolean
 --> compositional_skills/a/qna.yaml:6:13
  |
6 |     answer: yes
  |             ^^^
  = at `.seed_examples[0].answer`
hint: put it in quotes: `"yes"`

error[SLM-T012]: `answer` must be text, but this is a date
 --> compositional_skills/a/qna.yaml:8:13
  |
8 |     answer: 2024-05-01
  |             ^^^^^^^^^^
  = at `.seed_examples[1].answer`
hint: put it in quotes: `"2024-05-01"`

error[SLM-T013]: `question` is empty
 --> compositional_skills/a/qna.yaml:9:5
  |
9 |   - question:
  |     ^^^^^^^^
  = at `.seed_examples[2].question`
hint: write the text, or remove the entry

error[SLM-T012]: `answer` must be text, but this is a list
  --> compositional_skills/a/qna.yaml:12:13
   |
12 |     answer: [a, b]
   |             ^^^^^^
   = at `.seed_examples[3].answer`
hint: write the text in one line, in quotes, or as a block after `|`

1 leaf checked: 6 errors, 0 warnings
"#;
    assert_eq!(taxonomy.rendered(), expected);
}

#[test]
fn syntax_errors_do_not_hide_each_other_nor_the_rest() {
    let text = "version: 3\ncreated_by: me\ntask_description: Note: read this\nseed_examples:\n  - question: What is it: a cat?\n    answer: no\n";
    let expected = r#"error[SLM-T003]: a `:` followed by a space is read as a second key here
 --> compositional_skills/a/qna.yaml:3:23
  |
3 | task_description: Note: read this
  |                       ^
hint: put the whole value in quotes, or write it as a block: `key: |` with the text indented below

error[SLM-T015]: 1 seed example where at least 5 are needed
 --> compositional_skills/a/qna.yaml:4:1
  |
4 | seed_examples:
  | ^^^^^^^^^^^^^
  = at `.seed_examples`
hint: add 4 more, as varied as possible

error[SLM-T003]: a `:` followed by a space is read as a second key here
 --> compositional_skills/a/qna.yaml:5:25
  |
5 |   - question: What is it: a cat?
  |                         ^
hint: put the whole value in quotes, or write it as a block: `key: |` with the text indented below

error[SLM-T012]: `answer` must be text, but this is a boolean
 --> compositional_skills/a/qna.yaml:6:13
  |
6 |     answer: no
  |             ^^
  = at `.seed_examples[0].answer`
hint: put it in quotes: `"no"`

1 leaf checked: 4 errors, 0 warnings
"#;
    assert_eq!(Taxonomy::skill(text).rendered(), expected);
}

#[test]
fn answers_are_held_against_the_output_schema() {
    let answers = ["billing", "biling", "refund", "billing", "refund"];
    let qna = skill_text(5, |index| match index {
        2 => "{\"kind\":\"refund\",\"extra\":1}".to_string(),
        3 => "billing".to_string(),
        _ => format!("{{\"kind\":\"{}\"}}", answers[index]),
    });
    let slm = "output:\n  type: json\n  schema:\n    type: object\n    properties:\n      kind: {enum: [billing, refund]}\n    required: [kind]\n    additionalProperties: false\nlabel_field: /knd\n";
    let taxonomy = Taxonomy::new(&[
        ("compositional_skills/a/qna.yaml", &qna),
        ("compositional_skills/a/slm.yaml", slm),
        ("compositional_skills/a/attribution.txt", ATTRIBUTION),
    ]);
    let expected = r#"error[SLM-T073]: the schema has no field `/knd`
 --> compositional_skills/a/slm.yaml:9:14
  |
9 | label_field: /knd
  |              ^^^^
  = at `.label_field`
hint: did you mean `/kind`?

error[SLM-T081]: `/kind` of the answer must not be "biling"; did you mean `billing`?
 --> compositional_skills/a/qna.yaml:8:13
  |
8 |     answer: '{"kind":"biling"}'
  |             ^^^^^^^^^^^^^^^^^^^
  = at `.seed_examples[1].answer`
hint: mend the answer, or the output in `slm.yaml`

error[SLM-T081]: `/extra` of the answer is a field that the schema does not have
  --> compositional_skills/a/qna.yaml:10:13
   |
10 |     answer: '{"kind":"refund","extra":1}'
   |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   = at `.seed_examples[2].answer`
hint: mend the answer, or the output in `slm.yaml`

error[SLM-T080]: the answer is not JSON: expected value at line 1 column 1
  --> compositional_skills/a/qna.yaml:12:13
   |
12 |     answer: 'billing'
   |             ^^^^^^^^^
   = at `.seed_examples[3].answer`
hint: write compact JSON in single quotes: `'{"key":"value"}'`

1 leaf checked: 4 errors, 0 warnings
"#;
    assert_eq!(taxonomy.rendered(), expected);
}

#[test]
fn the_json_has_exactly_the_documented_keys() {
    let taxonomy = Taxonomy::skill(&skill_text(5, |i| {
        if i == 4 { String::new() } else { "a".into() }
    }));
    let report = taxonomy.check();
    let expected = format!(
        r#"{{"checked":1,"diagnostics":[{{"path":"{}/compositional_skills/a/qna.yaml","line":14,"column":13,"code":"SLM-T013","severity":"error","yaml_path":".seed_examples[4].answer","message":"`answer` is empty","hint":"write the text, or remove the entry"}}]}}"#,
        taxonomy.path().display()
    );
    assert_eq!(serde_json::to_string(&report).unwrap(), expected);
}

#[test]
fn strict_mode_makes_word_limits_errors() {
    let taxonomy = Taxonomy::skill(&skill_text(5, |i| {
        if i == 0 {
            "a ".repeat(251) + "b"
        } else {
            "a".into()
        }
    }));
    let counts = |strict| {
        let report = taxonomy.check_with(Options {
            strict,
            ..Options::default()
        });
        (report.errors(), report.warnings())
    };
    assert_eq!(counts(false), (0, 1));
    assert_eq!(counts(true), (1, 0));
}

#[test]
fn the_tree_shows_kinds_counts_and_faults() {
    let taxonomy = Taxonomy::new(&[
        (
            "knowledge/sums/qna.yaml",
            &crate::fixture::knowledge_text("  repo: r\n  commit: c0ffee5\n  patterns: ['*.md']\n"),
        ),
        ("knowledge/sums/attribution.txt", ATTRIBUTION),
        (
            "compositional_skills/a/b/qna.yaml",
            &skill_text(3, |_| "x".into()),
        ),
        (
            "compositional_skills/a/c/qna.yaml",
            &skill_text(6, |_| "y".into()),
        ),
        ("compositional_skills/a/c/attribution.txt", ATTRIBUTION),
    ]);
    let expected = "\
compositional_skills
└── a
    ├── b  freeform skill, 3 seed examples, 2 errors
    └── c  freeform skill, 6 seed examples
knowledge
└── sums  knowledge, 5 seed examples, 15 questions
3 leaves checked: 2 errors, 0 warnings
";
    assert_eq!(tree(&taxonomy.check()), expected);
}

#[test]
fn a_missing_path_and_an_empty_folder_are_errors() {
    let taxonomy = Taxonomy::new(&[("notes/readme.txt", "x")]);
    let missing = taxonomy.path().join("nowhere");
    let report = slm_taxonomy::check(
        &[missing, taxonomy.path().to_path_buf()],
        Options::default(),
    );
    let text = taxonomy.shortened(&render(&report));
    assert!(
        text.contains("error[SLM-T001]: `nowhere` cannot be read"),
        "{text}"
    );
    assert!(
        text.contains("error[SLM-T009]: no `qna.yaml` below"),
        "{text}"
    );
    assert!(
        text.ends_with("0 leaves checked: 2 errors, 0 warnings\n"),
        "{text}"
    );
}
