//! Requests to a teacher that waits for others, begun before their turn: while the last answers to
//! one are on their way, the next are asked for already.
//!
//! Offers are still taken one request after the other, so that the result is the same. Does not
//! know what becomes of offers.

use super::{Offer, Reply, Request, SeedLeaf, Shortfall, Take, Teacher};
use crate::error::{DataError, Result};
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Scope, ScopedJoinHandle};

/// Hands over all offers to one request.
pub(super) type Offers<'a> = dyn FnMut(&mut Take<'_>) -> Result<Option<Shortfall>> + 'a;

/// Lets `drive` take the offers to each request, in order; it gets the request's place.
///
/// # Errors
/// The first of `drive`, after which nothing more is asked.
pub(super) fn in_turn(
    teacher: &dyn Teacher,
    requests: &[(SeedLeaf, Request)],
    mut drive: impl FnMut(usize, &mut Offers<'_>) -> Result<()>,
) -> Result<()> {
    if teacher.ahead() == 0 {
        let mut requests = requests.iter().enumerate();
        return requests.try_for_each(|(n, (leaf, request))| {
            drive(n, &mut |take| teacher.offer(leaf, request, take))
        });
    }
    std::thread::scope(|scope| {
        let mut rest = requests.iter();
        let mut begun = VecDeque::new();
        // Of those begun, without the one whose turn it is.
        let mut rows_ahead = 0;
        for (n, (_, request)) in requests.iter().enumerate() {
            if n > 0 {
                rows_ahead -= request.rows.min(rows_ahead);
            }
            while begun.is_empty() || rows_ahead < teacher.ahead() {
                let Some(next) = rest.next() else { break };
                if !begun.is_empty() {
                    rows_ahead += next.1.rows;
                }
                begun.push_back(begin(scope, teacher, next));
            }
            let mut current = begun.pop_front();
            let driven = drive(n, &mut |take| {
                current
                    .take()
                    .map_or(Ok(None), |begun| begun.hand_over(take))
            });
            if driven.is_err() {
                teacher.stop();
                return driven;
            }
        }
        Ok(())
    })
}

/// A request under way. Dropped, it ends with the next offer.
struct Begun<'scope> {
    offers: Receiver<Offer>,
    replies: Sender<Reply>,
    work: ScopedJoinHandle<'scope, Result<Option<Shortfall>>>,
}

fn begin<'scope>(
    scope: &'scope Scope<'scope, '_>,
    teacher: &'scope dyn Teacher,
    (leaf, request): &'scope (SeedLeaf, Request),
) -> Begun<'scope> {
    let ((offer, offers), (replies, reply)) = (channel(), channel());
    let work = move || {
        let ended = || DataError::settings("the run has ended", "see what ended it");
        let mut take = |made: Offer| {
            offer.send(made).map_err(|_| ended())?;
            reply.recv().map_err(|_| ended())
        };
        teacher.offer(leaf, request, &mut take)
    };
    Begun {
        offers,
        replies,
        work: scope.spawn(work),
    }
}

impl Begun<'_> {
    fn hand_over(self, take: &mut Take<'_>) -> Result<Option<Shortfall>> {
        for offer in self.offers {
            let reply = take(offer)?;
            // Nobody waits for it only after a panic, which the join tells.
            self.replies.send(reply).ok();
        }
        match self.work.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Sample;
    use crate::synthesize::PoolSide;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Offers rows once it has met the others that are to be under way.
    struct Meeting {
        ahead: usize,
        met: std::sync::Barrier,
        begun: Mutex<Vec<usize>>,
        stopped: AtomicBool,
    }

    impl Teacher for Meeting {
        fn name(&self) -> &str {
            "meeting"
        }

        fn offer(
            &self,
            leaf: &SeedLeaf,
            request: &Request,
            take: &mut Take<'_>,
        ) -> Result<Option<Shortfall>> {
            self.begun.lock().unwrap().push(request.rows);
            self.met.wait();
            for n in 0..request.rows {
                let id = format!("{}{n}", leaf.name);
                take(Offer::Row(Sample::pair(id, "q", "a")))?;
            }
            Ok(None)
        }

        fn ahead(&self) -> usize {
            self.ahead
        }

        fn stop(&self) {
            self.stopped.store(true, Ordering::SeqCst);
        }
    }

    fn requests(names: &[&str]) -> Vec<(SeedLeaf, Request)> {
        let request = |(n, name): (usize, &&str)| {
            let leaf = SeedLeaf {
                name: (*name).to_owned(),
                knowledge: false,
                output: slm_taxonomy::Output::Text,
                instruction: None,
                label_field: None,
                slots: vec![],
                paraphrases: vec![],
                parts: None,
                seeds: vec![],
            };
            let request = Request {
                rows: n + 1,
                seed: 0,
                side: PoolSide::Training,
            };
            (leaf, request)
        };
        names.iter().enumerate().map(request).collect()
    }

    fn meeting(ahead: usize) -> Meeting {
        Meeting {
            ahead,
            met: std::sync::Barrier::new(ahead + 1),
            begun: Mutex::default(),
            stopped: AtomicBool::new(false),
        }
    }

    #[test]
    fn requests_are_worked_on_together_and_taken_in_turn() {
        for ahead in [0, 1] {
            let teacher = meeting(ahead);
            let mut taken = Vec::new();
            in_turn(&teacher, &requests(&["a", "b", "c", "d"]), |n, offers| {
                let mut take = |offer| {
                    if let Offer::Row(row) = offer {
                        taken.push((n, row.id));
                    }
                    Ok(Reply::Taken)
                };
                offers(&mut take).map(|_| ())
            })
            .unwrap();
            let names: Vec<String> = taken.iter().map(|(n, id)| format!("{n}{id}")).collect();
            assert_eq!(
                names.join(" "),
                "0a0 1b0 1b1 2c0 2c1 2c2 3d0 3d1 3d2 3d3",
                "{ahead} ahead"
            );
        }
    }

    #[test]
    fn an_error_ends_those_under_way_and_begins_no_more() {
        let teacher = meeting(1);
        let outcome = in_turn(&teacher, &requests(&["a", "b", "c", "d"]), |_, offers| {
            let failed = || DataError::settings("no", "none");
            offers(&mut |_| Err(failed())).map(|_| ())
        });
        assert!(outcome.unwrap_err().to_string().starts_with("no"));
        assert!(teacher.stopped.load(Ordering::SeqCst));
        assert_eq!(teacher.begun.lock().unwrap().len(), 2);
    }
}
