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
    // Two leaves have more seeds than InstructLab's teacher could read at once, on purpose.
    for one in found["diagnostics"].as_array().unwrap() {
        assert_eq!(
            (&one["code"], &one["severity"]),
            (&"SLM-T053".into(), &"warning".into())
        );
    }
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

/// A version 2 skill with white space at the end of a line.
const OLD: &str = "created_by: me \nversion: 2\ntask_description: Add.\nseed_examples:\n  - {question: a, answer: '1'}\n  - {question: b, answer: '2'}\n  - {question: c, answer: '3'}\n  - {question: d, answer: '4'}\n  - {question: e, answer: '5'}\n";
const ATTRIBUTION: &str = "Title of work: A\nLink to work: -\nRevision: 1\nLicense of the work: CC0-1.0\nCreator names: B\n";

/// A place with one leaf in `taxonomy/`.
fn place(qna: &str) -> Place {
    let place = Place::new();
    place.write("taxonomy/compositional_skills/a/qna.yaml", qna);
    place.write(
        "taxonomy/compositional_skills/a/attribution.txt",
        ATTRIBUTION,
    );
    place
}

#[test]
fn without_a_path_the_folder_taxonomy_is_checked() {
    let run = place(OLD).slm(&["taxonomy", "check"]);
    assert!(
        run.succeeds()
            .ends_with("1 leaf checked: 0 errors, 1 warning\n"),
        "{run:?}"
    );
    let run = Place::new().slm(&["taxonomy", "check"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stdout.contains("`taxonomy` cannot be read"),
        "{}",
        run.stdout
    );
}

#[test]
fn faults_are_printed_for_other_programs() {
    let place = place(OLD);
    let run = place.slm(&["taxonomy", "check", "--format", "sarif"]);
    let log: Value = serde_json::from_str(run.succeeds()).unwrap();
    assert_eq!(log["runs"][0]["results"][0]["ruleId"], "SLM-T041");
    let run = place.slm(&["taxonomy", "check", "--format", "github"]);
    assert_eq!(
        run.succeeds(),
        "::warning file=taxonomy/compositional_skills/a/qna.yaml,line=1,col=15,endColumn=15,title=SLM-T041::white space at the end of the line%0Ahint: remove it\n"
    );
    place.slm(&["taxonomy", "tree", "--format", "sarif"]).fails(
        2,
        "error: this command has no format `sarif`\n\
         hint: `sarif` and `github` are for `slm taxonomy check` and `diff`; use `text` or `json`\n",
    );
    place.slm(&["doctor", "--format", "github"]).fails(
        2,
        "error: this command has no format `github`\n\
         hint: `sarif` and `github` are for `slm taxonomy check` and `diff`; use `text` or `json`\n",
    );
}

#[test]
fn mends_are_shown_first_and_written_when_wanted() {
    let place = place(OLD);
    let qna = "taxonomy/compositional_skills/a/qna.yaml";
    let run = place.slm(&["taxonomy", "fix", "--dry-run"]);
    let diff = "--- a/taxonomy/compositional_skills/a/qna.yaml\n+++ b/taxonomy/compositional_skills/a/qna.yaml\n@@ -1,4 +1,4 @@\n-created_by: me \n-version: 2\n+version: 3\n+created_by: me\n task_description: Add.\n seed_examples:\n";
    assert_eq!(run.succeeds(), diff);
    assert_eq!(place.read(qna), OLD);
    let run = place.slm(&["taxonomy", "fix"]);
    assert_eq!((run.code, run.stdout.as_str()), (2, diff));
    assert!(
        run.stderr.contains("hint: add `--yes` to write"),
        "{}",
        run.stderr
    );
    assert_eq!(place.read(qna), OLD);
    let run = place.slm(&["taxonomy", "fix", "--yes", "--only", "version"]);
    assert!(run.succeeds().contains("+version: 3\n"));
    assert_eq!(place.read(qna), OLD.replace("version: 2", "version: 3"));
    place.slm(&["taxonomy", "fix", "--yes"]).succeeds();
    assert_eq!(
        place.slm(&["taxonomy", "check"]).succeeds(),
        "1 leaf checked, no faults\n"
    );
    let run = place.slm(&["taxonomy", "fix"]);
    assert_eq!(
        (run.succeeds(), run.stderr.as_str()),
        ("", "nothing to mend\n")
    );
}

#[test]
fn a_new_leaf_is_asked_for_and_checked() {
    use std::io::Write;
    use std::process::Stdio;
    let place = Place::new();
    let mut command =
        place.command(&["taxonomy", "new", "--kind", "skill", "--license", "CC0-1.0"]);
    let pipes = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    let mut said =
        String::from("taxonomy/compositional_skills/a/b\nAda\nAdd numbers.\nMine\n\n2026\n\n");
    for number in 1..=5 {
        said += &format!("{number}: and {number}?\n.\nyes\n\n- {number}\n.\n");
    }
    said += ".\n";
    child
        .stdin
        .take()
        .unwrap()
        .write_all(said.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(
        output.stdout,
        b"taxonomy/compositional_skills/a/b/qna.yaml\n"
    );
    let run = place.slm(&["taxonomy", "check", "--strict"]);
    assert_eq!(run.succeeds(), "1 leaf checked, no faults\n");
    let run = place.slm(&["taxonomy", "stats"]);
    assert!(
        run.succeeds()
            .starts_with("1 leaf, 5 seed examples, 5 questions\n")
    );
    let run = place.slm(&[
        "taxonomy",
        "new",
        "taxonomy/compositional_skills/c",
        "--kind",
        "skill",
    ]);
    assert_eq!(run.code, 2);
    assert!(
        run.stderr.ends_with(
            "error: no answer to `Your name`\nhint: answer on stdin, or give `--created-by NAME`\n"
        ),
        "{}",
        run.stderr
    );
}

#[test]
fn leaves_that_differ_from_a_git_base_are_listed_and_checked() {
    let place = place(&OLD.replace("me ", "me"));
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.args(["-c", "user.name=t", "-c", "user.email=t@example.invalid"]);
        command.args([
            "-c",
            "commit.gpgsign=false",
            "-c",
            "init.defaultBranch=main",
        ]);
        let run = crate::run::ended(command.current_dir(place.path()).args(arguments));
        run.succeeds();
    };
    let run = place.slm(&["taxonomy", "diff"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr
            .starts_with("error: `taxonomy` is not in a git repository: not a git repository"),
        "{run:?}"
    );
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "one"]);
    let run = place.slm(&["taxonomy", "diff", "--base", "main"]);
    assert_eq!(run.succeeds(), "0 leaves checked, no faults\n");
    place.write("taxonomy/compositional_skills/b/qna.yaml", OLD);
    let run = place.slm(&["taxonomy", "diff", "--taxonomy-base", "main"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stdout
            .starts_with("taxonomy/compositional_skills/b/qna.yaml\n\n"),
        "{run:?}"
    );
    assert!(run.stdout.contains("error[SLM-T030]"), "{run:?}");
    assert!(run.stdout.contains("warning[SLM-T021]"), "{run:?}");
    let run = place.slm(&["taxonomy", "diff"]);
    assert!(
        run.stderr
            .starts_with("error: the git base `origin/main` is not there\n"),
        "{run:?}"
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
