//! The GitHub App itself: made from a manifest, and where its webhook goes.

use std::collections::BTreeMap;

use reqwest::Url;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::http::{Call, Http, Said, Status};
use super::{GitHub, GitHubError};
use crate::secret::Secret;

/// An App that GitHub has just made from a manifest (`POST /app-manifests/{code}/conversions`). Its secrets are told this
/// once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApp {
    /// `client_id`: the issuer of its JWTs.
    pub client_id: String,
    /// `html_url`: its public page, under which it is installed.
    pub page: String,
    /// `permissions`
    pub permissions: BTreeMap<String, String>,
    /// `events`
    pub events: Vec<String>,
    /// `pem`: its private key.
    pub private_key: Secret,
    /// `webhook_secret`; none where the manifest wants no webhook.
    pub webhook_secret: Option<Secret>,
}

/// Schema `integration`, and what a conversion has besides.
#[derive(Deserialize)]
struct AppAnswer {
    client_id: String,
    html_url: String,
    permissions: BTreeMap<String, String>,
    events: Vec<String>,
    pem: String,
    webhook_secret: Option<String>,
}

/// Schema `webhook-config`.
#[derive(Deserialize)]
struct Target {
    url: Option<String>,
}

/// Exchanges the code that GitHub's page for manifests gave for the App that it made. Asked once: a code is good for one
/// exchange, so a lost answer cannot be had again, and the App is best deleted and made anew.
pub async fn app_of_manifest(api_url: &str, code: &str, deadline: Instant) -> Result<NewApp, GitHubError> {
    const DOING: &str = "exchanging the manifest's code";
    // Anything else would lead to another address.
    if code.is_empty() || !code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        let why = "that is no code of GitHub's".to_owned();
        return Err(GitHubError::Refused { doing: DOING, status: 0, why });
    }
    let path = format!("/app-manifests/{code}/conversions");
    let http = Http::new(api_url.to_owned());
    let answer = match http.send_once(&Call::post_nothing(DOING, &path), deadline).await? {
        Status::Ok(answer) => answer.read::<AppAnswer>(DOING)?,
        Status::Said(Said { status, message }) => {
            let why = format!("{message}; a code is good for one hour, and for one exchange");
            return Err(GitHubError::Refused { doing: DOING, status, why });
        }
    };
    Ok(NewApp {
        client_id: answer.client_id,
        page: answer.html_url,
        permissions: answer.permissions,
        events: answer.events,
        private_key: Secret::new(answer.pem),
        webhook_secret: answer.webhook_secret.map(Secret::new),
    })
}

/// Where the App's webhook went, and what it tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointedWebhook {
    /// Where it went before, if anywhere.
    pub before: Option<String>,
    /// `events` of the App.
    pub events: Vec<String>,
}

/// Schema `integration`, as far as it is used.
#[derive(Deserialize)]
struct Own {
    events: Vec<String>,
}

impl GitHub {
    /// Has the App's own webhook go to `url`, as JSON (`PATCH /app/hook/config`).
    pub async fn point_webhook(&self, url: &Url, deadline: Instant) -> Result<PointedWebhook, GitHubError> {
        const LOOKING: &str = "looking where the App's webhook goes";
        const DOING: &str = "pointing the App's webhook there";
        let path = "/app/hook/config";
        let before: Target = self.answer_to_app(Call::get(LOOKING, path), deadline).await?.read(LOOKING)?;
        let body = json!({ "url": url.as_str(), "content_type": "json" });
        self.answer_to_app(Call::patch(DOING, path, &body), deadline).await?;
        let app: Own = self.answer_to_app(Call::get(LOOKING, "/app"), deadline).await?.read(LOOKING)?;
        Ok(PointedWebhook { before: before.url, events: app.events })
    }
}
