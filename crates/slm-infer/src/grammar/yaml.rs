//! A grammar for YAML that holds what a JSON Schema describes.
//!
//! Objects and lists are written as blocks, two spaces a level; texts plain where that cannot be
//! mistaken for anything else, in double quotes otherwise. Properties come in the schema's order,
//! and only those that it names. Does not know tokens.

use std::cell::Cell;

use serde_json::{Map, Value, json};

use super::error::GrammarError;
use super::schema::fault;

/// Deepest nesting of blocks.
const DEPTH: usize = 16;
/// Most subschemas that are written, each once for every place that refers to it.
const WRITTEN: usize = 5_000;
/// Most characters of a grammar.
const SIZE: usize = 1 << 20;

/// Texts that YAML 1.1 or 1.2 reads as something else.
const RESERVED: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// Terminals that every grammar has. A plain text begins with a letter and has none of the
/// characters that end one or begin something else.
const TERMINALS: &str = r#"PLAIN: /[A-Za-z][A-Za-z0-9_]*([ .\/()+-]?[A-Za-z0-9_])*/ & ~/(?i:true|false|null|yes|no|on|off|y|n)/
QUOTED: /"([^"\\\x00-\x1F\x7F-\x9F\u2028\u2029\uFEFF\uFFFE\uFFFF]|\\["\\nrbt])*"/
"#;
/// Characters that YAML does not allow in a text.
const PRINTABLE: &str = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F\u2028\u2029\uFEFF\uFFFE\uFFFF]*$";

/// The Lark grammar of a schema that `schema::lower` made ready, with where its definitions stood.
///
/// # Errors
/// A keyword that YAML is not written for, with its place.
pub fn grammar(schema: &Value, origins: &[String]) -> Result<String, GrammarError> {
    let writer = Writer {
        root: schema,
        origins,
        written: Cell::new(0),
    };
    let value = writer.inline(schema, "", 0)?;
    let grammar = format!("start: {value} (\"\\n\")?\n{TERMINALS}");
    match grammar.len() <= SIZE {
        true => Ok(grammar),
        false => Err(fault("schema", "", "its YAML grammar is too large")),
    }
}

struct Writer<'a> {
    root: &'a Value,
    origins: &'a [String],
    written: Cell<usize>,
}

impl Writer<'_> {
    /// What may stand at the beginning of a line, or behind `- `, `depth` levels in.
    fn inline(&self, schema: &Value, place: &str, depth: usize) -> Result<String, GrammarError> {
        if let Some(alternatives) = self.alternatives(schema, place)? {
            let each = alternatives
                .iter()
                .map(|(schema, place)| self.inline(schema, place, depth))
                .collect::<Result<Vec<String>, GrammarError>>()?;
            return Ok(format!("({})", each.join(" | ")));
        }
        match kind(schema) {
            Some("object") => self.mapping(schema, place, depth),
            Some("array") => self.list(schema, place, depth),
            _ => scalar(schema, place),
        }
    }

    /// What may stand behind `key:`, `depth` levels in.
    fn behind_key(
        &self,
        schema: &Value,
        place: &str,
        depth: usize,
    ) -> Result<String, GrammarError> {
        if depth > DEPTH {
            let problem = format!("YAML is written {DEPTH} levels deep, and without recursion");
            return Err(fault("$ref", place, problem));
        }
        if let Some(alternatives) = self.alternatives(schema, place)? {
            let each = alternatives
                .iter()
                .map(|(schema, place)| self.behind_key(schema, place, depth))
                .collect::<Result<Vec<String>, GrammarError>>()?;
            return Ok(format!("({})", each.join(" | ")));
        }
        let empty = |text: &str| format!("\" {text}\"");
        match kind(schema) {
            Some("object") if !required(schema) => {
                let block = self.block(schema, place, depth)?;
                Ok(format!("({} | {block})", empty("{}")))
            }
            Some("array") if at_least(schema) == 0 => {
                let block = self.block(schema, place, depth)?;
                Ok(format!("({} | {block})", empty("[]")))
            }
            Some("object" | "array") => self.block(schema, place, depth),
            _ => Ok(format!("\" \" {}", scalar(schema, place)?)),
        }
    }

    fn block(&self, schema: &Value, place: &str, depth: usize) -> Result<String, GrammarError> {
        let inside = match kind(schema) {
            Some("object") => self.mapping(schema, place, depth)?,
            _ => self.list(schema, place, depth)?,
        };
        Ok(format!("{} {inside}", line(depth)))
    }

    /// The schemas of which one holds, where the schema says so: references are followed.
    fn alternatives(
        &self,
        schema: &Value,
        place: &str,
    ) -> Result<Option<Vec<(Value, String)>>, GrammarError> {
        self.written.set(self.written.get() + 1);
        if self.written.get() > WRITTEN {
            let problem = format!("YAML is written for {WRITTEN} subschemas, without recursion");
            return Err(fault("$ref", place, problem));
        }
        let Some(fields) = schema.as_object() else {
            return Err(fault("schema", place, "YAML needs a `type` everywhere"));
        };
        if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
            let pointer = target.trim_start_matches('#');
            let number = pointer.trim_start_matches("/$defs/r").parse::<usize>();
            let origin = number.ok().and_then(|number| self.origins.get(number));
            let found = self.root.pointer(pointer).cloned().unwrap_or_default();
            return Ok(Some(vec![(found, origin.cloned().unwrap_or_default())]));
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(options) = fields.get(keyword).and_then(Value::as_array) {
                let placed = options.iter().enumerate();
                let placed = placed.map(|(n, o)| (o.clone(), format!("{place}/{keyword}/{n}")));
                return Ok(Some(placed.collect()));
            }
        }
        let Some(types) = fields.get("type").and_then(Value::as_array) else {
            return Ok(None);
        };
        if fields.contains_key("enum") || fields.contains_key("const") {
            return Ok(None);
        }
        let each = types.iter().map(|kind| {
            let mut one = fields.clone();
            one.insert("type".into(), kind.clone());
            (one.into(), place.to_owned())
        });
        Ok(Some(each.collect()))
    }

    /// The properties of an object, the first without its indentation.
    fn mapping(&self, schema: &Value, place: &str, depth: usize) -> Result<String, GrammarError> {
        let nothing = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&nothing);
        for keyword in [
            "patternProperties",
            "minProperties",
            "maxProperties",
            "allOf",
        ] {
            if schema.get(keyword).is_some() {
                return Err(fault(keyword, place, "YAML is not written for it"));
            }
        }
        let names = schema["required"].as_array();
        let names: Vec<&str> = names
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if let Some(name) = names.iter().find(|name| !properties.contains_key(**name)) {
            let problem = format!("`{name}` is not among the `properties`");
            return Err(fault("required", place, problem));
        }
        let mut entries = Vec::new();
        for (name, property) in properties {
            let inside = format!("{place}/properties/{}", super::reference::escape(name));
            let value = self.behind_key(property, &inside, depth + 1)?;
            let key = json!(format!("{}:", text(name)));
            entries.push((format!("{key} {value}"), names.contains(&name.as_str())));
        }
        match entries.is_empty() {
            true => Ok("\"{}\"".to_owned()),
            false => Ok(ordered(&entries, &line(depth))),
        }
    }

    /// The items of a list, the first without its indentation.
    fn list(&self, schema: &Value, place: &str, depth: usize) -> Result<String, GrammarError> {
        if schema.get("prefixItems").is_some() {
            return Err(fault("prefixItems", place, "YAML is not written for it"));
        }
        let Some(items) = schema.get("items") else {
            return Err(fault("type", place, "YAML needs the `items` of a list"));
        };
        let item = self.inline(items, &format!("{place}/items"), depth + 1)?;
        let least = at_least(schema).max(1);
        let more = match schema["maxItems"].as_u64() {
            Some(0) => return Ok("\"[]\"".to_owned()),
            Some(most) => format!("{{{},{}}}", least - 1, most - 1),
            None => format!("{{{},}}", least - 1),
        };
        if more == "{0,0}" {
            return Ok(format!("\"- \" {item}"));
        }
        Ok(format!(
            "\"- \" {item} ({} \"- \" {item}){more}",
            line(depth)
        ))
    }
}

