//! Check runs: said, changed and concluded.

use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::ids::{CheckRunId, Commit, InstallationId, JobId, Repository};
use mayfly_core::notice::{Cause, Ending, Notice, Standing, Words, check_name};
use mayfly_service::github::GitHubError;
use simulator::{CheckRunView, Fault, JobSpec, Settings};

use super::story::{Story, is_unavailable, refusal, soon};

const SLANG: &str = "shader-slang/slang";

fn words(title: &str) -> Words {
    Words { title: title.to_owned(), summary: "| a | b |\n".to_owned() }
}

fn started() -> Ending {
    Ending::Started {
        at: Some("2026-03-01T12:12:34Z".parse().unwrap()),
        runner: Some("prod-linux-gpu-0000".into()),
    }
}

fn now() -> Timestamp {
    "2026-03-01T12:13:00.7Z".parse().unwrap()
}

impl Story {
    /// A job that waits, and a notice of it.
    async fn waiting(&self) -> Notice {
        let spec = JobSpec::new(SLANG, &["self-hosted", "Nobodys"]).lasting(Duration::from_secs(600));
        let job = JobId(self.world.with(|world, now| world.queue_job(now, spec)).0);
        let (repository, installation) = (Repository::new(SLANG).unwrap(), self.installation());
        let seen = self.github.jobs_commit(&repository, job, installation, soon()).await.unwrap();
        assert!(seen.waits);
        assert_eq!(
            seen.page,
            Some(format!("https://github.com/{SLANG}/actions/runs/{}/job/{job}", self.run_of(job)))
        );
        Notice {
            job,
            repository,
            installation,
            queued_at: "2026-03-01T12:00:00.9Z".parse().unwrap(),
            commit: seen.commit,
            name: check_name(job, &seen.name),
            standing: Standing::Asked,
            cause: Cause::Full,
            said_at: now(),
        }
    }

    fn installation(&self) -> Option<InstallationId> {
        Some(InstallationId(self.world.installation_id()))
    }

    fn run_of(&self, job: JobId) -> u64 {
        let traffic = self.traffic();
        let asked =
            |call: &&serde_json::Value| call["path"].as_str().unwrap().ends_with(&format!("/jobs/{job}"));
        traffic.iter().rev().find(asked).unwrap()["response"]["run_id"].as_u64().unwrap()
    }

    async fn say(&self, notice: &Notice) -> Result<CheckRunId, GitHubError> {
        self.github.create_check_run(notice, &words("waiting"), Some("https://example.com/job"), soon()).await
    }

    fn check_runs(&self) -> Vec<CheckRunView> {
        self.world.with(|world, _| world.check_runs())
    }
}

#[tokio::test]
async fn what_is_said_is_brought_up_to_date_and_concluded() {
    let story = Story::begin(Settings::brisk()).await;
    let notice = story.waiting().await;
    let id = story.say(&notice).await.unwrap();
    let [made] = story.check_runs().try_into().unwrap();
    assert_eq!((made.id, made.status.as_str(), made.external_id), (id.0, "queued", notice.job.to_string()));
    assert_eq!((made.name.as_str(), made.head_sha.as_str()), (notice.name.as_str(), notice.commit.as_str()));
    assert_eq!(made.details_url.as_deref(), Some("https://example.com/job"));

    story.github.change_check_run(&notice, id, &words("still waiting"), soon()).await.unwrap();
    assert_eq!(
        (story.check_runs()[0].title.as_str(), story.check_runs()[0].status.as_str()),
        ("still waiting", "queued")
    );

    // Again, as after an answer that was lost.
    for _ in 0..2 {
        story.github.conclude_check_run(&notice, id, &started(), now(), soon()).await.unwrap();
    }
    story.github.change_check_run(&notice, id, &words("too late"), soon()).await.unwrap();
    let [over] = story.check_runs().try_into().unwrap();
    assert_eq!(
        (over.status.as_str(), over.conclusion.as_deref()),
        ("completed", Some("neutral")),
        "it stays over"
    );
    story.end();
}

#[tokio::test]
async fn one_that_may_be_there_is_replaced_by_one_of_its_name_that_is_over() {
    let story = Story::begin(Settings::brisk()).await;
    let notice = story.waiting().await;
    story.strike("github.create_check_run", Fault::ClosedAfter);
    assert!(is_unavailable(&story.say(&notice).await));
    assert_eq!(story.calls(["create_check_run"]), [1], "it is not repeated: it may have taken effect");
    let ending = Ending::Ended { conclusion: "cancelled".to_owned() };
    story.github.create_concluded(&notice, &ending, now(), soon()).await.unwrap();
    let [lost, over] = story.check_runs().try_into().unwrap();
    assert_eq!((lost.name, lost.status.as_str()), (over.name, "queued"));
    assert_eq!(
        (over.conclusion.as_deref(), over.title.as_str()),
        (Some("skipped"), "ended without a runner: cancelled")
    );
    story.end();
}

#[tokio::test]
async fn a_lost_answer_to_a_change_is_asked_for_again() {
    let story = Story::begin(Settings::brisk()).await;
    let notice = story.waiting().await;
    let id = story.say(&notice).await.unwrap();
    story.strike("github.update_check_run", Fault::ClosedAfter);
    story.github.conclude_check_run(&notice, id, &started(), now(), soon()).await.unwrap();
    assert_eq!((story.calls(["update_check_run"]), story.check_runs()[0].writes), ([2], 3));
    story.end();
}

#[tokio::test]
async fn without_the_permission_it_is_refused_and_said_which() {
    let story = Story::begin(Settings::brisk()).await;
    let notice = story.waiting().await;
    story.world.with(|world, _| world.change_rights(|rights| _ = rights.app_permissions.remove("checks")));
    let (status, why) = refusal(story.say(&notice).await);
    assert!(status == 403 && why.contains("`Checks: write`") && why.contains("checks=write"), "{why}");
    assert_eq!(story.check_runs(), []);
    story.end();
}

#[tokio::test]
async fn a_commit_that_is_not_there_is_refused() {
    let story = Story::begin(Settings::brisk()).await;
    let notice = story.waiting().await;
    let unknown = Commit::new("0123456789".repeat(4)).unwrap();
    let (status, why) = refusal(story.say(&Notice { commit: unknown, ..notice }).await);
    assert!(status == 422 && why.contains("No commit found"), "{why}");
    // Its traffic is held against nothing: GitHub's description leaves this answer out.
}

#[tokio::test]
async fn what_is_not_there_is_refused() {
    let story = Story::begin(Settings::brisk()).await;
    let notice = story.waiting().await;
    let elsewhere = Notice { repository: Repository::new("shader-slang/gone").unwrap(), ..notice.clone() };
    let (status, why) = refusal(story.say(&elsewhere).await);
    assert!(status == 404 && why.contains("Checks: write"), "{why}");
    let gone = story.github.change_check_run(&notice, CheckRunId(1), &words("waiting"), soon()).await;
    assert_eq!(refusal(gone).0, 404);
    let gone = story.github.jobs_commit(&notice.repository, JobId(1), story.installation(), soon()).await;
    assert_eq!(refusal(gone).0, 404);
    story.end();
}
