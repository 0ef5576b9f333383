//! GitHub's REST API, as far as runners need it.
//!
//! Errors are typed by what the caller does next. Every call has a deadline; a reply that was lost is asked for
//! again only where that is safe.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mayfly_core::ids::{InstallationId, RunnerId, RunnerName};
use mayfly_core::job::Job;
use mayfly_core::labels::Labels;
use mayfly_core::policy::{Pool, Scope};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use crate::config::GitHubConfig;
use crate::secret::Secret;

mod auth;
mod http;

use auth::Auth;
use http::{CONFLICT, Call, Http, NOT_FOUND, Said, Status, within};

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

/// A runner registered just in time: its id, and what its VM starts it with.
#[derive(Debug)]
pub struct Registration {
    /// Its id.
    pub runner_id: RunnerId,
    /// `encoded_jit_config`: good for one runner and one job.
    pub jit_config: Secret,
}

/// What became of a registration that was to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is gone, now or already.
    Gone,
    /// The runner is busy, and GitHub keeps it (422).
    Busy,
}

/// How far a job is, as GitHub has it (`status` of `GET /repos/{owner}/{repo}/actions/jobs/{job_id}`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobProgress {
    /// It waits for a runner.
    Queued,
    /// It waits for a person's approval.
    Held,
    /// A runner has it.
    Running,
    /// It is over.
    Over,
}

/// GitHub's pages have at most so many entries (`per_page`).
const PAGE: usize = 100;
/// An organization's runner groups are looked through for so many pages.
const GROUP_PAGES_MOST: usize = 20;
/// What a runner group is called that everybody has.
const DEFAULT_GROUP: &str = "default";

/// The client. Cheap to make: its connection, keys and tokens come when they are first needed.
#[derive(Debug)]
pub struct GitHub {
    http: Http,
    auth: Auth,
    groups: Mutex<BTreeMap<(Scope, String), u64>>,
    calls: AtomicU64,
}

#[derive(Deserialize)]
struct JitAnswer {
    runner: RunnerAnswer,
    encoded_jit_config: String,
}

#[derive(Deserialize)]
struct RunnerAnswer {
    id: u64,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct RunnersAnswer {
    runners: Vec<RunnerAnswer>,
}

#[derive(Deserialize)]
struct JobAnswer {
    status: String,
}

#[derive(Deserialize)]
struct GroupsAnswer {
    runner_groups: Vec<GroupAnswer>,
}

#[derive(Deserialize)]
struct GroupAnswer {
    id: u64,
    name: String,
}

impl GitHub {
    /// A client for the configured GitHub.
    pub fn new(config: &GitHubConfig) -> Self {
        Self {
            http: Http::new(config.api_url.clone()),
            auth: Auth::new(config.login.clone()),
            groups: Mutex::new(BTreeMap::new()),
            calls: AtomicU64::new(0),
        }
    }

    /// How many requests were sent so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Registers a runner for one job. A name that is registered already means that an earlier reply was lost: that
    /// registration is deleted, and the runner registered again.
    pub async fn register(
        &self,
        pool: &Pool,
        runner: &RunnerName,
        installation: Option<InstallationId>,
        deadline: Instant,
    ) -> Result<Registration, GitHubError> {
        const DOING: &str = "registering a runner";
        let group = self.group(pool, installation, deadline).await?;
        let path = format!("{}/actions/runners/generate-jitconfig", scope_path(&pool.scope));
        let body = jit_request(runner, group, &pool.labels);
        // The second round is for a name that an earlier try of ours left behind.
        for _ in 0..2 {
            let call = Call::post(DOING, &path, &body);
            match self.send(&pool.scope, installation, call, deadline).await? {
                Status::Ok(answer) => {
                    let answer: JitAnswer = answer.read(DOING)?;
                    let runner_id = RunnerId(answer.runner.id);
                    return Ok(Registration {
                        runner_id,
                        jit_config: Secret::new(answer.encoded_jit_config),
                    });
                }
                Status::Said(Said { status: CONFLICT, .. }) => {
                    if self.remove_by_name(pool, runner, installation, deadline).await? == Removal::Busy {
                        let why = "a runner of this name is busy already".to_owned();
                        return Err(GitHubError::Refused { doing: DOING, status: CONFLICT, why });
                    }
                }
                Status::Said(said) => return Err(refused(DOING, &pool.scope, said)),
            }
        }
        Err(GitHubError::Unavailable { doing: DOING, why: "the name stays registered".to_owned() })
    }

