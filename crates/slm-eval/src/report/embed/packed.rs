//! Samples as the page holds them: a small index that answers every filter at once, and the
//! texts in blocks that are unpacked when they are looked at, so that a report of 100,000
//! samples opens as fast as one of a hundred.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::ops::Range;

use data_encoding::BASE64;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{SampleAnswer, SampleRow};

/// Bytes that the samples of a report may take before their texts are cut.
const BUDGET: usize = 54_000_000;

/// Bytes of text after which a block ends. A page of the list needs few of them, and each
/// is unpacked in a millisecond.
const BLOCK: usize = 128 * 1024;

/// Characters after which texts are cut, tried in turn until the budget holds.
const CUTS: [usize; 12] = [
    usize::MAX,
    100_000,
    30_000,
    10_000,
    5_000,
    2_000,
    1_000,
    500,
    250,
    120,
    60,
    30,
];

/// The remark at the end of a text that was cut, with a number of bytes between.
const CUT_MARK: &str = "\u{2026} [";
const CUT_END: &str = " more bytes]";

/// A mark of the index: right, wrong, and from `a` on wrong for one of the causes.
const RIGHT: u8 = b'1';
const WRONG: u8 = b'0';
const CAUSED: u8 = b'a';

/// The samples of a report. Lists are by row unless said otherwise.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Packed {
    /// Characters after which texts were cut; null when none were.
    cut: Option<usize>,
    ids: Vec<String>,
    /// The tags that occur.
    tag_names: Vec<String>,
    /// Each row's tags as places in `tag_names`.
    tags: Vec<Vec<usize>>,
    /// The causes that occur.
    causes: Vec<String>,
    /// By system: a letter for each row, `1` right, `0` wrong, `a` wrong for the first cause.
    marks: Vec<String>,
    /// By block: its first row.
    starts: Vec<usize>,
    /// By block: [`Texts`] of its rows as JSON, in zlib's format (RFC 1950), in Base64.
    blocks: Vec<String>,
}

/// `[question, target, outputs, latencies, confidences]`. The last three are by system:
/// an output is null where it is the target itself, the others where unknown, and none at
/// all where no system has any. Latencies are in milliseconds.
type Texts = (
    String,
    String,
    Vec<Option<String>>,
    Vec<Option<f64>>,
    Vec<Option<f64>>,
);

/// Packs samples of so many systems, with the longest texts for which the budget allows.
pub(super) fn pack(samples: &[SampleRow], systems: usize) -> Packed {
    pack_within(samples, systems, BUDGET)
}

fn pack_within(samples: &[SampleRow], systems: usize, budget: usize) -> Packed {
    let mut packed = index(samples, systems);
    let left = budget.saturating_sub(packed.bytes());
    let mut cuts = CUTS.into_iter();
    let mut cut = cuts.next().unwrap_or(usize::MAX);
    loop {
        let lengths: Vec<usize> = samples
            .par_iter()
            .map(|row| text_length(row, cut))
            .collect();
        let ranges = ranges(&lengths);
        let pack = |range: &Range<usize>| block(&samples[range.clone()], cut);
        packed.blocks = ranges.par_iter().map(pack).collect();
        packed.starts = ranges.iter().map(|range| range.start).collect();
        packed.cut = (cut < usize::MAX).then_some(cut);
        let (text, taken) = (lengths.iter().sum::<usize>(), packed.block_bytes());
        if taken <= left {
            return packed;
        }
        // Text packs about as well when it is cut shorter, so most cuts need no trial.
        let promising = |cut: &usize| {
            let shorter: usize = samples.par_iter().map(|row| text_length(row, *cut)).sum();
            shorter < text && shorter as f64 / text as f64 * taken as f64 <= left as f64
        };
        match cuts.find(promising) {
            Some(next) => cut = next,
            None if cut == CUTS[CUTS.len() - 1] => return packed,
            None => cut = CUTS[CUTS.len() - 1],
        }
    }
}

/// The index of samples, without their texts.
fn index(samples: &[SampleRow], systems: usize) -> Packed {
    let mut tags = Places::default();
    let mut causes = Places::default();
    let mut marks = vec![String::with_capacity(samples.len()); systems];
    let mut packed = Packed::default();
    for sample in samples {
        packed.ids.push(sample.id.clone());
        let places = sample.tags.iter().map(|tag| tags.place(tag)).collect();
        packed.tags.push(places);
        for (marks, answer) in marks.iter_mut().zip(&sample.answers) {
            marks.push(char::from(match (answer.right, &answer.cause) {
                (true, _) => RIGHT,
                (false, cause) if cause.is_empty() => WRONG,
                // There are fewer causes than letters.
                (false, cause) => CAUSED + u8::try_from(causes.place(cause)).unwrap_or(25),
            }));
        }
    }
    Packed {
        marks,
        tag_names: tags.names,
        causes: causes.names,
        ..packed
    }
}

