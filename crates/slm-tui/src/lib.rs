//! Terminal views for reviewers: evaluation reports, training runs and datasets.
//!
//! A view reads what other rooms wrote (a report's embedded data, `results.json`,
//! a run's `events.jsonl`, a dataset's rows) and never changes it; what reviewers say about
//! samples and rows goes to a review file beside it. This crate does not know tensors,
//! how answers were judged, or how a run goes on.

pub mod app;
pub mod dataset;
pub mod difference;
mod editor;
pub mod error;
pub mod events;
pub mod filter;
pub mod keys;
pub mod parts;
pub mod review;
pub mod source;
mod terminal;
mod view;

use std::path::{Path, PathBuf};

pub use error::TuiError;

/// Opens a report (`report.html`, `results.json`), runs (`events.jsonl`), a dataset (JSONL) or
/// folders that hold one of them, and shows it until the user quits.
///
/// # Errors
/// What cannot be read, and a standard output that is no terminal. The terminal
/// is restored on every way out, panics and signals included.
pub fn open(paths: &[PathBuf]) -> Result<(), TuiError> {
    let source = source::Source::load(paths)?;
    let mut app = app::App::new(source);
    if let (source::Source::Report(report), Some(page)) =
        (&app.source, paths.first().and_then(|path| page(path)))
    {
        app.reviewing = review::Reviewing::beside(&page, report.reviews.clone());
    }
    terminal::run(&mut app)
}

/// The report that a path shows: itself, or the one in or beside it.
fn page(path: &Path) -> Option<PathBuf> {
    let page = match path.is_dir() {
        true => path.join("report.html"),
        false if path.extension().is_some_and(|ending| ending == "json") => {
            path.with_file_name("report.html")
        }
        false => path.to_path_buf(),
    };
    page.is_file().then_some(page)
}
