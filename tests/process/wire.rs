//! HTTP by hand, for clients whose behaviour no library offers.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::child::{is_cut_off, peer, soon};

/// A connection whose requests are written piece by piece.
pub struct Connection {
    stream: BufReader<TcpStream>,
    opened: Instant,
}

/// A response read off the wire.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Value,
}

impl Connection {
    pub async fn open(addr: SocketAddr) -> Self {
        let stream = soon("a connection", TcpStream::connect(addr)).await;
        Self {
            stream: BufReader::new(stream.unwrap()),
            opened: Instant::now(),
        }
    }

    /// Opens a connection with a small receive buffer.
    pub async fn open_narrow(addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = soon("a connection", socket.connect(addr)).await;
        Self {
            stream: BufReader::new(stream.unwrap()),
            opened: Instant::now(),
        }
    }

    /// Sends as much of `text` as the server takes before it closes.
    pub async fn send_if_open(&mut self, text: &str) {
        match self.stream.write_all(text.as_bytes()).await {
            Ok(()) => {}
            Err(error) => assert!(is_cut_off(&error), "{error}"),
        }
    }

    /// Reads at most `bytes`; 0 if the server has closed.
    pub async fn read_some(&mut self, bytes: usize) -> usize {
        let mut some = vec![0; bytes];
        match soon("some bytes", self.stream.read(&mut some)).await {
            Ok(read) => read,
            Err(error) if is_cut_off(&error) => 0,
            Err(error) => panic!("{error}"),
        }
    }

    pub async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Sends a whole GET and returns the answer.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.try_get(path).await.expect("an answer")
    }

    /// Sends a whole GET and returns the answer, or none if the server has closed.
    pub async fn try_get(&mut self, path: &str) -> Option<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
        match self.stream.write_all(request.as_bytes()).await {
            Ok(()) => self.answer().await,
            Err(error) if is_cut_off(&error) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends a whole POST and returns the answer, or none if the server has closed.
    pub async fn post(&mut self, path: &str, body: &Value) -> Option<Answer> {
        let body = body.to_string();
        self.send_if_open(&format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
        self.answer().await
    }

    /// The next answer, or none if the server closes first.
    pub async fn answer(&mut self) -> Option<Answer> {
        soon("an answer", self.read_answer()).await
    }

    async fn read_answer(&mut self) -> Option<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match self.stream.read_line(&mut head).await {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if is_cut_off(&error) => return None,
                Err(error) => panic!("{error}"),
            }
        }
        let status = head.split(' ').nth(1)?.parse().unwrap();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse().unwrap())
        });
        let mut body = vec![0; length.unwrap_or(0)];
        self.stream.read_exact(&mut body).await.ok()?;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Some(Answer { status, head, body })
    }

    /// Waits until the server closes; drops what it still sends.
    pub async fn closed(&mut self) {
        let mut rest = Vec::new();
        match soon("the close", self.stream.read_to_end(&mut rest)).await {
            Ok(_) => {}
            Err(error) => assert!(is_cut_off(&error), "{error}"),
        }
    }

    /// Sends requests without reading responses until the server closes.
    pub async fn send_without_reading(&mut self, request: &str) {
        let error = soon("the close", async {
            loop {
                if let Err(error) = self.stream.write_all(request.as_bytes()).await {
                    return error;
                }
            }
        })
        .await;
        assert!(is_cut_off(&error), "{error}");
    }

    /// Seconds since the connection was opened.
    pub fn age_secs(&self) -> f64 {
        self.opened.elapsed().as_secs_f64()
    }

    /// Sends a registration without the end of its body. Returns that end once the server has
    /// received the head.
    pub async fn begin_registration(&mut self, id: &str) -> String {
        let body = peer(id).to_string();
        let (first, rest) = body.split_at(body.len() / 2);
        self.send(&format!(
            "POST /register HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            body.len()
        ))
        .await;
        let go_on = self.answer().await.expect("100");
        assert_eq!(go_on.status, 100, "{go_on:?}");
        self.send(first).await;
        rest.to_owned()
    }
}
