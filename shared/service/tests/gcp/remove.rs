//! Deleting and listing VMs.

use std::time::Duration;

use mayfly_core::ids::Deployment;
use mayfly_core::sweep::VmState;
use mayfly_service::provider::gcp::Going;
use mayfly_service::provider::{Deletion, ProviderError};
use serde_json::json;
use simulator::{Fault, Settings};
use tokio::time::Instant;

use super::story::{Story, canned_provider, place, soon, vm};

#[tokio::test]
async fn a_vm_is_deleted_once_and_waited_for() {
    let story = Story::begin(Settings::brisk()).await;
    story.create(0).await.0.unwrap();
    let name = story.name(0);
    let at = place("us-east1-c");
    let going = story.gcp.delete(name.as_str(), Some(&at), soon()).await.unwrap();
    let another = Going::at(name.as_str(), &at);
    let (gone, watched) =
        tokio::join!(story.gcp.wait_gone(&going, soon()), story.gcp.wait_gone(&another, soon()));
    assert_eq!((gone.unwrap(), watched.unwrap()), (Deletion::Gone, Deletion::Gone));
    assert!(story.vms().is_empty());

    let again = story.gcp.delete(name.as_str(), Some(&at), soon()).await.unwrap();
    assert!(again.is_gone());
    assert_eq!(story.gcp.wait_gone(&again, soon()).await.unwrap(), Deletion::Gone);
    story.end();
}

#[tokio::test]
async fn a_deletion_that_takes_longer_than_the_deadline_is_under_way() {
    let mut settings = Settings::brisk();
    settings.timing.delete = Duration::from_secs(60);
    let story = Story::begin(settings).await;
    story.create(0).await.0.unwrap();
    let name = story.name(0);
    let going = story.gcp.delete(name.as_str(), Some(&place("us-east1-c")), soon()).await.unwrap();
    let short = Instant::now() + Duration::from_millis(300);
    assert_eq!(story.gcp.wait_gone(&going, short).await.unwrap(), Deletion::UnderWay);
    let short = Instant::now() + Duration::from_millis(300);
    let another = Going::at(name.as_str(), &place("us-east1-c"));
    assert_eq!(story.gcp.wait_gone(&another, short).await.unwrap(), Deletion::UnderWay);
    let listed = story.gcp.list(&story.deployment, soon()).await.unwrap();
    assert_eq!(listed[0].state, VmState::Going);
    story.end();
}

#[tokio::test]
async fn a_deletion_survives_faults_and_finds_a_vm_by_its_name() {
    let story = Story::begin(Settings::brisk()).await;
    story.create(0).await.0.unwrap();
    story.strike("gcp.delete", Fault::ErrorAfter(503));
    story.strike("gcp.wait", Fault::ClosedBefore);
    let name = story.name(0);
    let going = story.gcp.delete(name.as_str(), None, soon()).await.unwrap();
    assert_eq!(story.gcp.wait_gone(&going, soon()).await.unwrap(), Deletion::Gone);
    assert!(story.vms().is_empty());
    assert!(story.gcp.delete(name.as_str(), None, soon()).await.unwrap().is_gone());

    story.strike("gcp.delete", Fault::ErrorBefore(403));
    let refused = story.gcp.delete(name.as_str(), Some(&place("us-east1-c")), soon()).await;
    assert!(matches!(refused, Err(ProviderError::Refused { .. })), "{refused:?}");
    story.end();
}

