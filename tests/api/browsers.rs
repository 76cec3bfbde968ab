//! What web pages may do with a registry, and what a browser is told about its responses.

use reqwest::Method;
use serde_json::json;

use crate::answer::Answer;
use crate::helpers::{ADMIN_TOKEN, TestRegistry, peer};

const FOREIGN: (&str, &str) = ("origin", "https://example.org");

async fn send(
    registry: &TestRegistry,
    method: Method,
    target: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = registry.request(method.clone(), target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if method == Method::POST {
        request = request.json(&peer("a"));
    }
    Answer::of(request.send().await.unwrap()).await
}

fn asks_for(method: &str) -> [(&'static str, &str); 2] {
    [FOREIGN, ("access-control-request-method", method)]
}

#[actix_web::test]
async fn every_response_forbids_content_type_sniffing() {
    let registry = TestRegistry::start_with_operator(&[]).await;
    registry.register(&peer("a")).await.ok();
    for target in [
        "/peers",
        "/peers?limit=0",
        "/health",
        "/nowhere",
        "/register",
        "/admin/mode",
    ] {
        let answer = registry.get(target).await;
        let nosniff = answer.header("x-content-type-options");
        assert_eq!(nosniff, Some("nosniff"), "{target}");
    }
    let refused = send(&registry, Method::POST, "/register", &[FOREIGN]).await;
    assert_eq!(refused.header("x-content-type-options"), Some("nosniff"));
    let tag = registry.peers("").await.header("etag").unwrap().to_owned();
    let same = send(&registry, Method::GET, "/peers", &[("if-none-match", &tag)]).await;
    assert_eq!(same.status, 304);
    assert_eq!(same.header("x-content-type-options"), Some("nosniff"));
}

#[actix_web::test]
async fn a_page_of_another_site_does_not_write_to_a_registry_on_localhost() {
    let registry = TestRegistry::start().await;
    let port = registry.addr().port();
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        "[::1]".to_owned(),
    ] {
        for origin in ["https://example.org", "null"] {
            let headers = [("host", &*host), ("origin", origin)];
            let refused = send(&registry, Method::POST, "/register", &headers).await;
            refused.refused(403, "foreign_origin");
        }
    }
    assert!(registry.stored_ids().await.is_empty());
    let preflight = send(&registry, Method::OPTIONS, "/register", &asks_for("POST")).await;
    assert_eq!(preflight.header("access-control-allow-origin"), None);
    preflight.refused(403, "foreign_origin");
}

#[actix_web::test]
async fn requests_other_than_writes_from_foreign_pages_are_allowed() {
    let registry = TestRegistry::start().await;
    for headers in [
        &[][..],
        &[("origin", "http://localhost:8080")],
        &[FOREIGN, ("host", "registry.example.org")],
        &[FOREIGN, ("x-forwarded-for", "203.0.113.9")],
        &[FOREIGN, ("via", "1.1 proxy")],
    ] {
        send(&registry, Method::POST, "/register", headers)
            .await
            .ok();
    }
    let read = send(&registry, Method::GET, "/peers", &[FOREIGN]).await;
    assert_eq!(read.header("access-control-allow-origin"), Some("*"));
    read.ok();
    let preflight = send(&registry, Method::OPTIONS, "/peers", &asks_for("GET")).await;
    assert!(preflight.status.is_success(), "{preflight:?}");
}

#[actix_web::test]
async fn admin_paths_refuse_web_pages() {
    let registry = TestRegistry::start_with_operator(&[]).await;
    let host = ("host", "registry.example.org");
    for target in [
        "/admin/mode",
        "/admin/nowhere",
        "/%61dmin/mode",
        "/%61%64min/mode",
    ] {
        let asked = asks_for("PUT");
        let asked = [host, asked[0], asked[1]];
        let answer = send(&registry, Method::OPTIONS, target, &asked).await;
        assert!(answer.status.is_client_error(), "{target}: {answer:?}");
        let cors = |answer: &Answer| {
            let names = answer.headers.keys().map(|name| name.as_str().to_owned());
            names
                .filter(|name| name.starts_with("access-control"))
                .count()
        };
        assert_eq!(cors(&answer), 0, "{target}: {answer:?}");
        let answer = send(&registry, Method::PUT, target, &[host, FOREIGN]).await;
        assert_eq!(cors(&answer), 0, "{target}: {answer:?}");
    }
    let authorized = registry
        .request(Method::PUT, "/admin/mode")
        .header("origin", FOREIGN.1)
        .header("host", host.1)
        .bearer_auth(ADMIN_TOKEN)
        .json(&json!({ "mode": null }));
    let answer = Answer::of(authorized.send().await.unwrap()).await;
    assert_ne!(answer.status, 401, "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), None);
}
