//! Calling one or two of the functions listed in the prompt.

use serde_json::{Map, Value, json};

use crate::corpus::book::Book;
use crate::corpus::draft::{Draft, object};
use crate::corpus::frame::{Frame, any_utterance, utterance};
use crate::corpus::naming::{IntentStyle, field_names};
use crate::corpus::source::Source;
use crate::corpus::typing::Typing;

struct Tool {
    name: String,
    kind: usize,
    fields: Vec<usize>,
    names: Vec<String>,
    types: Vec<Typing>,
}

/// How tools are shown and calls are written in one example.
struct Form {
    notation: usize,
    keys: (&'static str, &'static str),
    /// Calls stand in a list, however many they are.
    list: bool,
}

impl Form {
    fn draw(source: &mut Source) -> Self {
        let notation = source.below(5);
        let keys = *source.pick(&[
            &("function", "args"),
            &("tool", "parameters"),
            &("call", "with"),
        ]);
        let plain = notation == 4 || source.chance(70);
        let keys = if plain { ("name", "arguments") } else { keys };
        Self {
            notation,
            keys,
            list: source.chance(25),
        }
    }

    /// What the prompt must say of the form of the answer.
    fn rule(&self) -> String {
        let (name, arguments) = self.keys;
        match (self.list, name == "name") {
            (false, true) => String::new(),
            (false, false) => format!("\nanswer: {{\"{name}\",\"{arguments}\"}}"),
            (true, _) => format!("\nanswer: [{{\"{name}\",\"{arguments}\"}}]"),
        }
    }
}

/// One to three tools, in one of several notations, and one or two requests.
pub(crate) fn write(draft: &mut Draft, source: &mut Source) {
    let frame = any_utterance(draft.book, source);
    let form = Form::draw(source);
    let second = (form.list && source.chance(40)).then(|| other_utterance(draft, source, &frame));
    let frames: Vec<Frame> = std::iter::once(frame).chain(second).collect();
    let tools = tools(draft, source, &frames, form.notation > 0);
    let listed = show(draft, source, &tools, form.notation) + &form.rule();
    let answer = answer(draft, &tools, &frames, &form);
    let joint = *source.pick(&[&" and ", &". ", &" then ", &", also "]);
    let said: Vec<&str> = frames.iter().map(unstopped).collect();
    let said = if frames.len() == 1 {
        frames[0].text.clone()
    } else {
        said.join(joint)
    };
    if source.chance(80) {
        let question = draft.word(source, "ask_call", &[("@F", &listed), ("@T", &said)]);
        return draft.json_turn(question, &answer);
    }
    let rules = draft.word(source, "ask_system_call", &[("@F", &listed)]);
    draft.system(rules);
    draft.json_turn(said, &answer);
    if source.chance(50) {
        next_turn(draft, source, &tools, &form);
    }
}

/// The text without its last stop, unless that belongs to a value (`9 p.m.`).
fn unstopped(frame: &Frame) -> &str {
    let belongs = frame
        .slots
        .iter()
        .any(|(_, text)| text.ends_with(['.', '?']));
    if belongs {
        &frame.text
    } else {
        frame.text.trim_end_matches(['.', '?'])
    }
}

/// A further request of the same conversation. Its arguments are text only,
/// so it is left out where a tool gives other types.
fn next_turn(draft: &mut Draft, source: &mut Source, tools: &[Tool], form: &Form) {
    let tool = &tools[source.below(tools.len())];
    let next = utterance(draft.book, source, tool.kind);
    let known = |(field, _): &(usize, String)| tool.fields.contains(field);
    if tool.types.iter().all(|typing| *typing == Typing::Text) && next.slots.iter().all(known) {
        let answer = answer(draft, tools, std::slice::from_ref(&next), form);
        draft.json_turn(next.text, &answer);
    }
}

fn other_utterance(draft: &Draft, source: &mut Source, frame: &Frame) -> Frame {
    let mut other = any_utterance(draft.book, source);
    for _ in 0..6 {
        if other.kind != frame.kind {
            break;
        }
        other = any_utterance(draft.book, source);
    }
    other
}

