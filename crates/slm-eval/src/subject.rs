//! Whoever answers: a local model, an endpoint, a baseline.
//!
//! The trait is owned here because evaluation is its consumer. Does not know how
//! answers come about.

use crate::predictions::Prediction;
use crate::rows::Row;

/// Why a subject could not answer at all. An answer that fails alone is a
/// [`Prediction`] with its `error`, not this.
pub type SubjectError = Box<dyn std::error::Error + Send + Sync>;

/// Something that answers rows.
pub trait Subject {
    /// The name in results and reports.
    fn name(&self) -> &str;

    /// From now on the rows are asked for the `repeat`-th time, from 0.
    fn begin_repeat(&mut self, _repeat: u32) {}

    /// Answers the rows, in any order, and says after each step how many are done.
    ///
    /// # Errors
    /// When answering had to stop; answers already given are in the eval log of
    /// whoever drives the subject.
    fn answer(
        &mut self,
        rows: &[Row],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Prediction>, SubjectError>;
}
