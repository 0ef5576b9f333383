//! Who may call: the credentials that the world knows, and the check of signed tokens (RFC 7519).

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::Value;

use super::rng::Rng;

/// The credentials of the world's only user.
#[derive(Clone)]
pub struct Access {
    /// The GitHub App's id, one of the two names that a JWT's `iss` may give.
    pub app_id: u64,
    /// The GitHub App's client id, the other one.
    pub client_id: String,
    /// The app's only installation.
    pub installation_id: u64,
    /// The app's public key (RSA, PKCS#1 DER). Without one, no JWT is taken.
    pub app_public_key: Option<Vec<u8>>,
    /// Its private key as GitHub hands it out once, when an App is made from a manifest. Without one, none can be.
    pub app_private_key_pem: Option<String>,
    /// A personal access token with all rights.
    pub pat: String,
    /// The secret that deliveries are signed with.
    pub webhook_secret: String,
    /// A Google access token that never expires, for callers in the same process.
    pub gcp_token: String,
    /// `client_email` of the service account.
    pub service_account: String,
    /// `private_key_id` of its key, which a JWT names as `kid`.
    pub service_account_key_id: String,
    /// Its public key (RSA, PKCS#1 DER). Without one, no JWT is taken.
    pub service_account_public_key: Option<Vec<u8>>,
    /// The id of the Proxmox VE API token, `USER@REALM!TOKENID`.
    pub proxmox_token_id: String,
    /// Its secret, a UUID.
    pub proxmox_token_secret: String,
    /// Where an assertion for an access token must be addressed.
    pub token_uri: String,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl Access {
    pub(crate) fn from_seed(rng: &mut Rng, project: &str) -> Self {
        // Numbers of its own, so that what a seed told before there was a lab stays the same.
        let proxmox_token_secret = Rng::new(!rng.clone().next()).uuid();
        Self {
            app_id: 1_000_000 + rng.next() % 1_000_000,
            client_id: format!("Iv23li{}", rng.text(14)),
            installation_id: 10_000_000 + rng.next() % 10_000_000,
            app_public_key: None,
            app_private_key_pem: None,
            pat: format!("ghp_{}", rng.text(36)),
            webhook_secret: rng.text(40),
            gcp_token: format!("ya29.{}", rng.text(120)),
            service_account: format!("mayfly@{project}.iam.gserviceaccount.com"),
            service_account_key_id: format!("{:016x}{:016x}", rng.next(), rng.next()),
            service_account_public_key: None,
            proxmox_token_id: "mayfly@pve!mayfly".to_owned(),
            proxmox_token_secret,
            token_uri: "https://oauth2.googleapis.com/token".to_owned(),
        }
    }
}

/// The claims of a JWT whose signature holds.
#[derive(Debug)]
pub struct Claims {
    /// The header's key id.
    pub key_id: Option<String>,
    body: Value,
}

impl Claims {
    /// Check form and signature (RS256) of a token, and nothing else.
    pub fn verified(token: &str, public_key: Option<&[u8]>) -> Result<Self, &'static str> {
        let key = public_key.ok_or("no key is registered")?;
        let mut parts = token.split('.');
        let (Some(header), Some(body), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("not a JWT of three parts");
        };
        let signed = &token.as_bytes()[..header.len() + 1 + body.len()];
        let header = decode_json(header).ok_or("its header is no JSON")?;
        if header["alg"] != "RS256" {
            return Err("its alg is not RS256");
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "its signature is no base64")?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
            .verify(signed, &signature)
            .map_err(|_| "its signature is wrong")?;
        let body = decode_json(body).ok_or("its claims are no JSON")?;
        Ok(Self { key_id: header["kid"].as_str().map(str::to_owned), body })
    }

    /// A claim that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.body[name].as_str()
    }

    /// Who issued it: text, or the number that GitHub App ids are.
    pub fn issuer(&self) -> String {
        self.text("iss").map_or_else(|| self.body["iss"].to_string(), str::to_owned)
    }

    /// Check `iat` and `exp` against the caller's clock: the token may be good for this long at most. A
    /// minute of drift is forgiven for `iat`; for `exp`, Google forgives as much and GitHub nothing.
    pub fn check_times(
        &self,
        wall: Timestamp,
        longest_seconds: i64,
        drift_seconds: i64,
    ) -> Result<(), &'static str> {
        let (Some(issued), Some(expires)) = (self.body["iat"].as_i64(), self.body["exp"].as_i64()) else {
            return Err("iat and exp must be integers");
        };
        let now = wall.as_second();
        if issued > now + 60 {
            return Err("iat is in the future");
        }
        if expires <= now {
            return Err("it has expired");
        }
        if expires - now > longest_seconds + drift_seconds || expires - issued > longest_seconds + 60 {
            return Err("exp is too far in the future");
        }
        Ok(())
    }
}

fn decode_json(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
