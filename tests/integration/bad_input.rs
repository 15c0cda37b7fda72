//! What is wrong with the input is said once, clearly, with the place and what to do;
//! and what was there before is left whole.

use crate::run::{Ended, Place, repository};

fn run_recipe(place: &Place, arguments: &[&str]) -> Ended {
    let mut all = vec!["run", "recipe.yaml"];
    all.extend(arguments);
    place.slm(&all)
}

#[test]
fn a_missing_recipe() {
    Place::new().slm(&["run", "recipes/none.yaml"]).fails(
        1,
        "error: cannot read the recipe `recipes/none.yaml`: No such file or directory (os error 2)\n\
         hint: the recipes that come with the project are in `recipes/`; paths are relative to the current directory\n",
    );
}

#[test]
fn a_malformed_recipe() {
    let place = Place::new();
    place.write("recipe.yaml", "name: x\ntrain: {rank: 4\n");
    let run = run_recipe(&place, &[]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.starts_with("error: recipe.yaml:3:1: "),
        "{}",
        run.stderr
    );
}

#[test]
fn an_unknown_key_with_the_nearest_valid_one() {
    let place = Place::new();
    place.write("recipe.yaml", "name: x\nsplit:\n  tset: 0.1\n");
    run_recipe(&place, &[]).fails(
        1,
        "error: recipe.yaml:3:3: unknown key `split.tset`\n\
         hint: did you mean `test`? valid here: `test`, `validation`\n",
    );
    place.write("recipe.yaml", "name: x\n");
    run_recipe(&place, &["split.tset=0.1"]).fails(
        2,
        "error: the override `split.tset=0.1` does not fit: unknown key `split.tset`\n\
         hint: did you mean `test`? valid here: `test`, `validation`\n",
    );
}

#[test]
fn a_value_of_the_wrong_type_and_an_unknown_one() {
    let place = Place::new();
    place.write("recipe.yaml", "name: x\ntrain:\n  rank: high\n");
    run_recipe(&place, &[]).fails(
        1,
        "error: recipe.yaml:3:9: `train.rank`: invalid type: string \"high\", expected usize\n",
    );
    place.write("recipe.yaml", "name: x\ntrain:\n  method: loar\n");
    run_recipe(&place, &[]).fails(
        1,
        "error: recipe.yaml:3:11: unknown value `loar` of `train.method`\n\
         hint: did you mean `lora`? valid here: `lora`, `qlora`, `full`\n",
    );
}

#[test]
fn sections_that_do_not_go_together() {
    let place = Place::new();
    place.write("recipe.yaml", "name: x\n");
    run_recipe(&place, &[]).fails(
        1,
        "error: the recipe says nothing to learn from\n\
         hint: add one of the sections `taxonomy`, `data` and `corpus`\n",
    );
    run_recipe(&place, &["taxonomy.paths=[t]", "corpus={}"]).fails(
        1,
        "error: the recipe has `taxonomy` and `corpus`\nhint: keep one of them\n",
    );
    run_recipe(&place, &["taxonomy.paths=[t]", "name=../x"]).fails(
        1,
        "error: `../x` is no name for a recipe\n\
         hint: `name` becomes a folder's name: letters, digits, `-`, `_` and `.`\n",
    );
    run_recipe(&place, &["data.import=snips"]).fails(
        1,
        "error: `data.import` needs `data.from`\n\
         hint: give the folder of the local copy: `data.from=DIR`\n",
    );
}

#[test]
fn an_unknown_metric_is_found_out_before_any_work() {
    let place = Place::new();
    place.write("recipe.yaml", "name: x\ntaxonomy: {paths: [t]}\n");
    let run = run_recipe(&place, &["evaluate.metrics=[feild_f1]"]);
    assert_eq!(run.code, 1);
    let expected = "error: unknown metric `feild_f1` in `evaluate.metrics`\n\
                    hint: did you mean `field_f1`? there are `";
    assert!(run.stderr.starts_with(expected), "{}", run.stderr);
}

#[test]
fn an_override_that_is_none() {
    let place = Place::new();
    place.write("recipe.yaml", "name: x\n");
    run_recipe(&place, &["train.epochs"]).fails(
        2,
        "error: `train.epochs` is no override: it has no `=`\n\
         hint: write `key.path=value`, for example `train.epochs=2`\n",
    );
}

