//! Rows of files as examples in tokens, each checked to have something to learn and an end.
//!
//! Does not know batches, nor how a conversation becomes tokens (that is slm-model's).

use std::path::{Path, PathBuf};

use anyhow::Result;
use slm_data::{DataError, Format, Message, Plain, Sample, SampleReader};
use slm_model::template::Clock;
use slm_model::tokenizer::Encoded;
use slm_model::{Conversation, Tokenizer};
use slm_train::Example;

use crate::failure::Failure;
use crate::recipe::OverLong;
use crate::terminal::Terminal;

/// What templates that write today's date take for today in training: 2024-07-26, the day that
/// Llama 3's own template falls back to. The same rows must give the same tokens on any day,
/// or a run that is resumed after midnight would not be the run that was begun.
pub const DAY: Clock = Clock::at(1_721_952_000);

/// Lines that a fault names, of the rows that have it.
const NAMED_LINES: usize = 20;

/// Turns rows into examples.
pub struct Encoder<'a> {
    /// Makes the tokens.
    pub tokenizer: &'a Tokenizer,
    /// How rows are written, where the recipe says it.
    pub format: Option<Format>,
    /// Longest example, in tokens.
    pub limit: usize,
    /// What becomes of longer rows.
    pub over_long: OverLong,
}

/// What was found in the rows of some files.
#[derive(Debug, Default)]
struct Counts {
    rows: usize,
    tokens: usize,
    learned: usize,
    longest: usize,
    over_long: usize,
    parts: usize,
}

/// The longest example: what the recipe wants, within the model's context.
///
/// # Errors
/// The recipe wants more than the model can take.
pub fn limit(wanted: Option<usize>, context: usize) -> Result<usize> {
    match wanted {
        Some(wanted) if wanted > context || wanted < 2 => Err(Failure::new(format!(
            "`train.max_length` is {wanted}, the model's context is {context} tokens"
        ))
        .hint(format!(
            "give a number from 2 to {context}, or leave it out"
        ))
        .into()),
        Some(wanted) => Ok(wanted),
        None => Ok(context),
    }
}

