//! Answering many requests: a fixed number of slots, each taken by the next request once its
//! answer is done.
//!
//! Does not know the decoder's layers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use slm_model::quant::Threads;

use crate::awake::awake;
use crate::cache::Cache;
use crate::error::Result;
use crate::forward::Span;
use crate::model::Model;
use crate::request::{Answer, Finish, Request};
use crate::slot::Slot;

/// How requests share the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineSettings {
    /// Most requests that are decoded together. Above 1, what all prompts begin with is computed
    /// once, and latencies leave it out. With 1 nothing is shared: a latency is that of the answer
    /// alone.
    pub batch: usize,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self { batch: 16 }
    }
}

/// Common beginnings shorter than this are not worth copying.
const WORTH_SHARING: usize = 16;

/// Weights up to this size are read by every thread for its own requests; above, the threads
/// share each product, so that the weights come from memory once per step.
const SMALL_WEIGHTS: usize = 64 << 20;

/// A model that answers requests.
pub struct Engine {
    model: Model,
    settings: EngineSettings,
}

impl Engine {
    /// An engine that decodes up to 16 requests together.
    pub fn new(model: Model) -> Self {
        Self::with_settings(model, EngineSettings::default())
    }

    /// An engine with settings.
    pub fn with_settings(model: Model, settings: EngineSettings) -> Self {
        Self { model, settings }
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The model, without the engine.
    pub fn into_model(self) -> Model {
        self.model
    }

    /// Answers all requests, in their order; `done` hears how many are ready. What a request is
    /// answered does not depend on the others, on the batch or on the number of threads.
    ///
    /// # Errors
    /// Each request has its own: when its prompt is empty, too long or holds unknown tokens, or a
    /// setting is out of range. The others are answered.
    pub fn generate(
        &self,
        requests: &[Request],
        done: &mut dyn FnMut(usize),
    ) -> Vec<Result<Answer>> {
        let mut answers: Vec<Option<Result<Answer>>> = requests.iter().map(|_| None).collect();
        let mut ready = 0;
        let mut deliver = |number: usize, answer: Result<Answer>| {
            answers[number] = Some(answer);
            ready += 1;
            done(ready);
        };
        let queue = Queue {
            requests,
            next: AtomicUsize::new(0),
            prefix: self.prefix(requests),
        };
        let batch = self.settings.batch.max(1);
        let workers = rayon::current_num_threads().min(batch).min(requests.len());
        if rayon::current_thread_index().is_some() {
            // Already on one of the pool's threads: waiting here for another could block it.
            self.work(&queue, batch, Threads::All, &mut deliver);
        } else if workers > 1 && self.each_by_itself() {
            let slots = batch.div_ceil(workers);
            self.delegate(workers, &queue, slots, Threads::One, &mut deliver);
        } else {
            self.delegate(1, &queue, batch, Threads::All, &mut deliver);
        }
        answers.into_iter().flatten().collect()
    }

    /// Whether every thread had better answer requests of its own.
    fn each_by_itself(&self) -> bool {
        self.model.weight_bytes() <= SMALL_WEIGHTS && !self.model.is_elsewhere()
    }

    /// Has threads of the pool do the work, each with its own slots, and hears of the answers here.
    fn delegate(
        &self,
        workers: usize,
        queue: &Queue<'_>,
        slots: usize,
        threads: Threads,
        deliver: &mut dyn FnMut(usize, Result<Answer>),
    ) {
        rayon::in_place_scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            for _ in 0..workers {
                let sender = sender.clone();
                scope.spawn(move |_| {
                    let mut deliver = |number, answer| {
                        // The receiver lives until all senders are gone.
                        let _ = sender.send((number, answer));
                    };
                    match threads {
                        Threads::One => self.work(queue, slots, threads, &mut deliver),
                        Threads::All => awake(|| self.work(queue, slots, threads, &mut deliver)),
                    }
                });
            }
            drop(sender);
            receiver
                .iter()
                .for_each(|(number, answer)| deliver(number, answer));
        });
    }

    /// Takes requests from `queue` until there are none, with up to `slots` at a time.
    fn work(
        &self,
        queue: &Queue<'_>,
        slots: usize,
        threads: Threads,
        deliver: &mut dyn FnMut(usize, Result<Answer>),
    ) {
        let mut active: Vec<Slot<'_>> = Vec::with_capacity(slots);
        loop {
            while active.len() < slots {
                let number = queue.next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = queue.requests.get(number) else {
                    break;
                };
                match self.admit(number, request, queue.prefix.as_ref(), threads) {
                    Err(error) => deliver(number, Err(error)),
                    Ok(slot) => match slot.finish {
                        Some(_) => deliver(number, Ok(slot.answer())),
                        None => active.push(slot),
                    },
                }
            }
            if active.is_empty() {
                return;
            }
            self.step(&mut active, threads);
            for slot in active.extract_if(.., |slot| slot.finish.is_some()) {
                deliver(slot.number, Ok(slot.answer()));
            }
        }
    }

    /// What all prompts begin with, computed, if that is worth it. At least one token of each prompt
    /// is left over, for its logits.
    fn prefix(&self, requests: &[Request]) -> Option<Cache> {
        let config = self.model.config();
        let fits = |request: &&Request| {
            request
                .check(config.vocab_size, config.max_position_embeddings)
                .is_ok()
        };
        let mut fitting = requests.iter().filter(fits);
        let first = &fitting.next()?.prompt;
        let mut common = first.len() - 1;
        let mut others = 0;
        for request in fitting {
            let pairs = first
                .iter()
                .zip(&request.prompt[..request.prompt.len() - 1]);
            common = common.min(pairs.take_while(|(a, b)| a == b).count());
            others += 1;
        }
        if self.settings.batch <= 1 || others == 0 || common < WORTH_SHARING {
            return None;
        }
        let mut cache = Cache::new(config, common);
        self.model
            .prefill(&mut cache, &first[..common], Threads::All);
        Some(cache)
    }

    /// Checks a request, feeds its prompt and takes its first token.
    fn admit<'a>(
        &self,
        number: usize,
        request: &'a Request,
        prefix: Option<&Cache>,
        threads: Threads,
    ) -> Result<Slot<'a>> {
        let config = self.model.config();
        request.check(config.vocab_size, config.max_position_embeddings)?;
        let room = config.max_position_embeddings - request.prompt.len();
        let budget = request.max_new_tokens.min(room);
        let cache = Cache::new(config, request.prompt.len() + budget);
        let mut slot = Slot::new(number, request, budget, cache);
        if budget == 0 {
            slot.finish = Some(Finish::Length);
            return Ok(slot);
        }
        if let Some(prefix) = prefix {
            slot.cache.copy_from(prefix);
        }
        // What every answer under the mask begins with goes along with the prompt.
        slot.force();
        if slot.finish.is_some() {
            return Ok(slot);
        }
        let mut rest = request.prompt[slot.cache.len()..].to_vec();
        rest.append(&mut slot.pending);
        let mut logits = self.model.prefill(&mut slot.cache, &rest, threads);
        slot.accept(&mut logits);
        Ok(slot)
    }

    /// Feeds each slot the tokens it took last and takes the next.
    fn step(&self, active: &mut [Slot<'_>], threads: Threads) {
        let pending: Vec<Vec<u32>> = active
            .iter_mut()
            .map(|slot| std::mem::take(&mut slot.pending))
            .collect();
        let spans = active.iter_mut().zip(&pending).map(|(slot, tokens)| Span {
            cache: &mut slot.cache,
            tokens,
        });
        let mut spans: Vec<Span<'_>> = spans.collect();
        let mut logits = self.model.extend(&mut spans, threads);
        let vocabulary = self.model.config().vocab_size;
        for (slot, logits) in active.iter_mut().zip(logits.chunks_exact_mut(vocabulary)) {
            slot.accept(logits);
        }
    }
}

/// Requests to take, and what their prompts have in common.
struct Queue<'a> {
    requests: &'a [Request],
    next: AtomicUsize,
    prefix: Option<Cache>,
}
