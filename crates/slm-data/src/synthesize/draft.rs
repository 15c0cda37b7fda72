//! A row in the making.
//!
//! Does not know which operations there are.

use super::slots::Template;
use super::text::Text;
use serde_json::Value;
use std::collections::BTreeSet;

/// A row in the making: its texts, its answer, and what was done to it.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub question: Text,
    pub context: Option<Text>,
    pub answer: Value,
    /// Words of the answer, in lower case.
    pub answer_words: BTreeSet<String>,
    /// Operations in the order in which they were applied.
    pub operations: Vec<&'static str>,
    /// Seeds whose text or values the row uses.
    pub seeds: BTreeSet<usize>,
    /// Slots that got a new value: old and new, as text.
    pub substitutions: Vec<(String, String)>,
}

impl From<&Template> for Draft {
    fn from(template: &Template) -> Self {
        Self {
            question: template.question.clone(),
            context: template.context.clone(),
            answer: template.answer.clone(),
            answer_words: template.answer_words.clone(),
            operations: Vec::new(),
            seeds: BTreeSet::from([template.seed]),
            substitutions: Vec::new(),
        }
    }
}

impl Draft {
    /// The free pieces of question and context.
    pub fn free_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let context = self.context.iter_mut().flat_map(Text::free_mut);
        self.question.free_mut().chain(context)
    }

    /// Notes an operation that changed something.
    pub fn note(&mut self, operation: &'static str, changed: bool) {
        if changed && !self.operations.contains(&operation) {
            self.operations.push(operation);
        }
    }
}
