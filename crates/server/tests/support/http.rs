//! A client of HTTP that hides nothing: what it sends and gets are bytes.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection.
pub struct Http {
    pub stream: TcpStream,
    host: String,
    /// Read and not yet taken.
    ahead: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The reason that the body of an error names.
    pub fn reason(&self) -> String {
        self.json()["error"]["reason"].as_str().unwrap().to_owned()
    }
}

impl Http {
    pub async fn connect(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address).await.unwrap(),
            host: address.to_string(),
            ahead: Vec::new(),
        }
    }

    /// Sends a request without a body; `headers` are whole lines.
    pub async fn send(&mut self, method: &str, path: &str, headers: &[&str]) {
        let mut request = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|line| line.starts_with("Host:")) {
            request += &format!("Host: {}\r\n", self.host);
        }
        for line in headers {
            request += &format!("{line}\r\n");
        }
        request += "\r\n";
        self.stream.write_all(request.as_bytes()).await.unwrap();
    }

    /// The head of the next answer; its body is empty.
    pub async fn head(&mut self) -> Answer {
        let end = loop {
            let found = self.ahead.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(at) = found {
                break at + 4;
            }
            assert!(
                self.more().await > 0,
                "it ended within a head: {:?}",
                self.ahead
            );
        };
        let head: Vec<u8> = self.ahead.drain(..end).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        Answer {
            status: status.parse().unwrap(),
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body: Vec::new(),
        }
    }

    /// `length` bytes, or fewer where the connection ends before.
    pub async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.ahead.len() < length {
            if self.more().await == 0 {
                break;
            }
        }
        let length = length.min(self.ahead.len());
        self.ahead.drain(..length).collect()
    }

    /// Reads more; 0 at the end.
    async fn more(&mut self) -> usize {
        let mut piece = vec![0; 64 << 10];
        let length = self.stream.read(&mut piece).await.unwrap_or(0);
        self.ahead.extend_from_slice(&piece[..length]);
        length
    }

    /// One request and its whole answer.
    pub async fn ask(&mut self, method: &str, path: &str, headers: &[&str]) -> Answer {
        self.send(method, path, headers).await;
        let mut answer = self.head().await;
        let length = answer.header("content-length").map(str::parse::<usize>);
        if method != "HEAD" && answer.status != 304 {
            let length = length.unwrap_or_else(|| panic!("{answer:?}")).unwrap();
            answer.body = self.take(length).await;
            assert_eq!(answer.body.len(), length, "the body is whole");
        }
        answer
    }

    /// Posts `body` and takes the whole answer; whether it ended well.
    pub async fn post(&mut self, path: &str, headers: &[&str], body: &[u8]) -> (Answer, bool) {
        let length = format!("Content-Length: {}", body.len());
        let headers: Vec<&str> = headers.iter().copied().chain([length.as_str()]).collect();
        self.send("POST", path, &headers).await;
        self.stream.write_all(body).await.unwrap();
        let mut answer = self.head().await;
        let is_whole = match answer.header("content-length") {
            Some(length) => {
                let length: usize = length.parse().unwrap();
                answer.body = self.take(length).await;
                answer.body.len() == length
            }
            None => self.chunks(&mut answer.body).await,
        };
        (answer, is_whole)
    }

    /// The chunks of a body; whether the last one came.
    async fn chunks(&mut self, body: &mut Vec<u8>) -> bool {
        loop {
            let end = loop {
                let found = self.ahead.windows(2).position(|two| two == b"\r\n");
                match found {
                    Some(at) => break at,
                    None if self.more().await == 0 => return false,
                    None => {}
                }
            };
            let line: Vec<u8> = self.ahead.drain(..end + 2).collect();
            let digits = std::str::from_utf8(&line).unwrap().trim();
            let length = usize::from_str_radix(digits, 16).unwrap();
            let chunk = self.take(length + 2).await;
            if chunk.len() < length + 2 {
                return false;
            }
            body.extend_from_slice(&chunk[..length]);
            if length == 0 {
                return true;
            }
        }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, &[]).await
    }
}
