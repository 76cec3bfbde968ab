//! A server with a certificate of the test's own authority.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the certificate of the server is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certified {
    Good,
    Expired,
    NotYetValid,
    /// It is for another name.
    Wrongly,
    /// It names no host but in its common name.
    Namelessly,
    /// It is its own authority.
    ByItself,
}

/// A server that responds to each request with `response`; its URL, and its authority in PEM form.
pub async fn tls_server(certified: Certified, response: &'static str) -> (String, String) {
    let mut authority = CertificateParams::new(vec![]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let names = match certified {
        Certified::Namelessly => vec![],
        Certified::Wrongly => vec!["other.example.org".to_owned()],
        _ => vec!["127.0.0.1".to_owned()],
    };
    let mut own = CertificateParams::new(names).unwrap();
    match certified {
        Certified::Expired => own.not_after = date_time_ymd(2020, 1, 1),
        Certified::NotYetValid => own.not_before = date_time_ymd(4000, 1, 1),
        _ => {}
    }
    let key = KeyPair::generate().unwrap();
    let (certificate, pem) = if certified == Certified::ByItself {
        own.is_ca = authority.is_ca;
        let certificate = own.self_signed(&key).unwrap();
        (certificate.der().clone(), certificate.pem())
    } else {
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let certificate = own.signed_by(&key, &authority).unwrap();
        (certificate.der().clone(), authority.pem())
    };
    let config = ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Fails if the client does not take the certificate.
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(response.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        }
    });
    (url, pem)
}
