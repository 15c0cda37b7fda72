//! The public InstructLab taxonomy, where a copy of it is at hand.

use slm_taxonomy::{Options, check};
use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn the_public_taxonomy_is_judged_rightly() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/instructlab-taxonomy");
    if !path.is_dir() {
        println!(
            "skipped: no copy of the public taxonomy at {}",
            path.display()
        );
        return;
    }
    let report = check(&[path], Options::default());
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for diagnostic in &report.diagnostics {
        let branch = if diagnostic.path.contains("foundational_skills") {
            "foundational"
        } else {
            "other"
        };
        *counts.entry((branch, diagnostic.code)).or_default() += 1;
    }
    // Read by hand: none of the 11 foundational skills has a version or an attribution, and
    // 9 of them have 3 seed examples. Three other skills name no revision; one names 3 works.
    let expected = BTreeMap::from([
        (("foundational", "SLM-T011"), 11),
        (("foundational", "SLM-T015"), 9),
        (("foundational", "SLM-T030"), 11),
        (("other", "SLM-T033"), 5),
    ]);
    assert_eq!(report.checked, 16);
    assert_eq!(counts, expected);
}
