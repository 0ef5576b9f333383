//! GitHub's objects in JSON: users, repositories, jobs, runs, and the `workflow_job` payload.

use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::world::access::Access;
use crate::world::jobs::{Conclusion, Job, JobState};
use crate::world::request::with;
use crate::world::settings::{Repository, Settings};

/// When everything that was there before was created.
pub(crate) const BORN: &str = "2023-11-10T08:30:00Z";

const API: &str = "https://api.github.com";
const WEB: &str = "https://github.com";

/// A stable id for something that has only a name here.
pub(crate) fn id_of(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.to_lowercase().hash(&mut hasher);
    10_000_000 + hasher.finish() % 900_000_000
}

pub(crate) fn node_id(kind: &str, id: u64) -> String {
    format!("{kind}_{}", STANDARD.encode(id.to_be_bytes()).trim_end_matches('='))
}

/// The commit that a run is for.
pub(crate) fn sha_of(run: u64) -> String {
    let mut sha = String::new();
    for salt in 0..3u64 {
        let mut hasher = DefaultHasher::new();
        (run, salt).hash(&mut hasher);
        sha.push_str(&format!("{:016x}", hasher.finish()));
    }
    sha.truncate(40);
    sha
}

/// GitHub writes whole seconds.
pub(crate) fn time(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

/// A user or an organization, as `simple-user`.
pub(crate) fn user(login: &str, kind: &str) -> Value {
    let (id, url) = (id_of(login), format!("{API}/users/{login}"));
    json!({
        "login": login,
        "id": id,
        "node_id": node_id("U", id),
        "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}?v=4"),
        "gravatar_id": "",
        "url": url,
        "html_url": format!("{WEB}/{login}"),
        "followers_url": format!("{url}/followers"),
        "following_url": format!("{url}/following{{/other_user}}"),
        "gists_url": format!("{url}/gists{{/gist_id}}"),
        "starred_url": format!("{url}/starred{{/owner}}{{/repo}}"),
        "subscriptions_url": format!("{url}/subscriptions"),
        "organizations_url": format!("{url}/orgs"),
        "repos_url": format!("{url}/repos"),
        "events_url": format!("{url}/events{{/privacy}}"),
        "received_events_url": format!("{url}/received_events"),
        "type": kind,
        "user_view_type": "public",
        "site_admin": false,
    })
}

fn organization(login: &str) -> Value {
    let (id, url) = (id_of(login), format!("{API}/orgs/{login}"));
    json!({
        "login": login,
        "id": id,
        "node_id": node_id("O", id),
        "url": url,
        "repos_url": format!("{url}/repos"),
        "events_url": format!("{url}/events"),
        "hooks_url": format!("{url}/hooks"),
        "issues_url": format!("{url}/issues"),
        "members_url": format!("{url}/members{{/member}}"),
        "public_members_url": format!("{url}/public_members{{/member}}"),
        "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}?v=4"),
        "description": "An organization of the simulated world",
    })
}

/// Addresses of a repository: the field's name and what follows the repository's own address.
const REPOSITORY_URLS: &[(&str, &str)] = &[
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
];

/// A repository, with all that any of GitHub's descriptions of one requires.
pub(crate) fn repository(repository: &Repository) -> Value {
    let full_name = repository.full_name();
    let (id, url, page) =
        (id_of(&full_name), format!("{API}/repos/{full_name}"), format!("{WEB}/{full_name}"));
    let mut body = json!({
        "id": id,
        "node_id": node_id("R", id),
        "name": repository.name,
        "full_name": full_name,
        "private": repository.private,
        "archived": repository.archived,
        "visibility": if repository.private { "private" } else { "public" },
        "html_url": page,
        "description": "A repository of the simulated world",
        "url": url,
        "git_url": format!("git://github.com/{full_name}.git"),
        "ssh_url": format!("git@github.com:{full_name}.git"),
        "clone_url": format!("{page}.git"),
        "svn_url": page,
    });
    if let (Some(fields), Value::Object(same)) = (body.as_object_mut(), same_for_all_repositories()) {
        fields.extend(same);
        let urls = REPOSITORY_URLS.iter();
        fields.extend(urls.map(|(name, end)| ((*name).to_owned(), Value::String(format!("{url}{end}")))));
    }
    with(body, [("owner", user(&repository.owner, "Organization"))])
}

