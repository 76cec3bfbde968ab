//! What web pages of other origins may read, and HEAD.

use reqwest::Method;

use crate::answer::Answer;
use crate::helpers::{TestRegistry, peer};
use crate::status::send;

const ORIGIN: (&str, &str) = ("origin", "https://example.org");
/// The host of a registry that is not on the page's own machine.
const HOST: (&str, &str) = ("host", "registry.example.org");

#[actix_web::test]
async fn web_pages_of_any_origin_may_read_every_answer_without_credentials() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    for (method, target, status) in [
        (Method::GET, "/peers", 200),
        (Method::GET, "/turn-servers", 200),
        (Method::GET, "/stats", 200),
        (Method::GET, "/health", 200),
        (Method::GET, "/peers?limit=0", 400),
        (Method::GET, "/nowhere", 404),
        (Method::POST, "/peers", 405),
        (Method::POST, "/heartbeat", 415),
    ] {
        let answer = send(&registry, method, target, &[HOST, ORIGIN]).await;
        assert_eq!(answer.status(), status, "{target}");
        let headers = answer.headers();
        assert_eq!(headers["access-control-allow-origin"], "*", "{target}");
        assert!(headers.get("access-control-allow-credentials").is_none());
        let exposed = headers["access-control-expose-headers"].to_str().unwrap();
        let exposed = exposed.to_ascii_lowercase();
        assert!(exposed.contains("etag") && exposed.contains("retry-after"));
    }
}

fn preflight<'h>(method: &'h str, headers: &'h str) -> [(&'static str, &'h str); 4] {
    [
        HOST,
        ORIGIN,
        ("access-control-request-method", method),
        ("access-control-request-headers", headers),
    ]
}

#[actix_web::test]
async fn a_preflight_allows_the_methods_and_headers_that_pages_need() {
    let registry = TestRegistry::start().await;
    for (target, method, headers) in [
        ("/register", "POST", "content-type"),
        ("/heartbeat", "POST", "content-type"),
        ("/peers", "GET", "if-none-match"),
        ("/peers", "HEAD", "x-anything"),
    ] {
        let asked = preflight(method, headers);
        let answer = send(&registry, Method::OPTIONS, target, &asked).await;
        assert!(answer.status().is_success(), "{}", answer.status());
        let allowed = answer.headers();
        assert_eq!(allowed["access-control-allow-origin"], "*");
        assert!(allowed.get("access-control-allow-credentials").is_none());
        let list = |name: &str| allowed[name].to_str().unwrap().to_ascii_lowercase();
        let methods = list("access-control-allow-methods");
        assert!(methods.contains(&method.to_ascii_lowercase()), "{methods}");
        assert!(list("access-control-allow-headers").contains(headers));
        assert_eq!(answer.text().await.unwrap(), "");
    }
}

#[actix_web::test]
async fn an_unsupported_method_gets_the_usual_error_shape_from_web_pages_too() {
    let registry = TestRegistry::start().await;
    let asked = preflight("DELETE", "content-type");
    let answer = send(&registry, Method::OPTIONS, "/register", &asked).await;
    let answer = Answer::of(answer).await;
    if !answer.status.is_success() {
        answer.refused(405, "method_not_allowed");
    }
    let answer = send(&registry, Method::DELETE, "/register", &[HOST, ORIGIN]).await;
    let answer = Answer::of(answer).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("allow"), Some("POST"));
    answer.refused(405, "method_not_allowed");
}

#[actix_web::test]
async fn a_request_without_an_origin_gets_no_cors_error() {
    let registry = TestRegistry::start().await;
    registry.peers("").await.ok();
    let answer = send(&registry, Method::OPTIONS, "/peers", &[]).await;
    let answer = Answer::of(answer).await;
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    answer.refused(405, "method_not_allowed");
}

#[actix_web::test]
async fn head_is_answered_like_get_without_a_body() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    for target in ["/peers", "/turn-servers", "/stats", "/health"] {
        let head = send(&registry, Method::HEAD, target, &[]).await;
        let get = send(&registry, Method::GET, target, &[]).await;
        assert_eq!(head.status(), 200, "{target}");
        for name in ["content-type", "content-length", "etag", "cache-control"] {
            let (of_head, of_get) = (head.headers().get(name), get.headers().get(name));
            assert_eq!(of_head, of_get, "{name} of {target}");
        }
        assert!(head.bytes().await.unwrap().is_empty());
        assert!(!get.bytes().await.unwrap().is_empty());
    }
    let refused = send(&registry, Method::HEAD, "/register", &[]).await;
    assert_eq!(refused.status(), 405);
    assert_eq!(refused.headers()["allow"], "POST");
}
