//! Tokenizers that came from SentencePiece, as Gemma, Llama 2, Mistral and Phi-3 have them: BPE over
//! whole characters, blanks written as `▁`, bytes as a last resort.
//!
//! llama.cpp joins the pair whose joined piece has the highest score; `tokenizer.json` has a list of
//! pairs in order. A piece's score is therefore the place of its first pair, and the pairs are all
//! ways to part a piece into two, as transformers' `generate_merges` finds them.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

/// Kinds of tokens that only such tokenizers have.
pub const UNKNOWN: i32 = 2;
const BYTE: i32 = 6;
const NORMAL: i32 = 1;

/// Below every piece that is the joint of a pair.
const NEVER_JOINED: f32 = -1e7;

/// How a tokenizer of this kind is told.
#[derive(Debug, PartialEq)]
pub struct Pieces {
    /// Whether a blank is put before a text.
    pub prefix: bool,
    /// Whether llama.cpp gives the same tokens for every text.
    pub exact: bool,
    scores: HashMap<String, f32>,
    unknown: Option<String>,
}

impl Pieces {
    /// Reads `tokenizer.json`; none when it is of another kind.
    pub fn read(json: &Value) -> Option<Self> {
        let model = &json["model"];
        let vocab = model["vocab"].as_object()?;
        let fits = model["type"] == "BPE" && model["byte_fallback"] == true;
        let bytes = (0..=255).all(|byte| vocab.contains_key(&byte_piece(byte)));
        let (prefix, whole) = blanks(json)?;
        if !(fits && bytes) {
            return None;
        }
        let mut ranks = HashMap::new();
        let mut scores = HashMap::new();
        for (rank, merge) in model["merges"].as_array()?.iter().enumerate() {
            let (left, right) = match merge {
                Value::Array(pair) => (pair.first()?.as_str()?, pair.get(1)?.as_str()?),
                text => text.as_str()?.split_once(' ')?,
            };
            scores
                .entry(format!("{left}{right}"))
                .or_insert(-(rank as f32));
            ranks.insert((left, right), rank);
        }
        // A pair that llama.cpp would join, and the tokenizer does not.
        let more = vocab.keys().any(|piece| {
            let mut pairs = pairs(piece, |part| vocab.contains_key(part));
            !is_byte(piece) && pairs.any(|pair| !ranks.contains_key(&pair))
        });
        Some(Self {
            prefix,
            exact: whole && !more,
            scores,
            unknown: model["unk_token"].as_str().map(str::to_owned),
        })
    }

    /// A token's score.
    pub fn score(&self, piece: &str) -> f32 {
        self.scores.get(piece).copied().unwrap_or(NEVER_JOINED)
    }

    /// What kind a token of the vocabulary is.
    pub fn kind(&self, piece: &str) -> i32 {
        match is_byte(piece) {
            true => BYTE,
            false if self.unknown.as_deref() == Some(piece) => UNKNOWN,
            false => NORMAL,
        }
    }

    /// Whether pairs are joined to this piece, so that it is no mere addition.
    pub fn joined(&self, piece: &str) -> bool {
        self.scores.contains_key(piece)
    }
}

fn byte_piece(byte: u8) -> String {
    format!("<0x{byte:02X}>")
}

fn is_byte(piece: &str) -> bool {
    let digits = piece.strip_prefix("<0x").and_then(|p| p.strip_suffix('>'));
    digits.is_some_and(|d| d.len() == 2 && u8::from_str_radix(d, 16).is_ok())
}

/// Ways to part a piece into two known ones.
fn pairs(piece: &str, known: impl Fn(&str) -> bool) -> impl Iterator<Item = (&str, &str)> {
    let cuts = piece.char_indices().skip(1);
    cuts.map(|(at, _)| piece.split_at(at))
        .filter(move |(left, right)| known(left) && known(right))
}

