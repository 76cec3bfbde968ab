//! Web pages and what they may do.
//!
//! Any page may read from a registry and write to it, as nodes in browsers do. A registry on the
//! loopback address of the machine is another matter: its operator does not expect that whatever
//! page is open in a browser there writes to it. And no page has any business with admin paths.

use actix_http::header::HeaderMap;
use actix_web::http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, FORWARDED, HOST, HeaderName, ORIGIN, VIA, X_FORWARDED_FOR,
};
use actix_web::http::{Method, Uri};

/// Another name by which proxies tell whom they speak for.
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Whether a page of some other site writes, or asks whether it may write, to a registry on this
/// machine, and no proxy is in between.
pub(super) fn is_foreign_write(method: &Method, headers: &HeaderMap) -> bool {
    // Nodes send no such header, so for them this is all.
    let Some(origin) = headers.get(ORIGIN) else {
        return false;
    };
    if !writes(method, headers) {
        return false;
    }
    let origin_host = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
        .map(|(_, host)| host);
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let is_forwarded = [X_FORWARDED_FOR, FORWARDED, X_REAL_IP, VIA]
        .iter()
        .any(|name| headers.contains_key(name));
    host.is_some_and(is_loopback) && !origin_host.is_some_and(is_loopback) && !is_forwarded
}

fn writes(method: &Method, headers: &HeaderMap) -> bool {
    let reads = |method: &[u8]| method == b"GET" || method == b"HEAD";
    match headers.get(ACCESS_CONTROL_REQUEST_METHOD) {
        Some(asked) if method == Method::OPTIONS => !reads(asked.as_bytes()),
        _ => !reads(method.as_str().as_bytes()),
    }
}

/// Whether `host`, with or without a port, is a name or an address of the machine itself.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Whether a path is for the operator. A first segment with escapes counts too, since they may
/// spell `admin`.
pub(super) fn is_admin_path(uri: &Uri) -> bool {
    let first = uri.path().split('/').nth(1).unwrap_or_default();
    first == "admin" || first.contains('%')
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn is_foreign(method: &str, lines: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_static(name);
            headers.insert(name, HeaderValue::from_static(value));
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        is_foreign_write(&method, &headers)
    }

    #[test]
    fn a_foreign_page_does_not_write_to_a_registry_on_this_machine() {
        for host in [
            "localhost:3000",
            "127.0.0.1:3000",
            "[::1]:3000",
            "LOCALHOST.",
            "a.localhost",
        ] {
            for origin in [
                "https://example.com",
                "null",
                "http://localhost.example.com",
            ] {
                let lines = [("host", host), ("origin", origin)];
                assert!(is_foreign("POST", &lines), "{lines:?}");
                assert!(is_foreign("PUT", &lines), "{lines:?}");
                assert!(!is_foreign("GET", &lines), "{lines:?}");
                assert!(!is_foreign("HEAD", &lines), "{lines:?}");
            }
        }
    }

    #[test]
    fn its_preflight_is_answered_alike() {
        let lines = [("host", "localhost"), ("origin", "https://example.com")];
        let asks = |method| {
            [
                lines[0],
                lines[1],
                ("access-control-request-method", method),
            ]
        };
        assert!(is_foreign("OPTIONS", &asks("POST")));
        assert!(is_foreign("OPTIONS", &asks("DELETE")));
        assert!(!is_foreign("OPTIONS", &asks("GET")));
    }

    #[test]
    fn nodes_local_pages_public_registries_and_proxies_are_let_through() {
        let foreign = ("origin", "https://example.com");
        assert!(!is_foreign("POST", &[("host", "localhost:3000")]));
        let local = ("origin", "http://localhost:8080");
        assert!(!is_foreign("POST", &[("host", "localhost:3000"), local]));
        let local = ("origin", "http://[::1]:8080");
        assert!(!is_foreign("POST", &[("host", "127.0.0.1"), local]));
        assert!(!is_foreign(
            "POST",
            &[("host", "registry.example.org"), foreign]
        ));
        for name in ["x-forwarded-for", "forwarded", "x-real-ip", "via"] {
            let lines = [("host", "localhost"), foreign, (name, "1.1 proxy")];
            assert!(!is_foreign("POST", &lines), "{name}");
        }
    }

    #[test]
    fn admin_paths_are_known_by_their_first_segment() {
        for path in ["/admin", "/admin/spend", "/%61dmin/spend", "/admin?x=1"] {
            assert!(is_admin_path(&path.parse().unwrap()), "{path}");
        }
        for path in ["/", "/peers", "/peers/a%62", "/administer", "/peers?x=%61"] {
            assert!(!is_admin_path(&path.parse().unwrap()), "{path}");
        }
    }
}
