//! What a deployment is like at GitHub, for those who check it: read only, and nothing of it is remembered.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use mayfly_core::ids::Repository;
use mayfly_core::policy::Scope;
use serde::Deserialize;
use tokio::time::Instant;

use super::http::{Answer, Call, NOT_FOUND, Said, Status};
use super::refusal::refused;
use super::register::GROUP_PAGES_MOST;
use super::{GitHub, GitHubError, Hook, PAGE, Permission};

/// The App as GitHub has it (`GET /app`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OwnApp {
    /// `name`
    pub name: String,
    /// `permissions`: what it asks for; an installation has what its owner accepted of that.
    pub permissions: BTreeMap<String, String>,
    /// `events`
    pub events: Vec<String>,
}

/// The App at an owner (`GET /…/installation`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InstallationSeen {
    /// `id`
    pub id: u64,
    /// `permissions`
    pub permissions: BTreeMap<String, String>,
    /// `events`
    pub events: Vec<String>,
    /// `suspended_at`: since when it can do nothing.
    pub suspended_at: Option<Timestamp>,
}

/// The runners of a scope (`GET /…/actions/runners`), as far as one page tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnersSeen {
    /// How many there are.
    pub total: usize,
    /// `name` and `version` of those that tell theirs.
    pub versions: Vec<(String, String)>,
    /// A classic token's scopes (`x-oauth-scopes`); no other token has them.
    pub scopes: Option<BTreeSet<String>>,
}

/// A runner group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct GroupSeen {
    /// `id`
    pub id: u64,
    /// `name`
    pub name: String,
    /// `visibility`: `all`, `selected` or `private`.
    pub visibility: String,
    /// `default`
    pub default: bool,
    /// `allows_public_repositories`
    pub allows_public_repositories: bool,
    /// `restricted_to_workflows`
    #[serde(default)]
    pub restricted_to_workflows: bool,
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RepositorySeen {
    /// `full_name`
    pub full_name: String,
    /// `private`
    pub private: bool,
    /// `archived`
    #[serde(default)]
    pub archived: bool,
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookSeen {
    /// Which.
    pub hook: Hook,
    /// Where it goes.
    pub url: Option<String>,
    /// `content_type`: `json` or `form`.
    pub content_type: Option<String>,
    /// Whether it is sent at all. An App's own tells nothing of it.
    pub active: bool,
    /// What it tells of. An App's own has the App's.
    pub events: Vec<String>,
}

/// A try to deliver an event (schema `hook-delivery-item`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Try {
    /// `delivered_at`
    pub delivered_at: Timestamp,
    /// What it was answered; 0 where nobody was reached on older servers, else 502 or 504.
    pub status_code: i64,
    /// The same in GitHub's words.
    pub status: String,
    /// `event`
    pub event: String,
}

#[derive(Deserialize)]
struct Runners {
    total_count: usize,
    runners: Vec<Runner>,
}

#[derive(Deserialize)]
struct Runner {
    name: String,
    version: Option<String>,
}

#[derive(Deserialize)]
struct Groups {
    runner_groups: Vec<GroupSeen>,
}

#[derive(Deserialize)]
struct Repositories {
    repositories: Vec<RepositorySeen>,
}

#[derive(Deserialize)]
struct HookAnswer {
    id: u64,
    active: bool,
    events: Vec<String>,
    config: Target,
}

/// Schema `webhook-config`.
#[derive(Deserialize)]
struct Target {
    url: Option<String>,
    content_type: Option<String>,
}

impl GitHub {
    /// Whether we are an App, and not a token.
    pub fn is_app(&self) -> bool {
        self.auth.is_app()
    }

    /// Whether GitHub answers at all (`GET /meta`, which nobody need sign), and what its clock says.
    pub async fn clock(&self, deadline: Instant) -> Result<Option<Timestamp>, GitHubError> {
        const DOING: &str = "reaching it";
        match self.http.send_once(&Call::get(DOING, "/meta"), deadline).await? {
            Status::Ok(answer) => Ok(date(&answer)),
            Status::Said(Said { status, message }) => {
                Err(GitHubError::Refused { doing: DOING, status, why: message })
            }
        }
    }

    /// The App that we are.
    pub async fn own_app(&self, deadline: Instant) -> Result<OwnApp, GitHubError> {
        const DOING: &str = "looking at the App";
        self.answer_to_app(Call::get(DOING, "/app"), deadline).await?.read(DOING)
    }

    /// The App's installation that acts for a scope: the configured one, or else the scope's own.
    pub async fn installation_seen(
        &self,
        scope: &Scope,
        deadline: Instant,
    ) -> Result<InstallationSeen, GitHubError> {
        const DOING: &str = "looking the App's installation up";
        let path = match self.auth.configured_installation() {
            Some(id) => format!("/app/installations/{id}"),
            None => format!("/{scope}/installation"),
        };
        self.answer_to_app(Call::get(DOING, &path), deadline).await?.read(DOING)
    }

