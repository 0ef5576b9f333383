//! Which of GitHub's calls a request is, and what it may hold.

use super::HookOwner;
use super::checks;
use super::runners::Scope;
use crate::world::call::Route;
use crate::world::ids::{DeliveryId, JobId, RunnerId};
use crate::world::request::Method::{self, Delete, Get, Patch, Post};
use crate::world::shape::{Parameter, Shape};

/// A call on GitHub's REST API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    GenerateJitConfig(Scope),
    RegistrationToken(Scope),
    ListRunners(Scope),
    GetRunner(Scope, RunnerId),
    DeleteRunner(Scope, RunnerId),
    ListRunnerGroups(Scope),
    GetRunnerGroup(Scope, u64),
    RunnerGroupRepositories(Scope, u64),
    GetJob(String, JobId),
    ListRuns(String),
    GetRun(String, u64),
    RunJobs(String, u64),
    CancelRun(String, u64),
    CreateCheckRun(String),
    UpdateCheckRun(String, u64),
    GetApp,
    ListInstallations,
    GetInstallation(u64),
    FindInstallation(Scope),
    CreateToken(u64),
    ListHooks(HookOwner),
    GetHook(HookOwner, u64),
    HookConfig,
    SetHookConfig,
    ConvertManifest(String),
    ListDeliveries(HookOwner, Option<u64>),
    GetDelivery(HookOwner, Option<u64>, DeliveryId),
    Redeliver(HookOwner, Option<u64>, DeliveryId),
    GetRepository(String),
    OrganizationRepositories(String),
    InstallationRepositories,
    Meta,
    RateLimit,
}

const PAGE: &[Parameter] = &[("per_page", Shape::Int), ("page", Shape::Int)];
const RUNNERS: &[Parameter] = &[("per_page", Shape::Int), ("page", Shape::Int), ("name", Shape::Text)];
const ORG_GROUPS: &[Parameter] =
    &[("per_page", Shape::Int), ("page", Shape::Int), ("visible_to_repository", Shape::Text)];
const ENTERPRISE_GROUPS: &[Parameter] =
    &[("per_page", Shape::Int), ("page", Shape::Int), ("visible_to_organization", Shape::Text)];
const RUN: &[Parameter] = &[("exclude_pull_requests", Shape::Bool)];
const RUN_JOBS: &[Parameter] =
    &[("filter", Shape::OneOf(&["latest", "all"])), ("per_page", Shape::Int), ("page", Shape::Int)];
const RUNS: &[Parameter] = &[
    ("actor", Shape::Text),
    ("branch", Shape::Text),
    ("event", Shape::Text),
    ("status", Shape::OneOf(RUN_STATUSES)),
    ("per_page", Shape::Int),
    ("page", Shape::Int),
    ("created", Shape::Text),
    ("exclude_pull_requests", Shape::Bool),
    ("check_suite_id", Shape::Int),
    ("head_sha", Shape::Text),
];
const RUN_STATUSES: &[&str] = &[
    "completed",
    "action_required",
    "cancelled",
    "failure",
    "neutral",
    "skipped",
    "stale",
    "success",
    "timed_out",
    "in_progress",
    "queued",
    "requested",
    "waiting",
    "pending",
];
const INSTALLATIONS: &[Parameter] =
    &[("per_page", Shape::Int), ("page", Shape::Int), ("since", Shape::Text), ("outdated", Shape::Text)];
const DELIVERIES: &[Parameter] =
    &[("per_page", Shape::Int), ("cursor", Shape::Text), ("status", Shape::OneOf(&["success", "failure"]))];
const REPOSITORIES: &[Parameter] = &[
    ("type", Shape::OneOf(&["all", "public", "private", "forks", "sources", "member"])),
    ("sort", Shape::OneOf(&["created", "updated", "pushed", "full_name"])),
    ("direction", Shape::OneOf(&["asc", "desc"])),
    ("per_page", Shape::Int),
    ("page", Shape::Int),
];