impl Encoder<'_> {
    /// The rows of all files as examples with where they came from, only those of some leaves where
    /// any are named; says how many there are and what became of over-long ones.
    ///
    /// # Errors
    /// A file cannot be read, or rows of it cannot be used: all of these are named. No row is of the
    /// leaves named.
    pub fn encode_all(
        &self,
        label: &str,
        files: &[PathBuf],
        leaves: &[String],
        terminal: &Terminal,
    ) -> Result<Vec<(Example, String)>> {
        let (mut examples, mut counts) = (Vec::new(), Counts::default());
        for file in files {
            self.encode_file(file, leaves, &mut examples, &mut counts)?;
        }
        if examples.is_empty() && !leaves.is_empty() {
            let leaves = leaves.join(" or ");
            return Err(Failure::new(format!("no row is of a leaf below {leaves}"))
                .hint("`leaves` are beginnings of paths such as `knowledge`; `slm data inspect` shows the leaf of each row")
                .into());
        }
        if !files.is_empty() {
            terminal.note(format!("{label}: {}", self.summary(&counts)));
        }
        Ok(examples)
    }

    fn encode_file(
        &self,
        file: &Path,
        leaves: &[String],
        examples: &mut Vec<(Example, String)>,
        counts: &mut Counts,
    ) -> Result<()> {
        let mut faults = Faults::default();
        let mut reader = SampleReader::open_as(file, self.format)?;
        while let Some(sample) = reader.next() {
            let line = reader.line();
            if matches!(&sample, Ok(sample) if !is_of(sample, leaves)) {
                continue;
            }
            counts.rows += 1;
            let mut origin = format!("{}:{line}", file.display());
            if let Ok(sample) = &sample {
                origin = format!("{origin}: row `{}`", sample.id);
            }
            match sample.map_err(Refused::from).and_then(|sample| {
                let encoded = encode(self.tokenizer, &sample)?;
                self.fit(encoded, counts)
            }) {
                Ok(fitting) => examples.extend(fitting.into_iter().map(|encoded| {
                    counts.tokens += encoded.tokens.len();
                    counts.learned += encoded.learned();
                    (Example::from(encoded), origin.clone())
                })),
                Err(Refused::Disk(error)) => return Err(error.into()),
                Err(Refused::Row { problem, hint }) => faults.add(line, problem, hint),
            }
        }
        faults.unless_empty(file)
    }

    /// The texts that are not too long, and what the recipe makes of those that are.
    fn fit(&self, encoded: Vec<Encoded>, counts: &mut Counts) -> Result<Vec<Encoded>, Refused> {
        let longest = encoded.iter().map(|encoded| encoded.tokens.len()).max();
        let longest = longest.unwrap_or(0);
        counts.longest = counts.longest.max(longest);
        if longest <= self.limit {
            return Ok(encoded);
        }
        counts.over_long += 1;
        let fits = |encoded: &Encoded| encoded.tokens.len() <= self.limit;
        match self.over_long {
            OverLong::Refuse => Err(Refused::Row {
                problem: format!("the row has more than {} tokens", self.limit),
                hint: "set `train.over_long` to `drop` or `split`, or shorten the rows; \
                       `slm data inspect FILE --model M` shows their lengths"
                    .to_owned(),
            }),
            OverLong::Drop => Ok(encoded.into_iter().filter(fits).collect()),
            OverLong::Split => {
                let parts = encoded
                    .into_iter()
                    .flat_map(|encoded| match fits(&encoded) {
                        true => vec![encoded],
                        false => encoded.split(self.limit),
                    });
                let parts: Vec<Encoded> = parts.collect();
                counts.parts += parts.len();
                Ok(parts)
            }
        }
    }

    fn summary(&self, counts: &Counts) -> String {
        let share = 100.0 * counts.learned as f64 / counts.tokens.max(1) as f64;
        let over_long = match (counts.over_long, self.over_long) {
            (0, _) => "none".to_owned(),
            (count, OverLong::Split) => format!("{count}, split into {} parts", counts.parts),
            (count, _) => format!("{count}, dropped"),
        };
        format!(
            "{} rows, {} tokens, {share:.1}% of them learned; longest {} tokens, over {}: {over_long}",
            counts.rows, counts.tokens, counts.longest, self.limit
        )
    }
}