fn same_for_all_repositories() -> Value {
    let body = json!({
        "fork": false,
        "created_at": BORN, "updated_at": BORN, "pushed_at": BORN,
        "homepage": null, "mirror_url": null, "language": "Rust",
        "size": 20_480, "default_branch": "main", "topics": ["ci", "gpu", "shaders"],
        "stargazers_count": 42, "watchers_count": 42, "forks_count": 7, "open_issues_count": 3,
        "watchers": 42, "forks": 7, "open_issues": 3, "subscribers_count": 9, "network_count": 7,
        "has_issues": true, "has_projects": true, "has_downloads": true, "has_wiki": false,
        "has_pages": false, "has_discussions": false,
        "disabled": false, "is_template": false,
        "allow_forking": true, "web_commit_signoff_required": false,
        "license": {
            "key": "mit", "name": "MIT License", "spdx_id": "MIT",
            "url": format!("{API}/licenses/mit"), "node_id": "MDc6TGljZW5zZTEz",
        },
    });
    with(body, [("custom_properties", Value::Object(custom_properties()))])
}

/// As many as a larger organization sets: they are what makes payloads ten KB and more.
fn custom_properties() -> Map<String, Value> {
    const AREAS: [&str; 6] = ["compliance", "cost", "data", "ownership", "release", "security"];
    const ASPECTS: [&str; 6] = ["class", "contact", "policy", "review", "stage", "tier"];
    let pairs = AREAS.iter().flat_map(|area| ASPECTS.iter().map(move |aspect| (*area, *aspect)));
    let text = |area, aspect| format!("the {aspect} of {area} as the platform team records it");
    pairs.map(|(area, aspect)| (format!("{area}-{aspect}"), Value::String(text(area, aspect)))).collect()
}

/// A job as the REST API and the webhook show it.
pub(crate) fn job(job: &Job) -> Value {
    let (repository, id, run) = (&job.spec.repository, job.id, job.run);
    let url = format!("{API}/repos/{repository}");
    let (conclusion, ended) = match &job.state {
        JobState::Ended { conclusion, at, .. } => (Some(conclusion.name()), Some(time(*at))),
        JobState::Waiting | JobState::Queued | JobState::Running { .. } => (None, None),
    };
    let ran = job.state.ran();
    let runner = ran.map(|(runner, _)| runner);
    let body = json!({
        "id": id.0,
        "run_id": run,
        "workflow_name": job.spec.workflow_name,
        "head_branch": job.spec.head_branch,
        "run_url": format!("{url}/actions/runs/{run}"),
        "run_attempt": 1,
        "node_id": node_id("CR", id.0),
        "head_sha": sha_of(run),
        "url": format!("{url}/actions/jobs/{id}"),
        "html_url": format!("{WEB}/{repository}/actions/runs/{run}/job/{id}"),
        "status": job.state.status(),
        "conclusion": conclusion,
        "created_at": time(job.created),
        "started_at": time(ran.map_or(job.created, |(_, since)| since)),
        "completed_at": ended,
        "name": job.spec.job_name,
        "check_run_url": format!("{url}/check-runs/{id}"),
        "labels": job.spec.labels,
        // A job that never ran has no runner: 0 and "" once it ended, as GitHub has it.
        "runner_id": runner.map(|runner| runner.id.0).or(ended.as_ref().map(|_| 0)),
        "runner_name": runner.map(|runner| runner.name.as_str()).or(ended.as_ref().map(|_| "")),
        "runner_group_id": runner.map(|runner| runner.group_id).or(ended.as_ref().map(|_| 0)),
        "runner_group_name": runner.map(|runner| runner.group_name.as_str()).or(ended.as_ref().map(|_| "")),
    });
    with(body, [("steps", Value::Array(steps(job)))])
}

const STEPS: [&str; 9] = [
    "Set up job",
    "Check out the repository",
    "Restore the compiler cache",
    "Configure",
    "Build",
    "Test on the GPU",
    "Upload the results",
    "Post Check out the repository",
    "Complete job",
];

fn steps(job: &Job) -> Vec<Value> {
    let Some((_, since)) = job.state.ran() else { return Vec::new() };
    let ended = match &job.state {
        JobState::Ended { conclusion, at, .. } => Some((*conclusion, *at)),
        JobState::Waiting | JobState::Queued | JobState::Running { .. } => None,
    };
    let shown = if ended.is_some() { STEPS.len() } else { 1 };
    STEPS[..shown].iter().enumerate().map(|(at, name)| step(at, name, since, ended)).collect()
}

