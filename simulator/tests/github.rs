//! GitHub, call by call, in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::{LABELS, Story, settings};
use serde_json::json;
use simulator::{
    Api, Chance, Fault, HookOwner, Method, Reply, Repository, Request, Scope, Settings, ViolationKind,
};

const RUNNERS: &str = "/orgs/shader-slang/actions/runners";

#[test]
fn a_registered_name_is_refused_until_its_runner_is_deleted() {
    let mut story = Story::new(settings());
    let first = story.jit("a");
    assert_eq!(first.status, 201);
    assert_eq!(first.value()["runner"]["status"], "offline");
    assert!(first.value()["encoded_jit_config"].as_str().unwrap().len() > 2000);
    assert_eq!(story.jit("a").status, 409);
    let id = first.value()["runner"]["id"].as_u64().unwrap();
    assert_eq!(story.github(Method::Delete, &format!("{RUNNERS}/{id}"), None).status, 204);
    assert_eq!(story.github(Method::Delete, &format!("{RUNNERS}/{id}"), None).status, 404);
    assert_eq!(story.jit("a").status, 201);
}

#[test]
fn a_busy_runner_is_not_deleted() {
    let mut story = Story::new(settings());
    let job = story.job(600);
    story.runner("a");
    story.pass_secs(60);
    let runner = story.github(Method::Get, RUNNERS, None).value()["runners"][0].clone();
    assert_eq!((runner["busy"].as_bool(), runner["os"].as_str()), (Some(true), Some("Linux")));
    let path = format!("{RUNNERS}/{}", runner["id"]);
    assert_eq!(story.github(Method::Delete, &path, None).status, 422);
    assert_eq!(story.world.job_state(job).unwrap().status(), "in_progress");
}

#[test]
fn an_idle_runner_that_is_deleted_makes_its_guest_power_off() {
    let mut story = Story::new(settings());
    story.runner("a");
    story.pass_secs(60);
    let id = story.world.runners()[0].id;
    assert_eq!(story.github(Method::Delete, &format!("{RUNNERS}/{id}"), None).status, 204);
    story.pass_secs(15);
    assert_eq!(story.vm("a").unwrap().status, "TERMINATED");
    assert_eq!(story.kinds(), []);
}

#[test]
fn runners_are_listed_by_name_and_page() {
    let mut story = Story::new(settings());
    for number in 0..25 {
        story.jit(&format!("runner-{number}"));
    }
    let page = |story: &mut Story, number: u32| {
        let pat = story.world.access.pat.clone();
        let request = Request::new(Api::GitHub, Method::Get, RUNNERS, story.now).bearer(&pat);
        let request = request.query("per_page", 10).query("page", number);
        story.send(&request).answer().unwrap()
    };
    let third = page(&mut story, 3);
    assert_eq!(third.value()["total_count"], 25);
    assert_eq!(third.value()["runners"].as_array().unwrap().len(), 5);
    assert!(!third.headers.iter().any(|(name, _)| name == "link"));
    let first = page(&mut story, 1);
    let (_, link) = first.headers.iter().find(|(name, _)| name == "link").unwrap();
    assert!(link.contains("page=2") && link.contains("rel=\"next\""), "{link}");
    let pat = story.world.access.pat.clone();
    let request = Request::new(Api::GitHub, Method::Get, RUNNERS, story.now).bearer(&pat);
    let named = story.send(&request.query("name", "runner-7")).answer().unwrap();
    assert_eq!(named.value()["total_count"], 1);
}

