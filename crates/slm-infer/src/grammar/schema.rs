//! A JSON Schema (Draft 2020-12) made ready for the grammar compiler, or refused with the
//! keyword and its place.
//!
//! What comes out holds only keywords that are enforced. References lead to `$defs` of their own;
//! multiples get the bounds within which 64-bit floats are exact (RFC 7493), so that a reader
//! finds them multiples too; an exclusive bound becomes the inclusive one a millionth further in.
//! Does not know tokens.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::error::GrammarError;
use super::reference;

/// Deepest nesting of subschemas.
const DEPTH: usize = 100;
/// Most subschemas.
const NODES: usize = 20_000;
/// Most values of one `enum`, and most labels.
pub const VALUES: usize = 20_000;
/// Most places that references lead to.
const DEFINITIONS: usize = 1_000;
/// Most combinations of the alternatives of schemas that must hold together.
const COMBINATIONS: u64 = 1_000;
/// The largest integer up to which 64-bit floats are exact.
const EXACT: u64 = (1 << 53) - 1;

/// The bound of multiples of a fraction: behind it 64-bit floats have six digits left.
const FRACTIONS: f64 = 1e9;

/// Keywords that hold one schema.
pub const ONE: [&str; 2] = ["items", "additionalProperties"];
/// Keywords that hold a list of schemas.
pub const LISTS: [&str; 4] = ["prefixItems", "anyOf", "oneOf", "allOf"];
/// Keywords that hold schemas by name.
pub const MAPS: [&str; 2] = ["properties", "patternProperties"];
/// Keywords that are taken over as they are.
const PLAIN: [&str; 13] = [
    "type",
    "required",
    "pattern",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
    "multipleOf",
    "uniqueItems",
];
/// Keywords of the standard that restrict answers and cannot be enforced token by token.
const REFUSED: [&str; 17] = [
    "not",
    "if",
    "then",
    "else",
    "contains",
    "minContains",
    "maxContains",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "unevaluatedItems",
    "unevaluatedProperties",
    "$dynamicRef",
    "$recursiveRef",
    "additionalItems",
    "$id",
];
/// Formats that are enforced; the standard makes all others annotations.
const FORMATS: [&str; 10] = [
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uuid",
    "uri",
];

/// A schema of enforced keywords.
pub struct Lowered {
    /// The schema; references lead to its `$defs`.
    pub schema: Value,
    /// Where each of `$defs` stood, as a JSON pointer, in their order.
    pub origins: Vec<String>,
    /// What is not enforced, where that was allowed.
    pub unenforced: Vec<GrammarError>,
}

/// Makes a schema ready.
///
/// # Errors
/// The first keyword that cannot be enforced; none where `lenient`, unless the schema is no
/// schema at all or beyond all bounds.
pub fn lower(schema: &Value, lenient: bool) -> Result<Lowered, GrammarError> {
    let mut lowering = Lowering {
        root: schema,
        lenient,
        origins: Vec::new(),
        numbers: HashMap::new(),
        unenforced: Vec::new(),
        nodes: 0,
    };
    let mut lowered = match lowering.schema(schema, "", 0)? {
        Value::Object(fields) => fields,
        Value::Bool(false) => {
            return Err(fault("false", "", "nothing satisfies it"));
        }
        _ => Map::new(),
    };
    let mut definitions = Map::new();
    while let Some(origin) = lowering.origins.get(definitions.len()).cloned() {
        let target = schema.pointer(&origin).unwrap_or(&Value::Bool(true));
        let body = lowering.schema(target, &origin, 0)?;
        definitions.insert(reference::name(definitions.len()), body);
    }
    if !definitions.is_empty() {
        lowered.insert("$defs".into(), definitions.into());
    }
    Ok(Lowered {
        schema: lowered.into(),
        origins: lowering.origins,
        unenforced: lowering.unenforced,
    })
}

/// A keyword that cannot be enforced.
pub fn fault(keyword: &str, place: &str, problem: impl Into<String>) -> GrammarError {
    GrammarError::Keyword {
        keyword: keyword.to_owned(),
        place: format!("#{place}"),
        problem: problem.into(),
    }
}

struct Lowering<'a> {
    root: &'a Value,
    lenient: bool,
    /// What references lead to.
    origins: Vec<String>,
    numbers: HashMap<String, usize>,
    unenforced: Vec<GrammarError>,
    nodes: usize,
}

