//! Who the client is: the App by its installation's token, or a personal access token.

use std::time::Duration;

use futures_util::future::join_all;
use mayfly_core::ids::{Account, InstallationId};
use mayfly_core::policy::Scope;
use mayfly_service::config::GitHubLogin;
use mayfly_service::secret::SecretSource;
use simulator::{Fault, Settings};

use super::story::{SOON, Story, enterprise, is_unavailable, refusal};

const ALL: [&str; 4] = ["find_installation", "access_token", "runner_groups", "jitconfig"];

#[tokio::test]
async fn a_token_and_a_group_are_asked_for_once() {
    let story = Story::begin(Settings::brisk()).await;
    for slot in 0..5 {
        story.register(slot).await.unwrap();
    }
    assert_eq!((story.calls(ALL), story.github.calls()), ([0, 1, 1, 5], 7));
    let at_once = join_all((5..15).map(|slot| story.register(slot))).await;
    assert!(at_once.iter().all(Result::is_ok));
    assert_eq!((story.calls(ALL), story.github.calls()), ([0, 1, 1, 15], 17));
    story.end();
}

#[tokio::test]
async fn those_who_come_first_at_the_same_time_share_a_token() {
    let story = Story::begin(Settings::brisk()).await;
    let at_once = join_all((0..10).map(|slot| story.register(slot))).await;
    assert!(at_once.iter().all(Result::is_ok));
    assert_eq!(story.calls(ALL), [0, 1, 1, 10]);
    story.end();
}

#[tokio::test]
async fn the_installation_is_configured_or_delivered_or_looked_up() {
    let story = Story::as_nobody(Settings::brisk()).await;
    let right = InstallationId(story.world.installation_id());
    for (configured, delivered, looked_up) in
        [(Some(right), Some(InstallationId(1)), 0), (None, Some(right), 0), (None, None, 1)]
    {
        let github = super::story::client(&story.world.github_url(), story.app(configured));
        let before = story.calls(["find_installation"])[0];
        for slot in 0..2 {
            let deadline = tokio::time::Instant::now() + SOON;
            let runner = story.name(slot);
            github.register(&story.pool, &runner, delivered, deadline).await.unwrap();
        }
        assert_eq!(story.calls(["find_installation"])[0] - before, looked_up, "{configured:?} {delivered:?}");
        for runner in story.runners() {
            story.world.with(|world, now| world.drop_runner(now, runner.id));
        }
    }
    story.end();
}

#[tokio::test]
async fn an_installation_that_is_gone_since_the_delivery_is_looked_up_anew() {
    let story = Story::as_nobody(Settings::brisk()).await.with_login(|story| story.app(None));
    let deadline = tokio::time::Instant::now() + SOON;
    story.github.register(&story.pool, &story.name(1), Some(InstallationId(1)), deadline).await.unwrap();
    assert_eq!(
        story.calls(ALL),
        [1, 3, 1, 1],
        "the group and the runner each try it, and find the right one"
    );
    story.end();
}

#[tokio::test]
async fn an_organizations_installation_does_not_serve_for_its_enterprise() {
    let settings = Settings { enterprise: Some("slang-corp".to_owned()), ..Settings::brisk() };
    let mut story = Story::as_nobody(settings).await.with_login(|story| story.app(None));
    story.pool.scope = enterprise();
    let deadline = tokio::time::Instant::now() + SOON;
    let runner = story.name(1);
    story.github.register(&story.pool, &runner, Some(InstallationId(1)), deadline).await.unwrap();
    assert_eq!(story.calls(ALL), [1, 1, 1, 1]);
    story.end();
}