/// Names in the order in which they came, each once.
#[derive(Default)]
struct Places {
    names: Vec<String>,
    known: HashMap<String, usize>,
}

impl Places {
    fn place(&mut self, name: &str) -> usize {
        if let Some(place) = self.known.get(name) {
            return *place;
        }
        self.names.push(name.to_string());
        self.known.insert(name.to_string(), self.names.len() - 1);
        self.names.len() - 1
    }
}

/// Rows together until their texts fill a block.
fn ranges(lengths: &[usize]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let (mut start, mut length) = (0, 0);
    for (row, own) in lengths.iter().enumerate() {
        length += own;
        if length >= BLOCK || row + 1 == lengths.len() {
            ranges.push(start..row + 1);
            (start, length) = (row + 1, 0);
        }
    }
    ranges
}

/// About what a row's texts take before they are packed.
fn text_length(row: &SampleRow, cut: usize) -> usize {
    let written = |text: &str| text.len().min(cut);
    let outputs = row
        .answers
        .iter()
        .map(|answer| match answer.output == row.target {
            true => 0,
            false => written(&answer.output),
        });
    written(&row.question) + written(&row.target) + outputs.sum::<usize>()
}

/// Rows' texts, cut, as one block.
fn block(samples: &[SampleRow], cut: usize) -> String {
    let texts: Vec<Texts> = samples.iter().map(|sample| texts(sample, cut)).collect();
    // Neither serializing texts nor writing to memory can fail.
    let json = serde_json::to_vec(&texts).unwrap_or_default();
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    let _ = encoder.write_all(&json);
    BASE64.encode(&encoder.finish().unwrap_or_default())
}

fn texts(sample: &SampleRow, cut: usize) -> Texts {
    let output = |answer: &SampleAnswer| {
        (answer.output != sample.target).then(|| shortened(&answer.output, cut))
    };
    (
        shortened(&sample.question, cut),
        shortened(&sample.target, cut),
        sample.answers.iter().map(output).collect(),
        known(
            sample.answers.iter().map(|answer| answer.latency_ms),
            |latency| {
                if latency < 1.0 { 1000.0 } else { 10.0 }
            },
        ),
        known(
            sample.answers.iter().map(|answer| answer.confidence),
            |_| 1000.0,
        ),
    )
}

/// Values rounded to so many steps in one; none at all where none is known.
fn known(
    values: impl Iterator<Item = Option<f64>>,
    steps: impl Fn(f64) -> f64,
) -> Vec<Option<f64>> {
    let rounded = |value: f64| (value * steps(value)).round() / steps(value);
    let values: Vec<Option<f64>> = values.map(|value| value.map(rounded)).collect();
    match values.iter().any(Option::is_some) {
        true => values,
        false => Vec::new(),
    }
}

/// The text, or its beginning with a remark on how much is left out.
fn shortened(text: &str, cut: usize) -> String {
    if text.len() <= cut {
        return text.to_string();
    }
    match text.char_indices().nth(cut) {
        None => text.to_string(),
        Some((at, _)) => format!("{}{CUT_MARK}{}{CUT_END}", &text[..at], text.len() - at),
    }
}

/// Whether two texts of reports are the same as far as both are there.
pub(crate) fn same_text(one: &str, other: &str) -> bool {
    let begins = |short: &str, long: &str| {
        let rest = short.rsplit_once(CUT_MARK);
        rest.is_some_and(|(beginning, remark)| {
            remark.ends_with(CUT_END) && long.starts_with(beginning)
        })
    };
    one == other || begins(one, other) || begins(other, one)
}

