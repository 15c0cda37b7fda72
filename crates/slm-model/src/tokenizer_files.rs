//! The files beside `tokenizer.json`: named tokens, chat templates, the ids that end a text.
//!
//! Transformers has written them in several ways over the years; all are read. Does not know
//! what is done with them.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// Tokens that a tokenizer may name.
const NAMED: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// What was found; a file that is missing or malformed says nothing.
pub struct TokenizerFiles {
    settings: Value,
    map: Value,
    generation: Value,
    /// Templates of files of their own, by name.
    templates: BTreeMap<String, String>,
}

impl TokenizerFiles {
    /// Reads the files in `dir`.
    pub fn read(dir: &Path) -> Self {
        let mut templates = BTreeMap::new();
        if let Ok(entries) = std::fs::read_dir(dir.join("additional_chat_templates")) {
            for path in entries.flatten().map(|entry| entry.path()) {
                let name = path.file_stem().map(|name| name.to_string_lossy());
                if let (Some(name), Ok(text)) = (name, std::fs::read_to_string(&path)) {
                    templates.insert(name.into_owned(), text);
                }
            }
        }
        if let Ok(text) = std::fs::read_to_string(dir.join("chat_template.jinja")) {
            templates.insert("default".to_owned(), text);
        } else if let Some(text) = json(dir, "chat_template.json")["chat_template"].as_str() {
            templates.insert("default".to_owned(), text.to_owned());
        }
        Self {
            settings: json(dir, "tokenizer_config.json"),
            map: json(dir, "special_tokens_map.json"),
            generation: json(dir, "generation_config.json"),
            templates,
        }
    }

    /// The token of that name, as `tokenizer_config.json` or the older map has it.
    pub fn token(&self, name: &str) -> Option<String> {
        [&self.settings, &self.map]
            .into_iter()
            .find_map(|file| content(&file[name]))
    }

    /// All tokens that have a name, as templates are given them.
    pub fn tokens(&self) -> Vec<(String, String)> {
        let named = NAMED
            .iter()
            .filter_map(|&name| Some((name.to_owned(), self.token(name)?)));
        // `image_token` and the like.
        let more = ["extra_special_tokens", "model_specific_special_tokens"]
            .into_iter()
            .filter_map(|key| self.settings[key].as_object())
            .flatten()
            .filter_map(|(name, token)| Some((name.clone(), content(token)?)));
        named.chain(more).collect()
    }

    /// Ids at which generation stops, by `generation_config.json`.
    pub fn eos_ids(&self) -> Vec<u32> {
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        match &self.generation["eos_token_id"] {
            Value::Array(ids) => ids.iter().filter_map(id).collect(),
            one => id(one).into_iter().collect(),
        }
    }

    /// The chat templates by name. Files of their own go before those in the settings.
    pub fn templates(&self) -> BTreeMap<String, String> {
        let mut templates = match &self.settings["chat_template"] {
            Value::String(text) => BTreeMap::from([("default".to_owned(), text.clone())]),
            Value::Array(named) => named
                .iter()
                .filter_map(|entry| {
                    let name = entry["name"].as_str()?.to_owned();
                    Some((name, entry["template"].as_str()?.to_owned()))
                })
                .collect(),
            _ => BTreeMap::new(),
        };
        templates.extend(self.templates.clone());
        templates
    }
}

fn json(dir: &Path, name: &str) -> Value {
    std::fs::read_to_string(dir.join(name))
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or(Value::Null)
}

/// A token's text, which may stand alone or in an object.
fn content(token: &Value) -> Option<String> {
    let text = token.as_str().or(token["content"].as_str())?;
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_templates_and_tokens_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write(
            "tokenizer_config.json",
            r#"{"bos_token": {"content": "<s>"}, "eos_token": null, "pad_token": "",
                "extra_special_tokens": {"image_token": "<image>"},
                "chat_template": [{"name": "default", "template": "A"}, {"name": "tool_use", "template": "B"}]}"#,
        );
        write("special_tokens_map.json", r#"{"eos_token": "</s>"}"#);
        write("generation_config.json", r#"{"eos_token_id": [2, 7]}"#);
        let files = TokenizerFiles::read(dir.path());
        assert_eq!(files.token("bos_token").as_deref(), Some("<s>"));
        let names: Vec<(String, String)> = files.tokens();
        let names: Vec<&str> = names.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(names, ["<s>", "</s>", "<image>"]);
        assert_eq!(files.eos_ids(), [2, 7]);
        assert_eq!(files.templates()["tool_use"], "B");
        write("chat_template.jinja", "C");
        std::fs::create_dir(dir.path().join("additional_chat_templates")).unwrap();
        write("additional_chat_templates/rag.jinja", "D");
        let templates = TokenizerFiles::read(dir.path()).templates();
        let texts: Vec<&str> = templates.values().map(String::as_str).collect();
        assert_eq!(texts, ["C", "D", "B"]);
    }

    #[test]
    fn a_folder_without_files_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let files = TokenizerFiles::read(dir.path());
        assert!(files.templates().is_empty() && files.tokens().is_empty());
        assert!(files.eos_ids().is_empty());
    }
}
