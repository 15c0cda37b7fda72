//! What `tokenizers` panics on in a `tokenizer.json`, found before it reads the file.
//!
//! Does not know what a tokenizer does.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// The parts that matter here.
#[derive(Deserialize)]
struct File {
    /// Anything that is valid JSON; on what is not, `tokenizers` panics.
    #[serde(default, rename = "decoder")]
    _decoder: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    model: Model,
}

#[derive(Default, Deserialize)]
struct Model {
    #[serde(default)]
    continuing_subword_prefix: Value,
    #[serde(default)]
    merges: Vec<Merge>,
}

/// Two tokens that become one, as the file's older and newer forms write them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(IgnoredAny, String),
    Line(String),
    Other(IgnoredAny),
}

impl Merge {
    fn second(&self) -> Option<&str> {
        match self {
            Self::Pair(_, second) => Some(second),
            Self::Line(line) => line.split_once(' ').map(|(_, second)| second),
            Self::Other(_) => None,
        }
    }
}

/// Says what is wrong with the text of a `tokenizer.json`, as far as `tokenizers` would not.
///
/// # Errors
/// It is no JSON, a merge's second token is shorter than the prefix that is cut off it, or the
/// template of single texts has a place for a second.
pub fn check(text: &str) -> Result<(), String> {
    let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if wants_a_second_text(&file.post_processor) {
        return Err("`post_processor.single` has the sequence B, which a single text lacks".into());
    }
    let Some(prefix) = file.model.continuing_subword_prefix.as_str() else {
        return Ok(());
    };
    let mut second = file.model.merges.iter().filter_map(Merge::second);
    match second.find(|second| second.get(prefix.len()..).is_none()) {
        None => Ok(()),
        Some(token) => Err(format!(
            "`continuing_subword_prefix` is `{prefix}`, and the merged token `{token}` has no such beginning"
        )),
    }
}

/// Whether a processor, or one of a sequence of them, puts a second text beside a single one.
fn wants_a_second_text(processor: &Value) -> bool {
    let is_second = |piece: &Value| piece["Sequence"]["id"] == "B";
    let pieces = processor["single"].as_array();
    let inner = processor["processors"].as_array();
    pieces.into_iter().flatten().any(is_second)
        || inner.into_iter().flatten().any(wants_a_second_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(prefix: &str, merges: &str) -> String {
        format!(
            r#"{{"model": {{"type": "BPE", "continuing_subword_prefix": {prefix},
                "vocab": {{"a": 0, "b": 1, "ab": 2}}, "merges": {merges}}}}}"#
        )
    }

    #[test]
    fn a_prefix_longer_than_what_it_is_cut_off_is_refused_and_others_are_not() {
        for merges in [r#"["a b"]"#, r#"[["a", "b"]]"#] {
            check(&file("null", merges)).unwrap();
            check(&file(r#""""#, merges)).unwrap();
            check(&file(r#""b""#, merges)).unwrap();
            let problem = check(&file("\"##\"", merges)).unwrap_err();
            assert!(
                problem.contains("`##`") && problem.contains("`b`"),
                "{problem}"
            );
        }
        let split = file(r#""x""#, r#"[["a", "é"]]"#);
        assert!(
            check(&split).is_err(),
            "a prefix that ends within a character"
        );
    }

    #[test]
    fn a_second_text_beside_a_single_one_is_refused() {
        let template = |id: &str| {
            format!(
                r#"{{"post_processor": {{"type": "Sequence", "processors": [{{"type": "TemplateProcessing",
                    "single": [{{"SpecialToken": {{"id": "a", "type_id": 0}}}},
                               {{"Sequence": {{"id": "{id}", "type_id": 0}}}}]}}]}}}}"#
            )
        };
        check(&template("A")).unwrap();
        assert!(check(&template("B")).is_err());
    }

    #[test]
    fn a_decoder_that_is_no_json_is_refused() {
        assert!(check(r#"{"decoder": {"type": }"#).is_err());
        check(r#"{"model": {"type": "Unigram"}, "decoder": null}"#).unwrap();
        check("{}").unwrap();
    }
}
