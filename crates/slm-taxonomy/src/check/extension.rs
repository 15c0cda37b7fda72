//! Reads and checks `slm.yaml`: the shape of answers, and hints to the grammar teacher.
//!
//! It does not compare the file with the leaf's answers.

use super::contradictions::contradictions;
use super::document;
use super::fields::{Fields, Page, child, excerpt, ticked};
use super::{parts, schema};
use crate::codes::Code;
use crate::extension::{Extension, Output, Slot, SlotKind};
use crate::leaf::Document;
use crate::suggest::nearest;
use crate::walk::LeafFile;
use crate::yaml::Node;
use serde_json::Value;
use std::collections::HashSet;

const KEYS: &[&str] = &[
    "output",
    "instruction",
    "label_field",
    "slots",
    "paraphrases",
    "parts",
    "document",
];
const OUTPUT_TYPES: &[&str] = &["json", "label", "calls", "text"];
const SLOT_KEYS: &[&str] = &["values", "pattern", "kind", "cues"];

/// Reads the root of a `slm.yaml`, and the local document that stands in for the
/// repository of the `qna.yaml` beside it.
pub(super) fn read(
    page: &mut Page,
    root: &Node,
    leaf: &LeafFile,
    knowledge: bool,
) -> (Extension, Option<Document>) {
    let mut extension = Extension::default();
    let Some(mut fields) = page.mapping(root, ".", "`slm.yaml`") else {
        return (extension, None);
    };
    fields.only(page, Code::ExtensionUnknownKey, KEYS, "`slm.yaml`");
    extension.output = fields.get("output").and_then(|node| output(page, node));
    extension.instruction = optional_text(page, &fields, "instruction");
    extension.label_field = label_field(page, &fields, extension.output.as_ref());
    if let Some(node) = fields.get("slots") {
        extension.slots = slots(page, node, extension.output.as_ref());
    }
    if let Some(node) = fields.get("paraphrases") {
        extension.paraphrases = paraphrases(page, node);
    }
    extension.parts = fields
        .get("parts")
        .and_then(|node| parts::read(page, node, extension.output.as_ref()));
    let document = fields.get("document");
    let document = document.and_then(|node| local_document(page, node, leaf, knowledge));
    (extension, document)
}

fn local_document(
    page: &mut Page,
    node: &Node,
    leaf: &LeafFile,
    knowledge: bool,
) -> Option<Document> {
    if !knowledge {
        let message = "a skill has no `document`";
        let hint = "remove it; only knowledge is learned from a document";
        page.fault(node.span, Code::ExtensionValue, ".document", message, hint);
        return None;
    }
    document::read_local(page, node, leaf)
}

fn optional_text(page: &mut Page, fields: &Fields, key: &str) -> Option<String> {
    let node = fields.get(key)?;
    let text = page.text(node, &fields.path_of(key), &format!("`{key}`"))?;
    Some(text.text.to_string())
}

fn output(page: &mut Page, node: &Node) -> Option<Output> {
    let what = "`output`";
    let mut fields = page.mapping(node, ".output", what)?;
    let kind = fields.required(page, Code::ExtensionValue, "type")?;
    let kind_text = kind.as_text().unwrap_or_default();
    let (content, read): (&str, fn(&mut Page, &Node, &str) -> Option<Output>) = match kind_text {
        "json" => ("schema", json_output),
        "label" => ("labels", label_output),
        "calls" => ("tools", calls_output),
        "text" => {
            fields.only(
                page,
                Code::ExtensionUnknownKey,
                &["type"],
                "an `output` of type `text`",
            );
            return Some(Output::Text);
        }
        _ => {
            let hint = match nearest(kind_text, OUTPUT_TYPES.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the types are {}", ticked(OUTPUT_TYPES)),
            };
            let message = format!("unknown output type `{}`", excerpt(kind_text));
            page.fault(kind.span, Code::OutputType, ".output.type", message, hint);
            return None;
        }
    };
    let allowed = ["type", content];
    let what = format!("an `output` of type `{kind_text}`");
    fields.only(page, Code::ExtensionUnknownKey, &allowed, &what);
    let node = fields.required(page, Code::ExtensionValue, content)?;
    read(page, node, &fields.path_of(content))
}