#[test]
fn a_leaf_without_rows() {
    let place = Place::new();
    let leaf = concat!(env!("CARGO_MANIFEST_DIR"), "/../../taxonomy/knowledge");
    place.write(
        "recipe.yaml",
        format!(
            "name: x\ntaxonomy: {{paths: ['{leaf}']}}\n\
             synthesize: {{rows_of: {{hr/leave: 20, knowledge/hr/leave_policy: 1}}}}\n"
        ),
    );
    let run = run_recipe(&place, &[]);
    assert_eq!(run.code, 1);
    for said in [
        "`synthesize.rows_of.hr/leave`: there is no leaf of this name; the leaves are knowledge/hr/leave_policy\n",
        "error: `synthesize.rows_of.knowledge/hr/leave_policy` is 1\nhint: give it at least 2 rows",
    ] {
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
    assert!(!place.at("workspace/datasets").exists());
}

#[test]
fn a_leaf_with_faults() {
    let place = Place::new();
    place
        .write("recipe.yaml", "name: x\ntaxonomy: {paths: [t]}\n")
        .write(
            "t/compositional_skills/x/qna.yaml",
            "version: 3\nseed_examples: []\n",
        );
    let run = run_recipe(&place, &[]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.starts_with("error: the taxonomy has faults\n"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("t/compositional_skills/x/qna.yaml:"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("hint: mend them and run again"),
        "{}",
        run.stderr
    );
    assert!(!place.at("workspace/datasets").exists());
}

#[test]
fn a_set_that_is_not_there() {
    let run = Place::new().slm(&["data", "import", "snips", "--from", "nowhere"]);
    run.fails(
        1,
        "error: there is no folder `nowhere` to import SNIPS from\n\
         hint: get a copy of `2017-06-custom-intent-engines` of https://github.com/sonos/nlu-benchmark and give its folder with `--from DIR`, or `data.from=DIR` for a recipe\n",
    );
}

#[test]
fn an_unwritable_workspace() {
    let place = Place::new();
    place.write("file", "").write("rows.jsonl", ROW);
    let run = place.slm(&[
        "data",
        "split",
        "rows.jsonl",
        "--name",
        "s",
        "--workspace",
        "file/w",
    ]);
    run.fails(
        1,
        "error: cannot create the folder `file/w/cache/locks`: Not a directory (os error 20)\n\
         hint: a part of that path is a file; choose another place\n",
    );
}

const ROW: &str = "{\"id\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"x\"}]}\n";

/// A limit on the size of files stands in for a disk that fills up in mid-write.
#[test]
#[cfg(unix)]
fn a_full_disk_leaves_the_dataset_of_before_whole() {
    let place = Place::new();
    let taxonomy = repository().join("taxonomy").display().to_string();
    let arguments = |rows| {
        [
            "data",
            "generate",
            &taxonomy,
            "--name",
            "d",
            "--rows-per-leaf",
            rows,
        ]
        .map(str::to_owned)
    };
    let small = arguments("10");
    let small: Vec<&str> = small.iter().map(String::as_str).collect();
    place.slm(&small).succeeds();
    let before = place.read("workspace/datasets/d/train.jsonl");
    let run = crate::run::ended(
        std::process::Command::new("sh")
            .arg("-c")
            .arg("trap '' XFSZ; ulimit -f 64; exec \"$@\"")
            .arg("sh")
            .arg(env!("CARGO_BIN_EXE_slm"))
            .args(arguments("300"))
            .current_dir(place.path())
            .env("NO_COLOR", "1"),
    );
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("error: "), "{}", run.stderr);
    assert!(run.stderr.contains("File too large"), "{}", run.stderr);
    assert!(run.stderr.contains("\nhint: "), "{}", run.stderr);
    assert_eq!(place.read("workspace/datasets/d/train.jsonl"), before);
    let again = place.slm(&small);
    again.succeeds();
    assert!(
        again.stderr.contains("synthesize: up to date"),
        "{}",
        again.stderr
    );
}

#[test]
fn a_row_without_assistant_text() {
    let place = Place::new();
    place.write(
        "rows.jsonl",
        format!("{ROW}{{\"id\":\"b\",\"messages\":[{{\"role\":\"user\",\"content\":\"q\"}}]}}\n"),
    );
    place.slm(&["data", "inspect", "rows.jsonl"]).fails(
        1,
        "error: rows.jsonl:2: the row has no assistant text, so there is nothing to train on\n\
         hint: add `{\"role\": \"assistant\", \"content\": \"...\"}` as the last message, or drop the row\n",
    );
}
