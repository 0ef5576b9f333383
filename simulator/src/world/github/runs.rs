//! Workflow runs and jobs, as the REST API shows them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Page, error, not_found, payload};
use crate::world::World;
use crate::world::ids::JobId;
use crate::world::jobs::{Conclusion, Job, JobState};
use crate::world::request::{Request, Response};

/// GitHub gives no more than this many of a filtered list of runs.
const MOST_FOUND: usize = 1000;

/// A run, as far as its jobs tell.
struct Run<'a> {
    id: u64,
    jobs: Vec<&'a Job>,
}

impl Run<'_> {
    /// The run's status: the liveliest of its jobs'.
    fn status(&self) -> &'static str {
        let statuses = ["in_progress", "queued", "waiting"];
        let has = |status: &&&str| self.jobs.iter().any(|job| job.state.status() == **status);
        statuses.iter().find(has).copied().unwrap_or("completed")
    }

    fn conclusion(&self) -> Option<Conclusion> {
        if self.status() != "completed" {
            return None;
        }
        let ended = |job: &&Job| match job.state {
            JobState::Ended { conclusion, .. } => conclusion,
            JobState::Waiting | JobState::Queued | JobState::Running { .. } => Conclusion::Success,
        };
        let all: Vec<Conclusion> = self.jobs.iter().map(ended).collect();
        let worst = [Conclusion::Cancelled, Conclusion::Failure].into_iter().find(|each| all.contains(each));
        Some(worst.unwrap_or(Conclusion::Success))
    }

    /// The filters `status`, `branch`, `event`, `created` and `head_sha`.
    fn fits(&self, request: &Request) -> Result<bool, &'static str> {
        let Some(first) = self.jobs.first() else { return Ok(false) };
        let conclusion = self.conclusion().map(Conclusion::name);
        let is = |name: &str, own: &str| request.parameter(name).is_none_or(|wanted| wanted == own);
        let status = request.parameter("status");
        let status_fits = status.is_none_or(|wanted| wanted == self.status() || Some(wanted) == conclusion);
        let created = match request.parameter("created") {
            Some(text) => created_fits(text, first.created).ok_or("created is not understood")?,
            None => true,
        };
        let sha = payload::sha_of(self.id);
        let rest = is("branch", &first.spec.head_branch)
            && is("event", payload::event_of(first))
            && is("head_sha", &sha);
        Ok(status_fits && created && rest && is("actor", "octocat"))
    }
}

/// `>=TIME`, `>TIME`, `<=TIME`, `<TIME` and `TIME..TIME`.
fn created_fits(text: &str, created: Timestamp) -> Option<bool> {
    let time = |text: &str| text.parse::<Timestamp>().ok();
    if let Some((from, to)) = text.split_once("..") {
        return Some(time(from)? <= created && created <= time(to)?);
    }
    if let Some(rest) = text.strip_prefix(">=") {
        return Some(created >= time(rest)?);
    }
    if let Some(rest) = text.strip_prefix("<=") {
        return Some(created <= time(rest)?);
    }
    if let Some(rest) = text.strip_prefix('>') {
        return Some(created > time(rest)?);
    }
    text.strip_prefix('<').and_then(time).map(|end| created < end)
}

impl World {
    fn run(&self, repository: &str, id: u64) -> Option<Run<'_>> {
        let jobs: Vec<&Job> =
            self.github.runs.get(&id)?.iter().filter_map(|job| self.github.jobs.get(job)).collect();
        let first = jobs.first()?;
        first.spec.repository.eq_ignore_ascii_case(repository).then_some(Run { id, jobs })
    }

    pub(crate) fn get_job(&self, repository: &str, id: JobId) -> Response {
        let found =
            self.github.jobs.get(&id).filter(|job| job.spec.repository.eq_ignore_ascii_case(repository));
        found.map_or_else(not_found, |job| Response::json(200, payload::job(job)))
    }

    pub(crate) fn list_runs(&self, repository: &str, request: &Request) -> Response {
        if self.settings.repository(repository).is_none() {
            return not_found();
        }
        let mut found = Vec::new();
        for id in self.github.runs.keys().rev() {
            let Some(run) = self.run(repository, *id) else { continue };
            match run.fits(request) {
                Ok(true) => found.push(run),
                Ok(false) => {}
                Err(why) => return error(422, why),
            }
            if found.len() == MOST_FOUND && !request.query.is_empty() {
                break;
            }
        }
        let (page, total) = (Page::of(request), found.len());
        let runs: Vec<Value> = page.cut(&found).into_iter().map(|run| self.run_body(run)).collect();
        page.answer_list(total, "workflow_runs", runs)
    }

    pub(crate) fn get_run(&self, repository: &str, id: u64) -> Response {
        self.run(repository, id).map_or_else(not_found, |run| Response::json(200, self.run_body(&run)))
    }

    pub(crate) fn run_jobs(&self, repository: &str, id: u64, request: &Request) -> Response {
        let Some(run) = self.run(repository, id) else { return not_found() };
        let (page, total) = (Page::of(request), run.jobs.len());
        let jobs: Vec<Value> = page.cut(run.jobs).into_iter().map(payload::job).collect();
        page.answer_list(total, "jobs", jobs)
    }

    pub(crate) fn cancel_run(&mut self, now: Timestamp, repository: &str, id: u64) -> Response {
        let Some(run) = self.run(repository, id) else { return not_found() };
        if run.status() == "completed" {
            return error(409, "Cannot cancel a workflow run that is completed.");
        }
        for job in run.jobs.iter().map(|job| job.id).collect::<Vec<_>>() {
            self.cancel_job(now, job);
        }
        Response::json(202, json!({}))
    }

    fn run_body(&self, run: &Run<'_>) -> Value {
        let Some(first) = run.jobs.first() else { return Value::Null };
        let Some(repository) = self.settings.repository(&first.spec.repository) else { return Value::Null };
        payload::run(run.id, first, run.status(), run.conclusion().map(Conclusion::name), repository)
    }
}