fn json_output(page: &mut Page, node: &Node, path: &str) -> Option<Output> {
    page.mapping(node, path, "`schema`")?;
    let schema = node.to_json();
    report_contradictions(page, node, path, &schema);
    Some(Output::Json { schema })
}

fn report_contradictions(page: &mut Page, node: &Node, path: &str, schema: &Value) {
    for found in contradictions(schema) {
        let (at, yaml_path) = place(node, path, &found.pointer);
        let hint = "mend the schema; answers are checked, constrained and scored by it";
        page.fault(at.span, Code::Schema, &yaml_path, found.message, hint);
    }
}

/// The node that a JSON pointer names below `node`, as far as it is there.
fn place<'n>(mut node: &'n Node, path: &str, pointer: &str) -> (&'n Node, String) {
    let mut path = path.to_string();
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        let next = match (node.get(&step), node.as_sequence(), step.parse::<usize>()) {
            (Some(next), _, _) => Some((next, child(&path, &step))),
            (None, Some(items), Ok(index)) => items
                .get(index)
                .map(|item| (item, format!("{path}[{index}]"))),
            _ => None,
        };
        match next {
            Some((next, next_path)) => (node, path) = (next, next_path),
            None => break,
        }
    }
    (node, path)
}

fn label_output(page: &mut Page, node: &Node, path: &str) -> Option<Output> {
    let labels = texts(page, node, path, "`labels`", Code::ExtensionValue)?;
    let mut seen = HashSet::new();
    for (index, label) in labels.iter().enumerate() {
        if !seen.insert(label) {
            let span = node
                .as_sequence()
                .and_then(|items| items.get(index))
                .unwrap_or(node)
                .span;
            let message = format!("the label `{}` stands twice", excerpt(label));
            page.fault(
                span,
                Code::DuplicateLabel,
                &format!("{path}[{index}]"),
                message,
                "remove one",
            );
        }
    }
    if labels.len() < 2 {
        let message = "`labels` needs at least two labels";
        page.fault(
            node.span,
            Code::ExtensionValue,
            path,
            message,
            "add the other labels",
        );
    }
    Some(Output::Label { labels })
}

fn calls_output(page: &mut Page, node: &Node, path: &str) -> Option<Output> {
    let items = page.list(node, path, "`tools`")?;
    if items.is_empty() {
        let message = "`tools` is empty";
        page.fault(
            node.span,
            Code::ExtensionValue,
            path,
            message,
            "add an OpenAI tool definition",
        );
    }
    let mut tools = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let function = item.get("function");
        let named = function.and_then(|f| f.get("name")).and_then(Node::as_text);
        if named.is_none() {
            let message = "a tool needs a `function` with a `name`";
            let hint = "write `{type: function, function: {name: ..., parameters: {...}}}`";
            page.fault(item.span, Code::ExtensionValue, &path, message, hint);
            continue;
        }
        if let Some(parameters) = function.and_then(|f| f.get("parameters")) {
            let path = format!("{path}.function.parameters");
            report_contradictions(page, parameters, &path, &parameters.to_json());
        }
        tools.push(item.to_json());
    }
    Some(Output::Calls { tools })
}