/// A new line, `depth` levels in.
fn line(depth: usize) -> String {
    json!(format!("\n{}", "  ".repeat(depth))).to_string()
}

fn kind(schema: &Value) -> Option<&str> {
    let closed = schema.get("enum").is_some() || schema.get("const").is_some();
    schema["type"].as_str().filter(|_| !closed)
}

fn required(schema: &Value) -> bool {
    schema["required"]
        .as_array()
        .is_some_and(|names| !names.is_empty())
}

fn at_least(schema: &Value) -> u64 {
    schema["minItems"].as_u64().unwrap_or(0)
}

/// Entries in their order, at least one; those that are not required may be left out.
fn ordered(entries: &[(String, bool)], between: &str) -> String {
    let behind = |entries: &[(String, bool)]| -> String {
        let each = entries.iter().map(|(entry, required)| match required {
            true => format!("{between} {entry}"),
            false => format!("({between} {entry})?"),
        });
        each.collect::<Vec<String>>().join(" ")
    };
    let mut alternatives = Vec::new();
    for (number, (entry, required)) in entries.iter().enumerate() {
        alternatives.push(format!("{entry} {}", behind(&entries[number + 1..])));
        if *required {
            break;
        }
    }
    format!("({})", alternatives.join(" | "))
}

/// A text as YAML has it: plain where that is safe.
fn text(value: &str) -> String {
    let mut rest = value.chars();
    let plain = rest.next().is_some_and(|c| c.is_ascii_alphabetic())
        && rest.all(|c| c.is_ascii_alphanumeric() || "_-. ".contains(c))
        && !value.ends_with([' ', '-', '.'])
        && !value.contains("  ")
        && !RESERVED.contains(&value.to_ascii_lowercase().as_str());
    match plain {
        true => value.to_owned(),
        false => json!(value).to_string(),
    }
}

fn scalar(schema: &Value, place: &str) -> Result<String, GrammarError> {
    let listed = match (schema.get("enum"), schema.get("const")) {
        (Some(Value::Array(values)), _) => Some(values.clone()),
        (_, Some(value)) => Some(vec![value.clone()]),
        _ => None,
    };
    if let Some(values) = listed {
        let each = values.iter().map(|value| match value {
            Value::String(value) => Ok(json!(text(value)).to_string()),
            Value::Array(_) | Value::Object(_) => Err(fault(
                "enum",
                place,
                "YAML is written for plain values only",
            )),
            other => Ok(json!(other.to_string()).to_string()),
        });
        let each = each.collect::<Result<Vec<String>, GrammarError>>()?;
        return Ok(format!("({})", each.join(" | ")));
    }
    let mut schema = schema.clone();
    match kind(&schema) {
        Some("string") => {
            let limits = ["pattern", "format", "minLength", "maxLength"];
            if !limits.iter().any(|keyword| schema.get(*keyword).is_some()) {
                return Ok("(PLAIN | QUOTED)".to_owned());
            }
            schema = json!({"allOf": [schema, {"type": "string", "pattern": PRINTABLE}]});
        }
        Some("number" | "integer" | "boolean" | "null") => {}
        _ => return Err(fault("schema", place, "YAML needs a `type` everywhere")),
    }
    Ok(format!("%json {}", super::styled(&schema)))
}
