//! Self-hosted runners and their groups.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Page, error, not_found};
use crate::world::World;
use crate::world::history::HappeningKind;
use crate::world::ids::{JobId, RunnerId, VmId};
use crate::world::jobs::RunnerRef;
use crate::world::request::{Request, Response};
use crate::world::scheduler::takes;
use crate::world::settings::{GroupVisibility, RunnerGroup};
use crate::world::timeline::{Due, after};

/// Where a runner is registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Scope {
    /// An organization, by login.
    Organization(String),
    /// A repository, by `owner/name`.
    Repository(String),
    /// An enterprise, by slug.
    Enterprise(String),
}

impl Scope {
    /// GitHub's names are the same in any case.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Organization(a), Self::Organization(b))
            | (Self::Repository(a), Self::Repository(b))
            | (Self::Enterprise(a), Self::Enterprise(b)) => a.eq_ignore_ascii_case(b),
            (Self::Organization(_) | Self::Repository(_) | Self::Enterprise(_), _) => false,
        }
    }
}

/// A registered JIT runner. It takes one job, and is gone from the list when that ends.
#[derive(Debug, Clone)]
pub(crate) struct Runner {
    pub id: RunnerId,
    pub name: String,
    pub scope: Scope,
    pub group_id: u64,
    pub labels: Vec<String>,
    /// What its configuration must show to connect.
    pub secret: String,
    /// It holds a connection right now.
    pub connected: bool,
    /// It ever held one: a JIT configuration is good for one start.
    pub started: bool,
    /// What GitHub shows; it lags behind a lost connection.
    pub online: bool,
    pub job: Option<JobId>,
    pub vm: Option<VmId>,
}

impl Runner {
    fn body(&self) -> Value {
        let labels: Vec<Value> = self.labels.iter().enumerate().map(|(at, name)| label(at, name)).collect();
        let windows = self.labels.iter().any(|label| label.eq_ignore_ascii_case("windows"));
        let os = if !self.started {
            "unknown"
        } else if windows {
            "Windows"
        } else {
            "Linux"
        };
        json!({
            "id": self.id.0,
            "runner_group_id": self.group_id,
            "name": self.name,
            "os": os,
            "status": if self.online { "online" } else { "offline" },
            "busy": self.job.is_some(),
            "labels": labels,
            "ephemeral": true,
            "version": "2.330.0",
        })
    }
}

fn label(at: usize, name: &str) -> Value {
    let own = ["self-hosted", "linux", "windows", "macos", "x64", "arm64"];
    let known = own.iter().any(|each| each.eq_ignore_ascii_case(name));
    json!({ "id": at + 1, "name": name, "type": if known { "read-only" } else { "custom" } })
}

impl World {
    fn scope_exists(&self, scope: &Scope) -> bool {
        match scope {
            Scope::Organization(login) => self.settings.has_organization(login),
            Scope::Repository(name) => self.settings.repository(name).is_some(),
            Scope::Enterprise(slug) => self.settings.enterprise.as_ref() == Some(slug),
        }
    }

    pub(crate) fn generate_jit_config(&mut self, now: Timestamp, scope: Scope, body: &Value) -> Response {
        let name = body["name"].as_str().unwrap_or_default().to_owned();
        let listed = body["labels"].as_array();
        let labels: Vec<String> =
            listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        let group_id = body["runner_group_id"].as_u64().unwrap_or_default();
        if let Err(refusal) = self.check_jit(&scope, &name, &labels, group_id) {
            return refusal;
        }
        let id = self.insert_runner(now, scope, &name, labels, group_id);
        let Some(runner) = self.github.runners.get(&id) else { return not_found() };
        let (body, secret) = (runner.body(), runner.secret.clone());
        let config = self.encode_jit_config(id, &name, &secret);
        Response::json(201, json!({ "runner": body, "encoded_jit_config": config }))
    }

    /// Somebody registers a runner by hand and never starts it: one that no VM stands behind. GitHub forgets it like any
    /// other that is not connected.
    pub fn register_runner(&mut self, now: Timestamp, scope: Scope, name: &str, labels: &[&str]) -> RunnerId {
        self.advance(now);
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.insert_runner(now, scope, name, labels, 1)
    }

    fn insert_runner(
        &mut self,
        now: Timestamp,
        scope: Scope,
        name: &str,
        labels: Vec<String>,
        group_id: u64,
    ) -> RunnerId {
        let id = RunnerId(self.github.next_runner_id());
        let runner = Runner {
            id,
            name: name.to_owned(),
            scope,
            group_id,
            labels,
            secret: self.rng.text(32),
            connected: false,
            started: false,
            online: false,
            job: None,
            vm: None,
        };
        self.note(now, HappeningKind::RunnerRegistered, format!("runner {name} is registered"));
        self.github.runners.insert(id, runner);
        self.timeline.at(after(now, self.settings.timing.registration_kept), Due::RegistrationExpires(id));
        id
    }

