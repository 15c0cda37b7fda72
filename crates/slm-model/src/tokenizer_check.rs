//! What `tokenizers` panics on in a `tokenizer.json`, found before it reads the file.
//!
//! Does not know what a tokenizer does.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// The parts that matter here.
#[derive(Deserialize)]
struct File {
    /// Anything that is valid JSON; on what is not, `tokenizers` panics.
    #[serde(default, rename = "decoder")]
    _decoder: serde_json::Value,
    #[serde(default)]
    model: Model,
}

#[derive(Default, Deserialize)]
struct Model {
    #[serde(default)]
    continuing_subword_prefix: serde_json::Value,
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
/// It is no JSON, or a merge's second token is shorter than the prefix that is cut off it.
pub fn check(text: &str) -> Result<(), String> {
    let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
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
    fn a_decoder_that_is_no_json_is_refused() {
        assert!(check(r#"{"decoder": {"type": }"#).is_err());
        check(r#"{"model": {"type": "Unigram"}, "decoder": null}"#).unwrap();
        check("{}").unwrap();
    }
}