fn label_field(page: &mut Page, fields: &Fields, output: Option<&Output>) -> Option<String> {
    let pointer = optional_text(page, fields, "label_field")?;
    let node = fields.get("label_field")?;
    let path = fields.path_of("label_field");
    let Some(Output::Json { schema }) = output else {
        let message = "`label_field` needs an `output` of type `json`";
        page.fault(
            node.span,
            Code::Pointer,
            &path,
            message,
            "remove it, or add the output's schema",
        );
        return None;
    };
    match schema::field(schema, &pointer).filter(|_| is_pointer(&pointer)) {
        Some(field) if field.get("enum").is_some() => {}
        Some(_) => {
            let message = format!("the field `{pointer}` has no `enum` in the schema");
            page.fault(
                node.span,
                Code::Pointer,
                &path,
                message,
                "list its labels as `enum`",
            );
        }
        None => {
            let message = format!("the schema has no field `{}`", excerpt(&pointer));
            page.fault(
                node.span,
                Code::Pointer,
                &path,
                message,
                pointer_hint(schema, &pointer),
            );
        }
    }
    Some(pointer)
}

fn is_pointer(text: &str) -> bool {
    text.is_empty() || text.starts_with('/')
}

pub(super) fn pointer_hint(schema: &Value, pointer: &str) -> String {
    let properties = schema.get("properties").and_then(Value::as_object);
    let pointers: Vec<String> = properties
        .into_iter()
        .flat_map(|p| p.keys().map(|name| format!("/{name}")))
        .collect();
    match nearest(pointer, pointers.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "write a JSON pointer into the answer, such as `/category`".to_string(),
    }
}

fn slots(page: &mut Page, node: &Node, output: Option<&Output>) -> Vec<(String, Slot)> {
    let Some(fields) = page.mapping(node, ".slots", "`slots`") else {
        return Vec::new();
    };
    let mut slots = Vec::new();
    for entry in fields.entries {
        let path = child(".slots", &entry.key);
        if !has_field(output, &entry.key) {
            let message = format!("the answer has no field `{}`", excerpt(&entry.key));
            let hint = match output {
                Some(Output::Json { schema }) => pointer_hint(schema, &entry.key),
                Some(Output::Calls { .. }) => "write `/arguments/` and the parameter's name".into(),
                _ => "slots of a text or label have the key `\"\"`: the whole answer".into(),
            };
            page.fault(entry.key_span, Code::Pointer, &path, message, hint);
        }
        if let Some(slot) = slot(page, &entry.value, &path) {
            slots.push((entry.key.clone(), slot));
        }
    }
    slots
}

pub(super) fn has_field(output: Option<&Output>, pointer: &str) -> bool {
    match output {
        _ if !is_pointer(pointer) => false,
        Some(Output::Json { schema }) => schema::field(schema, pointer).is_some(),
        Some(Output::Calls { tools }) => tools.iter().any(|tool| {
            let parameters = tool.pointer("/function/parameters");
            let inner = pointer.strip_prefix("/arguments");
            matches!((parameters, inner), (Some(p), Some(inner)) if schema::field(p, inner).is_some())
        }),
        _ => pointer.is_empty(),
    }
}

fn slot(page: &mut Page, node: &Node, path: &str) -> Option<Slot> {
    let mut fields = page.mapping(node, path, "a slot")?;
    fields.only(page, Code::ExtensionUnknownKey, SLOT_KEYS, "a slot");
    let given: Vec<&str> = SLOT_KEYS
        .iter()
        .copied()
        .filter(|key| fields.get(key).is_some())
        .collect();
    let [key] = given[..] else {
        let message = format!("a slot needs exactly one of {}", ticked(SLOT_KEYS));
        let hint = "such as `{values: [Acme GmbH, Brown Ltd]}` or `{kind: date_iso}`";
        page.fault(fields.head(), Code::Slot, path, message, hint);
        return None;
    };
    let node = fields.get(key)?;
    let path = fields.path_of(key);
    match key {
        "values" => {
            let values = texts(page, node, &path, "`values`", Code::Slot)?;
            if values.is_empty() {
                page.fault(
                    node.span,
                    Code::Slot,
                    &path,
                    "`values` is empty",
                    "add values to choose from",
                );
            }
            Some(Slot::Values(values))
        }
        "pattern" => slot_pattern(page, node, &path),
        "cues" => slot_cues(page, node, &path),
        _ => slot_kind(page, node, &path),
    }
}

