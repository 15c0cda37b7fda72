//! SNIPS (sonos/nlu-benchmark, 2017-06-custom-intent-engines; CC0; Coucke et al.
//! 2018): seven intents with slots, one folder per intent.
//!
//! Does not know how the answers are scored.

use crate::error::{DataError, Place, Result};
use crate::sample::Sample;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// The intents, one folder each.
pub const INTENTS: [&str; 7] = [
    "AddToPlaylist",
    "BookRestaurant",
    "GetWeather",
    "PlayMusic",
    "RateBook",
    "SearchCreativeWork",
    "SearchScreeningEvent",
];

/// Rows of the complete public set: training, validation.
pub const EXPECTED_ROWS: (usize, usize) = (13_784, 700);

#[derive(Deserialize)]
struct Utterance {
    data: Vec<Span>,
}

#[derive(Deserialize)]
struct Span {
    text: String,
    entity: Option<String>,
}

/// Reads `train_<Intent>_full.json` and `validate_<Intent>.json` of all seven
/// intents: (training, validation).
///
/// The user says the utterance, trimmed; the assistant answers
/// `{"intent":"...","slots":{...}}` with the slots in order of appearance and
/// their values as written, trimmed. A slot that occurs more than once in an
/// utterance (61 of the 13,784 training rows, no validation row) has the array
/// of its values in order.
///
/// # Errors
/// A file is missing or does not have the published shape.
pub fn snips(folder: &Path) -> Result<(Vec<Sample>, Vec<Sample>)> {
    let (mut train, mut validation) = (Vec::new(), Vec::new());
    for intent in INTENTS {
        let part = folder.join(intent);
        train.extend(read_intent(
            &part.join(format!("train_{intent}_full.json")),
            intent,
            "train",
        )?);
        validation.extend(read_intent(
            &part.join(format!("validate_{intent}.json")),
            intent,
            "validate",
        )?);
    }
    Ok((train, validation))
}

fn read_intent(path: &Path, intent: &str, split: &str) -> Result<Vec<Sample>> {
    let bytes = std::fs::read(path).map_err(|e| {
        if e.kind() == std::io::ErrorKind::NotFound {
            return DataError::content(
                Place::file(path),
                "this file of the SNIPS set is missing",
                "give the folder that holds `AddToPlaylist/`, ..., `SearchScreeningEvent/` (2017-06-custom-intent-engines)",
            );
        }
        DataError::io(path, "read", e)
    })?;
    let mut intents: BTreeMap<String, Vec<Utterance>> = serde_json::from_str(&decode(bytes))
        .map_err(|e| {
            DataError::content(
                Place::at(path, e.line(), e.column()),
                format!("not a SNIPS file: {e}"),
                format!("expected `{{\"{intent}\": [{{\"data\": [{{\"text\", \"entity\"?}}]}}]}}`"),
            )
        })?;
    let utterances = intents.remove(intent).ok_or_else(|| {
        DataError::content(
            Place::file(path),
            format!("the file has no key `{intent}`"),
            "each file holds the utterances of the intent that its folder is named for",
        )
    })?;
    utterances
        .iter()
        .enumerate()
        .map(|(n, u)| sample(u, intent, split, n, path))
        .collect()
}

/// UTF-8; or UTF-8 with characters beyond U+FFFF written as two surrogates of
/// three bytes each (the training file of PlayMusic has one: a pizza); or,
/// where neither reads, Latin-1.
fn decode(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => {
            let bytes = e.into_bytes();
            String::from_utf8(join_surrogates(&bytes))
                .unwrap_or_else(|_| bytes.iter().map(|&b| char::from(b)).collect())
        }
    }
}

fn join_surrogates(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        if let [
            0xed,
            a @ 0xa0..=0xaf,
            b @ 0x80..=0xbf,
            0xed,
            c @ 0xb0..=0xbf,
            d @ 0x80..=0xbf,
            ..,
        ] = *rest
        {
            let high = (u32::from(a & 0x0f) << 6) | u32::from(b & 0x3f);
            let low = (u32::from(c & 0x0f) << 6) | u32::from(d & 0x3f);
            let character = char::from_u32(0x1_0000 + (high << 10) + low)
                .unwrap_or(char::REPLACEMENT_CHARACTER);
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            rest = &rest[6..];
        } else {
            out.push(first);
            rest = tail;
        }
    }
    out
}

