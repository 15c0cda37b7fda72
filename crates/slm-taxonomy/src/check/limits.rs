//! The word limits that InstructLab documents and does not enforce.
//!
//! It counts words at white space, and knows nothing of tokens.

use super::fields::{Page, Text};
use super::shape::Shape;
use crate::codes::Code;

const CONTEXT_WORDS: usize = 500;
const QUESTION_WORDS: usize = 250;
const ANSWER_WORDS: usize = 250;
const SKILL_WORDS: usize = 2300;

/// Reports what is longer than documented.
pub(super) fn check(page: &mut Page, shape: &Shape) {
    let mut total = 0;
    for seed in &shape.seeds {
        total += text(
            page,
            &seed.context,
            "context",
            CONTEXT_WORDS,
            Code::LongContext,
        );
        for pair in &seed.pairs {
            total += text(
                page,
                &pair.question,
                "question",
                QUESTION_WORDS,
                Code::LongQuestion,
            );
            total += text(page, &pair.answer, "answer", ANSWER_WORDS, Code::LongAnswer);
        }
    }
    if shape.knowledge || total <= SKILL_WORDS {
        return;
    }
    if let Some(span) = shape.seeds_span {
        let message =
            format!("the skill's seed examples have {total} words, more than {SKILL_WORDS}");
        let hint = "shorten the longest seed examples, or split the leaf";
        page.fault(span, Code::LongLeaf, ".seed_examples", message, hint);
    }
}

fn text(page: &mut Page, text: &Option<Text>, what: &str, limit: usize, code: Code) -> usize {
    let Some(text) = text else {
        return 0;
    };
    let words = text.text.split_whitespace().count();
    if words > limit {
        let message = format!("the {what} has {words} words, more than {limit}");
        let hint = format!(
            "shorten it by {} words, or split the seed example",
            words - limit
        );
        page.fault(text.span, code, &text.path, message, hint);
    }
    words
}
