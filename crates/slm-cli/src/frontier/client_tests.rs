//! The client against a server on the loopback interface.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use serde_json::json;

use super::*;

const DONE: &str = r#"{"choices":[{"message":{"role":"assistant","content":"{\"a\":1}"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":5}}"#;

/// Answers one request after another from `script`, and gives back what it was asked.
fn serve(script: Vec<(&'static str, String)>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for (head, body) in script {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut request = String::new();
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let lower = line.to_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                request.push_str(&line);
                if line == "\r\n" {
                    break;
                }
            }
            let mut content = vec![0; length];
            reader.read_exact(&mut content).unwrap();
            request.push_str(&String::from_utf8(content).unwrap());
            asked.push(request);
            let mut stream = reader.into_inner();
            write!(
                stream,
                "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
        }
        asked
    });
    (endpoint, server)
}

const PURPOSE: Purpose = Purpose {
    role: "baseline",
    endpoint: "endpoint",
    model: "model",
    key: "key",
    timeout: "timeout",
    retries: "retries",
    concurrency: "concurrency",
    limits: "`limit`",
};

fn limited(url: &str, retries: u32, limits: Limits) -> Client {
    let mut client = Client::new(&Endpoint {
        url: url.to_owned(),
        model: "big".to_owned(),
        api_key_env: None,
        timeout_seconds: 5,
        retries,
        concurrency: 1,
        schemas: true,
        limits,
        rates: Rates::default(),
        purpose: PURPOSE,
    })
    .unwrap();
    client.key = Some(Secret("s3cret".to_owned()));
    client.first_wait = Duration::from_millis(1);
    client
}

fn client(url: &str, retries: u32) -> Client {
    limited(url, retries, Limits::default())
}

fn request() -> Request {
    Request {
        model: "big".to_owned(),
        messages: vec![json!({"role": "user", "content": "hello"})],
        max_tokens: 64,
        ..Request::default()
    }
}

#[test]
fn waits_out_overload_and_failures_then_records_usage() {
    let (endpoint, server) = serve(vec![
        ("429 Too Many Requests\r\nRetry-After: 0", String::new()),
        ("503 Service Unavailable", String::new()),
        ("200 OK", DONE.to_owned()),
    ]);
    let answer = client(&endpoint, 3).ask(&request()).unwrap();
    assert_eq!(answer.text, r#"{"a":1}"#);
    assert_eq!(
        (answer.input_tokens, answer.output_tokens),
        (Some(12), Some(5))
    );
    assert_eq!(answer.finish_reason.as_deref(), Some("stop"));
    assert!(answer.latency_ms.unwrap() > 0.0);
    let asked = server.join().unwrap();
    assert_eq!(asked.len(), 3);
    assert!(asked[0].starts_with("POST /v1/chat/completions HTTP/1.1"));
    assert!(
        asked[2]
            .to_lowercase()
            .contains("authorization: bearer s3cret")
    );
    assert!(asked[2].contains(r#""temperature":0.0"#));
}

#[test]
fn a_refusal_is_final_and_the_key_is_not_repeated() {
    let (endpoint, server) = serve(vec![("401 Unauthorized", "bad key s3cret".to_owned())]);
    let client = client(&endpoint, 3);
    let error = client.ask(&request()).unwrap_err();
    let message = error.to_string();
    assert!(
        message.ends_with("once: it answered 401 Unauthorized: bad key <key>"),
        "{message}"
    );
    assert!(!error.is_of_this_request());
    assert!(!format!("{client:?}").contains("s3cret"));
    server.join().unwrap();
}

#[test]
fn gives_up_after_the_allowed_retries() {
    let fail = || ("500 Internal Server Error", "oops".to_owned());
    let (endpoint, server) = serve(vec![fail(), fail()]);
    let error = client(&endpoint, 1).ask(&request()).unwrap_err();
    assert!(
        error.to_string().contains("2 times: it answered 500"),
        "{error}"
    );
    server.join().unwrap();
}

#[test]
fn half_a_body_and_rubbish_are_asked_again() {
    let rubbish = ("200 OK", "{\"choices\": [".to_owned());
    let page = ("200 OK", "<html>busy</html>".to_owned());
    let (endpoint, server) = serve(vec![rubbish, page, ("200 OK", DONE.to_owned())]);
    assert_eq!(
        client(&endpoint, 2).ask(&request()).unwrap().text,
        r#"{"a":1}"#
    );
    assert_eq!(server.join().unwrap().len(), 3);
}

#[test]
fn everybody_waits_when_the_server_asks_for_it() {
    let (endpoint, server) = serve(vec![
        ("429 Too Many Requests\r\nRetry-After: 1", String::new()),
        ("200 OK", DONE.to_owned()),
        ("200 OK", DONE.to_owned()),
    ]);
    let client = client(&endpoint, 1);
    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| client.ask(&request()).unwrap());
        std::thread::sleep(Duration::from_millis(300));
        client.ask(&request()).unwrap();
    });
    assert!(
        started.elapsed() >= Duration::from_millis(950),
        "{:?}",
        started.elapsed()
    );
    server.join().unwrap();
}

