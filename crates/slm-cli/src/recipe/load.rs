//! Reading a recipe: text, overrides, types, and errors that say where.
//!
//! The text is first checked as it stands, because only then do errors have lines;
//! overrides are then laid over it and the whole is checked again. Does not know what
//! the keys mean.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::de::DeserializeOwned;
use slm_taxonomy::nearest;

use super::overrides::{self, Override};
use crate::failure::Failure;

/// Reads `path` with `key.path=value` overrides laid over it.
///
/// # Errors
/// The file cannot be read, is not YAML, has an unknown key or a value of the wrong
/// type, or lacks a required key; an override is malformed or does not fit.
pub fn load<T: DeserializeOwned>(path: &Path, assignments: &[String]) -> Result<T> {
    let overrides = assignments
        .iter()
        .map(|text| overrides::parse(text))
        .collect::<Result<Vec<Override>>>()?;
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let checked = serde_yaml::from_str::<T>(&text);
    match checked {
        Ok(value) if overrides.is_empty() => return Ok(value),
        Ok(_) => {}
        // An override may supply what the text leaves out.
        Err(error) if !overrides.is_empty() && is_missing_field(&error) => {}
        Err(error) => return Err(explain(path, &error).into()),
    }
    let mut tree: serde_yaml::Value =
        serde_yaml::from_str(&text).map_err(|error| explain(path, &error))?;
    for change in &overrides {
        overrides::apply(&mut tree, change)?;
        check_override::<T>(&tree, change)?;
    }
    // Places in the merged text would mislead, so only the words are kept.
    from_tree(&tree).map_err(|error| Problem::of(&error).at(&path.display().to_string()).into())
}

/// By way of text, because errors on a tree do not say in which section they are.
fn from_tree<T: DeserializeOwned>(tree: &serde_yaml::Value) -> Result<T, serde_yaml::Error> {
    serde_yaml::from_str(&serde_yaml::to_string(tree)?)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::io("read the recipe", path, error);
    match error.kind() {
        std::io::ErrorKind::NotFound => failure
            .hint("the recipes that come with the project are in `recipes/`; paths are relative to the current directory"),
        _ => failure,
    }
}

/// The tree with this override must still be of type `T`, or lack something that a
/// later override may bring.
fn check_override<T: DeserializeOwned>(tree: &serde_yaml::Value, change: &Override) -> Result<()> {
    match from_tree::<T>(tree) {
        Err(error) if !is_missing_field(&error) => {
            let problem = Problem::of(&error);
            let failure = Failure::usage(format!(
                "the override `{}` does not fit: {}",
                change.text, problem.message
            ));
            Err(match problem.hint {
                Some(hint) => failure.hint(hint).into(),
                None => failure.into(),
            })
        }
        _ => Ok(()),
    }
}

fn is_missing_field(error: &serde_yaml::Error) -> bool {
    error.to_string().contains("missing field `")
}

/// An error of serde_yaml in our words, with the place in front.
fn explain(path: &Path, error: &serde_yaml::Error) -> Failure {
    let problem = Problem::of(error);
    let place = match error.location() {
        Some(location) => format!(
            "{}:{}:{}",
            path.display(),
            location.line(),
            location.column()
        ),
        None => path.display().to_string(),
    };
    problem.at(&place)
}

struct Problem {
    message: String,
    hint: Option<String>,
}

impl Problem {
    /// Reads what serde says: `SECTION: unknown field `x`, expected one of `a`, `b` at line 1 column 2`.
    fn of(error: &serde_yaml::Error) -> Self {
        let text = error.to_string();
        let text = match text.rfind(" at line ") {
            Some(end) if error.location().is_some() => text[..end].to_owned(),
            _ => text,
        };
        let (section, fault) = split_section(&text);
        // serde names the Rust type; people know it as a section.
        let fault = match fault.split_once(", expected struct ") {
            Some((found, _)) => format!("{found}, expected a section"),
            None => fault.to_owned(),
        };
        let fault = fault.as_str();
        for (label, noun) in [("unknown field `", "key"), ("unknown variant `", "value")] {
            if let Some(rest) = fault.strip_prefix(label) {
                return Self::unknown(noun, section, rest);
            }
        }
        if let Some(rest) = fault.strip_prefix("missing field `") {
            let key = full_key(section, rest.trim_end_matches('`'));
            return Self {
                message: format!("the key `{key}` is missing"),
                hint: Some(format!(
                    "add it to the recipe, or give `{key}=VALUE` on the command line"
                )),
            };
        }
        Self {
            message: match section {
                "" => fault.to_owned(),
                _ => format!("`{section}`: {fault}"),
            },
            hint: None,
        }
    }

