//! Whose certificate is trusted.
//!
//! Checks are never switched off: by the system's roots, by one authority, or by the certificate itself. A certificate
//! that is refused is told with its SHA-256, so that a person can compare it and pin it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256};

use crate::config::Trust;

/// A certificate's SHA-256, as Proxmox shows it: `AA:BB:…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }

    /// Takes as long whatever the difference.
    fn is(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).fold(0, |difference, (one, two)| difference | (one ^ two)) == 0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

/// A certificate that was refused.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(super) struct Untrusted {
    /// The one the server has now.
    pub fingerprint: Fingerprint,
    /// Why.
    pub why: String,
}

/// What a connection is made with; `None` for what reqwest makes by itself, which trusts the system's roots. An error
/// says what is wrong with `ca_file`.
pub(super) fn config(trust: &Trust) -> Result<Option<ClientConfig>, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let check = match trust {
        Trust::System => return Ok(None),
        Trust::Authority(path) => {
            let roots = Arc::new(authority(path)?);
            let inner = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
            Check::Roots(inner.map_err(|error| format!("{}: {error}", path.display()))?)
        }
        Trust::Fingerprint(bytes) => Check::Pinned(Fingerprint(*bytes)),
    };
    with(check, provider).map(Some)
}

/// What trusts nobody, only to be told the server's fingerprint by its refusal. No request is ever sent over it.
pub(super) fn probe() -> Result<ClientConfig, String> {
    with(Check::Nobody, Arc::new(aws_lc_rs::default_provider()))
}

/// Why a connection failed, if it was for the server's certificate.
pub(super) fn fault<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<Fault<'a>> {
    let mut next = Some(error);
    // Bounded: a chain is short, and a ring of causes would be a bug in a library.
    for _ in 0..12 {
        let error = next?;
        if let Some(rustls::Error::InvalidCertificate(why)) = error.downcast_ref::<rustls::Error>() {
            let inner = if let CertificateError::Other(OtherError(inner)) = why { Some(inner) } else { None };
            let untrusted = inner.and_then(|inner| inner.downcast_ref::<Untrusted>());
            let why = untrusted.map_or_else(|| why.to_string(), |untrusted| untrusted.why.clone());
            return Some(Fault { why, untrusted });
        }
        // The source of an `io::Error` is that of what it wraps, which would be passed over.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// What [`fault`] found.
#[derive(Debug)]
pub(super) struct Fault<'a> {
    /// In the TLS library's words, or ours.
    pub why: String,
    /// The certificate, where it is known.
    pub untrusted: Option<&'a Untrusted>,
}

fn with(check: Check, provider: Arc<CryptoProvider>) -> Result<ClientConfig, String> {
    let verifier = Verifier { check, provider: Arc::clone(&provider) };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// Only these, and not the system's roots.
fn authority(path: &Path) -> Result<RootCertStore, String> {
    let failed = |why: &str| format!("{}: {why}", path.display());
    let pem = std::fs::read(path).map_err(|error| failed(&error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| failed(&format!("is not PEM: {error}")))?;
        roots.add(certificate).map_err(|error| failed(&format!("holds no usable certificate: {error}")))?;
    }
    if roots.is_empty() {
        return Err(failed("holds no certificate (`-----BEGIN CERTIFICATE-----`)"));
    }
    Ok(roots)
}

#[derive(Debug)]
enum Check {
    /// The chain, the validity, and the host's name.
    Roots(Arc<WebPkiServerVerifier>),
    /// The certificate itself. Neither name nor validity matters: the pin says which machine it is better than a name
    /// does, and the handshake's signature shows that it is that machine which answers.
    Pinned(Fingerprint),
    Nobody,
}

/// Checks a server's certificate, and says which it was when it refuses.
#[derive(Debug)]
struct Verifier {
    check: Check,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let fingerprint = Fingerprint::of(end_entity);
        let why = match &self.check {
            Check::Roots(inner) => {
                match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
                    Ok(verified) => return Ok(verified),
                    Err(error) => error.to_string(),
                }
            }
            Check::Pinned(pin) if pin.is(&fingerprint) => return Ok(ServerCertVerified::assertion()),
            Check::Pinned(pin) => format!("its SHA-256 is {fingerprint}, not {pin}"),
            Check::Nobody => "nobody is trusted".to_owned(),
        };
        let untrusted = Untrusted { fingerprint, why };
        Err(CertificateError::Other(OtherError(Arc::new(untrusted))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
