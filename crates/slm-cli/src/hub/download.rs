//! Files of a hub onto the disk: several at once, each resumed where it was cut, each verified
//! before it takes its name.
//!
//! A file that is being fetched is `NAME.incomplete`; beside it `NAME.version` holds what the
//! server calls this version of it (its ETag, empty where it gives none), so that a rest is only
//! put behind the beginning that it belongs to. Does not know what the files are.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap};

use super::checksum::Checksum;
use super::client::{ATTEMPTS, Attempt, Body, Client, Part, given_up};
use super::{Listing, Reference, RemoteFile};
use crate::failure::Failure;
use crate::terminal::{Progress, Terminal};
use crate::workspace::write_atomically;

/// Files that are fetched at the same time.
const AT_ONCE: usize = 3;
/// How often it is looked how far they are.
const LOOKED_EVERY: Duration = Duration::from_millis(20);
/// Progress is counted in these.
const MEGABYTE: u64 = 1_000_000;

/// What the threads that fetch share.
struct Work<'a> {
    client: &'a Client,
    reference: &'a Reference,
    folder: &'a Path,
    /// Bytes on the disk, of all files together.
    done: AtomicU64,
    /// Set when one of them failed; the others stop at their next bytes.
    stopped: AtomicBool,
    remarks: Mutex<Vec<String>>,
}

/// Fetches all files of a listing into `folder`; what is there whole is kept.
///
/// # Errors
/// The hub refuses, a connection fails again and again, or a file is not what the hub says it
/// is. What was fetched so far is kept.
pub fn fetch_all(
    client: &Client,
    reference: &Reference,
    listing: &Listing,
    folder: &Path,
    terminal: &Terminal,
) -> Result<()> {
    let work = Work {
        client,
        reference,
        folder,
        done: AtomicU64::new(0),
        stopped: AtomicBool::new(false),
        remarks: Mutex::new(Vec::new()),
    };
    // The largest first, so that no long one is left for the end.
    let mut files: Vec<&RemoteFile> = listing.files.iter().collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.size));
    let next = AtomicUsize::new(0);
    let running = AtomicUsize::new(AT_ONCE);
    let failure = Mutex::new(None);
    let mut progress = terminal.progress("pull", listing.bytes().div_ceil(MEGABYTE), "MB");
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = work.fetch(file) {
                        // First what went wrong, then the word to stop: the others' ends are
                        // no news.
                        if let Ok(mut failure) = failure.lock() {
                            failure.get_or_insert(error);
                        }
                        work.stopped.store(true, Ordering::Relaxed);
                        break;
                    }
                }
                running.fetch_sub(1, Ordering::Relaxed);
            });
        }
        show(&mut progress, &work.done, &running);
    });
    progress.finish();
    for remark in work.remarks.into_inner().unwrap_or_default() {
        terminal.warn(remark);
    }
    match failure.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(()),
    }
}

fn show(progress: &mut Progress, done: &AtomicU64, running: &AtomicUsize) {
    let mut begun = false;
    while running.load(Ordering::Relaxed) > 0 {
        let megabytes = done.load(Ordering::Relaxed) / MEGABYTE;
        // What an earlier attempt left says nothing about the speed of this one.
        match begun {
            false => progress.resume_at(megabytes),
            true => progress.set(megabytes, ""),
        }
        begun = true;
        std::thread::sleep(LOOKED_EVERY);
    }
}

/// A file on its way.
struct Place {
    whole: PathBuf,
    incomplete: PathBuf,
    version: PathBuf,
}

impl Place {
    fn of(folder: &Path, path: &str) -> Self {
        let whole = folder.join(path);
        let beside = |ending: &str| {
            let mut name = whole.file_name().unwrap_or_default().to_owned();
            name.push(ending);
            whole.with_file_name(name)
        };
        Self {
            incomplete: beside(".incomplete"),
            version: beside(".version"),
            whole,
        }
    }

    /// What is there of the file already.
    fn part(&self) -> Part {
        let version = fs::read_to_string(&self.version).ok();
        match (fs::metadata(&self.incomplete), version) {
            (Ok(metadata), Some(version)) if metadata.len() > 0 => Part {
                from: metadata.len(),
                version: Some(version),
            },
            _ => Part::default(),
        }
    }

