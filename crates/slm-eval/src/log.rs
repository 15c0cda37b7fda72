//! The eval log: one line per answer with everything that shaped it, appended
//! and never rewritten, so that a killed run resumes and scoring can be repeated.
//!
//! Does not know how answers are judged.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::EvalError;
use crate::predictions::Prediction;
use crate::rows::Message;

/// One answer of one system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The system's name in results.
    pub system: String,
    /// SHA-256 of the rendered prompt; see [`prompt_hash`].
    pub prompt_hash: String,
    /// The model, as exactly as it is known (name and content hash).
    #[serde(default)]
    pub model: String,
    /// Everything else that shaped the answer: template, sampling, weights, seed.
    #[serde(default)]
    pub settings: serde_json::Value,
    /// Which repeat of the same question this is, from 0.
    #[serde(default)]
    pub repeat: u32,
    /// The answer.
    #[serde(flatten)]
    pub prediction: Prediction,
}

/// SHA-256 over roles and contents of a prompt, and over what is asked with it (tools, a schema
/// that is enforced), in hexadecimal.
pub fn prompt_hash<'a>(
    messages: &[Message],
    beside: impl IntoIterator<Item = &'a serde_json::Value>,
) -> String {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    for message in messages {
        part(&message.role);
        part(&message.content);
    }
    for value in beside {
        part(&value.to_string());
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// System, row and repeat.
type Key = (String, String, u32);

/// What shaped an answer; with another shape it may be another.
#[derive(Debug, PartialEq)]
struct Shape {
    prompt_hash: String,
    model: String,
    settings: serde_json::Value,
}

impl Shape {
    fn of(entry: &LogEntry) -> Self {
        Self {
            prompt_hash: entry.prompt_hash.clone(),
            model: entry.model.clone(),
            settings: entry.settings.clone(),
        }
    }
}

/// A log file open for appending.
#[derive(Debug)]
pub struct EvalLog {
    path: PathBuf,
    file: File,
    answered: HashMap<Key, Shape>,
    failed: HashSet<Key>,
}

impl EvalLog {
    /// Opens a log, making it if there is none. A last line that a killed writer
    /// left unfinished is cut off.
    ///
    /// # Errors
    /// When the file cannot be read or written, or a line that is not the last
    /// is no entry.
    pub fn open(path: &Path) -> Result<Self, EvalError> {
        let writing = |source| EvalError::writing(path, source);
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)
            .map_err(writing)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(writing)?;
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(writing)?;
            file.seek(SeekFrom::End(0)).map_err(writing)?;
        }
        let mut log = Self {
            path: path.to_path_buf(),
            file,
            answered: HashMap::new(),
            failed: HashSet::new(),
        };
        parse(path, &bytes[..whole])?
            .iter()
            .for_each(|entry| log.note(entry));
        Ok(log)
    }

    /// Appends an answer; after return it survives the process.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(&mut self, entry: &LogEntry) -> Result<(), EvalError> {
        let mut line = serde_json::to_string(entry)
            .map_err(|error| EvalError::invalid(error.to_string(), "log entries must be JSON"))?;
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .map_err(|source| EvalError::writing(&self.path, source))?;
        self.note(entry);
        Ok(())
    }

    fn note(&mut self, entry: &LogEntry) {
        match entry.prediction.error {
            Some(_) => self.failed.insert(key(entry)),
            None => self.failed.remove(&key(entry)),
        };
        self.answered.insert(key(entry), Shape::of(entry));
    }

    /// Whether the system's last answer to this row was an error.
    pub fn has_failed(&self, entry: &LogEntry) -> bool {
        self.failed.contains(&key(entry))
    }

    /// Whether the system's last answer to this row was shaped as `entry` is: by the same prompt,
    /// model and settings. If so, no paid call is repeated; if not, the row is asked again, and
    /// the new answer counts.
    pub fn has(&self, entry: &LogEntry) -> bool {
        self.answered.get(&key(entry)) == Some(&Shape::of(entry))
    }
}

/// Reads the entries of a log in their order; an unfinished last line is left out.
///
/// # Errors
/// When the file cannot be read or a finished line is no entry.
pub fn read(path: &Path) -> Result<Vec<LogEntry>, EvalError> {
    let bytes = std::fs::read(path).map_err(|source| EvalError::reading(path, source))?;
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    parse(path, &bytes[..whole])
}

