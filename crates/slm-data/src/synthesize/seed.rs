//! The input of synthesis: a leaf's seed examples with all that says how they
//! may be varied.
//!
//! Does not know YAML files; `slm_taxonomy` reads them.

use serde_json::Value;
use slm_taxonomy::{Kind, Leaf, Output, Parts, Slot};

/// A question with the answer it should get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// What is asked.
    pub question: String,
    /// What is to be answered.
    pub answer: String,
}

/// A seed example. Rows made from it are one family: they are never divided
/// between training and test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// The place in the leaf's `seed_examples`, from 0.
    pub index: usize,
    /// The text the questions are about.
    pub context: Option<String>,
    /// The questions with their answers.
    pub pairs: Vec<Pair>,
}

/// A leaf as synthesis sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct SeedLeaf {
    /// The path below the taxonomy's root.
    pub name: String,
    /// Whether the leaf teaches facts from a document.
    pub knowledge: bool,
    /// The shape of the answers.
    pub output: Output,
    /// Text put before each question.
    pub instruction: Option<String>,
    /// The JSON pointer of the answer's field that is reported as label.
    pub label_field: Option<String>,
    /// How values of the answer may be replaced, by JSON pointer; `*` stands
    /// for any index of a list.
    pub slots: Vec<(String, Slot)>,
    /// Groups of texts any of which may stand for another.
    pub paraphrases: Vec<Vec<String>>,
    /// The parts of the text, and what may be done with them.
    pub parts: Option<Parts>,
    /// The seed examples.
    pub seeds: Vec<Seed>,
}

impl From<&Leaf> for SeedLeaf {
    fn from(leaf: &Leaf) -> Self {
        let extension = leaf.extension.clone().unwrap_or_default();
        let seeds = leaf
            .seed_examples
            .iter()
            .enumerate()
            .map(|(index, seed)| Seed {
                index,
                context: seed.context.clone().filter(|c| !c.trim().is_empty()),
                pairs: seed
                    .questions_and_answers
                    .iter()
                    .map(|pair| Pair {
                        question: pair.question.clone(),
                        answer: pair.answer.clone(),
                    })
                    .collect(),
            });
        Self {
            name: leaf.name.clone(),
            knowledge: leaf.kind == Kind::Knowledge,
            output: extension.output.unwrap_or(Output::Text),
            instruction: extension.instruction.filter(|i| !i.trim().is_empty()),
            label_field: extension.label_field,
            slots: extension.slots,
            paraphrases: extension.paraphrases,
            parts: extension.parts,
            seeds: seeds.collect(),
        }
    }
}

impl SeedLeaf {
    /// The same leaf with only the seeds of these indices.
    #[must_use]
    pub fn with_seeds(&self, indices: &[usize]) -> Self {
        let seeds = self
            .seeds
            .iter()
            .filter(|s| indices.contains(&s.index))
            .cloned()
            .collect();
        Self {
            seeds,
            ..self.clone()
        }
    }

    /// The user's turn: instruction, newline, question, and after an empty line
    /// the context. Also the number of bytes that the instruction takes.
    pub fn prompt(&self, context: Option<&str>, question: &str) -> (String, usize) {
        let mut prompt = String::new();
        if let Some(instruction) = &self.instruction {
            prompt.push_str(instruction.trim_end());
            prompt.push('\n');
        }
        let instruction_bytes = prompt.len();
        prompt.push_str(question.trim());
        if let Some(context) = context {
            prompt.push_str("\n\n");
            prompt.push_str(context.trim());
        }
        (prompt, instruction_bytes)
    }

    /// The label of an answer, where the leaf has labels.
    pub fn label_of(&self, answer: &Value) -> Option<String> {
        let value = match (&self.output, &self.label_field) {
            (Output::Label { .. }, _) => answer,
            (_, Some(pointer)) => answer.pointer(pointer)?,
            _ => return None,
        };
        Some(
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned),
        )
    }

    /// The label of a seed: that of its first answer.
    pub(crate) fn label_of_seed(&self, seed: &Seed) -> Option<String> {
        let answer = &seed.pairs.first()?.answer;
        let value = match self.output {
            Output::Label { .. } => Value::String(answer.trim().to_owned()),
            _ => serde_json::from_str(answer).ok()?,
        };
        self.label_of(&value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf() -> SeedLeaf {
        let seed = |index| Seed {
            index,
            context: None,
            pairs: vec![Pair {
                question: "q".into(),
                answer: r#"{"kind":"a"}"#.into(),
            }],
        };
        SeedLeaf {
            name: "l".into(),
            knowledge: false,
            output: Output::Json {
                schema: serde_json::json!({}),
            },
            instruction: Some("Do it.\n".into()),
            label_field: Some("/kind".into()),
            slots: vec![],
            paraphrases: vec![],
            parts: None,
            seeds: vec![seed(0), seed(4)],
        }
    }

    #[test]
    fn the_prompt_is_instruction_question_context() {
        let (prompt, bytes) = leaf().prompt(Some("The text. "), " Why? ");
        assert_eq!(prompt, "Do it.\nWhy?\n\nThe text.");
        assert_eq!(&prompt[..bytes], "Do it.\n");
    }

    #[test]
    fn seeds_keep_their_index_and_label() {
        let one = leaf().with_seeds(&[4]);
        assert_eq!(one.seeds.len(), 1);
        assert_eq!(one.seeds[0].index, 4);
        assert_eq!(one.label_of_seed(&one.seeds[0]), Some("a".into()));
    }
}
