//! InstructLab's pipelines from end to end, with prompts in its form and a teacher that is played;
//! and its knowledge leaves, whose documents are fetched from a repository elsewhere.

use std::fmt::Write as _;

use serde_json::Value;

use crate::run::Place;
use crate::server::{Reply, Server};

const ATTRIBUTION: &str = "Title of work: t\nLink to work: l\nRevision: r\nLicense of the work: CC0-1.0\nCreator names: c\n";

/// Replies in the tags that the prompt asks for last, as InstructLab's prompts do.
fn serve() -> Server {
    Server::new(|body| {
        let prompt = body["messages"].as_array().unwrap().last().unwrap()["content"].clone();
        let asked = prompt.as_str().unwrap().lines().last().unwrap().to_owned();
        let seed = body["seed"].as_u64().unwrap();
        let words = format!("w{} x{} y{}", seed % 997, seed % 991, seed % 983);
        let tagged = |tag: &str, text: &str| format!("[Start of {tag}]\n{text}\n[End of {tag}]\n");
        let verdict = match seed % 5 {
            0 => "hard to tell",
            1 => "0",
            _ => "2",
        };
        Reply::said(match asked.rsplit(' ').next().unwrap() {
            "context" => tagged("Context", &format!("The hall of {words} opens at nine.")),
            "question" => tagged("Question", &format!("When is {words} open?")),
            "response" => tagged("Response", &format!("From nine, says {words}.")),
            "score" => tagged("Evaluation", "So so.") + &tagged("Score", verdict),
            "pairs" => format!(
                "[QUESTION]\nWhat of {words}?\n[ANSWER]\nIt is {words}.\n[END]\n[QUESTION]\nAnd b{words}?\n[ANSWER]\nNo.\n[END]"
            ),
            _ => "Mended text: leave is 30 days.".to_owned(),
        })
    })
}

/// A prompt that ends with the kind of reply that it wants.
fn prompt(about: &str, kind: &str, tags: &[&str]) -> String {
    let list = |edge: &str| {
        let tags: Vec<String> = tags
            .iter()
            .map(|tag| format!("\"[{edge} of {tag}]\""))
            .collect();
        match tags.is_empty() {
            true => "\"\"".to_owned(),
            false => tags.join(", "),
        }
    };
    format!(
        "system: You help.\nintroduction: |\n  About {about}.\nprinciples: |\n  * Be brief.\nexamples: |\n  None.\ngeneration: |\n  Now reply with {kind}\nstart_tags: [{}]\nend_tags: [{}]\n",
        list("Start"),
        list("End"),
    )
}

/// An `LLMBlock` with the judge's filter behind it, as the full pipelines have them.
fn judged(name: &str, least: &str) -> String {
    format!(
        "  - name: {name}\n    type: LLMBlock\n    config:\n      config_path: prompts/{name}.yaml\n      output_cols: [evaluation, score]\n      gen_kwargs: {{max_tokens: 64}}\n\
         \x20 - name: {name}_filter\n    type: FilterByValueBlock\n    config: {{filter_column: score, filter_value: {least}, operation: ge, convert_dtype: float}}\n    drop_columns: [evaluation, score]\n"
    )
}

fn asks(name: &str, columns: &str, more: &str) -> String {
    format!(
        "  - name: {name}\n    type: LLMBlock\n    config:\n      config_path: prompts/{name}.yaml\n      output_cols: [{columns}]\n      gen_kwargs: {{max_tokens: 64}}\n{more}"
    )
}

fn seeds(lines: impl Fn(usize) -> String) -> String {
    (0..5).map(lines).collect()
}

fn skill(place: &Place, folder: &str, seed: impl Fn(usize) -> String) {
    let leaf = format!(
        "version: 3\ncreated_by: t\ntask_description: Tell when it opens.\nseed_examples:\n{}",
        seeds(seed)
    );
    place
        .write(&format!("{folder}/qna.yaml"), leaf)
        .write(&format!("{folder}/attribution.txt"), ATTRIBUTION);
}

fn write_prompts(place: &Place, prompts: &[(&str, String)]) {
    for (name, text) in prompts {
        place.write(&format!("pipelines/prompts/{name}.yaml"), text);
    }
}

/// Runs the pipeline on the leaf; the training rows, and the ledger.
#[track_caller]
fn run(place: &Place, leaf: &str, pipeline: &str, more: &[&str]) -> (Vec<Value>, String) {
    let server = serve();
    place.write(
        "pipelines/full.yaml",
        format!("version: \"1.0\"\nblocks:\n{pipeline}"),
    );
    let arguments = [
        "data",
        "generate",
        leaf,
        "--flow",
        "pipelines/full.yaml",
        "--name",
        "x",
        "--rows-per-leaf",
        "10",
        "--uncalibrated",
        "--endpoint",
        &server.endpoint,
        "--model",
        "big",
    ];
    place.slm(&[&arguments[..], more].concat()).succeeds();
    let rows = place.read("workspace/datasets/x/train.jsonl");
    let rows = rows.lines().map(|line| serde_json::from_str(line).unwrap());
    (
        rows.collect(),
        place.read("workspace/datasets/x/ledger.jsonl"),
    )
}

