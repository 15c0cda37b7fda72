//! Answers kept by their address: so that none is paid for twice, and a run can be replayed.
//!
//! Each answer is a file of its own, written whole before it is used; a kill loses at most the
//! answers that were on their way. Does not know who answers.

use super::{AskFault, ChatAnswer, ChatRequest, ChatTeacher, address_of};
use crate::error::{DataError, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// One kept answer, with what was asked, so that a folder of them can be read by people.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    teacher: String,
    identity: String,
    request: ChatRequest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<ChatAnswer>,
    /// Why the teacher would not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

fn path_of(folder: &Path, address: &str) -> PathBuf {
    folder.join(&address[..2]).join(format!("{address}.json"))
}

/// What was kept for a request; what is absent or damaged counts as not there.
fn find(folder: &Path, address: &str, request: &ChatRequest) -> Option<Record> {
    let text = std::fs::read(path_of(folder, address)).ok()?;
    let record: Record = serde_json::from_slice(&text).ok()?;
    (record.request == *request).then_some(record)
}

/// A teacher whose answers are kept in a folder, and asked for only once.
pub struct Kept<T> {
    teacher: T,
    folder: PathBuf,
    asked: AtomicU64,
    found: AtomicU64,
}

impl<T: ChatTeacher> Kept<T> {
    /// Keeps the answers of `teacher` in `folder`, which is made when needed.
    pub fn new(teacher: T, folder: PathBuf) -> Self {
        Self {
            teacher,
            folder,
            asked: AtomicU64::new(0),
            found: AtomicU64::new(0),
        }
    }

    /// How many answers the teacher gave now.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// How many answers were there from before.
    pub fn found(&self) -> u64 {
        self.found.load(Ordering::Relaxed)
    }

    /// The teacher.
    pub fn teacher(&self) -> &T {
        &self.teacher
    }

    /// The answer that was given to this request before.
    pub fn kept(&self, request: &ChatRequest) -> Option<ChatAnswer> {
        let address = address_of(&self.identity(), request);
        find(&self.folder, &address, request)?.answer
    }

    fn keep(
        &self,
        address: &str,
        request: &ChatRequest,
        outcome: &std::result::Result<ChatAnswer, String>,
    ) -> Result<()> {
        let path = path_of(&self.folder, address);
        let folder = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(folder)
            .map_err(|e| DataError::io(folder, "create the folder", e))?;
        let record = Record {
            teacher: self.teacher.name().to_owned(),
            identity: self.teacher.identity(),
            request: request.clone(),
            answer: outcome.as_ref().ok().cloned(),
            refused: outcome.as_ref().err().cloned(),
        };
        let text =
            serde_json::to_vec(&record).map_err(|e| DataError::io(&path, "write", e.into()))?;
        slm_files::write(&path, &text).map_err(|e| DataError::io(&path, "write", e))
    }
}

impl<T: ChatTeacher> ChatTeacher for Kept<T> {
    fn name(&self) -> &str {
        self.teacher.name()
    }

    fn identity(&self) -> String {
        self.teacher.identity()
    }

    fn concurrency(&self) -> usize {
        self.teacher.concurrency()
    }

    fn ask(&self, request: &ChatRequest) -> std::result::Result<ChatAnswer, AskFault> {
        let address = address_of(&self.identity(), request);
        // A refusal is asked again: the cause may have been mended.
        if let Some(answer) = self.kept(request) {
            self.found.fetch_add(1, Ordering::Relaxed);
            return Ok(answer);
        }
        let outcome = match self.teacher.ask(request) {
            Ok(answer) => Ok(answer),
            Err(AskFault::Refused(why)) => Err(why),
            Err(stopped) => return Err(stopped),
        };
        self.asked.fetch_add(1, Ordering::Relaxed);
        // An answer that cannot be kept would be paid for again: better to stop.
        self.keep(&address, request, &outcome).map_err(|error| {
            let text = error.to_string();
            let message = text.split("\nhint: ").next().unwrap_or_default();
            AskFault::Stopped {
                message: format!("an answer cannot be kept: {message}"),
                hint: error.hint().to_owned(),
            }
        })?;
        outcome.map_err(AskFault::Refused)
    }
}

/// A recording that answers in the teacher's place, offline, and knows nothing else.
pub struct Replay {
    folder: PathBuf,
    name: String,
    identity: String,
}

impl Replay {
    /// The recording in a folder that [`Kept`] filled. All of its answers are of one teacher.
    ///
    /// # Errors
    /// The folder cannot be read, holds no answers, or answers of several teachers.
    pub fn open(folder: &Path) -> Result<Self> {
        let mut teachers = std::collections::BTreeSet::new();
        for part in sorted(folder)? {
            if part.is_dir() {
                for file in sorted(&part)? {
                    let text = std::fs::read(&file).map_err(|e| DataError::io(&file, "read", e))?;
                    if let Ok(record) = serde_json::from_slice::<Record>(&text) {
                        teachers.insert((record.teacher, record.identity));
                    }
                }
            }
        }
        match (teachers.pop_first(), teachers.is_empty()) {
            (Some((name, identity)), true) => Ok(Self {
                folder: folder.to_owned(),
                name,
                identity,
            }),
            (None, _) => Err(DataError::settings(
                format!("`{}` holds no recorded answers", folder.display()),
                "give the folder that a run wrote with `--record`",
            )),
            (Some(_), false) => Err(DataError::settings(
                format!("`{}` holds answers of several teachers", folder.display()),
                "record each teacher in a folder of its own",
            )),
        }
    }
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| DataError::io(folder, "read", e))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

impl ChatTeacher for Replay {
    fn name(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn concurrency(&self) -> usize {
        4
    }

    fn ask(&self, request: &ChatRequest) -> std::result::Result<ChatAnswer, AskFault> {
        let address = address_of(&self.identity, request);
        let record = find(&self.folder, &address, request);
        match record.map(|record| (record.answer, record.refused)) {
            Some((Some(answer), _)) => Ok(answer),
            Some((None, Some(why))) => Err(AskFault::Refused(why)),
            _ => Err(AskFault::NotAsked {
                message: format!(
                    "the recording `{}` has no answer `{}` to this request",
                    self.folder.display(),
                    &address[..12]
                ),
                hint: "a recording replays only the same flow, leaves, documents and settings; run with the teacher to record more".into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::PromptMessage;

    struct Echo(AtomicU64);

    impl ChatTeacher for Echo {
        fn name(&self) -> &str {
            "echo"
        }

        fn identity(&self) -> String {
            "echo at home".into()
        }

        fn concurrency(&self) -> usize {
            1
        }

        fn ask(&self, request: &ChatRequest) -> std::result::Result<ChatAnswer, AskFault> {
            let n = self.0.fetch_add(1, Ordering::SeqCst);
            let text = format!("{} {n}", request.messages[0].content);
            Ok(ChatAnswer {
                text,
                finish_reason: Some("stop".into()),
                input_tokens: Some(2),
                ..ChatAnswer::default()
            })
        }
    }

    fn request(content: &str, seed: u64) -> ChatRequest {
        let message = PromptMessage {
            role: "user".into(),
            content: content.into(),
        };
        ChatRequest {
            messages: vec![message],
            max_tokens: 5,
            temperature: 0.5,
            seed,
            schema: None,
            tools: Vec::new(),
        }
    }

    #[test]
    fn an_answer_is_asked_for_once_and_replayed_offline() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(Echo(AtomicU64::new(0)), folder.path().into());
        let first = kept.ask(&request("a", 1)).unwrap();
        assert_eq!(kept.ask(&request("a", 1)).unwrap(), first);
        assert_ne!(kept.ask(&request("a", 2)).unwrap(), first);
        assert_eq!((kept.asked(), kept.found()), (2, 1));
        let replay = Replay::open(folder.path()).unwrap();
        assert_eq!(
            (replay.name(), replay.identity()),
            ("echo", "echo at home".to_owned())
        );
        assert_eq!(replay.ask(&request("a", 1)).unwrap(), first);
        let missing = replay.ask(&request("b", 1)).unwrap_err();
        assert!(missing.to_string().contains("has no answer"), "{missing}");
    }

    #[test]
    fn a_damaged_answer_is_asked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(Echo(AtomicU64::new(0)), folder.path().into());
        kept.ask(&request("a", 1)).unwrap();
        let path = path_of(folder.path(), &address_of("echo at home", &request("a", 1)));
        std::fs::write(&path, "{\"teacher\":").unwrap();
        kept.ask(&request("a", 1)).unwrap();
        assert_eq!(kept.asked(), 2);
        assert!(Replay::open(&folder.path().join("none")).is_err());
    }
}
