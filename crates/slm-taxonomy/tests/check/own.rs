//! The taxonomy that ships with the project.

use slm_taxonomy::{Kind, Options, Output, check, render};
use std::path::Path;

#[test]
fn the_shipped_leaves_have_no_fault() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../taxonomy");
    let report = check(
        &[path],
        Options {
            strict: true,
            ..Options::default()
        },
    );
    // Two leaves have more seeds than InstructLab's teacher could read at once, on purpose.
    let mut found = report.diagnostics.iter();
    assert!(
        found.all(|one| one.code == "SLM-T053"),
        "{}",
        render(&report)
    );
    assert!(report.checked >= 4);
    let knowledge = report
        .leaves
        .iter()
        .filter(|leaf| leaf.kind == Kind::Knowledge);
    assert!(knowledge.count() >= 1);
    for leaf in &report.leaves {
        let extension = leaf.extension.as_ref();
        let seeds = leaf.seed_examples.len();
        match extension.and_then(|extension| extension.output.as_ref()) {
            Some(Output::Json { .. }) => assert!(seeds >= 20, "{} has {seeds} seeds", leaf.name),
            _ => assert!(seeds >= 8, "{} has {seeds} seeds", leaf.name),
        }
    }
}