impl Lowering<'_> {
    fn schema(&mut self, schema: &Value, place: &str, depth: usize) -> Result<Value, GrammarError> {
        self.nodes += 1;
        if self.nodes > NODES {
            let problem = format!("it has more than {NODES} subschemas");
            return Err(fault("schema", "", problem));
        }
        if depth > DEPTH {
            let problem = format!("subschemas are nested deeper than {DEPTH}");
            return Err(fault("schema", place, problem));
        }
        let fields = match schema {
            Value::Bool(_) => return Ok(schema.clone()),
            Value::Object(fields) => fields,
            _ => {
                return Err(fault(
                    "schema",
                    place,
                    "it is neither an object nor a boolean",
                ));
            }
        };
        let mut out = Map::new();
        for (keyword, value) in fields {
            match self.keyword(fields, keyword, value, place, depth) {
                Ok(Some(lowered)) => {
                    out.insert(keyword.clone(), lowered);
                }
                Ok(None) => {}
                Err(fault) if self.lenient && self.nodes <= NODES => self.unenforced.push(fault),
                Err(fault) => return Err(fault),
            }
        }
        let format = out.get("format").and_then(Value::as_str);
        if let Some(pattern) = format.and_then(super::calendar::pattern)
            && !out.contains_key("pattern")
        {
            out.remove("format");
            out.insert("pattern".into(), pattern.into());
        }
        bound_numbers(fields, &mut out);
        let together = ["allOf", "anyOf", "oneOf"].iter();
        let together = together
            .filter(|keyword| out.contains_key(**keyword))
            .count();
        let lowered = Value::Object(out);
        // The compiler writes out what alternatives have in common, pair by pair.
        let many = together > 1 || lowered.get("allOf").is_some();
        if many && alternatives(&lowered) > COMBINATIONS {
            let problem = format!("its alternatives have more than {COMBINATIONS} combinations");
            return Err(fault("allOf", place, problem));
        }
        Ok(lowered)
    }

    /// The keyword as it is enforced; nothing where it restricts nothing.
    fn keyword(
        &mut self,
        fields: &Map<String, Value>,
        keyword: &str,
        value: &Value,
        place: &str,
        depth: usize,
    ) -> Result<Option<Value>, GrammarError> {
        let beyond = |problem: &str| Err(fault(keyword, place, problem));
        let inside = format!("{place}/{keyword}");
        if ONE.contains(&keyword) {
            return Ok(Some(self.schema(value, &inside, depth + 1)?));
        }
        if LISTS.contains(&keyword) {
            let Some(list) = value.as_array().filter(|list| !list.is_empty()) else {
                return beyond("it is no list of schemas");
            };
            let schemas = list.iter().enumerate();
            let lowered = schemas
                .map(|(n, schema)| self.schema(schema, &format!("{inside}/{n}"), depth + 1))
                .collect::<Result<Vec<Value>, GrammarError>>()?;
            return Ok(Some(lowered.into()));
        }
        if MAPS.contains(&keyword) {
            let Some(map) = value.as_object() else {
                return beyond("it holds no schemas by name");
            };
            let mut lowered = Map::new();
            for (name, schema) in map {
                let inside = format!("{inside}/{}", reference::escape(name));
                lowered.insert(name.clone(), self.schema(schema, &inside, depth + 1)?);
            }
            return Ok(Some(lowered.into()));
        }
        match keyword {
            "$ref" => Ok(Some(self.reference(value, place)?)),
            "enum" | "const" => values(keyword, value, place),
            "uniqueItems" if value == &json!(true) && !at_most_one(fields) => {
                beyond("items that are all different are no matter of grammar")
            }
            "uniqueItems" => Ok(None),
            "minProperties" => min_properties(fields, value, place),
            "exclusiveMinimum" | "exclusiveMaximum" => match value.is_number() {
                // `bound_numbers` has it as an inclusive bound.
                true => Ok(None),
                false => beyond("it is no number"),
            },
            "format" => Ok(value
                .as_str()
                .is_some_and(|name| FORMATS.contains(&name))
                .then(|| value.clone())),
            "$id" if place.is_empty() => Ok(None),
            _ if REFUSED.contains(&keyword) => beyond("it is no matter of grammar"),
            _ if PLAIN.contains(&keyword) => Ok(Some(value.clone())),
            // Annotations, and what the standard does not know.
            _ => Ok(None),
        }
    }

    fn reference(&mut self, value: &Value, place: &str) -> Result<Value, GrammarError> {
        let Some(text) = value.as_str() else {
            return Err(fault("$ref", place, "it is no text"));
        };
        let target =
            reference::resolve(self.root, text).map_err(|problem| fault("$ref", place, problem))?;
        let next = self.origins.len();
        let number = *self.numbers.entry(target.clone()).or_insert(next);
        if number == next {
            if next >= DEFINITIONS {
                let problem = format!("references lead to more than {DEFINITIONS} places");
                return Err(fault("$ref", place, problem));
            }
            self.origins.push(target);
        }
        Ok(format!("#/$defs/{}", reference::name(number)).into())
    }
}