    fn forget(&self) {
        fs::remove_file(&self.incomplete).ok();
        fs::remove_file(&self.version).ok();
    }
}

/// How a file's fetching ended for now.
enum Outcome {
    /// All bytes are there; what the server said of them.
    Whole(Vec<HeaderMap>),
    /// The connection ended before the file did.
    Cut(String),
}

impl Work<'_> {
    fn fetch(&self, file: &RemoteFile) -> Result<()> {
        let place = Place::of(self.folder, &file.path);
        if let Some(parent) = place.whole.parent() {
            crate::workspace::create_folder(parent)?;
        }
        // Only what was verified has its name.
        if let Ok(metadata) = fs::metadata(&place.whole)
            && file.size.is_none_or(|size| size == metadata.len())
        {
            self.done.fetch_add(metadata.len(), Ordering::Relaxed);
            return Ok(());
        }
        let mut second = false;
        loop {
            let headers = self.fetch_bytes(file, &place)?;
            let expected = file.checksum.clone().or_else(|| checksum_of(&headers));
            match verify(&place.incomplete, file, expected.as_ref()) {
                Ok(()) => {
                    if expected.is_none() {
                        self.remark(format!(
                            "the hub gives no checksum for `{}`; only its transfer was checked",
                            file.path
                        ));
                    }
                    return keep(&place);
                }
                Err(failure) => {
                    let bytes = fs::metadata(&place.incomplete).map_or(0, |found| found.len());
                    self.done.fetch_sub(bytes, Ordering::Relaxed);
                    place.forget();
                    if second {
                        return Err(failure);
                    }
                    self.remark(format!("`{}` came damaged and is fetched again", file.path));
                    second = true;
                }
            }
        }
    }

    fn remark(&self, text: String) {
        if let Ok(mut remarks) = self.remarks.lock() {
            remarks.push(text);
        }
    }

    /// Fetches until all bytes are there, however often the connection ends.
    fn fetch_bytes(&self, file: &RemoteFile, place: &Place) -> Result<Vec<HeaderMap>> {
        let mut failed = 0;
        let mut reached = place.part().from;
        self.done.fetch_add(reached, Ordering::Relaxed);
        loop {
            let (why, asked) = match self.attempt(file, place) {
                Ok(Outcome::Whole(headers)) => return Ok(headers),
                Ok(Outcome::Cut(why)) => (why, None),
                Err(Problem::Attempt(Attempt::Again(why, asked))) => (why, asked),
                Err(Problem::Attempt(Attempt::Unfit)) => (
                    "the file changed on the hub".to_owned(),
                    Some(Duration::ZERO),
                ),
                Err(Problem::Attempt(Attempt::Final(failure))) => return Err(failure.into()),
                Err(Problem::Disk(error)) => return Err(error),
            };
            if self.stopped.load(Ordering::Relaxed) {
                return Err(Failure::new("stopped").into());
            }
            let now = place.part().from;
            failed = if now > reached { 1 } else { failed + 1 };
            reached = now;
            if failed >= ATTEMPTS {
                return Err(given_up(&file.path, failed, &why).into());
            }
            std::thread::sleep(self.client.wait(failed, asked));
        }
    }

    fn attempt(&self, file: &RemoteFile, place: &Place) -> Result<Outcome, Problem> {
        let part = place.part();
        if part.from > 0 && file.size == Some(part.from) {
            return Ok(Outcome::Whole(Vec::new()));
        }
        let mut body = match self.client.open(self.reference, &file.path, &part) {
            Ok(body) => body,
            Err(attempt) => {
                if matches!(attempt, Attempt::Unfit) {
                    self.begin_anew(place, &part);
                }
                return Err(Problem::Attempt(attempt));
            }
        };
        let goes_on = part.from > 0 && continues(&body, &part);
        if !goes_on {
            self.begin_anew(place, &part);
            // A rest that belongs to another version is of no use; a whole file is.
            if body.response.status().as_u16() == 206 {
                return Err(Problem::Attempt(Attempt::Unfit));
            }
            let version = version(&body).unwrap_or_default();
            write_atomically(&place.version, version.as_bytes()).map_err(Problem::Disk)?;
        }
        self.receive(file, place, &mut body, goes_on)
    }

    fn begin_anew(&self, place: &Place, part: &Part) {
        self.done.fetch_sub(part.from, Ordering::Relaxed);
        place.forget();
    }

    fn receive(
        &self,
        file: &RemoteFile,
        place: &Place,
        body: &mut Body,
        goes_on: bool,
    ) -> Result<Outcome, Problem> {
        let disk = |error: std::io::Error| {
            Problem::Disk(Failure::io("write", &place.incomplete, &error).into())
        };
        let mut out = OpenOptions::new()
            .create(true)
            .append(goes_on)
            .write(true)
            .truncate(!goes_on)
            .open(&place.incomplete)
            .map_err(disk)?;
        let promised = body.response.content_length();
        let mut buffer = vec![0; 1 << 16];
        let mut received = 0;
        loop {
            if self.stopped.load(Ordering::Relaxed) {
                return Ok(Outcome::Cut("stopped".to_owned()));
            }
            match body.response.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    out.write_all(&buffer[..read]).map_err(disk)?;
                    received += read as u64;
                    self.done.fetch_add(read as u64, Ordering::Relaxed);
                }
                Err(error) => return Ok(Outcome::Cut(error.to_string())),
            }
        }
        out.sync_all().map_err(disk)?;
        let length = out.metadata().map_err(disk)?.len();
        let wanted = file.size;
        if promised.is_some_and(|promised| received < promised)
            || wanted.is_some_and(|wanted| length < wanted)
        {
            return Ok(Outcome::Cut("the connection ended early".to_owned()));
        }
        Ok(Outcome::Whole(body.headers.clone()))
    }
}

