//! Check runs: what is said on the commit of a job that waits. Only an App may write them.

use jiff::Timestamp;
use mayfly_core::ids::{CheckRunId, Commit, InstallationId, JobId, Repository};
use mayfly_core::notice::{Ending, Notice, Words};
use mayfly_core::policy::Scope;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::http::Call;
use super::{GitHub, GitHubError, Permission};

const SAYING: &str = "saying on its commit that a job waits";
const CHANGING: &str = "bringing a check run up to date";
const CONCLUDING: &str = "concluding a check run";

/// What a check run about a job needs to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobsCommit {
    /// Whether GitHub has the job queued.
    pub waits: bool,
    /// The job's name.
    pub name: String,
    /// Its commit (`head_sha`).
    pub commit: Commit,
    /// Its page (`html_url`), where GitHub says so.
    pub page: Option<String>,
}

/// Schema `job`, as far as it is used.
#[derive(Deserialize)]
struct JobAnswer {
    status: String,
    name: Option<String>,
    head_sha: Commit,
    html_url: Option<String>,
}

/// Schema `check-run`, as far as it is used.
#[derive(Deserialize)]
struct CheckRunAnswer {
    id: u64,
}

impl GitHub {
    /// A job's commit, and what it is called (`GET /repos/{owner}/{repo}/actions/jobs/{job_id}`).
    pub async fn jobs_commit(
        &self,
        repository: &Repository,
        job: JobId,
        installation: Option<InstallationId>,
        deadline: Instant,
    ) -> Result<JobsCommit, GitHubError> {
        const DOING: &str = "asking for a job's commit";
        let path = format!("/repos/{repository}/actions/jobs/{job}");
        let call = Call::get(DOING, &path).needs(Permission::Actions);
        let scope = Scope::Repository(repository.clone());
        let answer: JobAnswer = self.answer(&scope, installation, call, deadline).await?.read(DOING)?;
        Ok(JobsCommit {
            waits: answer.status == "queued",
            name: answer.name.unwrap_or_default(),
            commit: answer.head_sha,
            page: answer.html_url,
        })
    }

    /// Makes a notice's check run (`POST /repos/{owner}/{repo}/check-runs`); `page` is where its details are. It is asked for
    /// once: whoever hears no answer does not know whether it is there, and asks again later, by the same name.
    pub async fn create_check_run(
        &self,
        notice: &Notice,
        words: &Words,
        page: Option<&str>,
        deadline: Instant,
    ) -> Result<CheckRunId, GitHubError> {
        let mut body =
            Map::from_iter([("status".to_owned(), json!("queued")), ("output".to_owned(), output(words))]);
        body.extend(page.map(|page| ("details_url".to_owned(), json!(page))));
        self.made(notice, body, deadline).await
    }

    /// Makes a check run that is over, in place of one that may be there, and whose id was never heard of.
    pub async fn create_concluded(
        &self,
        notice: &Notice,
        ending: &Ending,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<CheckRunId, GitHubError> {
        self.made(notice, concluded(notice, ending, now), deadline).await
    }

    async fn made(
        &self,
        notice: &Notice,
        mut body: Map<String, Value>,
        deadline: Instant,
    ) -> Result<CheckRunId, GitHubError> {
        let told = [
            ("name", json!(notice.name)),
            ("head_sha", json!(notice.commit)),
            ("external_id", json!(notice.job.to_string())),
            ("started_at", json!(whole_seconds(notice.queued_at))),
        ];
        body.extend(told.map(|(key, value)| (key.to_owned(), value)));
        let body = Value::Object(body);
        let path = format!("/repos/{}/check-runs", notice.repository);
        let call = Call::post(SAYING, &path, &body).needs(Permission::Checks).once();
        let scope = Scope::Repository(notice.repository.clone());
        let answer = self.answer(&scope, notice.installation, call, deadline).await?;
        Ok(CheckRunId(answer.read::<CheckRunAnswer>(SAYING)?.id))
    }

    /// Says something else (`PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}`). Its status is left as it is: what was
    /// concluded meanwhile stays so.
    pub async fn change_check_run(
        &self,
        notice: &Notice,
        id: CheckRunId,
        words: &Words,
        deadline: Instant,
    ) -> Result<(), GitHubError> {
        let body = json!({ "output": output(words) });
        self.changed(notice, id, CHANGING, &body, deadline).await
    }

    /// Concludes a check run, by the same call; again, where it was concluded before.
    pub async fn conclude_check_run(
        &self,
        notice: &Notice,
        id: CheckRunId,
        ending: &Ending,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<(), GitHubError> {
        let body = Value::Object(concluded(notice, ending, now));
        self.changed(notice, id, CONCLUDING, &body, deadline).await
    }

    async fn changed(
        &self,
        notice: &Notice,
        id: CheckRunId,
        doing: &'static str,
        body: &Value,
        deadline: Instant,
    ) -> Result<(), GitHubError> {
        let path = format!("/repos/{}/check-runs/{id}", notice.repository);
        let call = Call::patch(doing, &path, body).needs(Permission::Checks);
        let scope = Scope::Repository(notice.repository.clone());
        self.answer(&scope, notice.installation, call, deadline).await.map(|_| ())
    }
}

fn output(words: &Words) -> Value {
    json!({ "title": words.title, "summary": words.summary })
}

fn concluded(notice: &Notice, ending: &Ending, now: Timestamp) -> Map<String, Value> {
    let told = [
        ("status", json!("completed")),
        ("conclusion", json!(ending.conclusion())),
        ("completed_at", json!(whole_seconds(now))),
        ("output", output(&ending.words(notice.queued_at))),
    ];
    told.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
}

/// `YYYY-MM-DDTHH:MM:SSZ`
fn whole_seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
