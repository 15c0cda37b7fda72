//! Parts of a text: its lines or sentences left out, exchanged or moved where the leaf's author
//! says that this does not change the answer.
//!
//! Without this every row of a seed has the seed's own parts in its own order, and a model can
//! learn an answer from what merely stands beside it. Does not know words within a part.

use super::answer::{field_of, scalars};
use super::draft::Draft;
use super::passages::{cut_at, join, sentences};
use super::slots::Template;
use super::surface::occurrences;
use super::text::Text;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use slm_taxonomy::{PartKind, Parts};

/// Moves past a neighbour in one row, at most.
const MOVES: usize = 3;

/// A draft with its text in parts.
struct Cut<'a> {
    draft: &'a mut Draft,
    of: PartKind,
    parts: Vec<Text>,
}

/// Varies the parts of a draft, trying each operation at its rate (omission per field, exchange,
/// move); `fits` says whether an answer fits the leaf's output.
pub(crate) fn vary_parts(
    draft: &mut Draft,
    rules: &Parts,
    (own, others): (&Template, &[Template]),
    fits: impl Fn(&Value) -> bool,
    [omission, exchange, shift]: [f64; 3],
    rng: &mut ChaCha8Rng,
) {
    let mut cut = Cut::new(draft, rules.of);
    let mut omitted = false;
    for pointer in &rules.optional {
        omitted |= rng.random_bool(omission) && cut.omit(pointer, own, &fits);
    }
    let exchanged = rules.exchangeable && rng.random_bool(exchange) && cut.exchange(others, rng);
    let moved = rules.movable && rng.random_bool(shift) && cut.shift(rng);
    cut.close();
    draft.note("omission", omitted);
    draft.note("exchange", exchanged);
    draft.note("move", moved);
}

impl<'a> Cut<'a> {
    fn new(draft: &'a mut Draft, of: PartKind) -> Self {
        let parts = divide(draft.context.as_ref().unwrap_or(&draft.question), of);
        Self { draft, of, parts }
    }

    /// Puts the parts back into the draft.
    fn close(self) {
        let whole = unite(&self.parts, self.of);
        match &mut self.draft.context {
            Some(context) => *context = whole,
            None => self.draft.question = whole,
        }
    }

    /// Leaves out the parts that show the value of a field and nothing else of the answer.
    fn omit(&mut self, field: &str, own: &Template, fits: impl Fn(&Value) -> bool) -> bool {
        let found = own.slots.iter().enumerate().find_map(|(n, slot)| {
            let pointer = slot.pointers.iter().find(|p| field_of(p) == field)?;
            (slot.is_shown() && slot.pointers.len() == 1).then_some((n, pointer))
        });
        let Some((slot, pointer)) = found else {
            return false;
        };
        let Some(value) = self.draft.answer.pointer(pointer).cloned() else {
            return false;
        };
        let (gone, kept): (Vec<Text>, Vec<Text>) = self
            .parts
            .iter()
            .cloned()
            .partition(|part| shows(part, slot));
        let only = gone.iter().flat_map(|part| &part.pieces);
        let only = only.filter_map(|piece| piece.slot).all(|n| n == slot);
        let left = unite(&kept, self.of).join();
        let asked = self.draft.context.is_some()
            && !occurrences(&self.draft.question.join(), &value).is_empty();
        if kept.is_empty() || !only || asked || !occurrences(&left, &value).is_empty() {
            return false;
        }
        let Some(answer) = without(&self.draft.answer, pointer, fits) else {
            return false;
        };
        self.draft.answer = answer;
        self.parts = kept;
        true
    }

    /// Leaves out a part that shows no value, takes one of another seed instead, or adds one.
    fn exchange(&mut self, others: &[Template], rng: &mut ChaCha8Rng) -> bool {
        let idle: Vec<usize> = (0..self.parts.len())
            .filter(|n| is_idle(&self.parts[*n]))
            .collect();
        let own = idle.get(rng.random_range(0..idle.len().max(1))).copied();
        let theirs = self.borrow(others, rng);
        match (rng.random_range(0..3), own, theirs) {
            (0, Some(own), _) if self.parts.len() > 1 => {
                self.parts.remove(own);
            }
            (1, Some(own), Some((part, seed))) => {
                self.parts[own] = part;
                self.draft.seeds.insert(seed);
            }
            (2, _, Some((part, seed))) => {
                let place = rng.random_range(0..=self.parts.len());
                self.parts.insert(place, part);
                self.draft.seeds.insert(seed);
            }
            _ => return false,
        }
        true
    }

