//! Which keyword of a schema the grammar compiler stumbles over, found by trying without it.
//!
//! Only asked once a schema has failed. Does not know what the compiler objects to.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::reference::escape;
use super::schema::{LISTS, MAPS, ONE};

/// Most attempts at compiling.
const ATTEMPTS: usize = 60;

/// Where the compiler stumbles.
#[derive(Debug, PartialEq, Eq)]
pub struct Culprit {
    /// JSON pointer of the subschema.
    pub pointer: String,
    /// The keyword; none when only the whole subschema can be named.
    pub keyword: Option<String>,
}

/// Finds the deepest subschema, and its keyword, without which `schema` compiles, or which does
/// not compile by itself. `compiles` tells whether a schema does.
pub fn culprit(schema: &Value, compiles: &dyn Fn(&Value) -> bool) -> Culprit {
    let mut search = Search {
        schema,
        compiles,
        left: ATTEMPTS,
    };
    let mut pointer = String::new();
    let mut seen = HashSet::new();
    while let Some(next) = search.within(&pointer) {
        // A reference may lead back to where it stands.
        if !seen.insert(next.clone()) {
            break;
        }
        pointer = next;
    }
    let keyword = search.keyword(&pointer);
    Culprit { pointer, keyword }
}

/// The schema without a keyword, or with `true` for a subschema.
pub fn without(schema: &Value, culprit: &Culprit) -> Value {
    let mut changed = schema.clone();
    if let Some(place) = changed.pointer_mut(&culprit.pointer) {
        match (&culprit.keyword, place.as_object_mut()) {
            (Some(keyword), Some(fields)) => {
                fields.shift_remove(keyword);
            }
            _ => *place = Value::Bool(true),
        }
    }
    changed
}

struct Search<'a> {
    schema: &'a Value,
    compiles: &'a dyn Fn(&Value) -> bool,
    left: usize,
}

impl Search<'_> {
    fn attempt(&mut self, schema: &Value) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left > 0 && (self.compiles)(schema)
    }

    /// A subschema directly within the one at `pointer` that is to blame.
    fn within(&mut self, pointer: &str) -> Option<String> {
        let parts = children(self.schema.pointer(pointer)?, pointer);
        let blamed = parts.iter().find(|part| {
            let culprit = Culprit {
                pointer: (*part).clone(),
                keyword: None,
            };
            self.attempt(&without(self.schema, &culprit))
        });
        let blamed = blamed.cloned();
        blamed.or_else(|| parts.into_iter().find(|part| self.fails_alone(part)))
    }

    fn fails_alone(&mut self, pointer: &str) -> bool {
        let Some(Value::Object(fields)) = self.schema.pointer(pointer) else {
            return false;
        };
        let mut alone = fields.clone();
        if let Some(definitions) = self.schema.get("$defs") {
            alone.insert("$defs".into(), definitions.clone());
        }
        self.left > 1 && !self.attempt(&alone.into())
    }

    fn keyword(&mut self, pointer: &str) -> Option<String> {
        let fields = self.schema.pointer(pointer)?.as_object()?;
        let keywords = fields.keys().filter(|keyword| *keyword != "$defs");
        let keywords: Vec<&String> = keywords.collect();
        if let [only] = keywords[..] {
            return Some(only.clone());
        }
        let found = keywords.into_iter().find(|keyword| {
            let culprit = Culprit {
                pointer: pointer.to_owned(),
                keyword: Some((*keyword).clone()),
            };
            self.attempt(&without(self.schema, &culprit))
        });
        found.cloned()
    }
}

/// Pointers of the subschemas directly within one.
fn children(schema: &Value, pointer: &str) -> Vec<String> {
    let Some(fields) = schema.as_object() else {
        return Vec::new();
    };
    let named = |keyword: &str, map: &Map<String, Value>| -> Vec<String> {
        let keys = map.keys().map(|name| escape(name));
        keys.map(|name| format!("{pointer}/{keyword}/{name}"))
            .collect()
    };
    let mut found = Vec::new();
    for (keyword, value) in fields {
        match value {
            Value::Object(_) if ONE.contains(&keyword.as_str()) => {
                found.push(format!("{pointer}/{keyword}"));
            }
            Value::Object(map) if MAPS.contains(&keyword.as_str()) || keyword == "$defs" => {
                found.extend(named(keyword, map));
            }
            Value::String(target) if keyword == "$ref" => {
                found.extend(target.strip_prefix('#').map(str::to_owned));
            }
            Value::Array(list) if LISTS.contains(&keyword.as_str()) => {
                found.extend((0..list.len()).map(|n| format!("{pointer}/{keyword}/{n}")));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Compiles unless some subschema is of the type `odd`.
    fn sound(schema: &Value) -> bool {
        !schema.to_string().contains("odd")
    }

    #[test]
    fn the_deepest_keyword_to_blame_is_found() {
        let schema = json!({"type": "object", "properties": {"a/b": {"anyOf": [
            {"type": "null"}, {"minLength": 1, "type": "odd"}]}}, "$defs": {"r0": {"type": "null"}}});
        let found = culprit(&schema, &sound);
        assert_eq!(found.pointer, "/properties/a~1b/anyOf/1");
        assert_eq!(found.keyword.as_deref(), Some("type"));
        assert!(sound(&without(&schema, &found)));
    }

    #[test]
    fn of_two_faults_one_is_found() {
        let schema = json!({"properties": {"a": {"type": "odd"}, "b": {"type": "odd"}}});
        assert_eq!(culprit(&schema, &sound).pointer, "/properties/a");
    }
}
