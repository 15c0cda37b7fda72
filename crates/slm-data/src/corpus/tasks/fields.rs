//! Fields of an utterance: asked for by a list of names, by a JSON schema, one
//! at a time, or under a system message that holds for several turns.

use serde_json::{Map, Value, json};

use crate::corpus::book::Book;
use crate::corpus::draft::{Draft, object};
use crate::corpus::frame::{Frame, any_utterance, utterance};
use crate::corpus::naming::field_names;
use crate::corpus::source::Source;

/// What is asked of one text: fields with their names in this example.
pub(crate) struct Request {
    /// Field numbers.
    pub(crate) fields: Vec<usize>,
    /// Their names here.
    pub(crate) names: Vec<String>,
    /// Whether an absent field is null; else it is left out.
    pub(crate) nulls: bool,
}

impl Request {
    /// Asks for most fields of the frame and for some that are not there.
    pub(crate) fn draw(book: &Book, source: &mut Source, frame: &Frame, absent: &[usize]) -> Self {
        let mut fields: Vec<usize> = frame.slots.iter().map(|(field, _)| *field).collect();
        if fields.len() > 1 && source.chance(25) {
            source.shuffle(&mut fields);
            fields.truncate(1 + source.below(fields.len()));
        }
        let missing: Vec<usize> = absent
            .iter()
            .copied()
            .filter(|field| frame.get(*field).is_none())
            .collect();
        let extra = *source.pick(&[&0usize, &0, &1, &1, &2, &3]);
        for at in source.sample(missing.len(), extra) {
            fields.push(missing[at]);
        }
        source.shuffle(&mut fields);
        fields.truncate(7);
        let names = field_names(book, source, &fields);
        Self {
            fields,
            names,
            nulls: source.chance(30),
        }
    }

    /// The answer to the request for a frame.
    pub(crate) fn answer(&self, draft: &mut Draft, frame: &Frame) -> Value {
        let mut out = Map::new();
        for (field, name) in self.fields.iter().zip(&self.names) {
            match frame.get(*field) {
                Some(text) => {
                    draft.copied(text);
                    out.insert(name.clone(), Value::from(text));
                }
                None if self.nulls => {
                    out.insert(name.clone(), Value::Null);
                }
                None => {}
            }
        }
        Value::Object(out)
    }

    /// The names as a terse list, with descriptions at times.
    pub(crate) fn list(&self, draft: &Draft, source: &mut Source) -> String {
        let described = source.chance(15);
        let separator = *source.pick(&[&", ", &", ", &", ", &"; ", &" | ", &","]);
        let mut parts = Vec::new();
        for (field, name) in self.fields.iter().zip(&self.names) {
            match draft.book.fields.get(*field) {
                Some(known) if described => {
                    parts.push(format!("{name} ({})", source.pick(&known.descriptions)));
                }
                _ => parts.push(name.clone()),
            }
        }
        let mut list = parts.join(separator);
        if self.nulls {
            list.push_str(&draft.say(source, "null_rule"));
        }
        list
    }

    /// The request as a JSON schema of strings.
    pub(crate) fn schema(&self, book: &Book, source: &mut Source) -> Value {
        let described = source.chance(25);
        let kind = if self.nulls {
            json!(["string", "null"])
        } else {
            json!("string")
        };
        let mut properties = Vec::new();
        for (field, name) in self.fields.iter().zip(&self.names) {
            let mut property = json!({ "type": kind });
            if let (true, Some(known)) = (described, book.fields.get(*field)) {
                property["description"] = Value::from(source.pick(&known.descriptions));
            }
            properties.push((name.clone(), property));
        }
        let mut schema = json!({ "type": "object", "properties": object(properties) });
        if self.nulls {
            schema["required"] = json!(self.names);
        }
        schema
    }
}

/// An utterance or a passage with the fields that it might have had.
fn text(book: &Book, source: &mut Source) -> (Frame, Vec<usize>) {
    if source.chance(20) {
        let frame = crate::corpus::tasks::passage::any(book, source);
        let asked = book.passages.get(frame.kind).map(|known| &known.questions);
        let fields = asked
            .into_iter()
            .flatten()
            .map(|(field, _)| *field)
            .collect();
        return (frame, fields);
    }
    let mut frame = any_utterance(book, source);
    for _ in 0..6 {
        if !frame.slots.is_empty() {
            break;
        }
        frame = any_utterance(book, source);
    }
    let fields = book
        .intents
        .get(frame.kind)
        .map(|intent| intent.fields.clone());
    (frame, fields.unwrap_or_default())
}

