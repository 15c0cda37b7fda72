//! Terminal views for reviewers: evaluation reports and training runs.
//!
//! A view reads what other rooms wrote (a report's embedded data, `results.json`,
//! a run's `events.jsonl`) and never changes it; what reviewers say about samples
//! goes to a file beside the report. This crate does not know tensors,
//! how answers were judged, or how a run goes on.

pub mod app;
pub mod difference;
pub mod error;
pub mod events;
pub mod keys;
pub mod review;
pub mod source;
mod terminal;
mod view;

use std::path::Path;

pub use error::TuiError;

/// Opens a report (`report.html`, `results.json`), a run (`events.jsonl`) or a
/// folder that holds one of them, and shows it until the user quits.
///
/// # Errors
/// What cannot be read, and a standard output that is no terminal. The terminal
/// is restored on every way out, panics included.
pub fn open(path: &Path) -> Result<(), TuiError> {
    let source = source::Source::load(path)?;
    let mut app = app::App::new(source);
    if let (source::Source::Report(report), Some(page)) = (&app.source, page(path)) {
        app.reviewing = review::Reviewing::beside(&page, report.reviews.clone());
    }
    terminal::run(&mut app)
}

/// The report that a path shows: itself, or the one in or beside it.
fn page(path: &Path) -> Option<std::path::PathBuf> {
    let page = match path.is_dir() {
        true => path.join("report.html"),
        false if path.extension().is_some_and(|ending| ending == "json") => {
            path.with_file_name("report.html")
        }
        false => path.to_path_buf(),
    };
    page.is_file().then_some(page)
}