/// In how many ways a schema holds, by its alternatives at one place of an answer.
fn alternatives(schema: &Value) -> u64 {
    let list = |keyword: &str| {
        let schemas = schema.get(keyword).and_then(Value::as_array);
        schemas.into_iter().flatten().map(alternatives)
    };
    let one_of = |keyword: &str| list(keyword).fold(0, u64::saturating_add).max(1);
    let all = list("allOf").fold(1, u64::saturating_mul);
    all.saturating_mul(one_of("anyOf"))
        .saturating_mul(one_of("oneOf"))
}

/// Whether a list has no room for two equal items.
fn at_most_one(fields: &Map<String, Value>) -> bool {
    fields
        .get("maxItems")
        .and_then(Value::as_u64)
        .is_some_and(|most| most <= 1)
}

/// Values that can be written and read back as they are.
fn values(keyword: &str, value: &Value, place: &str) -> Result<Option<Value>, GrammarError> {
    fn problem(value: &Value) -> Option<&'static str> {
        match value {
            Value::Number(number) => {
                let exact = number
                    .as_f64()
                    .is_some_and(|number| number.abs() <= EXACT as f64);
                (!exact).then_some("a number in it is beyond what 64-bit floats hold exactly")
            }
            Value::String(text) => {
                let odd = |c: char| (c < ' ' && !"\n\r\t\u{8}\u{c}".contains(c)) || c == '\u{7f}';
                text.chars()
                    .any(odd)
                    .then_some("a text in it has control characters")
            }
            Value::Array(items) => items.iter().find_map(problem),
            Value::Object(fields) => fields.iter().find_map(|(name, value)| {
                problem(&name.as_str().into()).or_else(|| problem(value))
            }),
            _ => None,
        }
    }
    let listed = match (keyword, value) {
        ("enum", Value::Array(items)) if items.len() > VALUES => {
            Some("it has more than 20,000 values")
        }
        ("enum", Value::Array(items)) if !items.is_empty() => items.iter().find_map(problem),
        ("enum", _) => Some("it is no list of values"),
        _ => problem(value),
    };
    match listed {
        Some(problem) => Err(fault(keyword, place, problem)),
        None => Ok(Some(value.clone())),
    }
}

/// Names that are not declared may come twice, and then count once.
fn min_properties(
    fields: &Map<String, Value>,
    value: &Value,
    place: &str,
) -> Result<Option<Value>, GrammarError> {
    let required = fields.get("required").and_then(Value::as_array);
    let least = value.as_u64().unwrap_or(u64::MAX);
    if required.map_or(0, Vec::len) as u64 >= least {
        return Ok(None);
    }
    let closed = fields.get("additionalProperties") == Some(&Value::Bool(false))
        && !fields.contains_key("patternProperties");
    match closed {
        true => Ok(Some(value.clone())),
        false => Err(fault(
            "minProperties",
            place,
            "it needs `additionalProperties: false`",
        )),
    }
}

/// Gives exclusive bounds their inclusive form, and multiples the bounds of exactness.
fn bound_numbers(fields: &Map<String, Value>, out: &mut Map<String, Value>) {
    let number = |name: &str| fields.get(name).and_then(Value::as_f64);
    let step = |bound: f64| 1e-6 * bound.abs().max(1.0);
    let limit = number("multipleOf").map(|step| match step.fract() == 0.0 {
        true => EXACT as f64,
        false => FRACTIONS,
    });
    let least = [
        number("minimum"),
        number("exclusiveMinimum").map(|bound| bound + step(bound)),
        limit.map(|limit| -limit),
    ];
    let most = [
        number("maximum"),
        number("exclusiveMaximum").map(|bound| bound - step(bound)),
        limit,
    ];
    let whole = |bound: f64| match bound.fract() == 0.0 && bound.abs() <= EXACT as f64 {
        true => json!(bound as i64),
        false => json!(bound),
    };
    if let Some(bound) = least.into_iter().flatten().reduce(f64::max) {
        out.insert("minimum".into(), whole(bound));
    }
    if let Some(bound) = most.into_iter().flatten().reduce(f64::min) {
        out.insert("maximum".into(), whole(bound));
    }
}