    fn at(self, place: &str) -> Failure {
        let failure = Failure::new(format!("{place}: {}", self.message));
        match self.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    fn unknown(noun: &str, section: &str, rest: &str) -> Self {
        let mut quoted = rest.split('`');
        let word = quoted.next().unwrap_or_default();
        // After the word, every other piece is between backticks.
        let valid: Vec<&str> = quoted.skip(1).step_by(2).collect();
        let message = match noun {
            "key" => format!("unknown key `{}`", full_key(section, word)),
            _ => format!("unknown value `{word}` of `{section}`"),
        };
        let list = || {
            let list: Vec<String> = valid.iter().map(|key| format!("`{key}`")).collect();
            format!("valid here: {}", list.join(", "))
        };
        let hint = match nearest(word, valid.iter().copied()) {
            Some(near) => Some(format!("did you mean `{near}`? {}", list())),
            None if valid.is_empty() => None,
            None => Some(list()),
        };
        Self { message, hint }
    }
}

/// Splits `train: unknown field ...` into the key path and the fault.
fn split_section(text: &str) -> (&str, &str) {
    match text.split_once(": ") {
        Some((section, fault)) if !section.contains([' ', '`']) => (section, fault),
        _ => ("", text),
    }
}

fn full_key(section: &str, key: &str) -> String {
    match section {
        "" => key.to_owned(),
        _ => format!("{section}.{key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Recipe;
    use super::*;
    use crate::failure::describe;

    fn load_text(text: &str, assignments: &[&str]) -> Result<Recipe, (String, Option<String>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.yaml");
        fs::write(&path, text).unwrap();
        let assignments: Vec<String> = assignments.iter().map(|&text| text.to_owned()).collect();
        load(&path, &assignments).map_err(|error| {
            let (message, hint, _) = describe(&error);
            let prefix = format!("{}/", folder.path().display());
            (message.replace(&prefix, ""), hint)
        })
    }

    #[test]
    fn an_unknown_key_has_its_place_and_the_nearest_valid_one() {
        let (message, hint) = load_text("name: x\nsede: 3\n", &[]).unwrap_err();
        assert_eq!(message, "r.yaml:2:1: unknown key `sede`");
        assert!(
            hint.unwrap()
                .starts_with("did you mean `seed`? valid here: `name`")
        );
        let (message, hint) =
            load_text("name: x\ntrain:\n  method: lora\n  epocs: 3\n", &[]).unwrap_err();
        assert_eq!(message, "r.yaml:4:3: unknown key `train.epocs`");
        assert!(hint.unwrap().starts_with("did you mean `epochs`?"));
    }

    #[test]
    fn wrong_types_missing_keys_and_broken_yaml_have_places() {
        let (message, _) = load_text("name: x\nseed: many\n", &[]).unwrap_err();
        assert_eq!(
            message,
            "r.yaml:2:7: `seed`: invalid type: string \"many\", expected u64"
        );
        let (message, hint) = load_text("seed: 1\n", &[]).unwrap_err();
        assert_eq!(message, "r.yaml:1:1: the key `name` is missing");
        assert!(hint.unwrap().contains("`name=VALUE`"));
        let (message, _) = load_text("name: \"x\n", &[]).unwrap_err();
        assert!(message.starts_with("r.yaml:2:1: "), "{message}");
    }

    #[test]
    fn the_recipes_that_come_with_the_project_are_recipes() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
        let mut count = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let recipe: Recipe = load(&path, &[]).unwrap_or_else(|e| panic!("{e:#}"));
            let text = fs::read_to_string(&path).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(
                text.contains(&format!(" recipes/{name}")),
                "{name} lacks its command"
            );
            assert!(!recipe.name.is_empty());
            count += 1;
        }
        assert!(count >= 3);
    }

    #[test]
    fn overrides_are_typed_and_checked() {
        let recipe = load_text("name: x\n", &["seed=9", "train.rank=4"]).unwrap();
        assert_eq!(recipe.seed, 9);
        assert_eq!(recipe.train.unwrap().rank, 4);
        let recipe = load_text("seed: 1\n", &["name=y"]).unwrap();
        assert_eq!(recipe.name, "y");
        let (message, hint) = load_text("name: x\n", &["train.rnak=4"]).unwrap_err();
        assert_eq!(
            message,
            "the override `train.rnak=4` does not fit: unknown key `train.rnak`"
        );
        assert!(hint.unwrap().starts_with("did you mean `rank`?"));
        let (message, _) = load_text("name: x\n", &["seed=many"]).unwrap_err();
        assert!(
            message.starts_with("the override `seed=many` does not fit: "),
            "{message}"
        );
    }
}