/// Whether a row is of a leaf below one of these paths; any row is, where there are none.
fn is_of(sample: &Sample, leaves: &[String]) -> bool {
    let below = |leaf: &str, path: &String| {
        let rest = leaf.strip_prefix(path.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let leaf = sample.leaf().unwrap_or_default();
    leaves.is_empty() || leaves.iter().any(|path| below(leaf, path))
}

/// Why a row gives no example.
pub enum Refused {
    /// The file could not be read on.
    Disk(DataError),
    /// The row cannot be used.
    Row {
        /// What is wrong with it.
        problem: String,
        /// What to do.
        hint: String,
    },
}

impl Refused {
    /// A problem of a library, whose hint is the last line of its message.
    fn of(message: &str) -> Self {
        let (problem, hint) = message.rsplit_once("\nhint: ").unwrap_or((message, ""));
        Self::Row {
            problem: problem.to_owned(),
            hint: hint.to_owned(),
        }
    }
}

impl From<DataError> for Refused {
    fn from(error: DataError) -> Self {
        match error {
            DataError::Content { message, hint, .. } => Self::Row {
                problem: message,
                hint,
            },
            other => Self::Disk(other),
        }
    }
}

/// The texts of a row in tokens; usually one.
///
/// # Errors
/// The chat template refuses the row, or there is nothing to learn in it, or no end.
pub fn encode(tokenizer: &Tokenizer, sample: &Sample) -> Result<Vec<Encoded>, Refused> {
    let encoded = match &sample.plain {
        Some(Plain::Text { text }) => tokenizer.encode_text(text).map(|one| vec![one]),
        Some(Plain::Pair { prompt, completion }) => tokenizer
            .encode_completion(prompt, completion)
            .map(|one| vec![one]),
        None => tokenizer.encode_conversation(&conversation(sample)),
    };
    let encoded = encoded.map_err(|error| Refused::of(&error.to_string()))?;
    for one in &encoded {
        check(tokenizer, one)?;
    }
    Ok(encoded)
}

fn check(tokenizer: &Tokenizer, encoded: &Encoded) -> Result<(), Refused> {
    let refused = |problem: &str, hint: &str| Refused::Row {
        problem: problem.to_owned(),
        hint: hint.to_owned(),
    };
    if encoded.learned() == 0 {
        return Err(refused(
            "no token of the row would be learned",
            "the model's chat template shows nothing of the assistant's turns; \
             check its `{% generation %}` blocks",
        ));
    }
    if !tokenizer.ends_turn(encoded) {
        return Err(refused(
            "no end-of-turn token of the row would be learned, so the model would never stop",
            "let the chat template close the assistant's turn with a special token, inside its \
             `{% generation %}` block if it has one, and name it as `eos_token` in `tokenizer_config.json`",
        ));
    }
    Ok(())
}

fn conversation(sample: &Sample) -> Conversation {
    let tools = sample.tools.as_ref().and_then(|tools| tools.as_array());
    let assistant = slm_data::Role::Assistant;
    let left_out =
        |(_, message): &(usize, &Message)| message.role == assistant && !message.is_learned();
    Conversation {
        messages: sample.messages.iter().map(Message::to_template).collect(),
        tools: tools.cloned().unwrap_or_default(),
        not_trained: sample
            .messages
            .iter()
            .enumerate()
            .filter(left_out)
            .map(|(position, _)| position)
            .collect(),
    }
}

/// What is wrong with a file's rows; rows with the same fault are told together.
#[derive(Debug, Default)]
struct Faults {
    found: Vec<(String, String, Vec<usize>)>,
}

impl Faults {
    fn add(&mut self, line: usize, problem: String, hint: String) {
        let same = |(known, _, _): &&mut (String, String, Vec<usize>)| *known == problem;
        match self.found.iter_mut().find(same) {
            Some((_, _, lines)) => lines.push(line),
            None => self.found.push((problem, hint, vec![line])),
        }
    }

    fn unless_empty(mut self, file: &Path) -> Result<()> {
        let Some((problem, hint, lines)) = self.found.pop() else {
            return Ok(());
        };
        let file = file.display();
        let mut text = String::new();
        for (problem, hint, lines) in &self.found {
            text.push_str(&format!("{}\nhint: {hint}\n", told(&file, problem, lines)));
        }
        text.push_str(&told(&file, &problem, &lines));
        Err(Failure::new(text).hint(hint).into())
    }
}

fn told(file: &std::path::Display, problem: &str, lines: &[usize]) -> String {
    let (first, rest) = lines.split_first().unwrap_or((&0, &[]));
    let mut text = format!("{file}:{first}: {problem}");
    if !rest.is_empty() {
        let named: Vec<String> = rest
            .iter()
            .take(NAMED_LINES)
            .map(usize::to_string)
            .collect();
        let more = if rest.len() > NAMED_LINES {
            ", ..."
        } else {
            ""
        };
        text.push_str(&format!(
            "; {} more rows likewise, in lines {}{more}",
            rest.len(),
            named.join(", ")
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_the_same_fault_are_told_together() {
        let mut faults = Faults::default();
        faults.add(2, "too long".into(), "cut".into());
        faults.add(3, "odd".into(), "mend".into());
        (5..40).for_each(|line| faults.add(line, "too long".into(), "cut".into()));
        let error = faults.unless_empty(Path::new("r.jsonl")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "r.jsonl:2: too long; 35 more rows likewise, in lines 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, \
             17, 18, 19, 20, 21, 22, 23, 24, ...\nhint: cut\nr.jsonl:3: odd"
        );
        assert!(Faults::default().unless_empty(Path::new("r")).is_ok());
    }

    #[test]
    fn the_longest_row_is_within_the_context() {
        assert_eq!(limit(None, 64).unwrap(), 64);
        assert_eq!(limit(Some(32), 64).unwrap(), 32);
        assert!(limit(Some(65), 64).is_err());
    }
}
