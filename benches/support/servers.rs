//! The registry, and a bare server to compare it with, each on threads of its own.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use actix_web::{App, HttpResponse, HttpServer, web};
use peer_registry::clock::SystemClock;
use peer_registry::server::Server;
use serde::Deserialize;
use tokio::sync::oneshot;

use super::flags::settings;

/// HTTP threads of either server.
const WORKERS: usize = 2;

/// A server that runs until it is dropped.
pub struct Running {
    pub addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server ends well");
        }
    }
}

/// The registry on a fresh database in `folder`, with some more settings.
pub fn registry(folder: &std::path::Path, flags: &[&str]) -> Running {
    let url = format!("sqlite://{}", folder.join("peers.db").display());
    let base = [
        "--listen-addr=127.0.0.1:0",
        &format!("--database-url={url}"),
        &format!("--http-workers={WORKERS}"),
    ];
    let settings = settings([&base, flags].concat());
    let config = settings.check().expect("good settings");
    run(move |addr, stopped| async move {
        let server = Server::start(&config, Arc::new(SystemClock::start()))
            .await
            .expect("the registry starts");
        addr.send(server.addr()).expect("somebody waits");
        let _ = stopped.await;
        server.stop().await.expect("the registry stops");
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "parsed as the registry parses, and not looked at")]
struct Body {
    peer_id: String,
    addresses: Option<Vec<String>>,
    stores: Option<Vec<String>>,
    capabilities: Option<serde_json::Value>,
    capability_list: Option<serde_json::Value>,
    version: Option<String>,
    network_id: Option<String>,
}

/// A server that parses the same bodies and answers `answers` without any storage.
pub fn bare(answers: Answers) -> Running {
    let answers = web::Data::new(answers);
    run(move |addr, stopped| async move {
        let server = HttpServer::new(move || {
            App::new()
                .app_data(answers.clone())
                .route(
                    "/heartbeat",
                    web::post().to(
                        |_: web::Json<Body>, answers: web::Data<Answers>| async move {
                            HttpResponse::Ok().json(&answers.heartbeat)
                        },
                    ),
                )
                .route(
                    "/register",
                    web::post().to(
                        |_: web::Json<Body>, answers: web::Data<Answers>| async move {
                            HttpResponse::Ok().json(&answers.registration)
                        },
                    ),
                )
                .route("/sample", bytes(|answers| &answers.sample))
                .route("/page", bytes(|answers| &answers.page))
        })
        .workers(WORKERS)
        .disable_signals()
        .bind("127.0.0.1:0")
        .expect("a port");
        addr.send(server.addrs()[0]).expect("somebody waits");
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        let _ = stopped.await;
        handle.stop(true).await;
    })
}

/// What the bare server answers: what the registry answered to the same request.
#[derive(Clone)]
pub struct Answers {
    pub heartbeat: serde_json::Value,
    pub registration: serde_json::Value,
    pub sample: web::Bytes,
    pub page: web::Bytes,
}

fn bytes(which: fn(&Answers) -> &web::Bytes) -> actix_web::Route {
    web::get().to(move |answers: web::Data<Answers>| async move {
        HttpResponse::Ok()
            .content_type("application/json")
            .body(which(&answers).clone())
    })
}

fn run<F>(
    serve: impl FnOnce(mpsc::Sender<SocketAddr>, oneshot::Receiver<()>) -> F + Send + 'static,
) -> Running
where
    F: Future<Output = ()>,
{
    let (send_addr, addr) = mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(serve(send_addr, stopped));
    });
    Running {
        addr: addr.recv().expect("the server starts"),
        stop: Some(stop),
        thread: Some(thread),
    }
}
