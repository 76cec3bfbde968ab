//! What a response means that does not come from a registry.

use reqwest::Url;

use super::explained::ADD_PROXY_PASSWORD;
use super::sanitize::{sanitize, shown, without_password};
use super::transport::Response;
use crate::protocol::paths;

/// What a strange response means, and where it leads.
pub(crate) struct Meaning {
    /// What is wrong, and what to do about it.
    pub(crate) reason: String,
    /// The registry's address as a redirect suggests it; `None` if it is none, or leads elsewhere.
    pub(crate) moved_to: Option<String>,
}

/// What `response` to a request to `url` means. `base` is the registry's address.
pub(crate) fn meaning(base: &Url, url: &Url, response: &Response) -> Meaning {
    let has_password = !url.username().is_empty() || url.password().is_some();
    let reason = match response.status {
        300..=399 => return redirect(base, url, response.location.as_deref()),
        401 if has_password => {
            "it does not accept the user and the password in the registry's address"
        }
        401 => {
            "it wants a user and a password: write them into the registry's address, like \
             https://USER:PASSWORD@HOST"
        }
        407 => ADD_PROXY_PASSWORD,
        400 if speaks_tls(&response.body) => {
            "the server speaks TLS at this port: write the registry's address with https://"
        }
        500..=599 => {
            "it is not a registry's error: a proxy or a web server answers, and the registry behind it is \
             down or not reachable from there"
        }
        413 => {
            "a proxy in front of the registry takes no body of this length: announce less, or tell its \
             operator to raise the limit (nginx: client_max_body_size)"
        }
        405 => "a proxy or a web server answers, which does not let this method through",
        403 | 404 if is_page(&response.body) && url.path().ends_with(paths::REGISTER) => {
            "it is a web page: another server answers, or a proxy that does not let this request through"
        }
        200 | 403 | 404 | 429 if is_page(&response.body) => {
            "it is a web page: another server, a proxy or a captive portal answers"
        }
        200 => "its body is not the expected JSON",
        _ => "its body is not an error of a registry",
    };
    Meaning {
        reason: reason.to_owned(),
        moved_to: None,
    }
}

fn redirect(base: &Url, url: &Url, location: Option<&str>) -> Meaning {
    let Some(location) = location else {
        return Meaning {
            reason: "it redirects, but does not say where to".to_owned(),
            moved_to: None,
        };
    };
    let Ok(mut to) = url.join(location) else {
        let to = sanitize(&without_password(location));
        return Meaning {
            reason: format!("it redirects to {to}, which is no address"),
            moved_to: None,
        };
    };
    // It may differ each time, and then each would count as a new reason.
    to.set_query(None);
    to.set_fragment(None);
    let shown_to = sanitize(&shown(&to));
    let moved_to = suggested(base, url, &to);
    let reason = match &moved_to {
        _ if shown_to == shown(url) => "it redirects to the same address again".to_owned(),
        Some(address) => format!(
            "it redirects to {shown_to}: write the registry's address as {address}, if you trust it"
        ),
        None => format!(
            "it redirects to {shown_to}, which does not look like the address of a registry: a login page or a \
             captive portal?"
        ),
    };
    Meaning { reason, moved_to }
}

/// The address of a registry whose resource of the same path is `to`.
fn suggested(base: &Url, url: &Url, to: &Url) -> Option<String> {
    let resource = url.path().strip_prefix(base.path().trim_end_matches('/'))?;
    if !matches!(to.scheme(), "http" | "https") || shown(to) == shown(url) {
        return None;
    }
    let is_secured = url.scheme() == "http" && to.scheme() == "https" && has_same_host(to, url);
    let path = match to.path().strip_suffix(resource) {
        Some(path) => path.to_owned(),
        // Many servers redirect all that is plain HTTP, and lose its path.
        None if is_secured && to.path() == "/" => base.path().to_owned(),
        None => return None,
    };
    let mut address = to.clone();
    address.set_path(&path);
    Some(sanitize(shown(&address).trim_end_matches('/')))
}

