//! What is wrong on this machine: the configuration, its secrets, the clock.

use super::stage::{self, right};

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_not_there() {
    let mut stage = right().await;
    stage.place.environment.push(("MAYFLY_CONFIG".to_owned(), "elsewhere.toml".to_owned()));
    let found = stage.look();
    found.wrong("configuration", "it loads", "elsewhere.toml: cannot be read", "mayfly init");
    found.says("skipped", "configuration", "everything else", "", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_with_a_wrong_value() {
    let stage = right().await.but("max_runners = 3", "max_runners = 0");
    stage.look().wrong(
        "configuration",
        "it loads",
        "`pools[0].max_runners` = 0",
        "correct what the message names",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_key_that_is_not_where_the_configuration_says() {
    let stage = right().await.but("app.pem", "lost.pem");
    let found = stage.look();
    found.wrong("configuration", "`github.app.private_key`", "file lost.pem", "put it there");
    found.says("skipped", "github", "who we are there", "no credentials", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_secret_that_is_not_set() {
    let stage = right().await.but("WEBHOOK_SECRET", "NOT_SET");
    let found = stage.look();
    found.wrong(
        "configuration",
        "`github.webhook_secrets[0]`",
        "environment variable NOT_SET",
        "put it there",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_two_minutes_off() {
    let stage = stage::with(|settings| settings.github_ahead_seconds = -120).await.by_token();
    let why = "s ahead of GitHub's: logins as an App are refused";
    stage.look().wrong("github", "clock", why, "NTP");
    let stage = stage::with(|settings| settings.github_ahead_seconds = 600).await;
    let found = stage.look();
    found.wrong("github", "clock", "s behind GitHub's", "NTP");
    found.wrong("github", "login", "", "mind the clock");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_goes_a_little_wrong_is_warned_of() {
    let stage = stage::with(|settings| settings.github_ahead_seconds = 20).await;
    let found = stage.look();
    found.says("warning", "github", "clock", "behind GitHub's", "NTP");
    assert_eq!(found.code, Some(0), "{:#}", found.not_ok());
}
