//! What `doctor` says about each network, and that `run` and `register` say it, too.

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::helpers::*;
use crate::tls::{Certified, tls_server};

/// A network: flags, variables, what both commands say, and what the doctor advises.
struct Network<'n> {
    flags: Vec<String>,
    env: Vec<(&'n str, String)>,
    said: &'n str,
    advice: &'n str,
}

impl Network<'_> {
    /// Lets `doctor`, `register` and `run` say what is wrong.
    async fn is_explained(&self) {
        let node = Node::new();
        node.id().await;
        let flags: Vec<_> = self.flags.iter().map(String::as_str).collect();
        let env: Vec<_> = self
            .env
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        let doctor = node
            .run_with(&[&["doctor"], &flags[..]].concat(), &env)
            .await;
        let printed = &doctor.stdout;
        assert!(printed.contains(self.advice), "{}: {printed}", self.advice);

        let args = [&["register", "--port=4001"], &flags[..]].concat();
        let ended = node.run_with(&args, &env).await;
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.stderr.contains(self.said), "{}: {ended:?}", self.said);

        let mut running = node.start_in(&flags, &env);
        let line = running.line(self.said).await;
        assert!(
            line.contains("is not reachable") || line.contains("asks this node to wait"),
            "{line}"
        );
        for printed in [printed, &ended.stderr, &line] {
            assert!(!printed.contains("secret"), "{printed}");
        }
    }
}

/// Flags for the registry at `url`.
fn at(url: &str) -> Vec<String> {
    vec![format!("--registry={url}")]
}

#[actix_web::test]
async fn each_fault_of_a_certificate_has_its_own_sentence() {
    for (certified, said, advice) in [
        (Certified::Expired, "has expired", "operator to renew it"),
        (
            Certified::NotYetValid,
            "is not valid yet",
            "which may be behind",
        ),
        (
            Certified::Wrongly,
            "is for another name",
            "use the name that is in the certificate",
        ),
        (
            Certified::Namelessly,
            "needs the registry's name as a subjectAltName",
            "make another certificate",
        ),
        (
            Certified::ByItself,
            "also its own authority",
            "make a certificate authority",
        ),
    ] {
        let (url, pem) = tls_server(certified, "").await;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), pem).unwrap();
        let mut flags = at(&url);
        flags.push(format!("--ca-file={}", file.path().display()));
        let network = Network {
            flags,
            env: vec![],
            said,
            advice,
        };
        network.is_explained().await;
    }
    let (url, _) = tls_server(Certified::Good, "").await;
    let network = Network {
        flags: at(&url),
        env: vec![],
        said: "an authority that this machine does not know",
        advice: "--ca-file",
    };
    network.is_explained().await;
}

/// A port that hands TLS on to the server at `url`, and hangs up on anything else.
async fn curt(url: &str) -> String {
    let upstream = url.replace("https://", "");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let upstream = upstream.clone();
            tokio::spawn(async move {
                let mut first = [0];
                let is_read = stream.peek(&mut first).await.is_ok();
                // The first byte of a TLS handshake.
                if is_read && first == [0x16] {
                    let mut server = TcpStream::connect(upstream).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut server).await;
                }
            });
        }
    });
    url
}

#[actix_web::test]
async fn http_and_https_at_the_port_of_the_other_say_which_to_write() {
    let (tls, _) = tls_server(Certified::Good, "").await;
    let network = Network {
        flags: at(&tls.replace("https://", "http://")),
        env: vec![],
        said: "write https:// if it speaks TLS",
        advice: "with https://",
    };
    network.is_explained().await;
    let network = Network {
        flags: at(&curt(&tls).await),
        env: vec![],
        said: "write https:// if it speaks TLS",
        advice: "with https://",
    };
    network.is_explained().await;
    let plain = TestRegistry::start().await;
    let network = Network {
        flags: at(&plain.url.replace("http://", "https://")),
        env: vec![],
        said: "does not speak TLS at this port: write http://",
        advice: "with http://",
    };
    network.is_explained().await;
}

#[actix_web::test]
async fn each_response_of_a_stranger_has_its_own_sentence() {
    let page = "Content-Type: text/html\r\n\r\n<html><h1>Hello</h1></html>";
    for (head, said, advice) in [
        (
            "301 Moved\r\nLocation: https://r.org/PATH",
            "address as https://r.org, if",
            "without /health or /register, if you trust it",
        ),
        (
            "302 Found\r\nLocation: http://portal/login",
            "captive portal",
            "captive portal",
        ),
        (
            "307 Temporary Redirect\r\nLocation: /other",
            "it redirects to http://127.0.0.1:",
            "the host and the path",
        ),
        (
            "308 Permanent Redirect",
            "does not say where to",
            "captive portal",
        ),
        (
            "401 Unauthorized",
            "https://USER:PASSWORD@HOST",
            "https://USER:PASSWORD@HOST",
        ),
        (
            "407 Proxy Authentication Required",
            "the proxy wants a user",
            "http://USER:PASSWORD@HOST:PORT",
        ),
        (
            "500 Oops",
            "the registry behind it is down",
            "registry's operator",
        ),
        (
            "502 Bad Gateway",
            "the registry behind it is down",
            "registry's operator",
        ),
        (
            "503 Down",
            "the registry behind it is down",
            "registry's operator",
        ),
        (
            "504 Timeout",
            "the registry behind it is down",
            "registry's operator",
        ),
        ("404 Not Found", "it is a web page", "captive portal"),
    ] {
        let url = server(format!("HTTP/1.1 {head}\r\nConnection: close\r\n{page}")).await;
        let network = Network {
            flags: at(&url),
            env: vec![],
            said,
            advice,
        };
        network.is_explained().await;
    }
    let url = server(format!("HTTP/1.1 401 No\r\nConnection: close\r\n{page}")).await;
    let network = Network {
        flags: at(&url.replace("http://", "http://me:secret@")),
        env: vec![],
        said: "does not accept the user and the password",
        advice: "check the user and the password",
    };
    network.is_explained().await;
}