    fn check_jit(&self, scope: &Scope, name: &str, labels: &[String], group: u64) -> Result<(), Response> {
        let in_repository = matches!(scope, Scope::Repository(_));
        let known = self.settings.runner_groups.iter().any(|each| each.id == group);
        if !self.scope_exists(scope) || !known || (in_repository && group != 1) {
            return Err(not_found());
        }
        if name.is_empty() || name.chars().count() > 64 {
            return Err(error(422, "Invalid name: it must have 1 to 64 characters"));
        }
        let too_long = labels.iter().any(|label| label.is_empty() || label.chars().count() > 256);
        if labels.is_empty() || labels.len() > 100 || too_long {
            return Err(error(422, "Invalid labels: 1 to 100 labels of 1 to 256 characters are needed"));
        }
        let taken = |runner: &&Runner| runner.scope.is(scope) && runner.name.eq_ignore_ascii_case(name);
        if self.github.runners.values().any(|runner| taken(&runner)) {
            return Err(error(409, "Already exists - A runner with the name is already registered"));
        }
        Ok(())
    }

    /// Base64 of an object of base64 files, some KB of it, as the runner wants it.
    fn encode_jit_config(&mut self, id: RunnerId, name: &str, secret: &str) -> String {
        let inner = |value: Value| STANDARD.encode(value.to_string());
        let runner = json!({
            "AgentId": id.0, "AgentName": name, "PoolId": 1, "PoolName": "Default", "Ephemeral": true,
            "DisableUpdate": true, "ServerUrl": "https://pipelines.actions.githubusercontent.com/",
            "GitHubUrl": "https://github.com/", "WorkFolder": "_work", "UseV2Flow": true,
        });
        let credentials = json!({ "Scheme": "OAuth", "Data": { "ClientId": secret,
            "AuthorizationUrl": "https://vstoken.actions.githubusercontent.com/" } });
        let key = json!({ "modulus": self.rng.text(344), "d": self.rng.text(344), "p": self.rng.text(172),
            "q": self.rng.text(172), "dp": self.rng.text(172), "dq": self.rng.text(172),
            "inverseQ": self.rng.text(172), "exponent": "AQAB" });
        let files = json!({ ".runner": inner(runner), ".credentials": inner(credentials),
            ".credentials_rsaparams": inner(key) });
        STANDARD.encode(files.to_string())
    }

    pub(crate) fn registration_token(&mut self, scope: &Scope, wall: Timestamp) -> Response {
        if !self.scope_exists(scope) {
            return not_found();
        }
        let expires = after(wall, std::time::Duration::from_secs(3600));
        Response::json(201, json!({ "token": self.rng.text(29), "expires_at": expires.to_string() }))
    }

    pub(crate) fn list_runners(&self, scope: &Scope, request: &Request) -> Response {
        if !self.scope_exists(scope) {
            return not_found();
        }
        let name = request.parameter("name");
        let fits = |runner: &&Runner| runner.scope.is(scope) && name.is_none_or(|name| runner.name == name);
        let all: Vec<&Runner> = self.github.runners.values().filter(fits).collect();
        let (page, total) = (Page::of(request), all.len());
        let runners: Vec<Value> = page.cut(all).into_iter().map(Runner::body).collect();
        page.answer_list(total, "runners", runners)
    }

    fn runner_in(&self, scope: &Scope, id: RunnerId) -> Option<&Runner> {
        self.github.runners.get(&id).filter(|runner| runner.scope.is(scope))
    }

    pub(crate) fn get_runner(&self, scope: &Scope, id: RunnerId) -> Response {
        self.runner_in(scope, id).map_or_else(not_found, |runner| Response::json(200, runner.body()))
    }

    pub(crate) fn delete_runner(&mut self, now: Timestamp, scope: &Scope, id: RunnerId) -> Response {
        let Some(runner) = self.runner_in(scope, id) else { return not_found() };
        if runner.job.is_some() {
            let text = format!("Bad request - Runner \"{}\" is still running a job", runner.name);
            return error(422, &text);
        }
        self.remove_runner(now, id, "was deleted");
        Response::empty(204)
    }

    pub(crate) fn runner_ref(&self, id: RunnerId) -> Option<RunnerRef> {
        let runner = self.github.runners.get(&id)?;
        let group = self.settings.runner_groups.iter().find(|group| group.id == runner.group_id);
        Some(RunnerRef {
            id,
            name: runner.name.clone(),
            group_id: runner.group_id,
            group_name: group.map_or_else(|| "Default".to_owned(), |group| group.name.clone()),
        })
    }

    /// A runner is no longer registered. One that is connected notices, and its guest powers off.
    pub(crate) fn remove_runner(&mut self, now: Timestamp, id: RunnerId, why: &str) {
        let Some(runner) = self.github.runners.remove(&id) else { return };
        self.github.idle.remove(&id);
        self.note(now, HappeningKind::RunnerGone, format!("runner {} {why}", runner.name));
        if let (true, Some(vm)) = (runner.connected, runner.vm) {
            self.guest_is_done(now, vm);
        }
    }

