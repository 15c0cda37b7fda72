//! The tasks of the corpus and their shares.
//!
//! Each task is in a file of its own and writes into a draft; none knows the
//! others.

mod bare;
mod call;
mod convert;
mod document;
mod echo;
mod fields;
mod label;
mod nonsense;
mod normalise;
mod passage;
mod series;
mod triage;

use super::draft::Draft;
use super::source::Source;

/// A task with its share of the corpus in percent.
pub(crate) struct Task {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its share in percent.
    pub(crate) share: u32,
    /// Writes one example.
    pub(crate) write: fn(&mut Draft, &mut Source),
}

const fn task(name: &'static str, share: u32, write: fn(&mut Draft, &mut Source)) -> Task {
    Task { name, share, write }
}

/// All tasks; the shares add up to 100.
pub(crate) const TASKS: [Task; 20] = [
    task("bare_intent", 26, bare::write),
    task("fields", 11, fields::list),
    task("schema", 7, fields::schema),
    task("one_field", 6, fields::one),
    task("session", 2, fields::session),
    task("nonsense_schema", 6, nonsense::write),
    task("intent_choice", 3, label::intent),
    task("intent_slots", 5, label::intent_slots),
    task("label", 2, label::topic),
    task("label_by_keyword", 2, label::keyword),
    task("call", 6, call::write),
    task("triage", 3, triage::write),
    task("series", 2, series::write),
    task("document", 5, document::write),
    task("passage", 5, passage::write),
    task("to_json", 2, convert::to_json),
    task("to_yaml", 1, convert::to_yaml),
    task("repair", 1, convert::repair),
    task("normalise", 2, normalise::write),
    task("echo", 3, echo::write),
];

/// A task by its share.
pub(crate) fn draw(source: &mut Source) -> &'static Task {
    let mut at = source.below(100) as u32;
    for task in &TASKS {
        if at < task.share {
            return task;
        }
        at -= task.share;
    }
    &TASKS[0]
}
