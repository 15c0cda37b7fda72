//! JSON and YAML: reading, writing and repairing small documents.

use serde_json::{Map, Value};

use crate::corpus::draft::Draft;
use crate::corpus::naming::{Notation, field_name};
use crate::corpus::source::Source;

/// A string value that may need escapes.
fn string(draft: &Draft, source: &mut Source) -> String {
    let text = draft.say(source, "open_text");
    match source.below(12) {
        0 => format!("the \"{text}\" {}", draft.say(source, "noun")),
        1 => format!("{text}\n{}", draft.say(source, "text_value")),
        2 => format!(
            "C:\\{}\\{}",
            draft.say(source, "noun"),
            draft.say(source, "noun_pl")
        ),
        _ => text,
    }
}

fn scalar(draft: &Draft, source: &mut Source, key: Option<usize>, plain: bool) -> Value {
    match source.below(10) {
        0 => Value::from(source.between(0, 5000)),
        1 => Value::from(source.chance(50)),
        2 => Value::from(source.between(1, 9999) as f64 / 100.0),
        3 if !plain => Value::Null,
        4 | 5 if !plain => Value::from(string(draft, source)),
        _ => match key {
            Some(key) => Value::from(crate::corpus::grammar::field_value(draft.book, source, key)),
            None => Value::from(draft.say(source, "text_value")),
        },
    }
}

/// A random document of a few keys, nested once at times.
fn document(draft: &Draft, source: &mut Source, flat: bool) -> Map<String, Value> {
    let notation = Notation::draw(source);
    let mut out = Map::new();
    for _ in 0..2 + source.below(4) {
        let field = source.below(draft.book.fields.len());
        let key = if source.chance(15) {
            draft.say(source, "pseudo")
        } else {
            notation.write(&field_name(draft.book, source, field))
        };
        let value = match source.below(8) {
            0 if !flat => {
                let items =
                    (0..1 + source.below(3)).map(|_| Value::from(draft.say(source, "text_value")));
                Value::Array(items.collect())
            }
            1 if !flat => {
                let inner = source.below(draft.book.fields.len());
                let inner_key = notation.write(&field_name(draft.book, source, inner));
                let mut map = Map::new();
                map.insert(inner_key, scalar(draft, source, Some(inner), flat));
                Value::Object(map)
            }
            _ => scalar(draft, source, Some(field), flat),
        };
        out.insert(key, value);
    }
    out
}

fn note_strings(draft: &mut Draft, value: &Value) {
    match value {
        Value::String(text) if !text.contains(['"', '\\', '\n']) => draft.copied(text),
        Value::Array(items) => items.iter().for_each(|item| note_strings(draft, item)),
        Value::Object(map) => map.values().for_each(|item| note_strings(draft, item)),
        _ => {}
    }
}

/// YAML, key-value lines or a CSV row, rewritten as JSON; or one value read.
pub(crate) fn to_json(draft: &mut Draft, source: &mut Source) {
    let shape = source.below(5);
    let map = document(draft, source, shape > 1);
    let whole = Value::Object(map.clone());
    let text = match shape {
        0 | 1 => yaml(&whole, 0),
        2 => lines(&map, ": "),
        3 => lines(&map, "="),
        _ => return csv(draft, source, &map),
    };
    if source.chance(30) {
        let at = source.below(map.len());
        let Some((key, value)) = map.iter().nth(at) else {
            return draft.turn(text.clone(), text);
        };
        if let Value::String(answer) = value
            && !answer.contains(['"', '\\', '\n'])
        {
            let question = draft.word(source, "ask_key", &[("@K", key), ("@T", text.trim())]);
            draft.copied(answer);
            return draft.turn(question, answer.clone());
        }
    }
    note_strings(draft, &whole);
    let question = draft.word(source, "ask_to_json", &[("@T", text.trim())]);
    draft.json_turn(question, &whole);
}

