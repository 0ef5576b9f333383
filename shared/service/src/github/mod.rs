//! GitHub's REST API, as far as runners and the sweep need it.
//!
//! Errors are typed by what the caller does next. Every call has a deadline; a reply that was lost is asked for
//! again only where that is safe.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mayfly_core::ids::{InstallationId, Repository};
use mayfly_core::pace::Allowance;
use mayfly_core::policy::Scope;
use reqwest::Url;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config::GitHubConfig;
use crate::tally::Counts;

mod allowance;
mod app;
mod auth;
mod checks;
mod hooks;
mod http;
mod inspect;
mod jobs;
mod link;
mod refusal;
mod register;
mod repositories;
mod runners;
mod runs;
mod said;

pub use app::{NewApp, PointedWebhook, app_of_manifest};
use auth::Auth;
pub use checks::JobsCommit;
pub use hooks::{Deliveries, Hook};
pub(crate) use http::NOT_FOUND;
use http::{Answer, Call, Http, Status, within};
pub use inspect::{GroupSeen, HookSeen, InstallationSeen, OwnApp, RepositorySeen, RunnersSeen, Try};
pub use jobs::{RunStatus, RunsPage};
pub(crate) use refusal::{FORBIDDEN, UNAUTHORIZED};
use refusal::{Permission, hinted, refused};
pub use register::Registration;
pub use runners::Removal;
use runs::Runs;

/// Why GitHub did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    /// It asks to be left alone for a while (403 or 429 with `retry-after` or an exhausted rate limit).
    #[error("GitHub: {doing}: rate limited, to be asked again in {} s", retry_after.as_secs())]
    RateLimited {
        /// What was being done.
        doing: &'static str,
        /// For how long.
        retry_after: Duration,
    },
    /// It will not, until somebody mends the configuration or the permissions.
    #[error("GitHub: {doing}: refused with {status}: {why}")]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// The HTTP status.
        status: u16,
        /// GitHub's message, and what to do about it.
        why: String,
    },
    /// It could not, for a reason that passes: no answer, an error of its own, or garbage.
    #[error("GitHub: {doing}: {why}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// Why.
        why: String,
    },
}

/// GitHub's pages have at most so many entries (`per_page`).
const PAGE: usize = 100;
/// What is kept of a runner's or a group's name, in characters: a runner's has at most 64.
const NAME_LONGEST: usize = 100;

/// The client. Cheap to make: its connection, keys and tokens come when they are first needed.
#[derive(Debug)]
pub struct GitHub {
    http: Http,
    auth: Auth,
    /// Which hook is ours, where the configuration says.
    webhook_url: Option<Url>,
    groups: Mutex<BTreeMap<(Scope, String), u64>>,
    hooks: Mutex<Vec<Hook>>,
    /// With when they were read.
    repositories: Mutex<BTreeMap<Scope, (Instant, Vec<Repository>)>>,
    runs: Runs,
    calls: AtomicU64,
}

impl GitHub {
    /// A client for the configured GitHub.
    pub fn new(config: &GitHubConfig) -> Self {
        Self {
            http: Http::new(config.api_url.clone()),
            auth: Auth::new(config.login.clone()),
            webhook_url: config.webhook_url.clone(),
            groups: Mutex::new(BTreeMap::new()),
            hooks: Mutex::new(Vec::new()),
            repositories: Mutex::new(BTreeMap::new()),
            runs: Runs::default(),
            calls: AtomicU64::new(0),
        }
    }

    /// A client whose requests a simulation answers.
    #[cfg(feature = "simulation")]
    pub(crate) fn in_process(config: &GitHubConfig, outside: &crate::simulation::Outside) -> Self {
        let mut github = Self::new(config);
        github.http.outside = Some(outside.github.clone());
        github
    }

    /// For how long GitHub asks to be left alone, as far as this process was told: what can wait should.
    pub fn limited_for(&self) -> Option<Duration> {
        self.http.limited_for()
    }

    /// What is left of the hourly limit, as far as answers told this process; the tightest where several tokens are in use.
    pub fn allowance(&self) -> Option<Allowance> {
        self.http.allowance()
    }

    /// How many requests were sent so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// How requests were answered so far.
    pub(crate) fn answers(&self) -> Counts {
        self.http.answers.counts()
    }

    /// Sends a call for a scope, with a fresh token if the first one is no longer taken.
    async fn send(
        &self,
        scope: &Scope,
        installation: Option<InstallationId>,
        call: Call<'_>,
        deadline: Instant,
    ) -> Result<Status, GitHubError> {
        let count = self.counting();
        let token = || {
            within(deadline, call.doing, self.auth.token(&self.http, scope, installation, deadline, &count))
        };
        let first = token().await?;
        let answer = match self.http.send(&call, &|| Ok(first.clone()), deadline, &count).await {
            Err(GitHubError::Refused { status: UNAUTHORIZED, .. })
                if self.auth.forget(&first, deadline).await =>
            {
                let second = token().await?;
                self.http.send(&call, &|| Ok(second.clone()), deadline, &count).await
            }
            answer => answer,
        };
        answer.map_err(|error| hinted(scope, call.needs, error))
    }

    /// Sends a call for a scope that is good for nothing but a success.
    async fn answer(
        &self,
        scope: &Scope,
        installation: Option<InstallationId>,
        call: Call<'_>,
        deadline: Instant,
    ) -> Result<Answer, GitHubError> {
        let (doing, needs) = (call.doing, call.needs);
        match self.send(scope, installation, call, deadline).await? {
            Status::Ok(answer) => Ok(answer),
            Status::Said(said) => Err(refused(doing, scope, needs, said)),
        }
    }

    fn counting(&self) -> impl Fn() + Sync {
        || {
            self.calls.fetch_add(1, Ordering::Relaxed);
        }
    }
}
