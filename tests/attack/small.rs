//! Small attacks: headers, echoed input, similar texts, guessed tokens, and web pages.

use std::time::Duration;

use serde_json::json;

use crate::arena::Arena;
use crate::load::{Load, Plan};
use crate::verdict::Verdict;
use crate::wire::{Connection, Response, get, get_with, post_with};

const TOKEN: &str = "a-token-of-24-characters";

fn exchange(server: &crate::arena::Server, request: &[u8]) -> Response {
    Connection::open(server.addr)
        .unwrap()
        .exchange(request)
        .unwrap()
}

#[test]
fn no_response_lets_a_browser_guess_its_type() {
    let arena = Arena::enter();
    let server = arena.start(&[("ADMIN_TOKEN", TOKEN)]);
    let mut verdict = Verdict::default();
    for target in [
        "/health",
        "/peers",
        "/stats",
        "/cost-stats",
        "/turn-servers",
        "/nowhere",
        "/register",
        "/peers?limit=x",
        "/admin/mode",
        "/admin/nowhere",
    ] {
        let response = exchange(&server, &get(target));
        verdict.check(
            response.header("x-content-type-options") == Some("nosniff"),
            format!("{target} has no nosniff"),
        );
    }
    let refused = exchange(&server, &crate::wire::post("/register", "<script>"));
    verdict.check(
        refused.header("x-content-type-options") == Some("nosniff"),
        "a refused registration has no nosniff",
    );
    verdict.finish();
}

