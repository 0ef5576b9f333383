use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::provider::proxmox::client::Client;
use crate::provider::proxmox::client::tests::{LIMIT, settings};
use crate::provider::proxmox::error::{Error, Kind};

/// A certificate for `localhost`, its key, and the CA's certificate as PEM.
struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    authority: String,
}

fn identity(name: &str) -> Identity {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    Identity {
        certificate: certificate.der().clone(),
        key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        authority: authority.pem(),
    }
}

impl Identity {
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// Answers every request with an empty list, in this version of TLS; returns the port.
    async fn serve(&self, version: &'static SupportedProtocolVersion) -> u16 {
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut buffer = [0; 4096];
                    let _ = stream.read(&mut buffer).await;
                    let answer =
                        "HTTP/1.1 200 OK\r\ncontent-length: 11\r\nconnection: close\r\n\r\n{\"data\":[]}";
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        port
    }
}

/// A file that is gone with it.
struct Pem(PathBuf);

impl Pem {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mayfly-tls-{name}-{}.pem", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for Pem {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn asked(port: u16, trust: Trust) -> Result<(), Error> {
    let url = format!("https://localhost:{port}");
    let client = Client::new(crate::provider::proxmox::ProxmoxSettings { trust, ..settings(&url) });
    client.resources(LIMIT).await.map(|_| ())
}

async fn refused(port: u16, trust: Trust) -> String {
    let error = asked(port, trust).await.unwrap_err();
    assert_eq!(error.kind, Kind::Certificate, "{error}");
    error.why
}

#[tokio::test]
async fn the_right_ones_are_trusted_in_both_versions() {
    let server = identity("localhost");
    let other = identity("localhost");
    // A file may hold several.
    let file = Pem::new("right", &format!("{}{}", other.authority, server.authority));
    for version in [&version::TLS12, &version::TLS13] {
        let port = server.serve(version).await;
        asked(port, Trust::Fingerprint(server.fingerprint().0)).await.unwrap();
        asked(port, Trust::Authority(file.0.clone())).await.unwrap();
    }
}

#[tokio::test]
async fn a_pin_is_for_the_machine_not_its_name() {
    let server = identity("pve1.example.com");
    let port = server.serve(&version::TLS13).await;
    asked(port, Trust::Fingerprint(server.fingerprint().0)).await.unwrap();
    let file = Pem::new("name", &server.authority);
    let why = refused(port, Trust::Authority(file.0.clone())).await;
    assert!(why.contains("not valid for name") && why.contains("localhost"), "{why}");
}

#[tokio::test]
async fn the_wrong_ones_are_refused_and_named() {
    let server = identity("localhost");
    let other = identity("localhost");
    let file = Pem::new("other", &other.authority);
    let now = format!("it is {} now", server.fingerprint());
    for version in [&version::TLS12, &version::TLS13] {
        let port = server.serve(version).await;
        let why = refused(port, Trust::Fingerprint(other.fingerprint().0)).await;
        assert!(why.contains(&now) && why.contains("`providers.lab.fingerprint`"), "{why}");
        let why = refused(port, Trust::Authority(file.0.clone())).await;
        assert!(why.contains(&now) && why.contains("`providers.lab.ca_file`"), "{why}");
        let why = refused(port, Trust::System).await;
        for part in [
            now.as_str(),
            "/etc/pve/pve-root-ca.pem",
            "`providers.lab.ca_file`",
            "`providers.lab.fingerprint`",
        ] {
            assert!(why.contains(part), "{part}: {why}");
        }
    }
}

#[tokio::test]
async fn a_pin_without_its_key_is_worth_nothing() {
    let right = identity("localhost");
    // Its certificate, another's key: rustls will not configure that by itself.
    let thief = identity("localhost");
    let key = aws_lc_rs::sign::any_supported_type(&thief.key).unwrap();
    let certified = rustls::sign::CertifiedKey::new(vec![right.certificate.clone()], key);
    for version in [&version::TLS12, &version::TLS13] {
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified.clone())));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            acceptor.accept(stream).await.is_ok()
        });
        let why = refused(port, Trust::Fingerprint(right.fingerprint().0)).await;
        assert!(why.contains("BadSignature") || why.contains("signature"), "{why}");
        server.abort();
    }
}

#[tokio::test]
async fn a_ca_file_that_is_none_is_named() {
    let missing = refused(1, Trust::Authority("/nowhere/ca.pem".into())).await;
    assert!(missing.starts_with("`providers.lab.ca_file`: /nowhere/ca.pem: "), "{missing}");
    let empty = Pem::new("empty", "no certificate\n");
    let why = refused(1, Trust::Authority(empty.0.clone())).await;
    assert!(why.contains("holds no certificate"), "{why}");
    let broken = Pem::new("broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let why = refused(1, Trust::Authority(broken.0.clone())).await;
    assert!(why.contains("`providers.lab.ca_file`") && why.contains("no usable certificate"), "{why}");
}

#[test]
fn a_fingerprint_is_written_as_proxmox_writes_it() {
    let text = Fingerprint([0xAB; 32]).to_string();
    assert_eq!((text.len(), &text[..8]), (95, "AB:AB:AB"));
    assert!(!Fingerprint([0; 32]).is(&Fingerprint([1; 32])));
}