#[actix_web::test]
async fn a_variable_without_the_address_of_a_proxy_is_named() {
    let down = TestRegistry::start().await.stop().await;
    for (name, value) in [
        ("HTTP_PROXY", "htp://me:secret@proxy:3128"),
        ("ALL_PROXY", "http://proxy:31 28"),
    ] {
        let network = Network {
            flags: at(&down),
            env: vec![(name, value.to_owned())],
            said: &format!("{name} does not hold the address of a proxy"),
            advice: "http://HOST:PORT",
        };
        network.is_explained().await;
    }
    // Behind a firewall, what goes without its proxy gets no response at all.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut flags = at(&url);
    flags.push("--request-timeout-secs=1".to_owned());
    let network = Network {
        flags,
        env: vec![("HTTP_PROXY", "htp://proxy".to_owned())],
        said: "did not answer within 1 s (HTTP_PROXY does not hold the address of a proxy",
        advice: "http://HOST:PORT",
    };
    network.is_explained().await;
    // It is named as well where the registry is reached without it.
    let registry = TestRegistry::start().await;
    let args = ["doctor", "--registry", &registry.url];
    let ended = Node::new().run_with(&args, &[("http_proxy", "://")]).await;
    assert!(
        ended.stdout.contains("WRONG  http_proxy does not"),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("answers and serves"), "{ended:?}");
}

#[actix_web::test]
async fn a_proxy_that_wants_a_password_is_named_for_http_and_for_https() {
    let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nConnection: close\r\n\r\n";
    let proxy = server(refusal.to_owned()).await;
    for (name, url) in [
        ("HTTP_PROXY", "http://r.invalid"),
        ("HTTPS_PROXY", "https://r.invalid"),
    ] {
        let network = Network {
            flags: at(url),
            env: vec![(name, proxy.replace("http://", "http://me:secret@"))],
            said: "the proxy wants a user and a password",
            advice: "write a user and a password into the proxy's address",
        };
        network.is_explained().await;
    }
}

#[actix_web::test]
async fn a_socks_proxy_is_used_and_named_if_it_is_down() {
    let registry = TestRegistry::start().await;
    let (socks, seen) = socks_proxy(registry.url.clone()).await;
    let node = Node::new();
    let args = [
        "register",
        "--port=4001",
        "--registry=http://registry.invalid:3000",
    ];
    let ended = node.run_with(&args, &[("ALL_PROXY", &socks)]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(seen.await.unwrap(), "registry.invalid");
    assert_eq!(registry.listed().await.len(), 1);

    let down = TestRegistry::start().await.stop().await;
    let network = Network {
        flags: at("http://registry.invalid:3000"),
        env: vec![("ALL_PROXY", down.replace("http://", "socks5h://"))],
        said: "the request goes through the proxy socks5h://127.0.0.1:",
        advice: "check the proxy",
    };
    network.is_explained().await;
}

/// Responds to each request with `response`, in which `/PATH` is the requested path, and closes the
/// connection.
async fn server(response: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap_or(0);
            let head = String::from_utf8_lossy(&request[..length]);
            let path = head.split(' ').nth(1).unwrap_or_default();
            let response = response.replace("/PATH", path);
            let _ = stream.write_all(response.as_bytes()).await;
        }
    });
    url
}

/// A SOCKS5 proxy (RFC 1928) that connects everyone to the registry at `url`; its address, and the first
/// name that it was asked for.
async fn socks_proxy(url: String) -> (String, oneshot::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("socks5h://{}", listener.local_addr().unwrap());
    let (first, seen) = oneshot::channel();
    tokio::spawn(async move {
        let mut first = Some(first);
        let target = url.trim_start_matches("http://");
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut greeting = [0; 2];
            client.read_exact(&mut greeting).await.unwrap();
            let mut methods = vec![0; greeting[1].into()];
            client.read_exact(&mut methods).await.unwrap();
            client.write_all(&[5, 0]).await.unwrap();
            let mut head = [0; 5];
            client.read_exact(&mut head).await.unwrap();
            let mut name = vec![0; usize::from(head[4]) + 2];
            client.read_exact(&mut name).await.unwrap();
            let granted = [5, 0, 0, 1, 127, 0, 0, 1, 0, 0];
            client.write_all(&granted).await.unwrap();
            name.truncate(name.len() - 2);
            if let Some(first) = first.take() {
                let _ = first.send(String::from_utf8(name).unwrap());
            }
            let mut registry = TcpStream::connect(target).await.unwrap();
            let _ = copy_bidirectional(&mut client, &mut registry).await;
        }
    });
    (address, seen)
}