/// Fields by a list of names.
pub(crate) fn list(draft: &mut Draft, source: &mut Source) {
    let (frame, absent) = text(draft.book, source);
    let request = Request::draw(draft.book, source, &frame, &absent);
    let fields = request.list(draft, source);
    let question = draft.word(
        source,
        "ask_fields",
        &[("@F", &fields), ("@T", &frame.text)],
    );
    let answer = request.answer(draft, &frame);
    draft.json_turn(question, &answer);
}

/// Fields by a JSON schema or a skeleton of the answer.
pub(crate) fn schema(draft: &mut Draft, source: &mut Source) {
    let (frame, absent) = text(draft.book, source);
    let mut request = Request::draw(draft.book, source, &frame, &absent);
    let shape = source.below(4);
    let schema = match shape {
        0 => {
            request.nulls = false;
            object(
                request
                    .names
                    .iter()
                    .map(|name| (name.clone(), Value::from("string"))),
            )
            .to_string()
        }
        1 => {
            request.nulls = false;
            object(
                request
                    .names
                    .iter()
                    .map(|name| (name.clone(), Value::from(""))),
            )
            .to_string()
        }
        _ => request.schema(draft.book, source).to_string(),
    };
    let mut answer = request.answer(draft, &frame);
    let mut schema = schema;
    if source.chance(15) {
        let outer = source.pick(&[
            "data", "result", "slots", "entities", "record", "output", "value",
        ]);
        answer = json!({ outer: answer });
        schema = match shape {
            0 | 1 => format!("{{\"{outer}\":{schema}}}"),
            _ => format!("{{\"type\":\"object\",\"properties\":{{\"{outer}\":{schema}}}}}"),
        };
    }
    let question = draft.word(
        source,
        "ask_schema",
        &[("@F", &schema), ("@T", &frame.text)],
    );
    draft.json_turn(question, &answer);
}

/// One field, answered with the span alone; a second turn may ask another.
pub(crate) fn one(draft: &mut Draft, source: &mut Source) {
    let (frame, _) = text(draft.book, source);
    let turns = if source.chance(25) { 2 } else { 1 };
    let order = source.sample(frame.slots.len(), turns);
    for (turn, at) in order.into_iter().enumerate() {
        let (field, text) = &frame.slots[at];
        let name = field_names(draft.book, source, &[*field]).remove(0);
        let described = source.chance(30);
        let asked = match draft.book.fields.get(*field) {
            Some(known) if described => source.pick(&known.descriptions).to_string(),
            _ => name,
        };
        let question = if turn == 0 {
            draft.word(source, "ask_one", &[("@K", &asked), ("@T", &frame.text)])
        } else {
            format!("{asked}?")
        };
        draft.copied(text);
        draft.turn(question, text.clone());
    }
    if frame.slots.is_empty() {
        draft.turn(format!("repeat: {}", frame.text), frame.text);
    }
}

/// A system message that names the fields, then utterances of one intent.
pub(crate) fn session(draft: &mut Draft, source: &mut Source) {
    let intents = draft.book.family_intents(source.family);
    let kind = intents
        .get(source.below(intents.len()))
        .copied()
        .unwrap_or(0);
    let known = draft
        .book
        .intents
        .get(kind)
        .map(|intent| intent.fields.clone())
        .unwrap_or_default();
    let count = known.len().min(6);
    let mut fields: Vec<usize> = source
        .sample(known.len(), count)
        .into_iter()
        .map(|at| known[at])
        .collect();
    source.shuffle(&mut fields);
    let names = field_names(draft.book, source, &fields);
    let request = Request {
        fields,
        names,
        nulls: false,
    };
    let list = request.list(draft, source);
    let rules = draft.word(source, "ask_system_fields", &[("@F", &list)]);
    draft.system(rules);
    for _ in 0..2 + source.below(2) {
        let frame = utterance(draft.book, source, kind);
        let answer = request.answer(draft, &frame);
        draft.json_turn(frame.text, &answer);
    }
}
