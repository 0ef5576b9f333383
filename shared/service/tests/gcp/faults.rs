//! Making a VM when things go wrong.

use std::time::Duration;

use mayfly_service::provider::CreateError;
use mayfly_service::provider::gcp::GcpCredentials;
use mayfly_service::secret::Secret;
use simulator::{Fault, Settings, Stockout, Timing};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::story::{JIT, Lines, Story, place, provider, soon};

#[tokio::test]
async fn a_lost_reply_makes_one_vm_and_not_two() {
    for fault in [Fault::ClosedAfter, Fault::ErrorAfter(503), Fault::Garbage] {
        let story = Story::begin(Settings::brisk()).await;
        story.strike("gcp.insert", fault.clone());
        let (created, told) = story.create(0).await;
        assert_eq!(created.unwrap().place, place("us-east1-c"), "{fault:?}");
        assert_eq!(told, ["us-east1-c"], "{fault:?}");
        assert_eq!(story.vms().len(), 1, "{fault:?}");
        assert_eq!((story.calls("gcp.insert"), story.calls("gcp.instance")), (1, 1), "{fault:?}");
        story.end();
    }
}

#[tokio::test]
async fn an_insert_that_was_never_taken_is_sent_again_after_a_look() {
    for fault in [Fault::ClosedBefore, Fault::ErrorBefore(500)] {
        let story = Story::begin(Settings::brisk()).await;
        story.strike("gcp.insert", fault);
        assert_eq!(story.create(0).await.0.unwrap().place, place("us-east1-c"));
        assert_eq!(story.vms().len(), 1);
        assert_eq!((story.calls("gcp.insert"), story.calls("gcp.instance")), (2, 1));
        story.end();
    }
}

#[tokio::test]
async fn what_nobody_knows_is_told_as_such() {
    let story = Story::begin(Settings::brisk()).await;
    story.strike("gcp.insert", Fault::ClosedAfter);
    story.world.with(|world, _| world.faults.rate("gcp.instance", 1.0, Fault::ErrorBefore(503)));
    let (created, told) = story.create(0).await;
    let Err(CreateError::Ambiguous { place, why }) = created else { panic!("{created:?}") };
    assert_eq!(place, "us-east1-c");
    assert!(why.contains("503") && !why.contains(JIT), "{why}");
    assert!(told.is_empty());
    assert_eq!(story.calls("gcp.insert"), 1, "not sent again without a look");
    story.end();
}

