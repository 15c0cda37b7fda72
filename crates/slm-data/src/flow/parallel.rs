//! Work done by many threads, its results taken in order.
//!
//! Threads are cheap beside what they wait for; how many may ask at once is the gate's.
//!
//! Does not know what the work is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};

/// Works on every item with `threads` threads; `sink` gets the results in the order of the
/// items, as soon as they are there. After an error no new item is begun; those under way are
/// ended, and the error of the first item is returned.
pub(super) fn in_order<T: Send, R: Send, E: Send>(
    items: Vec<T>,
    threads: usize,
    work: impl Fn(T) -> Result<R, E> + Sync,
    mut sink: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads.clamp(1, items.len().max(1));
    let queue = Mutex::new(items.into_iter().enumerate());
    let stop = AtomicBool::new(false);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, queue, stop, work) = (sender.clone(), &queue, &stop, &work);
            scope.spawn(move || {
                while !stop.load(Ordering::Acquire) {
                    let next = queue
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .next();
                    let Some((n, item)) = next else { break };
                    let done = work(item);
                    if done.is_err() {
                        stop.store(true, Ordering::Release);
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
                if outcome.is_err() {
                    stop.store(true, Ordering::Release);
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
pub(super) fn all_at_once<T: Send, R: Send, E: Send>(
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
    use std::time::Duration;

    #[test]
    fn results_come_in_order_whoever_is_quickest() {
        let mut got = Vec::new();
        let work = |n: u64| {
            std::thread::sleep(Duration::from_millis(10 - n % 10));
            Ok::<u64, ()>(n * 2)
        };
        in_order((0..40).collect(), 8, work, |n| {
            got.push(n);
            Ok(())
        })
        .unwrap();
        assert_eq!(got, (0..40).map(|n| n * 2).collect::<Vec<_>>());
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
        assert_eq!(in_order((0..100_000).collect(), 4, work, count_up), Err(5));
        assert!(count <= 5, "{count}");
        assert_eq!(in_order(vec![1u32, 2], 2, Ok, |_| Err(7)), Err(7));
    }
}
