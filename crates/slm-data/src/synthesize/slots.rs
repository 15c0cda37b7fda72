//! Slots: the values of an answer that the text shows, and their replacement in
//! text and answer alike.
//!
//! Does not know wording, nor which values must stay (see `freeze`).

use super::answer::{AnswerChecker, call_argument, field_of, scalars};
use super::draft::Draft;
use super::freeze::{CLOSED, freeze};
use super::seed::{Pair, Seed, SeedLeaf};
use super::surface::{Form, Occurrence, occurrences, render, residue};
use super::text::{Text, words};
use super::values::{RowDraw, from_hint, from_pool};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use slm_taxonomy::{Output, Slot};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A value that the answer has at one or more places and the text shows.
#[derive(Debug, Clone)]
pub(crate) struct SlotValue {
    pub pointers: Vec<String>,
    pub old: Value,
    pub hint: Option<Slot>,
    /// Why the value must stay, if it must.
    pub frozen: Option<&'static str>,
    /// Every form in which the texts show it.
    forms: Vec<Form>,
}

impl SlotValue {
    /// Whether question or context show the value.
    pub fn is_shown(&self) -> bool {
        !self.forms.is_empty()
    }
}

/// A seed's question, context and answer with its slots found.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pub seed: usize,
    pub pair: usize,
    pub question: Text,
    pub context: Option<Text>,
    pub answer: Value,
    pub slots: Vec<SlotValue>,
    /// Words of the answer, in lower case: left alone by noise.
    pub answer_words: BTreeSet<String>,
    /// The answer with every value that the text shows replaced by a mark.
    pub skeleton: Value,
    /// Question, context and answer as texts, where a new value must not stand already.
    pub texts: Vec<String>,
}

/// Values by field, as the leaf's seeds show them in their texts.
pub(crate) type FieldPools = BTreeMap<String, Vec<Value>>;

/// Where the texts of a seed show its values: per slot, in question and context.
pub(crate) struct Shown {
    pub question: Vec<Vec<Occurrence>>,
    pub context: Vec<Vec<Occurrence>>,
}

impl Template {
    /// Finds the slots of one seed pair.
    pub fn new(
        leaf: &SeedLeaf,
        checker: &AnswerChecker,
        seed: &Seed,
        pair: usize,
    ) -> std::result::Result<Self, String> {
        let Pair { question, answer } = seed.pairs.get(pair).ok_or("the seed has no such pair")?;
        let answer = checker.parse(answer)?;
        checker.check(&answer)?;
        let texts = [
            question.as_str(),
            seed.context.as_deref().unwrap_or_default(),
        ];
        let mut slots = group(leaf, checker, &answer);
        let find = |text: &str| -> Vec<Vec<Occurrence>> {
            slots.iter().map(|s| occurrences(text, &s.old)).collect()
        };
        let mut shown = Shown {
            question: find(texts[0]),
            context: find(texts[1]),
        };
        freeze(&mut slots, &shown, texts, &answer);
        shown.forget_closed(&slots);
        let skeleton = skeleton(&answer, &slots, &shown);
        let written = Some(answer.to_string());
        let texts_shown = [Some(question.clone()), seed.context.clone(), written];
        for (n, slot) in slots.iter_mut().enumerate() {
            slot.forms = shown.of(n).map(|o| o.form).collect();
        }
        Ok(Self {
            seed: seed.index,
            pair,
            question: Text::cut(texts[0], &spans(&shown.question)),
            context: seed
                .context
                .as_deref()
                .map(|c| Text::cut(c, &spans(&shown.context))),
            answer_words: answer_words(&answer),
            answer,
            slots,
            skeleton,
            texts: texts_shown.into_iter().flatten().collect(),
        })
    }

    /// The values that this template adds to the pools of its fields.
    pub fn add_to_pools(&self, pools: &mut FieldPools) {
        for slot in self.slots.iter().filter(|s| !s.forms.is_empty()) {
            for pointer in &slot.pointers {
                let pool = pools.entry(field_of(pointer)).or_default();
                if !pool.contains(&slot.old) {
                    pool.push(slot.old.clone());
                }
            }
        }
    }

    /// Draws another value for a slot. `None` when it is frozen, has no source,
    /// or the draw does not suit the text.
    pub fn draw(
        &self,
        slot: usize,
        pools: &FieldPools,
        draw: &RowDraw,
        rng: &mut ChaCha8Rng,
    ) -> Option<Value> {
        let slot = &self.slots[slot];
        if slot.frozen.is_some() || slot.forms.is_empty() {
            return None;
        }
        let new = match &slot.hint {
            Some(hint) => from_hint(hint, &slot.old, draw, rng)?,
            None => from_pool(
                pools.get(&field_of(slot.pointers.first()?))?,
                &slot.old,
                rng,
            )?,
        };
        let writable = slot.forms.iter().all(|form| render(&new, *form).is_some());
        (writable && new != slot.old && !self.shows(&new)).then_some(new)
    }

    /// Whether the seed's texts or answer show this value already.
    fn shows(&self, value: &Value) -> bool {
        let plain = plain(value);
        self.texts
            .iter()
            .any(|text| !residue(text, &plain).is_empty() || !occurrences(text, value).is_empty())
    }

