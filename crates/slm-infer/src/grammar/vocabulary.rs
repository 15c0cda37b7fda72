//! A tokenizer as the grammar engine sees it: the bytes of every token, and how forced bytes
//! are cut into tokens.
//!
//! Does not know grammars.

use std::sync::Arc;

use llguidance::toktrie::{INVALID_TOKEN, TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};
use slm_model::Tokenizer as ModelTokenizer;
use tokenizers::normalizers::Sequence as NormalizerSequence;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizerSequence;
use tokenizers::{DecoderWrapper, NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

use super::error::GrammarError;

/// How a vocabulary writes bytes.
#[derive(Clone, Copy)]
enum Spelling {
    /// One printable character per byte, as GPT-2 has it.
    ByteLevel,
    /// Text with this character for the space; other bytes as `<0x..>`.
    ByteFallback(char),
}

/// The trie of a vocabulary and the tokenizer for forced bytes.
struct Vocabulary {
    trie: TokTrie,
    tokenizer: Tokenizer,
}

/// The vocabulary of a model of `vocab_size` rows whose answers end with one of `stop_tokens`.
///
/// # Errors
/// When the tokenizer's decoder says nothing of bytes.
pub fn vocabulary(
    tokenizer: &ModelTokenizer,
    vocab_size: usize,
    stop_tokens: &[u32],
) -> Result<TokEnv, GrammarError> {
    let mut inner = tokenizer.inner().clone();
    let spelling = spelling(&inner).ok_or(GrammarError::Tokenizer)?;
    let words = words(&inner, spelling, vocab_size);
    let known: Vec<TokenId> = stop_tokens
        .iter()
        .copied()
        .filter(|token| (*token as usize) < vocab_size)
        .collect();
    let eos = known.first().copied().unwrap_or(INVALID_TOKEN);
    let mut trie = TokTrie::from(&TokRxInfo::new(vocab_size as u32, eos), &words);
    if known.len() > 1 {
        trie = trie.with_eos_tokens(&known);
    }
    begin_anywhere(&mut inner);
    inner.set_encode_special_tokens(true);
    Ok(Arc::new(Vocabulary {
        trie,
        tokenizer: inner,
    }))
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        let tokens = self.trie.tokenize_with_greedy_fallback(bytes, |text| {
            let encoded = self.tokenizer.encode_fast(text, false);
            encoded.map_or_else(
                |_| self.trie.greedy_tokenize(text.as_bytes()),
                |encoding| encoding.get_ids().to_vec(),
            )
        });
        // A tokenizer that changes texts (a normalizer, a prefix) must not change forced bytes.
        match self.trie.decode(&tokens) == bytes {
            true => tokens,
            false => self.trie.greedy_tokenize(bytes),
        }
    }
}

/// How the decoder reads tokens, if it says so.
fn spelling(tokenizer: &Tokenizer) -> Option<Spelling> {
    fn walk(decoder: &DecoderWrapper, fallback: &mut bool, level: &mut bool, space: &mut char) {
        match decoder {
            DecoderWrapper::ByteFallback(_) => *fallback = true,
            DecoderWrapper::ByteLevel(_) => *level = true,
            DecoderWrapper::Replace(replace) if replace.content == " " => {
                // The pattern has no accessor.
                let value = serde_json::to_value(replace).unwrap_or_default();
                let pattern = value["pattern"]["String"].as_str().unwrap_or_default();
                if let (Some(found), 1) = (pattern.chars().next(), pattern.chars().count()) {
                    *space = found;
                }
            }
            DecoderWrapper::Sequence(parts) => {
                for part in parts.get_decoders() {
                    walk(part, fallback, level, space);
                }
            }
            _ => {}
        }
    }
    let (mut fallback, mut level, mut space) = (false, false, '\u{2581}');
    walk(
        tokenizer.get_decoder()?,
        &mut fallback,
        &mut level,
        &mut space,
    );
    match (fallback, level) {
        (true, _) => Some(Spelling::ByteFallback(space)),
        (false, true) => Some(Spelling::ByteLevel),
        (false, false) => None,
    }
}

/// The bytes of every token; those that stand for no text carry the marker of special tokens.
fn words(tokenizer: &Tokenizer, spelling: Spelling, vocab_size: usize) -> Vec<Vec<u8>> {
    let added = tokenizer.get_added_tokens_decoder();
    let bytes_of = byte_level_alphabet();
    (0..vocab_size as u32)
        .map(|id| match (added.get(&id), tokenizer.id_to_token(id)) {
            (Some(token), _) if !token.special => token.content.clone().into_bytes(),
            (None, Some(text)) => match spelling {
                Spelling::ByteLevel => text
                    .chars()
                    .map(|c| bytes_of.get(c as usize).copied().flatten())
                    .collect::<Option<Vec<u8>>>()
                    .unwrap_or_else(|| marked(id)),
                Spelling::ByteFallback(space) => fallback_bytes(&text, space),
            },
            _ => marked(id),
        })
        .collect()
}

/// A name that no text has.
fn marked(id: u32) -> Vec<u8> {
    let mut name = vec![TokTrie::SPECIAL_TOKEN_MARKER];
    name.extend_from_slice(format!("<{id}>").as_bytes());
    name
}

fn fallback_bytes(text: &str, space: char) -> Vec<u8> {
    let byte = text
        .strip_prefix("<0x")
        .and_then(|rest| rest.strip_suffix('>'))
        .and_then(|digits| u8::from_str_radix(digits, 16).ok());
    match byte {
        Some(byte) => vec![byte],
        None => text.replace(space, " ").into_bytes(),
    }
}

/// GPT-2's byte alphabet by code point.
fn byte_level_alphabet() -> Vec<Option<u8>> {
    let mut table = vec![None; 0x200];
    let mut next = 0x100;
    for byte in 0..=255u8 {
        let shown = matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
        let code = match shown {
            true => usize::from(byte),
            false => {
                next += 1;
                next - 1
            }
        };
        table[code] = Some(byte);
    }
    table
}

/// Takes out what a tokenizer does at the beginning of a text: forced bytes stand within one.
fn begin_anywhere(tokenizer: &mut Tokenizer) {
    fn normalizer(found: NormalizerWrapper) -> Option<NormalizerWrapper> {
        match found {
            NormalizerWrapper::Prepend(_) => None,
            NormalizerWrapper::Sequence(parts) => {
                let kept = parts.as_ref().iter().cloned().filter_map(normalizer);
                Some(NormalizerWrapper::Sequence(NormalizerSequence::new(
                    kept.collect(),
                )))
            }
            other => Some(other),
        }
    }
    fn pre_tokenizer(found: PreTokenizerWrapper) -> PreTokenizerWrapper {
        match found {
            PreTokenizerWrapper::Metaspace(mut metaspace) => {
                metaspace.prepend_scheme = PrependScheme::Never;
                PreTokenizerWrapper::Metaspace(metaspace)
            }
            PreTokenizerWrapper::Sequence(parts) => {
                let parts = parts.as_ref().iter().cloned().map(pre_tokenizer);
                PreTokenizerWrapper::Sequence(PreTokenizerSequence::new(parts.collect()))
            }
            other => other,
        }
    }
    if let Some(found) = tokenizer.get_normalizer().cloned() {
        tokenizer.with_normalizer(normalizer(found));
    }
    if let Some(found) = tokenizer.get_pre_tokenizer().cloned() {
        tokenizer.with_pre_tokenizer(Some(pre_tokenizer(found)));
    }
}
