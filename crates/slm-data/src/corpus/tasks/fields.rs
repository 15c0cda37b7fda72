//! Fields of an utterance: asked for by a list of names, by a JSON schema, one
//! at a time, or under a system message that holds for several turns.

use serde_json::{Map, Value, json};

use crate::corpus::book::Book;
use crate::corpus::draft::{Draft, object};
use crate::corpus::frame::{Frame, any_utterance, utterance};
use crate::corpus::naming::field_names;
use crate::corpus::source::Source;
use crate::corpus::typing::Typing;

/// What is asked of one text: fields with their names in this example.
pub(crate) struct Request {
    /// Field numbers.
    pub(crate) fields: Vec<usize>,
    /// Their names here.
    pub(crate) names: Vec<String>,
    /// Their types here; plain text where the request gives none.
    pub(crate) types: Vec<Typing>,
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
        let types = vec![Typing::Text; fields.len()];
        Self {
            fields,
            names,
            types,
            nulls: source.chance(30),
        }
    }

    /// Gives types to the fields that the frame has.
    fn draw_types(&mut self, book: &Book, source: &mut Source, frame: &Frame) {
        for (field, typing) in self.fields.iter().zip(&mut self.types) {
            if let Some(text) = frame.get(*field) {
                *typing = Typing::draw(book, source, *field, text);
            }
        }
    }

    /// The answer to the request for a frame.
    pub(crate) fn answer(&self, draft: &mut Draft, frame: &Frame) -> Value {
        let mut out = Map::new();
        for ((field, name), typing) in self.fields.iter().zip(&self.names).zip(&self.types) {
            match frame.get(*field) {
                Some(text) => {
                    draft.copied(text);
                    out.insert(name.clone(), typing.value(text));
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
            list.push_str(&null_rule(draft, source));
        }
        list
    }

    /// The request as a JSON schema.
    pub(crate) fn schema(&self, book: &Book, source: &mut Source) -> Value {
        let described = source.chance(20);
        let mut properties = Vec::new();
        for ((field, name), typing) in self.fields.iter().zip(&self.names).zip(&self.types) {
            let mut property = typing.schema();
            if let (true, Typing::Text) = (self.nulls, typing) {
                property["type"] = json!(["string", "null"]);
            }
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

    /// The request as an object of short types: `{"count":"int","room":"a|b"}`.
    fn skeleton(&self) -> Value {
        object(
            self.names
                .iter()
                .zip(&self.types)
                .map(|(name, typing)| (name.clone(), Value::from(typing.short()))),
        )
    }
}

/// Words behind a list of fields that say that absent ones are null.
pub(crate) fn null_rule(draft: &Draft, source: &mut Source) -> String {
    let rule = draft.say(source, "null_rule");
    if rule.starts_with([';', ',', '.']) {
        rule
    } else {
        format!(" {rule}")
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
    if shape > 0 {
        request.draw_types(draft.book, source, &frame);
    }
    request.nulls &= shape > 1;
    let mut schema = match shape {
        0 => object(
            request
                .names
                .iter()
                .map(|name| (name.clone(), Value::from(""))),
        ),
        1 => request.skeleton(),
        _ => request.schema(draft.book, source),
    };
    let mut answer = request.answer(draft, &frame);
    if source.chance(15) {
        let outer = source.pick(&[
            "data", "result", "slots", "entities", "record", "output", "value",
        ]);
        answer = json!({ outer: answer });
        schema = if shape > 1 {
            json!({ "type": "object", "properties": { outer: schema } })
        } else {
            json!({ outer: schema })
        };
    }
    let schema = schema.to_string();
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
    let kind = draft.book.draw_intent(source, source.family);
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
    let types = vec![Typing::Text; fields.len()];
    let request = Request {
        fields,
        names,
        types,
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
