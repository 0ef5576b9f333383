//! Google's credentials: a service account's self-signed JWT, or an access token exchanged for one.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::routes::Call;
use super::{Outcome, error, missing};
use crate::world::World;
use crate::world::access::Claims;
use crate::world::request::{Request, Response, parse_pairs};
use crate::world::timeline::after;

const HOUR_SECONDS: u32 = 3600;
const COMPUTE_AUDIENCE: &str = "https://compute.googleapis.com/";
const SCOPES: [&str; 2] =
    ["https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/compute"];

impl World {
    /// Whether the caller may call at all, and asks about the project that there is.
    pub(crate) fn allow_gcp(&self, call: &Call, request: &Request) -> Result<(), Response> {
        if *call == Call::Token {
            return Ok(());
        }
        let token = request.bearer_token().ok_or_else(|| unauthorized("no bearer token was sent"))?;
        self.check_bearer(token, request.wall).map_err(unauthorized)?;
        let segments = request.segments();
        match segments.get(3) {
            Some(project) if *project == self.settings.project => self.check_google(call, &request.path),
            Some(project) => Err(missing(&format!("projects/{project}"))),
            None => Err(missing("projects")),
        }
    }

    fn check_bearer(&self, token: &str, wall: Timestamp) -> Result<(), &'static str> {
        if token == self.access.gcp_token {
            return Ok(());
        }
        if let Some(expires) = self.gcp.tokens.get(token) {
            return if wall < *expires { Ok(()) } else { Err("the access token has expired") };
        }
        let claims = self.service_account_claims(token, wall)?;
        let audience = claims.text("aud");
        let scopes = claims.text("scope").unwrap_or_default();
        let in_scope = scopes.split(' ').any(|scope| SCOPES.contains(&scope));
        if audience == Some(COMPUTE_AUDIENCE) || in_scope {
            Ok(())
        } else {
            Err("neither aud nor scope fits")
        }
    }

    fn service_account_claims(&self, token: &str, wall: Timestamp) -> Result<Claims, &'static str> {
        let claims = Claims::verified(token, self.access.service_account_public_key.as_deref())?;
        if claims.key_id.as_deref() != Some(&self.access.service_account_key_id) {
            return Err("kid is not the key's");
        }
        if claims.issuer() != self.access.service_account {
            return Err("iss is not the service account");
        }
        claims.check_times(wall, i64::from(HOUR_SECONDS), 60)?;
        Ok(claims)
    }

    /// `POST /token` (RFC 7523): an access token for a signed assertion.
    pub(crate) fn exchange_token(&mut self, request: &Request) -> Outcome {
        let form = parse_pairs(&String::from_utf8_lossy(&request.body));
        let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        if field("grant_type") != Some("urn:ietf:params:oauth:grant-type:jwt-bearer") {
            return Err(grant_error("unsupported_grant_type", "only jwt-bearer is known"));
        }
        let assertion = field("assertion").unwrap_or_default();
        let claims = self
            .service_account_claims(assertion, request.wall)
            .map_err(|why| grant_error("invalid_grant", why))?;
        if claims.text("aud") != Some(&self.access.token_uri) {
            return Err(grant_error("invalid_grant", "aud is not the token endpoint"));
        }
        let token = format!("ya29.{}", self.rng.text(200));
        let lifetime = std::time::Duration::from_secs(u64::from(HOUR_SECONDS));
        self.gcp.tokens.insert(token.clone(), after(request.wall, lifetime));
        Ok(json!({ "access_token": token, "expires_in": HOUR_SECONDS - 1, "token_type": "Bearer" }))
    }
}

fn grant_error(error: &str, why: &str) -> Response {
    let body: Value = json!({ "error": error, "error_description": why });
    Response::json(400, body)
}

fn unauthorized(why: &str) -> Response {
    let message = format!("Request had invalid authentication credentials: {why}");
    let mut response = error(401, "authError", &message);
    if let crate::world::request::Body::Json(body) = &mut response.body {
        body["error"]["status"] = json!("UNAUTHENTICATED");
    }
    response
}
