//! Several things of one kind in a row, answered as an array.

use serde_json::{Value, json};

use crate::corpus::draft::Draft;
use crate::corpus::naming::Notation;
use crate::corpus::source::Source;

/// Kinds of thing with the key of their array.
const TRAIN: [(&str, &str); 12] = [
    ("grocery", "items"),
    ("first_name", "people"),
    ("city_known", "cities"),
    ("dish", "dishes"),
    ("artist", "artists"),
    ("pseudo_name", "names"),
    ("stuff", "things"),
    ("country", "countries"),
    ("id", "codes"),
    ("email", "emails"),
    ("weekday", "days"),
    ("full_name", "attendees"),
];
const HELD_OUT: [(&str, &str); 5] = [
    ("grocery", "victuals"),
    ("first_name", "folk"),
    ("city_known", "stops"),
    ("id", "marks"),
    ("film", "pictures"),
];

/// A row of two to five things, at times with how many of each.
pub(crate) fn write(draft: &mut Draft, source: &mut Source) {
    let kinds = source.side(&TRAIN[..], &HELD_OUT[..]);
    let (symbol, key) = kinds[source.below(kinds.len())];
    let mut things: Vec<String> = Vec::new();
    for _ in 0..1 + source.below(5) {
        let thing = draft.say(source, symbol);
        let clear = !thing.contains(" and ") && !thing.contains(',');
        if clear
            && things
                .iter()
                .all(|other| !other.contains(&thing) && !thing.contains(other.as_str()))
        {
            things.push(thing);
        }
    }
    let counts: Vec<i64> = things.iter().map(|_| source.between(1, 30)).collect();
    let counted = matches!(symbol, "grocery" | "stuff" | "dish") && source.chance(45);
    let shown: Vec<String> = things
        .iter()
        .zip(&counts)
        .map(|(thing, count)| {
            if counted {
                format!("{count} {thing}")
            } else {
                thing.clone()
            }
        })
        .collect();
    let row = match (shown.split_last(), source.below(3)) {
        (Some((last, before)), 0 | 1) if !before.is_empty() => {
            format!("{} and {last}", before.join(", "))
        }
        _ => shown.join(", "),
    };
    let text = draft.say(source, "series_carrier").replace('@', &row);
    things.iter().for_each(|thing| draft.copied(thing));
    let key = Notation::draw(source).write(key);
    let (answer, shape) = answer(source, &things, &counts, counted);
    let (answer, shape) = match source.below(4) {
        0 => (answer, format!("json array of {key} {shape}")),
        1 => (
            json!({ key.as_str(): answer }),
            format!("{{\"{key}\":{shape}}}"),
        ),
        _ => (json!({ key.as_str(): answer }), format!("{key}: {shape}")),
    };
    let question = draft.word(source, "ask_fields", &[("@F", &shape), ("@T", &text)]);
    draft.json_turn(question, &answer);
}

fn answer(
    source: &mut Source,
    things: &[String],
    counts: &[i64],
    counted: bool,
) -> (Value, String) {
    if !counted {
        return (json!(things), "[string]".to_string());
    }
    let (name, count) = *source.pick(&[&("item", "count"), &("name", "quantity"), &("what", "n")]);
    let rows = things
        .iter()
        .zip(counts)
        .map(|(thing, number)| json!({ name: thing, count: number }));
    (
        Value::Array(rows.collect()),
        format!("[{{\"{name}\":\"string\",\"{count}\":\"integer\"}}]"),
    )
}
