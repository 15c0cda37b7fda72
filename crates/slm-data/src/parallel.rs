//! Work done by many threads, its results taken in order.
//!
//! Threads are cheap beside what they wait for; how many may ask at once is a teacher's gate.
//! Does not know what the work is.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};

/// What is still to be done.
struct Queue<I> {
    state: Mutex<State<I>>,
    moved: Condvar,
}

struct State<I> {
    items: I,
    begun: usize,
    taken: usize,
    stopped: bool,
}

impl<I: Iterator> Queue<I> {
    fn state(&self) -> MutexGuard<'_, State<I>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next item with its number, unless `ahead` are begun and not yet taken.
    fn next(&self, ahead: usize) -> Option<(usize, I::Item)> {
        let mut state = self.state();
        while !state.stopped && state.begun - state.taken >= ahead {
            state = self
                .moved
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.stopped {
            return None;
        }
        let item = state.items.next()?;
        state.begun += 1;
        Some((state.begun - 1, item))
    }

    fn taken(&self) {
        self.state().taken += 1;
        self.moved.notify_all();
    }

    fn stop(&self) {
        self.state().stopped = true;
        self.moved.notify_all();
    }
}

/// Stops the others when dropped by a panic: they would wait for ever.
struct StopOnPanic<'a, I: Iterator>(&'a Queue<I>);

impl<I: Iterator> Drop for StopOnPanic<'_, I> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

/// Works on every item with `threads` threads; `sink` gets the results in the order of the
/// items, as soon as they are there. At most `ahead` items are begun and not yet taken by the
/// sink. After an error no new item is begun; those under way are ended, and the error of the
/// first item is returned.
///
/// # Errors
/// That of `work` or of `sink`.
pub fn in_order<T, R: Send, E: Send>(
    items: impl Iterator<Item = T> + Send,
    threads: usize,
    ahead: usize,
    work: impl Fn(T) -> Result<R, E> + Sync,
    mut sink: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let state = State {
        items,
        begun: 0,
        taken: 0,
        stopped: false,
    };
    let queue = Queue {
        state: Mutex::new(state),
        moved: Condvar::new(),
    };
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        let _stop = StopOnPanic(&queue);
        for _ in 0..threads.max(1) {
            let (sender, queue, work) = (sender.clone(), &queue, &work);
            scope.spawn(move || {
                let _stop = StopOnPanic(queue);
                while let Some((n, item)) = queue.next(ahead.max(1)) {
                    let done = work(item);
                    if done.is_err() {
                        queue.stop();
                    }
                    if sender.send((n, done)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut next = 0;
        let mut outcome = Ok(());
        for (n, done) in receiver {
            early.insert(n, done);
            while let Some(done) = early.remove(&next).filter(|_| outcome.is_ok()) {
                next += 1;
                outcome = done.and_then(&mut sink);
                match outcome {
                    Ok(()) => queue.taken(),
                    Err(_) => queue.stop(),
                }
            }
        }
        // An item before the failed one may never have been begun.
        outcome.and_then(|()| {
            early
                .into_values()
                .find_map(Result::err)
                .map_or(Ok(()), Err)
        })
    })
}

/// Works on all items at the same time; the results in the order of the items, or the error of
/// the first that has one.
pub(crate) fn all_at_once<T: Send, R: Send, E: Send>(
    items: Vec<T>,
    work: impl Fn(T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let mut items = items.into_iter();
    let Some(first) = items.next() else {
        return Ok(Vec::new());
    };
    let work = &work;
    std::thread::scope(|scope| {
        let others: Vec<_> = items.map(|item| scope.spawn(move || work(item))).collect();
        let mut results = vec![work(first)];
        for other in others {
            match other.join() {
                Ok(result) => results.push(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results.into_iter().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn results_come_in_order_whoever_is_quickest() {
        let mut got = Vec::new();
        let work = |n: u64| {
            std::thread::sleep(Duration::from_millis(10 - n % 10));
            Ok::<u64, ()>(n * 2)
        };
        in_order(0..40, 8, 12, work, |n| {
            got.push(n);
            Ok(())
        })
        .unwrap();
        assert_eq!(got, (0..40).map(|n| n * 2).collect::<Vec<_>>());
    }

    #[test]
    fn no_more_than_allowed_is_begun_ahead() {
        let (begun, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |_: u32| {
            let ahead = begun.fetch_add(1, Ordering::SeqCst) - taken.load(Ordering::SeqCst);
            Ok::<usize, ()>(ahead)
        };
        let mut most = 0;
        in_order(0..300, 4, 5, work, |ahead| {
            most = most.max(ahead);
            std::thread::sleep(Duration::from_micros(200));
            taken.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })
        .unwrap();
        assert!((1..=5).contains(&most), "{most}");
    }

    #[test]
    fn a_panic_ends_the_work() {
        let work = |n: u32| {
            assert!(n != 3, "on purpose");
            Ok::<u32, ()>(n)
        };
        let run = || in_order(0..100, 2, 4, work, |_| Ok(()));
        assert!(std::panic::catch_unwind(run).is_err());
    }

    #[test]
    fn all_are_worked_on_at_the_same_time() {
        let together = std::sync::Barrier::new(5);
        let work = |n: u32| {
            together.wait();
            if n < 3 { Ok(n) } else { Err(n) }
        };
        assert_eq!(all_at_once((0..5).collect(), work), Err(3));
        assert_eq!(all_at_once(vec![2, 1], Ok::<i32, ()>), Ok(vec![2, 1]));
    }

    #[test]
    fn an_error_ends_the_work() {
        let work = |n: u32| if n == 5 { Err(n) } else { Ok(n) };
        let mut count = 0;
        let count_up = |_| {
            count += 1;
            Ok(())
        };
        assert_eq!(in_order(0..100_000, 4, 8, work, count_up), Err(5));
        assert!(count <= 5, "{count}");
        assert_eq!(
            in_order([1u32, 2].into_iter(), 2, 2, Ok, |_| Err(7)),
            Err(7)
        );
    }
}
