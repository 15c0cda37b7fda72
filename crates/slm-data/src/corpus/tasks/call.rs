//! Calling one of the functions listed in the prompt.

use serde_json::{Map, Value, json};

use crate::corpus::draft::{Draft, object};
use crate::corpus::frame::{Frame, any_utterance, utterance};
use crate::corpus::naming::{IntentStyle, field_names};
use crate::corpus::source::Source;

struct Tool {
    name: String,
    kind: usize,
    fields: Vec<usize>,
    names: Vec<String>,
}

/// One to three tools, in one of several notations, and one or two requests.
pub(crate) fn write(draft: &mut Draft, source: &mut Source) {
    let frame = any_utterance(draft.book, source);
    let tools = tools(draft, source, &frame);
    let notation = source.below(5);
    let listed = list(draft, source, &tools, notation);
    let keys = *source.pick(&[
        &("name", "arguments"),
        &("name", "arguments"),
        &("function", "args"),
        &("tool", "parameters"),
    ]);
    let keys = if notation == 4 {
        ("name", "arguments")
    } else {
        keys
    };
    let listed = match keys {
        ("name", "arguments") => listed,
        (name, arguments) => format!("{listed}\nanswer: {{\"{name}\",\"{arguments}\"}}"),
    };
    let answer = answer(draft, &tools, &frame, keys);
    if source.chance(20) {
        let rules = draft.word(source, "ask_system_call", &[("@F", &listed)]);
        draft.system(rules);
        draft.json_turn(frame.text, &answer);
        if source.chance(50) {
            let at = source.below(tools.len());
            let next = utterance(draft.book, source, tools[at].kind);
            if next
                .slots
                .iter()
                .all(|(field, _)| tools[at].fields.contains(field))
            {
                let answer = self::answer(draft, &tools, &next, keys);
                draft.json_turn(next.text, &answer);
            }
        }
        return;
    }
    let question = draft.word(source, "ask_call", &[("@F", &listed), ("@T", &frame.text)]);
    draft.json_turn(question, &answer);
}

fn tools(draft: &Draft, source: &mut Source, frame: &Frame) -> Vec<Tool> {
    let book = draft.book;
    let all = book.family_intents(source.family);
    let mut kinds = vec![frame.kind];
    let others = source.below(3);
    for at in source.sample(all.len(), others) {
        if !kinds.contains(&all[at]) {
            kinds.push(all[at]);
        }
    }
    source.shuffle(&mut kinds);
    let style = IntentStyle::draw(source);
    kinds
        .into_iter()
        .map(|kind| {
            let intent = &book.intents[kind];
            let mut fields: Vec<usize> = Vec::new();
            if kind == frame.kind {
                fields.extend(frame.slots.iter().map(|(field, _)| *field));
            }
            let room = 5usize.saturating_sub(fields.len());
            let count = room.min(1 + source.below(3));
            let more: Vec<usize> = intent
                .fields
                .iter()
                .copied()
                .filter(|field| !fields.contains(field))
                .collect();
            fields.extend(
                source
                    .sample(more.len(), count)
                    .into_iter()
                    .map(|at| more[at]),
            );
            source.shuffle(&mut fields);
            let names = field_names(book, source, &fields);
            Tool {
                name: style.write(intent).replace(' ', "_"),
                kind,
                fields,
                names,
            }
        })
        .collect()
}

fn list(draft: &Draft, source: &mut Source, tools: &[Tool], notation: usize) -> String {
    let separator = *source.pick(&[&"\n", &"\n", &"; "]);
    let described = source.chance(20);
    let mut lines = Vec::new();
    for tool in tools {
        let about = source
            .pick(&draft.book.intents[tool.kind].descriptions)
            .to_string();
        let line = match notation {
            0 => format!("{}({})", tool.name, tool.names.join(", ")),
            1 => {
                let typed: Vec<String> = tool
                    .names
                    .iter()
                    .map(|name| format!("{name}: str"))
                    .collect();
                format!("{}({})", tool.name, typed.join(", "))
            }
            2 => {
                let typed: Vec<String> = tool
                    .names
                    .iter()
                    .map(|name| format!("{name}?: string"))
                    .collect();
                format!("{}({})", tool.name, typed.join(", "))
            }
            3 => format!("{} [{}]", tool.name, tool.names.join(" ")),
            _ => {
                let properties = tool
                    .names
                    .iter()
                    .map(|name| (name.clone(), json!({ "type": "string" })));
                json!({ "name": tool.name, "parameters": { "type": "object", "properties": object(properties) } })
                    .to_string()
            }
        };
        lines.push(if described && notation != 4 {
            format!("{line} - {about}")
        } else {
            line
        });
    }
    lines.join(separator)
}

fn answer(draft: &mut Draft, tools: &[Tool], frame: &Frame, keys: (&str, &str)) -> Value {
    let mut arguments = Map::new();
    let mut name = "";
    if let Some(tool) = tools.iter().find(|tool| tool.kind == frame.kind) {
        name = &tool.name;
        for (field, argument) in tool.fields.iter().zip(&tool.names) {
            if let Some(text) = frame.get(*field) {
                draft.copied(text);
                arguments.insert(argument.clone(), Value::from(text));
            }
        }
    }
    json!({ keys.0: name, keys.1: arguments })
}
