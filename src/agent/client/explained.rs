//! An error of the HTTP client with its meaning in front, where the words of the libraries do not say it.

use std::error::Error;
use std::fmt;

use reqwest::Url;

use super::sanitize::with_causes;
use super::tls_fault::TlsFault;

/// What a proxy says that wants a password, when it should open a tunnel.
const PROXY_PASSWORD: &str = "proxy authorization required";

/// What to do about a proxy that wants a password.
pub(crate) const ADD_PROXY_PASSWORD: &str = "the proxy wants a user and a password: write them into its address \
     (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY), like http://USER:PASSWORD@HOST:PORT";

/// How a request goes to the registry.
pub(crate) struct Way {
    /// The proxy that it goes through, without a password.
    pub(crate) proxy: Option<Url>,
    /// The variable that should name a proxy, but holds something else.
    pub(crate) malformed_variable: Option<&'static str>,
}

/// An error with its meaning.
#[derive(Debug)]
pub(crate) struct Explained {
    meaning: String,
    source: reqwest::Error,
}

impl Explained {
    /// The meaning alone. Unlike the words of the libraries it has no numbers that change.
    pub(crate) fn meaning(&self) -> &str {
        &self.meaning
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.meaning)
    }
}

impl Error for Explained {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// The error, with its meaning in front if it is known.
pub(crate) fn explained(error: reqwest::Error, way: &Way) -> Box<dyn Error + Send + Sync> {
    let mut parts = Vec::new();
    if let Some(name) = way.malformed_variable {
        parts.push(format!(
            "{name} does not hold the address of a proxy, like http://HOST:PORT"
        ));
    }
    if let Some(proxy) = &way.proxy {
        parts.push(format!("the request through the proxy {proxy} failed"));
    }
    let meaning = if wants_proxy_password(&error) {
        Some(ADD_PROXY_PASSWORD)
    } else if is_other_protocol(&error) {
        Some(
            "what answers does not speak HTTP: check the port, and write https:// if it speaks TLS",
        )
    } else {
        TlsFault::of(&error).and_then(TlsFault::meaning)
    };
    parts.extend(meaning.map(str::to_owned));
    if parts.is_empty() {
        return error.into();
    }
    Box::new(Explained {
        meaning: parts.join(": "),
        source: error,
    })
}

/// Whether a proxy has refused a tunnel because it wants a user and a password.
pub(crate) fn wants_proxy_password(error: &(dyn Error + 'static)) -> bool {
    with_causes(error).contains(PROXY_PASSWORD)
}

/// Whether the HTTP library could not read what came: it came unasked, or is not HTTP.
pub(crate) fn is_other_protocol(error: &(dyn Error + 'static)) -> bool {
    let text = with_causes(error);
    let words = ["unexpected message", "invalid HTTP", "invalid header"];
    words.iter().any(|words| text.contains(words))
}
