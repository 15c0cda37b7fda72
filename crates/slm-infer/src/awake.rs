//! Keeps the pool's threads awake while one of them works in many short parallel sections.
//!
//! A token's forward pass is over a hundred products of some ten microseconds each. Between them
//! idle threads of the pool would go to sleep, and waking one takes longer than a product.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

/// Looks for work in vain after which a waiting thread offers its processor to other programs
/// before it looks again.
const PATIENCE: u32 = 2_000;

thread_local! {
    /// Whether this thread works or waits here already. It then must not wait for another's work,
    /// which may need its own to go on.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` on a thread of the pool; the others wait for its parallel sections without
/// sleeping, until it is done.
pub fn awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let done = AtomicBool::new(false);
    rayon::scope(|scope| {
        let _release = Release(&done, BUSY.replace(true));
        for _ in 1..rayon::current_num_threads() {
            scope.spawn(|_| {
                if !BUSY.replace(true) {
                    attend(&done);
                    BUSY.set(false);
                }
            });
        }
        work()
    })
}

fn attend(done: &AtomicBool) {
    let mut idle = 0;
    while !done.load(Ordering::Acquire) {
        match rayon::yield_now() {
            Some(rayon::Yield::Executed) => idle = 0,
            _ if idle < PATIENCE => {
                idle += 1;
                std::hint::spin_loop();
            }
            _ => std::thread::yield_now(),
        }
    }
}

/// Lets the others go, also when the work panics.
struct Release<'a>(&'a AtomicBool, bool);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
        BUSY.set(self.1);
    }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    #[test]
    fn parallel_sections_run_and_others_may_wait_at_the_same_time() {
        let sums: Vec<u64> = (0..4u64)
            .into_par_iter()
            .map(|i| awake(|| (0..1000u64).into_par_iter().map(|x| x * i).sum()))
            .collect();
        assert_eq!(sums, [0, 499_500, 999_000, 1_498_500]);
    }

    #[test]
    fn a_panic_lets_the_others_go() {
        let caught = std::panic::catch_unwind(|| awake(|| panic!("as intended")));
        assert!(caught.is_err());
        assert_eq!(awake(|| 7), 7);
    }
}
