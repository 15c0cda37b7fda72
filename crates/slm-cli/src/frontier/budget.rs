//! Tokens and money, spent and still allowed.
//!
//! A request is only sent when it fits even if its answer is as long as it may be. Does not
//! know who answers.

use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What may be spent, and what tokens cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// The most tokens, read and written.
    pub tokens: Option<u64>,
    /// The most money.
    pub cost: Option<f64>,
    /// Of a million tokens read.
    pub price_input: f64,
    /// Of a million tokens written.
    pub price_output: f64,
}

/// Tokens read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Read.
    pub input: u64,
    /// Written.
    pub output: u64,
}

impl Tokens {
    fn plus(self, other: Self) -> Self {
        Self {
            input: self.input + other.input,
            output: self.output + other.output,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            input: self.input - other.input,
            output: self.output - other.output,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    spent: Tokens,
    /// Set aside for requests under way.
    reserved: Tokens,
    under_way: usize,
    /// Whether a request was refused: what comes after it would be chosen by its size.
    closed: bool,
}

/// The account of one run.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    state: Mutex<State>,
    freed: Condvar,
}

/// What a run has spent.
#[derive(Debug)]
pub struct Spent {
    tokens: Tokens,
    cost: f64,
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} tokens read, {} written",
            self.tokens.input, self.tokens.output
        )?;
        match self.cost > 0.0 {
            true => write!(f, ", cost {:.4}", self.cost),
            false => Ok(()),
        }
    }
}

impl Budget {
    /// An account with nothing spent.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            freed: Condvar::new(),
        }
    }

    /// What was spent so far.
    pub fn spent(&self) -> Spent {
        let tokens = self.state().spent;
        self.account(tokens)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cost(&self, tokens: Tokens) -> f64 {
        (tokens.input as f64 * self.limits.price_input
            + tokens.output as f64 * self.limits.price_output)
            / 1e6
    }

    fn allows(&self, tokens: Tokens) -> bool {
        let total = tokens.input + tokens.output;
        self.limits.tokens.is_none_or(|most| total <= most)
            && self
                .limits
                .cost
                .is_none_or(|most| self.cost(tokens) <= most)
    }

    /// Books what was paid for before.
    pub fn book(&self, taken: Tokens) {
        let mut state = self.state();
        state.spent = state.spent.plus(taken);
    }

    /// Sets aside what a request may take; waits for others under way where that may help.
    ///
    /// # Errors
    /// The budget does not allow it, or did not allow one before: with what was spent.
    pub fn reserve(&self, most: Tokens) -> Result<(), Spent> {
        let mut state = self.state();
        loop {
            if state.closed {
                return Err(self.account(state.spent));
            }
            if self.allows(state.spent.plus(state.reserved).plus(most)) {
                state.reserved = state.reserved.plus(most);
                state.under_way += 1;
                return Ok(());
            }
            if state.under_way == 0 || !self.allows(state.spent.plus(most)) {
                state.closed = true;
                self.freed.notify_all();
                return Err(self.account(state.spent));
            }
            state = self
                .freed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Books what a request took in place of what was set aside.
    pub fn settle(&self, reserved: Tokens, taken: Tokens) {
        let mut state = self.state();
        state.reserved = state.reserved.minus(reserved);
        state.spent = state.spent.plus(taken);
        state.under_way -= 1;
        self.freed.notify_all();
    }

    fn account(&self, tokens: Tokens) -> Spent {
        Spent {
            tokens,
            cost: self.cost(tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Tokens = Tokens {
        input: 10,
        output: 30,
    };

    #[test]
    fn a_request_that_may_not_fit_is_not_sent() {
        let budget = Budget::new(Limits {
            tokens: Some(100),
            ..Limits::default()
        });
        budget.reserve(CALL).unwrap();
        budget.reserve(CALL).unwrap();
        // It took less than set aside, so that a third fits: 10 + 5 twice, and 40 more.
        budget.settle(
            CALL,
            Tokens {
                input: 10,
                output: 5,
            },
        );
        budget.settle(
            CALL,
            Tokens {
                input: 10,
                output: 5,
            },
        );
        budget.reserve(CALL).unwrap();
        budget.settle(CALL, CALL);
        let error = budget.reserve(CALL).unwrap_err();
        assert_eq!(error.to_string(), "30 tokens read, 40 written");
        // A smaller one that would fit is not preferred to those that did not.
        let small = Tokens {
            input: 1,
            output: 1,
        };
        budget.reserve(small).unwrap_err();
    }

    #[test]
    fn money_is_reckoned_by_price_and_waits_for_those_under_way() {
        let limits = Limits {
            cost: Some(1.0),
            price_input: 10_000.0,
            price_output: 20_000.0,
            ..Limits::default()
        };
        let budget = Budget::new(limits);
        budget.reserve(CALL).unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| budget.reserve(CALL));
            std::thread::sleep(std::time::Duration::from_millis(50));
            assert!(
                !second.is_finished(),
                "0.7 is set aside, and 0.7 more would be too much"
            );
            budget.settle(
                CALL,
                Tokens {
                    input: 1,
                    output: 1,
                },
            );
            second.join().unwrap().unwrap();
        });
        assert_eq!(
            budget.spent().to_string(),
            "1 tokens read, 1 written, cost 0.0300"
        );
    }
}