#[test]
fn what_a_server_refuses_by_name_is_left_out_from_then_on() {
    let refuse = r#"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","param":"max_tokens"}}"#;
    let (endpoint, server) = serve(vec![
        (
            "400 Bad Request",
            "response_format is not supported".to_owned(),
        ),
        ("400 Bad Request", refuse.to_owned()),
        ("200 OK", DONE.to_owned()),
        ("200 OK", DONE.to_owned()),
        ("200 OK", DONE.to_owned()),
    ]);
    let client = client(&endpoint, 0);
    let with_schema = |name: &str| Request {
        schema: Some(json!({"type": "object", "title": name})),
        ..request()
    };
    let answer = client.ask(&with_schema("a")).unwrap();
    assert_eq!(answer.without, ["response_format", "max_tokens"]);
    client.ask(&with_schema("a")).unwrap();
    // Another schema may be taken.
    let answer = client.ask(&with_schema("b")).unwrap();
    assert_eq!(answer.without, ["max_tokens"]);
    let asked = server.join().unwrap();
    let has = |at: usize, word: &str| asked[at].contains(word);
    assert!(has(0, "response_format") && has(0, "\"max_tokens\""));
    assert!(!has(1, "response_format") && has(1, "\"max_tokens\""));
    assert!(!has(3, "response_format") && has(3, "max_completion_tokens"));
    assert!(has(4, "response_format") && has(4, "max_completion_tokens"));
}

#[test]
fn a_refusal_of_something_else_is_final() {
    let (endpoint, server) = serve(vec![(
        "400 Bad Request",
        "the prompt is too long".to_owned(),
    )]);
    let refusal = client(&endpoint, 3).ask(&request()).unwrap_err();
    assert!(refusal.is_of_this_request());
    server.join().unwrap();
}

#[test]
fn half_an_answer_is_booked_as_if_it_were_whole() {
    let rubbish = || ("200 OK", "{\"choices\": [".to_owned());
    let limits = Limits {
        tokens: Some(200),
        ..Limits::default()
    };
    // Each attempt may take 21 tokens in and 64 out; two leave no room for a third.
    let (endpoint, server) = serve(vec![rubbish(), rubbish()]);
    let client = limited(&endpoint, 5, limits);
    let refusal = client.ask(&request()).unwrap_err();
    assert_eq!(refusal.trouble(), Trouble::OverBudget);
    assert_eq!(client.spent().to_string(), "42 tokens read, 128 written");
    assert_eq!(server.join().unwrap().len(), 2);
}

#[test]
fn a_server_that_says_nothing_is_late() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let mut client = client(&url, 0);
    client.http = reqwest::blocking::Client::builder()
        .no_proxy()
        .timeout(Duration::from_millis(100))
        .build()
        .unwrap();
    let refusal = client.ask(&request()).unwrap_err();
    assert_eq!(refusal.trouble(), Trouble::Late);
    drop(listener);
    let refusal = client.ask(&request()).unwrap_err();
    assert_eq!(refusal.trouble(), Trouble::Unreachable);
}

#[test]
fn jitter_stays_between_half_and_all() {
    let waits: Vec<Duration> = (0..50)
        .map(|_| with_jitter(Duration::from_secs(2)))
        .collect();
    assert!(
        waits
            .iter()
            .all(|wait| (1.0..=2.0).contains(&wait.as_secs_f64()))
    );
    assert!(waits.iter().any(|wait| *wait != waits[0]));
}
