//! `slm taxonomy`: the contract that scripts rely on.

use serde_json::Value;

use crate::run::{Place, repository};

/// A leaf with one fault: an answer is missing.
const FAULTY: &str = "version: 3\ncreated_by: someone\ntask_description: Say yes.\nseed_examples:\n  - question: Is it?\n    answer: Yes.\n  - question: Is it not?\n";

#[test]
fn the_shipped_taxonomy_is_without_faults() {
    let taxonomy = repository().join("taxonomy");
    let place = Place::new();
    let run = place.slm(&[
        "taxonomy",
        "check",
        taxonomy.to_str().unwrap(),
        "--format",
        "json",
    ]);
    let found: Value = serde_json::from_str(run.succeeds()).unwrap();
    assert_eq!(found["diagnostics"], serde_json::json!([]));
    assert!(found["checked"].as_u64().unwrap() >= 4);
    let tree = place.slm(&["taxonomy", "tree", taxonomy.to_str().unwrap()]);
    let tree = tree.succeeds();
    for leaf in [
        "ticket_triage",
        "invoice_fields",
        "command_to_api",
        "leave_policy",
    ] {
        assert!(tree.contains(leaf), "{tree}");
    }
}

#[test]
fn every_fault_has_its_place_and_the_exit_code_says_so() {
    let place = Place::new();
    place.write("t/compositional_skills/yes/qna.yaml", FAULTY);
    let run = place.slm(&["taxonomy", "check", "t", "--format", "json"]);
    assert_eq!((run.code, run.stderr.as_str()), (1, ""));
    let found: Value = serde_json::from_str(&run.stdout).unwrap();
    let faults = found["diagnostics"].as_array().unwrap();
    let missing = faults
        .iter()
        .find(|fault| fault["yaml_path"] == ".seed_examples[1]")
        .unwrap_or_else(|| panic!("{found:#}"));
    assert_eq!(missing["path"], "t/compositional_skills/yes/qna.yaml");
    assert_eq!(missing["line"], 7);
    assert_eq!(missing["severity"], "error");
    for key in ["column", "code", "message", "hint"] {
        assert!(!missing[key].is_null(), "{missing}");
    }
    let text = place.slm(&["taxonomy", "check", "t"]);
    assert_eq!(text.code, 1);
    assert!(text.stdout.contains("^"), "{}", text.stdout);
    assert!(
        text.stdout
            .contains("t/compositional_skills/yes/qna.yaml:7:"),
        "{}",
        text.stdout
    );
}

#[test]
fn codes_are_explained() {
    let place = Place::new();
    let run = place.slm(&["taxonomy", "explain", "SLM-T003"]);
    assert!(run.succeeds().starts_with("SLM-T003: the YAML is broken"));
    place.slm(&["taxonomy", "explain", "X1"]).fails(
        2,
        "error: there is no code `X1`\n\
         hint: codes look like `SLM-T010`; `slm taxonomy check` prints one with each fault\n",
    );
}

#[test]
fn a_tree_of_nothing_is_an_error() {
    let run = Place::new().slm(&["taxonomy", "tree", "nowhere"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.starts_with("error: `nowhere` cannot be read"),
        "{}",
        run.stderr
    );
}
