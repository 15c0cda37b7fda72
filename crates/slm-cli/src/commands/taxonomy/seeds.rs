//! The seed examples of a new leaf: from a file of JSON lines, or asked for one by one.
//!
//! Does not know how a leaf is written.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Result;
use serde::Deserialize;
use slm_taxonomy::{Kind, QuestionAnswer, SeedExample};

use super::answers::Answers;
use crate::failure::Failure;

/// InstructLab's least numbers of seed examples, and of questions on one context.
const LEAST_SEEDS: usize = 5;
const LEAST_QUESTIONS: usize = 3;
const OPTION: &str = "--seeds FILE";

/// A line of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    context: Option<String>,
    question: String,
    answer: String,
}

/// Reads rows of `question`, `answer` and perhaps `context`. For knowledge, rows that follow
/// each other on one context are one seed example.
pub fn read(path: &Path, kind: Kind) -> Result<Vec<SeedExample>> {
    let file = File::open(path).map_err(|error| Failure::io("read", path, &error))?;
    let mut seeds: Vec<SeedExample> = Vec::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|error| Failure::io("read", path, &error))?;
        if line.trim().is_empty() {
            continue;
        }
        let row: Row = serde_json::from_str(&line).map_err(|error| {
            let place = format!("{}:{}", path.display(), index + 1);
            Failure::new(format!("{place}: {error}")).hint(
                "each line is JSON such as `{\"question\": ..., \"answer\": ..., \"context\": ...}`",
            )
        })?;
        let pair = QuestionAnswer {
            question: row.question,
            answer: row.answer,
        };
        match seeds.last_mut() {
            Some(last) if kind == Kind::Knowledge && last.context == row.context => {
                last.questions_and_answers.push(pair);
            }
            _ => seeds.push(SeedExample {
                context: row.context,
                questions_and_answers: vec![pair],
            }),
        }
    }
    Ok(seeds)
}

/// Asks for seed examples until there are enough and no more are given.
pub fn ask(answers: &mut Answers<impl BufRead>, kind: Kind) -> Result<Vec<SeedExample>> {
    let mut seeds = Vec::new();
    loop {
        let number = seeds.len() + 1;
        let is_enough = number > LEAST_SEEDS;
        eprintln!(
            "\nSeed example {number}{}",
            if is_enough { "; none ends" } else { "" }
        );
        let has_context = kind != Kind::Skill { grounded: false };
        let context = match has_context {
            true => needed(answers, "Context", is_enough)?,
            false => None,
        };
        if has_context && context.is_none() {
            return Ok(seeds);
        }
        let pairs = pairs(answers, kind, is_enough && !has_context)?;
        if pairs.is_empty() {
            return Ok(seeds);
        }
        seeds.push(SeedExample {
            context,
            questions_and_answers: pairs,
        });
    }
}

fn pairs(
    answers: &mut Answers<impl BufRead>,
    kind: Kind,
    may_be_none: bool,
) -> Result<Vec<QuestionAnswer>> {
    let mut pairs = Vec::new();
    loop {
        let is_enough = match kind {
            Kind::Knowledge => pairs.len() >= LEAST_QUESTIONS,
            Kind::Skill { .. } => may_be_none,
        };
        let Some(question) = needed(answers, "Question", is_enough)? else {
            return Ok(pairs);
        };
        let Some(answer) = needed(answers, "Answer", false)? else {
            return Ok(pairs);
        };
        pairs.push(QuestionAnswer { question, answer });
        if kind != Kind::Knowledge {
            return Ok(pairs);
        }
    }
}

/// A text, asked for until it is given, unless there is enough already.
fn needed(
    answers: &mut Answers<impl BufRead>,
    what: &str,
    is_enough: bool,
) -> Result<Option<String>> {
    loop {
        let text = answers.text(what, OPTION)?;
        if text.is_some() || is_enough {
            return Ok(text);
        }
        eprintln!("  (a text is needed)");
    }
}