/// The systems of a log in the order of their first answers, with the answers of each repeat
/// (those of the first, then of the second, and so on). Of several answers to a row under one
/// repeat the last counts: it came after the set-up had changed. Repeats from `repeats` on are
/// left out.
pub fn by_system(entries: Vec<LogEntry>, repeats: u32) -> Vec<(String, Vec<Vec<Prediction>>)> {
    let mut systems: Vec<(String, Vec<Vec<Prediction>>)> = Vec::new();
    let mut places: HashMap<Key, (usize, usize)> = HashMap::new();
    for entry in entries.into_iter().filter(|entry| entry.repeat < repeats) {
        let (key, repeat) = (key(&entry), entry.repeat as usize);
        if let Some((system, answer)) = places.get(&key) {
            systems[*system].1[repeat][*answer] = entry.prediction;
            continue;
        }
        let system = match systems.iter().position(|(name, _)| *name == entry.system) {
            Some(found) => found,
            None => {
                systems.push((entry.system.clone(), Vec::new()));
                systems.len() - 1
            }
        };
        let answers = &mut systems[system].1;
        if answers.len() <= repeat {
            answers.resize_with(repeat + 1, Vec::new);
        }
        places.insert(key, (system, answers[repeat].len()));
        answers[repeat].push(entry.prediction);
    }
    systems
}

fn key(entry: &LogEntry) -> Key {
    (
        entry.system.clone(),
        entry.prediction.id.clone(),
        entry.repeat,
    )
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<LogEntry>, EvalError> {
    let mut entries = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let entry = serde_json::from_slice(line).map_err(|error| {
            EvalError::invalid(
                format!("{}:{}: no log entry: {error}", path.display(), index + 1),
                "the log was edited or damaged; move it away to begin anew",
            )
        })?;
        entries.push(entry);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(system: &str, id: &str, output: &str) -> LogEntry {
        LogEntry {
            system: system.into(),
            prompt_hash: "h".into(),
            prediction: Prediction::text(id, output),
            ..LogEntry::default()
        }
    }

    #[test]
    fn a_torn_last_line_is_cut_and_the_rest_resumes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut log = EvalLog::open(&path).unwrap();
        log.append(&entry("s", "a", "1")).unwrap();
        drop(log);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{\"system\":\"s\",\"id\":\"b\"");
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path).unwrap().len(), 1);

        let mut log = EvalLog::open(&path).unwrap();
        assert!(log.has(&entry("s", "a", "")));
        assert!(!log.has(&entry("s", "b", "")));
        log.append(&entry("s", "b", "2")).unwrap();
        let entries = read(&path).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1].prediction.output, "2");
    }

    #[test]
    fn only_the_last_answer_stands_and_only_for_what_shaped_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let first = LogEntry {
            model: "weights".into(),
            settings: serde_json::json!({"max_tokens": 9}),
            ..entry("s", "a", "1")
        };
        let others = [
            LogEntry {
                prompt_hash: "other".into(),
                ..first.clone()
            },
            LogEntry {
                model: "other".into(),
                ..first.clone()
            },
            LogEntry {
                settings: serde_json::json!({"max_tokens": 10}),
                ..first.clone()
            },
        ];
        for other in others {
            let mut log = EvalLog::open(&path).unwrap();
            log.append(&first).unwrap();
            drop(log);
            let mut log = EvalLog::open(&path).unwrap();
            assert!(log.has(&first) && !log.has(&other), "{other:?}");
            log.append(&other).unwrap();
            // The answers that count are the other's now, so the first must be asked again.
            assert!(log.has(&other) && !log.has(&first), "{other:?}");
        }
    }

    #[test]
    fn damage_within_is_told_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        std::fs::write(&path, "\n{oops}\n").unwrap();
        let error = EvalLog::open(&path).unwrap_err().to_string();
        assert!(error.contains("log.jsonl:2:"), "{error}");
    }

    #[test]
    fn answers_sort_to_systems_and_later_ones_replace() {
        let mut repeat = entry("s", "a", "other");
        repeat.repeat = 1;
        let entries = vec![
            entry("s", "a", "1"),
            entry("t", "a", "2"),
            repeat,
            entry("s", "a", "3"),
        ];
        let systems = by_system(entries.clone(), 1);
        assert_eq!(systems.len(), 2);
        assert_eq!(systems[0].1.len(), 1);
        assert_eq!(systems[0].1[0][0].output, "3");
        let systems = by_system(entries, 5);
        assert_eq!(systems[0].1[1][0].output, "other");
    }

    #[test]
    fn an_error_is_known_until_an_answer_comes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut failed = entry("s", "a", "");
        failed.prediction.error = Some("late".into());
        let mut log = EvalLog::open(&path).unwrap();
        log.append(&failed).unwrap();
        drop(log);
        let mut log = EvalLog::open(&path).unwrap();
        assert!(log.has(&entry("s", "a", "")) && log.has_failed(&failed));
        log.append(&entry("s", "a", "1")).unwrap();
        assert!(!log.has_failed(&failed));
    }

    #[test]
    fn the_hash_sees_roles_and_borders() {
        let message = |role: &str, content: &str| Message {
            role: role.into(),
            content: content.into(),
        };
        let hash = |role: &str, content: &str, beside: &[serde_json::Value]| {
            prompt_hash(&[message(role, content)], beside)
        };
        let own = hash("user", "ab", &[]);
        assert_eq!(own.len(), 64);
        assert_ne!(own, hash("usera", "b", &[]));
        assert_ne!(own, hash("system", "ab", &[]));
        assert_ne!(own, hash("user", "ab", &[serde_json::json!({"name": "f"})]));
    }
}
