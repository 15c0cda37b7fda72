//! The corpus as a whole: right answers, disjoint families, purity, size.

use std::collections::BTreeSet;

use serde_json::Value;

use super::book::{Book, Symbol, book};
use super::naming::HELD_OUT_ENDINGS;
use super::*;

const FAMILIES: [Family; 2] = [Family::Train, Family::HeldOut];

fn examples(family: Family, count: u64) -> impl Iterator<Item = Example> {
    (0..count).map(move |index| example(3, index, family))
}

fn prompt(example: &Example) -> String {
    let asked = example
        .messages
        .iter()
        .filter(|(role, _)| *role != Role::Assistant);
    asked
        .map(|(_, text)| text.as_str())
        .collect::<Vec<_>>()
        .join("\n")
}

fn answers(example: &Example) -> impl Iterator<Item = &str> {
    let said = example
        .messages
        .iter()
        .filter(|(role, _)| *role == Role::Assistant);
    said.map(|(_, text)| text.as_str())
}

#[test]
fn lexicon_files_have_no_faults() {
    assert_eq!(book().problems, Vec::<String>::new());
    assert!(
        book().train_intents.len() >= 55,
        "{} intents",
        book().train_intents.len()
    );
    assert!(
        book().held_intents.len() >= 8,
        "{} intents",
        book().held_intents.len()
    );
    for passage in &book().passages {
        assert!(passage.questions.len() > 2, "few questions: {passage:?}");
    }
}

#[test]
fn copied_strings_occur_in_the_prompt_and_in_the_answer() {
    for example in FAMILIES
        .into_iter()
        .flat_map(|family| examples(family, 20_000))
    {
        let asked = prompt(&example);
        let said: String = answers(&example).collect();
        for copied in &example.verbatim {
            let quoted = Value::from(copied.as_str()).to_string();
            let escaped = &quoted[1..quoted.len() - 1];
            assert!(
                asked.contains(copied) || asked.contains(escaped),
                "`{copied}` not in {example:?}"
            );
        }
        assert!(!said.is_empty(), "no answer: {example:?}");
    }
}

/// Every string in a JSON answer of a copying task stands in its prompt.
#[test]
fn strings_of_answers_stand_in_the_prompt() {
    let copying = [
        "fields",
        "schema",
        "session",
        "nonsense_schema",
        "call",
        "document",
        "series",
        "triage",
    ];
    for example in FAMILIES
        .into_iter()
        .flat_map(|family| examples(family, 20_000))
    {
        if !copying.contains(&example.task) {
            continue;
        }
        let asked = prompt(&example);
        for answer in answers(&example) {
            let answer: Value = serde_json::from_str(answer).expect("an answer that parses");
            let mut strings = Vec::new();
            collect(&answer, &mut strings);
            for text in strings {
                assert!(asked.contains(&text), "`{text}` not in {example:?}");
            }
        }
    }
}

fn collect(value: &Value, strings: &mut Vec<String>) {
    match value {
        Value::String(text) => strings.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, strings)),
        Value::Object(map) => map.values().for_each(|item| collect(item, strings)),
        _ => {}
    }
}

#[test]
fn answers_in_json_parse_and_are_compact() {
    let plain = [
        "one_field",
        "intent_choice",
        "label",
        "label_by_keyword",
        "passage",
        "to_yaml",
        "normalise",
        "echo",
    ];
    for example in FAMILIES
        .into_iter()
        .flat_map(|family| examples(family, 10_000))
    {
        for answer in answers(&example) {
            match serde_json::from_str::<Value>(answer) {
                Ok(value) if value.is_object() || value.is_array() => {
                    assert_eq!(value.to_string(), answer)
                }
                Ok(_) => {}
                // `to_json` also asks for a single value.
                Err(_) if plain.contains(&example.task) || example.task == "to_json" => {}
                Err(fault) => panic!("{fault} in {example:?}"),
            }
        }
    }
}

