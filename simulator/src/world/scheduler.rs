//! GitHub's scheduler: a queued job goes to any idle runner whose labels and scope fit.
//!
//! No idle runner ever fits a queued job between two steps, so it is enough to look when a job is queued
//! and when a runner becomes idle.

use jiff::Timestamp;

use super::World;
use super::github::runners::{Runner, Scope};
use super::ids::{JobId, RunnerId};
use super::jobs::Job;
use super::settings::{GroupVisibility, Repository, RunnerGroup};

impl World {
    /// A job was queued: any idle runner that fits takes it.
    pub(crate) fn match_job(&mut self, now: Timestamp, id: JobId) {
        let Some(job) = self.github.jobs.get(&id) else { return };
        let idle = self.github.idle.iter().filter_map(|runner| self.github.runners.get(runner));
        let fitting: Vec<RunnerId> =
            idle.filter(|runner| self.fits(job, runner)).map(|runner| runner.id).collect();
        if fitting.is_empty() {
            return;
        }
        let chosen = if self.settings.random_matching { self.rng.below(fitting.len()) } else { 0 };
        self.start_job(now, id, fitting[chosen]);
    }

    /// A runner became idle: it takes the oldest job that fits.
    pub(crate) fn match_runner(&mut self, now: Timestamp, id: RunnerId) {
        let Some(runner) = self.github.runners.get(&id) else { return };
        let queue = self.github.queue.iter().filter_map(|job| self.github.jobs.get(job));
        let job = queue.into_iter().find(|job| self.fits(job, runner)).map(|job| job.id);
        match job {
            Some(job) => self.start_job(now, job, id),
            None => self.runner_idles(now, id),
        }
    }

    fn fits(&self, job: &Job, runner: &Runner) -> bool {
        let has = |label: &String| runner.labels.iter().any(|each| each.eq_ignore_ascii_case(label));
        job.spec.labels.iter().all(has) && self.reaches(runner, &job.spec.repository)
    }

    /// Whether a runner's scope and group take jobs of a repository.
    fn reaches(&self, runner: &Runner, repository: &str) -> bool {
        let Some(repository) = self.settings.repository(repository) else { return false };
        let in_scope = match &runner.scope {
            Scope::Repository(name) => return name.eq_ignore_ascii_case(&repository.full_name()),
            Scope::Organization(login) => login.eq_ignore_ascii_case(&repository.owner),
            Scope::Enterprise(slug) => self.settings.enterprise.as_ref() == Some(slug),
        };
        let group = self.settings.runner_groups.iter().find(|group| group.id == runner.group_id);
        in_scope && group.is_some_and(|group| takes(group, repository))
    }
}

/// Whether the runners of a group take jobs of a repository.
pub(crate) fn takes(group: &RunnerGroup, repository: &Repository) -> bool {
    let visible = match &group.visibility {
        GroupVisibility::All => true,
        GroupVisibility::Selected(names) => {
            names.iter().any(|name| name.eq_ignore_ascii_case(&repository.name))
        }
        GroupVisibility::Private => repository.private,
    };
    visible && (repository.private || group.allows_public_repositories)
}