/// Whether a blank is put before a text, and whether texts are joined as wholes: how `▁` comes
/// about, in the forms in which transformers writes it.
fn blanks(json: &Value) -> Option<(bool, bool)> {
    let steps = |value: &Value, key: &str| match (value.is_null(), value[key].as_array()) {
        (true, _) => Vec::new(),
        (_, Some(steps)) => steps.clone(),
        _ => vec![value.clone()],
    };
    let replaces = |step: &Value| {
        step["type"] == "Replace" && step["pattern"]["String"] == " " && step["content"] == "▁"
    };
    let normalizer = steps(&json["normalizer"], "normalizers");
    let pre = steps(&json["pre_tokenizer"], "pretokenizers");
    // Where blanks are replaced before, Gemma's cut at blanks finds none.
    let idle = pre.iter().all(|step| {
        step["type"] == "Split"
            && step["pattern"]["String"] == " "
            && step["behavior"] == "MergedWithPrevious"
    });
    match (normalizer.as_slice(), pre.as_slice()) {
        ([replace], _) if replaces(replace) && idle => Some((false, true)),
        ([prepend, replace], _) if replaces(replace) && idle => {
            (prepend["type"] == "Prepend" && prepend["prepend"] == "▁").then_some((true, true))
        }
        ([], [metaspace])
            if metaspace["type"] == "Metaspace" && metaspace["replacement"] == "▁" =>
        {
            let whole = metaspace["split"] == false;
            match metaspace["prepend_scheme"].as_str() {
                Some("always") => Some((true, whole)),
                Some("never") => Some((false, whole)),
                // Before the first words only, and prompts begin with a special token.
                Some("first") => Some((false, false)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The parts of `tokenizer.json` that are such a tokenizer's own: normalizer, decoder and model.
///
/// `pieces` are texts, scores and kinds in the order of their numbers, `vocab` the numbers of those
/// that are used.
pub fn restore(
    pieces: &[(&str, f32, i32)],
    vocab: Map<String, Value>,
    prefix: bool,
) -> [(&'static str, Value); 3] {
    let ids: HashMap<&str, usize> = pieces
        .iter()
        .enumerate()
        .map(|(id, (text, ..))| (*text, id))
        .collect();
    let plain = |text: &str| ids.get(text).is_some_and(|id| pieces[*id].2 == NORMAL);
    let mut merges: Vec<(&str, &str, f32)> = Vec::new();
    for (text, score, kind) in pieces {
        if *kind == NORMAL && *score > NEVER_JOINED {
            let mut found: Vec<(&str, &str)> = pairs(text, plain).collect();
            found.sort_by_key(|(left, right)| (ids[left], ids[right]));
            merges.extend(found.into_iter().map(|(left, right)| (left, right, *score)));
        }
    }
    let lengths =
        |(left, right, _): &(&str, &str, f32)| (right.chars().count(), left.chars().count());
    merges.sort_by(|a, b| {
        b.2.total_cmp(&a.2).then_with(|| {
            let ((ar, al), (br, bl)) = (lengths(a), lengths(b));
            (bl, br).cmp(&(al, ar))
        })
    });
    let merges: Vec<Value> = merges
        .into_iter()
        .map(|(left, right, _)| json!([left, right]))
        .collect();
    let unknown = pieces.iter().find(|(.., kind)| *kind == UNKNOWN);
    let model = json!({"type": "BPE", "dropout": null,
        "unk_token": unknown.map(|(text, ..)| *text), "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true,
        "ignore_merges": false, "vocab": vocab, "merges": merges});
    let mut normalizers = Vec::new();
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if prefix {
        normalizers.push(json!({"type": "Prepend", "prepend": "▁"}));
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    normalizers.push(json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"}));
    [
        (
            "normalizer",
            json!({"type": "Sequence", "normalizers": normalizers}),
        ),
        ("decoder", json!({"type": "Sequence", "decoders": decoders})),
        ("model", model),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tokenizer of bytes, `a`, `b`, `▁` and what `merges` join.
    fn tokenizer(merges: &[(&str, &str)], normalizer: Value, pre: Value) -> Value {
        let mut vocab = Map::new();
        let mut put = |piece: String| {
            let id = vocab.len();
            vocab.insert(piece, id.into());
        };
        put("<unk>".to_owned());
        (0..=255).for_each(|byte| put(byte_piece(byte)));
        for piece in ["a", "b", "▁"] {
            put(piece.to_owned());
        }
        for (left, right) in merges {
            put(format!("{left}{right}"));
        }
        json!({"normalizer": normalizer, "pre_tokenizer": pre,
            "model": {"type": "BPE", "byte_fallback": true, "unk_token": "<unk>",
                "vocab": vocab, "merges": merges}})
    }

    fn replace() -> Value {
        json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})
    }

    #[test]
    fn pieces_have_the_places_of_their_pairs_as_scores() {
        let json = tokenizer(&[("a", "b"), ("▁", "ab")], replace(), Value::Null);
        let pieces = Pieces::read(&json).unwrap();
        assert!(pieces.exact && !pieces.prefix);
        assert_eq!((pieces.score("ab"), pieces.score("▁ab")), (0.0, -1.0));
        assert!(pieces.score("a") < pieces.score("▁ab"));
        let kinds = ["<unk>", "<0x0A>", "ab"].map(|piece| pieces.kind(piece));
        assert_eq!(kinds, [UNKNOWN, BYTE, NORMAL]);
    }

    #[test]
    fn a_pair_that_only_llama_cpp_would_join_is_told() {
        let mut json = tokenizer(&[("a", "b"), ("▁", "ab")], replace(), Value::Null);
        json["model"]["vocab"]["▁a"] = 400.into();
        assert!(!Pieces::read(&json).unwrap().exact);
    }

    #[test]
    fn blanks_are_written_in_the_known_ways() {
        let metaspace = |scheme: &str, split: bool| {
            json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme,
                "split": split})
        };
        let prepend = json!({"type": "Sequence", "normalizers":
            [{"type": "Prepend", "prepend": "▁"}, replace()]});
        let cut = json!({"type": "Split", "pattern": {"String": " "},
            "behavior": "MergedWithPrevious", "invert": false});
        let cases = [
            (replace(), cut, Some((false, true))),
            (prepend, Value::Null, Some((true, true))),
            (Value::Null, metaspace("always", false), Some((true, true))),
            (Value::Null, metaspace("first", false), Some((false, false))),
            (Value::Null, metaspace("never", true), Some((false, false))),
            (Value::Null, Value::Null, None),
            (json!({"type": "Lowercase"}), Value::Null, None),
        ];
        for (normalizer, pre, expected) in cases {
            let read = Pieces::read(&tokenizer(&[("a", "b")], normalizer.clone(), pre));
            let found = read.map(|pieces| (pieces.prefix, pieces.exact));
            assert_eq!(found, expected, "{normalizer}");
        }
    }

    #[test]
    fn pairs_come_back_in_their_order() {
        let merges = [("a", "b"), ("▁", "a"), ("▁a", "b"), ("▁", "ab")];
        let vocab = [("a", -1e7), ("b", -1e7), ("▁", -1e7), ("ab", 0.0)];
        let more = [("▁a", -1.0), ("▁ab", -2.0)];
        let pieces: Vec<(&str, f32, i32)> = vocab
            .into_iter()
            .chain(more)
            .map(|(text, score)| (text, score, NORMAL))
            .collect();
        let [_, _, (_, model)] = restore(&pieces, Map::new(), true);
        let found: Vec<Value> = merges.iter().map(|(l, r)| json!([l, r])).collect();
        assert_eq!(model["merges"], Value::Array(found));
    }

    #[test]
    fn a_restored_tokenizer_reads_and_writes_every_text() {
        let mut pieces = vec![("<unk>".to_owned(), NEVER_JOINED, UNKNOWN)];
        pieces.extend((0..=255).map(|byte| (byte_piece(byte), NEVER_JOINED, BYTE)));
        let plain = [
            ("a", -1e7),
            ("b", -1e7),
            ("▁", -1e7),
            ("ab", -1.0),
            ("▁ab", -2.0),
        ];
        pieces.extend(plain.map(|(text, score)| (text.to_owned(), score, NORMAL)));
        let vocab = pieces.iter().enumerate();
        let vocab = vocab
            .map(|(id, (text, ..))| (text.clone(), id.into()))
            .collect();
        let borrowed: Vec<(&str, f32, i32)> = pieces
            .iter()
            .map(|(text, score, kind)| (text.as_str(), *score, *kind))
            .collect();
        let mut json = json!({"version": "1.0", "truncation": null, "padding": null,
            "added_tokens": [], "pre_tokenizer": null, "post_processor": null});
        for (key, value) in restore(&borrowed, vocab, true) {
            json[key] = value;
        }
        assert!(Pieces::read(&json).unwrap().exact);
        let room = tempfile::tempdir().unwrap();
        std::fs::write(room.path().join("tokenizer.json"), json.to_string()).unwrap();
        let tokenizer = crate::Tokenizer::load(room.path()).unwrap();
        let tokens = tokenizer.encode("ab  é").unwrap();
        // `▁ab`, two blanks, two bytes.
        assert_eq!(tokens, [261, 259, 259, 1 + 0xC3, 1 + 0xA9]);
        assert_eq!(tokenizer.decode(&tokens).unwrap(), "ab  é");
        // A text that follows another begins with its own blank.
        assert_eq!(tokenizer.decode_within(&tokens).unwrap(), " ab  é");
    }
}
