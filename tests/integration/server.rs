//! A chat server on the loopback, played by a test: what it is asked, what it says, and how it
//! misbehaves.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// What comes back for a request.
pub enum Reply {
    /// The assistant's message.
    Message(Value),
    /// A status with a body, and with a header line that ends with a line break, or none.
    Status(u16, &'static str, String),
    /// So many bytes are promised, and fewer sent.
    Cut(String),
    /// Nothing, ever.
    Silence,
}

impl Reply {
    /// The assistant says this.
    pub fn said(text: impl Into<String>) -> Self {
        Self::Message(json!({"content": text.into()}))
    }
}

/// The server. It stays until the test's process ends.
pub struct Server {
    /// What `--endpoint` is given.
    pub endpoint: String,
    answered: Arc<Mutex<Vec<Value>>>,
}

impl Server {
    /// Serves requests by their body, each on a thread of its own.
    pub fn new(reply: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let answered = Arc::new(Mutex::new(Vec::new()));
        let (seen, reply) = (Arc::clone(&answered), Arc::new(reply));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, reply) = (Arc::clone(&seen), Arc::clone(&reply));
                // A client that was killed leaves its connection half-way; that is no fault here.
                std::thread::spawn(move || answer(stream, &*reply, &seen));
            }
        });
        Self {
            endpoint: format!("http://{address}/v1"),
            answered,
        }
    }

    /// The requests that were answered with a message, in order; `authorization` is that header.
    pub fn answered(&self) -> Vec<Value> {
        self.answered.lock().expect("no panic").clone()
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        self.answered.lock().expect("no panic").len()
    }
}

fn answer(
    stream: TcpStream,
    reply: &dyn Fn(&Value) -> Reply,
    answered: &Mutex<Vec<Value>>,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.to_lowercase().starts_with("authorization:") {
            authorization = line.split_once(':')?.1.trim().to_owned();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut body: Value = serde_json::from_slice(&body).ok()?;
    body["authorization"] = authorization.into();
    let reply = reply(&body);
    let mut stream = reader.into_inner();
    let head = |status: u16, header: &str, length: usize| {
        format!(
            "HTTP/1.1 {status} -\r\n{header}Content-Length: {length}\r\nConnection: close\r\n\r\n"
        )
    };
    let text = match reply {
        Reply::Message(message) => {
            answered.lock().ok()?.push(body);
            let answer = json!({
                "choices": [{"message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 5},
            })
            .to_string();
            format!("{}{answer}", head(200, "", answer.len()))
        }
        Reply::Status(status, header, body) => {
            format!("{}{body}", head(status, header, body.len()))
        }
        Reply::Cut(body) => format!("{}{body}", head(200, "", body.len() + 100)),
        Reply::Silence => loop {
            std::thread::park();
        },
    };
    stream.write_all(text.as_bytes()).ok()
}
