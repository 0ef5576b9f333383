//! Who we are at GitHub: an App with its installations' tokens, or a personal access token.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use mayfly_core::ids::InstallationId;
use mayfly_core::policy::Scope;
use mayfly_core::slot::later;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::http::{Call, Http, NOT_FOUND, Said, Status};
use super::refusal::{UNAUTHORIZED, not_the_app, refused};
use super::{GitHubError, Permission};
use crate::config::GitHubLogin;
use crate::secret::{Kept, Secret, SecretError};

/// A token is not used in its last minutes.
const TOKEN_MARGIN: Duration = Duration::from_secs(5 * 60);
/// GitHub takes JWTs of at most ten minutes, and clocks differ.
const JWT_BACKDATED: Duration = Duration::from_secs(60);
const JWT_LIFETIME: Duration = Duration::from_secs(9 * 60);

const SUSPENDED: &str = "is the App's installation suspended?";

/// Makes tokens, and keeps them while they are good.
#[derive(Debug)]
pub(super) struct Auth {
    login: GitHubLogin,
    secret: Kept,
    tokens: Mutex<BTreeMap<InstallationId, Token>>,
    /// By account: an App is installed there once, for all repositories that it may see.
    installations: Mutex<BTreeMap<String, InstallationId>>,
}

/// The App, ready to sign.
pub(super) struct App<'a> {
    client_id: &'a str,
    key: Secret,
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
            secret: Kept::default(),
            tokens: Mutex::new(BTreeMap::new()),
            installations: Mutex::new(BTreeMap::new()),
        }
    }

    /// Whether we are an App.
    pub(super) fn is_app(&self) -> bool {
        match &self.login {
            GitHubLogin::App { .. } => true,
            GitHubLogin::Token(_) => false,
        }
    }

    /// The installation that the configuration names.
    pub(super) fn configured_installation(&self) -> Option<InstallationId> {
        match &self.login {
            GitHubLogin::App { installation, .. } => *installation,
            GitHubLogin::Token(_) => None,
        }
    }

    /// The App that we are, for calls in its own name; `Refused` where we are none.
    pub(super) async fn app(&self) -> Result<App<'_>, GitHubError> {
        match &self.login {
            GitHubLogin::App { client_id, private_key, .. } => {
                let key = self.secret.get(private_key).await.map_err(no_secret)?;
                Ok(App { client_id, key })
            }
            GitHubLogin::Token(_) => {
                let why = "a personal access token is no App".to_owned();
                Err(GitHubError::Refused { doing: "signing as the App", status: 0, why })
            }
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
        let configured = match &self.login {
            GitHubLogin::Token(source) => return self.secret.get(source).await.map_err(no_secret),
            GitHubLogin::App { installation, .. } => *installation,
        };
        let known = configured.or(match scope {
            Scope::Organization(_) | Scope::Repository(_) => installation,
            // A delivery names an organization's installation, which cannot register the enterprise's runners.
            Scope::Enterprise(_) => None,
        });
        let app = self.app().await?;
        let installation = match known {
            Some(installation) => installation,
            None => self.installation(http, scope, &app, deadline, count).await?,
        };
        // Kept locked while a token is made: those who come at the same time want the same.
        let mut tokens = self.tokens.lock().await;
        if let Some(token) = tokens.get(&installation)
            && later(crate::clock::wall(), TOKEN_MARGIN) < token.expires_at
        {
            return Ok(token.text.clone());
        }
        const DOING: &str = "getting an installation's token";
        let path = format!("/app/installations/{installation}/access_tokens");
        let body = json!({});
        let answer = http.send(&Call::post(DOING, &path, &body), &|| app.jwt(), deadline, count).await;
        if let Err(GitHubError::Refused { status: UNAUTHORIZED, .. }) = &answer
            && self.replaced(&app.key, deadline).await
        {
            drop(tokens);
            // Bounded: a key is read again only once in a while.
            return Box::pin(self.token(http, scope, known, deadline, count)).await;
        }
        match answer.map_err(|error| not_the_app(error, SUSPENDED))? {
            Status::Ok(answer) => {
                let answer: TokenAnswer = answer.read(DOING)?;
                let token = Token { text: Secret::new(answer.token), expires_at: answer.expires_at };
                tokens.insert(installation, token.clone());
                Ok(token.text)
            }
            Status::Said(Said { status: NOT_FOUND, .. }) if configured.is_none() && known.is_some() => {
                // The App was installed anew since the delivery that named this installation.
                drop(tokens);
                Box::pin(self.token(http, scope, None, deadline, count)).await
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
            GitHubLogin::Token(_) => self.replaced(token, deadline).await,
            GitHubLogin::App { .. } => {
                let tokens = tokio::time::timeout_at(deadline, self.tokens.lock()).await;
                // Somebody else who met the same refusal may have forgotten it before.
                tokens.map(|mut tokens| tokens.retain(|_, kept| &kept.text != token)).is_ok()
            }
        }
    }

    async fn installation(
        &self,
        http: &Http,
        scope: &Scope,
        app: &App<'_>,
        deadline: Instant,
        count: &(dyn Fn() + Sync),
    ) -> Result<InstallationId, GitHubError> {
        const DOING: &str = "looking the App's installation up";
        let mut installations = self.installations.lock().await;
        let account = match scope {
            Scope::Organization(login) => login.as_str().to_lowercase(),
            Scope::Repository(repository) => repository.owner().to_lowercase(),
            Scope::Enterprise(slug) => format!("enterprises/{slug}"),
        };
        if let Some(installation) = installations.get(&account) {
            return Ok(*installation);
        }
        let path = format!("/{scope}/installation");
        let answer = http.send(&Call::get(DOING, &path), &|| app.jwt(), deadline, count).await;
        if let Err(GitHubError::Refused { status: UNAUTHORIZED, .. }) = &answer
            && self.replaced(&app.key, deadline).await
        {
            drop(installations);
            let app = self.app().await?;
            return Box::pin(self.installation(http, scope, &app, deadline, count)).await;
        }
        match answer.map_err(|error| not_the_app(error, SUSPENDED))? {
            Status::Ok(answer) => {
                let installation = InstallationId(answer.read::<InstallationAnswer>(DOING)?.id);
                installations.insert(account, installation);
                Ok(installation)
            }
            Status::Said(said) => Err(refused(DOING, scope, Permission::Runners, said)),
        }
    }

    /// Whether the App's key, or the token, is another one by now than the one that GitHub refused.
    pub(super) async fn replaced(&self, refused: &Secret, deadline: Instant) -> bool {
        let (GitHubLogin::Token(source) | GitHubLogin::App { private_key: source, .. }) = &self.login;
        match tokio::time::timeout_at(deadline, self.secret.renew(source, refused)).await {
            Ok(Ok(replaced)) => replaced,
            Ok(Err(error)) => {
                tracing::warn!(%error, "GitHub refused our credentials, and they could not be read again");
                false
            }
            Err(_) => false,
        }
    }
}

fn no_secret(error: SecretError) -> GitHubError {
    GitHubError::Unavailable { doing: "reading our own credentials", why: error.to_string() }
}

impl App<'_> {
    /// A JWT that says who we are. Good for one try: GitHub refuses one that it has seen.
    pub(super) fn jwt(&self) -> Result<Secret, GitHubError> {
        // The library's message is about the key's form, never its text.
        let failed = |error: jsonwebtoken::errors::Error| GitHubError::Refused {
            doing: "signing as the App",
            status: 0,
            why: format!("github.app.private_key is no RSA private key in PEM form: {error}"),
        };
        let now = crate::clock::wall();
        let claims = Claims {
            iss: self.client_id,
            iat: now.as_second() - JWT_BACKDATED.as_secs().cast_signed(),
            exp: now.as_second() + JWT_LIFETIME.as_secs().cast_signed(),
            jti: format!("{:016x}{:016x}", crate::random::bits(), crate::random::bits()),
        };
        let key = EncodingKey::from_rsa_pem(self.key.expose().as_bytes()).map_err(failed)?;
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).map(Secret::new).map_err(failed)
    }
}
