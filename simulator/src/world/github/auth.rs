//! GitHub's credentials: the app's JWT, installation tokens, and a personal access token.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::routes::Call;
use super::{error, not_found};
use crate::world::World;
use crate::world::access::Claims;
use crate::world::request::{Request, Response};
use crate::world::timeline::after;

/// An installation token that was given out.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub expires: Timestamp,
}

/// Installation tokens are long: some have 520 characters.
const TOKEN_LENGTH: usize = 516;
const LONGEST_JWT_SECONDS: i64 = 600;

/// What a call wants to be shown.
enum Wanted {
    Nothing,
    Jwt,
    Token,
}

fn wanted(call: &Call) -> Wanted {
    match call {
        Call::ConvertManifest(_) | Call::Meta | Call::RateLimit => Wanted::Nothing,
        Call::GetApp
        | Call::ListInstallations
        | Call::GetInstallation(_)
        | Call::FindInstallation(_)
        | Call::CreateToken(_)
        | Call::HookConfig
        | Call::SetHookConfig => Wanted::Jwt,
        Call::ListDeliveries(_, hook) | Call::GetDelivery(_, hook, _) | Call::Redeliver(_, hook, _) => {
            if hook.is_some() { Wanted::Token } else { Wanted::Jwt }
        }
        Call::GenerateJitConfig(_)
        | Call::RegistrationToken(_)
        | Call::ListRunners(_)
        | Call::GetRunner(..)
        | Call::DeleteRunner(..)
        | Call::ListRunnerGroups(_)
        | Call::GetRunnerGroup(..)
        | Call::RunnerGroupRepositories(..)
        | Call::GetJob(..)
        | Call::ListRuns(_)
        | Call::GetRun(..)
        | Call::RunJobs(..)
        | Call::CancelRun(..)
        | Call::CreateCheckRun(_)
        | Call::UpdateCheckRun(..)
        | Call::ListHooks(_)
        | Call::GetHook(..)
        | Call::GetRepository(_)
        | Call::OrganizationRepositories(_)
        | Call::InstallationRepositories => Wanted::Token,
    }
}

impl World {
    /// Whether the caller may call at all.
    pub(crate) fn allow_github(&mut self, call: &Call, request: &Request) -> Result<(), Response> {
        if request.header("user-agent").is_none_or(str::is_empty) {
            return Err(error(
                403,
                "Request forbidden by administrative rules. Please make sure your request has a User-Agent header",
            ));
        }
        match wanted(call) {
            Wanted::Nothing => Ok(()),
            Wanted::Jwt => self
                .check_jwt(request)
                .map_err(|why| error(401, &format!("A JSON web token could not be decoded: {why}"))),
            Wanted::Token => self.check_token(call, request),
        }
    }

    fn check_jwt(&mut self, request: &Request) -> Result<(), &'static str> {
        let token = request.bearer_token().ok_or("none was sent")?;
        let claims = Claims::verified(token, self.access.app_public_key.as_deref())?;
        let issuer = claims.issuer();
        if issuer != self.access.client_id && issuer != self.access.app_id.to_string() {
            return Err("iss is not the app's client id");
        }
        claims.check_times(request.wall, LONGEST_JWT_SECONDS, 0)?;
        // Two identical JWTs within one second have been refused out there.
        let is_new = self.github.seen_jwts.insert(token.to_owned());
        if is_new { Ok(()) } else { Err("this very token was seen before") }
    }

    fn check_token(&self, call: &Call, request: &Request) -> Result<(), Response> {
        let bad = || error(401, "Bad credentials");
        let token = request.bearer_token().ok_or_else(|| error(401, "Requires authentication"))?;
        if token == self.access.pat {
            return self.check_scope(call);
        }
        let known = self.github.tokens.get(token).ok_or_else(bad)?;
        if request.wall < known.expires { self.check_installation(call) } else { Err(bad()) }
    }

    pub(crate) fn create_token(&mut self, installation: u64, request: &Request) -> Response {
        if installation != self.access.installation_id {
            return not_found();
        }
        if self.settings.rights.suspended {
            return error(403, "This installation has been suspended");
        }
        let token = format!("ghs_{}", self.rng.text(TOKEN_LENGTH));
        // GitHub gives whole seconds.
        let lifetime = after(request.wall, self.settings.token_lifetime);
        let expires = Timestamp::from_second(lifetime.as_second()).unwrap_or(lifetime);
        self.github.tokens.insert(token.clone(), Token { expires });
        Response::json(201, self.token_body(&token, expires))
    }

    /// A token of the App's installation, for callers in the same process.
    pub fn installation_token(&mut self, now: Timestamp) -> String {
        let token = format!("ghs_{}", self.rng.text(TOKEN_LENGTH));
        let expires = after(now, self.settings.token_lifetime);
        self.github.tokens.insert(token.clone(), Token { expires });
        token
    }

    fn token_body(&self, token: &str, expires: Timestamp) -> Value {
        json!({
            "token": token,
            "expires_at": expires.to_string(),
            "permissions": self.settings.rights.app_permissions,
            "repository_selection": "all",
        })
    }
}