    /// A part of another seed that shows no value of its answer nor of this one, with the seed.
    fn borrow(&self, others: &[Template], rng: &mut ChaCha8Rng) -> Option<(Text, usize)> {
        let donor = others.get(rng.random_range(0..others.len().max(1)))?;
        if self.draft.seeds.contains(&donor.seed) {
            return None;
        }
        let text = unite(&self.parts, self.of).join();
        let theirs = donor.context.as_ref().unwrap_or(&donor.question);
        let fitting: Vec<Text> = divide(theirs, self.of)
            .into_iter()
            .filter(|part| {
                let said = part.join();
                let told = |value: &Value| !occurrences(&said, value).is_empty();
                is_idle(part)
                    && !text.contains(said.trim())
                    && !scalars(&self.draft.answer)
                        .into_iter()
                        .any(|(_, value)| told(value))
            })
            .collect();
        let part = fitting.get(rng.random_range(0..fitting.len().max(1)))?;
        Some((part.clone(), donor.seed))
    }

    /// Moves parts past their neighbours.
    fn shift(&mut self, rng: &mut ChaCha8Rng) -> bool {
        if self.parts.len() < 2 {
            return false;
        }
        let before = self.parts.clone();
        for _ in 0..rng.random_range(1..=MOVES) {
            let place = rng.random_range(1..self.parts.len());
            self.parts.swap(place - 1, place);
        }
        self.parts != before
    }
}

fn shows(part: &Text, slot: usize) -> bool {
    part.pieces.iter().any(|piece| piece.slot == Some(slot))
}

/// Whether a part says something and shows no value.
fn is_idle(part: &Text) -> bool {
    part.pieces.iter().all(|piece| piece.slot.is_none()) && !part.join().trim().is_empty()
}

/// The answer with null at a place, else without the field; whichever fits first.
fn without(answer: &Value, pointer: &str, fits: impl Fn(&Value) -> bool) -> Option<Value> {
    let mut empty = answer.clone();
    *empty.pointer_mut(pointer)? = Value::Null;
    if fits(&empty) {
        return Some(empty);
    }
    let (parent, key) = pointer.rsplit_once('/')?;
    let mut shorter = answer.clone();
    shorter
        .pointer_mut(parent)?
        .as_object_mut()?
        .shift_remove(key)?;
    fits(&shorter).then_some(shorter)
}

fn divide(text: &Text, of: PartKind) -> Vec<Text> {
    match of {
        PartKind::Sentences => sentences(text),
        PartKind::Lines => cut_at(text, |piece, _| {
            piece.match_indices('\n').map(|(at, _)| at + 1).collect()
        }),
    }
}

