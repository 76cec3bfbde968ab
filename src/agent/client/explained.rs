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

type BoxError = Box<dyn Error + Send + Sync>;

/// How a request goes to the registry.
pub(crate) struct Way {
    /// The proxy that it goes through, without a password.
    pub(crate) proxy: Option<Url>,
    /// The variable that should name a proxy, but holds something else.
    pub(crate) malformed_variable: Option<&'static str>,
    /// Whether it is plain HTTP to the registry itself.
    pub(crate) is_plain: bool,
}

impl Way {
    /// What is special about it; `None` if nothing is.
    pub(crate) fn special(&self) -> Option<String> {
        let variable = self.malformed_variable.map(|name| {
            format!("{name} does not hold the address of a proxy, like http://HOST:PORT")
        });
        let proxy = self.proxy.as_ref();
        let proxy = proxy.map(|proxy| format!("the request goes through the proxy {proxy}"));
        let parts: Vec<_> = variable.into_iter().chain(proxy).collect();
        (!parts.is_empty()).then(|| parts.join(": "))
    }
}

/// An error with its meaning.
#[derive(Debug)]
pub(crate) struct Explained {
    meaning: String,
    fault: Option<TlsFault>,
    /// `None` if its words have a number that changes with each request: each would count as a new
    /// failure, and be reported.
    source: Option<BoxError>,
}

/// What is wrong with TLS; `None` if TLS is not the fault.
pub(crate) fn tls_fault(error: &(dyn Error + Send + Sync + 'static)) -> Option<TlsFault> {
    match error.downcast_ref::<Explained>() {
        Some(explained) => explained.fault,
        None => TlsFault::of(error),
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.meaning)
    }
}

impl Error for Explained {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_ref()?;
        Some(&**source)
    }
}

/// The error, with its meaning in front if it is known.
pub(crate) fn explained(error: impl Into<BoxError>, way: &Way) -> BoxError {
    let error = error.into();
    let fault = TlsFault::of(&*error);
    let meaning = if wants_proxy_password(&*error) {
        Some(ADD_PROXY_PASSWORD)
    } else if is_other_protocol(&*error) {
        Some(
            "what answers does not speak HTTP: check the port, and write https:// if it speaks TLS",
        )
    } else if way.is_plain && way.proxy.is_none() && is_cut_off(&*error) {
        Some(
            "the server closed the connection without a response: write https:// if it speaks TLS at this \
             port",
        )
    } else {
        fault.and_then(TlsFault::meaning)
    };
    let parts: Vec<_> = way
        .special()
        .into_iter()
        .chain(meaning.map(str::to_owned))
        .collect();
    if parts.is_empty() {
        return error;
    }
    Box::new(Explained {
        meaning: parts.join(": "),
        fault,
        // The seconds since then.
        source: match fault {
            Some(TlsFault::Expired | TlsFault::NotYetValid) => None,
            _ => Some(error),
        },
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

/// Whether the server closed the connection before it sent a response, as many do that speak TLS.
fn is_cut_off(error: &(dyn Error + 'static)) -> bool {
    let text = with_causes(error);
    let is_reset = text.contains("reset by peer") || text.contains("connection was reset");
    is_reset || text.contains("closed before message completed")
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use rustls::CertificateError;
    use rustls::pki_types::UnixTime;

    use super::*;
    use crate::agent::client::ClientError;

    const DIRECT: Way = Way {
        proxy: None,
        malformed_variable: None,
        is_plain: true,
    };

    fn failed(error: impl Into<BoxError>, way: &Way) -> ClientError {
        ClientError::Unreachable {
            url: "https://r.org".to_owned(),
            source: explained(error, way),
        }
    }

    #[test]
    fn a_certificate_that_has_expired_for_longer_is_the_same_reason() {
        let expired = |secs| {
            let at = |secs| UnixTime::since_unix_epoch(Duration::from_secs(secs));
            let error = CertificateError::ExpiredContext {
                time: at(secs),
                not_after: at(5),
            };
            failed(io::Error::other(rustls::Error::from(error)), &DIRECT)
        };
        let (first, later) = (expired(100), expired(160));
        assert_eq!(first.reason(), later.reason());
        assert_eq!(with_causes(&first), with_causes(&later));
        assert_eq!(first.tls_fault(), Some(TlsFault::Expired));
        assert!(first.reason().contains("has expired"), "{first:?}");
    }

    #[test]
    fn what_is_known_of_the_way_comes_first_and_other_errors_stay_as_they_are() {
        let plain = failed("connection refused", &DIRECT);
        assert_eq!(plain.reason(), "connection refused");
        let way = Way {
            proxy: Some(Url::parse("http://proxy:3128").unwrap()),
            malformed_variable: None,
            is_plain: true,
        };
        let error = failed(format!("tunnel error: {PROXY_PASSWORD}"), &way);
        let reason = error.reason();
        assert!(
            reason.starts_with("the request goes through the proxy http://proxy:3128/"),
            "{reason}"
        );
        assert!(reason.contains(ADD_PROXY_PASSWORD), "{reason}");
    }
}
