//! Limits on requests from web pages.
//!
//! A page of any origin may read from and write to a registry, as nodes in browsers do. There are
//! two exceptions. A registry on a loopback address accepts no writes from pages of other hosts:
//! its operator does not expect that any page open in a browser on that machine can write to it.
//! And no page may use the admin paths.

use actix_http::header::HeaderMap;
use actix_web::http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, FORWARDED, HOST, HeaderName, ORIGIN, VIA, X_FORWARDED_FOR,
};
use actix_web::http::{Method, Uri};

/// Another header in which proxies name the client.
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Whether a page of another host writes to a registry on this machine, or asks in a preflight
/// whether it may, without a proxy between them.
pub(crate) fn is_foreign_write(method: &Method, headers: &HeaderMap) -> bool {
    // Nodes outside of browsers send no Origin, so their requests return here.
    let Some(origin) = headers.get(ORIGIN) else {
        return false;
    };
    if !is_write(method, headers) {
        return false;
    }
    // `Origin: null` has no host, and is foreign: any page can make a browser send it.
    let origin_host = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
        .map(|(_, host)| host);
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    // Behind a proxy the registry is public, even if the proxy connects to a loopback address.
    let is_forwarded = [X_FORWARDED_FOR, FORWARDED, X_REAL_IP, VIA]
        .iter()
        .any(|name| headers.contains_key(name));
    host.is_some_and(is_loopback) && !origin_host.is_some_and(is_loopback) && !is_forwarded
}

fn is_write(method: &Method, headers: &HeaderMap) -> bool {
    let is_read = |method: &[u8]| method == b"GET" || method == b"HEAD";
    // A preflight asks for the method of the request that follows it.
    match headers.get(ACCESS_CONTROL_REQUEST_METHOD) {
        Some(asked) if method == Method::OPTIONS => !is_read(asked.as_bytes()),
        _ => !is_read(method.as_str().as_bytes()),
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

/// Whether a path is for the operator. A first segment with percent-encoding counts too, since it
/// may decode to `admin`.
pub(crate) fn is_admin_path(uri: &Uri) -> bool {
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
    fn the_preflight_of_a_write_is_treated_as_a_write() {
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
    fn nodes_local_pages_public_registries_and_proxies_may_write() {
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
    fn the_first_segment_makes_a_path_an_admin_path() {
        for path in ["/admin", "/admin/spend", "/%61dmin/spend", "/admin?x=1"] {
            assert!(is_admin_path(&path.parse().unwrap()), "{path}");
        }
        for path in ["/", "/peers", "/peers/a%62", "/administer", "/peers?x=%61"] {
            assert!(!is_admin_path(&path.parse().unwrap()), "{path}");
        }
    }
}
