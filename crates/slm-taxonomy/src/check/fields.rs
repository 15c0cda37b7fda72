//! Reads the keys of a mapping and reports those that are missing, unknown or of the
//! wrong type.
//!
//! It knows nothing of what the keys mean.

use crate::codes::Code;
use crate::diagnostic::Sink;
use crate::source::{Source, Span};
use crate::suggest::nearest;
use crate::yaml::{Entry, Node, ScalarKind, Value};

/// A file under check: its text, and where its faults go.
pub(super) struct Page<'p> {
    pub source: &'p Source,
    pub sink: &'p mut Sink,
}

impl Page<'_> {
    /// Reports a fault at a place of the file.
    pub fn fault(
        &mut self,
        span: Span,
        code: Code,
        path: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.sink.at(self.source, span, code, path, message, hint);
    }

    /// The node as a mapping; anything else is reported.
    pub fn mapping<'n>(&mut self, node: &'n Node, path: &str, what: &str) -> Option<Fields<'n>> {
        let Some(entries) = node.as_mapping() else {
            let message = format!("{what} must be a mapping, but this is {}", node.type_name());
            self.fault(
                node.span,
                Code::WrongType,
                path,
                message,
                "write `key: value` lines, indented alike",
            );
            return None;
        };
        Some(Fields {
            span: node.span,
            entries,
            path: path.to_string(),
            what: what.to_string(),
            meant: Vec::new(),
        })
    }

    /// The node as a list; anything else is reported.
    pub fn list<'n>(&mut self, node: &'n Node, path: &str, what: &str) -> Option<&'n [Node]> {
        let items = node.as_sequence();
        if items.is_none() {
            let message = format!("{what} must be a list, but this is {}", node.type_name());
            self.fault(
                node.span,
                Code::WrongType,
                path,
                message,
                "begin each entry with `- `",
            );
        }
        items
    }

    /// The node as text that is not empty; anything else is reported.
    pub fn text<'n>(&mut self, node: &'n Node, path: &str, what: &str) -> Option<Text<'n>> {
        let fits = node.as_text().filter(|text| !text.trim().is_empty());
        let Some(text) = fits else {
            self.not_text(node, path, what);
            return None;
        };
        Some(Text {
            text,
            span: node.span,
            path: path.to_string(),
        })
    }

    fn not_text(&mut self, node: &Node, path: &str, what: &str) {
        let empty = match &node.value {
            Value::Scalar(scalar) => {
                scalar.kind == ScalarKind::Null || scalar.kind == ScalarKind::String
            }
            _ => false,
        };
        if empty {
            let message = format!("{what} is empty");
            self.fault(
                node.span,
                Code::EmptyText,
                path,
                message,
                "write the text, or remove the entry",
            );
            return;
        }
        let message = format!("{what} must be text, but this is {}", node.type_name());
        let hint = match node.as_scalar() {
            Some(scalar) => format!("put it in quotes: `\"{}\"`", excerpt(&scalar.text)),
            None => "write the text in one line, in quotes, or as a block after `|`".to_string(),
        };
        self.fault(node.span, Code::WrongType, path, message, hint);
    }
}

/// A text with its place.
#[derive(Debug, Clone)]
pub(super) struct Text<'n> {
    pub text: &'n str,
    pub span: Span,
    pub path: String,
}

/// The keys of a mapping.
pub(super) struct Fields<'n> {
    pub span: Span,
    pub entries: &'n [Entry],
    pub path: String,
    /// What the mapping is, in words.
    what: String,
    /// The keys that unknown ones were most likely meant to be.
    meant: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// Reports every key that is not in `allowed`, with the nearest one that is absent.
    pub fn only(&mut self, page: &mut Page, code: Code, allowed: &[&'static str], what: &str) {
        self.what = what.to_string();
        let is_absent = |key: &&&str| self.get(key).is_none();
        let absent: Vec<&'static str> = allowed.iter().filter(is_absent).copied().collect();
        for entry in self.entries {
            if allowed.contains(&entry.key.as_str()) {
                continue;
            }
            let near = nearest(&entry.key, absent.iter().copied());
            if let Some(near) = near.filter(|near| !self.meant.contains(near)) {
                self.meant.push(near);
            }
            let message = format!("unknown key `{}` in {what}", excerpt(&entry.key));
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the keys of {what} are {}", ticked(allowed)),
            };
            let path = self.path_of(&entry.key);
            page.fault(entry.key_span, code, &path, message, hint);
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        let entry = self.entries.iter().rev().find(|entry| entry.key == key);
        entry.map(|entry| &entry.value)
    }

    /// The value of a key; its absence is reported, unless an unknown key was meant for it.
    pub fn required(&self, page: &mut Page, code: Code, key: &str) -> Option<&'n Node> {
        let found = self.get(key);
        if found.is_none() && !self.meant.contains(&key) {
            let message = format!("{} lacks the key `{key}`", self.what);
            let value = if key == "version" { "3" } else { "..." };
            let hint = format!("add `{key}: {value}`");
            page.fault(self.head(), code, &self.path, message, hint);
        }
        found
    }

    /// A required text.
    pub fn text(&self, page: &mut Page, key: &str) -> Option<Text<'n>> {
        let node = self.required(page, Code::MissingKey, key)?;
        page.text(node, &self.path_of(key), &format!("`{key}`"))
    }

    /// The path of a key's value.
    pub fn path_of(&self, key: &str) -> String {
        child(&self.path, key)
    }

    /// The first key, to point at for a fault of the whole mapping; the alias, where the mapping
    /// is written elsewhere.
    pub fn head(&self) -> Span {
        let within = |place| self.span.start <= place && place < self.span.end;
        let first = self.entries.first().map(|entry| entry.key_span);
        first
            .filter(|first| within(first.start))
            .unwrap_or(self.span)
    }
}

/// The path of a key below `path`.
pub(super) fn child(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_');
    match (path, plain) {
        (".", true) => format!(".{key}"),
        (".", false) => format!("[\"{}\"]", excerpt(key)),
        (_, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}[\"{}\"]", excerpt(key)),
    }
}

/// The start of a text, short enough for a message and in one line.
pub(super) fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 48 {
        return line;
    }
    let start: String = line.chars().take(45).collect();
    format!("{}...", start.trim_end())
}

/// Words as a list in backticks.
pub(super) fn ticked(words: &[&str]) -> String {
    let ticked: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match ticked.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => "none".to_string(),
    }
}
