//! New leaves: their files, and what is refused.

use crate::fixture::Taxonomy;
use slm_taxonomy::{
    Attribution, Document, Draft, DraftDocument, DraftError, Kind, QuestionAnswer, SeedExample,
    Watch, stats,
};
use std::fs;

fn pair(question: &str, answer: &str) -> QuestionAnswer {
    QuestionAnswer {
        question: question.into(),
        answer: answer.into(),
    }
}

/// Answers with all that YAML could trip over.
const ANSWERS: [&str; 5] = [
    "yes",
    "It's: so",
    "- a\n- b  \n\n# c",
    "  \"x\"\t ",
    "東京 & *",
];

fn draft(kind: Kind) -> Draft {
    let seeds = ANSWERS
        .iter()
        .enumerate()
        .map(|(index, answer)| SeedExample {
            context: (kind != Kind::Skill { grounded: false }).then(|| format!("About {index}.")),
            questions_and_answers: match kind {
                Kind::Knowledge => ["a", "b", "c"]
                    .map(|q| pair(&format!("{q}: {index}?"), answer))
                    .to_vec(),
                Kind::Skill { .. } => vec![pair(&format!("q {index}?"), answer)],
            },
        });
    Draft {
        kind,
        created_by: "007".into(),
        task_description: "Say: so".into(),
        domain: "Sums".into(),
        document_outline: "On sums\nand more".into(),
        document: None,
        seed_examples: seeds.collect(),
        labels: Vec::new(),
        attribution: Attribution {
            title: "A".into(),
            link: "-".into(),
            revision: "1".into(),
            license: "CC0-1.0".into(),
            creators: "B".into(),
        },
    }
}

#[test]
fn leaves_of_every_kind_are_without_fault_and_say_what_was_said() {
    let place = Taxonomy::new(&[("doc.md", "# Sums\n")]);
    for (kind, folder) in [
        (
            Kind::Skill { grounded: false },
            "t/compositional_skills/a/free",
        ),
        (
            Kind::Skill { grounded: true },
            "t/compositional_skills/grounded/b",
        ),
        (Kind::Knowledge, "t/knowledge/c"),
    ] {
        let mut draft = draft(kind);
        if kind == Kind::Knowledge {
            draft.document = Some(DraftDocument::Local(place.path().join("doc.md")));
        }
        let folder = place.path().join(folder);
        let report = draft.write(&folder).unwrap();
        assert_eq!(report.diagnostics, []);
        let report = slm_taxonomy::check(&[folder], Default::default());
        assert_eq!(report.diagnostics, []);
        let leaf = &report.leaves[0];
        assert_eq!((leaf.kind, leaf.created_by.as_str()), (kind, "007"));
        let answers = leaf
            .seed_examples
            .iter()
            .map(|s| s.questions_and_answers[0].answer.clone());
        let expected = ["yes", "It's: so", "- a\n- b\n\n# c", "\"x\"", "東京 & *"];
        assert_eq!(answers.collect::<Vec<_>>(), expected);
        if kind == Kind::Knowledge {
            assert!(matches!(leaf.document, Some(Document::Local { .. })));
        }
    }
    assert_eq!(place.check().checked, 3);
}

#[test]
fn labels_go_into_slm_yaml_and_are_held_against_the_answers() {
    let place = Taxonomy::new(&[]);
    let folder = place.path().join("compositional_skills/a");
    let mut draft = draft(Kind::Skill { grounded: false });
    draft.labels = vec!["yes".into(), "no".into(), "other".into()];
    let outcome = draft.write(&folder);
    let Err(DraftError::Faulty(report)) = outcome else {
        panic!("four answers are no labels: {outcome:?}");
    };
    assert_eq!(report.errors(), 4);
    assert!(
        report
            .diagnostics
            .iter()
            .all(|d| d.path.ends_with("compositional_skills/a/qna.yaml"))
    );
    for (index, seed) in draft.seed_examples.iter_mut().enumerate() {
        seed.questions_and_answers[0].answer = if index < 3 { "yes" } else { "no" }.into();
    }
    assert_eq!(draft.write(&folder).unwrap().diagnostics, []);
    let stats = stats(&place.check());
    let counts = [("yes", 3), ("no", 2), ("other", 0)].map(|(l, n)| (l.to_string(), n));
    assert_eq!(stats.choices[0].counts, counts);
    let text = stats.text();
    assert!(
        text.starts_with("1 leaf, 5 seed examples, 5 questions\n"),
        "{text}"
    );
    assert!(
        text.contains("      0  other  none: the model will not learn it\n"),
        "{text}"
    );
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let place = Taxonomy::new(&[("compositional_skills/old/x", "")]);
    let mut few = draft(Kind::Skill { grounded: false });
    let at = |folder: &str| place.path().join(folder);
    assert!(matches!(
        few.write(&at("compositional_skills/old")),
        Err(DraftError::Taken(_))
    ));
    for wrong in ["knowledge/a", "elsewhere/a", "compositional_skills"] {
        let outcome = few.write(&at(wrong));
        let is_refused = matches!(
            outcome,
            Err(DraftError::Place { .. } | DraftError::Taken(_))
        );
        assert!(is_refused, "{wrong} {outcome:?}");
    }
    few.seed_examples.truncate(4);
    let outcome = few.write(&at("foundational_skills/a/b"));
    assert!(matches!(outcome, Err(DraftError::Faulty(_))), "{outcome:?}");
    let mut missing = draft(Kind::Knowledge);
    missing.document = Some(DraftDocument::Local(at("nowhere.md")));
    assert!(matches!(
        missing.write(&at("knowledge/a")),
        Err(DraftError::Io(..))
    ));
    let mut names: Vec<_> = fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["compositional_skills"]);
    let mut watch = Watch::new(&[place.path().to_path_buf()]);
    assert!(watch.changed().is_empty());
}