#[test]
fn wrong_jit_requests_are_refused() {
    let mut story = Story::new(settings());
    let path = format!("{RUNNERS}/generate-jitconfig");
    let cases = [
        (json!({ "name": "n".repeat(65), "runner_group_id": 1, "labels": LABELS }), 422),
        (json!({ "name": "a", "runner_group_id": 1, "labels": [] }), 422),
        (json!({ "name": "a", "runner_group_id": 9, "labels": LABELS }), 404),
        (json!({ "name": "a", "labels": LABELS }), 422),
        (json!({ "name": "a", "runner_group_id": "1", "labels": LABELS }), 422),
        (json!({ "name": "a", "runner_group_id": 1, "labels": LABELS, "ephemeral": true }), 422),
    ];
    for (body, status) in cases {
        assert_eq!(story.github(Method::Post, &path, Some(body.clone())).status, status, "{body}");
    }
    assert_eq!(story.kinds(), [ViolationKind::MalformedCall; 3]);
    assert_eq!(story.github(Method::Get, "/orgs/nobody/actions/runners", None).status, 404);
    assert_eq!(story.github(Method::Get, "/orgs/shader-slang/teams", None).status, 404);
    assert_eq!(story.kinds()[3..], [ViolationKind::UnknownCall]);
}

#[test]
fn enterprise_server_has_the_api_under_a_prefix() {
    let mut story = Story::new(settings());
    assert_eq!(story.github(Method::Get, &format!("/api/v3{RUNNERS}"), None).status, 200);
}

#[test]
fn failed_deliveries_are_listed_and_sent_again_with_the_same_guid() {
    let hook = HookOwner::Organization("shader-slang".to_owned());
    let mut story = Story::new(Settings { hook, ..settings() });
    story.world.faults.deliveries.lost = Chance::next(1);
    story.job(60);
    story.pass_secs(5);
    assert!(story.deliveries.is_empty());
    let hooks = story.github(Method::Get, "/orgs/shader-slang/hooks", None).value().clone();
    let path = format!("/orgs/shader-slang/hooks/{}/deliveries", hooks[0]["id"]);
    let failed = story.github(Method::Get, &path, None).value().clone();
    assert_eq!(
        (failed[0]["status_code"].as_u64(), failed[0]["action"].as_str()),
        (Some(504), Some("queued"))
    );
    let again = format!("{path}/{}/attempts", failed[0]["id"]);
    assert_eq!(story.github(Method::Post, &again, None).status, 202);
    story.pass_secs(5);
    assert_eq!(story.deliveries[0].guid, failed[0]["guid"].as_str().unwrap());
    let both = story.github(Method::Get, &path, None).value().clone();
    assert_eq!((both[0]["redelivery"].as_bool(), both[0]["status"].as_str()), (Some(true), Some("OK")));
    assert_eq!(both.as_array().unwrap().len(), 2);
}

#[test]
fn deliveries_are_paged_by_cursor_and_filtered_by_status() {
    let hook = HookOwner::Repository("shader-slang/slang".to_owned());
    let mut story = Story::new(Settings { hook, ..settings() });
    story.world.faults.deliveries.lost = Chance::next(2);
    for _ in 0..5 {
        story.job(60);
    }
    story.pass_secs(5);
    let path = "/repos/shader-slang/slang/hooks/460000001/deliveries";
    let pat = story.world.access.pat.clone();
    let request = Request::new(Api::GitHub, Method::Get, path, story.now).bearer(&pat).query("per_page", 4);
    let first = story.send(&request).answer().unwrap();
    let (_, link) = first.headers.iter().find(|(name, _)| name == "link").unwrap();
    let cursor = link.split("cursor=").nth(1).unwrap().split('>').next().unwrap().to_owned();
    let second = story.send(&request.clone().query("cursor", cursor)).answer().unwrap();
    assert_eq!(first.value().as_array().unwrap().len() + second.value().as_array().unwrap().len(), 5);
    let failures = story.send(&request.query("status", "failure")).answer().unwrap();
    assert_eq!(failures.value().as_array().unwrap().len(), 2);
}

