//! Seed examples that say the same, within a leaf and across leaves.
//!
//! Texts are the same when they differ only in case and the amount of white space. They are
//! compared by a digest of 128 bits, so that the texts of other leaves need not be kept.

use super::fields::{Page, Text};
use super::shape::{Pair, Seed, Shape};
use crate::codes::Code;
use crate::diagnostic::Sink;
use crate::source::{Source, Span};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// What a text says, but for case and white space.
type Digest = u128;

/// A question with its answer and context, as other leaves may have it too.
#[derive(Debug)]
pub(super) struct Said {
    digest: Digest,
    /// Where the seed example or question begins.
    line: usize,
    question: Span,
    yaml_path: String,
}

/// Where something was first said.
#[derive(Debug)]
struct Place {
    /// The leaf's number in the order of the check.
    leaf: usize,
    line: usize,
}

/// What all leaves seen so far say.
#[derive(Debug, Default)]
pub(super) struct Seen {
    by_digest: HashMap<Digest, Place>,
    leaves: Vec<(String, String)>,
}

/// A seed example's digests.
struct Digested<'s, 'n> {
    seed: &'s Seed<'n>,
    context: Digest,
    pairs: Vec<DigestedPair<'s, 'n>>,
}

struct DigestedPair<'s, 'n> {
    pair: &'s Pair<'n>,
    /// What is asked of which context, and what is answered.
    asked: Option<(&'s Text<'n>, Digest)>,
    answered: Option<Digest>,
}

/// Reports seed examples and questions that stand twice in a leaf, and returns what other
/// leaves may say too.
pub(super) fn check(page: &mut Page, shape: &Shape) -> Vec<Said> {
    let seeds: Vec<Digested> = shape.seeds.iter().map(digested).collect();
    let mut first_by_key: HashMap<Digest, &Seed> = HashMap::new();
    let mut asked = HashMap::new();
    for digested in &seeds {
        let seed = digested.seed;
        let Some(key) = seed_key(digested) else {
            continue;
        };
        if let Some(first) = first_by_key.get(&key) {
            let message = format!(
                "the same as `{}` on line {}",
                first.path, first.span.start.line
            );
            let hint = "remove one of the two, or make them differ";
            page.fault(seed.span, Code::DuplicateSeed, &seed.path, message, hint);
            continue;
        }
        first_by_key.insert(key, seed);
        if shape.knowledge {
            questions(page, digested);
        } else if let Some(pair) = digested.pairs.first() {
            contradiction(page, pair, &mut asked);
        }
    }
    seeds.iter().flat_map(said).collect()
}

fn questions(page: &mut Page, seed: &Digested) {
    let mut asked: HashMap<Digest, (usize, Digest)> = HashMap::new();
    for pair in &seed.pairs {
        let (Some((question, key)), Some(answer)) = (pair.asked, pair.answered) else {
            continue;
        };
        match asked.get(&key) {
            Some((line, said)) if *said == answer => {
                let message = format!("this question and its answer stand already on line {line}");
                let hint = "ask something else of this context";
                let path = &pair.pair.path;
                page.fault(question.span, Code::DuplicateQuestion, path, message, hint);
            }
            _ => contradiction(page, pair, &mut asked),
        }
    }
}

/// Reports a question that was answered otherwise before.
fn contradiction(
    page: &mut Page,
    pair: &DigestedPair,
    asked: &mut HashMap<Digest, (usize, Digest)>,
) {
    let (Some((question, key)), Some(answer)) = (pair.asked, pair.answered) else {
        return;
    };
    let line = pair.pair.span.start.line;
    let (first, said) = *asked.entry(key).or_insert((line, answer));
    if said != answer {
        let message = format!("the same question has another answer on line {first}");
        let hint = "keep the better answer, or make the questions differ";
        page.fault(
            question.span,
            Code::Contradiction,
            &question.path,
            message,
            hint,
        );
    }
}

impl Seen {
    /// Reports what of a leaf stands in a leaf seen before, and remembers what it says.
    pub fn across(&mut self, file: &Path, leaf: &str, said: Vec<Said>, sink: &mut Sink) {
        let number = self.leaves.len();
        self.leaves
            .push((leaf.to_string(), crate::source::shown(file)));
        let mut source = None;
        for one in said {
            let line = one.line;
            let first = self
                .by_digest
                .entry(one.digest)
                .or_insert(Place { leaf: number, line });
            if first.leaf == number {
                continue;
            }
            // Rare, so the file is read again rather than every text kept.
            let source = source.get_or_insert_with(|| Source::read(file).ok());
            if let Some(source) = source {
                let (name, path) = &self.leaves[first.leaf];
                let message = format!(
                    "this question and its answer stand also in `{name}` ({path}:{})",
                    first.line
                );
                let hint = "keep it in the leaf where it belongs";
                let code = Code::DuplicateAcrossLeaves;
                sink.at(source, one.question, code, &one.yaml_path, message, hint);
            }
        }
    }
}

fn said(seed: &Digested) -> Vec<Said> {
    let pairs = seed.pairs.iter().filter_map(|pair| {
        let (question, asked) = pair.asked?;
        Some(Said {
            digest: joined([asked, pair.answered?]),
            line: pair.pair.span.start.line,
            question: question.span,
            yaml_path: pair.pair.path.clone(),
        })
    });
    pairs.collect()
}

fn digested<'s, 'n>(seed: &'s Seed<'n>) -> Digested<'s, 'n> {
    let context = digest(seed.context.as_ref().map_or("", |context| context.text));
    let pairs = seed.pairs.iter().map(|pair| DigestedPair {
        pair,
        asked: pair
            .question
            .as_ref()
            .map(|question| (question, joined([context, digest(question.text)]))),
        answered: pair.answer.as_ref().map(|answer| digest(answer.text)),
    });
    Digested {
        seed,
        context,
        pairs: pairs.collect(),
    }
}

/// What a seed example says; none when it says too little to compare.
fn seed_key(seed: &Digested) -> Option<Digest> {
    let mut parts = vec![seed.context];
    for pair in &seed.pairs {
        parts.push(pair.asked?.1);
        parts.push(pair.answered?);
    }
    (parts.len() > 1).then(|| joined(parts))
}

fn digest(text: &str) -> Digest {
    let mut plain = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        plain.push(' ');
        if word.is_ascii() {
            plain.push_str(word);
        } else {
            plain.push_str(&word.to_lowercase());
        }
    }
    plain.make_ascii_lowercase();
    hashed(&plain)
}

fn joined(parts: impl AsRef<[Digest]>) -> Digest {
    hashed(parts.as_ref())
}

fn hashed(value: &(impl Hash + ?Sized)) -> Digest {
    let half = |number: u8| {
        let mut hasher = DefaultHasher::new();
        number.hash(&mut hasher);
        value.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}
