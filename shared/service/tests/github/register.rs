//! Runners registered just in time, in their scope and group, and under a name that is taken.

use futures_util::future::join_all;
use mayfly_core::ids::RunnerId;
use mayfly_core::policy::Scope;
use serde_json::json;
use simulator::{Fault, GroupVisibility, RunnerGroup, Settings};

use super::story::{Story, enterprise, organization, refusal, repository};

fn group(id: u64, name: &str) -> RunnerGroup {
    let visibility = GroupVisibility::All;
    RunnerGroup { id, name: name.to_owned(), visibility, allows_public_repositories: true }
}

#[tokio::test]
async fn a_runner_is_registered_in_its_scope_with_name_labels_and_group() {
    let settings = Settings { enterprise: Some("slang-corp".to_owned()), ..Settings::brisk() };
    let mut story = Story::begin(settings).await;
    let wanted = [
        (organization(), simulator::Scope::Organization("shader-slang".to_owned()), 1),
        (repository(), simulator::Scope::Repository("shader-slang/slang".to_owned()), 0),
        (enterprise(), simulator::Scope::Enterprise("slang-corp".to_owned()), 1),
    ];
    let mut groups = 0;
    for (slot, (scope, found, lookups)) in (0..).zip(wanted) {
        story.pool.scope = scope;
        let registration = story.register(slot).await.unwrap();
        let runners = story.runners();
        let runner = runners.last().unwrap();
        assert_eq!((&runner.scope, runner.name.as_str()), (&found, story.name(slot).as_str()));
        assert_eq!(RunnerId(runner.id.0), registration.runner_id);
        assert!(registration.jit_config.expose().len() > 1_000);
        groups += lookups;
        assert_eq!(story.calls(["runner_groups"]), [groups], "repositories have one group only");
    }
    let requests: Vec<_> = story.traffic().into_iter().filter(|call| call["status"] == 201).collect();
    let body = json!({ "name": story.name(0).as_str(), "runner_group_id": 1, "work_folder": "_work",
        "labels": ["self-hosted", "Linux", "GPU"] });
    assert_eq!(requests[1]["request"], body);
    story.end();
}

#[tokio::test]
async fn a_group_is_found_by_name_on_whatever_page() {
    let mut groups: Vec<RunnerGroup> = (2..150).map(|id| group(id, &format!("group {id}"))).collect();
    groups.push(group(777, "GPU Runners"));
    let mut story = Story::begin(Settings { runner_groups: groups, ..Settings::brisk() }).await;
    story.pool.runner_group = "gpu runners".to_owned();
    for slot in 0..2 {
        story.register(slot).await.unwrap();
    }
    assert_eq!(story.calls(["runner_groups"]), [2], "two pages, once");
    let asked = story.traffic();
    assert_eq!(asked.last().unwrap()["request"]["runner_group_id"], 777);
    story.end();
}

#[tokio::test]
async fn the_default_group_has_the_id_1_whatever_it_is_called() {
    let renamed = vec![group(1, "Everybody"), group(2, "GPU"), group(3, "CPU")];
    let mut story = Story::begin(Settings { runner_groups: renamed, ..Settings::brisk() }).await;
    story.register(0).await.unwrap();
    assert_eq!(story.traffic().last().unwrap()["request"]["runner_group_id"], 1);

    story.pool.runner_group = "gpus".to_owned();
    let (status, why) = refusal(story.register(1).await);
    assert_eq!(status, 404);
    assert_eq!(why, "no runner group `gpus`; there are: Everybody, GPU, CPU");
    story.end();
}

#[tokio::test]
async fn a_registration_whose_reply_was_lost_is_made_again_and_leaves_nothing_behind() {
    let faults = [Fault::ClosedAfter, Fault::ErrorAfter(502), Fault::Garbage];
    let cases = faults.into_iter().map(async |fault| {
        let story = Story::begin(Settings::brisk()).await;
        story.strike("github.jitconfig", fault.clone());
        let registration = story.register(0).await.unwrap();
        let runners = story.runners();
        assert_eq!(runners.len(), 1, "{fault:?}");
        assert_eq!(RunnerId(runners[0].id.0), registration.runner_id, "{fault:?}: the one that is told");
        assert_eq!(story.calls(["jitconfig", "runners", "delete_runner"]), [3, 1, 1], "{fault:?}");
        story.end();
    });
    join_all(cases).await;
}

#[tokio::test]
async fn a_name_of_an_earlier_invocation_is_taken_over() {
    let story = Story::begin(Settings::brisk()).await;
    let first = story.register(0).await.unwrap();
    let second = story.register(0).await.unwrap();
    assert_ne!(first.runner_id, second.runner_id);
    assert_eq!(story.runners().len(), 1);
    story.end();
}

#[tokio::test]
async fn a_busy_runner_of_the_name_is_left_alone() {
    let story = Story::begin(Settings::brisk()).await;
    let first = story.register(0).await.unwrap();
    story.make_busy(0, &first).await;
    let (status, why) = refusal(story.register(0).await);
    assert!(status == 409 && why.contains("busy"), "{why}");
    let runners = story.runners();
    assert_eq!(runners.len(), 1);
    assert!(runners[0].busy && RunnerId(runners[0].id.0) == first.runner_id);
    story.end();
}

#[tokio::test]
async fn what_github_finds_wrong_is_told_in_its_own_words() {
    let story = Story::begin(Settings::brisk()).await;
    story.strike("github.jitconfig", Fault::ErrorBefore(422));
    let (status, why) = refusal(story.register(0).await);
    assert_eq!((status, why.as_str()), (422, "simulated failure"), "nothing about permissions");
    story.end();
}

#[tokio::test]
async fn a_missing_permission_is_told_with_its_name() {
    let settings = Settings { enterprise: Some("slang-corp".to_owned()), ..Settings::brisk() };
    let cases: [(Scope, &str); 3] = [
        (organization(), "Self-hosted runners: write"),
        (repository(), "Administration: write"),
        (enterprise(), "Enterprise self-hosted runners: write"),
    ];
    let mut story = Story::begin(settings).await;
    for (scope, permission) in cases {
        story.pool.scope = scope;
        for status in [403, 404] {
            let before = story.calls(["jitconfig"])[0];
            story.strike("github.jitconfig", Fault::ErrorBefore(status));
            let (told, why) = refusal(story.register(0).await);
            assert_eq!((told, why.contains(permission)), (status, true), "{why}");
            assert_eq!(story.calls(["jitconfig"])[0] - before, 1, "asked once");
        }
    }
    story.end();
}