static JIT_CONFIG: Shape = Shape::Object(
    &["name", "runner_group_id", "labels"],
    &[
        ("name", Shape::Text),
        ("runner_group_id", Shape::Int),
        ("labels", Shape::List(&Shape::Text)),
        ("work_folder", Shape::Text),
    ],
);
static TOKEN: Shape = Shape::Object(
    &[],
    &[
        ("repositories", Shape::List(&Shape::Text)),
        ("repository_ids", Shape::List(&Shape::Int)),
        ("permissions", Shape::Map(&Shape::OneOf(&["read", "write", "admin"]))),
    ],
);

static HOOK_CONFIG: Shape = Shape::Object(
    &[],
    &[
        ("url", Shape::Text),
        ("content_type", Shape::Text),
        ("secret", Shape::Text),
        ("insecure_ssl", Shape::OneOf(&["0", "1"])),
    ],
);

/// The call of a method and path, if GitHub has one. A prefix `/api/v3` is GitHub Enterprise Server's.
pub(crate) fn route(method: Method, path: &[&str]) -> Option<Route> {
    let path = path.strip_prefix(&["api", "v3"]).unwrap_or(path);
    match path {
        ["orgs", org, rest @ ..] => in_organization(method, org, rest),
        ["repos", owner, name, rest @ ..] => in_repository(method, &format!("{owner}/{name}"), rest),
        ["enterprises", slug, rest @ ..] => in_enterprise(method, slug, rest),
        _ => elsewhere(method, path),
    }
}

fn github(name: &'static str, query: &'static [Parameter], call: Call) -> Option<Route> {
    Some(Route::github(name, query, None, call))
}

fn in_organization(method: Method, org: &str, rest: &[&str]) -> Option<Route> {
    let scope = Scope::Organization(org.to_owned());
    match (method, rest) {
        (Get, ["repos"]) => {
            github("github.org_repositories", REPOSITORIES, Call::OrganizationRepositories(org.to_owned()))
        }
        (Get, ["actions", "runner-groups"]) => {
            github("github.runner_groups", ORG_GROUPS, Call::ListRunnerGroups(scope))
        }
        (Get, ["actions", "runner-groups", id]) => {
            github("github.runner_group", &[], Call::GetRunnerGroup(scope, id.parse().ok()?))
        }
        (Get, ["actions", "runner-groups", id, "repositories"]) => {
            let call = Call::RunnerGroupRepositories(scope, id.parse().ok()?);
            github("github.runner_group_repositories", PAGE, call)
        }
        (_, ["hooks", rest @ ..]) => hooks(method, HookOwner::Organization(org.to_owned()), rest),
        _ => in_scope(method, scope, rest),
    }
}

fn in_enterprise(method: Method, slug: &str, rest: &[&str]) -> Option<Route> {
    let scope = Scope::Enterprise(slug.to_owned());
    match (method, rest) {
        (Get, ["actions", "runner-groups"]) => {
            github("github.runner_groups", ENTERPRISE_GROUPS, Call::ListRunnerGroups(scope))
        }
        _ => in_scope(method, scope, rest),
    }
}

fn in_repository(method: Method, repository: &str, rest: &[&str]) -> Option<Route> {
    let name = repository.to_owned();
    match (method, rest) {
        (Get, []) => github("github.repository", &[], Call::GetRepository(name)),
        (Get, ["actions", "jobs", id]) => github("github.job", &[], Call::GetJob(name, id.parse().ok()?)),
        (Get, ["actions", "runs"]) => github("github.runs", RUNS, Call::ListRuns(name)),
        (Get, ["actions", "runs", id]) => github("github.run", RUN, Call::GetRun(name, id.parse().ok()?)),
        (Get, ["actions", "runs", id, "jobs"]) => {
            github("github.run_jobs", RUN_JOBS, Call::RunJobs(name, id.parse().ok()?))
        }
        // A job is never run again here, so there is no other attempt than the first.
        (Get, ["actions", "runs", id, "attempts", "1", "jobs"]) => {
            github("github.attempt_jobs", PAGE, Call::RunJobs(name, id.parse().ok()?))
        }
        (Post, ["actions", "runs", id, "cancel"]) => {
            github("github.cancel_run", &[], Call::CancelRun(name, id.parse().ok()?))
        }
        (Post, ["check-runs"]) => {
            let call = Call::CreateCheckRun(name);
            Some(Route::github("github.create_check_run", &[], Some(&checks::CREATE), call))
        }
        (Patch, ["check-runs", id]) => {
            let call = Call::UpdateCheckRun(name, id.parse().ok()?);
            Some(Route::github("github.update_check_run", &[], Some(&checks::UPDATE), call))
        }
        (_, ["hooks", rest @ ..]) => hooks(method, HookOwner::Repository(name), rest),
        _ => in_scope(method, Scope::Repository(name), rest),
    }
}