fn text(row: &Value, turn: usize) -> &str {
    row["messages"][turn]["content"].as_str().unwrap()
}

#[test]
fn a_freeform_pipeline_gives_judged_rows() {
    let place = Place::new();
    skill(&place, "taxonomy/compositional_skills/hours", |n| {
        format!("  - question: When does hall {n} open?\n    answer: At {n}.\n")
    });
    write_prompts(
        &place,
        &[
            (
                "ask",
                prompt(
                    "{{task_description}} like {{seed_question}}",
                    "a question",
                    &["Question"],
                ),
            ),
            (
                "rate",
                prompt("{{question}}", "a score", &["Evaluation", "Score"]),
            ),
            ("reply", prompt("{{question}}", "a response", &["Response"])),
            (
                "rate_pair",
                prompt(
                    "{{question}} {{response}}",
                    "a score",
                    &["Evaluation", "Score"],
                ),
            ),
        ],
    );
    let pipeline = [
        asks("ask", "question", "    drop_duplicates: [question]\n"),
        judged("rate", "1.0"),
        asks("reply", "response", ""),
        judged("rate_pair", "2.0"),
    ]
    .concat();
    let (rows, ledger) = run(&place, "taxonomy", &pipeline, &[]);
    assert_eq!(rows.len(), 8);
    for row in &rows {
        assert!(text(row, 0).starts_with("When is w") && text(row, 1).starts_with("From nine"));
    }
    for reason in [
        "the judge's verdict cannot be parsed",
        "the judge rejected it",
    ] {
        assert!(ledger.contains(reason), "{reason}");
    }
}

#[test]
fn a_grounded_pipeline_keeps_the_context() {
    let place = Place::new();
    skill(
        &place,
        "taxonomy/compositional_skills/grounded/hours",
        |n| {
            format!(
                "  - context: Hall {n} opens at {n}.\n    question: When does it open?\n    answer: At {n}.\n"
            )
        },
    );
    let about = "{{context}} {{question}}";
    write_prompts(
        &place,
        &[
            (
                "tell",
                prompt("{{seed_context}}", "a context", &["Context"]),
            ),
            (
                "ask",
                prompt("{{context}} {{seed_question}}", "a question", &["Question"]),
            ),
            ("reply", prompt(about, "a response", &["Response"])),
            (
                "rate_pair",
                prompt(about, "a score", &["Evaluation", "Score"]),
            ),
        ],
    );
    let pipeline = [
        asks("tell", "context", ""),
        asks("ask", "question", "    drop_duplicates: [question]\n"),
        asks("reply", "response", ""),
        judged("rate_pair", "2.0"),
        "  - name: join\n    type: CombineColumnsBlock\n    config: {columns: [context, question], output_col: question}\n".to_owned(),
    ]
    .concat();
    let (rows, _) = run(&place, "taxonomy", &pipeline, &[]);
    assert_eq!(rows.len(), 8);
    for row in &rows {
        assert!(text(row, 0).contains("The hall of w") && text(row, 0).contains("When is w"));
    }
}

/// A knowledge leaf whose document is in this repository at this commit.
fn knowledge(place: &Place, repo: &str, commit: &str) {
    let seed = |n: usize| {
        let mut seed =
            format!("  - context: Leave of kind {n} is {n} days.\n    questions_and_answers:\n");
        for word in ["How long", "How many days", "What length"] {
            writeln!(
                seed,
                "      - question: {word} is kind {n}?\n        answer: It is {n} days."
            )
            .unwrap();
        }
        seed
    };
    let leaf = format!(
        "version: 3\ncreated_by: t\ndomain: leave\ndocument_outline: Rules of leave\ndocument:\n  repo: {repo}\n  commit: {commit}\n  patterns: ['*.md']\nseed_examples:\n{}",
        seeds(seed)
    );
    place
        .write("taxonomy/knowledge/leave/qna.yaml", leaf)
        .write("taxonomy/knowledge/leave/attribution.txt", ATTRIBUTION);
}

/// A git repository with two commits; their names.
fn repository(place: &Place) -> [String; 2] {
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git")
            .current_dir(place.at("handbook"))
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    ["first", "second"].map(|word| {
        place.write(
            "handbook/rules.md",
            format!("# Rules\n\nThe {word} rule: leave is 30 days.\n"),
        );
        place.write(
            "handbook/notes.md",
            format!("# Notes\n\nThe {word} note.\n"),
        );
        git(&["init", "--quiet"]);
        git(&["add", "."]);
        git(&["commit", "--quiet", "-m", word]);
        git(&["rev-parse", "HEAD"])
    })
}