    /// Deletes a registration. GitHub refuses when the runner is busy, so no busy runner can be lost by it.
    pub async fn remove(
        &self,
        scope: &Scope,
        runner: RunnerId,
        installation: Option<InstallationId>,
        deadline: Instant,
    ) -> Result<Removal, GitHubError> {
        let path = format!("{}/actions/runners/{runner}", scope_path(scope));
        let call = Call::delete(REMOVING, &path);
        match self.send(scope, installation, call, deadline).await? {
            Status::Ok(_) => Ok(Removal::Gone),
            Status::Said(said @ Said { status: NOT_FOUND, .. }) => {
                // Also what it answers to those who must not see the runner; only who sees the others knows it is gone.
                let path = format!("{}/actions/runners", scope_path(scope));
                let list = Call::get(REMOVING, &path).query("per_page", 1);
                match self.send(scope, installation, list, deadline).await? {
                    Status::Ok(_) => Ok(Removal::Gone),
                    Status::Said(_) => Err(refused(REMOVING, scope, said)),
                }
            }
            Status::Said(_) => Ok(Removal::Busy),
        }
    }

    /// Deletes the registration of that name, if there is one.
    pub async fn remove_by_name(
        &self,
        pool: &Pool,
        runner: &RunnerName,
        installation: Option<InstallationId>,
        deadline: Instant,
    ) -> Result<Removal, GitHubError> {
        match self.find(pool, runner, installation, deadline).await? {
            Some(id) => self.remove(&pool.scope, id, installation, deadline).await,
            None => Ok(Removal::Gone),
        }
    }

    /// The id of the runner of that name, if one is registered.
    pub async fn find(
        &self,
        pool: &Pool,
        runner: &RunnerName,
        installation: Option<InstallationId>,
        deadline: Instant,
    ) -> Result<Option<RunnerId>, GitHubError> {
        const DOING: &str = "looking a runner up";
        let path = format!("{}/actions/runners", scope_path(&pool.scope));
        let call = Call::get(DOING, &path).query("name", runner.as_str()).query("per_page", PAGE);
        match self.send(&pool.scope, installation, call, deadline).await? {
            Status::Ok(answer) => {
                let answer: RunnersAnswer = answer.read(DOING)?;
                let same = answer.runners.into_iter().find(|found| found.name == runner.as_str());
                Ok(same.map(|found| RunnerId(found.id)))
            }
            Status::Said(said) => Err(refused(DOING, &pool.scope, said)),
        }
    }

    /// How far a job is; for when its events may have been lost.
    pub async fn job_progress(&self, job: &Job, deadline: Instant) -> Result<JobProgress, GitHubError> {
        const DOING: &str = LOOKING_A_JOB_UP;
        let scope = Scope::Repository(job.repository.clone());
        let path = format!("{}/actions/jobs/{}", scope_path(&scope), job.id);
        match self.send(&scope, job.installation, Call::get(DOING, &path), deadline).await? {
            Status::Ok(answer) => Ok(match answer.read::<JobAnswer>(DOING)?.status.as_str() {
                "completed" => JobProgress::Over,
                "in_progress" => JobProgress::Running,
                "waiting" => JobProgress::Held,
                _ => JobProgress::Queued,
            }),
            // 404 is also what it answers to those who must not see the job: it proves nothing.
            Status::Said(said) => Err(refused(DOING, &scope, said)),
        }
    }

