//! The report: one HTML file, a Markdown summary, a table for the terminal.
//!
//! Does not know how results came about.

pub mod verdict;
