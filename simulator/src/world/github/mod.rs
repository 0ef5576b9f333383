//! GitHub: its state, and the way of a call through it.

pub(crate) mod auth;
pub(crate) mod checks;
pub(crate) mod deliveries;
pub(crate) mod hooks;
pub(crate) mod installations;
pub(crate) mod manifests;
pub(crate) mod payload;
pub(crate) mod repositories;
pub(crate) mod routes;
pub mod runners;
pub(crate) mod runs;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::World;
use super::ids::{DeliveryId, JobId, RunnerId};
use super::jobs::Job;
use super::request::{Request, Response, with};
use auth::Token;
use checks::CheckRun;
pub use deliveries::Delivery;
use deliveries::Record;
use manifests::Manifest;
use routes::Call;
use runners::Runner;

/// Whose webhook tells of workflow jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookOwner {
    /// The GitHub App's.
    App,
    /// An organization's, by login.
    Organization(String),
    /// A repository's, by `owner/name`.
    Repository(String),
}

/// GitHub's state.
#[derive(Debug, Clone, Default)]
pub(crate) struct GitHub {
    pub jobs: BTreeMap<JobId, Job>,
    pub runs: BTreeMap<u64, Vec<JobId>>,
    /// Queued jobs. Ids grow with age, so the first is the oldest.
    pub queue: BTreeSet<JobId>,
    pub runners: BTreeMap<RunnerId, Runner>,
    /// Runners that are connected and have no job.
    pub idle: BTreeSet<RunnerId>,
    pub tokens: BTreeMap<String, Token>,
    pub seen_jwts: BTreeSet<String>,
    pub deliveries: BTreeMap<DeliveryId, Record>,
    pub outbox: BTreeSet<(Timestamp, DeliveryId)>,
    /// Sent, and not answered yet.
    pub unanswered: BTreeSet<DeliveryId>,
    /// Apps made from a manifest whose code was not exchanged yet, by it.
    pub manifests: BTreeMap<String, Manifest>,
    pub check_runs: BTreeMap<u64, CheckRun>,
    pub rate: RateWindow,
    last_id: u64,
}

/// How much of the hour's allowance of calls is used.
#[derive(Debug, Clone, Default)]
pub(crate) struct RateWindow {
    pub used: u32,
    pub resets: Option<Timestamp>,
}

impl GitHub {
    /// An id of the size that GitHub's have.
    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        30_000_000_000 + self.last_id
    }

    /// Ids of runners are smaller.
    pub fn next_runner_id(&mut self) -> u64 {
        self.last_id += 1;
        1_000 + self.last_id
    }
}

impl World {
    /// A call that was routed, is allowed and well formed.
    pub(crate) fn perform_github(&mut self, now: Timestamp, call: Call, request: &Request) -> Response {
        let body = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        match call {
            Call::GenerateJitConfig(scope) => self.generate_jit_config(now, scope, &body),
            Call::RegistrationToken(scope) => self.registration_token(&scope, request.wall),
            Call::ListRunners(scope) => self.list_runners(&scope, request),
            Call::GetRunner(scope, id) => self.get_runner(&scope, id),
            Call::DeleteRunner(scope, id) => self.delete_runner(now, &scope, id),
            Call::ListRunnerGroups(scope) => self.list_runner_groups(&scope, request),
            Call::GetRunnerGroup(scope, id) => self.get_runner_group(&scope, id),
            Call::RunnerGroupRepositories(scope, id) => self.runner_group_repositories(&scope, id, request),
            Call::GetJob(repository, id) => self.get_job(&repository, id),
            Call::ListRuns(repository) => self.list_runs(&repository, request),
            Call::GetRun(repository, id) => self.get_run(&repository, id),
            Call::RunJobs(repository, id) => self.run_jobs(&repository, id, request),
            Call::CancelRun(repository, id) => self.cancel_run(now, &repository, id),
            Call::CreateCheckRun(repository) => self.create_check_run(now, &repository, &body),
            Call::UpdateCheckRun(repository, id) => self.update_check_run(now, &repository, id, &body),
            Call::GetApp => self.get_app(),
            Call::ListInstallations => self.list_installations(),
            Call::GetInstallation(id) => self.get_installation(id),
            Call::FindInstallation(scope) => self.find_installation(&scope),
            Call::CreateToken(id) => self.create_token(id, request),
            Call::ListHooks(owner) => self.list_hooks(&owner),
            Call::GetHook(owner, id) => self.get_hook(&owner, id),
            Call::HookConfig => self.hook_config(),
            Call::SetHookConfig => self.set_hook_config(&body),
            Call::ConvertManifest(code) => self.convert_manifest(now, &code),
            Call::ListDeliveries(owner, hook) => self.list_deliveries(&owner, hook, request),
            Call::GetDelivery(owner, hook, id) => self.get_delivery(&owner, hook, id),
            Call::Redeliver(owner, hook, id) => self.redeliver(now, &owner, hook, id),
            Call::GetRepository(name) => self.get_repository(&name),
            Call::OrganizationRepositories(login) => self.organization_repositories(&login, request),
            Call::InstallationRepositories => self.installation_repositories(request),
            Call::Meta => Response::json(200, meta()),
            Call::RateLimit => self.rate_limit(),
        }
    }

