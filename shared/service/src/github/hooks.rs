//! The webhooks that bring the events, and the deliveries of them that failed.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use mayfly_core::ids::{Account, Repository};
use mayfly_core::policy::Scope;
use mayfly_core::sweep::{Attempt, Tells};
use reqwest::Url;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use tokio::time::Instant;

use super::http::{Answer, Call, NOT_FOUND, Said, Status, within};
use super::refusal::{FORBIDDEN, not_the_app};
use super::{GitHub, GitHubError, PAGE, Permission};

/// An owner's hooks are read up to this many pages; GitHub allows twenty for each event.
const HOOK_PAGES_MOST: usize = 5;
const LOOKING: &str = "looking the webhook up";
const LISTING: &str = "listing the webhook's deliveries";
const APPS_HOOK: &str = "has the App a webhook, and may it read the webhook's deliveries?";

/// A webhook that brings our events.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// The App's own.
    App,
    /// An organization's.
    Organization {
        /// Whose.
        login: Account,
        /// `id`
        id: u64,
    },
    /// A repository's.
    Repository {
        /// Whose.
        name: Repository,
        /// `id`
        id: u64,
    },
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App => f.write_str("app"),
            Self::Organization { login, id } => write!(f, "orgs/{login}/hooks/{id}"),
            Self::Repository { name, id } => write!(f, "repos/{name}/hooks/{id}"),
        }
    }
}

impl Hook {
    /// The owner's of that number; an enterprise's cannot be read.
    pub(super) fn of(owner: &Scope, id: u64) -> Option<Self> {
        match owner.clone() {
            Scope::Organization(login) => Some(Self::Organization { login, id }),
            Scope::Repository(name) => Some(Self::Repository { name, id }),
            Scope::Enterprise(_) => None,
        }
    }

    /// Who owns it; `None` for the App.
    pub(super) fn scope(&self) -> Option<Scope> {
        match self {
            Self::App => None,
            Self::Organization { login, .. } => Some(Scope::Organization(login.clone())),
            Self::Repository { name, .. } => Some(Scope::Repository(name.clone())),
        }
    }

    /// What the paths of calls about its deliveries begin with.
    pub(super) fn path(&self) -> String {
        match self {
            Self::App => "/app/hook".to_owned(),
            Self::Organization { .. } | Self::Repository { .. } => format!("/{self}"),
        }
    }
}

/// Tries to deliver events of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deliveries {
    /// Newest first.
    pub attempts: Vec<Attempt>,
    /// Whether these are all since the given moment; `false` when the bound on pages ended the list.
    pub whole: bool,
}

#[derive(Deserialize)]
struct HookAnswer {
    id: u64,
    config: HookConfig,
}

/// Schema `webhook-config`.
#[derive(Deserialize)]
struct HookConfig {
    url: Option<String>,
}

impl HookConfig {
    fn is(&self, url: &Url) -> bool {
        self.url.as_deref().and_then(|text| Url::parse(text).ok()).is_some_and(|own| own == *url)
    }
}

/// Schema `hook-delivery-item`.
#[derive(Deserialize)]
struct DeliveryAnswer {
    id: u64,
    #[serde(deserialize_with = "guid")]
    guid: String,
    delivered_at: Timestamp,
    status_code: i64,
    event: String,
    /// `null` for events without one.
    action: Option<String>,
}

/// A delivery's id has 36 characters. It becomes a key of the table, which takes 2 KB at most.
const GUID_LONGEST: usize = 100;

fn guid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let guid = String::deserialize(deserializer)?;
    if guid.len() > GUID_LONGEST { Err(D::Error::custom("no delivery's id is that long")) } else { Ok(guid) }
}

