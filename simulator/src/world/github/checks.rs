//! Check runs: what an App says on a commit.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{error, not_found, payload};
use crate::world::World;
use crate::world::request::Response;
use crate::world::shape::Shape;
use crate::world::view::CheckRunView;

/// A check run, by the names that GitHub's API has.
#[derive(Debug, Clone)]
pub(crate) struct CheckRun {
    repository: String,
    name: String,
    head_sha: String,
    external_id: Option<String>,
    details_url: Option<String>,
    status: String,
    conclusion: Option<String>,
    started_at: Option<String>,
    completed_at: Option<String>,
    title: Option<String>,
    summary: Option<String>,
    text: Option<String>,
    /// How often it was written, its making included.
    writes: u32,
}

const CONCLUSIONS: &[&str] =
    &["action_required", "cancelled", "failure", "neutral", "success", "skipped", "stale", "timed_out"];
const TEXT_LONGEST: usize = 65_535;

pub(super) static CREATE: Shape = Shape::Object(
    &["name", "head_sha"],
    &[
        ("name", Shape::Text),
        ("head_sha", Shape::Text),
        ("details_url", Shape::Text),
        ("external_id", Shape::Text),
        ("status", Shape::OneOf(&["queued", "in_progress", "completed"])),
        ("started_at", Shape::Text),
        ("conclusion", Shape::OneOf(CONCLUSIONS)),
        ("completed_at", Shape::Text),
        ("output", OUTPUT),
        ("actions", Shape::Any),
    ],
);
pub(super) static UPDATE: Shape = Shape::Object(
    &[],
    &[
        ("name", Shape::Text),
        ("details_url", Shape::Text),
        ("external_id", Shape::Text),
        ("status", Shape::OneOf(&["queued", "in_progress", "completed", "waiting", "requested", "pending"])),
        ("started_at", Shape::Text),
        ("conclusion", Shape::OneOf(CONCLUSIONS)),
        ("completed_at", Shape::Text),
        ("output", OUTPUT),
        ("actions", Shape::Any),
    ],
);
/// An update's schema asks for the summary alone, and its text calls the title required as well.
const OUTPUT: Shape = Shape::Object(
    &["title", "summary"],
    &[
        ("title", Shape::Text),
        ("summary", Shape::Text),
        ("text", Shape::Text),
        ("annotations", Shape::Any),
        ("images", Shape::Any),
    ],
);

impl World {
    pub(crate) fn create_check_run(&mut self, now: Timestamp, repository: &str, body: &Value) -> Response {
        let Some(known) = self.settings.repository(repository) else { return not_found() };
        let repository = known.full_name();
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let (Some(name), Some(head_sha)) = (text("name"), text("head_sha")) else { return not_found() };
        if name.is_empty() {
            return error(422, "Invalid request.\n\nName cannot be blank.");
        }
        if !self.has_commit(&repository, &head_sha) {
            return error(422, &format!("No commit found for SHA: {head_sha}"));
        }
        let mut run = CheckRun {
            repository,
            name,
            head_sha,
            external_id: None,
            details_url: None,
            status: "queued".to_owned(),
            conclusion: None,
            started_at: Some(payload::time(now)),
            completed_at: None,
            title: None,
            summary: None,
            text: None,
            writes: 0,
        };
        if let Err(why) = run.take(now, body) {
            return error(422, &format!("Invalid request.\n\n{why}"));
        }
        let id = self.github.next_id();
        let answer = self.check_run_body(id, &run);
        self.github.check_runs.insert(id, run);
        Response::json(201, answer)
    }

    pub(crate) fn update_check_run(
        &mut self,
        now: Timestamp,
        repository: &str,
        id: u64,
        body: &Value,
    ) -> Response {
        let known = self.github.check_runs.get(&id);
        let Some(known) = known.filter(|run| run.repository.eq_ignore_ascii_case(repository)) else {
            return not_found();
        };
        let mut run = known.clone();
        if let Err(why) = run.take(now, body) {
            return error(422, &format!("Invalid request.\n\n{why}"));
        }
        let answer = self.check_run_body(id, &run);
        self.github.check_runs.insert(id, run);
        Response::json(200, answer)
    }

