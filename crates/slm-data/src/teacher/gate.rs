//! Lets only so many threads through at once, those first who have most before them.
//!
//! Does not know what they do.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;

/// A counting semaphore (Dijkstra, EWD 74) whose waiting threads are let in by their turn, and
/// within a turn in the order of their coming. A place that is given back goes to the first of
/// them at once.
#[derive(Debug)]
pub struct Gate {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// Those that wait, by their turn and the number of their coming.
    waiting: BTreeMap<(usize, u64), Arc<Waiting>>,
    came: u64,
}

#[derive(Debug)]
struct Waiting {
    thread: Thread,
    let_in: AtomicBool,
}

impl Gate {
    /// Lets this many through at once, at least one.
    pub fn new(places: usize) -> Self {
        Self {
            state: Mutex::new(State {
                free: places.max(1),
                waiting: BTreeMap::new(),
                came: 0,
            }),
        }
    }

    /// Waits for a place, and works there. Of those that wait, the lowest `turn` goes first.
    pub fn pass<T>(&self, turn: usize, work: impl FnOnce() -> T) -> T {
        let place = self.enter(turn);
        let done = work();
        drop(place);
        done
    }

    fn enter(&self, turn: usize) -> Place<'_> {
        let mut state = self.state();
        if state.free > 0 {
            state.free -= 1;
            return Place(self);
        }
        let waiting = Arc::new(Waiting {
            thread: std::thread::current(),
            let_in: AtomicBool::new(false),
        });
        let number = (turn, state.came);
        state.came += 1;
        state.waiting.insert(number, Arc::clone(&waiting));
        drop(state);
        while !waiting.let_in.load(Ordering::Acquire) {
            std::thread::park();
        }
        Place(self)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Given back when dropped, also by a panic.
struct Place<'a>(&'a Gate);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        match state.waiting.pop_first() {
            Some((_, next)) => {
                next.let_in.store(true, Ordering::Release);
                next.thread.unpark();
            }
            None => state.free += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn no_more_than_its_places_are_inside() {
        let (gate, inside, most) = (Gate::new(3), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    gate.pass(0, || {
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::sleep(std::time::Duration::from_millis(5));
                        inside.fetch_sub(1, Ordering::SeqCst);
                    });
                });
            }
        });
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(gate.state().free, 3);
    }

    #[test]
    fn those_that_wait_go_by_their_turn_and_then_as_they_came() {
        let (gate, order) = (Gate::new(1), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            gate.pass(9, || {
                for (n, turn) in [2, 0, 1, 0, 2].into_iter().enumerate() {
                    let (gate, order) = (&gate, &order);
                    scope.spawn(move || {
                        gate.pass(turn, || order.lock().unwrap().push((turn, n)));
                    });
                    while gate.state().waiting.len() <= n {
                        std::thread::yield_now();
                    }
                }
            });
        });
        let order = order.into_inner().unwrap();
        assert_eq!(order, [(0, 1), (0, 3), (1, 2), (2, 0), (2, 4)]);
        assert_eq!(gate.state().free, 1);
    }

    #[test]
    fn a_place_left_by_a_panic_is_given_on() {
        let gate = Gate::new(1);
        let failed = || gate.pass(0, || panic!("on purpose"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(failed)).is_err());
        assert_eq!(gate.pass(0, || 7), 7);
    }
}