fn unite(parts: &[Text], of: PartKind) -> Text {
    if of == PartKind::Sentences {
        return join(parts);
    }
    let mut whole = Text::default();
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            whole.append("\n");
        }
        let mut pieces = part.pieces.clone();
        if let Some(last) = pieces.last_mut().filter(|piece| piece.slot.is_none()) {
            last.text.truncate(last.text.trim_end_matches('\n').len());
        }
        whole.pieces.extend(pieces);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::super::seed::{Pair, Seed, SeedLeaf};
    use super::super::{GrammarTeacher, PoolSide, Request, Teacher};
    use serde_json::{Value, json};
    use slm_taxonomy::{Output, PartKind, Parts, Slot, SlotKind};

    fn leaf(due: Value, parts: Parts) -> SeedLeaf {
        let seed = |index: usize, text: &str, answer: Value| Seed {
            index,
            context: Some(text.to_owned()),
            pairs: vec![Pair {
                question: "Read it.".into(),
                answer: answer.to_string(),
            }],
        };
        SeedLeaf {
            name: "l".into(),
            knowledge: false,
            output: Output::Json {
                schema: json!({
                    "type": "object",
                    "properties": {"id": {"type": "string"}, "due": due},
                    "required": ["id"],
                    "additionalProperties": false
                }),
            },
            instruction: None,
            label_field: None,
            slots: vec![
                ("/id".into(), Slot::Kind(SlotKind::Id)),
                ("/due".into(), Slot::Kind(SlotKind::DateIso)),
            ],
            paraphrases: vec![],
            parts: Some(parts),
            seeds: vec![
                seed(
                    0,
                    "No. AB-1234\nDue: 2025-03-04\nForty boxes\nTo: Ann",
                    json!({"id": "AB-1234", "due": "2025-03-04"}),
                ),
                seed(
                    1,
                    "Ten lamps\nPay by 2024-05-06\nNo. CD-9876",
                    json!({"id": "CD-9876", "due": "2024-05-06"}),
                ),
            ],
        }
    }

    fn rules(movable: bool, exchangeable: bool, optional: &[&str]) -> Parts {
        Parts {
            of: PartKind::Lines,
            movable,
            exchangeable,
            optional: optional.iter().map(|s| s.to_string()).collect(),
        }
    }

    /// The texts with their answers.
    fn rows(leaf: &SeedLeaf) -> Vec<(String, Value)> {
        let request = Request {
            rows: 120,
            seed: 5,
            side: PoolSide::Training,
        };
        let made = GrammarTeacher::default()
            .synthesize(leaf, &request)
            .unwrap();
        let row = |sample: &crate::Sample| {
            let answer = serde_json::from_str(sample.answer().unwrap()).unwrap();
            (sample.question().unwrap().to_lowercase(), answer)
        };
        made.samples.iter().map(row).collect()
    }

    #[test]
    fn an_optional_part_and_its_value_go_together() {
        let nullable = json!({"type": ["string", "null"]});
        let made = rows(&leaf(nullable, rules(false, false, &["/due"])));
        let (mut with, mut without) = (0, 0);
        for (text, answer) in made {
            let told = text.contains("due:") || text.contains("pay by");
            match answer["due"].as_str() {
                Some(date) => assert!(told && text.contains(date), "{text}"),
                None => assert!(!told && answer.get("due") == Some(&Value::Null), "{text}"),
            }
            *(if told { &mut with } else { &mut without }) += 1;
        }
        assert!(with > 20 && without > 10, "{with} {without}");
    }

    #[test]
    fn a_field_that_may_not_be_null_is_left_out() {
        let made = rows(&leaf(
            json!({"type": "string"}),
            rules(false, false, &["/due"]),
        ));
        let shorter = made
            .iter()
            .filter(|(_, answer)| answer.get("due").is_none());
        assert!(shorter.count() > 10);
        assert!(made.iter().all(|(_, answer)| answer["id"].is_string()));
        assert!(!made.iter().any(|(_, a)| a.get("due") == Some(&Value::Null)));
    }

    #[test]
    fn lines_move_and_come_from_other_seeds_only_where_allowed() {
        let nullable = json!({"type": ["string", "null"]});
        let borrowed = |text: &str| text.contains("forty boxes") && text.contains("pay by");
        let moved = |text: &str| {
            let at = |needle| text.find(needle);
            at("due:").is_some() && at("due:") < at("no. ")
        };
        let free = rows(&leaf(nullable.clone(), rules(true, true, &[])));
        assert!(free.iter().any(|(text, _)| borrowed(text)));
        assert!(free.iter().any(|(text, _)| moved(text)));
        for (text, answer) in &free {
            let id = answer["id"].as_str().unwrap().to_lowercase();
            assert!(text.contains(&id) && text.contains(answer["due"].as_str().unwrap()));
            assert!(
                !text.contains("\n\n\n") && text.matches("no. ").count() == 1,
                "{text}"
            );
        }
        let bound = rows(&leaf(nullable, rules(false, false, &[])));
        assert!(!bound.iter().any(|(t, _)| borrowed(t) || moved(t)));
    }
}
