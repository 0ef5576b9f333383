//! An App that is made from a manifest, and where its webhook goes.

use mayfly_service::github::{NewApp, app_of_manifest};
use serde_json::json;
use simulator::{Fault, HookOwner, Settings};

use super::story::{Story, is_unavailable, refusal, soon};

impl Story {
    /// What GitHub's page gives the browser once a person has agreed to a manifest.
    fn code(&self) -> String {
        let manifest = json!({
            "name": "Mayfly", "url": "https://example.com", "redirect_url": "http://127.0.0.1:1/made",
            "hook_attributes": { "url": "https://example.com/webhook" },
            "default_permissions": { "actions": "read" }, "default_events": ["workflow_job"],
        });
        let made = self.world.with(|world, now| world.create_app(now, &manifest.to_string(), "x"));
        made.unwrap().split("code=").nth(1).and_then(|rest| rest.split('&').next()).unwrap().to_owned()
    }

    async fn exchange(&self, code: &str) -> Result<NewApp, mayfly_service::github::GitHubError> {
        app_of_manifest(&self.world.github_url(), code, soon()).await
    }
}

#[tokio::test]
async fn a_manifests_code_is_good_for_one_app_and_its_secrets() {
    let story = Story::as_nobody(Settings::brisk()).await;
    let code = story.code();
    let app = story.exchange(&code).await.unwrap();
    assert_eq!(app.client_id, story.world.app_client_id());
    assert_eq!(app.private_key.expose(), story.world.app_private_key_pem());
    let secret = story.world.with(|world, _| world.access.webhook_secret.clone());
    assert_eq!(app.webhook_secret.as_ref().map(|told| told.expose()), Some(secret.as_str()));
    assert_eq!(app.permissions, [("actions".to_owned(), "read".to_owned())].into());
    assert_eq!(
        (app.events.as_slice(), app.page.as_str()),
        (&["workflow_job".to_owned()][..], "https://github.com/apps/mayfly")
    );
    assert!(!format!("{app:?}").contains(&secret));

    let (status, why) = refusal(story.exchange(&code).await);
    assert_eq!(status, 404);
    assert!(why.contains("one exchange"), "{why}");
    for wrong in ["", "../app", "a/b", "a?b", "ä"] {
        assert_eq!(refusal(story.exchange(wrong).await).0, 0, "{wrong} is not even asked for");
    }
    assert_eq!(story.calls(["manifest_conversion"]), [2]);
    story.end();
}

#[tokio::test]
async fn an_exchange_whose_answer_is_lost_is_not_asked_for_again() {
    let story = Story::as_nobody(Settings::brisk()).await;
    story.strike("github.manifest_conversion", Fault::ClosedAfter);
    assert!(is_unavailable(&story.exchange(&story.code()).await));
    assert_eq!(story.calls(["manifest_conversion"]), [1]);
    story.end();
}

#[tokio::test]
async fn the_apps_webhook_is_pointed_elsewhere_and_says_where_it_went() {
    let story = Story::begin(Settings { hook: HookOwner::App, ..Settings::brisk() }).await;
    story.world.with(|world, _| world.webhook_url = "https://example.com/webhook".to_owned());
    let url = "https://x.lambda-url.us-east-1.on.aws/webhook".parse().unwrap();
    for (lost, before) in
        [(true, "https://example.com/webhook"), (false, "https://x.lambda-url.us-east-1.on.aws/webhook")]
    {
        if lost {
            story.strike("github.set_hook_config", Fault::ClosedAfter);
        }
        assert_eq!(story.github.point_webhook(&url, soon()).await.unwrap().before.as_deref(), Some(before));
        assert_eq!(story.world.with(|world, _| world.webhook_url.clone()), url.as_str());
    }
    let story = story.with_login(|story| story.token(&story.world.pat()));
    let (status, why) = refusal(story.github.point_webhook(&url, soon()).await);
    assert_eq!((status, why.as_str()), (0, "a personal access token is no App"));
    story.end();
}
