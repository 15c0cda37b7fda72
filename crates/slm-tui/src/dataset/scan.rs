//! Which rows a filter and a search keep, found in slices while the screen is drawn.
//!
//! Does not know how rows are shown.

use std::io;

use memchr::{memchr2_iter, memmem};
use slm_data::review::Verdict;

use super::row::{Reading, Row, texts};
use super::rows::Rows;
use super::verdicts::Verdicts;

/// Which rows are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RowFilter {
    /// Every row.
    #[default]
    All,
    /// Rows without a verdict.
    Open,
    /// Rows with this verdict.
    Judged(Verdict),
    /// Lines that are no rows.
    Bad,
}

impl RowFilter {
    /// The name on screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Open => "not judged",
            Self::Judged(Verdict::Accept) => "accepted",
            Self::Judged(Verdict::Reject) => "rejected",
            Self::Judged(Verdict::Edit) => "edited",
            Self::Bad => "bad lines",
        }
    }

    /// The filter after this.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::All => Self::Open,
            Self::Open => Self::Judged(Verdict::Accept),
            Self::Judged(Verdict::Accept) => Self::Judged(Verdict::Reject),
            Self::Judged(Verdict::Reject) => Self::Judged(Verdict::Edit),
            Self::Judged(Verdict::Edit) => Self::Bad,
            Self::Bad => Self::All,
        }
    }
}

/// A text searched for. Letters of ASCII are found in either case; a text with other letters
/// is compared in Unicode's lower case.
#[derive(Debug, Clone)]
pub struct Needle {
    text: String,
    /// Whether JSON writes the text as it is, unless it escapes what it need not.
    plain: bool,
}

impl Needle {
    /// The needle of a text.
    pub fn new(text: &str) -> Self {
        let escaped = |c: char| c.is_control() || matches!(c, '"' | '\\' | '/');
        Self {
            text: text.to_lowercase(),
            plain: text.is_ascii() && !text.contains(escaped),
        }
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    fn is_in(&self, text: &str) -> bool {
        match self.text.is_ascii() {
            true => holds(text.as_bytes(), self.text.as_bytes()),
            false => text.to_lowercase().contains(&self.text),
        }
    }

    /// Whether a line of JSON could hold the text; `false` is certain.
    fn may_be_in(&self, line: &[u8]) -> bool {
        !self.plain || holds(line, self.text.as_bytes()) || memmem::find(line, b"\\u").is_some()
    }
}

/// Whether the text holds the needle, which is in lower case, in either case of ASCII.
fn holds(text: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else {
        return true;
    };
    memchr2_iter(*first, first.to_ascii_uppercase(), text).any(|at| {
        text.get(at..at + needle.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(needle))
    })
}

/// A search that goes on.
#[derive(Debug)]
pub struct Scan {
    filter: RowFilter,
    needle: Needle,
    next: usize,
    /// The rows that were found, in their order.
    pub found: Vec<usize>,
}

impl Scan {
    /// A search from the first row; none where every row is kept.
    pub fn new(filter: RowFilter, search: &str) -> Option<Self> {
        let needle = Needle::new(search);
        (filter != RowFilter::All || !needle.is_empty()).then(|| Self {
            filter,
            needle,
            next: 0,
            found: Vec::new(),
        })
    }

    /// Looks through the next rows that fit these bytes; whether there are more, among those
    /// that are known.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn go_on(
        &mut self,
        rows: &mut Rows,
        reading: &mut Reading,
        verdicts: &Verdicts,
        bytes: u64,
    ) -> io::Result<bool> {
        let (block, places) = rows.block(self.next, bytes)?;
        for (offset, place) in places.iter().enumerate() {
            let (from, to) = (place.start as usize, (place.start + place.length) as usize);
            let line = &block[from.min(block.len())..to.min(block.len())];
            if self.keeps(line, place.line, reading, verdicts) {
                self.found.push(self.next + offset);
            }
        }
        // Behind the last row, or before one that is too large to be looked into.
        let step = if places.is_empty() { 1 } else { places.len() };
        self.next = (self.next + step).min(rows.len());
        Ok(self.next < rows.len())
    }

