//! Who we are at GitHub: an App with its installations' tokens, or a personal access token.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use mayfly_core::ids::InstallationId;
use mayfly_core::policy::Scope;
use mayfly_core::slot::later;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{Mutex, OnceCell};

use super::http::{Call, Http, Said, Status};
use super::{FORBIDDEN, GitHubError, UNAUTHORIZED, refused, scope_path};
use crate::config::GitHubLogin;
use crate::secret::{Secret, SecretError, Secrets};

/// A token is not used in its last minutes.
const TOKEN_MARGIN: Duration = Duration::from_secs(5 * 60);
/// GitHub takes JWTs of at most ten minutes, and clocks differ.
const JWT_BACKDATED: Duration = Duration::from_secs(60);
const JWT_LIFETIME: Duration = Duration::from_secs(9 * 60);

/// Makes tokens, and keeps them while they are good.
#[derive(Debug)]
pub(super) struct Auth {
    login: GitHubLogin,
    secrets: Secrets,
    secret: OnceCell<Secret>,
    tokens: Mutex<BTreeMap<InstallationId, Token>>,
    installations: Mutex<BTreeMap<Scope, InstallationId>>,
}

#[derive(Debug, Clone)]
struct Token {
    text: Secret,
    expires_at: Timestamp,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: i64,
    exp: i64,
    /// Two identical JWTs in one second have been refused.
    jti: String,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: String,
    expires_at: Timestamp,
}

#[derive(Deserialize)]
struct InstallationAnswer {
    id: u64,
}

impl Auth {
    pub(super) fn new(login: GitHubLogin) -> Self {
        Self {
            login,
            secrets: Secrets::default(),
            secret: OnceCell::new(),
            tokens: Mutex::new(BTreeMap::new()),
            installations: Mutex::new(BTreeMap::new()),
        }
    }

    /// A token for calls about `scope`.
    pub(super) async fn token(
        &self,
        http: &Http,
        scope: &Scope,
        installation: Option<InstallationId>,
        deadline: Instant,
        count: &(dyn Fn() + Sync),
    ) -> Result<Secret, GitHubError> {
        let (client_id, private_key, configured) = match &self.login {
            GitHubLogin::Token(source) => return self.secret(source).await.cloned().map_err(no_secret),
            GitHubLogin::App { client_id, private_key, installation } => {
                (client_id, private_key, *installation)
            }
        };
        let known = configured.or(match scope {
            Scope::Organization(_) | Scope::Repository(_) => installation,
            // A delivery names an organization's installation, which cannot register the enterprise's runners.
            Scope::Enterprise(_) => None,
        });
        let key = self.secret(private_key).await.map_err(no_secret)?;
        let installation = match known {
            Some(installation) => installation,
            None => self.installation(http, scope, client_id, key, deadline, count).await?,
        };
        // Kept locked while a token is made: those who come at the same time want the same.
        let mut tokens = self.tokens.lock().await;
        if let Some(token) = tokens.get(&installation)
            && later(Timestamp::now(), TOKEN_MARGIN) < token.expires_at
        {
            return Ok(token.text.clone());
        }
        const DOING: &str = "getting an installation's token";
        let path = format!("/app/installations/{installation}/access_tokens");
        let body = json!({});
        let answer =
            http.send(&Call::post(DOING, &path, &body), &|| jwt(client_id, key), deadline, count).await;
        match answer.map_err(not_the_app)? {
            Status::Ok(answer) => {
                let answer: TokenAnswer = answer.read(DOING)?;
                let token = Token { text: Secret::new(answer.token), expires_at: answer.expires_at };
                tokens.insert(installation, token.clone());
                Ok(token.text)
            }
            Status::Said(Said { status, message }) => {
                let why = format!("{message}; is the App still installed, and not suspended?");
                Err(GitHubError::Refused { doing: DOING, status, why })
            }
        }
    }

    /// Forgets a token that GitHub no longer takes; `false` where the next one would be the same.
    pub(super) async fn forget(&self, token: &Secret, deadline: Instant) -> bool {
        match &self.login {
            GitHubLogin::Token(_) => false,
            GitHubLogin::App { .. } => {
                let tokens = tokio::time::timeout_at(deadline.into(), self.tokens.lock()).await;
                // Somebody else who met the same refusal may have forgotten it before.
                tokens.map(|mut tokens| tokens.retain(|_, kept| &kept.text != token)).is_ok()
            }
        }
    }

    async fn installation(
        &self,
        http: &Http,
        scope: &Scope,
        client_id: &str,
        key: &Secret,
        deadline: Instant,
        count: &(dyn Fn() + Sync),
    ) -> Result<InstallationId, GitHubError> {
        const DOING: &str = "looking the App's installation up";
        let mut installations = self.installations.lock().await;
        if let Some(installation) = installations.get(scope) {
            return Ok(*installation);
        }
        let path = format!("{}/installation", scope_path(scope));
        let answer = http.send(&Call::get(DOING, &path), &|| jwt(client_id, key), deadline, count).await;
        match answer.map_err(not_the_app)? {
            Status::Ok(answer) => {
                let installation = InstallationId(answer.read::<InstallationAnswer>(DOING)?.id);
                installations.insert(scope.clone(), installation);
                Ok(installation)
            }
            Status::Said(said) => Err(refused(DOING, scope, said)),
        }
    }

    async fn secret(&self, source: &crate::secret::SecretSource) -> Result<&Secret, SecretError> {
        self.secret.get_or_try_init(|| self.secrets.fetch(source)).await
    }
}

/// A refusal of the App itself, with what to do about it.
fn not_the_app(error: GitHubError) -> GitHubError {
    let hint = |status| match status {
        UNAUTHORIZED => {
            Some("does github.app.private_key belong to github.app.client_id, and is the clock right?")
        }
        FORBIDDEN => Some("is the App's installation suspended?"),
        _ => None,
    };
    match error {
        GitHubError::Refused { doing, status, why } => {
            let why = hint(status).map_or(why.clone(), |hint| format!("{why}; {hint}"));
            GitHubError::Refused { doing, status, why }
        }
        GitHubError::RateLimited { .. } | GitHubError::Unavailable { .. } => error,
    }
}

fn no_secret(error: SecretError) -> GitHubError {
    GitHubError::Unavailable { doing: "reading our own credentials", why: error.to_string() }
}

/// Good for one try: GitHub refuses one that it has seen.
fn jwt(client_id: &str, key: &Secret) -> Result<Secret, GitHubError> {
    // The library's message is about the key's form, never its text.
    let failed = |error: jsonwebtoken::errors::Error| GitHubError::Refused {
        doing: "signing as the App",
        status: 0,
        why: format!("github.app.private_key is no RSA private key in PEM form: {error}"),
    };
    let now = Timestamp::now();
    let claims = Claims {
        iss: client_id,
        iat: now.as_second() - JWT_BACKDATED.as_secs().cast_signed(),
        exp: now.as_second() + JWT_LIFETIME.as_secs().cast_signed(),
        jti: format!("{:016x}{:016x}", crate::random::bits(), crate::random::bits()),
    };
    let key = EncodingKey::from_rsa_pem(key.expose().as_bytes()).map_err(failed)?;
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).map(Secret::new).map_err(failed)
}