#[tokio::test]
async fn the_list_holds_this_deployments_vms_only() {
    let mut settings = Settings::brisk();
    // So that no guest comes up and powers off again, nobody having registered its runner.
    settings.timing.boot = Duration::from_secs(600);
    let mut story = Story::begin(settings).await;
    story.create(0).await.0.unwrap();
    story.create(1).await.0.unwrap();
    let ours = story.deployment.clone();
    story.deployment = Deployment::new("staging").unwrap();
    story.create(2).await.0.unwrap();

    let listed = story.gcp.list(&ours, soon()).await.unwrap();
    let mut names: Vec<&str> = listed.iter().map(|vm| vm.name.as_str()).collect();
    names.sort_unstable();
    let deployment = std::mem::replace(&mut story.deployment, ours);
    assert_eq!(names, [story.name(0).as_str(), story.name(1).as_str()]);
    assert!(listed.iter().all(|vm| vm.place.at.starts_with("us-") && vm.state == VmState::Running));
    assert!(listed.iter().all(|vm| vm.created_at.is_some()));
    assert_eq!(story.gcp.list(&deployment, soon()).await.unwrap().len(), 1);

    story.world.with(|world, _| world.faults.rate("gcp.aggregated_instances", 1.0, Fault::ErrorBefore(500)));
    let unknown = story.gcp.list(&deployment, soon()).await;
    assert!(matches!(unknown, Err(ProviderError::Unavailable { .. })), "{unknown:?}");
    story.end();
}

/// What a list of VMs says that it is.
const LIST: &str = "compute#instanceAggregatedList";

#[tokio::test]
async fn a_list_goes_through_all_pages() {
    let page = |zone: &str, name: &str, next: Option<&str>| {
        let scope = format!("zones/{zone}");
        json!({ "kind": LIST, "items": { scope: { "instances": [vm(name, zone)] } }, "nextPageToken": next })
    };
    let pages = vec![
        page("us-east1-c", "a", Some("two")),
        page("us-west1-a", "b", Some("three")),
        page("us-west1-a", "c", None),
    ];
    let (gcp, asked) = canned_provider(pages).await;
    let listed = gcp.list(&Deployment::new("prod").unwrap(), soon()).await.unwrap();
    let names: Vec<(&str, &str)> = listed.iter().map(|vm| (vm.name.as_str(), vm.place.at.as_str())).collect();
    assert_eq!(names, [("a", "us-east1-c"), ("b", "us-west1-a"), ("c", "us-west1-a")]);
    let asked = asked.lock().unwrap();
    assert!(asked[0].contains("maxResults=500") && !asked[0].contains("pageToken"), "{}", asked[0]);
    assert!(asked[0].contains("filter=labels.mayfly-deployment%3D%22prod%22"), "{}", asked[0]);
    assert!(asked[2].contains("pageToken=three"), "{}", asked[2]);
}

#[tokio::test]
async fn a_list_that_lacks_a_zone_is_no_list() {
    let warning = json!({ "code": "UNREACHABLE", "message": "Zone us-west1-a is not reachable." });
    let partial = json!({ "kind": LIST, "items": {
        "zones/us-east1-c": { "instances": [vm("prod-a-0001-aaaaaaaaaaaa", "us-east1-c")] },
        "zones/us-west1-a": { "warning": warning },
    } });
    let (gcp, _) = canned_provider(vec![partial.clone(), partial]).await;
    let listed = gcp.list(&Deployment::new("prod").unwrap(), soon()).await;
    let Err(ProviderError::Unavailable { why, .. }) = listed else { panic!("{listed:?}") };
    assert!(why.contains("zones/us-west1-a"), "{why}");
    let deleted = gcp.delete("prod-b-0001-aaaaaaaaaaaa", None, soon()).await;
    assert!(deleted.is_err(), "not found in half a list is not gone: {deleted:?}");
}

#[tokio::test]
async fn an_answer_that_does_not_say_that_it_is_a_list_is_no_empty_one() {
    for body in [json!({}), json!({ "message": "Server Error" }), json!({ "kind": "compute#operation" })] {
        let (gcp, _) = canned_provider(vec![body.clone(), body.clone()]).await;
        let listed = gcp.list(&Deployment::new("prod").unwrap(), soon()).await;
        assert!(matches!(listed, Err(ProviderError::Unavailable { .. })), "{body}: {listed:?}");
        let deleted = gcp.delete("prod-b-0001-aaaaaaaaaaaa", None, soon()).await;
        assert!(deleted.is_err(), "not found in {body} is not gone: {deleted:?}");
    }
}