    /// The share of the known rows looked through, from 0 to 1.
    pub fn share(&self, rows: &Rows) -> f64 {
        match rows.len() {
            0 => 1.0,
            all => self.next as f64 / all as f64,
        }
    }

    fn keeps(&self, line: &[u8], number: u64, reading: &mut Reading, verdicts: &Verdicts) -> bool {
        if !self.needle.is_empty() && !self.needle.may_be_in(line) {
            return false;
        }
        let judged = matches!(self.filter, RowFilter::Judged(_));
        if judged && verdicts.is_empty() {
            return false;
        }
        let line = match number {
            1 => line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line),
            _ => line,
        };
        match reading.read(line, number) {
            Row::Good(sample, hash) => {
                let verdict = verdicts.of(&hash).and_then(|review| review.verdict);
                let kept = match self.filter {
                    RowFilter::All => true,
                    RowFilter::Open => verdict.is_none(),
                    RowFilter::Judged(wanted) => verdict == Some(wanted),
                    RowFilter::Bad => false,
                };
                kept && (self.needle.is_empty()
                    || texts(&sample).any(|text| self.needle.is_in(&text)))
            }
            Row::Bad { text, .. } => {
                matches!(self.filter, RowFilter::All | RowFilter::Bad) && self.needle.is_in(&text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::verdicts::judged;

    fn found(content: &str, filter: RowFilter, search: &str) -> Vec<usize> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        std::fs::write(&path, content).unwrap();
        let mut lines = Rows::open(&path).unwrap();
        let mut reading = Reading::of(&path);
        let mut verdicts = Verdicts::open(folder.path().join("r.jsonl"));
        while lines.find(64).unwrap() {}
        let first = reading.read(&lines.row(0).unwrap(), 1);
        if let Row::Good(sample, _) = first {
            let open = slm_data::review::open_review(&sample);
            verdicts.put(0, judged(open, Verdict::Accept, "", None));
        }
        let mut scan = Scan::new(filter, search).unwrap();
        while scan
            .go_on(&mut lines, &mut reading, &verdicts, 100)
            .unwrap()
        {}
        assert!((scan.share(&lines) - 1.0).abs() < 1e-9);
        scan.found
    }

    fn row(question: &str, answer: &str) -> String {
        format!(
            "{{\"messages\":[{{\"role\":\"user\",\"content\":\"{question}\"}},{{\"role\":\"assistant\",\"content\":\"{answer}\"}}]}}\n"
        )
    }

    #[test]
    fn texts_are_found_however_json_writes_them() {
        let content = [
            row("Which DOOR?", "{\\\"a\\\":\\\"b/c\\\"}"),
            row("caf\\u00e9 \\u0064oor", "x"),
            row("caf\u{e9} T\u{d6}R", "\\u2028y\\ty"),
            "{\"messages\": door\n".to_owned(),
        ]
        .concat();
        let search = |text: &str| found(&content, RowFilter::All, text);
        assert_eq!(search("door"), [0, 1, 3]);
        assert_eq!(search("CAF\u{c9}"), [1, 2]);
        assert_eq!(search("t\u{f6}r"), [2]);
        assert_eq!(search("{\"a\":\"B/C\"}"), [0]);
        assert_eq!(search("y\ty"), [2]);
        assert_eq!(
            search("role"),
            [3; 0],
            "keys of the format are not searched"
        );
    }

    #[test]
    fn filters_are_by_verdict_and_by_what_is_no_row() {
        let content = [row("a", "x"), row("b", "x"), "oops\n".to_owned()].concat();
        assert_eq!(found(&content, RowFilter::Judged(Verdict::Accept), ""), [0]);
        assert_eq!(
            found(&content, RowFilter::Judged(Verdict::Edit), ""),
            [0; 0]
        );
        assert_eq!(found(&content, RowFilter::Open, ""), [1]);
        assert_eq!(found(&content, RowFilter::Bad, ""), [2]);
        assert_eq!(found(&content, RowFilter::Open, "B"), [1]);
    }
}
