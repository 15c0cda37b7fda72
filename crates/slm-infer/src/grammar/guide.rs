//! One answer under a grammar: what may come, what must come, and when it is complete.
//!
//! Does not know logits beyond forbidding them, nor where the grammar came from.

use llguidance::Matcher;
use llguidance::api::StopReason;

use super::closing::closing;
use super::watch::Watch;
use crate::request::{Ending, TokenMask};

/// Follows one answer through its grammar.
pub struct Guide {
    matcher: Matcher,
    /// Forced tokens that the matcher has consumed already.
    opening: Vec<u32>,
    watch: Option<Watch>,
    broken: bool,
}

impl Guide {
    /// A guide at the beginning of an answer. `matcher` stands behind the tokens of `opening`.
    pub fn new(matcher: Matcher, opening: Vec<u32>, watch: Option<Watch>) -> Self {
        Self {
            matcher,
            opening,
            watch,
            broken: false,
        }
    }

    /// Feeds the bytes of tokens to the watch, if there is one.
    fn see(&mut self, tokens: &[u32]) {
        let (Some(watch), Ok(environment)) = (&mut self.watch, self.matcher.tok_env()) else {
            return;
        };
        let trie = environment.tok_trie();
        for token in tokens {
            self.broken |= !watch.see(trie.token(*token));
        }
    }
}

impl TokenMask for Guide {
    fn forced(&mut self) -> Vec<u32> {
        let mut tokens = std::mem::take(&mut self.opening);
        if !self.matcher.is_stopped() {
            tokens.extend(self.matcher.consume_ff_tokens());
        }
        self.see(&tokens);
        tokens
    }

    fn allow(&mut self, logits: &mut [f32]) {
        match self.matcher.compute_mask_or_eos() {
            Ok(mask) => {
                for (word, logits) in mask.as_slice().iter().zip(logits.chunks_mut(32)) {
                    if *word == u32::MAX {
                        continue;
                    }
                    for (bit, logit) in logits.iter_mut().enumerate() {
                        if (word >> bit) & 1 == 0 {
                            *logit = f32::NEG_INFINITY;
                        }
                    }
                }
                let covered = mask.len().min(logits.len());
                logits[covered..].fill(f32::NEG_INFINITY);
            }
            Err(_) => logits.fill(f32::NEG_INFINITY),
        }
    }

    fn refuses(&self, token: u32) -> bool {
        let (Some(watch), Ok(environment)) = (&self.watch, self.matcher.tok_env()) else {
            return false;
        };
        let trie = environment.tok_trie();
        !trie.eos_tokens().contains(&token) && !watch.clone().see(trie.token(token))
    }

    fn accept(&mut self, token: u32) {
        match self.matcher.consume_token(token) {
            Ok(()) => self.see(&[token]),
            Err(_) => self.broken = true,
        }
    }

    fn ending(&mut self) -> Ending {
        match self.matcher.stop_reason() {
            _ if self.broken => Ending::Broken,
            StopReason::NotStopped => match self.matcher.is_accepting() {
                Ok(true) => Ending::Possible,
                Ok(false) => Ending::Open,
                Err(_) => Ending::Broken,
            },
            StopReason::NoExtension | StopReason::EndOfSentence => Ending::Complete,
            _ => Ending::Broken,
        }
    }

    fn closing(&mut self, next: Option<u32>, most: usize) -> Option<Vec<u32>> {
        let found = closing(&mut self.matcher, next, most);
        found.unwrap_or_else(|_| {
            self.broken = true;
            None
        })
    }
}
