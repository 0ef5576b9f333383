//! `workflow_job` payloads.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::repository;

/// When the jobs of tests are created, unless they say otherwise: 2026-01-02T03:04:05Z.
const CREATED_AT_S: i64 = 1_767_323_045;

/// A job, to be told as one of the four `workflow_job` events.
#[derive(Debug, Clone)]
pub struct WorkflowJob {
    id: u64,
    run_id: u64,
    run_attempt: u32,
    name: String,
    labels: Vec<String>,
    repository: String,
    private: bool,
    installation_id: u64,
    created_at: Timestamp,
    runner: Option<Runner>,
}

#[derive(Debug, Clone)]
struct Runner {
    id: u64,
    name: String,
    group_id: u64,
    group_name: String,
}

impl WorkflowJob {
    /// A job of `repository` (`owner/name`, the owner being an organization) with these `runs-on` labels.
    pub fn new(id: u64, repository: &str, labels: &[&str]) -> Self {
        Self {
            id,
            run_id: 9_000_000_000 + id,
            run_attempt: 1,
            name: format!("build ({id})"),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            repository: repository.to_owned(),
            private: true,
            installation_id: 4_242,
            created_at: Timestamp::from_second(CREATED_AT_S).unwrap_or(Timestamp::UNIX_EPOCH),
            runner: None,
        }
    }

    /// The workflow run it belongs to, and which attempt of it.
    #[must_use]
    pub fn run(mut self, run_id: u64, attempt: u32) -> Self {
        (self.run_id, self.run_attempt) = (run_id, attempt);
        self
    }

    /// The job's name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// When it was created (`workflow_job.created_at`).
    #[must_use]
    pub fn created_at(mut self, at: Timestamp) -> Self {
        self.created_at = at;
        self
    }

    /// Whether the repository is private; so unless said otherwise.
    #[must_use]
    pub fn private(mut self, private: bool) -> Self {
        self.private = private;
        self
    }

    /// The GitHub App's installation that the delivery is for.
    #[must_use]
    pub fn installation(mut self, id: u64) -> Self {
        self.installation_id = id;
        self
    }

    /// The runner that has the job, in the default group.
    #[must_use]
    pub fn runner(mut self, id: u64, name: &str) -> Self {
        self.runner =
            Some(Runner { id, name: name.to_owned(), group_id: 1, group_name: "Default".to_owned() });
        self
    }

    /// `queued`: it waits for a runner.
    pub fn queued(&self) -> Value {
        self.event("queued", "queued", None)
    }

    /// `queued` with the status `waiting`, as one of GitHub's official examples has it: a deployment's approval is due.
    pub fn queued_but_waiting(&self) -> Value {
        self.event("queued", "waiting", None)
    }

    /// `waiting`: for the approval of a deployment.
    pub fn waiting(&self) -> Value {
        self.event("waiting", "waiting", None)
    }

    /// `in_progress`, on the runner given.
    pub fn in_progress(&self) -> Value {
        self.event("in_progress", "in_progress", None)
    }

    /// `completed` with a conclusion (`success`, `failure`, `cancelled`, …), on the runner given, if any.
    pub fn completed(&self, conclusion: &str) -> Value {
        self.event("completed", "completed", Some(conclusion))
    }

    /// The event cut down to what a consumer of `workflow_job` could not do without.
    pub fn minimal(event: &Value) -> Value {
        const JOB: [&str; 11] = [
            "id",
            "run_id",
            "run_attempt",
            "status",
            "conclusion",
            "labels",
            "runner_id",
            "runner_name",
            "name",
            "created_at",
            "workflow_name",
        ];
        let mut minimal = json!({
            "action": event["action"],
            "workflow_job": {},
            "repository": {
                "name": event["repository"]["name"],
                "full_name": event["repository"]["full_name"],
                "private": event["repository"]["private"],
                "owner": { "login": event["repository"]["owner"]["login"] },
            },
            "organization": { "login": event["organization"]["login"] },
            "installation": { "id": event["installation"]["id"] },
            "sender": { "login": event["sender"]["login"] },
        });
        for field in JOB {
            minimal["workflow_job"][field] = event["workflow_job"][field].clone();
        }
        minimal
    }

