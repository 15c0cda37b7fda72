//! `key.path=value` on the command line, laid over a recipe.
//!
//! Does not know which keys exist; the recipe's types decide that.

use anyhow::Result;
use serde_yaml::{Mapping, Value};

use crate::failure::Failure;

/// One assignment.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// As typed.
    pub text: String,
    /// The keys from the top down.
    pub path: Vec<String>,
    /// The value, read as YAML.
    pub value: Value,
}

/// Reads `key.path=value`; the value is YAML, so `3`, `true`, `[a, b]` have their types.
pub fn parse(text: &str) -> Result<Override> {
    let malformed = |why: &str| {
        Failure::usage(format!("`{text}` is no override: {why}"))
            .hint("write `key.path=value`, for example `train.epochs=2`")
    };
    let (path, value) = text
        .split_once('=')
        .ok_or_else(|| malformed("it has no `=`"))?;
    let path: Vec<String> = path.split('.').map(str::to_owned).collect();
    if path.iter().any(String::is_empty) {
        return Err(malformed("a part of its key is empty").into());
    }
    let value = serde_yaml::from_str(value)
        .map_err(|error| malformed(&format!("its value is not YAML ({error})")))?;
    Ok(Override {
        text: text.to_owned(),
        path,
        value,
    })
}

/// Sets the value in the tree, making sections on the way.
///
/// # Errors
/// A key on the way holds a value, not a section.
pub fn apply(tree: &mut Value, change: &Override) -> Result<()> {
    let mut here = tree;
    for key in &change.path {
        if here.is_null() {
            *here = Value::Mapping(Mapping::new());
        }
        let Value::Mapping(section) = here else {
            return Err(Failure::usage(format!(
                "the override `{}` does not fit: what is above `{key}` is a value, not a section",
                change.text
            ))
            .hint("compare with the keys of the recipe")
            .into());
        };
        here = section
            .entry(Value::String(key.clone()))
            .or_insert(Value::Null);
    }
    *here = change.value.clone();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_yaml_types() {
        assert_eq!(parse("a.b=3").unwrap().value, Value::from(3));
        assert_eq!(parse("a=x=y").unwrap().value, Value::from("x=y"));
        assert_eq!(parse("a=").unwrap().value, Value::Null);
        assert!(parse("a").unwrap_err().to_string().contains("has no `=`"));
        assert!(parse(".a=1").unwrap_err().to_string().contains("is empty"));
        assert!(parse("a=[").unwrap_err().to_string().contains("not YAML"));
    }

    #[test]
    fn sections_are_made_and_values_are_not_descended_into() {
        let mut tree: Value = serde_yaml::from_str("a: 1").unwrap();
        apply(&mut tree, &parse("b.c=2").unwrap()).unwrap();
        assert_eq!(tree["b"]["c"], Value::from(2));
        let error = apply(&mut tree, &parse("a.c=2").unwrap()).unwrap_err();
        assert!(error.to_string().contains("is a value, not a section"));
    }
}