fn lines(map: &Map<String, Value>, joint: &str) -> String {
    let lines: Vec<String> = map
        .iter()
        .map(|(key, value)| format!("{key}{joint}{}", plain(value)))
        .collect();
    lines.join("\n")
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_string)
}

/// A table of one to three rows with a header, as an array of objects.
fn csv(draft: &mut Draft, source: &mut Source, map: &Map<String, Value>) {
    let keys: Vec<&String> = map.keys().take(3).collect();
    let separator = *source.pick(&[&";", &"|", &"\t"]);
    let mut rows = Vec::new();
    let mut text = vec![
        keys.iter()
            .map(|key| key.as_str())
            .collect::<Vec<_>>()
            .join(separator),
    ];
    for _ in 0..1 + source.below(3) {
        let cells: Vec<String> = keys
            .iter()
            .map(|_| {
                draft
                    .say(source, "text_value")
                    .replace([';', '|', '\t'], " ")
            })
            .collect();
        text.push(cells.join(separator));
        let row: Map<String, Value> = keys
            .iter()
            .zip(&cells)
            .map(|(key, cell)| ((*key).clone(), Value::from(cell.as_str())))
            .collect();
        rows.push(Value::Object(row));
    }
    let whole = Value::Array(rows);
    note_strings(draft, &whole);
    let question = draft.word(source, "ask_to_json", &[("@T", &text.join("\n"))]);
    draft.json_turn(question, &whole);
}

/// A JSON document rewritten as YAML.
pub(crate) fn to_yaml(draft: &mut Draft, source: &mut Source) {
    let whole = Value::Object(document(draft, source, false));
    let question = draft.word(source, "ask_to_yaml", &[("@T", &whole.to_string())]);
    draft.turn(question, yaml(&whole, 0).trim_end().to_string());
}

/// A JSON document with one fault, and without it.
pub(crate) fn repair(draft: &mut Draft, source: &mut Source) {
    let whole = Value::Object(document(draft, source, false));
    let good = whole.to_string();
    let broken = match source.below(6) {
        0 => good.trim_end_matches('}').to_string(),
        1 => format!("{},}}", good.trim_end_matches('}')),
        2 => good.replacen("\":", "\"", 1),
        3 => good.replacen("\":", ":", 1).replacen("{\"", "{", 1),
        4 => format!("{good}}}"),
        _ => good.trim_start_matches('{').to_string(),
    };
    // Nested ends would leave several braces away; only one fault is wanted.
    let broken = if good.ends_with("}}") {
        good[1..].to_string()
    } else {
        broken
    };
    let question = draft.word(source, "ask_repair", &[("@T", &broken)]);
    draft.turn(question, good);
}

/// Block YAML; strings are quoted (as in JSON) where plain ones would be read
/// as something else.
fn yaml(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, inner)| match inner {
                Value::Object(nested) if !nested.is_empty() => {
                    format!("{indent}{key}:\n{}", yaml(inner, depth + 1))
                }
                Value::Array(items) if !items.is_empty() => {
                    let rows: String = items
                        .iter()
                        .map(|item| format!("{indent}- {}\n", yaml_scalar(item)))
                        .collect();
                    format!("{indent}{key}:\n{rows}")
                }
                _ => format!("{indent}{key}: {}\n", yaml_scalar(inner)),
            })
            .collect(),
        other => yaml_scalar(other),
    }
}

fn yaml_scalar(value: &Value) -> String {
    let Value::String(text) = value else {
        return value.to_string();
    };
    let word = text.to_ascii_lowercase();
    let special = text.is_empty()
        || text.contains([
            '"', '\\', '\n', '#', ':', '{', '[', ',', '&', '*', '@', '%', '|', '>', '`', '!',
        ])
        || text.starts_with([
            '-', '?', '\'', ' ', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '.', '+', '~',
        ])
        || ["yes", "no", "on", "off", "true", "false", "null", "y", "n"].contains(&word.as_str());
    if special {
        value.to_string()
    } else {
        text.clone()
    }
}