    fn event(&self, action: &str, status: &str, conclusion: Option<&str>) -> Value {
        let owner = self.repository.split('/').next().unwrap_or_default();
        json!({
            "action": action,
            "workflow_job": self.job(status, conclusion),
            "repository": repository::repository(&self.repository, self.private),
            "organization": repository::organization(owner),
            "sender": repository::user("octocat", "User"),
            "installation": { "id": self.installation_id, "node_id": "MDIzOkludGVncmF0aW9uSW5zdGFsbGF0aW9uNDI0Mg==" },
        })
    }

    fn job(&self, status: &str, conclusion: Option<&str>) -> Value {
        let api = format!("https://api.github.com/repos/{}", self.repository);
        let (run, id) = (self.run_id, self.id);
        let started_at = self.created_at + SignedDuration::from_secs(90);
        let has_started = matches!(status, "in_progress" | "completed");
        let completed_at = conclusion.map(|_| (self.created_at + SignedDuration::from_mins(10)).to_string());
        let runner = self.runner.as_ref().filter(|_| has_started);
        json!({
            "id": id,
            "run_id": run,
            "workflow_name": "CI",
            "head_branch": "main",
            "run_url": format!("{api}/actions/runs/{run}"),
            "run_attempt": self.run_attempt,
            "node_id": format!("CR_kwDOAAAAAA8AAAAB{id:08x}"),
            "head_sha": "0f3c2a7d9b1e4f5a6c8d7e9f0a1b2c3d4e5f6a7b",
            "url": format!("{api}/actions/jobs/{id}"),
            "html_url": format!("https://github.com/{}/actions/runs/{run}/job/{id}", self.repository),
            "status": status,
            "conclusion": conclusion,
            "created_at": self.created_at.to_string(),
            "started_at": if has_started { started_at } else { self.created_at }.to_string(),
            "completed_at": completed_at,
            "name": self.name,
            "steps": if has_started { steps(started_at, conclusion) } else { json!([]) },
            "check_run_url": format!("{api}/check-runs/{id}"),
            "labels": self.labels,
            "runner_id": runner.map(|runner| runner.id),
            "runner_name": runner.map(|runner| &runner.name),
            "runner_group_id": runner.map(|runner| runner.group_id),
            "runner_group_name": runner.map(|runner| &runner.group_name),
        })
    }
}

/// The steps of a job of ordinary length.
fn steps(started_at: Timestamp, conclusion: Option<&str>) -> Value {
    const NAMES: [&str; 12] = [
        "Set up job",
        "Check out the repository",
        "Set up the toolchain",
        "Restore cached dependencies",
        "Configure",
        "Build",
        "Run unit tests",
        "Run integration tests on the GPU",
        "Upload test results",
        "Upload artifacts",
        "Post Restore cached dependencies",
        "Complete job",
    ];
    let step = |(index, name): (usize, &&str)| {
        let number = i64::try_from(index).unwrap_or(i64::MAX);
        let at = (started_at + SignedDuration::from_secs(number * 20)).to_string();
        match (conclusion, index) {
            // A job's conclusions that are none of a step's.
            (Some("success" | "failure" | "skipped" | "cancelled"), _) => json!({
                "name": name, "status": "completed", "conclusion": conclusion, "number": number + 1,
                "started_at": at, "completed_at": at,
            }),
            (None, 0) => json!({
                "name": name, "status": "in_progress", "conclusion": null, "number": 1, "started_at": at,
                "completed_at": null,
            }),
            (Some(_) | None, _) => json!({
                "name": name, "status": "queued", "conclusion": null, "number": number + 1, "started_at": null,
                "completed_at": null,
            }),
        }
    };
    Value::Array(NAMES.iter().enumerate().map(step).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_a_real_ones_size_and_a_minimal_one_what_matters() {
        let job =
            WorkflowJob::new(123, "shader-slang/slang", &["self-hosted", "GPU"]).runner(7, "prod-linux-1");
        let queued = job.queued();
        assert!((6_000..30_000).contains(&queued.to_string().len()), "{}", queued.to_string().len());
        assert_eq!(queued["workflow_job"]["runner_name"], Value::Null);
        let completed = job.completed("success");
        assert!((8_000..30_000).contains(&completed.to_string().len()), "{}", completed.to_string().len());
        let minimal = WorkflowJob::minimal(&completed);
        assert!(minimal.to_string().len() < 1_000);
        assert_eq!(minimal["workflow_job"]["runner_name"], "prod-linux-1");
        assert_eq!(minimal["repository"]["full_name"], "shader-slang/slang");
    }
}
