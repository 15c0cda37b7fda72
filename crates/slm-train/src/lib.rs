//! Batches, packing, loss, optimizers, schedules and resumable training runs.