const KNOWLEDGE: &str = "  - name: copy\n    type: DuplicateColumnsBlock\n    config: {columns_map: {document: base_document}}\n";
const FLATTEN: &str = "  - name: flatten\n    type: FlattenColumnsBlock\n    config: {var_cols: [spellcheck, base_document], value_name: mended, var_name: kind}\n  - name: rename\n    type: RenameColumnsBlock\n    config: {columns_map: {document: raw_document, mended: document}}\n";
const PAIRS: &str = "      parser_kwargs:\n        parser_name: custom\n        parsing_pattern: '\\[QUESTION\\]\\s*(.*?)\\s*\\[ANSWER\\]\\s*(.*?)\\s*(?=\\[QUESTION\\]|$)'\n        parser_cleanup_tags: [\"[END]\"]\n    drop_duplicates: [question]\n";

fn knowledge_pipeline(place: &Place) -> String {
    let about = "{{document}} {{question}} {{response}}";
    write_prompts(
        place,
        &[
            ("spell", prompt("{{document}}", "the text mended", &[])),
            (
                "pair",
                prompt("{{document}} {{icl_query_1}}", "some pairs", &[]),
            ),
            ("rate", prompt(about, "a score", &["Evaluation", "Score"])),
        ],
    );
    [
        KNOWLEDGE.to_owned(),
        asks("spell", "spellcheck", ""),
        FLATTEN.to_owned(),
        asks("pair", "question, response", PAIRS),
        judged("rate", "2.0"),
    ]
    .concat()
}

#[test]
fn a_knowledge_pipeline_reads_documents_of_a_repository() {
    let place = Place::new();
    let [first, _] = repository(&place);
    let repo = format!("file://{}", place.at("handbook").display());
    knowledge(&place, &repo, &first);
    let pipeline = knowledge_pipeline(&place);
    let (rows, ledger) = run(&place, "taxonomy", &pipeline, &[]);
    assert_eq!(rows.len(), 8);
    assert!(ledger.contains(&format!("{repo}@{first}:")), "{ledger}");
}

/// Fetches over ssh from a host that is played by a program on the PATH.
#[cfg(unix)]
#[test]
fn documents_are_fetched_from_elsewhere_only_when_allowed() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let commits = repository(&place);
    let repo = format!("ssh://nowhere.invalid{}", place.at("handbook").display());
    place.write(
        "bin/ssh",
        "#!/bin/sh\nfor last; do :; done\nexec sh -c \"$last\"\n",
    );
    let runs = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.at("bin/ssh"), runs).unwrap();
    let path = std::env::join_paths(
        std::iter::once(place.at("bin"))
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let path = path.unwrap();
    let pipeline = knowledge_pipeline(&place);
    place.write(
        "pipelines/full.yaml",
        format!("version: \"1.0\"\nblocks:\n{pipeline}"),
    );
    let server = serve();
    let generate = |more: &[&str]| {
        let arguments = [
            "data",
            "generate",
            "taxonomy",
            "--flow",
            "pipelines/full.yaml",
            "--name",
            "x",
            "--rows-per-leaf",
            "6",
            "--uncalibrated",
            "--endpoint",
            &server.endpoint,
            "--model",
            "big",
        ];
        let mut command = place.command(&[&arguments[..], more].concat());
        crate::run::ended(command.env("PATH", &path))
    };
    // The last commit is fetched alone, the one before with all others.
    for (commit, word) in commits.iter().zip(["first", "second"]).rev() {
        knowledge(&place, &repo, commit);
        let run = generate(&[]);
        assert_eq!(run.code, 1, "{}", run.stderr);
        assert!(
            run.stderr
                .contains("is not on this machine\nhint: add `--fetch-documents`")
        );
        generate(&["--fetch-documents"]).succeeds();
        let ledger = place.read("workspace/datasets/x/ledger.jsonl");
        assert!(
            ledger.contains(&format!("{repo}@{commit}:rules.md#")),
            "{ledger}"
        );
        let asked = server.answered();
        let asked = asked.iter().map(Value::to_string);
        assert!(
            asked
                .filter(|body| body.contains(&format!("The {word} rule")))
                .count()
                > 0
        );
    }
    knowledge(&place, &repo, "0123456789012345678901234567890123456789");
    let run = generate(&["--fetch-documents"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("has no commit"), "{}", run.stderr);
    knowledge(&place, "ssh://nowhere.invalid/none", &commits[0]);
    let run = generate(&["--fetch-documents"]);
    assert!(
        run.stderr
            .contains("error: cannot fetch `ssh://nowhere.invalid/none`"),
        "{}",
        run.stderr
    );
}
