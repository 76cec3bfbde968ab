//! The real registry on a port it keeps over restarts, agents on the same clock, and a proxy
//! between them that can misbehave.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peer_registry::agent::{
    Agent, AgentBuilder, Event, Events, Identity, Registration, RegistryClient, Transport,
};
use peer_registry::clock::{Clock, ManualClock};
use peer_registry::protocol::{Limits, PeerId, PeersQuery, RegisterRequest};
use peer_registry::server::Server;
use peer_registry::server::config::Config;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The start of every test: 2026-01-01T00:00:00Z, in Unix milliseconds.
pub const START_MS: i64 = 1_767_225_600_000;

/// Simulated time.
#[derive(Clone)]
pub struct Time {
    pub clock: Arc<ManualClock>,
    pub transport: Transport,
}

impl Time {
    pub fn start() -> Self {
        let clock = Arc::new(ManualClock::new(START_MS));
        let transport = Transport::with_timer(clock.clone()).unwrap();
        Self { clock, transport }
    }

    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Waits until this many loops wait for their next step and no request is in flight.
    pub async fn wait_until_idle(&self, loops: usize) {
        self.clock
            .wait_for(|waiting| waiting.plans == loops && waiting.guards == 0)
            .await;
    }

    /// Moves the clock by `secs` seconds, from step to step, with this many loops running.
    pub async fn pass(&self, secs: i64, loops: usize) {
        let end_ms = self.now_ms() + secs * 1_000;
        loop {
            self.wait_until_idle(loops).await;
            match self.clock.next_wake_ms() {
                Some(at_ms) if at_ms <= end_ms => self.clock.set(at_ms),
                _ => break,
            }
        }
        self.clock.set(end_ms);
    }

    /// Moves the clock to the next step and waits until it is done, with this many loops running.
    pub async fn step(&self, loops: usize) {
        self.wait_until_idle(loops).await;
        self.clock.set(self.clock.next_wake_ms().unwrap());
        self.wait_until_idle(loops).await;
    }

    /// The builder of an agent on this clock.
    pub fn agent(&self, registration: impl Into<RegisterRequest>, url: &str) -> AgentBuilder {
        Agent::builder(registration)
            .registry(url)
            .transport(self.transport.clone())
    }

    pub fn client(&self, url: &str) -> RegistryClient {
        RegistryClient::new(url, self.transport.clone()).unwrap()
    }
}

/// A registry that can be stopped and started again.
pub struct TestRegistry {
    pub time: Time,
    pub client: RegistryClient,
    pub url: String,
    config: Config,
    server: Option<Server>,
    folder: TempDir,
}

impl TestRegistry {
    /// Starts with the default settings.
    pub async fn start(time: &Time) -> Self {
        Self::start_with(time, |_| {}).await
    }

    /// Starts with settings that `change` has changed.
    pub async fn start_with(time: &Time, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::testing(folder.path().join("peers.db"));
        change(&mut config);
        let server = Server::start(&config, time.clock.clone()).await.unwrap();
        config.listen_addrs = vec![server.addr()];
        let url = format!("http://{}", server.addr());
        Self {
            time: time.clone(),
            client: time.client(&url),
            url,
            config,
            server: Some(server),
            folder,
        }
    }

    pub fn addr(&self) -> SocketAddr {
        self.config.listen_addrs[0]
    }

    pub async fn stop(&mut self) {
        let server = self.server.take().expect("a running server");
        server.stop().await.unwrap();
    }

    /// Starts again, on the same database and port.
    pub async fn resume(&mut self) {
        let server = Server::start(&self.config, self.time.clock.clone()).await;
        self.server = Some(server.unwrap());
    }

    /// Deletes the registry's keys, as an operator does who restores the database alone.
    pub fn lose_keys(&self) {
        std::fs::remove_file(self.folder.path().join("peers.db.keys")).unwrap();
    }

    /// Deletes all peers, as an operator with the `sqlite3` shell does.
    pub async fn forget_all(&self) {
        let path = self.folder.path().join("peers.db");
        let options = SqliteConnectOptions::new().filename(path);
        let mut database = options.connect().await.unwrap();
        sqlx::query("DELETE FROM peers")
            .execute(&mut database)
            .await
            .unwrap();
    }

    pub async fn lists(&self, peer_id: &PeerId) -> bool {
        let listing = self.client.peers(&PeersQuery::default()).await.unwrap();
        listing.peers.iter().any(|peer| peer.peer_id == *peer_id)
    }

    /// Registers peers that no agent keeps alive.
    pub async fn register_others(&self, ids: &[&str]) {
        for id in ids {
            self.client.register(&peer(id)).await.unwrap();
        }
    }
}