#[test]
fn a_query_comes_back_only_as_plain_text() {
    let arena = Arena::enter();
    let server = arena.start(&[]);
    let mut verdict = Verdict::default();
    let long = "a".repeat(5_000);
    for (name, raw) in [
        ("%3Cscript%3Ealert(1)%3C/script%3E", "<script>"),
        ("%E2%80%AEgnirts", "\u{202e}"),
        ("%1B%5B2J", "\u{1b}"),
        ("a%22b%5Cc", "a\"b"),
        (long.as_str(), long.as_str()),
    ] {
        for target in [
            format!("/peers?{name}=1&{name}=2"),
            format!("/peers?{name}=1"),
        ] {
            let response = exchange(&server, &get(&target));
            let text = response.json()["error"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            verdict.check(
                !text.contains(raw),
                format!("{} comes back in {:.80}", &name[..name.len().min(40)], text),
            );
        }
    }
    let twice = exchange(&server, &get("/peers?limit=1&limit=2"));
    verdict.check(
        twice.status == 400 && twice.json().to_string().contains("limit"),
        "a plain name that is repeated is not named",
    );
    verdict.finish();
}

#[test]
fn text_that_nobody_can_see_is_refused_or_dropped() {
    const SIGNS: [(&str, &str); 8] = [
        ("right-to-left override", "\u{202e}"),
        ("left-to-right isolate", "\u{2066}"),
        ("right-to-left mark", "\u{200f}"),
        ("zero-width space", "\u{200b}"),
        ("zero-width joiner", "\u{200d}"),
        ("byte order mark", "\u{feff}"),
        ("soft hyphen", "\u{ad}"),
        ("line separator", "\u{2028}"),
    ];
    let arena = Arena::enter();
    let server = arena.start(&[("ADDRESS_POLICY", "any")]);
    let mut verdict = Verdict::default();
    for (name, sign) in SIGNS {
        let text = format!("a{sign}b");
        for (field, value) in [
            ("version", json!(text)),
            ("networkId", json!(text)),
            ("softwareVersion", json!(text)),
            ("stores", json!([text])),
            ("addresses", json!([text])),
            ("capabilities", json!({ "a": text })),
            ("capabilities", json!({ text.as_str(): 1 })),
            ("capabilityList", json!([[1, text]])),
        ] {
            let mut body = json!({ "peerId": "odd", "addresses": [] });
            body[field] = value;
            let response = server.post("/register", &body);
            let (status, answer) = (response.status, response.json());
            // A network is refused, since the peer would be listed in another one. The rest is dropped.
            let is_shut_out = match field {
                "networkId" => status == 400 && answer["field"] == field,
                _ => {
                    let dropped = answer["dropped"][0]["field"].as_str().unwrap_or_default();
                    status == 200 && dropped.starts_with(field)
                }
            };
            verdict.check(
                is_shut_out,
                format!("a {name} in {field} gets {status} {answer}"),
            );
        }
    }
    verdict.finish();
}

#[test]
fn guesses_at_the_token_are_slowed_and_logged_but_the_right_one_works() {
    let arena = Arena::enter();
    let server = arena.start(&[("ADMIN_TOKEN", TOKEN)]);
    let mut verdict = Verdict::default();
    let body = json!({ "tier": "basic" }).to_string();
    let put = move |token: &str| {
        let headers = format!("Host: test\r\nAuthorization: Bearer {token}\r\n");
        let request = post_with("/admin/peers/p/tier", &headers, &body);
        let mut request = String::from_utf8(request).unwrap();
        request.replace_range(..4, "PUT");
        request.into_bytes()
    };
    let guess = put.clone();
    let load = Load::begin(server.addr, Plan::all(2_000), move |number| {
        guess(&format!("guess-{number:018}"))
    });
    let tally = load.done();
    verdict.measured("guesses", format!("{:?}", tally.kinds));
    verdict.check(tally.count("200") == 0, "a guess was right");
    verdict.check(
        tally.count("429 throttled") >= 1_900,
        "guesses are not slowed",
    );
    let slowed = exchange(&server, &put("one-more-guess-at-it"));
    verdict.check(slowed.header("retry-after").is_some(), "no Retry-After");
    let right = exchange(&server, &put(TOKEN));
    verdict.check(
        right.status == 200,
        format!("the right token gets {}", right.kind()),
    );
    let is_told = crate::verdict::eventually(Duration::from_secs(3), || {
        let lines = server.lines();
        lines
            .iter()
            .any(|line| line.contains("WARN") && line.contains("token"))
    });
    let lines = server.lines();
    verdict.check(is_told, "the log does not tell of the guesses");
    verdict.check(lines.len() < 100, format!("{} lines", lines.len()));
    verdict.check(
        !lines.iter().any(|line| line.contains("guess-0")),
        "the log shows what was guessed",
    );
    verdict.finish();
}

#[test]
fn a_weak_token_is_a_fault_at_the_start() {
    let arena = Arena::enter();
    let mut verdict = Verdict::default();
    for token in ["a", "short", "aaaaaaaaaaaaaaaaaaaaaaaa"] {
        match arena.try_start(&[("ADMIN_TOKEN", token)]) {
            Ok(_) => verdict.check(false, format!("the token {token} is taken")),
            Err((status, said)) => {
                verdict.check(status.code() == Some(2), format!("{status}"));
                verdict.check(said.contains("ADMIN_TOKEN"), said);
            }
        }
    }
    verdict.finish();
}

#[test]
fn web_pages_reach_no_admin_path() {
    let arena = Arena::enter();
    let server = arena.start(&[("ADMIN_TOKEN", TOKEN)]);
    let mut verdict = Verdict::default();
    let headers = "Origin: https://example.org\r\nAccess-Control-Request-Method: PUT\r\n\
                   Access-Control-Request-Headers: authorization\r\n";
    for path in ["/admin/mode", "/admin/spend", "/admin/peers/p/tier"] {
        let request = get_with(path, headers);
        let text = String::from_utf8(request).unwrap();
        let preflight = text.replacen("GET", "OPTIONS", 1);
        for request in [preflight, text] {
            let response = exchange(&server, request.as_bytes());
            let allowed = response.header("access-control-allow-origin");
            verdict.check(
                allowed.is_none(),
                format!("{path} answers a web page: {}", response.head),
            );
        }
    }
    verdict.finish();
}

#[test]
fn web_pages_do_not_write_to_a_registry_on_this_machine() {
    let arena = Arena::enter();
    let server = arena.start(&[]);
    let mut verdict = Verdict::default();
    let port = server.addr.port();
    let body = crate::bodies::tiny("page");
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        "[::1]".to_owned(),
    ] {
        let foreign = format!("Host: {host}\r\nOrigin: https://example.org\r\n");
        let response = exchange(&server, &post_with("/register", &foreign, &body));
        verdict.check(
            response.kind() == "403 foreign_origin",
            format!("a web page that writes to {host} gets {}", response.kind()),
        );
        let own = format!("Host: {host}\r\nOrigin: http://localhost:8080\r\n");
        let response = exchange(&server, &post_with("/register", &own, &body));
        verdict.check(
            response.status == 200,
            format!("a page of this machine gets {}", response.kind()),
        );
        let read = get_with("/peers", "Origin: https://example.org\r\n");
        verdict.check(
            exchange(&server, &read).status == 200,
            "a web page may not read",
        );
    }
    let proxied = "Host: 127.0.0.1\r\nOrigin: https://example.org\r\n\
                   X-Forwarded-For: 198.51.100.7\r\n";
    let response = exchange(&server, &post_with("/register", proxied, &body));
    verdict.check(
        response.status == 200,
        format!("a page behind a proxy gets {}", response.kind()),
    );
    verdict.finish();
}