    /// Count a call against the hour's allowance; false when that is used up.
    pub(crate) fn spend_rate(&mut self, now: Timestamp) -> bool {
        let limit = self.settings.rate_limit;
        let window = &mut self.github.rate;
        if window.resets.is_none_or(|end| now >= end) {
            window.used = 0;
            window.resets = Some(super::timeline::after(now, std::time::Duration::from_secs(3600)));
        }
        let is_left = window.used < limit;
        window.used += u32::from(is_left);
        is_left
    }

    /// The headers that each of GitHub's answers carries.
    pub(crate) fn github_headers(&mut self, response: Response) -> Response {
        let (limit, window) = (self.settings.rate_limit, &self.github.rate);
        let reset = window.resets.map_or(0, Timestamp::as_second);
        let request_id = format!("{:04X}:{:06X}", self.rng.next() & 0xffff, self.rng.next() & 0xff_ffff);
        response
            .header("x-ratelimit-limit", limit)
            .header("x-ratelimit-remaining", limit - window.used.min(limit))
            .header("x-ratelimit-used", window.used)
            .header("x-ratelimit-reset", reset)
            .header("x-ratelimit-resource", "core")
            .header("x-github-request-id", request_id)
            .header("x-github-media-type", "github.v3; format=json")
    }

    fn rate_limit(&self) -> Response {
        let (limit, used) = (self.settings.rate_limit, self.github.rate.used);
        let reset = self.github.rate.resets.map_or(0, Timestamp::as_second);
        let core =
            json!({ "limit": limit, "used": used, "remaining": limit - used.min(limit), "reset": reset });
        let search = json!({ "limit": 30, "used": 0, "remaining": 30, "reset": reset });
        Response::json(200, json!({ "resources": { "core": core, "search": search }, "rate": core }))
    }
}

fn meta() -> Value {
    json!({
        "verifiable_password_authentication": false,
        "hooks": ["192.30.252.0/22", "185.199.108.0/22"],
        "api": ["192.30.252.0/22", "185.199.108.0/22"],
        "actions": ["4.148.0.0/16"],
    })
}

/// An error in GitHub's form.
pub(crate) fn error(status: u16, message: &str) -> Response {
    let body = json!({
        "message": message,
        "documentation_url": "https://docs.github.com/rest",
        "status": status.to_string(),
    });
    Response::json(status, body)
}

pub(crate) fn not_found() -> Response {
    error(404, "Not Found")
}

/// One page of a list, with its `Link` header.
pub(crate) struct Page<'a> {
    request: &'a Request,
    number: usize,
    size: usize,
}

impl<'a> Page<'a> {
    /// `page` from 1, `per_page` from 1 to 100, 30 by default; GitHub bends other values to fit.
    pub fn of(request: &'a Request) -> Self {
        let number = |name: &str| request.parameter(name).and_then(|text| text.parse::<usize>().ok());
        let size = number("per_page").unwrap_or(30).clamp(1, 100);
        Self { request, number: number("page").unwrap_or(1).max(1), size }
    }

    /// The page's part of the list.
    pub fn cut<T>(&self, items: impl IntoIterator<Item = T>) -> Vec<T> {
        items.into_iter().skip((self.number - 1) * self.size).take(self.size).collect()
    }

    /// The answer with a page under this name, beside how many there are in all.
    pub fn answer_list(&self, total: usize, name: &str, page: Vec<Value>) -> Response {
        self.answer(total, with(json!({ "total_count": total }), [(name, Value::Array(page))]))
    }

    /// The answer, with links to the next and the last page when there are some.
    pub fn answer(&self, total: usize, body: Value) -> Response {
        let response = Response::json(200, body);
        if self.number * self.size >= total {
            return response;
        }
        let next = link(self.request, "page", &(self.number + 1).to_string(), "next");
        let last = link(self.request, "page", &total.div_ceil(self.size).to_string(), "last");
        response.header("link", format!("{next}, {last}"))
    }
}

/// One entry of a `Link` header: the request's own address with one parameter changed.
pub(crate) fn link(request: &Request, name: &str, value: &str, relation: &str) -> String {
    let host = request.header("host").unwrap_or("api.github.com");
    let scheme =
        if host.starts_with("127.0.0.1") || host.starts_with("localhost") { "http" } else { "https" };
    let kept = request.query.iter().filter(|(key, _)| key != name);
    let mut query: Vec<String> = kept.map(|(key, value)| format!("{key}={value}")).collect();
    query.push(format!("{name}={value}"));
    format!("<{scheme}://{host}{}?{}>; rel=\"{relation}\"", request.path, query.join("&"))
}