fn slot_pattern(page: &mut Page, node: &Node, path: &str) -> Option<Slot> {
    let text = page.text(node, path, "`pattern`")?;
    if text.text.contains(['#', '@', '?']) {
        return Some(Slot::Pattern(text.text.to_string()));
    }
    let message = format!(
        "the pattern `{}` has nothing that varies",
        excerpt(text.text)
    );
    let hint = "`#` is a digit, `@` an upper-case letter, `?` a lower-case letter";
    page.fault(text.span, Code::Slot, path, message, hint);
    None
}

fn slot_kind(page: &mut Page, node: &Node, path: &str) -> Option<Slot> {
    let text = page.text(node, path, "`kind`")?;
    let kind = SlotKind::from_name(text.text);
    if kind.is_none() {
        let names: Vec<&str> = SlotKind::ALL.iter().map(|(name, _)| *name).collect();
        let hint = match nearest(text.text, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the kinds are {}", ticked(&names)),
        };
        let message = format!("unknown slot kind `{}`", excerpt(text.text));
        page.fault(text.span, Code::Slot, path, message, hint);
    }
    kind.map(Slot::Kind)
}

fn slot_cues(page: &mut Page, node: &Node, path: &str) -> Option<Slot> {
    let fields = page.mapping(node, path, "`cues`")?;
    let (mut cues, mut seen) = (Vec::new(), HashSet::new());
    for entry in fields.entries {
        let path = child(path, &entry.key);
        let phrases = texts(
            page,
            &entry.value,
            &path,
            "the phrases of a cue",
            Code::Slot,
        )?;
        if let Some(twice) = phrases.iter().find(|p| !seen.insert(p.to_lowercase())) {
            let message = format!("the cue `{}` stands twice", excerpt(twice));
            let hint = "a phrase says one value; remove one";
            page.fault(entry.value.span, Code::Slot, &path, message, hint);
        }
        cues.push((entry.key.clone(), phrases));
    }
    if cues
        .iter()
        .filter(|(_, phrases)| !phrases.is_empty())
        .count()
        < 2
    {
        let message = "`cues` needs phrases for at least two values";
        let hint = "such as `cues: {high: [this is urgent], low: [this can wait]}`";
        page.fault(node.span, Code::Slot, path, message, hint);
        return None;
    }
    Some(Slot::Cues(cues))
}

fn paraphrases(page: &mut Page, node: &Node) -> Vec<Vec<String>> {
    let Some(groups) = page.list(node, ".paraphrases", "`paraphrases`") else {
        return Vec::new();
    };
    let mut read = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let path = format!(".paraphrases[{index}]");
        let Some(texts) = texts(page, group, &path, "a paraphrase group", Code::Paraphrases) else {
            continue;
        };
        let different: HashSet<&String> = texts.iter().collect();
        if texts.len() < 2 || different.len() < texts.len() {
            let message = "a paraphrase group needs at least two texts, all different";
            let hint = "add another wording, or remove the repetition";
            page.fault(group.span, Code::Paraphrases, &path, message, hint);
        }
        read.push(texts);
    }
    read
}

/// A list of texts; numbers and other scalars count by their text.
pub(super) fn texts(
    page: &mut Page,
    node: &Node,
    path: &str,
    what: &str,
    code: Code,
) -> Option<Vec<String>> {
    let items = page.list(node, path, what)?;
    let mut texts = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        match item
            .as_scalar()
            .filter(|scalar| !scalar.text.trim().is_empty())
        {
            Some(scalar) => texts.push(scalar.text.clone()),
            None => {
                let message = format!(
                    "an entry of {what} must be text, but this is {}",
                    item.type_name()
                );
                let path = format!("{path}[{index}]");
                page.fault(
                    item.span,
                    code,
                    &path,
                    message,
                    "write the text, in quotes if needed",
                );
            }
        }
    }
    Some(texts)
}