enum Problem {
    Attempt(Attempt),
    Disk(anyhow::Error),
}

/// Whether an answer goes on exactly where the part ends, in the same version of the file.
fn continues(body: &Body, part: &Part) -> bool {
    let header = |name| body.response.headers().get(name)?.to_str().ok();
    let from = header(CONTENT_RANGE)
        .and_then(|range| range.trim().strip_prefix("bytes "))
        .and_then(|range| range.split('-').next())
        .and_then(|from| from.trim().parse::<u64>().ok());
    body.response.status().as_u16() == 206
        && from == Some(part.from)
        && version(body).unwrap_or_default() == part.version.as_deref().unwrap_or_default()
}

/// What the server calls this version of the file.
fn version(body: &Body) -> Option<String> {
    let version = body.response.headers().get(ETAG)?.to_str().ok()?;
    // A weak one does not promise the same bytes.
    (!version.starts_with("W/")).then(|| version.to_owned())
}

/// The checksum that a hub gives with the file itself.
fn checksum_of(headers: &[HeaderMap]) -> Option<Checksum> {
    let of = |headers: &HeaderMap, name: &str| {
        let text = headers.get(name)?.to_str().ok()?;
        Checksum::parse(text)
    };
    let linked = headers
        .iter()
        .find_map(|headers| of(headers, "x-linked-etag"));
    // Only the hub's own ETag is a checksum, not that of a storage behind it.
    linked.or_else(|| headers.first().and_then(|headers| of(headers, "etag")))
}

fn verify(path: &Path, file: &RemoteFile, expected: Option<&Checksum>) -> Result<()> {
    let read = |error: std::io::Error| Failure::io("read", path, &error);
    let length = fs::metadata(path).map_err(read)?.len();
    let differs = |what: String| {
        Failure::new(format!("`{}` is not what the hub says it is: {what}", file.path))
            .hint("something between here and the hub changes files, or the hub is damaged; nothing was kept of it")
    };
    if let Some(size) = file.size.filter(|size| *size != length) {
        return Err(differs(format!("{length} bytes instead of {size}")).into());
    }
    let Some(expected) = expected else {
        return Ok(());
    };
    let found = expected.of_same_kind(path).map_err(read)?;
    match found == *expected {
        true => Ok(()),
        false => Err(differs(format!("checksum {found} instead of {expected}")).into()),
    }
}

/// Gives a verified file its name.
fn keep(place: &Place) -> Result<()> {
    fs::rename(&place.incomplete, &place.whole)
        .map_err(|error| Failure::io("move into place", &place.whole, &error))?;
    fs::remove_file(&place.version).ok();
    if let Some(folder) = place.whole.parent() {
        // The name is on the disk only when the folder is; where folders cannot be synced
        // there is nothing to do.
        File::open(folder).and_then(|folder| folder.sync_all()).ok();
    }
    Ok(())
}