impl Packed {
    fn block_bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.len() + 3).sum()
    }

    /// What all of it takes as JSON.
    fn bytes(&self) -> usize {
        serde_json::to_vec(self).map_or(0, |json| json.len())
    }

    /// The samples again.
    ///
    /// # Errors
    /// What does not fit together, in words.
    pub(super) fn unpack(&self) -> Result<Vec<SampleRow>, String> {
        let blocks: Vec<Vec<Texts>> = self
            .blocks
            .par_iter()
            .enumerate()
            .map(|(place, block)| {
                unpacked(block).map_err(|error| format!("block {}: {error}", place + 1))
            })
            .collect::<Result<_, String>>()?;
        let texts: Vec<Texts> = blocks.into_iter().flatten().collect();
        let rows = self.ids.len();
        if texts.len() != rows || self.tags.len() != rows {
            return Err(format!("{rows} ids, but texts for {}", texts.len()));
        }
        if self.marks.iter().any(|marks| marks.len() != rows) {
            return Err("an answer without its mark".into());
        }
        texts
            .into_iter()
            .enumerate()
            .map(|(row, texts)| self.sample(row, texts))
            .collect::<Option<_>>()
            .ok_or_else(|| "a tag or a cause that is not listed".into())
    }

    fn sample(&self, row: usize, texts: Texts) -> Option<SampleRow> {
        let (question, target, outputs, latencies, confidences) = texts;
        let tag = |place: &usize| self.tag_names.get(*place).cloned();
        let answer = |(system, output): (usize, Option<String>)| {
            let mark = *self.marks.get(system)?.as_bytes().get(row)?;
            Some(SampleAnswer {
                right: mark == RIGHT,
                cause: match mark {
                    RIGHT | WRONG => String::new(),
                    letter => {
                        let place = usize::from(letter.checked_sub(CAUSED)?);
                        self.causes.get(place)?.clone()
                    }
                },
                output: output.unwrap_or_else(|| target.clone()),
                latency_ms: latencies.get(system).copied().flatten(),
                confidence: confidences.get(system).copied().flatten(),
            })
        };
        Some(SampleRow {
            answers: outputs
                .into_iter()
                .enumerate()
                .map(answer)
                .collect::<Option<_>>()?,
            tags: self.tags[row].iter().map(tag).collect::<Option<_>>()?,
            id: self.ids[row].clone(),
            question,
            target,
        })
    }
}

fn unpacked(block: &str) -> Result<Vec<Texts>, String> {
    let bytes = BASE64
        .decode(block.as_bytes())
        .map_err(|error| error.to_string())?;
    let mut json = Vec::new();
    ZlibDecoder::new(&bytes[..])
        .read_to_end(&mut json)
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&json).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_characters_and_say_so() {
        assert_eq!(shortened("short", 10), "short");
        let cut = shortened("äöüß", 2);
        assert_eq!(cut, "äö\u{2026} [4 more bytes]");
        assert!(same_text(&cut, "äöüß") && same_text(&shortened("äöüß", 3), &cut));
        assert!(!same_text(&cut, "äxüß") && !same_text("äö", "äöüß"));
    }

    fn sample(row: usize, length: usize) -> SampleRow {
        // Text that does not pack: a linear congruential generator's letters.
        let mut state = row as u64 + 1;
        let mut text = || -> String {
            let mut letter = || {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                char::from(33 + ((state >> 33) % 90) as u8)
            };
            (0..length).map(|_| letter()).collect()
        };
        let answer = |right: bool, cause: &str, output: String| SampleAnswer {
            right,
            cause: cause.into(),
            output,
            latency_ms: Some(12.5),
            confidence: None,
        };
        let target = text();
        SampleRow {
            id: format!("row {row}"),
            question: text(),
            tags: vec!["all".into(), format!("tag {}", row % 3)],
            answers: vec![
                answer(true, "", target.clone()),
                answer(false, ["", "missing", "cut_off"][row % 3], text()),
            ],
            target,
        }
    }

    #[test]
    fn many_blocks_come_back_as_they_were() {
        let samples: Vec<SampleRow> = (0..700).map(|row| sample(row, 300)).collect();
        let packed = pack(&samples, 2);
        assert!(packed.blocks.len() > 3 && packed.cut.is_none());
        assert_eq!(packed.unpack().unwrap(), samples);
    }

    #[test]
    fn texts_are_cut_no_more_than_the_budget_asks() {
        let samples: Vec<SampleRow> = (0..200).map(|row| sample(row, 3000)).collect();
        let whole = pack(&samples, 2);
        let budget = whole.bytes() / 2;
        let packed = pack_within(&samples, 2, budget);
        assert_eq!(packed.cut, Some(1000));
        assert!(packed.bytes() <= budget);
        let back = packed.unpack().unwrap();
        assert!(back[0].question.ends_with("[2000 more bytes]"));
        assert_eq!(back[0].answers[0].output, back[0].target);
        // What cannot be met is come near to.
        assert_eq!(pack_within(&samples, 2, 10).cut, Some(30));
    }

    #[test]
    fn what_does_not_fit_together_is_told() {
        let samples: Vec<SampleRow> = (0..3).map(|row| sample(row, 10)).collect();
        let broken = |change: fn(&mut Packed)| {
            let mut packed = pack(&samples, 2);
            change(&mut packed);
            packed.unpack().unwrap_err()
        };
        assert!(broken(|packed| packed.ids.truncate(2)).contains("texts for 3"));
        assert!(broken(|packed| packed.marks[0].truncate(2)).contains("mark"));
        assert!(broken(|packed| packed.causes.clear()).contains("not listed"));
        assert!(broken(|packed| packed.blocks[0].truncate(8)).contains("block 1"));
        assert!(
            broken(|packed| packed.blocks[0].replace_range(40..44, "AAAA")).contains("block 1")
        );
    }
}
