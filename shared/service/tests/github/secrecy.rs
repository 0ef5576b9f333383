//! No key, token or JIT config in any error or any line of a log, at whatever level and by whatever crate.

use mayfly_testkit::secrets::Canaries;
use simulator::{Fault, Settings};

use super::story::{Lines, Story};

#[tokio::test]
async fn nothing_secret_is_told_or_logged() {
    let story = Story::begin(Settings::brisk()).await;
    let mut told = String::new();
    let mut tell = |text: String| told.push_str(&text);
    for (endpoint, faults) in [
        ("github.access_token", vec![Fault::Garbage, Fault::ErrorAfter(500), Fault::ClosedAfter]),
        ("github.jitconfig", vec![Fault::Garbage, Fault::ErrorAfter(500), Fault::ErrorBefore(403)]),
        ("github.jitconfig", vec![Fault::Garbage, Fault::Garbage, Fault::Garbage]),
        ("github.runners", vec![Fault::Garbage, Fault::ErrorBefore(401), Fault::ErrorBefore(422)]),
    ] {
        for fault in faults {
            story.strike(endpoint, fault);
        }
        match story.register(0).await {
            Ok(registration) => tell(format!("{registration:?}")),
            Err(error) => tell(format!("{error} {error:?}")),
        }
    }
    tell(format!("{:?} {:?}", story.github, story.register(1).await.unwrap()));

    let pat = story.world.pat();
    let story = story.with_login(|story| story.token(&pat));
    story.register(2).await.unwrap();
    tell(format!("{:?}", story.github));

    let mut canaries = Canaries::new();
    canaries.add("the App's key", &story.world.app_private_key_pem());
    canaries.add("the personal access token", &pat);
    for (place, call) in story.traffic().iter().enumerate() {
        for name in ["token", "encoded_jit_config"] {
            if let Some(secret) = call["response"][name].as_str() {
                canaries.add(&format!("{name} of call {place}"), secret);
            }
        }
    }
    let log = Lines::of_process().text();
    assert!(log.contains("asking GitHub again"), "the log is on");
    canaries.assert_absent(&[("errors and debug texts", &told), ("the log", &log)]);
    for (place, text) in [("told", &told), ("logged", &log)] {
        // The beginning of every JWT and JIT config (`{"` in base64), and of what carries a token.
        for mark in ["eyJ", "Bearer ", "ghs_", "ghp_"] {
            let line = text.lines().find(|line| line.contains(mark));
            assert_eq!(line, None, "{mark} {place}");
        }
    }
    story.end();
}