fn tools(draft: &Draft, source: &mut Source, frames: &[Frame], typed: bool) -> Vec<Tool> {
    let all = draft.book.family_intents(source.family);
    let mut kinds: Vec<usize> = Vec::new();
    for kind in frames.iter().map(|frame| frame.kind) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let others = source.below(3);
    for at in source.sample(all.len(), others) {
        if !kinds.contains(&all[at]) {
            kinds.push(all[at]);
        }
    }
    source.shuffle(&mut kinds);
    let style = IntentStyle::draw(source);
    // Two requests of one intent share a tool, so that only texts fit both.
    let single = frames.iter().all(|frame| {
        frames
            .iter()
            .filter(|other| other.kind == frame.kind)
            .count()
            == 1
    });
    let typed = typed && single && source.chance(60);
    kinds
        .into_iter()
        .map(|kind| tool(draft.book, source, frames, kind, style, typed))
        .collect()
}

fn tool(
    book: &Book,
    source: &mut Source,
    frames: &[Frame],
    kind: usize,
    style: IntentStyle,
    typed: bool,
) -> Tool {
    let intent = &book.intents[kind];
    let mut fields: Vec<usize> = Vec::new();
    for (field, _) in frames
        .iter()
        .filter(|frame| frame.kind == kind)
        .flat_map(|frame| &frame.slots)
    {
        if !fields.contains(field) {
            fields.push(*field);
        }
    }
    let room = 5usize.saturating_sub(fields.len()).min(1 + source.below(3));
    let more: Vec<usize> = intent
        .fields
        .iter()
        .copied()
        .filter(|field| !fields.contains(field))
        .collect();
    fields.extend(
        source
            .sample(more.len(), room)
            .into_iter()
            .map(|at| more[at]),
    );
    source.shuffle(&mut fields);
    let frame = frames.iter().find(|frame| frame.kind == kind);
    let types = fields
        .iter()
        .map(|field| match frame.and_then(|frame| frame.get(*field)) {
            Some(text) if typed => Typing::draw(book, source, *field, text),
            _ => Typing::Text,
        })
        .collect();
    let names = field_names(book, source, &fields);
    Tool {
        name: style.write(intent).replace(' ', "_"),
        kind,
        fields,
        names,
        types,
    }
}

fn show(draft: &Draft, source: &mut Source, tools: &[Tool], notation: usize) -> String {
    let separator = *source.pick(&[&"\n", &"\n", &"; "]);
    let described = source.chance(20);
    let mut lines = Vec::new();
    for tool in tools {
        let about = source
            .pick(&draft.book.intents[tool.kind].descriptions)
            .to_string();
        let line = signature(tool, notation);
        lines.push(if described && notation != 4 {
            format!("{line} - {about}")
        } else {
            line
        });
    }
    lines.join(separator)
}

fn signature(tool: &Tool, notation: usize) -> String {
    let arguments = tool.names.iter().zip(&tool.types);
    let typed = |mark: &str, all: bool| -> String {
        let parts: Vec<String> = arguments
            .clone()
            .map(|(name, typing)| match typing {
                Typing::Text if !all => name.clone(),
                _ => format!("{name}{mark}{}", typing.short()),
            })
            .collect();
        parts.join(", ")
    };
    match notation {
        0 => format!("{}({})", tool.name, tool.names.join(", ")),
        1 => format!("{}({})", tool.name, typed(": ", true)),
        2 => format!("{}({})", tool.name, typed("?: ", true)),
        3 => format!("{} [{}]", tool.name, typed(":", false)),
        _ => {
            let properties = arguments.map(|(name, typing)| (name.clone(), typing.schema()));
            let parameters = json!({ "type": "object", "properties": object(properties) });
            json!({ "name": tool.name, "parameters": parameters }).to_string()
        }
    }
}

fn answer(draft: &mut Draft, tools: &[Tool], frames: &[Frame], form: &Form) -> Value {
    let mut calls = Vec::new();
    for frame in frames {
        let Some(tool) = tools.iter().find(|tool| tool.kind == frame.kind) else {
            continue;
        };
        let mut arguments = Map::new();
        for ((field, argument), typing) in tool.fields.iter().zip(&tool.names).zip(&tool.types) {
            if let Some(text) = frame.get(*field) {
                draft.copied(text);
                arguments.insert(argument.clone(), typing.value(text));
            }
        }
        calls.push(json!({ form.keys.0: tool.name, form.keys.1: arguments }));
    }
    if form.list {
        Value::Array(calls)
    } else {
        calls.into_iter().next().unwrap_or_default()
    }
}
