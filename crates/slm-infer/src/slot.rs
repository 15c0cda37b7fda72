//! One request being answered: the tokens taken so far, and how the next is taken.
//!
//! Does not know the model, nor other requests.

use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::cache::Cache;
use crate::request::{Answer, Ending, Finish, Request, TokenMask};
use crate::sample;

/// One request being answered.
pub struct Slot<'a> {
    /// The request's place among all.
    pub number: usize,
    /// What the model has seen of it.
    pub cache: Cache,
    /// Tokens taken that the model has not seen.
    pub pending: Vec<u32>,
    /// Why the answer has ended, if it has.
    pub finish: Option<Finish>,
    request: &'a Request,
    budget: usize,
    tokens: Vec<u32>,
    log_probabilities: Vec<f32>,
    forced: usize,
    rng: ChaCha8Rng,
    mask: Option<Box<dyn TokenMask>>,
    started: Instant,
}

impl<'a> Slot<'a> {
    /// A request of which nothing is answered yet, with at most `budget` tokens to come.
    pub fn new(number: usize, request: &'a Request, budget: usize, cache: Cache) -> Self {
        Self {
            number,
            cache,
            pending: Vec::new(),
            finish: None,
            request,
            budget,
            tokens: Vec::new(),
            log_probabilities: Vec::new(),
            forced: 0,
            rng: ChaCha8Rng::seed_from_u64(request.seed),
            mask: request.mask.as_ref().map(|mask| mask.start()),
            started: Instant::now(),
        }
    }

    /// Takes the next token from `logits`, and those that it forces, or ends.
    pub fn accept(&mut self, logits: &mut [f32]) {
        let seen = self.request.prompt.iter().chain(&self.tokens).copied();
        sample::penalize(logits, seen, self.request.repetition_penalty);
        if let Some(mask) = &mut self.mask {
            mask.allow(logits);
        }
        let Some((token, log_probability)) = self.choose(logits) else {
            self.finish = Some(Finish::DeadEnd);
            return;
        };
        if self.request.stop_tokens.contains(&token) {
            let may_end = self
                .mask
                .as_mut()
                .is_none_or(|mask| matches!(mask.ending(), Ending::Possible | Ending::Complete));
            self.finish = Some(if may_end {
                Finish::Stop
            } else {
                Finish::Length
            });
            return;
        }
        if self.request.close && self.close_before(token) {
            return;
        }
        self.take(token, log_probability);
        if let Some(mask) = &mut self.mask {
            mask.accept(token);
        }
        self.force();
    }

    /// Chooses among the tokens that the mask does not refuse.
    fn choose(&mut self, logits: &mut [f32]) -> Option<(u32, f32)> {
        loop {
            let chosen = sample::choose(logits, self.request, &mut self.rng)?;
            match &self.mask {
                Some(mask) if mask.refuses(chosen.0) => {
                    logits[chosen.0 as usize] = f32::NEG_INFINITY;
                }
                _ => return Some(chosen),
            }
        }
    }

    /// Takes the tokens about which there is no choice; ends where the answer is complete or the
    /// budget used up.
    pub fn force(&mut self) {
        let left = self.budget - self.tokens.len();
        if let Some(mask) = &mut self.mask {
            let forced = mask.forced();
            let ending = mask.ending();
            let cut = forced.len() > left;
            for token in forced.into_iter().take(left) {
                self.forced += 1;
                self.take(token, 0.0);
            }
            self.finish = match ending {
                Ending::Broken => Some(Finish::DeadEnd),
                Ending::Complete if !cut => Some(Finish::Stop),
                _ => None,
            };
        }
        let ends = self.request.ends.as_ref();
        if self.finish.is_none() && ends.is_some_and(|ends| ends(&self.tokens)) {
            self.finish = Some(Finish::Stop);
        }
        if self.finish.is_none() && self.tokens.len() >= self.budget {
            self.finish = Some(Finish::Length);
        }
    }

    /// Ends the answer in the shortest way found if, behind `token`, no way to its end would fit
    /// the budget any more. Whether it did.
    fn close_before(&mut self, token: u32) -> bool {
        let left = self.budget - self.tokens.len();
        let Some(mask) = &mut self.mask else {
            return false;
        };
        if mask.closing(Some(token), left).is_some() {
            return false;
        }
        let Some(closing) = mask.closing(None, left) else {
            return false;
        };
        for token in closing {
            self.forced += 1;
            self.take(token, 0.0);
        }
        self.finish = Some(Finish::Stop);
        true
    }

    fn take(&mut self, token: u32, log_probability: f32) {
        self.tokens.push(token);
        self.log_probabilities.push(log_probability);
        self.pending.push(token);
    }

    /// The answer as far as it came.
    pub fn answer(self) -> Answer {
        Answer {
            tokens: self.tokens,
            finish: self.finish.unwrap_or(Finish::Length),
            log_probabilities: self.log_probabilities,
            latency_ms: self.started.elapsed().as_secs_f64() * 1e3,
            prefill_tokens: self.request.prompt.len(),
            forced_tokens: self.forced,
            constrained: self.mask.is_some(),
        }
    }
}
