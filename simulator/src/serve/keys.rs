//! The keys of the GitHub App and of the service account, made when they are first wanted.

use std::io;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Two RSA key pairs. Their private halves are for the callers, their public ones for the world.
#[derive(Clone)]
pub struct Keys {
    pub(crate) app: Arc<PrivateKey>,
    pub(crate) service_account: Arc<PrivateKey>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys([redacted])")
    }
}

/// One key, in the forms in which it is handed out.
pub(crate) struct PrivateKey {
    pkcs8: Vec<u8>,
    /// RSA, PKCS#1 DER.
    pub public: Vec<u8>,
}

impl Keys {
    /// The keys of this process: making them takes a while, so all its simulators share them.
    ///
    /// # Errors
    /// When the machine has no randomness to make them from.
    pub fn of_process() -> io::Result<Self> {
        static MADE: OnceLock<Keys> = OnceLock::new();
        if let Some(made) = MADE.get() {
            return Ok(made.clone());
        }
        let keys = Self {
            app: Arc::new(PrivateKey::generate()?),
            service_account: Arc::new(PrivateKey::generate()?),
        };
        Ok(MADE.get_or_init(|| keys).clone())
    }
}

impl PrivateKey {
    fn generate() -> io::Result<Self> {
        let unspecified = |_| io::Error::other("no RSA key could be generated");
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(unspecified)?;
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(unspecified)?;
        Ok(Self { pkcs8: pkcs8.as_ref().to_vec(), public: pair.public_key().as_ref().to_vec() })
    }

    /// As Google hands out keys: PKCS#8.
    pub fn pkcs8_pem(&self) -> String {
        pem("PRIVATE KEY", &self.pkcs8)
    }

    /// As GitHub hands out keys: PKCS#1, which is the octet string at the end of PKCS#8.
    pub fn pkcs1_pem(&self) -> String {
        // SEQUENCE (4 bytes), version (3), algorithm (15), OCTET STRING header (4): all of fixed size for 2048 bits.
        const HEADER_BYTES: usize = 26;
        pem("RSA PRIVATE KEY", self.pkcs8.get(HEADER_BYTES..).unwrap_or_default())
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