#[tokio::test]
async fn a_token_about_to_expire_is_renewed() {
    let settings = Settings { token_lifetime: Duration::from_secs(4 * 60), ..Settings::brisk() };
    let story = Story::begin(settings).await;
    for slot in 0..3 {
        story.register(slot).await.unwrap();
    }
    assert_eq!(story.calls(ALL), [0, 4, 1, 3], "a new one for each call, group included");
    story.end();
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_once() {
    let story = Story::begin(Settings::brisk()).await;
    story.strike("github.jitconfig", Fault::ErrorBefore(401));
    story.register(0).await.unwrap();
    assert_eq!(story.calls(ALL), [0, 2, 1, 2]);

    // Two who meet the refusal together: the second finds the token forgotten, and tries again all the same.
    story.strike("github.jitconfig", Fault::ErrorBefore(401));
    story.strike("github.jitconfig", Fault::ErrorBefore(401));
    let (one, other) = tokio::join!(story.register(1), story.register(2));
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");

    story.always("github.jitconfig", Fault::ErrorBefore(401));
    let before = story.calls(["jitconfig"])[0];
    let (status, why) = refusal(story.register(3).await);
    assert!(status == 401 && why.contains("expired, or been revoked"), "{why}");
    assert_eq!(story.calls(["jitconfig"])[0] - before, 2, "no loop");
    story.end();
}

#[tokio::test]
async fn a_personal_access_token_needs_no_more() {
    let story = Story::as_nobody(Settings::brisk()).await;
    let pat = story.world.pat();
    let story = story.with_login(|story| story.token(&pat));
    story.register(0).await.unwrap();
    assert_eq!(story.calls(ALL), [0, 0, 1, 1]);

    let story = story.with_login(|story| story.token("ghp_ofSomebodyElse"));
    let (status, why) = refusal(story.register(1).await);
    assert!(status == 401 && why.contains("Bad credentials") && why.contains("expired"), "{why}");
    assert_eq!(story.calls(ALL), [0, 0, 2, 1], "a second one would be the same");
    story.end();
}

#[tokio::test]
async fn an_app_that_is_not_who_it_says_is_told_what_to_mend() {
    let story = Story::as_nobody(Settings::brisk()).await;
    let right = Some(InstallationId(story.world.installation_id()));
    let account: serde_json::Value = serde_json::from_str(&story.world.service_account_json()).unwrap();
    let anothers = account["private_key"].as_str().unwrap().to_owned();
    let mut story = story.with_login(|story| story.app_with_key(&anothers, right));
    let (status, why) = refusal(story.register(0).await);
    assert!(status == 401 && why.contains("github.app.private_key") && why.contains("clock"), "{why}");

    story = story.with_login(|story| story.app_with_key("-----BEGIN NONSENSE-----", right));
    let (_, why) = refusal(story.register(0).await);
    assert!(why.contains("github.app.private_key is no RSA private key"), "{why}");

    story = story.with_login(|story| story.app(Some(InstallationId(1))));
    let (status, why) = refusal(story.register(0).await);
    assert!(status == 404 && why.contains("still installed"), "{why}");

    story = story.with_login(|story| story.app(None));
    story.pool.scope = Scope::Organization(Account::new("somebody-else").unwrap());
    let (status, why) = refusal(story.register(0).await);
    assert!(status == 404 && why.contains("installed there"), "{why}");

    let missing = story.file("key.pem", "").with_extension("missing");
    let private_key = SecretSource::File(missing.clone());
    story = story.with_login(|_| GitHubLogin::App {
        client_id: "a".to_owned(),
        private_key,
        installation: right,
    });
    let told = story.register(0).await;
    assert!(is_unavailable(&told));
    let text = told.unwrap_err().to_string();
    assert!(text.contains(&missing.display().to_string()), "{text}");
    story.end();
}

#[tokio::test]
async fn a_suspended_installation_is_told_as_such() {
    let story = Story::begin(Settings::brisk()).await;
    story.strike("github.access_token", Fault::ErrorBefore(403));
    let (status, why) = refusal(story.register(0).await);
    assert!(status == 403 && why.contains("suspended"), "{why}");
    story.end();
}