#[test]
fn without_access_to_hooks_there_are_no_deliveries_to_see() {
    let hook = HookOwner::Organization("shader-slang".to_owned());
    let mut story = Story::new(Settings { hook, hook_access: false, ..settings() });
    assert_eq!(story.github(Method::Get, "/orgs/shader-slang/hooks", None).status, 403);
    let path = "/orgs/shader-slang/hooks/460000001/deliveries";
    assert_eq!(story.github(Method::Get, path, None).status, 403);
}

#[test]
fn deliveries_are_duplicated_and_never_made_when_told_to() {
    let mut story = Story::new(settings());
    story.world.faults.deliveries.duplicated = Chance::next(1);
    story.job(60);
    story.pass_secs(5);
    assert_eq!(story.deliveries.len(), 2);
    assert_eq!(story.deliveries[0].guid, story.deliveries[1].guid);
    assert_ne!(story.deliveries[0].id, story.deliveries[1].id);
    story.world.faults.deliveries.never = Chance::next(1);
    story.job(60);
    story.pass_secs(5);
    assert_eq!(story.deliveries.len(), 2);
}

#[test]
fn runs_and_jobs_are_found_by_status() {
    let mut story = Story::new(settings());
    let running = story.job(600);
    story.runner("a");
    story.pass_secs(60);
    let queued = story.job(600);
    let runs = "/repos/shader-slang/slang/actions/runs";
    let pat = story.world.access.pat.clone();
    let request = Request::new(Api::GitHub, Method::Get, runs, story.now).bearer(&pat);
    let found = story.send(&request.clone().query("status", "queued")).answer().unwrap();
    assert_eq!(found.value()["total_count"], 1);
    let run = found.value()["workflow_runs"][0]["id"].as_u64().unwrap();
    let jobs = story.github(Method::Get, &format!("{runs}/{run}/jobs"), None);
    assert_eq!(jobs.value()["jobs"][0]["id"], queued.0);
    let job = story.github(Method::Get, &format!("/repos/shader-slang/slang/actions/jobs/{running}"), None);
    assert_eq!(job.value()["runner_name"], "a");
    let created = format!(">={}", story.now);
    let since = story.send(&request.query("created", created)).answer().unwrap();
    assert_eq!(since.value()["total_count"], 1);
}

#[test]
fn calls_fail_before_or_after_their_effect_and_are_limited() {
    let mut story = Story::new(settings());
    let faults = &mut story.world.faults;
    faults.once("github.jitconfig", Fault::ErrorBefore(500));
    faults.once("github.jitconfig", Fault::ErrorAfter(503));
    faults.once("github.jitconfig", Fault::Limited { status: 429, retry_after: Duration::from_secs(7) });
    assert_eq!(story.jit("a").status, 500);
    assert!(story.world.runners().is_empty());
    assert_eq!(story.jit("a").status, 503);
    assert_eq!(story.world.runners().len(), 1);
    let limited = story.jit("b");
    assert_eq!(limited.status, 429);
    assert!(limited.headers.contains(&("retry-after".to_owned(), "7".to_owned())));
    story.world.faults.once("github.*", Fault::ClosedAfter);
    let pat = story.world.access.pat.clone();
    let request = Request::new(Api::GitHub, Method::Get, RUNNERS, story.now).bearer(&pat);
    assert!(matches!(story.send(&request), Reply::Closed));
    story.world.faults.rate("github.runners", 1.0, Fault::Slow(Duration::from_secs(3)));
    let Reply::Answer { delay, .. } = story.send(&request) else { panic!("an answer") };
    assert_eq!(delay, Duration::from_secs(3));
    story.world.faults.clear();
    assert_eq!(story.jit("c").status, 201);
}

