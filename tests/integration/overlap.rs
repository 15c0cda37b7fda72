//! The gate on training rows that give an evaluation away, in `data generate` and in `run`.

use crate::flows::place;
use crate::run::Place;

const GATE: i32 = 100;

fn generate(place: &Place, more: &[&str]) -> crate::run::Ended {
    let arguments = [
        "data",
        "generate",
        "taxonomy",
        "--name",
        "x",
        "--rows-per-leaf",
        "6",
    ];
    place.slm(&[&arguments[..], more].concat())
}

/// A leaf of which each seed is a sentence of its own.
fn sentences() -> Place {
    let place = place();
    let mut leaf =
        "version: 3\ncreated_by: tests\ntask_description: Answer.\nseed_examples:\n".to_owned();
    for (n, animal) in ["ant", "bee", "cat", "dog", "eel"].iter().enumerate() {
        let words: Vec<String> = (0..16).map(|word| format!("{animal}{word}")).collect();
        let question = words.join(" ");
        leaf.push_str(&format!("  - question: {question}?\n    answer: a{n}\n"));
    }
    place.write("taxonomy/compositional_skills/tasks/qna.yaml", leaf);
    place
}

/// An evaluation row that holds so many words of each seed.
fn evaluation(words: usize) -> String {
    let row = |animal: &str| {
        let shared: Vec<String> = (2..2 + words)
            .map(|word| format!("{animal}{word}"))
            .collect();
        let text = format!("Before it {} and after it", shared.join(" "));
        format!("{{\"id\":\"e-{animal}\",\"input\":\"{text}\",\"target\":\"t\"}}\n")
    };
    ["ant", "bee", "cat", "dog", "eel"].map(row).concat()
}

#[test]
fn generated_rows_are_held_against_evaluations() {
    let place = sentences();
    generate(&place, &[]).succeeds();
    place.write("eval.jsonl", evaluation(13));
    let run = generate(&place, &["--eval", "eval.jsonl"]);
    assert_eq!(run.code, GATE, "{}", run.stderr);
    let told = "error: evaluation rows are in the training rows: 4 of 5 rows of `eval.jsonl` (80.0%) are in training rows: `e-";
    assert!(run.stderr.contains(told), "{}", run.stderr);
    assert!(
        run.stderr.contains("hint: leave these rows out"),
        "{}",
        run.stderr
    );
    assert!(
        place.at("workspace/datasets/x/train.jsonl").exists(),
        "nothing is lost"
    );
    let allowed = ["--eval", "eval.jsonl", "--overlap-at-most", "0.8"];
    generate(&place, &allowed).succeeds();
    let waived = ["--eval", "eval.jsonl", "--waive-overlap", "a drill"];
    let run = generate(&place, &waived);
    run.succeeds();
    assert!(run.stderr.contains("waived: a drill"), "{}", run.stderr);
    place.write("eval.jsonl", evaluation(12));
    generate(&place, &["--eval", "eval.jsonl"]).succeeds();
    let fewer = ["--eval", "eval.jsonl", "--overlap-words", "12"];
    assert_eq!(generate(&place, &fewer).code, GATE);
}

#[test]
fn senseless_settings_are_refused() {
    let place = sentences();
    for (more, told) in [
        (
            ["--overlap-words", "3"],
            "runs of less than 8 words prove nothing",
        ),
        (
            ["--overlap-at-most", "7"],
            "`overlap.at_most: 7` is no share",
        ),
        (["--waive-overlap", " "], "`overlap.waived` gives no reason"),
        (["--eval", "none.jsonl"], "none.jsonl"),
    ] {
        let run = generate(&place, &more);
        assert_eq!(run.code, 1, "{}", run.stderr);
        assert!(run.stderr.contains(told), "{}", run.stderr);
        assert!(!place.at("workspace/datasets").exists(), "{more:?}");
    }
}

#[test]
fn a_recipe_is_stopped_before_it_trains() {
    let place = Place::new();
    let row = |id: &str, words: &str| {
        format!(
            "{{\"id\":\"{id}\",\"messages\":[{{\"role\":\"user\",\"content\":\"{words}\"}},{{\"role\":\"assistant\",\"content\":\"yes\"}}]}}\n"
        )
    };
    place
        .write("train.jsonl", row("t", "Is it so?") + &row("u", "Other words"))
        .write("test.jsonl", row("a", "IS it, so") + &row("b", "Something else"))
        .write(
            "recipe.yaml",
            "name: r\nmodel: none\ndata: {train: [train.jsonl], test: [test.jsonl]}\ntrain: {method: lora}\n",
        );
    let run = place.slm(&["run", "recipe.yaml"]);
    run.fails(
        GATE,
        "error: evaluation rows are in the training rows: 1 of 2 rows of `test.jsonl` (50.0%) are in training rows: `a` has \"is it so\" in common with training row `t`\n\
         hint: leave these rows out of training or of the evaluation; or say what share is harmless (`overlap.at_most`, `--overlap-at-most`), or why all of it is (`overlap.waived`, `--waive-overlap`)\n",
    );
    // The gate passed, the next thing that is missing is told.
    for passing in ["overlap.at_most=0.5", "overlap.waived=known"] {
        let run = place.slm(&["run", "recipe.yaml", passing]);
        assert_eq!(run.code, 1, "{}", run.stderr);
        assert!(run.stderr.contains("`none`"), "{}", run.stderr);
    }
}
