//! HTTP/1.1 by hand: writes requests as bytes and cuts responses out of a buffer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The timeout of a test's own requests.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A response as received.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header; ignores the case of the name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The status, followed by the error code if there is one.
    pub fn kind(&self) -> String {
        match self.json()["code"].as_str() {
            Some(code) => format!("{} {code}", self.status),
            None => self.status.to_string(),
        }
    }
}

pub fn get(target: &str) -> Vec<u8> {
    get_with(target, "")
}

/// A GET with more headers; each ends in CRLF.
pub fn get_with(target: &str, headers: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n{headers}\r\n").into_bytes()
}

pub fn post(path: &str, body: &str) -> Vec<u8> {
    post_with(path, "Host: test\r\n", body)
}

/// A POST with headers, including `Host`; each ends in CRLF.
pub fn post_with(path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\n{headers}Content-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

pub fn heartbeat(id: &str) -> Vec<u8> {
    post("/heartbeat", &format!(r#"{{"peerId":"{id}"}}"#))
}

/// Cuts the first complete response out of `buffer`; `None` if it is incomplete.
pub fn cut(buffer: &mut Vec<u8>, is_head_only: bool) -> io::Result<Option<Response>> {
    let Some(index) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&buffer[..index]).into_owned();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no status in {head:?}")))?;
    let mut response = Response {
        status,
        head,
        body: Vec::new(),
    };
    let body_at = index + 4;
    let end = if is_head_only || status == 304 || status == 204 || status < 200 {
        body_at
    } else if let Some(length) = response.header("content-length") {
        body_at + length.parse::<usize>().map_err(io::Error::other)?
    } else if response.header("transfer-encoding").is_some() {
        match unchunk(&buffer[body_at..], &mut response.body)? {
            Some(taken) => body_at + taken,
            None => return Ok(None),
        }
    } else {
        body_at
    };
    if buffer.len() < end {
        // Reserve all at once: the buffer alone would grow in many steps.
        buffer.reserve(end - buffer.len());
        return Ok(None);
    }
    if response.body.is_empty() {
        response.body = buffer[body_at..end].to_vec();
    }
    buffer.drain(..end);
    Ok(Some(response))
}

/// Copies the chunks of a body. Returns their encoded length, or `None` if the last chunk is
/// missing.
fn unchunk(bytes: &[u8], body: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let mut index = 0;
    loop {
        let Some(line_end) = bytes[index..].windows(2).position(|two| two == b"\r\n") else {
            return Ok(None);
        };
        let line = String::from_utf8_lossy(&bytes[index..index + line_end]).into_owned();
        let length = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        let data_at = index + line_end + 2;
        let end = data_at + length + 2;
        if bytes.len() < end {
            return Ok(None);
        }
        body.extend_from_slice(&bytes[data_at..data_at + length]);
        if length == 0 {
            return Ok(Some(end));
        }
        index = end;
    }
}

/// A blocking connection, for a test's own requests.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn open(addr: SocketAddr) -> io::Result<Self> {
        Self::open_within(addr, PATIENCE)
    }

    /// Opens a connection on which each operation times out after `patience`.
    pub fn open_within(addr: SocketAddr, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    pub fn receive(&mut self) -> io::Result<Response> {
        let mut piece = vec![0; 64 * 1024];
        loop {
            if let Some(response) = cut(&mut self.buffer, false)? {
                return Ok(response);
            }
            let read = self.stream.read(&mut piece)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buffer.extend_from_slice(&piece[..read]);
        }
    }

    pub fn exchange(&mut self, request: &[u8]) -> io::Result<Response> {
        self.send(request)?;
        self.receive()
    }
}

/// A non-blocking connection, for many at a time.
pub struct AsyncConnection {
    pub stream: tokio::net::TcpStream,
    buffer: Vec<u8>,
}

impl AsyncConnection {
    pub async fn open(addr: SocketAddr) -> io::Result<Self> {
        let stream = tokio::net::TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self::new(stream))
    }

    pub fn new(stream: tokio::net::TcpStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    pub async fn receive(&mut self, is_head_only: bool) -> io::Result<Response> {
        loop {
            if let Some(response) = cut(&mut self.buffer, is_head_only)? {
                return Ok(response);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Response> {
        self.send(request).await?;
        self.receive(false).await
    }
}