#[test]
fn families_share_no_names_values_or_syllables() {
    let book = book();
    let (train, held) = (field_names(book, false), field_names(book, true));
    assert_eq!(
        train.intersection(&held).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
    for ending in HELD_OUT_ENDINGS {
        assert!(
            train.iter().all(|name| !name.ends_with(ending)),
            "`{ending}` is in a training name"
        );
    }
    let names = |intents: &[usize]| -> BTreeSet<&str> {
        intents.iter().map(|at| book.intents[*at].name).collect()
    };
    assert!(names(&book.train_intents).is_disjoint(&names(&book.held_intents)));
    let mut open = 0;
    for symbol in &book.symbols {
        if let Symbol::List(list) = symbol {
            let train: BTreeSet<_> = list.side(Family::Train).iter().collect();
            let shared = list
                .side(Family::HeldOut)
                .iter()
                .filter(|entry| train.contains(entry))
                .count();
            assert!(
                shared == 0 || list.all.len() < 24,
                "{shared} shared entries of {:?}",
                list.all
            );
            open += usize::from(shared == 0);
        }
    }
    assert!(open > 50, "{open} open lists");
    let words = |family| -> BTreeSet<String> {
        (0..3000)
            .map(|at| invent::pseudo_word(&mut Source::new(5, at, family)))
            .collect()
    };
    // Different syllables may still join to the same word: `sas-ko`, `sask-o`.
    let shared = words(Family::Train)
        .intersection(&words(Family::HeldOut))
        .count();
    assert!(shared < 15, "{shared} of 3000 invented words are shared");
}

fn field_names(book: &Book, held_out: bool) -> BTreeSet<String> {
    let names = book.fields.iter().flat_map(|field| {
        if held_out {
            &field.held_names
        } else {
            &field.names
        }
    });
    names.map(|name| name.to_string()).collect()
}

#[test]
fn an_example_depends_on_seed_and_index_alone() {
    let first = example(7, 123, Family::Train);
    let others: Vec<Example> = examples(Family::Train, 50).collect();
    assert_eq!(first, example(7, 123, Family::Train));
    assert_eq!(others, examples(Family::Train, 50).collect::<Vec<_>>());
    assert_ne!(first, example(8, 123, Family::Train));
    assert_ne!(first, example(7, 124, Family::Train));
    assert_ne!(first.messages, example(7, 123, Family::HeldOut).messages);
}

#[test]
fn examples_hardly_ever_repeat() {
    let seen: BTreeSet<String> = examples(Family::Train, 20_000)
        .map(|example| prompt(&example))
        .collect();
    assert!(
        seen.len() > 19_400,
        "{} of 20000 prompts are different",
        seen.len()
    );
}

/// About what a tokenizer makes of it: words, and each other mark by itself.
fn size(example: &Example) -> usize {
    let mut count = 4 * example.messages.len();
    for (_, text) in &example.messages {
        let mut inside = false;
        for mark in text.chars() {
            count += usize::from(!(inside && mark.is_alphabetic()));
            inside = mark.is_alphabetic();
        }
    }
    count
}

#[test]
fn examples_are_short() {
    let mut sizes: Vec<usize> = examples(Family::Train, 20_000)
        .map(|example| size(&example))
        .collect();
    sizes.sort_unstable();
    let at = |percent: usize| sizes[(sizes.len() - 1) * percent / 100];
    assert!((55..=95).contains(&at(50)), "median {}", at(50));
    assert!(at(95) <= 220, "95th percentile {}", at(95));
    assert!(at(100) <= 700, "longest {}", at(100));
}

#[test]
fn shares_add_up_and_every_task_comes_up() {
    assert_eq!(tasks().iter().map(|(_, share)| share).sum::<u32>(), 100);
    for family in FAMILIES {
        let seen: BTreeSet<&str> = examples(family, 3000).map(|example| example.task).collect();
        assert_eq!(seen.len(), tasks().len());
    }
}

#[test]
fn tokenizer_text_covers_every_entry() {
    let lines: Vec<String> = (0..12_000)
        .map(|index| text(1, index).to_lowercase())
        .collect();
    let whole = lines.join("\n");
    for symbol in &book().symbols {
        if let Symbol::List(list) = symbol {
            for entry in &list.all {
                assert!(
                    whole.contains(&entry.to_lowercase()),
                    "`{entry}` is not in the text"
                );
            }
        }
    }
}
