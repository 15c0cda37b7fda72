//! `slm model pull`, from a hub on the loopback interface that has a tiny model.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::run::{Ended, Place, ended, repository};

const FILES: [&str; 5] = [
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
];

fn content(name: &str) -> Vec<u8> {
    match name {
        "README.md" => b"---\nlicense: mit\n---\n# tiny\n".to_vec(),
        name => fs::read(repository().join("tests/fixtures/hf/llama").join(name)).unwrap(),
    }
}

fn answer(path: &str) -> (&'static str, Vec<u8>) {
    if let Some(rest) = path.strip_prefix("/api/models/acme/tiny/revision/") {
        assert_eq!(rest, "main?blobs=true");
        let mut siblings: Vec<Value> = FILES
            .iter()
            .chain(&["README.md"])
            .map(|name| json!({"rfilename": name, "size": content(name).len()}))
            .collect();
        siblings.push(json!({"rfilename": "pytorch_model.bin", "size": 5}));
        let body = json!({"id": "acme/tiny", "sha": "0123456789abcdef0123456789abcdef01234567", "siblings": siblings});
        return ("200 OK", body.to_string().into_bytes());
    }
    match path.strip_prefix("/acme/tiny/resolve/0123456789abcdef0123456789abcdef01234567/") {
        Some(name) => ("200 OK", content(name)),
        None => ("404 Not Found", Vec::new()),
    }
}

/// The hub's address, and how often it was asked.
fn serve() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut first = String::new();
            reader.read_line(&mut first).unwrap();
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            counted.fetch_add(1, Ordering::SeqCst);
            let (status, body) = answer(first.split(' ').nth(1).unwrap());
            let mut stream = reader.into_inner();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(&body));
        }
    });
    (endpoint, count)
}

fn slm(place: &Place, endpoint: &str, arguments: &[&str]) -> Ended {
    ended(
        place
            .command(arguments)
            .env("HF_ENDPOINT", endpoint)
            .env_remove("HF_TOKEN"),
    )
}

#[test]
fn a_model_is_pulled_once_listed_and_inspected() {
    let (endpoint, count) = serve();
    let place = Place::new();
    let run = slm(&place, &endpoint, &["model", "pull", "acme/tiny"]);
    assert_eq!(run.succeeds(), "workspace/models/acme/tiny\n");
    assert!(
        run.stderr.contains("1 left out (`pytorch_model.bin`)"),
        "{}",
        run.stderr
    );
    assert!(
        !place
            .at("workspace/models/acme/tiny/pytorch_model.bin")
            .exists()
    );
    assert!(!place.at("workspace/models/acme/tiny.partial").exists());
    assert_eq!(count.load(Ordering::SeqCst), 7);
    let run = slm(&place, &endpoint, &["model", "pull", "acme/tiny@main"]);
    run.succeeds();
    assert!(run.stderr.contains("pull: up to date"), "{}", run.stderr);
    assert_eq!(count.load(Ordering::SeqCst), 8);

    let list = place.slm(&["model", "list", "--format", "json"]);
    let list: Value = serde_json::from_str(list.succeeds()).unwrap();
    assert_eq!(
        (&list[0]["name"], &list[0]["license"]),
        (&json!("acme/tiny"), &json!("mit"))
    );
    let card = place.slm(&["model", "inspect", "acme/tiny", "--format", "json"]);
    let card: Value = serde_json::from_str(card.succeeds()).unwrap();
    assert_eq!(
        card["origin"],
        format!("{endpoint}/acme/tiny@0123456789abcdef0123456789abcdef01234567")
    );
    assert_eq!(card["architecture"], "llama");
    assert!(
        card["memory_bytes"]["train"]["lora"].as_u64().unwrap() > 0,
        "{card:#}"
    );
    assert_eq!(card["files"].as_array().unwrap().len(), 6);
    assert!(
        card["files"]
            .as_array()
            .unwrap()
            .iter()
            .all(|file| file["unchanged"] == true)
    );

    // A model that lost a part is said to have.
    fs::remove_file(place.at("workspace/models/acme/tiny/model.safetensors")).unwrap();
    let list = place.slm(&["model", "list"]);
    assert_eq!(
        list.succeeds(),
        "acme/tiny  not whole: `model.safetensors` is missing\n"
    );
    let run = place.slm(&["model", "inspect", "acme/tiny"]);
    assert!(
        run.stderr.starts_with(
            "error: `workspace/models/acme/tiny` is not whole: `model.safetensors` is missing\n"
        ),
        "{}",
        run.stderr
    );
}

#[test]
fn a_pull_without_connection_or_of_nothing_says_what_to_do() {
    let (endpoint, count) = serve();
    let place = Place::new();
    slm(&place, &endpoint, &["model", "pull", "acme/tiny", "--offline"]).fails(
        1,
        "error: pulling `acme/tiny@main` needs a connection, which `--offline` forbids\n\
         hint: run it without `--offline`, or copy the model's folder to the workspace's `models/`\n",
    );
    assert_eq!(count.load(Ordering::SeqCst), 0);
    slm(&place, &endpoint, &["model", "pull", "acme/none"]).fails(
        1,
        "error: the hub has no `acme/none@main` (404 Not Found)\n\
         hint: check the name, as in `owner/model`; `HF_ENDPOINT` says which hub is asked\n",
    );
    slm(&place, &endpoint, &["model", "pull", "../evil"]).fails(
        2,
        "error: `../evil` is no name of a model\n\
         hint: write `owner/model`, or `owner/model@revision`, as on the hub\n",
    );
    place.write("workspace/models/acme/tiny/config.json", "{}");
    slm(&place, &endpoint, &["model", "pull", "acme/tiny"]).fails(
        1,
        "error: `workspace/models/acme/tiny` is there already, and was not pulled\n\
         hint: move it away, or use another `--workspace DIR`\n",
    );
    assert_eq!(count.load(Ordering::SeqCst), 1);
}