fn step(at: usize, name: &str, since: Timestamp, ended: Option<(Conclusion, Timestamp)>) -> Value {
    json!({
        "name": name,
        "status": if ended.is_some() { "completed" } else { "in_progress" },
        "conclusion": ended.map(|(conclusion, _)| conclusion.name()),
        "number": at + 1,
        "started_at": time(since),
        "completed_at": ended.map(|(_, end)| time(end)),
    })
}

/// The `workflow_job` payload.
pub(crate) fn workflow_job(settings: &Settings, access: &Access, action: &str, of: &Job) -> Value {
    let found = settings.repository(&of.spec.repository).cloned();
    let repo = found.unwrap_or_else(|| Repository::public(&of.spec.repository));
    let mut workflow_job = job(of);
    if action == "waiting" || workflow_job["status"] == "waiting" {
        workflow_job["status"] = json!("waiting");
    }
    let mut body = Map::new();
    body.insert("action".to_owned(), json!(action));
    body.insert("workflow_job".to_owned(), workflow_job);
    body.insert("repository".to_owned(), repository(&repo));
    body.insert("organization".to_owned(), organization(&repo.owner));
    body.insert("sender".to_owned(), user("octocat", "User"));
    let installation = access.installation_id;
    let node = node_id("I", installation);
    body.insert("installation".to_owned(), json!({ "id": installation, "node_id": node }));
    if let Some(slug) = &settings.enterprise {
        body.insert("enterprise".to_owned(), enterprise(slug));
    }
    Value::Object(body)
}

fn enterprise(slug: &str) -> Value {
    let id = id_of(slug);
    json!({
        "id": id, "slug": slug, "name": slug, "node_id": node_id("E", id),
        "avatar_url": format!("https://avatars.githubusercontent.com/b/{id}?v=4"),
        "description": null, "website_url": null, "html_url": format!("{WEB}/enterprises/{slug}"),
        "created_at": BORN, "updated_at": BORN,
    })
}

/// What began the run that a job is of.
pub(crate) fn event_of(job: &Job) -> &'static str {
    if job.spec.fork.is_some() { "pull_request" } else { "push" }
}

/// A workflow run.
pub(crate) fn run(id: u64, first: &Job, status: &str, conclusion: Option<&str>, repo: &Repository) -> Value {
    let full_name = repo.full_name();
    let (repository_url, sha) = (format!("{API}/repos/{full_name}"), sha_of(id));
    let url = format!("{repository_url}/actions/runs/{id}");
    let workflow = id_of(&first.spec.workflow_name);
    let person = json!({ "name": "Mona", "email": "mona@example.com" });
    let head =
        first.spec.fork.as_ref().map(|fork| Repository { private: repo.private, ..Repository::public(fork) });
    let head = repository(head.as_ref().unwrap_or(repo));
    let repository = repository(repo);
    let body = json!({
        "id": id, "name": first.spec.workflow_name, "node_id": node_id("WFR", id),
        "check_suite_id": id + 1, "check_suite_node_id": node_id("CS", id + 1),
        "head_branch": first.spec.head_branch, "head_sha": sha,
        "path": ".github/workflows/ci.yml", "run_number": id % 100_000, "run_attempt": 1,
        "display_title": first.spec.workflow_name, "event": event_of(first),
        "status": status, "conclusion": conclusion, "workflow_id": workflow,
        "url": url, "html_url": format!("{WEB}/{full_name}/actions/runs/{id}"),
        "pull_requests": [],
        "created_at": time(first.created), "updated_at": time(first.created),
        "run_started_at": time(first.created),
        "jobs_url": format!("{url}/jobs"), "logs_url": format!("{url}/logs"),
        "check_suite_url": format!("{repository_url}/check-suites/{}", id + 1),
        "artifacts_url": format!("{url}/artifacts"), "cancel_url": format!("{url}/cancel"),
        "rerun_url": format!("{url}/rerun"), "previous_attempt_url": null,
        "workflow_url": format!("{repository_url}/actions/workflows/{workflow}"),
        "head_commit": {
            "id": sha, "tree_id": sha, "message": "Change something", "timestamp": time(first.created),
            "author": person, "committer": person,
        },
    });
    let (actor, same_actor) = (user("octocat", "User"), user("octocat", "User"));
    with(
        body,
        [
            ("actor", actor),
            ("triggering_actor", same_actor),
            ("head_repository", head),
            ("repository", repository),
        ],
    )
}
