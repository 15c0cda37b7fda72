//! The client against a hub on the loopback interface.

mod server;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::failure::describe;
use crate::terminal::{Format, Terminal};
use crate::workspace::hash_bytes;
use server::{Asked, Reply, Server};

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

/// 300,000 bytes that do not repeat.
fn weights() -> Vec<u8> {
    (0..300_000_u32)
        .flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[..1].to_vec())
        .collect()
}

fn git_hash(content: &[u8]) -> String {
    use sha1::Digest;
    let mut hasher = sha1::Sha1::new();
    hasher.update(format!("blob {}\0", content.len()));
    hasher.update(content);
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A listing of `model.safetensors` and `config.json`.
fn listing() -> Value {
    let weights = weights();
    json!({"sha": SHA, "siblings": [
        {"rfilename": "model.safetensors", "size": weights.len(), "blobId": "f".repeat(40),
         "lfs": {"sha256": hash_bytes(&weights), "size": weights.len(), "pointerSize": 130}},
        {"rfilename": "config.json", "size": 2, "blobId": git_hash(b"{}")},
        {"rfilename": "pytorch_model.bin", "size": 9},
    ]})
}

fn is_listing(asked: &Asked) -> bool {
    asked.path.starts_with("/api/models/")
}

/// A hub that has nothing wrong with it.
fn good(asked: &Asked) -> Reply {
    match asked.path.as_str() {
        path if path.starts_with("/api/models/") => Reply::ok(listing().to_string()),
        path if path.ends_with("/config.json") => Reply::part(asked, b"{}", &git_hash(b"{}")),
        path if path.ends_with("/model.safetensors") => Reply::part(asked, &weights(), "v1"),
        _ => Reply::status("404 Not Found", ""),
    }
}

fn client(server: &Server, token: Option<&str>) -> Client {
    Client::new(&server.endpoint, token.map(str::to_owned))
        .unwrap()
        .with_first_wait(Duration::from_millis(1))
}

fn reference() -> Reference {
    Reference::parse("acme/tiny").unwrap()
}

fn pull(server: &Server, folder: &Path) -> anyhow::Result<()> {
    let client = client(server, None);
    let listing = client.list(&reference())?;
    let terminal = Terminal::new(Format::Text, true);
    fetch_all(&client, &reference(), &listing, folder, &terminal)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn safe_files_come_whole_and_others_are_not_asked_for() {
    let server = Server::start(|asked, _| good(asked));
    let folder = tempfile::tempdir().unwrap();
    pull(&server, folder.path()).unwrap();
    assert_eq!(names(folder.path()), ["config.json", "model.safetensors"]);
    assert_eq!(
        std::fs::read(folder.path().join("model.safetensors")).unwrap(),
        weights()
    );
    let asked = server.asked();
    assert_eq!(
        asked[0].path,
        "/api/models/acme/tiny/revision/main?blobs=true"
    );
    let mut paths: Vec<&str> = asked[1..].iter().map(|asked| asked.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(
        paths,
        [
            "/acme/tiny/resolve/main/config.json",
            "/acme/tiny/resolve/main/model.safetensors"
        ]
    );
    // What is there whole is not fetched again.
    pull(&server, folder.path()).unwrap();
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn a_cut_transfer_goes_on_where_it_was() {
    let server = Server::start(|asked, number| match (is_listing(asked), number) {
        (false, 0) if asked.path.ends_with("safetensors") => good(asked).cut_after(100_000),
        (false, 1) if asked.path.ends_with("safetensors") => good(asked).cut_after(50_000),
        _ => good(asked),
    });
    let folder = tempfile::tempdir().unwrap();
    pull(&server, folder.path()).unwrap();
    assert_eq!(
        std::fs::read(folder.path().join("model.safetensors")).unwrap(),
        weights()
    );
    let asked = server.asked_of("safetensors");
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0].header("range"), None);
    assert_eq!(
        (asked[1].from(), asked[1].header("if-range")),
        (100_000, Some("\"v1\""))
    );
    assert_eq!(asked[2].from(), 150_000);
}

#[test]
fn what_an_earlier_process_left_is_gone_on_with() {
    let server = Server::start(|asked, _| good(asked));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("model.safetensors.incomplete"),
        &weights()[..1000],
    )
    .unwrap();
    std::fs::write(folder.path().join("model.safetensors.version"), "\"v1\"").unwrap();
    pull(&server, folder.path()).unwrap();
    assert_eq!(server.asked_of("safetensors")[0].from(), 1000);
    assert_eq!(names(folder.path()), ["config.json", "model.safetensors"]);
}

#[test]
fn a_server_that_ignores_ranges_or_has_another_version_begins_anew() {
    let whole: fn(&Asked) -> Reply = |_| Reply::ok(weights()).with("ETag: \"v2\"");
    let other_part: fn(&Asked) -> Reply = |asked| Reply::part(asked, &weights(), "v2");
    let wrong_part: fn(&Asked) -> Reply = |asked| match asked.from() {
        0 => good(asked),
        _ => Reply::status("206 Partial Content", weights())
            .with("Content-Range: bytes 0-299999/300000"),
    };
    let unfit: fn(&Asked) -> Reply = |asked| match asked.from() {
        0 => good(asked),
        _ => Reply::status("416 Range Not Satisfiable", ""),
    };
    for answer in [whole, other_part, wrong_part, unfit] {
        let server = Server::start(move |asked, _| match asked.path.ends_with("safetensors") {
            true => answer(asked),
            false => good(asked),
        });
        let folder = tempfile::tempdir().unwrap();
        // The beginning is of another version of the file.
        std::fs::write(
            folder.path().join("model.safetensors.incomplete"),
            vec![7; 1000],
        )
        .unwrap();
        std::fs::write(folder.path().join("model.safetensors.version"), "\"v1\"").unwrap();
        pull(&server, folder.path()).unwrap();
        assert_eq!(
            std::fs::read(folder.path().join("model.safetensors")).unwrap(),
            weights()
        );
    }
}

#[test]
fn a_wrong_checksum_is_fetched_once_more_and_then_refused() {
    let damaged = || {
        let mut content = weights();
        content[5] ^= 1;
        content
    };
    let server =
        Server::start(
            move |asked, number| match (asked.path.ends_with("safetensors"), number) {
                (true, 0) => Reply::ok(damaged()),
                _ => good(asked),
            },
        );
    let folder = tempfile::tempdir().unwrap();
    pull(&server, folder.path()).unwrap();
    assert_eq!(server.asked_of("safetensors").len(), 2);
    let server = Server::start(move |asked, _| match asked.path.ends_with("config.json") {
        true => Reply::ok("[]"),
        _ => good(asked),
    });
    let folder = tempfile::tempdir().unwrap();
    let error = pull(&server, folder.path()).unwrap_err().to_string();
    assert!(
        error.starts_with("`config.json` is not what the hub says it is: checksum git:"),
        "{error}"
    );
    assert!(!folder.path().join("config.json").exists());
}

#[test]
fn a_server_that_promises_less_than_the_listing_is_found_out() {
    let server = Server::start(|asked, _| match asked.path.ends_with("safetensors") {
        true => Reply::ok(&weights()[..1000]),
        _ => good(asked),
    });
    let folder = tempfile::tempdir().unwrap();
    let error = pull(&server, folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("`model.safetensors` failed 5 times: the connection ended early"),
        "{error}"
    );
    let server = Server::start(|asked, _| match asked.path.ends_with("safetensors") {
        true => Reply::ok([weights(), vec![0]].concat()),
        _ => good(asked),
    });
    let error = pull(&server, folder.path()).unwrap_err().to_string();
    assert!(error.contains("300001 bytes instead of 300000"), "{error}");
}

#[test]
fn the_token_goes_to_the_hub_and_to_nobody_behind_it() {
    let storage = Server::start(|asked, _| match asked.path.starts_with("/signed") {
        true => Reply::part(asked, &weights(), "s1"),
        false => Reply::status("404 Not Found", ""),
    });
    let elsewhere = storage.endpoint.clone();
    let hub = Server::start(move |asked, _| match asked.path.as_str() {
        path if path.ends_with("/resolve/main/model.safetensors") => {
            Reply::status("302 Found", "").with("Location: /moved/model.safetensors")
        }
        "/moved/model.safetensors" => Reply::status("307 Temporary Redirect", "")
            .with(format!("Location: {elsewhere}/signed?key=1")),
        _ => good(asked),
    });
    let client = client(&hub, Some("s3cret"));
    assert!(!format!("{client:?}").contains("s3cret"));
    let listing = client.list(&reference()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let terminal = Terminal::new(Format::Text, true);
    fetch_all(&client, &reference(), &listing, folder.path(), &terminal).unwrap();
    let asked = hub.asked();
    assert_eq!(asked.len(), 4);
    assert!(
        asked
            .iter()
            .all(|asked| asked.header("authorization") == Some("Bearer s3cret"))
    );
    let asked = storage.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("authorization"), None);
}

#[test]
fn redirects_end_and_do_not_leave_http() {
    let server = Server::start(|asked, _| match is_listing(asked) {
        true => good(asked),
        false => Reply::status("302 Found", "").with(format!("Location: {}", asked.path)),
    });
    let folder = tempfile::tempdir().unwrap();
    let error = pull(&server, folder.path()).unwrap_err().to_string();
    assert!(error.contains("redirects without end"), "{error}");
    let server =
        Server::start(|_, _| Reply::status("302 Found", "").with("Location: file:///etc/passwd"));
    let error = pull(&server, folder.path()).unwrap_err().to_string();
    assert!(error.contains("redirects"), "{error}");
}

#[test]
fn refusals_say_what_to_do() {
    let said = |status: &'static str, code: &'static str, token: Option<&str>| {
        let server = Server::start(move |_, _| {
            Reply::status(status, "").with(format!("X-Error-Code: {code}"))
        });
        let error = client(&server, token).list(&reference()).unwrap_err();
        let (message, hint, _) = describe(&error);
        (
            message,
            hint.unwrap_or_default().replace(&server.endpoint, "HUB"),
        )
    };
    let (message, hint) = said("401 Unauthorized", "", None);
    assert_eq!(
        message,
        "the hub knows no `acme/tiny@main`, or it is private (401 Unauthorized)"
    );
    assert_eq!(
        hint,
        "check the name; set `HF_TOKEN` to a token that may read it"
    );
    let (message, hint) = said("403 Forbidden", "GatedRepo", Some("t"));
    assert_eq!(
        message,
        "the hub does not give out `acme/tiny@main` (403 Forbidden): it is gated or private"
    );
    assert!(
        hint.contains("acme/tiny, then check that the token"),
        "{hint}"
    );
    let (message, _) = said("401 Unauthorized", "GatedRepo", None);
    assert!(message.contains("gated"), "{message}");
    let (message, hint) = said("404 Not Found", "RepoNotFound", None);
    assert_eq!(message, "the hub has no `acme/tiny@main` (404 Not Found)");
    assert!(hint.contains("HF_ENDPOINT"), "{hint}");
    let (message, _) = said("404 Not Found", "RevisionNotFound", None);
    assert!(message.contains("not this revision"), "{message}");
}

#[test]
fn overload_is_waited_out_and_failure_given_up() {
    let server = Server::start(|asked, number| match number {
        0 => Reply::status("503 Service Unavailable", ""),
        1 => Reply::status("429 Too Many Requests", "").with("Retry-After: 0"),
        _ => good(asked),
    });
    let folder = tempfile::tempdir().unwrap();
    pull(&server, folder.path()).unwrap();
    assert_eq!(server.asked().len(), 9);
    let server = Server::start(|_, _| Reply::status("500 Internal Server Error", ""));
    let error = pull(&server, folder.path()).unwrap_err().to_string();
    assert!(error.contains("failed 5 times: it answered 500"), "{error}");
}

#[test]
fn a_listing_that_leaves_the_folder_fetches_nothing() {
    let server = Server::start(|asked, _| match is_listing(asked) {
        true => Reply::ok(json!({"siblings": [{"rfilename": "../../evil.json"}]}).to_string()),
        false => Reply::ok("evil"),
    });
    let folder = tempfile::tempdir().unwrap();
    let error = pull(&server, folder.path()).unwrap_err().to_string();
    assert!(error.contains("outside the model's folder"), "{error}");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn names_and_endpoints_are_checked() {
    let parse = |text: &str| Reference::parse(text).map(|reference| reference.to_string());
    assert_eq!(parse("a/b").unwrap(), "a/b@main");
    assert_eq!(parse("b@refs/pr/1").unwrap(), "b@refs/pr/1");
    for wrong in [
        "", "a/b/c", "../x", "a/..", "/a", "a/", "a b", "a@", "a@../x", "a@x y", ".a", "-a",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
    assert!(Client::new("ftp://x", None).is_err());
    assert!(Client::new("not a url", None).is_err());
    let error = Client::new("http://mirror.example", Some("t".into())).unwrap_err();
    assert!(error.to_string().contains("unencrypted"), "{error}");
    assert!(Client::new("http://mirror.example", None).is_ok());
    assert!(Client::new("http://127.0.0.1:1", Some("t".into())).is_ok());
}