    /// Whether a run of the repository is for that commit: there are no others here.
    fn has_commit(&self, repository: &str, sha: &str) -> bool {
        let jobs = self.github.jobs.values();
        let mut own = jobs.filter(|job| job.spec.repository.eq_ignore_ascii_case(repository));
        own.any(|job| payload::sha_of(job.run) == sha)
    }

    fn check_run_body(&self, id: u64, run: &CheckRun) -> Value {
        let api = format!("https://api.github.com/repos/{}/check-runs/{id}", run.repository);
        let page = format!("https://github.com/{}/runs/{id}", run.repository);
        json!({
            "id": id,
            "node_id": payload::node_id("CR", id),
            "head_sha": run.head_sha,
            "external_id": run.external_id.as_deref().unwrap_or(""),
            "url": api,
            "html_url": page,
            "details_url": run.details_url.as_deref().unwrap_or("https://example.com/mayfly"),
            "status": run.status,
            "conclusion": run.conclusion,
            "started_at": run.started_at,
            "completed_at": run.completed_at,
            "output": {
                "title": run.title,
                "summary": run.summary,
                "text": run.text,
                "annotations_count": 0,
                "annotations_url": format!("{api}/annotations"),
            },
            "name": run.name,
            "check_suite": { "id": payload::id_of(&run.head_sha) },
            "app": self.get_app().value(),
            "pull_requests": [],
        })
    }

    /// All check runs there ever were, oldest first.
    pub fn check_runs(&self) -> Vec<CheckRunView> {
        self.github.check_runs.iter().map(|(id, run)| run.view(*id)).collect()
    }
}

impl CheckRun {
    /// Takes what a request says, or says what is wrong with it.
    fn take(&mut self, now: Timestamp, body: &Value) -> Result<(), String> {
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let moment = |name: &str| match text(name) {
            Some(value) if value.parse::<Timestamp>().is_err() => {
                Err(format!("\"{value}\" is not a valid date-time in {name}."))
            }
            value => Ok(value),
        };
        let (started, completed) = (moment("started_at")?, moment("completed_at")?);
        let (status, conclusion) = (text("status"), text("conclusion"));
        match (status.as_deref(), conclusion.as_deref()) {
            (Some(own @ ("waiting" | "requested" | "pending")), _) => {
                return Err(format!("Only GitHub Actions can set the status {own}."));
            }
            (_, Some("stale")) => return Err("Only GitHub can conclude a check run as stale.".to_owned()),
            (Some("completed"), None) => return Err("A completed check run needs a conclusion.".to_owned()),
            // GitHub has been seen not to open one again; whoever wants that makes a new one.
            (Some("queued" | "in_progress"), None) if self.conclusion.is_some() => {
                return Err("A completed check run stays so.".to_owned());
            }
            (_, None) if completed.is_some() => return Err("completed_at needs a conclusion.".to_owned()),
            _ => {}
        }
        if let Some(name) = text("name") {
            self.name = name;
        }
        self.details_url = text("details_url").or(self.details_url.take());
        self.external_id = text("external_id").or(self.external_id.take());
        self.started_at = started.or(self.started_at.take());
        if let Some(conclusion) = conclusion {
            "completed".clone_into(&mut self.status);
            self.conclusion = Some(conclusion);
            self.completed_at = Some(completed.unwrap_or_else(|| payload::time(now)));
        } else if let Some(status) = status {
            self.status = status;
        }
        if let Some(output) = body.get("output") {
            let part = |name: &str| output[name].as_str().map(str::to_owned);
            let (summary, text) = (part("summary"), part("text"));
            if [&summary, &text].into_iter().flatten().any(|text| text.len() > TEXT_LONGEST) {
                return Err(format!("A text exceeds a maximum bytesize of {TEXT_LONGEST}."));
            }
            (self.title, self.summary) = (part("title"), summary);
            self.text = text.or(self.text.take());
        }
        self.writes += 1;
        Ok(())
    }

    fn view(&self, id: u64) -> CheckRunView {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        CheckRunView {
            id,
            repository: self.repository.clone(),
            head_sha: self.head_sha.clone(),
            name: self.name.clone(),
            external_id: text(&self.external_id),
            details_url: self.details_url.clone(),
            status: self.status.clone(),
            conclusion: self.conclusion.clone(),
            title: text(&self.title),
            summary: text(&self.summary),
            writes: self.writes,
        }
    }
}
