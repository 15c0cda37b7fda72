//! How far a judge's verdicts agree with people's, before they are used.
//!
//! Cohen's kappa (Cohen, "A coefficient of agreement for nominal scales", 1960), precision and
//! recall of acceptance. Does not know who judged.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One row that both have judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// Whether people accept the row.
    pub label: bool,
    /// Whether the judge does; none when its verdict cannot be parsed.
    pub verdict: Option<bool>,
}

/// The agreement over a labelled set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Rows with a label.
    pub rows: usize,
    /// Both accept.
    pub both_accept: usize,
    /// Only the judge accepts.
    pub only_judge: usize,
    /// Only people accept.
    pub only_people: usize,
    /// Both reject.
    pub both_reject: usize,
    /// The judge's verdict cannot be parsed: an outcome of its own, in no figure below.
    pub unparsable: usize,
    /// Agreement beyond chance, from -1 to 1; none where one side never varies.
    pub kappa: Option<f64>,
    /// Of the rows that the judge accepts, the share that people accept.
    pub precision: Option<f64>,
    /// Of the rows that people accept, the share that the judge accepts.
    pub recall: Option<f64>,
}

/// Measures the agreement.
pub fn agreement(rows: &[Judged]) -> Agreement {
    let count = |label: bool, verdict: Option<bool>| {
        rows.iter()
            .filter(|r| r.label == label && r.verdict == verdict)
            .count()
    };
    let mut made = Agreement {
        rows: rows.len(),
        both_accept: count(true, Some(true)),
        only_judge: count(false, Some(true)),
        only_people: count(true, Some(false)),
        both_reject: count(false, Some(false)),
        unparsable: rows.iter().filter(|r| r.verdict.is_none()).count(),
        ..Agreement::default()
    };
    let share = |part: usize, all: usize| (all > 0).then(|| part as f64 / all as f64);
    let (accepted, liked) = (
        made.both_accept + made.only_judge,
        made.both_accept + made.only_people,
    );
    made.precision = share(made.both_accept, accepted);
    made.recall = share(made.both_accept, liked);
    let all = made.rows - made.unparsable;
    made.kappa = share(made.both_accept + made.both_reject, all).and_then(|observed| {
        let of = |part: usize| part as f64 / all as f64;
        let chance = of(accepted) * of(liked) + of(all - accepted) * of(all - liked);
        (chance < 1.0).then(|| (observed - chance) / (1.0 - chance))
    });
    made
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figure = |value: Option<f64>| {
            value.map_or_else(|| "n/a".to_owned(), |value| format!("{value:.3}"))
        };
        writeln!(
            f,
            "{} labelled rows, {} with a verdict that cannot be parsed",
            self.rows, self.unparsable
        )?;
        writeln!(f, "                 people accept  people reject")?;
        writeln!(
            f,
            "  judge accepts  {:>13}  {:>13}",
            self.both_accept, self.only_judge
        )?;
        writeln!(
            f,
            "  judge rejects  {:>13}  {:>13}",
            self.only_people, self.both_reject
        )?;
        write!(
            f,
            "  kappa {}  precision {}  recall {}",
            figure(self.kappa),
            figure(self.precision),
            figure(self.recall)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(counts: [(bool, Option<bool>, usize); 5]) -> Vec<Judged> {
        counts
            .into_iter()
            .flat_map(|(label, verdict, n)| std::iter::repeat_n(Judged { label, verdict }, n))
            .collect()
    }

    #[test]
    fn the_textbook_example() {
        // 20 both yes, 15 both no, 5 and 10 differ: kappa 0.4 (agreement 0.7, by chance 0.5).
        let made = agreement(&rows([
            (true, Some(true), 20),
            (true, Some(false), 5),
            (false, Some(true), 10),
            (false, Some(false), 15),
            (true, None, 3),
        ]));
        assert!((made.kappa.unwrap() - 0.4).abs() < 1e-12);
        assert!((made.precision.unwrap() - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(
            (made.recall, made.unparsable, made.rows),
            (Some(0.8), 3, 53)
        );
        assert!(
            made.to_string()
                .contains("kappa 0.400  precision 0.667  recall 0.800"),
            "{made}"
        );
    }

    #[test]
    fn what_proves_nothing_has_no_figure() {
        assert_eq!(agreement(&[]).kappa, None);
        let all_yes = agreement(&[Judged {
            label: true,
            verdict: Some(true),
        }]);
        assert_eq!((all_yes.kappa, all_yes.precision), (None, Some(1.0)));
        assert_eq!(
            agreement(&[Judged {
                label: true,
                verdict: None
            }])
            .recall,
            None
        );
    }
}