fn sample(
    utterance: &Utterance,
    intent: &str,
    split: &str,
    index: usize,
    path: &Path,
) -> Result<Sample> {
    let text: String = utterance
        .data
        .iter()
        .map(|span| span.text.as_str())
        .collect();
    if text.trim().is_empty() {
        return Err(DataError::content(
            Place::file(path),
            format!("utterance {index} of `{intent}` has no text"),
            "compare the file with the published one",
        ));
    }
    let mut slots = Map::new();
    for span in &utterance.data {
        if let Some(entity) = &span.entity {
            add_slot(&mut slots, entity, span.text.trim());
        }
    }
    let mut answer = Map::new();
    answer.insert("intent".into(), intent.into());
    answer.insert("slots".into(), slots.into());
    let id = format!("snips-{split}-{intent}-{index:05}");
    Ok(
        Sample::pair(id, text.trim(), Value::from(answer).to_string())
            .with("leaf", format!("snips/{intent}"))
            .with("seed", index)
            .with("teacher", "human"),
    )
}

fn add_slot(slots: &mut Map<String, Value>, name: &str, value: &str) {
    match slots.get_mut(name) {
        None => {
            slots.insert(name.to_owned(), value.into());
        }
        Some(Value::Array(values)) => values.push(value.into()),
        Some(first) => *first = Value::Array(vec![first.take(), value.into()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(intent_rows: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for intent in INTENTS {
            let part = folder.path().join(intent);
            std::fs::create_dir(&part).unwrap();
            let text = format!("{{\"{intent}\": {intent_rows}}}");
            std::fs::write(part.join(format!("train_{intent}_full.json")), &text).unwrap();
            std::fs::write(part.join(format!("validate_{intent}.json")), &text).unwrap();
        }
        folder
    }

    const ROWS: &str = r#"[{"data": [{"text": " play "}, {"text": "a ", "entity": "x"}, {"text": "or"},
        {"text": "b", "entity": "x"}, {"text": " by "}, {"text": "c", "entity": "y"}, {"text": "\n"}]}]"#;

    #[test]
    fn joins_text_and_collects_slots_in_order() {
        let (train, validation) = snips(fixture(ROWS).path()).unwrap();
        assert_eq!((train.len(), validation.len()), (7, 7));
        assert_eq!(train[3].id, "snips-train-PlayMusic-00000");
        assert_eq!(validation[3].id, "snips-validate-PlayMusic-00000");
        assert_eq!(train[3].question(), Some("play a orb by c"));
        assert_eq!(
            train[3].answer(),
            Some(r#"{"intent":"PlayMusic","slots":{"x":["a","b"],"y":"c"}}"#)
        );
        assert_eq!(train[3].leaf(), Some("snips/PlayMusic"));
    }

    #[test]
    fn missing_and_misshapen_files_are_named() {
        let folder = fixture(ROWS);
        let path = folder
            .path()
            .join("RateBook")
            .join("validate_RateBook.json");
        std::fs::write(&path, "{\"RateBook\": [{\"data\": 3}]}").unwrap();
        let message = snips(folder.path()).unwrap_err().to_string();
        assert!(
            message.contains("validate_RateBook.json:1:24: not a SNIPS file"),
            "{message}"
        );
        std::fs::write(&path, "{\"Other\": []}").unwrap();
        assert!(
            snips(folder.path())
                .unwrap_err()
                .to_string()
                .contains("no key `RateBook`")
        );
        std::fs::remove_file(&path).unwrap();
        let message = snips(folder.path()).unwrap_err().to_string();
        assert!(
            message.contains("validate_RateBook.json: this file of the SNIPS set is missing"),
            "{message}"
        );
    }

    #[test]
    fn reads_utf8_surrogate_pairs_and_latin1() {
        assert_eq!(decode("é".into()), "é");
        assert_eq!(
            decode(b"\xc3\xa9 \xed\xa0\xbc\xed\xbd\x95!".to_vec()),
            "é \u{1f355}!"
        );
        assert_eq!(decode(b"Caf\xe9".to_vec()), "Café");
    }

    #[test]
    fn counts_of_the_public_set() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/snips");
        if !folder.is_dir() {
            println!("skipped: no copy of SNIPS at {}", folder.display());
            return;
        }
        let (train, validation) = snips(&folder).unwrap();
        assert_eq!((train.len(), validation.len()), EXPECTED_ROWS);
        let repeated = |rows: &[Sample]| {
            rows.iter()
                .filter(|s| {
                    let answer: Value = serde_json::from_str(s.answer().unwrap()).unwrap();
                    answer["slots"]
                        .as_object()
                        .unwrap()
                        .values()
                        .any(Value::is_array)
                })
                .count()
        };
        println!(
            "rows with a repeated slot: {} and {}",
            repeated(&train),
            repeated(&validation)
        );
        assert_eq!(repeated(&validation), 0);
        assert!(train.iter().all(|s| s.fault().is_none()));
        assert!(
            train
                .iter()
                .any(|s| s.question().unwrap().contains("Música Da Série"))
        );
    }
}
