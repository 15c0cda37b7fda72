//! The report: one HTML file, a Markdown summary, a table for the terminal.
//!
//! Does not know how results came about.

mod chart;
pub mod embed;
mod escape;
mod format;
mod markdown;
pub mod outline;
mod page;
mod plot;
mod policy;
mod remarks;
mod sections;
mod table;
pub mod verdict;

pub use embed::{Embedded, SampleAnswer, SampleRow, extract, with_reviews};
pub use escape::visible;
pub use markdown::markdown;
pub use page::html;
pub use table::table;
