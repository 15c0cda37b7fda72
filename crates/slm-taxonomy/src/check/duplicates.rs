//! Seed examples that say the same, within a leaf and across leaves.
//!
//! Texts are the same when they differ only in case and the amount of white space.

use super::fields::Page;
use super::shape::{Pair, Seed, Shape};
use crate::codes::Code;
use std::collections::HashMap;

/// Where a question was first seen.
#[derive(Debug, Clone)]
struct Place {
    leaf: String,
    file: String,
    line: usize,
}

/// The questions of all leaves seen so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    by_text: HashMap<String, Place>,
}

/// Reports seed examples and questions that stand twice in a leaf.
pub(super) fn check(page: &mut Page, shape: &Shape) {
    let mut seeds: HashMap<String, &Seed> = HashMap::new();
    let mut asked: HashMap<String, (&Pair, String)> = HashMap::new();
    for seed in &shape.seeds {
        let Some(key) = seed_key(seed) else { continue };
        if let Some(first) = seeds.get(&key) {
            let message = format!(
                "the same as `{}` on line {}",
                first.path, first.span.start.line
            );
            let hint = "remove one of the two, or make them differ";
            page.fault(seed.span, Code::DuplicateSeed, &seed.path, message, hint);
            continue;
        }
        seeds.insert(key, seed);
        if shape.knowledge {
            questions(page, seed);
        } else if let Some(pair) = seed.pairs.first() {
            contradiction(page, seed, pair, &mut asked);
        }
    }
}

fn questions(page: &mut Page, seed: &Seed) {
    let mut asked: HashMap<String, (&Pair, String)> = HashMap::new();
    for pair in &seed.pairs {
        let (Some(question), Some(answer)) = (&pair.question, &pair.answer) else {
            continue;
        };
        let same = asked.get(&question_key(seed, question.text));
        if let Some((first, _)) = same.filter(|(_, said)| *said == plain(answer.text)) {
            let line = first.span.start.line;
            let message = format!("this question and its answer stand already on line {line}");
            let hint = "ask something else of this context";
            page.fault(
                question.span,
                Code::DuplicateQuestion,
                &pair.path,
                message,
                hint,
            );
        } else {
            contradiction(page, seed, pair, &mut asked);
        }
    }
}

fn contradiction<'s, 'n>(
    page: &mut Page,
    seed: &'s Seed<'n>,
    pair: &'s Pair<'n>,
    asked: &mut HashMap<String, (&'s Pair<'n>, String)>,
) {
    let (Some(question), Some(answer)) = (&pair.question, &pair.answer) else {
        return;
    };
    let key = question_key(seed, question.text);
    match asked.get(&key) {
        Some((first, first_answer)) if *first_answer != plain(answer.text) => {
            let line = first.span.start.line;
            let message = format!("the same question has another answer on line {line}");
            let hint = "keep the better answer, or make the questions differ";
            page.fault(
                question.span,
                Code::Contradiction,
                &question.path,
                message,
                hint,
            );
        }
        Some(_) => {}
        None => {
            asked.insert(key, (pair, plain(answer.text)));
        }
    }
}

/// What is asked of which context.
fn question_key(seed: &Seed, question: &str) -> String {
    let context = seed.context.as_ref().map_or("", |context| context.text);
    format!("{}\u{1}{}", plain(context), plain(question))
}

/// Reports what stands in a leaf seen before, and remembers this leaf's seed examples.
pub(super) fn across(page: &mut Page, shape: &Shape, leaf: &str, seen: &mut Seen) {
    for seed in &shape.seeds {
        let context = seed.context.as_ref().map_or("", |context| context.text);
        for pair in &seed.pairs {
            let (Some(question), Some(answer)) = (&pair.question, &pair.answer) else {
                continue;
            };
            let parts = [context, question.text, answer.text].map(plain);
            let key = parts.join("\u{1}");
            match seen.by_text.get(&key) {
                Some(first) if first.leaf != leaf => {
                    let message = format!(
                        "this question and its answer stand also in `{}` ({}:{})",
                        first.leaf, first.file, first.line
                    );
                    let hint = "keep it in the leaf where it belongs";
                    page.fault(
                        question.span,
                        Code::DuplicateAcrossLeaves,
                        &pair.path,
                        message,
                        hint,
                    );
                }
                Some(_) => {}
                None => {
                    let place = Place {
                        leaf: leaf.to_string(),
                        file: page.source.path.clone(),
                        line: pair.span.start.line,
                    };
                    seen.by_text.insert(key, place);
                }
            }
        }
    }
}

/// What a seed example says; none when it says too little to compare.
fn seed_key(seed: &Seed) -> Option<String> {
    let mut parts = vec![plain(
        seed.context.as_ref().map_or("", |context| context.text),
    )];
    for pair in &seed.pairs {
        parts.push(plain(pair.question.as_ref()?.text));
        parts.push(plain(pair.answer.as_ref()?.text));
    }
    (parts.len() > 1).then(|| parts.join("\u{1}"))
}

fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").to_lowercase()
}