/// Whether both have the same host, with or without `www.`.
fn has_same_host(one: &Url, other: &Url) -> bool {
    let host = |url: &Url| {
        let host = url.host_str().unwrap_or_default();
        host.trim_start_matches("www.").to_owned()
    };
    host(one) == host(other)
}

/// Whether this is the page of a web server that got plain HTTP where it speaks TLS.
fn speaks_tls(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    text.contains("http request") && text.contains("https") || text.contains("ssl-enabled")
}

/// Whether the body is a web page.
pub(crate) fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, location: Option<&str>, body: &str) -> Response {
        Response {
            status,
            body: body.as_bytes().to_vec(),
            retry_after: None,
            location: location.map(str::to_owned),
            www_authenticate: None,
            authentication_info: None,
        }
    }

    fn meaning_at(base: &str, response: &Response) -> Meaning {
        let base = Url::parse(base).unwrap();
        let mut url = base.clone();
        let path = format!("{}/health", base.path().trim_end_matches('/'));
        url.set_path(&path);
        meaning(&base, &url, response)
    }

    #[test]
    fn a_redirect_says_where_the_registry_is_now_whatever_its_status() {
        for status in [301, 302, 307, 308] {
            for (base, location, moved_to) in [
                (
                    "http://r.org",
                    "https://r.org/health",
                    Some("https://r.org"),
                ),
                (
                    "http://me:pw@r.org/a/",
                    "https://r.org/a/health",
                    Some("https://r.org/a"),
                ),
                (
                    "http://r.org",
                    "/registry/health",
                    Some("http://r.org/registry"),
                ),
                (
                    "http://me:pw@r.org",
                    "/registry/health",
                    Some("http://r.org/registry"),
                ),
                (
                    "http://r.org",
                    "//www.r.org/health?x=1",
                    Some("http://www.r.org"),
                ),
                ("http://r.org", "https://r.org", Some("https://r.org")),
                (
                    "http://r.org/a",
                    "https://www.r.org/",
                    Some("https://www.r.org/a"),
                ),
                ("http://r.org", "https://portal/", None),
                ("http://r.org", "https://r.org/login", None),
                ("http://r.org", "http://portal/login", None),
                ("http://r.org", "/health/", None),
                ("http://r.org", "http://r.org/health", None),
                ("http://r.org", "ftp://r.org/health", None),
                ("http://r.org", "http://[", None),
            ] {
                let meaning = meaning_at(base, &response(status, Some(location), "<html>"));
                assert_eq!(meaning.moved_to.as_deref(), moved_to, "{location}");
                let named = moved_to.unwrap_or("it redirects to");
                assert!(meaning.reason.contains(named), "{}", meaning.reason);
                assert!(!meaning.reason.contains("pw"), "{}", meaning.reason);
            }
            let nowhere = meaning_at("http://r.org", &response(status, None, ""));
            assert!(
                nowhere.reason.contains("not say where"),
                "{}",
                nowhere.reason
            );
        }
    }

    #[test]
    fn a_redirect_with_another_query_each_time_has_one_reason() {
        let reason = |location| {
            let response = response(302, Some(location), "");
            meaning_at("http://r.org", &response).reason
        };
        assert_eq!(reason("http://portal/?t=1"), reason("http://portal/?t=2"));
    }

    #[test]
    fn a_page_is_told_by_its_status() {
        let page = "<html>The plain HTTP request was sent to HTTPS port</html>";
        for (base, status, part) in [
            ("http://r.org", 400, "with https://"),
            ("http://r.org", 401, "USER:PASSWORD@HOST"),
            ("http://me:pw@r.org", 401, "does not accept the user"),
            ("http://r.org", 407, "HTTPS_PROXY"),
            ("http://r.org", 502, "registry behind it is down"),
            ("http://r.org", 503, "registry behind it is down"),
            ("http://r.org", 200, "captive portal"),
            ("http://r.org", 413, "client_max_body_size"),
            ("http://r.org", 405, "this method"),
            ("http://r.org", 418, "not an error of a registry"),
        ] {
            let reason = meaning_at(base, &response(status, None, page)).reason;
            assert!(reason.contains(part), "{status}: {reason}");
        }
    }
}
