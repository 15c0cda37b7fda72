//! The corpus as a whole: right answers, disjoint families, purity, size.

use super::book::book;
use super::*;

#[test]
fn lexicon_files_have_no_faults() {
    assert_eq!(book().problems, Vec::<String>::new());
    assert!(
        book().intents.len() >= 60,
        "{} intents",
        book().intents.len()
    );
}

#[test]
fn copied_strings_occur_in_the_prompt() {
    for family in [Family::Train, Family::HeldOut] {
        for index in 0..20_000 {
            let example = example(3, index, family);
            let asked: Vec<&str> = example
                .messages
                .iter()
                .filter(|(role, _)| *role != Role::Assistant)
                .map(|(_, text)| text.as_str())
                .collect();
            for copied in &example.verbatim {
                let escaped = serde_json::Value::from(copied.as_str()).to_string();
                let escaped = escaped.trim_matches('"');
                assert!(
                    asked
                        .iter()
                        .any(|text| text.contains(copied.as_str()) || text.contains(escaped)),
                    "`{copied}` is not in {asked:?} ({}, {index})",
                    example.task
                );
            }
        }
    }
}