    /// GitHub drops a runner that is idle (never one with a job).
    pub fn drop_runner(&mut self, now: Timestamp, id: RunnerId) {
        self.advance(now);
        if self.github.runners.get(&id).is_some_and(|runner| runner.job.is_none()) {
            self.remove_runner(now, id, "was dropped by GitHub");
        }
    }

    /// The only job of a runner ended.
    pub(crate) fn runner_is_done(&mut self, now: Timestamp, id: RunnerId) {
        self.remove_runner(now, id, "is done with its job");
    }

    /// A runner found no job.
    pub(crate) fn runner_idles(&mut self, now: Timestamp, id: RunnerId) {
        if self.faults.guests.runner_dropped.strikes(&mut self.rng) {
            let at = after(now, self.faults.guests.dropped_after);
            self.timeline.at(at, Due::RunnerIsDropped(id));
        }
    }

    /// The runner's machine is gone from one moment to the next.
    pub(crate) fn disconnect_runner(&mut self, now: Timestamp, id: RunnerId) {
        let timing = &self.settings.timing;
        let (offline, lost, kept) = (timing.offline_after, timing.job_lost_after, timing.registration_kept);
        let Some(runner) = self.github.runners.get_mut(&id) else { return };
        runner.connected = false;
        self.github.idle.remove(&id);
        self.timeline.at(after(now, offline), Due::RunnerSeemsOffline(id));
        match runner.job {
            Some(job) => self.timeline.at(after(now, lost), Due::JobIsLost(job)),
            None => self.timeline.at(after(now, kept), Due::RegistrationExpires(id)),
        }
    }

    pub(crate) fn runner_seems_offline(&mut self, now: Timestamp, id: RunnerId) {
        let Some(runner) = self.github.runners.get_mut(&id) else { return };
        if !runner.connected && runner.online {
            runner.online = false;
            let text = format!("runner {} is offline", runner.name);
            self.note(now, HappeningKind::RunnerOffline, text);
        }
    }

    pub(crate) fn registration_expires(&mut self, now: Timestamp, id: RunnerId) {
        if self.github.runners.get(&id).is_some_and(|runner| !runner.connected && runner.job.is_none()) {
            self.remove_runner(now, id, "was forgotten by GitHub");
        }
    }

    pub(crate) fn list_runner_groups(&self, scope: &Scope, request: &Request) -> Response {
        if !self.scope_exists(scope) {
            return not_found();
        }
        let visible = |group: &&RunnerGroup| match request.parameter("visible_to_repository") {
            None => true,
            Some(name) => {
                self.settings.repositories.iter().any(|each| each.name == name && takes(group, each))
            }
        };
        let all: Vec<&RunnerGroup> = self.settings.runner_groups.iter().filter(visible).collect();
        let (page, total) = (Page::of(request), all.len());
        let groups: Vec<Value> = page.cut(all).into_iter().map(|group| group_body(scope, group)).collect();
        page.answer_list(total, "runner_groups", groups)
    }

    fn group(&self, scope: &Scope, id: u64) -> Option<&RunnerGroup> {
        self.scope_exists(scope).then(|| self.settings.runner_groups.iter().find(|group| group.id == id))?
    }

    pub(crate) fn get_runner_group(&self, scope: &Scope, id: u64) -> Response {
        self.group(scope, id).map_or_else(not_found, |group| Response::json(200, group_body(scope, group)))
    }

    pub(crate) fn runner_group_repositories(&self, scope: &Scope, id: u64, request: &Request) -> Response {
        let (Some(group), Scope::Organization(login)) = (self.group(scope, id), scope) else {
            return not_found();
        };
        let of_org = self.settings.repositories.iter().filter(|each| each.owner.eq_ignore_ascii_case(login));
        let all: Vec<_> = of_org.filter(|each| takes(group, each)).collect();
        let (page, total) = (Page::of(request), all.len());
        let bodies: Vec<Value> = page.cut(all).into_iter().map(super::payload::repository).collect();
        page.answer_list(total, "repositories", bodies)
    }
}

fn group_body(scope: &Scope, group: &RunnerGroup) -> Value {
    let visibility = match group.visibility {
        GroupVisibility::All => "all",
        GroupVisibility::Selected(_) => "selected",
        GroupVisibility::Private => "private",
    };
    let place = match scope {
        Scope::Organization(login) => format!("orgs/{login}"),
        Scope::Repository(name) => format!("repos/{name}"),
        Scope::Enterprise(slug) => format!("enterprises/{slug}"),
    };
    json!({
        "id": group.id,
        "name": group.name,
        "visibility": visibility,
        "default": group.id == 1,
        "runners_url": format!("https://api.github.com/{place}/actions/runner-groups/{}/runners", group.id),
        "inherited": false,
        "allows_public_repositories": group.allows_public_repositories,
        "restricted_to_workflows": false,
        "selected_workflows": [],
        "workflow_restrictions_read_only": false,
    })
}