    /// A draft with new values (slot, value) in question, context and answer. `None`
    /// when two of them would show inside each other.
    pub fn substitute(&self, new: &[(usize, Value)]) -> Option<Draft> {
        let plain: Vec<String> = new
            .iter()
            .map(|(_, v)| self::plain(v).to_lowercase())
            .collect();
        let nested = |a: usize, b: usize| a != b && plain[a].contains(plain[b].as_str());
        if (0..plain.len()).any(|a| {
            (0..plain.len())
                .any(|b| nested(a, b) && plain[b].len() > 2 || a < b && plain[a] == plain[b])
        }) {
            return None;
        }
        let mut made = Draft::from(self);
        for (index, value) in new {
            let old = &self.slots[*index].old;
            replace_pieces(&mut made.question, *index, old, value)?;
            if let Some(context) = &mut made.context {
                replace_pieces(context, *index, old, value)?;
            }
            replace_in_answer(&mut made.answer, &self.slots[*index], value);
        }
        made.answer_words = answer_words(&made.answer);
        Some(made)
    }
}

impl Shown {
    /// A label need not be in the text, so its word may be paraphrased there.
    fn forget_closed(&mut self, slots: &[SlotValue]) {
        for (n, _) in slots
            .iter()
            .enumerate()
            .filter(|(_, s)| s.frozen == Some(CLOSED))
        {
            self.question[n].clear();
            self.context[n].clear();
        }
    }

    /// Where a slot is shown, in the question first.
    pub fn of(&self, slot: usize) -> impl Iterator<Item = &Occurrence> {
        self.question[slot].iter().chain(&self.context[slot])
    }
}

/// A value as text.
pub(crate) fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The scalars of an answer, equal ones together. Function names are left out.
fn group(leaf: &SeedLeaf, checker: &AnswerChecker, answer: &Value) -> Vec<SlotValue> {
    let mut slots: Vec<SlotValue> = Vec::new();
    for (pointer, value) in scalars(answer) {
        let hint = hint_for(leaf, &pointer, answer);
        let allowed = matches!(&hint, Some(Slot::Values(pool)) if pool.contains(&plain(value)));
        let closed = checker.is_closed(&pointer, answer)
            || leaf.label_field.as_deref() == Some(pointer.as_str());
        let frozen = (closed && !allowed).then_some(CLOSED);
        match slots.iter_mut().find(|s| s.old == *value) {
            Some(slot) => {
                slot.pointers.push(pointer);
                slot.hint = slot.hint.take().or(hint);
                slot.frozen = slot.frozen.or(frozen);
            }
            None => slots.push(SlotValue {
                pointers: vec![pointer],
                old: value.clone(),
                hint,
                frozen,
                forms: vec![],
            }),
        }
    }
    slots
}

/// The hint whose pointer is that of the value; `*` stands for any index, and in
/// calls the pointer may begin at the arguments.
fn hint_for(leaf: &SeedLeaf, pointer: &str, answer: &Value) -> Option<Slot> {
    let argument = call_argument(pointer, answer).map(|(_, argument)| argument);
    let names = [
        Some(pointer.to_owned()),
        Some(field_of(pointer)),
        argument.clone(),
        argument.map(|a| field_of(&a)),
    ];
    let is_calls = matches!(leaf.output, Output::Calls { .. });
    names
        .into_iter()
        .take(if is_calls { 4 } else { 2 })
        .flatten()
        .find_map(|name| {
            leaf.slots
                .iter()
                .find(|(p, _)| *p == name || field_of(p) == name)
                .map(|(_, hint)| hint.clone())
        })
}

fn spans(shown: &[Vec<Occurrence>]) -> Vec<(Range<usize>, usize)> {
    let all = shown
        .iter()
        .enumerate()
        .flat_map(|(n, found)| found.iter().map(move |o| (o.range.clone(), n)));
    let mut all: Vec<(Range<usize>, usize)> = all.collect();
    all.sort_by_key(|(range, n)| (range.start, *n));
    let mut merged: Vec<(Range<usize>, usize)> = Vec::new();
    for (range, n) in all {
        match merged.last_mut() {
            Some((last, _)) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push((range, n)),
        }
    }
    merged
}

fn answer_words(answer: &Value) -> BTreeSet<String> {
    scalars(answer)
        .into_iter()
        .flat_map(|(_, value)| {
            words(&plain(value))
                .into_iter()
                .map(|(_, w)| w.to_lowercase())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn skeleton(answer: &Value, slots: &[SlotValue], shown: &Shown) -> Value {
    let mut skeleton = answer.clone();
    for (n, slot) in slots.iter().enumerate() {
        if shown.of(n).next().is_some() {
            for place in slot.pointers.iter() {
                if let Some(value) = skeleton.pointer_mut(place) {
                    *value = Value::String("\u{0}shown".into());
                }
            }
        }
    }
    skeleton
}

fn replace_pieces(text: &mut Text, slot: usize, old: &Value, new: &Value) -> Option<()> {
    for piece in text.pieces.iter_mut().filter(|p| p.slot == Some(slot)) {
        let form = occurrences(&piece.text, old)
            .into_iter()
            .find(|o| o.range == (0..piece.text.len()))?
            .form;
        piece.text = render(new, form)?;
    }
    Some(())
}

fn replace_in_answer(answer: &mut Value, slot: &SlotValue, new: &Value) {
    let places: Vec<String> = scalars(answer)
        .into_iter()
        .map(|(pointer, _)| pointer)
        .collect();
    for pointer in places {
        let Some(value) = answer.pointer_mut(&pointer) else {
            continue;
        };
        if slot.pointers.contains(&pointer) {
            *value = new.clone();
        } else if let Value::String(text) = value {
            for found in occurrences(text, &slot.old).into_iter().rev() {
                if let Some(written) = render(new, found.form) {
                    text.replace_range(found.range, &written);
                }
            }
        }
    }
}
