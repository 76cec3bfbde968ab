//! What the errors of the TLS library mean, where its words alone do not say.

use std::error::Error;
use std::fmt;

use super::sanitize::with_causes;

/// Words of the TLS library, and what they mean.
const MEANINGS: [(&str, &str); 5] = [
    (
        "CaUsedAsEndEntity",
        "its self-signed certificate is also its own authority (CA:TRUE), which TLS does not take from a \
         server: make an authority and a certificate from it, and name the authority (--ca-file)",
    ),
    (
        "UnknownIssuer",
        "its certificate comes from an authority that this machine does not know: name that authority's \
         certificate (--ca-file), if it is the right one",
    ),
    (
        "Expired",
        "its certificate has expired, or this machine's clock is wrong",
    ),
    (
        "NotValidYet",
        "its certificate is not valid yet, or this machine's clock is wrong",
    ),
    ("NotValidForName", "its certificate is for another name"),
];

/// An error with its meaning.
#[derive(Debug)]
struct Explained {
    meaning: &'static str,
    source: reqwest::Error,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.meaning)
    }
}

impl Error for Explained {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// The error, with its meaning in front if it is known.
pub(crate) fn explained(error: reqwest::Error) -> Box<dyn Error + Send + Sync> {
    let text = with_causes(&error);
    let known = MEANINGS.iter().find(|(words, _)| text.contains(words));
    match known {
        Some((_, meaning)) => Box::new(Explained {
            meaning,
            source: error,
        }),
        None => error.into(),
    }
}
