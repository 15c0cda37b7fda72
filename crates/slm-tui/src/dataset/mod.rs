//! A dataset under review: what is open, selected, searched and written, and how actions change it.
//!
//! Rows are found and searched in slices ([`Browser::work`]) and parsed when they are shown.
//! Does not know the terminal: keys come in, the views read, an editor is asked for.

pub mod judging;
pub mod lines;
pub mod provenance;
pub mod row;
pub mod rows;
pub mod scan;
pub mod verdicts;

use std::collections::HashMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use slm_data::review::Verdict;
use slm_data::{Format, Role, Sample};
use slm_table::is_parquet;

use crate::keys::Action;
use judging::Typing;
use provenance::Ledger;
use row::{Reading, Row};
use rows::Rows;
use scan::{RowFilter, Scan};
use verdicts::Verdicts;

/// Files of a dataset's folder, in the order of the Tab key.
const FILES: [&str; 6] = [
    "train.jsonl",
    "train.parquet",
    "validation.jsonl",
    "validation.parquet",
    "test.jsonl",
    "test.parquet",
];
/// Bytes in which lines are found at a time.
const FIND: usize = 8 << 20;
/// Bytes that are searched at a time; rows that may match are parsed.
const SEARCH: u64 = 1 << 20;
/// Parsed rows that are remembered.
const REMEMBERED: usize = 512;
/// Lines looked at to tell a dataset from other files.
const TELLING: usize = 100;

/// A dataset and what is shown of it.
#[derive(Debug)]
pub struct Browser {
    files: Vec<PathBuf>,
    at: usize,
    /// The open file's rows.
    pub rows: Rows,
    reading: Reading,
    /// The verdicts on its rows.
    pub verdicts: Verdicts,
    /// Its ledger.
    pub ledger: Ledger,
    /// Which rows are listed.
    pub filter: RowFilter,
    /// The text searched for.
    pub search: String,
    /// The search that lists rows; none where all are listed.
    pub scan: Option<Scan>,
    /// The position among the rows listed.
    pub selected: usize,
    /// Whether one row fills the screen.
    pub open: bool,
    /// The first line of its text on screen.
    pub scroll: usize,
    /// Lines of a page, told by the last drawing.
    pub page: usize,
    /// What keys are written into.
    pub typing: Typing,
    /// What to tell the reader, where it is not about verdicts.
    pub said: String,
    /// A text that is to be edited.
    pub wanted: Option<String>,
    /// Edited answers whose reason was not given yet, by the row's hash.
    drafts: HashMap<String, String>,
    remembered: HashMap<usize, Rc<Row>>,
}

