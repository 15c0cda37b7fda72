//! A server on the loopback interface that plays a hub: it answers by a function of what it is
//! asked, and keeps what it was asked.
//!
//! Does not know the hub's protocol.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The path with its query.
    pub path: String,
    /// The header lines, in lower case.
    pub headers: Vec<String>,
}

impl Asked {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let begin = format!("{name}: ");
        self.headers
            .iter()
            .find_map(|line| line.strip_prefix(begin.as_str()))
    }

    /// The first byte that is asked for.
    pub fn from(&self) -> usize {
        let range = self
            .header("range")
            .and_then(|range| range.strip_prefix("bytes="));
        range
            .and_then(|range| range.trim_end_matches('-').parse().ok())
            .unwrap_or(0)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Code and words.
    pub status: &'static str,
    /// Header lines.
    pub headers: Vec<String>,
    /// The content.
    pub body: Vec<u8>,
    /// Bytes after which the connection ends, whatever was promised.
    pub cut: Option<usize>,
}

impl Reply {
    /// An answer that went well.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::status("200 OK", body)
    }

    /// An answer of another kind.
    pub fn status(status: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            cut: None,
        }
    }

    /// With a header more.
    pub fn with(mut self, header: impl Into<String>) -> Self {
        self.headers.push(header.into());
        self
    }

    /// The part of a file that was asked for.
    pub fn part(asked: &Asked, whole: &[u8], version: &str) -> Self {
        let from = asked.from();
        let reply = match from {
            0 => Self::ok(whole),
            _ => Self::status("206 Partial Content", &whole[from..]).with(format!(
                "Content-Range: bytes {from}-{}/{}",
                whole.len() - 1,
                whole.len()
            )),
        };
        reply.with(format!("ETag: \"{version}\""))
    }

    /// The same, ended after some bytes.
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }
}

/// A server that runs as long as the test.
pub struct Server {
    /// Its address.
    pub endpoint: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Answers by `answer`, which gets the number of the request for the same path, from 0.
    pub fn start(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream.unwrap(), &kept, &*answer));
            }
        });
        Self { endpoint, asked }
    }

    /// All that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// What was asked of paths that end like this.
    pub fn asked_of(&self, ending: &str) -> Vec<Asked> {
        let mut asked = self.asked();
        asked.retain(|asked| asked.path.ends_with(ending));
        asked
    }
}

fn serve(stream: TcpStream, kept: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked, usize) -> Reply) {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    if reader.read_line(&mut first).unwrap_or(0) == 0 {
        return;
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.trim().split_once(':').unwrap_or((line.trim(), ""));
        headers.push(format!("{}: {}", name.to_lowercase(), value.trim()));
    }
    let asked = Asked { path, headers };
    let number = {
        let mut kept = kept.lock().unwrap();
        let number = kept.iter().filter(|other| other.path == asked.path).count();
        kept.push(asked.clone());
        number
    };
    let reply = answer(&asked, number);
    let mut stream = reader.into_inner();
    let mut head = format!(
        "HTTP/1.1 {}\r\nContent-Length: {}\r\nConnection: close\r\n",
        reply.status,
        reply.body.len()
    );
    for header in &reply.headers {
        head.push_str(&format!("{header}\r\n"));
    }
    let end = reply.cut.unwrap_or(reply.body.len()).min(reply.body.len());
    let _ = stream.write_all(format!("{head}\r\n").as_bytes());
    let _ = stream.write_all(&reply.body[..end]);
    let _ = stream.flush();
}
