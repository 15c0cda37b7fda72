//! A short way to the end of an answer, found by trying: what closes something first.
//!
//! Not the shortest there is, but one that is short where values may be empty, and that leaves
//! texts which want a certain letter before they may end. Does not know what the grammar is.

use llguidance::Matcher;

/// Most tokens that are tried, and most of them that the grammar allows.
const ATTEMPTS: usize = 10_000;
const STEPS: usize = 1_000;

/// Bytes in the order in which they are tried; all others follow. What ends a value is first, then
/// what addresses and times cannot end without.
const FIRST: &[u8] = b"\"}]@:.0123456789ntfabcdeghijklmopqrsuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-/";
/// Bytes that open or go on; they come last.
const LAST: &[u8] = b",[{";
/// White space may stand nearly everywhere and ends nothing: it comes after all else.
const SPACE: &[u8] = b" \n\t\r";

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
    let named = [FIRST, LAST, SPACE].concat();
    let rest = (0..=u8::MAX).filter(|byte| !named.contains(byte));
    let bytes = FIRST.iter().copied().chain(rest);
    let bytes = bytes.chain(LAST.iter().chain(SPACE).copied());
    let candidates = bytes.filter_map(|byte| {
        Some(Candidate {
            token: trie.token_id(&[byte])?,
            is_space: SPACE.contains(&byte),
            is_quote: byte == b'"',
            uses: 0,
        })
    });
    let mut search = Search {
        candidates: candidates.collect(),
        matcher,
        path: Vec::new(),
        most,
        is_varied: false,
        attempts: ATTEMPTS,
        steps: STEPS,
    };
    let begun = match next {
        None => true,
        Some(token) => search.take(token),
    };
    let mut found = begun && search.end();
    if begun && !found {
        search.is_varied = true;
        (search.attempts, search.steps) = (ATTEMPTS, STEPS);
        found = search.end();
    }
    let path = std::mem::take(&mut search.path);
    let back = search.matcher.rollback(path.len());
    back.map_err(|error| error.to_string())?;
    Ok(found.then_some(path))
}

/// A byte that may lead to the end.
struct Candidate {
    token: u32,
    is_space: bool,
    is_quote: bool,
    /// How often it stands on the path.
    uses: usize,
}

impl Candidate {
    /// What is tried earlier has the smaller rank, in a varied search. A text that takes any letter
    /// but wants a certain one, as an address its `@`, is not left by trying the first letter
    /// forever. A quote is not held back; it ends a text wherever it may.
    fn rank(&self) -> (bool, usize) {
        let uses = if self.is_quote { 0 } else { self.uses };
        (self.is_space, uses)
    }
}

struct Search<'a> {
    matcher: &'a mut Matcher,
    candidates: Vec<Candidate>,
    path: Vec<u32>,
    most: usize,
    /// Whether what the path has not had goes before what it has.
    is_varied: bool,
    attempts: usize,
    steps: usize,
}

impl Search<'_> {
    /// Takes a token if the grammar allows it.
    fn take(&mut self, token: u32) -> bool {
        self.attempts = self.attempts.saturating_sub(1);
        let allowed = matches!(self.matcher.validate_tokens(&[token]), Ok(1));
        let taken = allowed && self.matcher.consume_token(token).is_ok();
        if taken {
            self.steps = self.steps.saturating_sub(1);
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
            // Ties stay in the order of the candidates.
            let mut order: Vec<usize> = (0..self.candidates.len()).collect();
            if self.is_varied {
                order.sort_by_key(|number| self.candidates[*number].rank());
            }
            for number in order {
                if self.attempts.min(self.steps) == 0 || self.path.len() >= self.most {
                    break;
                }
                if self.take(self.candidates[number].token) {
                    self.candidates[number].uses += 1;
                    if self.end() {
                        return true;
                    }
                    self.candidates[number].uses -= 1;
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
            self.steps = 0;
        }
    }
}
