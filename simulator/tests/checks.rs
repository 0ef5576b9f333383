//! Check runs at GitHub, call by call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Story, settings};
use serde_json::{Value, json};
use simulator::{Api, Method, Request, Response, ViolationKind};

const RUNS: &str = "/repos/shader-slang/slang/check-runs";

/// A story with a job, and its commit.
fn story() -> (Story, String) {
    let mut story = Story::new(settings());
    let job = story.job(600);
    let path = format!("/repos/shader-slang/slang/actions/jobs/{job}");
    let sha = story.github(Method::Get, &path, None).value()["head_sha"].as_str().unwrap().to_owned();
    (story, sha)
}

/// A call of the App's installation.
fn as_app(story: &mut Story, method: Method, path: &str, body: &Value) -> Response {
    let token = story.world.installation_token(story.now);
    let request = Request::new(Api::GitHub, method, path, story.now).bearer(&token).json(body);
    story.send(&request).answer().unwrap()
}

fn create(story: &mut Story, more: Value) -> Response {
    as_app(story, Method::Post, RUNS, &more)
}

#[test]
fn a_check_run_is_made_changed_and_concluded() {
    let (mut story, sha) = story();
    let output = json!({ "title": "waiting", "summary": "for capacity" });
    let made =
        create(&mut story, json!({ "name": "a", "head_sha": sha, "external_id": "7", "output": output }));
    assert_eq!((made.status, made.value()["status"].as_str()), (201, Some("queued")));
    let path = format!("{RUNS}/{}", made.value()["id"]);
    let other = json!({ "output": { "title": "still", "summary": "waiting" } });
    let changed = as_app(&mut story, Method::Patch, &path, &other);
    assert_eq!((changed.status, changed.value()["output"]["title"].as_str()), (200, Some("still")));
    let over =
        as_app(&mut story, Method::Patch, &path, &json!({ "status": "completed", "conclusion": "neutral" }));
    assert_eq!(over.value()["conclusion"], "neutral");
    assert!(over.value()["completed_at"].is_string());
    let opened = as_app(&mut story, Method::Patch, &path, &json!({ "status": "queued" }));
    assert_eq!(opened.status, 422, "what is over stays so");
    let runs = story.world.check_runs();
    assert_eq!((runs.len(), runs[0].writes, runs[0].external_id.as_str()), (1, 3, "7"));
    assert_eq!(story.kinds(), []);
}

#[test]
fn what_is_not_right_is_refused() {
    let (mut story, sha) = story();
    let made = create(&mut story, json!({ "name": "a", "head_sha": sha }));
    let path = format!("{RUNS}/{}", made.value()["id"]);
    let long = "x".repeat(65_536);
    for (body, malformed) in [
        (json!({ "name": "a" }), true),
        (json!({ "name": "a", "head_sha": sha, "state": "queued" }), true),
        (json!({ "name": "a", "head_sha": sha, "status": "waiting" }), true),
        (json!({ "name": "a", "head_sha": sha, "output": { "title": "t" } }), true),
        (json!({ "name": "", "head_sha": sha }), false),
        (json!({ "name": "a", "head_sha": "0".repeat(40) }), false),
        (json!({ "name": "a", "head_sha": sha, "status": "completed" }), false),
        (json!({ "name": "a", "head_sha": sha, "conclusion": "stale" }), false),
        (json!({ "name": "a", "head_sha": sha, "completed_at": "2026-03-01T12:00:00Z" }), false),
        (json!({ "name": "a", "head_sha": sha, "started_at": "yesterday" }), false),
        (json!({ "name": "a", "head_sha": sha, "output": { "title": "t", "summary": long } }), false),
    ] {
        let before = story.kinds().len();
        assert_eq!(create(&mut story, body.clone()).status, 422, "{body}");
        assert_eq!(story.kinds().len() - before, usize::from(malformed), "{body}");
    }
    for (body, status) in [
        (json!({ "status": "completed" }), 422),
        (json!({ "status": "pending" }), 422),
        (json!({ "output": { "summary": "no title" } }), 422),
    ] {
        assert_eq!(as_app(&mut story, Method::Patch, &path, &body).status, status, "{body}");
    }
    assert!(story.kinds().iter().all(|kind| *kind == ViolationKind::MalformedCall));
    let elsewhere = path.replace("shader-slang/slang", "shader-slang/other");
    assert_eq!(as_app(&mut story, Method::Patch, &elsewhere, &json!({})).status, 404);
    assert_eq!(as_app(&mut story, Method::Patch, &format!("{RUNS}/1"), &json!({})).status, 404);
    assert_eq!(story.world.check_runs().len(), 1, "nothing that was refused took effect");
}

#[test]
fn only_an_app_with_the_permission_may() {
    let (mut story, sha) = story();
    let body = json!({ "name": "a", "head_sha": sha });
    assert_eq!(story.github(Method::Post, RUNS, Some(body.clone())).status, 403, "a personal access token");
    story.world.change_rights(|rights| _ = rights.app_permissions.insert("checks".into(), "read".into()));
    let refused = create(&mut story, body);
    assert_eq!(refused.status, 403);
    let header = refused.headers.iter().find(|(name, _)| name == "x-accepted-github-permissions");
    assert_eq!(header.unwrap().1, "checks=write");
}