/// A registration with a new identity.
pub fn node() -> Registration {
    Registration::new(&Identity::generate(), 4001)
}

/// A registration with a short name.
pub fn peer(id: &str) -> RegisterRequest {
    let mut request = RegisterRequest::from(node());
    request.peer_id = PeerId::parse(id, "peerId", &Limits::default()).unwrap();
    request.addresses = Vec::new();
    request
}

pub fn id_of(registration: &Registration) -> PeerId {
    RegisterRequest::from(registration.clone()).peer_id
}

/// The names of the events that wait for the reader, in order.
pub async fn names(events: &mut Events) -> Vec<String> {
    let names = present(events).await.into_iter().map(|event| {
        let json = serde_json::to_value(event).unwrap();
        json["event"].as_str().unwrap().to_owned()
    });
    names.collect()
}

/// The events that wait for the reader.
pub async fn present(events: &mut Events) -> Vec<Event> {
    let mut found = Vec::new();
    // An event that has happened is ready at the first poll.
    while let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, events.next()).await {
        found.push(event);
    }
    found
}

/// What a proxy does with a request.
#[derive(Clone, Debug)]
pub enum Conduct {
    /// Forwards it to the registry.
    Forward,
    /// Responds with these bytes.
    Respond(String),
    /// Responds to the first request with the first of these, and so on.
    RespondInTurn(Vec<String>),
    /// Accepts it and never responds.
    Hang,
}

/// A proxy between an agent and a registry.
pub struct Proxy {
    pub url: String,
    conduct: Arc<Mutex<Conduct>>,
    targets: Arc<Mutex<Vec<String>>>,
    last_request: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts to forward to the registry at `upstream`.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let conduct = Arc::new(Mutex::new(Conduct::Forward));
        let targets = Arc::new(Mutex::new(Vec::new()));
        let (shared, seen) = (Arc::clone(&conduct), Arc::clone(&targets));
        let last_request = Arc::default();
        let last = Arc::clone(&last_request);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let conduct = match &mut *shared.lock().unwrap() {
                    Conduct::RespondInTurn(responses) => Conduct::Respond(responses.remove(0)),
                    conduct => conduct.clone(),
                };
                tokio::spawn(serve(
                    stream,
                    upstream,
                    conduct,
                    Arc::clone(&seen),
                    Arc::clone(&last),
                ));
            }
        });
        Self {
            url,
            conduct,
            targets,
            last_request,
            task,
        }
    }

    pub fn does(&self, conduct: Conduct) {
        *self.conduct.lock().unwrap() = conduct;
    }

    /// Responds with a status line, header lines and a body.
    pub fn responds(&self, head: &str, body: &str) {
        self.does(Conduct::Respond(response(head, body)));
    }

    /// Responds to one request after the other.
    pub fn responds_in_turn<const COUNT: usize>(&self, responses: [(&str, &str); COUNT]) {
        let responses = responses.map(|(head, body)| response(head, body));
        self.does(Conduct::RespondInTurn(responses.into()));
    }

    /// The last request, head and body.
    pub fn last_request(&self) -> String {
        self.last_request.lock().unwrap().clone()
    }

    /// The targets of the requests since the last call, e.g. `POST /heartbeat`.
    pub fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.targets.lock().unwrap())
    }
}

fn response(head: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut client: TcpStream,
    upstream: SocketAddr,
    conduct: Conduct,
    targets: Arc<Mutex<Vec<String>>>,
    last_request: Arc<Mutex<String>>,
) {
    let request = read_request(&mut client).await;
    last_request.lock().unwrap().clone_from(&request);
    let line = request.lines().next().unwrap_or_default();
    let target = line.rsplit_once(' ').unwrap_or_default().0.to_owned();
    targets.lock().unwrap().push(target);
    match conduct {
        Conduct::Forward => {
            let mut server = TcpStream::connect(upstream).await.unwrap();
            server.write_all(request.as_bytes()).await.unwrap();
            // Ends when the agent has its response, because it closes each connection.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
        // Fails if the agent stops reading early, which is fine.
        Conduct::Respond(response) => drop(client.write_all(response.as_bytes()).await),
        Conduct::RespondInTurn(_) => unreachable!("one of them is chosen before"),
        Conduct::Hang => {
            // Ends when the agent gives up.
            let _ = client.read_u8().await;
        }
    }
}

/// Reads the head of a request and the body that it announces.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        if stream.read_buf(&mut request).await.unwrap() == 0 {
            return text;
        }
    }
}