#[tokio::test]
async fn an_insert_that_hangs_is_not_waited_for_beyond_the_deadline() {
    let story = Story::begin(Settings::brisk()).await;
    story.gcp.prepare(&story.placement).await;
    story.strike("gcp.insert", Fault::HangsAfter);
    let started = Instant::now();
    let (created, _) = story.create_within(0, Duration::from_millis(700)).await;
    assert!(matches!(created, Err(CreateError::Ambiguous { .. })), "{created:?}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    story.end();
}

#[tokio::test]
async fn a_name_that_is_there_already_is_the_vm_of_an_earlier_try() {
    let mut story = Story::begin(Settings::brisk()).await;
    story.placement.zones.truncate(1);
    story.create(0).await.0.unwrap();
    let (created, told) = story.create(0).await;
    assert_eq!(created.unwrap().place, place("us-east1-c"));
    assert_eq!(told, ["us-east1-c"]);
    assert_eq!(story.vms().len(), 1);
    story.end();
}

#[tokio::test]
async fn a_vm_that_is_found_on_its_way_out_takes_its_slot_until_it_is_gone() {
    let mut settings = Settings::brisk();
    settings.timing.delete = Duration::from_secs(60);
    let mut story = Story::begin(settings).await;
    story.placement.zones.truncate(1);
    let made = story.create(0).await.0.unwrap();
    story.gcp.delete(story.name(0).as_str(), Some(&made.place), soon()).await.unwrap();
    let (created, _) = story.create(0).await;
    let Err(CreateError::Ambiguous { place, why }) = created else { panic!("{created:?}") };
    assert_eq!((place.as_str(), why.as_str()), ("us-east1-c", "a VM of that name is on its way out"));
    assert_eq!(story.vms().len(), 1);
    story.end();
}

#[tokio::test]
async fn a_rate_limit_is_waited_out_or_told() {
    let story = Story::begin(Settings::brisk()).await;
    let limited = |status| Fault::Limited { status, retry_after: Duration::from_secs(1) };
    story.strike("gcp.insert", limited(429));
    assert_eq!(story.create(0).await.0.unwrap().place, place("us-east1-c"));

    story.strike("gcp.insert", limited(429));
    let (created, _) = story.create_within(1, Duration::from_millis(500)).await;
    assert!(matches!(created, Err(CreateError::Unavailable(_))), "{created:?}");
    story.end();
}

#[tokio::test]
async fn what_somebody_has_to_mend_is_refused_with_a_word_on_how() {
    let mut story = Story::begin(Settings::brisk()).await;
    story.strike("gcp.insert", Fault::ErrorBefore(403));
    let (created, _) = story.create(0).await;
    let Err(CreateError::Refused(why)) = created else { panic!("{created:?}") };
    assert!(why.contains("roles/compute.instanceAdmin.v1") && why.contains("slang-runners"), "{why}");
    assert_eq!(story.calls("gcp.insert"), 1, "no other zone is asked");

    story.placement.instance_template = "not-there".to_owned();
    let (created, _) = story.create(1).await;
    let Err(CreateError::Refused(why)) = created else { panic!("{created:?}") };
    assert!(why.contains("no instance template `not-there` in project `slang-runners`"), "{why}");
    story.end();
}

#[tokio::test]
async fn a_failed_wait_leaves_the_vm_to_the_sweep() {
    let story = Story::begin(Settings::brisk()).await;
    story.strike("gcp.wait", Fault::ErrorBefore(503));
    story.strike("gcp.operation", Fault::ErrorBefore(503));
    assert_eq!(story.create(0).await.0.unwrap().place, place("us-east1-c"));
    assert_eq!((story.calls("gcp.wait"), story.calls("gcp.operation")), (1, 1));

    let mut story = story;
    story.placement.zones.truncate(1);
    let (created, told) = {
        story.world.with(|world, _| {
            let slow = Timing { insert: Duration::from_secs(60), ..Timing::brisk() };
            world.set_timing(slow);
        });
        story.create_within(1, Duration::from_millis(600)).await
    };
    assert_eq!(created.unwrap().place, place("us-east1-c"), "not done in time is not failed");
    assert_eq!(told.len(), 1);
    story.end();
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_or_has_no_credentials_says_so() {
    let story = Story::begin(Settings::brisk()).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let key = || GcpCredentials::ServiceAccount(Secret::new(story.world.service_account_json()));
    let unreachable =
        Story { gcp: provider(&format!("http://{nobody}"), key()), ..Story::begin(Settings::brisk()).await };
    let (created, _) = unreachable.create_within(0, Duration::from_secs(3)).await;
    assert!(matches!(created, Err(CreateError::Unavailable(_))), "{created:?}");

    let broken = GcpCredentials::ServiceAccount(Secret::new("{\"private_key\": \"hunter2\""));
    let broken = Story { gcp: provider(&story.world.gcp_url(), broken), ..unreachable };
    let (created, _) = broken.create(0).await;
    let Err(CreateError::Refused(why)) = created else { panic!("{created:?}") };
    assert!(why.contains("no usable credentials") && !why.contains("hunter2"), "{why}");
}

#[tokio::test]
async fn no_jit_config_and_no_key_is_ever_logged() {
    let story = Story::begin(Settings::brisk()).await;
    story.world.with(|world, _| world.faults.stockout("us-east1-c", Stockout::Inserts(1)));
    story.strike("gcp.insert", Fault::ErrorBefore(500));
    let created = story.create(0).await.0.unwrap();
    story.gcp.delete(story.name(0).as_str(), Some(&created.place), soon()).await.unwrap();
    let text = String::from_utf8(Lines::of_process().0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("zone passed over") && text.contains("instances.insert"));
    for secret in [JIT, "PRIVATE KEY", "Bearer "] {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
    story.end();
}