/// What organizations, repositories and enterprises have in common.
fn in_scope(method: Method, scope: Scope, rest: &[&str]) -> Option<Route> {
    match (method, rest) {
        (Get, ["installation"]) => github("github.find_installation", &[], Call::FindInstallation(scope)),
        (Post, ["actions", "runners", "generate-jitconfig"]) => {
            Some(Route::github("github.jitconfig", &[], Some(&JIT_CONFIG), Call::GenerateJitConfig(scope)))
        }
        (Post, ["actions", "runners", "registration-token"]) => {
            github("github.registration_token", &[], Call::RegistrationToken(scope))
        }
        (Get, ["actions", "runners"]) => github("github.runners", RUNNERS, Call::ListRunners(scope)),
        (Get, ["actions", "runners", id]) => {
            github("github.runner", &[], Call::GetRunner(scope, id.parse().ok()?))
        }
        (Delete, ["actions", "runners", id]) => {
            github("github.delete_runner", &[], Call::DeleteRunner(scope, id.parse().ok()?))
        }
        _ => None,
    }
}

fn hooks(method: Method, owner: HookOwner, rest: &[&str]) -> Option<Route> {
    match (method, rest) {
        (Get, []) => github("github.hooks", PAGE, Call::ListHooks(owner)),
        (Get, [id]) => github("github.hook", &[], Call::GetHook(owner, id.parse().ok()?)),
        (_, [id, "deliveries", rest @ ..]) => deliveries(method, owner, Some(id.parse().ok()?), rest),
        _ => None,
    }
}

fn deliveries(method: Method, owner: HookOwner, hook: Option<u64>, rest: &[&str]) -> Option<Route> {
    match (method, rest) {
        (Get, []) => github("github.deliveries", DELIVERIES, Call::ListDeliveries(owner, hook)),
        (Get, [id]) => github("github.delivery", &[], Call::GetDelivery(owner, hook, id.parse().ok()?)),
        (Post, [id, "attempts"]) => {
            github("github.redeliver", &[], Call::Redeliver(owner, hook, id.parse().ok()?))
        }
        _ => None,
    }
}

fn elsewhere(method: Method, path: &[&str]) -> Option<Route> {
    match (method, path) {
        (Get, ["app"]) => github("github.app", &[], Call::GetApp),
        (Get, ["app", "installations"]) => {
            github("github.installations", INSTALLATIONS, Call::ListInstallations)
        }
        (Get, ["app", "installations", id]) => {
            github("github.installation", &[], Call::GetInstallation(id.parse().ok()?))
        }
        (Post, ["app", "installations", id, "access_tokens"]) => {
            let call = Call::CreateToken(id.parse().ok()?);
            Some(Route::github("github.access_token", &[], Some(&TOKEN), call))
        }
        (Get, ["app", "hook", "config"]) => github("github.hook_config", &[], Call::HookConfig),
        (Patch, ["app", "hook", "config"]) => {
            let call = Call::SetHookConfig;
            Some(Route::github("github.set_hook_config", &[], Some(&HOOK_CONFIG), call))
        }
        (Post, ["app-manifests", code, "conversions"]) => {
            github("github.manifest_conversion", &[], Call::ConvertManifest((*code).to_owned()))
        }
        (_, ["app", "hook", "deliveries", rest @ ..]) => deliveries(method, HookOwner::App, None, rest),
        (Get, ["users", login, "installation"]) => {
            let call = Call::FindInstallation(Scope::Organization((*login).to_owned()));
            github("github.find_installation", &[], call)
        }
        (Get, ["installation", "repositories"]) => {
            github("github.installation_repositories", PAGE, Call::InstallationRepositories)
        }
        (Get, ["meta"]) => github("github.meta", &[], Call::Meta),
        (Get, ["rate_limit"]) => github("github.rate_limit", &[], Call::RateLimit),
        _ => None,
    }
}
