//! Which values of an answer must stay as they are, and why.
//!
//! Does not know where new values come from. When in doubt a value is frozen,
//! since a row with a wrong answer costs more than a row less.

use super::answer::scalars;
use super::calendar::{Date, Time};
use super::slots::{Shown, SlotValue, plain};
use super::surface::{occurrences, residue};
use super::text::words;
use serde_json::Value;
use std::ops::Range;

/// The reason of a value from an enum, the labels or the function names.
pub(crate) const CLOSED: &str = "one of a closed list";

/// Freezes what cannot be replaced without doubt; `texts` are question and
/// context.
pub(crate) fn freeze(slots: &mut [SlotValue], shown: &Shown, texts: [&str; 2], answer: &Value) {
    let derived = slots.iter().enumerate().any(|(n, s)| {
        s.frozen.is_none()
            && shown.of(n).next().is_none()
            && (s.old.is_number() || is_moment(&s.old))
    });
    for n in 0..slots.len() {
        if slots[n].frozen.is_some() || shown.of(n).next().is_none() {
            continue;
        }
        slots[n].frozen = if overlaps(n, shown) {
            Some("its place in the text overlaps that of another value")
        } else if slots[n].hint.is_none()
            && derived
            && (slots[n].old.is_number() || is_moment(&slots[n].old))
        {
            Some("another value of the answer may be computed from it")
        } else if is_ambiguous(&slots[n].old, shown.of(n).count()) {
            Some("the text shows this small number more than once")
        } else if leaves_residue(&slots[n].old, n, shown, texts) {
            Some("the text also shows it, or a part of it, in another form")
        } else if is_woven_in(&slots[n], slots, answer) {
            Some("another value of the answer contains it in another form")
        } else {
            None
        };
    }
}

fn is_moment(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|s| Date::parse(s).is_some() || Time::parse(s).is_some())
}

fn overlaps(slot: usize, shown: &Shown) -> bool {
    [&shown.question, &shown.context].iter().any(|text| {
        let others = text
            .iter()
            .enumerate()
            .filter(|(n, _)| *n != slot)
            .flat_map(|(_, o)| o);
        others.into_iter().any(|other| {
            text[slot]
                .iter()
                .any(|own| own.range.start < other.range.end && other.range.start < own.range.end)
        })
    })
}

/// `2` may be a quantity in one place and a floor in another.
fn is_ambiguous(value: &Value, count: usize) -> bool {
    let text = plain(value);
    count > 1 && text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether replacing all places of a value would leave it, or a capitalized word
/// of it, elsewhere in the texts.
fn leaves_residue(value: &Value, slot: usize, shown: &Shown, texts: [&str; 2]) -> bool {
    let Value::String(old) = value else {
        return false;
    };
    if is_moment(value) || old.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let names = words(old).into_iter().map(|(_, word)| word);
    let names = names.filter(|w| {
        w.chars().count() >= 4 && w.starts_with(char::is_uppercase) && *w != old.as_str()
    });
    let parts: Vec<&str> = std::iter::once(old.as_str()).chain(names).collect();
    let own = [&shown.question[slot], &shown.context[slot]];
    texts.iter().zip(own).any(|(text, own)| {
        let covered = |r: &Range<usize>| {
            own.iter()
                .any(|o| o.range.start <= r.start && r.end <= o.range.end)
        };
        parts
            .iter()
            .any(|part| residue(text, part).iter().any(|r| !covered(r)))
    })
}

/// Whether another string of the answer shows the value other than as a word of
/// its own, letter by letter: then it could not be replaced there.
fn is_woven_in(slot: &SlotValue, slots: &[SlotValue], answer: &Value) -> bool {
    let old = plain(&slot.old);
    let others = scalars(answer)
        .into_iter()
        .filter(|(pointer, _)| !slot.pointers.contains(pointer));
    others
        .filter_map(|(pointer, value)| Some((pointer, value.as_str()?)))
        .any(|(pointer, text)| {
            let shown = residue(text, &old);
            let replaceable = occurrences(text, &slot.old).len();
            let closed = slots
                .iter()
                .any(|s| s.pointers.contains(&pointer) && s.frozen.is_some());
            !shown.is_empty() && (closed || shown.len() != replaceable)
        })
}