#[test]
fn every_answer_says_what_is_left_of_the_hours_calls() {
    let mut story = Story::new(Settings { rate_limit: 3, ..settings() });
    let remaining = |response: &simulator::Response| {
        let found = response.headers.iter().find(|(name, _)| name == "x-ratelimit-remaining");
        found.map(|(_, value)| value.clone())
    };
    let first = story.github(Method::Get, RUNNERS, None);
    assert_eq!(remaining(&first).as_deref(), Some("2"));
    story.github(Method::Get, RUNNERS, None);
    assert_eq!(story.github(Method::Get, RUNNERS, None).status, 200);
    assert_eq!(story.github(Method::Get, RUNNERS, None).status, 403);
    story.pass_secs(3600);
    assert_eq!(story.github(Method::Get, RUNNERS, None).status, 200);
}

#[test]
fn nobody_gets_in_without_credentials() {
    let mut story = Story::new(settings());
    let request = Request::new(Api::GitHub, Method::Get, RUNNERS, story.now);
    assert_eq!(story.send(&request).answer().unwrap().status, 401);
    assert_eq!(story.send(&request.clone().bearer("ghp_wrong")).answer().unwrap().status, 401);
    assert_eq!(story.github(Method::Get, "/app/hook/deliveries", None).status, 401, "a PAT is no app");
    let mut nameless = request;
    nameless.headers.remove("user-agent");
    assert_eq!(story.send(&nameless).answer().unwrap().status, 403);
}

#[test]
fn a_runner_registered_by_hand_is_listed_until_it_is_forgotten() {
    let mut story = Story::new(settings());
    let scope = Scope::Organization("shader-slang".to_owned());
    let id = story.world.register_runner(story.now, scope, "by-hand", &LABELS);
    let listed = story.github(Method::Get, RUNNERS, None).value()["runners"][0].clone();
    assert_eq!((listed["id"].as_u64(), listed["name"].as_str()), (Some(id.0), Some("by-hand")));
    assert_eq!((listed["status"].as_str(), listed["busy"].as_bool()), (Some("offline"), Some(false)));
    assert_eq!(story.jit("by-hand").status, 409);
    story.pass(story.world.settings().timing.registration_kept);
    assert!(story.world.runners().is_empty());
}

#[test]
fn an_archived_repository_says_so() {
    let archived = Repository { archived: true, ..Repository::public("shader-slang/old") };
    let repositories = vec![archived, Repository::public("shader-slang/slang")];
    let mut story = Story::new(Settings { repositories, ..settings() });
    let all = story.github(Method::Get, "/orgs/shader-slang/repos", None).value().clone();
    assert_eq!((all[0]["archived"].as_bool(), all[1]["archived"].as_bool()), (Some(true), Some(false)));
}

#[test]
fn a_delivery_is_pending_until_it_is_answered() {
    let mut story = Story::new(settings());
    story.job(60);
    story.now = story.world.next_due().unwrap();
    let taken = story.world.take_deliveries(story.now);
    assert_eq!((taken.len(), story.world.deliveries_pending()), (1, 1));
    story.world.delivered(story.now, taken[0].id, 202);
    assert_eq!(story.world.deliveries_pending(), 0);
}

#[test]
fn a_redirection_is_no_failed_delivery() {
    let hook = HookOwner::Organization("shader-slang".to_owned());
    let mut story = Story::new(Settings { hook, ..settings() });
    for status in [202, 302, 404, 502] {
        story.job(60);
        let due = story.world.next_due().unwrap();
        story.now = due;
        for delivery in story.world.take_deliveries(due) {
            story.world.delivered(due, delivery.id, status);
        }
    }
    let path = "/orgs/shader-slang/hooks/460000001/deliveries";
    let pat = story.world.access.pat.clone();
    for (status, listed) in [("failure", vec![502, 404]), ("success", vec![302, 202])] {
        let request = Request::new(Api::GitHub, Method::Get, path, story.now).bearer(&pat);
        let answer = story.send(&request.query("status", status)).answer().unwrap();
        let codes =
            answer.value().as_array().unwrap().iter().map(|each| each["status_code"].as_u64().unwrap());
        assert_eq!(codes.collect::<Vec<_>>(), listed, "{status}");
    }
}
