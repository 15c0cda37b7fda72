//! Robustness: altered copies of rows whose right answer is unchanged, asked beside the rows
//! themselves.
//!
//! Words that stand in the target, in labels or in tools are left as they are, since an answer
//! may have to repeat them. Does not know who answers; judging is in `judge`.

mod alter;
mod judge;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use judge::{Altered, judge};

use crate::rows::Row;
use crate::task::Task;

/// How a row is altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Letters swapped, dropped or doubled in one word of six, at least in one.
    Typos,
    /// Everything in capitals.
    Case,
    /// Spaces doubled, made tabs or line feeds, and added at both ends.
    Whitespace,
    /// Two thousand characters of idle talk before the question.
    Long,
    /// A remark that names another label, the most similar one.
    NearMiss,
    /// An instruction to ignore all others, after the question.
    Injection,
}

impl Kind {
    /// Every kind, in the order of reports.
    pub const ALL: [Self; 6] = [
        Self::Typos,
        Self::Case,
        Self::Whitespace,
        Self::Long,
        Self::NearMiss,
        Self::Injection,
    ];

    /// The name in tasks and results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Typos => "typos",
            Self::Case => "case",
            Self::Whitespace => "whitespace",
            Self::Long => "long",
            Self::NearMiss => "near_miss",
            Self::Injection => "injection",
        }
    }
}

/// Which altered copies a task asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Robustness {
    /// The kinds.
    pub kinds: Vec<Kind>,
    /// Rows that are altered, spread evenly (0: all).
    pub rows: usize,
    /// Seed of what is drawn.
    pub seed: u64,
}

impl Default for Robustness {
    fn default() -> Self {
        Self {
            kinds: Kind::ALL.to_vec(),
            rows: 100,
            seed: 42,
        }
    }
}

/// Where an altered row comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The id of the row that was altered.
    pub id: String,
    /// How.
    pub kind: Kind,
}

/// The altered copies that the task asks for, in the order of kinds. A kind that changes
/// nothing in a row (no other label to name, no word free to misspell) leaves that row out.
pub fn altered(task: &Task, rows: &[Row]) -> Vec<Row> {
    let Some(wanted) = &task.robustness else {
        return Vec::new();
    };
    let most = if wanted.rows == 0 {
        rows.len()
    } else {
        wanted.rows
    };
    let chosen: Vec<&Row> = (0..rows.len())
        .filter(|index| {
            (index + 1) * most / rows.len() > index * most / rows.len() || most >= rows.len()
        })
        .map(|index| &rows[index])
        .collect();
    wanted
        .kinds
        .iter()
        .flat_map(|kind| {
            chosen
                .iter()
                .filter_map(|row| copy(task, row, *kind, wanted.seed))
        })
        .collect()
}

fn copy(task: &Task, row: &Row, kind: Kind, seed: u64) -> Option<Row> {
    let mut random = random(seed, kind, &row.id);
    let mut copy = row.clone();
    let text = match (&mut copy.input, copy.messages.last_mut()) {
        (Some(input), _) => input,
        (None, Some(last)) => &mut last.content,
        (None, None) => return None,
    };
    let changed = alter::alter(text, kind, &alter::Fixed::of(task, row), &mut random)?;
    if changed == *text {
        return None;
    }
    *text = changed;
    copy.id = format!("{}~{}", row.id, kind.name());
    copy.tags.push(format!("altered: {}", kind.name()));
    copy.origin = Some(Origin {
        id: row.id.clone(),
        kind,
    });
    Some(copy)
}

/// What is drawn depends on seed, kind and row alone, not on the rows beside it.
fn random(seed: u64, kind: Kind, id: &str) -> ChaCha8Rng {
    let digest = Sha256::digest(format!("{seed}\n{}\n{id}", kind.name()));
    ChaCha8Rng::from_seed(digest.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::OutputType;
    use serde_json::json;

    fn task(kinds: &[Kind], rows: usize) -> Task {
        let mut task = Task::of_kind("t", OutputType::Json);
        task.robustness = Some(Robustness {
            kinds: kinds.to_vec(),
            rows,
            seed: 1,
        });
        task
    }

    fn rows(count: usize) -> Vec<Row> {
        let row = |index: usize| Row {
            id: index.to_string(),
            input: Some(format!(
                "please book a wonderful table in Berlin number {index}"
            )),
            target: json!({"city": "Berlin"}),
            ..Row::default()
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn copies_keep_the_words_of_the_target_and_say_where_they_are_from() {
        let task = task(
            &[
                Kind::Typos,
                Kind::Case,
                Kind::Whitespace,
                Kind::Long,
                Kind::Injection,
            ],
            0,
        );
        let all = altered(&task, &rows(30));
        assert_eq!(all.len(), 150);
        for copy in &all {
            assert!(copy.question().contains("Berlin"), "{}", copy.question());
            let origin = copy.origin.as_ref().unwrap();
            assert_eq!(copy.id, format!("{}~{}", origin.id, origin.kind.name()));
            assert_eq!(copy.target, json!({"city": "Berlin"}));
        }
    }

    #[test]
    fn the_same_row_is_altered_the_same_way_whatever_stands_beside_it() {
        let task = task(&[Kind::Typos], 0);
        let (many, few) = (altered(&task, &rows(9)), altered(&task, &rows(3)));
        assert_eq!(many[2].question(), few[2].question());
    }

    #[test]
    fn rows_are_spread_and_without_the_key_there_are_none() {
        let found = altered(&task(&[Kind::Case], 3), &rows(9));
        let ids: Vec<&str> = found.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, ["2~case", "5~case", "8~case"]);
        assert!(altered(&Task::of_kind("t", OutputType::Json), &rows(9)).is_empty());
        assert!(altered(&task(&[Kind::Case], 3), &[]).is_empty());
    }
}