    /// The id of the pool's runner group; looked up once, then remembered.
    async fn group(
        &self,
        pool: &Pool,
        installation: Option<InstallationId>,
        deadline: Instant,
    ) -> Result<u64, GitHubError> {
        const DOING: &str = "looking a runner group up";
        if matches!(pool.scope, Scope::Repository(_)) {
            // Repositories have only the default group, whose id is 1.
            return Ok(1);
        }
        let name = pool.runner_group.to_lowercase();
        // Kept locked while it is looked up: those who come at the same time want the same.
        let mut groups = within(deadline, DOING, async { Ok(self.groups.lock().await) }).await?;
        if let Some(id) = groups.get(&(pool.scope.clone(), name.clone())) {
            return Ok(*id);
        }
        let path = format!("{}/actions/runner-groups", scope_path(&pool.scope));
        let mut seen = Vec::new();
        for page in 1..=GROUP_PAGES_MOST {
            let call = Call::get(DOING, &path).query("per_page", PAGE).query("page", page);
            let answer = match self.send(&pool.scope, installation, call, deadline).await? {
                Status::Ok(answer) => answer.read::<GroupsAnswer>(DOING)?.runner_groups,
                Status::Said(said) => return Err(refused(DOING, &pool.scope, said)),
            };
            if let Some(group) = answer.iter().find(|group| group.name.to_lowercase() == name) {
                groups.insert((pool.scope.clone(), name), group.id);
                return Ok(group.id);
            }
            let last = answer.len() < PAGE;
            seen.extend(answer.into_iter().map(|group| group.name));
            if last {
                break;
            }
        }
        if name == DEFAULT_GROUP {
            // It may have been renamed; its id is 1 all the same.
            return Ok(1);
        }
        let why = format!("no runner group `{}`; there are: {}", pool.runner_group, seen.join(", "));
        Err(GitHubError::Refused { doing: DOING, status: NOT_FOUND, why })
    }

    /// Sends a call for a scope, with a fresh token if the first one is no longer taken.
    async fn send(
        &self,
        scope: &Scope,
        installation: Option<InstallationId>,
        call: Call<'_>,
        deadline: Instant,
    ) -> Result<Status, GitHubError> {
        let count = || {
            self.calls.fetch_add(1, Ordering::Relaxed);
        };
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
        answer.map_err(|error| hinted(scope, error))
    }
}

/// The credentials are not taken.
const UNAUTHORIZED: u16 = 401;
/// They are, but do not allow this.
const FORBIDDEN: u16 = 403;
const REMOVING: &str = "deleting a runner";
const LOOKING_A_JOB_UP: &str = "looking a job up";

fn jit_request(runner: &RunnerName, group: u64, labels: &Labels) -> serde_json::Value {
    json!({
        "name": runner.as_str(),
        "runner_group_id": group,
        "labels": labels.as_slice(),
        "work_folder": "_work",
    })
}

fn scope_path(scope: &Scope) -> String {
    match scope {
        Scope::Organization(login) => format!("/orgs/{login}"),
        Scope::Repository(repository) => format!("/repos/{repository}"),
        Scope::Enterprise(slug) => format!("/enterprises/{slug}"),
    }
}

fn refused(doing: &'static str, scope: &Scope, said: Said) -> GitHubError {
    let Said { status, message } = said;
    // What it finds wrong with a request has nothing to do with permissions.
    let why = if status == NOT_FOUND { told(doing, scope, &message) } else { message };
    GitHubError::Refused { doing, status, why }
}

/// A refusal, with what to do about it.
fn hinted(scope: &Scope, error: GitHubError) -> GitHubError {
    match error {
        GitHubError::Refused { doing, status: status @ FORBIDDEN, why } => {
            GitHubError::Refused { doing, status, why: told(doing, scope, &why) }
        }
        GitHubError::Refused { doing, status: status @ UNAUTHORIZED, why } => {
            let why = format!("{why}; has the token expired, or been revoked?");
            GitHubError::Refused { doing, status, why }
        }
        GitHubError::Refused { .. } | GitHubError::RateLimited { .. } | GitHubError::Unavailable { .. } => {
            error
        }
    }
}

/// GitHub answers 404 for what exists but must not be seen: say so.
fn told(doing: &str, scope: &Scope, why: &str) -> String {
    let (what, permission) = match scope {
        Scope::Organization(_) => {
            ("organization", "the organization permission `Self-hosted runners: write`")
        }
        Scope::Repository(_) if doing == LOOKING_A_JOB_UP => {
            ("repository", "the repository permission `Actions: read`")
        }
        Scope::Repository(_) => ("repository", "the repository permission `Administration: write`"),
        Scope::Enterprise(_) => {
            ("enterprise", "the enterprise permission `Enterprise self-hosted runners: write`")
        }
    };
    format!(
        "{why}; does the {what} exist, is the App installed there, and does it (or the token) have {permission}?"
    )
}
