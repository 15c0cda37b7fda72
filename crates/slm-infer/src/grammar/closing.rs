//! A short way to the end of an answer, found by trying: what closes something first.
//!
//! Not the shortest there is, but one that is short where values may be empty. Does not know
//! what the grammar is.

use llguidance::Matcher;

/// Most tokens that are tried.
const ATTEMPTS: usize = 4_000;

/// Bytes in the order in which they are tried; all others follow.
const FIRST: &[u8] = b"\"}]0123456789ntfabcdeghijklmopqrsuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ -.";
/// Bytes that open or go on; they come last.
const LAST: &[u8] = b"\n:,[{";

/// The tokens from where `matcher` stands, `next` first if it is given, to a place where the
/// answer may end; at most `most`. The matcher stands where it stood afterwards.
///
/// # Errors
/// When it cannot be brought back there.
pub fn closing(
    matcher: &mut Matcher,
    next: Option<u32>,
    most: usize,
) -> Result<Option<Vec<u32>>, String> {
    let Ok(environment) = matcher.tok_env() else {
        return Ok(None);
    };
    let trie = environment.tok_trie();
    let rest = (0..=u8::MAX).filter(|byte| !FIRST.contains(byte) && !LAST.contains(byte));
    let bytes = FIRST
        .iter()
        .copied()
        .chain(rest)
        .chain(LAST.iter().copied());
    let mut search = Search {
        matcher,
        candidates: bytes.filter_map(|byte| trie.token_id(&[byte])).collect(),
        path: Vec::new(),
        most,
        left: ATTEMPTS,
    };
    let begun = match next {
        None => true,
        Some(token) => search.take(token),
    };
    let found = begun && search.end();
    let path = std::mem::take(&mut search.path);
    let back = search.matcher.rollback(path.len());
    back.map_err(|error| error.to_string())?;
    Ok(found.then_some(path))
}

struct Search<'a> {
    matcher: &'a mut Matcher,
    candidates: Vec<u32>,
    path: Vec<u32>,
    most: usize,
    left: usize,
}

impl Search<'_> {
    /// Takes a token if the grammar allows it.
    fn take(&mut self, token: u32) -> bool {
        self.left = self.left.saturating_sub(1);
        let allowed = matches!(self.matcher.validate_tokens(&[token]), Ok(1));
        let taken = allowed && self.matcher.consume_token(token).is_ok();
        if taken {
            self.path.push(token);
        }
        taken
    }

    /// Goes on to an end; leaves the path at it, or as it was.
    fn end(&mut self) -> bool {
        let before = self.path.len();
        if !self.matcher.is_stopped() {
            self.path.extend(self.matcher.consume_ff_tokens());
        }
        if self.path.len() <= self.most {
            let complete = self.matcher.is_stopped() && !self.matcher.is_error();
            if complete || self.matcher.is_accepting().unwrap_or(false) {
                return true;
            }
            for number in 0..self.candidates.len() {
                if self.left == 0 || self.path.len() >= self.most {
                    break;
                }
                if self.take(self.candidates[number]) {
                    if self.end() {
                        return true;
                    }
                    self.back_to(self.path.len() - 1);
                }
            }
        }
        self.back_to(before);
        false
    }

    fn back_to(&mut self, length: usize) {
        // A matcher that cannot go back refuses everything from here on, so the search ends.
        if self.matcher.rollback(self.path.len() - length).is_ok() {
            self.path.truncate(length);
        } else {
            self.left = 0;
        }
    }
}
