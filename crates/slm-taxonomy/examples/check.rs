//! Checks the taxonomies at the paths given: faults to stdout, then the tree.
//!
//! `cargo run -p slm-taxonomy --example check -- taxonomy`

use slm_taxonomy::{Options, check, render, tree};
use std::process::ExitCode;

fn main() -> ExitCode {
    let paths: Vec<_> = std::env::args_os().skip(1).map(Into::into).collect();
    let report = check(&paths, Options::default());
    print!("{}\n{}", render(&report), tree(&report));
    ExitCode::from(u8::from(report.errors() > 0))
}
