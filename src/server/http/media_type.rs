//! Checks the headers that say what a request body is: its type, character set and compression.

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};

/// The max length of a header value that an error repeats, in characters.
const SHOWN_CHARS: usize = 64;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// It is not.
    Identity,
    Gzip,
}

/// What a body must not be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnsupportedMedia {
    #[error("Content-Type is missing: it must be application/json")]
    NoType,
    #[error("Content-Type must be application/json, not {0}")]
    Type(String),
    #[error("the charset in Content-Type must be utf-8, not {0}")]
    Charset(String),
    #[error("Content-Encoding must be gzip, if the body is compressed at all, not {0}")]
    Coding(String),
}

impl UnsupportedMedia {
    /// What the client can do about it.
    pub(crate) const fn suggestion(&self) -> &'static str {
        match self {
            Self::NoType | Self::Type(_) => "send the header Content-Type: application/json",
            Self::Charset(_) => "send the body in UTF-8",
            Self::Coding(_) => "compress the body with gzip, or send it uncompressed",
        }
    }
}

/// Checks the headers of a request with a body. Returns how the body is compressed.
pub(crate) fn check(request: &HttpRequest) -> Result<Coding, UnsupportedMedia> {
    let headers = request.headers();
    check_type(headers)?;
    coding_of(headers)
}

fn check_type(headers: &HeaderMap) -> Result<(), UnsupportedMedia> {
    let value = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    // Nearly all clients send exactly this.
    if value == Some(b"application/json") {
        return Ok(());
    }
    let value = String::from_utf8_lossy(value.unwrap_or_default());
    let mut parts = value.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    if kind.is_empty() {
        return Err(UnsupportedMedia::NoType);
    }
    // A proxy may join the headers of equal name.
    if !kind.split(',').map(str::trim).all(is_json) {
        return Err(UnsupportedMedia::Type(shown(kind)));
    }
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches(['"', '\'']);
        // All ASCII is UTF-8. `ansi_x3.4-1968` is what some programs call it.
        let is_utf8 = ["", "utf-8", "utf8", "us-ascii", "ascii", "ansi_x3.4-1968"]
            .iter()
            .any(|charset| value.eq_ignore_ascii_case(charset));
        if name.trim().eq_ignore_ascii_case("charset") && !is_utf8 {
            return Err(UnsupportedMedia::Charset(shown(value)));
        }
    }
    Ok(())
}

fn is_json(kind: &str) -> bool {
    // `application/vnd.x+json` and its like are JSON by RFC 6839. A page of another site can send
    // none of these types without asking first.
    let suffix = kind.len().saturating_sub("+json".len());
    kind.eq_ignore_ascii_case("application/json")
        || kind.eq_ignore_ascii_case("text/json")
        || kind.contains('/')
            && kind
                .get(suffix..)
                .is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json"))
}

fn coding_of(headers: &HeaderMap) -> Result<Coding, UnsupportedMedia> {
    let mut coding = Coding::Identity;
    for value in headers.get_all(CONTENT_ENCODING) {
        let value = String::from_utf8_lossy(value.as_bytes());
        for name in value.split(',').map(str::trim) {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            coding = match coding {
                _ if name.is_empty() || is("identity") => coding,
                Coding::Identity if is("gzip") || is("x-gzip") => Coding::Gzip,
                Coding::Identity => return Err(UnsupportedMedia::Coding(shown(name))),
                Coding::Gzip => {
                    return Err(UnsupportedMedia::Coding(shown(&format!("gzip, {name}"))));
                }
            };
        }
    }
    Ok(coding)
}

/// The value as an error repeats it: short, and without characters that such a value does not need,
/// since the client may show the error to a person.
fn shown(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "!#$&^_.+-/, *".contains(c);
    let shown: String = value.chars().take(SHOWN_CHARS).collect();
    match shown.chars().all(is_plain) {
        true => shown,
        false => "what the header says".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn checked(headers: &[(&str, &str)]) -> Result<Coding, UnsupportedMedia> {
        let mut request = TestRequest::default();
        for header in headers {
            request = request.append_header(*header);
        }
        check(&request.to_http_request())
    }

    #[test]
    fn json_is_taken_however_its_type_is_spelled() {
        for kind in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json; charset=utf8; version=1",
            "application/json;",
            "application/json; charset=",
            "application/json; charset=us-ascii",
            "application/json; charset=\"US-ASCII\"",
            "application/json;charset=ascii",
            "application/json, application/json",
            "application/vnd.x+json",
            "application/ld+JSON; profile=\"x;y\"",
            "text/json",
        ] {
            assert_eq!(
                checked(&[("content-type", kind)]),
                Ok(Coding::Identity),
                "{kind}"
            );
        }
    }

    #[test]
    fn other_types_and_character_sets_are_named() {
        for (kind, part) in [
            ("text/plain", "not text/plain"),
            ("text/plain;charset=UTF-8", "not text/plain"),
            (
                "application/x-www-form-urlencoded",
                "not application/x-www-form-urlencoded",
            ),
            ("multipart/form-data; boundary=x", "not multipart/form-data"),
            ("application/jsonx", "not application/jsonx"),
            ("+json", "not +json"),
            ("application/json; charset=utf-16", "not utf-16"),
            ("application/json; Charset=\"ISO-8859-1\"", "not ISO-8859-1"),
            (
                "application/json, text/plain",
                "not application/json, text/plain",
            ),
            ("<script>", "not what the header says"),
            ("", "missing"),
        ] {
            let error = checked(&[("content-type", kind)]).unwrap_err().to_string();
            assert!(error.contains(part), "{kind}: {error}");
        }
        assert_eq!(checked(&[]), Err(UnsupportedMedia::NoType));
    }

    #[test]
    fn gzip_is_taken_and_every_other_compression_is_named() {
        let json = ("content-type", "application/json");
        for coding in ["gzip", "GZIP", "x-gzip", " gzip ", "identity, gzip"] {
            let checked = checked(&[json, ("content-encoding", coding)]);
            assert_eq!(checked, Ok(Coding::Gzip), "{coding}");
        }
        for coding in ["identity", ""] {
            let checked = checked(&[json, ("content-encoding", coding)]);
            assert_eq!(checked, Ok(Coding::Identity), "{coding}");
        }
        for coding in [
            "deflate",
            "br",
            "zstd",
            "compress",
            "gzip, br",
            "gzip, gzip",
        ] {
            let error = checked(&[json, ("content-encoding", coding)])
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("must be gzip") && error.ends_with(coding),
                "{error}"
            );
        }
        let twice = [
            json,
            ("content-encoding", "gzip"),
            ("content-encoding", "gzip"),
        ];
        assert!(checked(&twice).is_err());
    }
}