    /// The scope's runners, which nobody sees without the right to register some.
    pub async fn runners_seen(&self, scope: &Scope, deadline: Instant) -> Result<RunnersSeen, GitHubError> {
        const DOING: &str = "listing the runners";
        let path = format!("/{scope}/actions/runners");
        let call = Call::get(DOING, &path).query("per_page", PAGE);
        let answer = self.answer(scope, None, call, deadline).await?;
        let scopes = answer.header("x-oauth-scopes").map(|text| {
            text.split(',').map(|each| each.trim().to_owned()).filter(|each| !each.is_empty()).collect()
        });
        let Runners { total_count, runners } = answer.read(DOING)?;
        let versions = runners.into_iter().filter_map(|each| Some((each.name, each.version?))).collect();
        Ok(RunnersSeen { total: total_count, versions, scopes })
    }

    /// The runner groups of an organization or an enterprise, at most two thousand.
    pub async fn runner_groups(
        &self,
        scope: &Scope,
        deadline: Instant,
    ) -> Result<Vec<GroupSeen>, GitHubError> {
        const DOING: &str = "listing the runner groups";
        let path = format!("/{scope}/actions/runner-groups");
        let mut groups = Vec::new();
        for page in 1..=GROUP_PAGES_MOST {
            let call = Call::get(DOING, &path).query("per_page", PAGE).query("page", page);
            let listed = self.answer(scope, None, call, deadline).await?.read::<Groups>(DOING)?.runner_groups;
            let is_last = listed.len() < PAGE;
            groups.extend(listed);
            if is_last {
                break;
            }
        }
        Ok(groups)
    }

    /// The repositories that a group of visibility `selected` is for, at most two thousand.
    pub async fn group_repositories(
        &self,
        scope: &Scope,
        group: u64,
        deadline: Instant,
    ) -> Result<Vec<RepositorySeen>, GitHubError> {
        const DOING: &str = "listing a runner group's repositories";
        let path = format!("/{scope}/actions/runner-groups/{group}/repositories");
        let mut repositories = Vec::new();
        for page in 1..=GROUP_PAGES_MOST {
            let call = Call::get(DOING, &path).query("per_page", PAGE).query("page", page);
            let answer = self.answer(scope, None, call, deadline).await?;
            let listed = answer.read::<Repositories>(DOING)?.repositories;
            let is_last = listed.len() < PAGE;
            repositories.extend(listed);
            if is_last {
                break;
            }
        }
        Ok(repositories)
    }

    /// A repository; `None` where there is none, or none that we may see.
    pub async fn repository_seen(
        &self,
        scope: &Scope,
        name: &Repository,
        deadline: Instant,
    ) -> Result<Option<RepositorySeen>, GitHubError> {
        const DOING: &str = "looking a repository up";
        let path = format!("/repos/{name}");
        let call = Call::get(DOING, &path).needs(Permission::Metadata);
        match self.send(scope, None, call, deadline).await? {
            Status::Ok(answer) => answer.read(DOING).map(Some),
            Status::Said(Said { status: NOT_FOUND, .. }) => Ok(None),
            Status::Said(said) => Err(refused(DOING, scope, Permission::Metadata, said)),
        }
    }

    /// Where the App's own webhook goes, and what it tells of.
    pub async fn own_hook(&self, app: &OwnApp, deadline: Instant) -> Result<HookSeen, GitHubError> {
        const DOING: &str = "looking where the App's webhook goes";
        let call = Call::get(DOING, "/app/hook/config");
        let Target { url, content_type } = self.answer_to_app(call, deadline).await?.read(DOING)?;
        Ok(HookSeen { hook: Hook::App, url, content_type, active: true, events: app.events.clone() })
    }

    /// The webhooks of an organization or a repository; an enterprise's cannot be read.
    pub async fn hooks_seen(&self, scope: &Scope, deadline: Instant) -> Result<Vec<HookSeen>, GitHubError> {
        const DOING: &str = "listing the webhooks";
        let listed: Vec<HookAnswer> = self.hooks_listed(scope, DOING, deadline).await?;
        let seen = listed.into_iter().filter_map(|each| {
            let HookAnswer { id, active, events, config: Target { url, content_type } } = each;
            Some(HookSeen { hook: Hook::of(scope, id)?, url, content_type, active, events })
        });
        Ok(seen.collect())
    }

    /// A webhook's last hundred tries to deliver something, newest first.
    pub async fn tries(&self, hook: &Hook, deadline: Instant) -> Result<Vec<Try>, GitHubError> {
        const DOING: &str = "listing the webhook's deliveries";
        let path = format!("{}/deliveries", hook.path());
        self.about(hook, Call::get(DOING, &path).query("per_page", PAGE), deadline).await?.read(DOING)
    }
}

/// When an answer was given, by the clock of who gave it (RFC 9110: `date`), in whole seconds.
fn date(answer: &Answer) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(answer.header("date")?).ok().map(|at| at.timestamp())
}
