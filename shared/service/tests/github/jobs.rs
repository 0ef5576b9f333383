//! Jobs and runs, as GitHub has them.

use std::time::Duration;

use mayfly_core::event::{Change, JobEvent};
use mayfly_core::ids::{InstallationId, JobId, Repository};
use mayfly_service::github::RunStatus;
use simulator::{Fault, JobSpec, Settings};

use super::story::{Story, refusal, soon};

const SLANG: &str = "shader-slang/slang";

fn slang() -> Repository {
    Repository::new(SLANG).unwrap()
}

fn spec() -> JobSpec {
    JobSpec::new(SLANG, &["self-hosted", "Nobodys"]).lasting(Duration::from_secs(600))
}

impl Story {
    fn queue(&self, spec: JobSpec) -> simulator::JobId {
        self.world.with(|world, now| world.queue_job(now, spec))
    }

    async fn job(&self, job: simulator::JobId) -> JobEvent {
        let installation = Some(InstallationId(self.world.installation_id()));
        let event = self.github.job(&slang(), JobId(job.0), installation, soon()).await.unwrap();
        assert_eq!((event.job, event.installation), (JobId(job.0), installation));
        event
    }
}

#[tokio::test]
async fn a_job_in_each_state_is_told_as_its_event_would_have_told_it() {
    let story = Story::begin(Settings::brisk()).await;
    let queued = story.queue(spec());
    let event = story.job(queued).await;
    assert_eq!((event.name.as_str(), event.repository, event.enterprise), ("test", slang(), None));
    assert_eq!((event.change, event.labels.as_slice().len()), (Change::Queued, 2));
    assert!(event.created_at.is_some());

    let held = story.queue(spec().waiting());
    assert_eq!(story.job(held).await.change, Change::Held);

    story.world.with(|world, now| world.cancel_job(now, queued));
    let conclusion = Some("cancelled".to_owned());
    let ended = Change::Ended { runner: None, conclusion: conclusion.clone() };
    assert_eq!(story.job(queued).await.change, ended, "it never had a runner");

    let registration = story.register(0).await.unwrap();
    story.make_busy(0, &registration).await;
    let running = story.world.with(|world, _| world.jobs().last().unwrap().id);
    let runner = Some(story.name(0).as_str().to_owned());
    assert_eq!(story.job(running).await.change, Change::Started { runner: runner.clone() });
    story.world.with(|world, now| world.cancel_job(now, running));
    assert_eq!(story.job(running).await.change, Change::Ended { runner, conclusion });
    story.end();
}

#[tokio::test]
async fn a_job_that_is_not_seen_is_refused_with_what_is_missing() {
    let story = Story::begin(Settings::brisk()).await;
    let (status, why) = refusal(story.github.job(&slang(), JobId(1), None, soon()).await);
    assert!(status == 404 && why.contains("Actions: read"), "{why}");
    story.strike("github.runs", Fault::ErrorBefore(403));
    let (status, why) = refusal(story.github.runs(&slang(), RunStatus::Queued, 1, soon()).await);
    assert!(status == 403 && why.contains("Actions: read"), "{why}");
    story.end();
}

#[tokio::test]
async fn runs_are_listed_by_status_newest_first_in_pages() {
    let story = Story::begin(Settings::brisk()).await;
    for run in 1..=60 {
        story.queue(JobSpec { run: Some(run), ..spec() });
    }
    let first = story.github.runs(&slang(), RunStatus::Queued, 1, soon()).await.unwrap();
    assert_eq!((first.ids, first.more), ((11..=60).rev().collect(), true));
    let second = story.github.runs(&slang(), RunStatus::Queued, 2, soon()).await.unwrap();
    assert_eq!((second.ids, second.more), ((1..=10).rev().collect(), false));
    let begun = story.github.runs(&slang(), RunStatus::InProgress, 1, soon()).await.unwrap();
    assert_eq!((begun.ids, begun.more), (Vec::new(), false));
    story.end();
}

#[tokio::test]
async fn all_jobs_of_a_run_are_listed() {
    let story = Story::begin(Settings::brisk()).await;
    for _ in 0..130 {
        story.queue(JobSpec { run: Some(7), ..spec() });
    }
    let held = story.queue(JobSpec { run: Some(7), ..spec().waiting() });
    let jobs = story.github.run_jobs(&slang(), 7, soon()).await.unwrap();
    assert_eq!((jobs.len(), story.calls(["run_jobs"])), (131, [2]));
    let waits = |job: &&JobEvent| job.change == Change::Queued && job.repository == slang();
    assert_eq!(jobs.iter().filter(waits).count(), 130);
    assert!(jobs.iter().any(|job| job.job == JobId(held.0) && job.change == Change::Held));
    story.end();
}