impl GitHub {
    /// The hooks whose failed deliveries are ours to ask for again. Without `github.webhook_url` that is the App's own (no
    /// call), and none for a token. With it: those that point there, among the App's and the organizations' and
    /// repositories' of `scopes`; an enterprise's cannot be read. Once some are found they are remembered for the
    /// life of the process. Who may not read an owner's hooks (403, 404) is `Refused` only if no other owner's match.
    pub async fn hooks(&self, scopes: &[Scope], deadline: Instant) -> Result<Vec<Hook>, GitHubError> {
        let Some(url) = &self.webhook_url else {
            return Ok(if self.auth.is_app() { vec![Hook::App] } else { Vec::new() });
        };
        // Kept locked while they are looked up: those who come at the same time want the same.
        let mut known = within(deadline, LOOKING, async { Ok(self.hooks.lock().await) }).await?;
        if !known.is_empty() {
            return Ok(known.clone());
        }
        let apps = self.auth.is_app().then_some(None);
        let owners: BTreeSet<Option<&Scope>> = apps.into_iter().chain(scopes.iter().map(Some)).collect();
        let mut found = Vec::new();
        let mut refusal = None;
        for owner in owners {
            match self.hooks_of(owner, url, deadline).await {
                Ok(hooks) => found.extend(hooks),
                Err(error @ GitHubError::Refused { status: FORBIDDEN | NOT_FOUND, .. }) => {
                    tracing::debug!(?owner, %error, "hooks that may not be read are passed over");
                    refusal = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match refusal {
            Some(refusal) if found.is_empty() => Err(refusal),
            Some(_) | None => {
                known.clone_from(&found);
                Ok(found)
            }
        }
    }

    /// Whether it is configured where the events arrive, so that hooks can be told apart.
    pub fn has_webhook_url(&self) -> bool {
        self.webhook_url.is_some()
    }

    /// The owner's hooks that point to `url`; `None` is the App.
    async fn hooks_of(
        &self,
        owner: Option<&Scope>,
        url: &Url,
        deadline: Instant,
    ) -> Result<Vec<Hook>, GitHubError> {
        let Some(scope) = owner else {
            let call = Call::get(LOOKING, "/app/hook/config");
            let config: HookConfig = self.answer_to_app(call, deadline).await?.read(LOOKING)?;
            return Ok(if config.is(url) { vec![Hook::App] } else { Vec::new() });
        };
        let listed: Vec<HookAnswer> = self.hooks_listed(scope, LOOKING, deadline).await?;
        let ours = listed.into_iter().filter(|each| each.config.is(url));
        Ok(ours.filter_map(|each| Hook::of(scope, each.id)).collect())
    }

    /// An organization's or a repository's hooks, as far as they are looked at (`GET …/hooks`); an enterprise's cannot be read.
    pub(super) async fn hooks_listed<T: DeserializeOwned>(
        &self,
        scope: &Scope,
        doing: &'static str,
        deadline: Instant,
    ) -> Result<Vec<T>, GitHubError> {
        if matches!(scope, Scope::Enterprise(_)) {
            return Ok(Vec::new());
        }
        let path = format!("/{scope}/hooks");
        let mut hooks = Vec::new();
        for page in 1..=HOOK_PAGES_MOST {
            let call = Call::get(doing, &path).needs(Permission::Webhooks);
            let call = call.query("per_page", PAGE).query("page", page);
            let answer = self.answer(scope, None, call, deadline).await?;
            hooks.extend(answer.read::<Vec<T>>(doing)?);
            if answer.next().is_none() {
                return Ok(hooks);
            }
        }
        let most = HOOK_PAGES_MOST * PAGE;
        tracing::warn!(owner = %scope, most, "an owner has more webhooks than are looked at: ours may be among the others");
        Ok(hooks)
    }

    /// The tries to deliver `workflow_job` events that failed, or that did not, since a moment, newest first: at most
    /// `pages_most` pages of a hundred tries of whatever event (`GET …/deliveries`).
    pub async fn deliveries(
        &self,
        hook: &Hook,
        failed: bool,
        since: Timestamp,
        pages_most: usize,
        deadline: Instant,
    ) -> Result<Deliveries, GitHubError> {
        let path = format!("{}/deliveries", hook.path());
        let mut attempts = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..pages_most {
            let mut call = Call::get(LISTING, &path)
                .query("per_page", PAGE)
                .query("status", if failed { "failure" } else { "success" });
            if let Some(cursor) = &cursor {
                call = call.query("cursor", cursor);
            }
            let answer = self.about(hook, call, deadline).await?;
            let page = answer.read::<Vec<DeliveryAnswer>>(LISTING)?;
            // The order is by id, and by time only nearly.
            let is_last = page.iter().all(|each| each.delivered_at < since);
            attempts.extend(page.into_iter().filter_map(|each| attempt(each, failed, since)));
            cursor = answer.next().and_then(|next| {
                next.query_pairs().find(|(name, _)| name == "cursor").map(|(_, value)| value.into_owned())
            });
            if is_last || cursor.is_none() {
                return Ok(Deliveries { attempts, whole: true });
            }
        }
        Ok(Deliveries { attempts, whole: false })
    }

    /// Asks for a delivery again (`POST …/deliveries/{delivery_id}/attempts`): the same event under the same GUID, soon.
    pub async fn redeliver(&self, hook: &Hook, attempt: u64, deadline: Instant) -> Result<(), GitHubError> {
        const DOING: &str = "asking for a delivery again";
        let path = format!("{}/deliveries/{attempt}/attempts", hook.path());
        self.about(hook, Call::post_nothing(DOING, &path), deadline).await.map(|_| ())
    }

    /// A call about a hook, in its owner's name.
    pub(super) async fn about(
        &self,
        hook: &Hook,
        call: Call<'_>,
        deadline: Instant,
    ) -> Result<Answer, GitHubError> {
        let answer = match hook.scope() {
            None => self.answer_to_app(call, deadline).await,
            Some(scope) => self.answer(&scope, None, call.needs(Permission::Webhooks), deadline).await,
        };
        if let Err(GitHubError::Refused { status: NOT_FOUND, .. }) = &answer
            && let Ok(mut known) = tokio::time::timeout_at(deadline, self.hooks.lock()).await
        {
            // It may have been made anew, under another id.
            known.retain(|each| each != hook);
        }
        answer
    }

    /// A call in the App's own name.
    pub(super) async fn answer_to_app(
        &self,
        call: Call<'_>,
        deadline: Instant,
    ) -> Result<Answer, GitHubError> {
        let doing = call.doing;
        let app = within(deadline, doing, self.auth.app()).await?;
        let answer = self.http.send(&call, &|| app.jwt(), deadline, &self.counting()).await;
        match answer.map_err(|error| not_the_app(error, APPS_HOOK))? {
            Status::Ok(answer) => Ok(answer),
            Status::Said(Said { status, message }) => {
                let why = if status == NOT_FOUND { format!("{message}; {APPS_HOOK}") } else { message };
                Err(GitHubError::Refused { doing, status, why })
            }
        }
    }
}

/// A try that was asked for. Older servers do not know the parameter `status`; newer ones call a redirection a success.
fn attempt(answer: DeliveryAnswer, failed: bool, since: Timestamp) -> Option<Attempt> {
    let DeliveryAnswer { id, guid, delivered_at: at, status_code, event, action } = answer;
    let has_failed = !(200..300).contains(&status_code);
    let is_asked_for = event == "workflow_job" && has_failed == failed && at >= since;
    let tells = Tells::of(action.as_deref());
    is_asked_for.then_some(Attempt { id, guid, at, failed, tells })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(event: &str, status_code: i64, at: &str) -> DeliveryAnswer {
        let delivered_at = at.parse().unwrap();
        let (guid, event, action) = ("g".to_owned(), event.to_owned(), Some("completed".to_owned()));
        DeliveryAnswer { id: 7, guid, delivered_at, status_code, event, action }
    }

    #[test]
    fn only_what_was_asked_for_is_taken() {
        let since = "2026-03-01T12:00:00Z".parse().unwrap();
        let taken = |event, status, at, failed| attempt(answer(event, status, at), failed, since).is_some();
        for (status, failed) in [(202, false), (502, true), (504, true), (401, true), (0, true)] {
            assert!(taken("workflow_job", status, "2026-03-01T12:00:00Z", failed), "{status}");
            assert!(!taken("workflow_job", status, "2026-03-01T12:00:00Z", !failed), "{status}");
            assert!(!taken("ping", status, "2026-03-01T12:00:00Z", failed), "{status}");
            assert!(!taken("workflow_job", status, "2026-03-01T11:59:59.9Z", failed), "{status}");
        }
    }

    #[test]
    fn a_hook_is_known_by_its_address() {
        let ours = Url::parse("https://x.lambda-url.us-east-1.on.aws/webhook").unwrap();
        let is = |url: &str| HookConfig { url: Some(url.to_owned()) }.is(&ours);
        assert!(is("https://x.lambda-url.us-east-1.on.aws/webhook"));
        assert!(is("https://X.lambda-url.us-east-1.on.aws:443/webhook"));
        assert!(!is("https://x.lambda-url.us-east-1.on.aws/"));
        assert!(!is("x.lambda-url.us-east-1.on.aws/webhook"));
        assert!(!HookConfig { url: None }.is(&ours));
    }
}
