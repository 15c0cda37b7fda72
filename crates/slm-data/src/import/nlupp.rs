//! NLU++ (PolyAI-LDN/task-specific-datasets, CC BY 4.0; Casanueva et al. 2022):
//! several intents per utterance and typed slots, in 20 folds per domain.
//!
//! Does not choose which folds are trained on.

use crate::error::{DataError, Place, Result};
use crate::sample::Sample;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The domains, one folder each.
pub const DOMAINS: [&str; 2] = ["banking", "hotels"];

const FOLDS: usize = 20;

#[derive(Deserialize)]
struct Utterance {
    text: String,
    #[serde(default)]
    intents: Vec<String>,
    #[serde(default)]
    slots: Map<String, Value>,
}

/// Reads `<domain>/fold0.json` to `fold19.json`: the rows of each fold. The
/// assistant answers `{"intents":[...],"slots":{...}}` with the slots' text as
/// the user wrote it.
///
/// # Errors
/// A file is missing or does not have the published shape.
pub fn nlupp(folder: &Path, domain: &str) -> Result<Vec<Vec<Sample>>> {
    if !DOMAINS.contains(&domain) {
        return Err(DataError::settings(
            format!("NLU++ has no domain `{domain}`"),
            format!("use one of `{}`", DOMAINS.join("`, `")),
        ));
    }
    (0..FOLDS)
        .map(|fold| {
            read_fold(
                &folder.join(domain).join(format!("fold{fold}.json")),
                domain,
                fold,
            )
        })
        .collect()
}

fn read_fold(path: &Path, domain: &str, fold: usize) -> Result<Vec<Sample>> {
    let text = std::fs::read_to_string(path).map_err(|e| DataError::io(path, "read", e))?;
    let hint = "expected `[{\"text\", \"intents\"?, \"slots\"?: {NAME: {\"text\"}}}]`";
    let utterances: Vec<Utterance> = serde_json::from_str(&text).map_err(|e| {
        DataError::content(
            Place::at(path, e.line(), e.column()),
            format!("not an NLU++ fold: {e}"),
            hint,
        )
    })?;
    let sample = |(n, u): (usize, &Utterance)| {
        let mut slots = Map::new();
        for (name, slot) in &u.slots {
            let value = slot.get("text").and_then(Value::as_str).ok_or_else(|| {
                DataError::content(
                    Place::file(path),
                    format!("slot `{name}` of utterance {n} has no text"),
                    hint,
                )
            })?;
            slots.insert(name.clone(), value.trim().into());
        }
        let answer = json!({"intents": u.intents, "slots": slots}).to_string();
        Ok(Sample::pair(
            format!("nlupp-{domain}-{fold:02}-{n:04}"),
            u.text.trim(),
            answer,
        )
        .with("leaf", format!("nlupp/{domain}"))
        .with("fold", fold)
        .with("teacher", "human"))
    };
    utterances.iter().enumerate().map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_folds_and_names_faults() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("hotels")).unwrap();
        for fold in 0..FOLDS {
            let text =
                r#"[{"text": "by 5 pm ", "slots": {"time": {"text": "5 pm", "span": [3, 7]}}}]"#;
            std::fs::write(folder.path().join(format!("hotels/fold{fold}.json")), text).unwrap();
        }
        let folds = nlupp(folder.path(), "hotels").unwrap();
        assert_eq!(folds.len(), 20);
        assert_eq!(folds[7][0].id, "nlupp-hotels-07-0000");
        assert_eq!(
            folds[7][0].answer(),
            Some(r#"{"intents":[],"slots":{"time":"5 pm"}}"#)
        );
        std::fs::write(
            folder.path().join("hotels/fold3.json"),
            r#"[{"text": "x", "slots": {"a": 1}}]"#,
        )
        .unwrap();
        assert!(
            nlupp(folder.path(), "hotels")
                .unwrap_err()
                .to_string()
                .contains("fold3.json: slot `a`")
        );
        assert!(
            nlupp(folder.path(), "cars")
                .unwrap_err()
                .to_string()
                .contains("`banking`, `hotels`")
        );
    }

    #[test]
    fn counts_of_the_public_set() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/nlupp");
        if !folder.is_dir() {
            println!("skipped: no copy of NLU++ at {}", folder.display());
            return;
        }
        let rows = |domain| {
            nlupp(&folder, domain)
                .unwrap()
                .iter()
                .map(Vec::len)
                .sum::<usize>()
        };
        assert_eq!((rows("banking"), rows("hotels")), (2_071, 1_009));
    }
}
