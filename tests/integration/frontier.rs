//! A frontier model as a baseline, played by a server on the loopback interface.

use serde_json::Value;

use crate::run::Place;
use crate::server::{Reply, Server};

fn recipe(endpoint: &str) -> String {
    format!(
        "name: ask\ndata: {{train: [rows.jsonl], test: [rows.jsonl]}}\nevaluate: {{systems: [nearest]}}\n\
         baseline: {{endpoint: '{endpoint}', model: big, api_key_env: SLM_TEST_KEY}}\n"
    )
}

const ROWS: &str = "{\"id\":\"1\",\"messages\":[{\"role\":\"user\",\"content\":\"one\"},{\"role\":\"assistant\",\"content\":\"yes\"}]}\n{\"id\":\"2\",\"messages\":[{\"role\":\"user\",\"content\":\"two\"},{\"role\":\"assistant\",\"content\":\"no\"}]}\n";

#[test]
fn answers_are_paid_for_once_and_the_key_is_never_written() {
    let server = Server::new(|_| Reply::said("yes"));
    let endpoint = server.endpoint.clone();
    let place = Place::new();
    place
        .write("recipe.yaml", recipe(&endpoint))
        .write("rows.jsonl", ROWS);
    let run = |expected: usize| {
        let output = place
            .command(&["run", "recipe.yaml", "--format", "json"])
            .env("SLM_TEST_KEY", "s3cret-key")
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        assert!(!stderr.contains("s3cret-key"));
        assert_eq!(server.count(), expected);
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let results = run(2);
    let systems = results["systems"].as_array().unwrap();
    let big = systems
        .iter()
        .find(|system| system["name"] == "big")
        .unwrap();
    assert_eq!(big["info"]["role"], "frontier");
    assert_eq!(big["input_tokens"], 20);
    assert_eq!(big["right"], 1);
    std::fs::remove_dir_all(place.at("workspace/evals")).unwrap();
    run(2);
    for entry in walk(place.path()) {
        let bytes = std::fs::read(&entry).unwrap();
        let found = bytes.windows(10).any(|window| window == b"s3cret-key");
        assert!(!found, "{}", entry.display());
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(walk(&path)),
            false => files.push(path),
        }
    }
    files
}

#[test]
fn a_missing_key_is_found_out_before_any_work() {
    let place = Place::new();
    place
        .write("recipe.yaml", recipe("http://127.0.0.1:9/v1"))
        .write("rows.jsonl", ROWS);
    let run = place.slm(&["run", "recipe.yaml"]);
    run.fails(
        1,
        "error: the environment variable `SLM_TEST_KEY` holds no key for the baseline\n\
         hint: `export SLM_TEST_KEY=...`, or remove `baseline.api_key_env` for a server without a key\n",
    );
    assert!(!place.at("workspace/evals").exists());
}
