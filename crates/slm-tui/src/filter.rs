//! Which samples of a report are listed.
//!
//! Does not know the search.

use slm_eval::report::SampleRow;

/// Which samples are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// Every sample.
    #[default]
    All,
    /// The system is wrong.
    Failures,
    /// Some systems are right and some wrong.
    Disagreements,
    /// Every system is wrong.
    AllWrong,
    /// The system's answer could not be judged.
    Unjudged,
}

impl Filter {
    /// The name on screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Failures => "failures",
            Self::Disagreements => "disagreements",
            Self::AllWrong => "wrong for every system",
            Self::Unjudged => "missing, cut off, refused or unparsable",
        }
    }

    /// The filter after this.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::All => Self::Failures,
            Self::Failures => Self::Disagreements,
            Self::Disagreements => Self::AllWrong,
            Self::AllWrong => Self::Unjudged,
            Self::Unjudged => Self::All,
        }
    }

    /// Whether the sample is listed, by what this system made of it.
    pub fn keeps(self, sample: &SampleRow, system: usize) -> bool {
        let right = sample.answers.iter().filter(|answer| answer.right).count();
        let one = sample.answers.get(system);
        match self {
            Self::All => true,
            Self::Failures => one.is_some_and(|answer| !answer.right),
            Self::Disagreements => right > 0 && right < sample.answers.len(),
            Self::AllWrong => right == 0,
            Self::Unjudged => one.is_some_and(|answer| !answer.cause.is_empty()),
        }
    }
}
