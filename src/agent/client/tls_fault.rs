//! What is wrong with a connection that should use TLS, from the error of the TLS library.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

/// What is wrong with a connection that should use TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsFault {
    /// The server does not speak TLS.
    PlainServer,
    /// The certificate is self-signed and its own authority.
    OwnAuthority,
    /// The certificate comes from an unknown authority.
    UnknownAuthority,
    /// The certificate has expired, by this machine's clock.
    Expired,
    /// The certificate is not valid yet, by this machine's clock.
    NotYetValid,
    /// The certificate is for another name.
    WrongName,
    /// The certificate names no host, e.g. because it has a common name (CN) only.
    NoName,
    /// The certificate has the form of X.509 version 1, which TLS libraries no longer read.
    OldForm,
    /// The server and this program have no version or cipher of TLS in common.
    NothingInCommon,
    /// The server wants a certificate of the client.
    ClientCertificate,
    /// Something else.
    Other,
}

impl TlsFault {
    /// The fault that an error reports; `None` if it is not an error of TLS.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        Some(match tls_error(error)? {
            rustls::Error::InvalidMessage(_) => Self::PlainServer,
            rustls::Error::InvalidCertificate(error) => of_certificate(error),
            rustls::Error::PeerIncompatible(_) => Self::NothingInCommon,
            rustls::Error::AlertReceived(alert) => match alert {
                AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => {
                    Self::NothingInCommon
                }
                AlertDescription::CertificateRequired => Self::ClientCertificate,
                AlertDescription::UnrecognisedName => Self::WrongName,
                _ => Self::Other,
            },
            _ => Self::Other,
        })
    }

    /// What the fault means, where the words of the TLS library do not say it; `None` if they do.
    pub(crate) fn meaning(self) -> Option<&'static str> {
        Some(match self {
            Self::PlainServer => {
                "the server does not speak TLS at this port: write http://, or check the port"
            }
            Self::OwnAuthority => {
                "its self-signed certificate is also its own authority (CA:TRUE), which TLS does not take \
                 from a server: make an authority and a certificate from it, and name the authority \
                 (--ca-file)"
            }
            Self::UnknownAuthority => {
                "its certificate comes from an authority that this machine does not know: name that \
                 authority's certificate (--ca-file), if it is the right one"
            }
            Self::Expired => "its certificate has expired, or this machine's clock is wrong",
            Self::NotYetValid => {
                "its certificate is not valid yet, or this machine's clock is wrong"
            }
            Self::WrongName => {
                "its certificate is for another name: use a name that is in the certificate"
            }
            Self::NoName => {
                "its certificate names no host: it needs the registry's name as a subjectAltName, a \
                 common name (CN) is not enough"
            }
            Self::OldForm => {
                "its certificate has the form of X.509 version 1: make one of version 3, with a \
                 subjectAltName"
            }
            Self::NothingInCommon => {
                "the server takes none of the versions of TLS that this program speaks (1.2 and 1.3)"
            }
            Self::ClientCertificate => {
                "the server wants a certificate of the client, which this program does not have"
            }
            Self::Other => return None,
        })
    }
}

fn of_certificate(error: &CertificateError) -> TlsFault {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsFault::NotYetValid
        }
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            TlsFault::NoName
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFault::WrongName
        }
        // A bad signature: an authority of the same name has another key, as after it was made anew.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            TlsFault::UnknownAuthority
        }
        // The type of the error inside belongs to a library of the TLS library.
        CertificateError::Other(error) => match format!("{error:?}") {
            text if text.contains("CaUsedAsEndEntity") => TlsFault::OwnAuthority,
            text if text.contains("UnsupportedCertVersion") => TlsFault::OldForm,
            _ => TlsFault::Other,
        },
        _ => TlsFault::Other,
    }
}

/// The error of the TLS library among an error and its causes.
fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // The source of an I/O error is not the error inside it, but the source of that one.
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_tls_is_found_inside_an_error_of_io() {
        let error = rustls::Error::InvalidCertificate(CertificateError::Expired);
        let error = io::Error::other(io::Error::other(error));
        assert_eq!(TlsFault::of(&error), Some(TlsFault::Expired));
        assert_eq!(TlsFault::of(&io::Error::other("no TLS")), None);
    }

    #[test]
    fn an_authority_that_was_made_anew_under_the_same_name_is_an_unknown_one() {
        let error = rustls::Error::from(CertificateError::BadSignature);
        assert_eq!(TlsFault::of(&error), Some(TlsFault::UnknownAuthority));
    }

    #[test]
    fn servers_that_take_no_client_without_a_certificate_or_only_old_tls_are_told_apart() {
        for (alert, fault) in [
            (AlertDescription::ProtocolVersion, TlsFault::NothingInCommon),
            (
                AlertDescription::CertificateRequired,
                TlsFault::ClientCertificate,
            ),
            (AlertDescription::UnrecognisedName, TlsFault::WrongName),
            (AlertDescription::InternalError, TlsFault::Other),
        ] {
            let error = rustls::Error::AlertReceived(alert);
            assert_eq!(TlsFault::of(&error), Some(fault));
        }
    }
}