impl Browser {
    /// Opens the file at this position of a dataset's files.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(files: Vec<PathBuf>, at: usize) -> std::io::Result<Self> {
        let first = files.get(at).cloned().unwrap_or_default();
        let mut browser = Self {
            rows: Rows::open(&first)?,
            reading: Reading::of(&first),
            verdicts: Verdicts::open(Verdicts::place(&first)),
            ledger: Ledger::beside(&first),
            files,
            at,
            filter: RowFilter::All,
            search: String::new(),
            scan: None,
            selected: 0,
            open: false,
            scroll: 0,
            page: 10,
            typing: Typing::Nothing,
            said: String::new(),
            wanted: None,
            drafts: HashMap::new(),
            remembered: HashMap::new(),
        };
        browser.begin();
        let verdicts = &mut browser.verdicts;
        if !verdicts.is_empty() {
            let count: usize = verdicts.counts.iter().sum();
            verdicts.said = format!("verdicts so far: {count}, in {}", verdicts.path().display());
        }
        Ok(browser)
    }

    /// The files of a dataset's folder.
    pub fn files_of(folder: &Path) -> Vec<PathBuf> {
        let files = FILES.iter().map(|name| folder.join(name));
        files.filter(|file| file.is_file()).collect()
    }

    /// Whether one of the first lines is a row of a dataset, or the file has nothing but white
    /// space.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn is_dataset(path: &Path) -> std::io::Result<bool> {
        if is_parquet(path) {
            let mut rows = Rows::open(path)?;
            let row = |row| serde_json::from_slice(&rows.row(row).ok()?).ok();
            let mut first = (0..TELLING).map_while(row);
            return Ok(first.any(|row| Format::detect(&row).is_ok()) || rows.is_empty());
        }
        let mut reader = std::io::BufReader::new(std::fs::File::open(path)?);
        let (mut line, mut rows) = (Vec::new(), 0);
        while rows < TELLING {
            line.clear();
            if reader.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let text = line.trim_ascii();
            let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
            if text.is_empty() {
                continue;
            }
            rows += 1;
            let row = serde_json::from_slice(text).ok();
            if row.is_some_and(|row| Format::detect(&row).is_ok()) {
                return Ok(true);
            }
        }
        Ok(rows == 0)
    }

    /// Finds the first rows, and reads the first so that it tells the format.
    fn begin(&mut self) {
        self.find(FIND / 8);
        let first = (0..self.rows.len().min(TELLING))
            .find(|row| matches!(self.row(*row).as_deref(), Some(Row::Good(..))));
        if first.is_none() && !self.rows.is_empty() {
            self.said = format!("none of the first {TELLING} lines is a row");
        }
    }

    /// The open file.
    pub fn file(&self) -> &Path {
        &self.files[self.at]
    }

    /// The open file's number, from 1, and how many there are.
    pub fn number(&self) -> (usize, usize) {
        (self.at + 1, self.files.len())
    }

    /// Rows listed so far.
    pub fn listed(&self) -> usize {
        match &self.scan {
            Some(scan) => scan.found.len(),
            None => self.rows.len(),
        }
    }

    /// The row at a position of the list.
    pub fn row_at(&self, position: usize) -> Option<usize> {
        match &self.scan {
            Some(scan) => scan.found.get(position).copied(),
            None => (position < self.rows.len()).then_some(position),
        }
    }

    /// A row, parsed now or before; none behind the last.
    pub fn row(&mut self, row: usize) -> Option<Rc<Row>> {
        if let Some(known) = self.remembered.get(&row) {
            return Some(known.clone());
        }
        let line = self.rows.line(row)?;
        let read = match self.rows.row(row) {
            Ok(bytes) => self.reading.read(&bytes, line),
            Err(reason) => Row::Bad {
                reason,
                text: String::new(),
            },
        };
        if self.remembered.len() >= REMEMBERED {
            self.remembered.clear();
        }
        let read = Rc::new(read);
        self.remembered.insert(row, read.clone());
        Some(read)
    }

    /// The row selected, and its position in the file.
    pub fn current(&mut self) -> Option<(usize, Rc<Row>)> {
        let row = self.row_at(self.selected)?;
        Some((row, self.row(row)?))
    }

    /// Does a slice of what is to be done between two frames; whether there is more of it.
    pub fn work(&mut self) -> bool {
        let finding = self.find(FIND);
        let searching = match &mut self.scan {
            Some(scan) => {
                let (rows, reading) = (&mut self.rows, &mut self.reading);
                match scan.go_on(rows, reading, &self.verdicts, SEARCH) {
                    Ok(more) => more,
                    Err(error) => {
                        self.said = format!("the search ended: reading failed: {error}");
                        false
                    }
                }
            }
            None => false,
        };
        finding || searching || (self.open && self.ledger.go_on())
    }

    fn find(&mut self, bytes: usize) -> bool {
        self.rows.find(bytes).unwrap_or_else(|error| {
            self.said = format!("the rows behind are not shown: reading failed: {error}");
            false
        })
    }

    /// Takes an action.
    pub fn act(&mut self, action: Action) {
        self.said.clear();
        match action {
            Action::Switch => self.next_file(),
            Action::Open if !self.open => self.open = self.row_at(self.selected).is_some(),
            Action::Back => self.open = false,
            Action::Filter => {
                self.filter = self.filter.next();
                self.list();
            }
            Action::Search => {
                self.typing = Typing::Search;
                self.open = false;
            }
            Action::Next => self.select(Action::Down),
            Action::Previous => self.select(Action::Up),
            Action::Accept => self.judge(Verdict::Accept),
            Action::Reject => self.judge(Verdict::Reject),
            Action::Edit => self.edit(),
            Action::Undo => self.undo(),
            action if self.open => {
                // The drawing, which knows the row's lines, limits it.
                self.scroll = moved(self.scroll, usize::MAX, self.page, action);
            }
            action => self.select(action),
        }
        self.look_up();
    }

    /// Selects a position of the list, as a click does; one that is selected is opened.
    pub fn click(&mut self, position: usize) {
        if position == self.selected {
            self.act(Action::Open);
        } else if position < self.listed() {
            self.selected = position;
        }
    }

    /// Asks the ledger for the open row.
    fn look_up(&mut self) {
        let row = if self.open { self.current() } else { None };
        if let Some((_, row)) = row
            && let Row::Good(sample, _) = &*row
        {
            self.ledger.want(&sample.id);
        }
    }

    fn select(&mut self, action: Action) {
        self.selected = moved(self.selected, self.listed(), self.page, action);
        self.scroll = 0;
    }

    fn list(&mut self) {
        self.scan = Scan::new(self.filter, &self.search);
        self.selected = 0;
        self.scroll = 0;
        self.open = false;
    }

    fn next_file(&mut self) {
        if self.files.len() < 2 {
            return;
        }
        if self.verdicts.unsaved {
            self.verdicts.save();
            if self.verdicts.unsaved {
                return;
            }
        }
        match Self::open(self.files.clone(), (self.at + 1) % self.files.len()) {
            Ok(mut next) => {
                next.drafts = std::mem::take(&mut self.drafts);
                *self = next;
            }
            Err(error) => self.said = format!("the next file cannot be opened: {error}"),
        }
    }
}

/// Where an action leads in a list of this length.
pub fn moved(at: usize, length: usize, page: usize, action: Action) -> usize {
    let last = length.saturating_sub(1);
    match action {
        Action::Down | Action::Next => at.saturating_add(1).min(last),
        Action::Up | Action::Previous => at.saturating_sub(1),
        Action::PageDown => at.saturating_add(page).min(last),
        Action::PageUp => at.saturating_sub(page),
        Action::First => 0,
        Action::Last => last,
        _ => at,
    }
}

/// The last assistant turn's number among the messages.
pub fn answer_of(sample: &Sample) -> Option<usize> {
    sample
        .messages
        .iter()
        .rposition(|message| message.role == Role::Assistant)
}
