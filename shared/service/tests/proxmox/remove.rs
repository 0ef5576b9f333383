//! Deleting a VM, and seeing it go.

use std::time::Duration;

use mayfly_service::provider::proxmox::Going;
use mayfly_service::provider::{Deletion, ProviderError};
use simulator::{JobSpec, ViolationKind};
use tokio::time::Instant;

use super::story::{Story, at, node_of, soon, vmid_of, wait_gone};

impl Story {
    /// Somebody deletes the only VM by hand.
    async fn killed(&self) {
        self.with(|world, now| {
            let id = world.vms()[0].id;
            world.kill_vm(now, id);
        });
        self.until(|world| world.vms().is_empty()).await;
    }
}

#[tokio::test]
async fn one_that_is_gone_is_a_success() {
    let story = Story::begin().await;
    let (name, place) = story.made().await;
    story.killed().await;
    for place in [Some(&place), Some(&at("pve9/9001")), Some(&at("nonsense")), None] {
        let going = story.lab.delete(name.as_str(), place, soon()).await;
        assert!(going.as_ref().is_ok_and(Going::is_gone), "{place:?}: {going:?}");
        assert_eq!(wait_gone(&story.lab, &going.unwrap()).await, Deletion::Gone);
    }
    assert_eq!(story.calls("stop") + story.calls("delete"), 0);
    assert_eq!(wait_gone(&story.lab, &Going::at(name.as_str(), &place)).await, Deletion::Gone);
    story.end();
}

#[tokio::test]
async fn one_that_was_moved_is_found_by_its_name() {
    let story = Story::begin().await;
    for is_known in [true, false] {
        let (name, place) = story.made().await;
        let elsewhere = if node_of(&place) == "pve1" { "pve2" } else { "pve1" };
        let recorded = at(&format!("{elsewhere}/{}", vmid_of(&place)));
        story.removed(&name, Some(&recorded).filter(|_| is_known)).await;
    }
    story.end();
}

#[tokio::test]
async fn one_that_is_not_where_it_was_recorded_is_waited_for_where_it_is() {
    let story = Story::begin().await;
    let (name, place) = story.made().await;
    let elsewhere = at(&format!("{}/{}", other(&node_of(&place)), vmid_of(&place)));
    // Made again with another id, by somebody who did not live to record it.
    let another_id = at(&format!("{}/{}", node_of(&place), vmid_of(&place) + 1));
    for recorded in [&elsewhere, &another_id] {
        let going = Going::at(name.as_str(), recorded);
        let waited = story.lab.wait_gone(&going, Instant::now() + Duration::from_millis(500)).await;
        assert_eq!(waited.unwrap(), Deletion::UnderWay, "{recorded}");
    }
    story.killed().await;
    for recorded in [&elsewhere, &another_id] {
        assert_eq!(wait_gone(&story.lab, &Going::at(name.as_str(), recorded)).await, Deletion::Gone);
    }
    story.end();
}

#[tokio::test]
async fn a_stranger_that_has_its_id_is_left_alone() {
    let story = Story::begin().await;
    let (name, place) = story.made().await;
    story.killed().await;
    story.stranger(&node_of(&place), vmid_of(&place), "theirs");
    for place in [Some(&place), None] {
        assert!(story.lab.delete(name.as_str(), place, soon()).await.unwrap().is_gone());
    }
    assert_eq!(wait_gone(&story.lab, &Going::at(name.as_str(), &place)).await, Deletion::Gone);
    assert_eq!(story.vms()[0].status, "running");
    story.end();
}

#[tokio::test]
async fn one_on_a_node_that_is_away_may_still_be_there() {
    let story = Story::begin().await;
    let (name, place) = story.made().await;
    let (gone, gone_place) = story.made().await;
    story.removed(&gone, Some(&gone_place)).await;
    let node = node_of(&place);
    story.with(|world, now| world.set_node_online(now, &node, false));
    for _ in 0..2 {
        for place in [Some(&place), None] {
            let error = story.lab.delete(name.as_str(), place, soon()).await.unwrap_err();
            assert!(matches!(error, ProviderError::Unavailable { .. }), "{error:?}");
        }
        // The list forgets the names on it.
        story.until_unseen().await;
    }
    // The other one had another id, so it cannot be that.
    let was_at = at(&format!("{}/{}", other(&node), vmid_of(&gone_place)));
    assert!(story.cold().delete(gone.as_str(), Some(&was_at), soon()).await.unwrap().is_gone());
    let error = story.cold().delete(gone.as_str(), None, soon()).await.unwrap_err().to_string();
    assert!(error.contains("may be it, and its node does not answer"), "{error}");
    story.with(|world, now| world.set_node_online(now, &node, true));
    story.removed(&name, Some(&place)).await;
    story.end();
}

fn other(node: &str) -> &'static str {
    if node == "pve1" { "pve2" } else { "pve1" }
}

impl Story {
    async fn until_unseen(&self) {
        let deadline = soon();
        while self.listed().await.unseen.is_empty() {
            assert!(Instant::now() < deadline, "it is still seen");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn two_that_delete_the_same_do_no_harm() {
    let story = Story::of(|settings| settings.timing.pve_stop = Duration::from_millis(200)).await;
    for _ in 0..4 {
        let (name, place) = story.made().await;
        let delete = async || {
            let lab = story.cold();
            let going = lab.delete(name.as_str(), Some(&place), soon()).await;
            wait_gone(&lab, &going.unwrap()).await
        };
        let late = async || {
            story.until(|world| world.vms().first().is_none_or(|vm| vm.status == "destroyed")).await;
            delete().await
        };
        let watch = async || {
            story.until(|world| world.vms().first().is_none_or(|vm| vm.status == "destroyed")).await;
            wait_gone(&story.cold(), &Going::at(name.as_str(), &place)).await
        };
        let all = tokio::join!(delete(), delete(), late(), watch());
        assert_eq!(all, (Deletion::Gone, Deletion::Gone, Deletion::Gone, Deletion::Gone));
        assert!(story.vms().is_empty());
    }
    story.end();
}

#[tokio::test]
async fn one_that_takes_long_is_under_way() {
    let story = Story::of(|settings| settings.timing.pve_delete = Duration::from_millis(700)).await;
    let (name, place) = story.made().await;
    let going = story.lab.delete(name.as_str(), Some(&place), soon()).await.unwrap();
    let short = Instant::now() + Duration::from_millis(200);
    assert_eq!(story.lab.wait_gone(&going, short).await.unwrap(), Deletion::UnderWay);
    let short = Instant::now() + Duration::from_millis(200);
    let by_name = Going::at(name.as_str(), &place);
    assert_eq!(story.lab.wait_gone(&by_name, short).await.unwrap(), Deletion::UnderWay);
    assert_eq!(wait_gone(&story.lab, &by_name).await, Deletion::Gone);
    assert_eq!(wait_gone(&story.lab, &going).await, Deletion::Gone);
    story.end();
}

#[tokio::test]
async fn whether_its_runner_is_busy_is_the_callers_affair() {
    let story = Story::begin().await;
    let name = story.name();
    let marks = "mayfly-deployment: prod\nmayfly-pool: linux\n";
    let spec = JobSpec::new("shader-slang/slang", &["linux"]).lasting(Duration::from_secs(60));
    let tags = ["mayfly", "mayfly-prod"];
    let busy = |world: &mut simulator::World, now| {
        world.add_busy_lab_vm(now, "pve2", 9500, name.as_str(), marks, &tags, spec.clone()).is_some()
    };
    assert!(story.with(busy));
    story.removed(&name, Some(&at("pve2/9500"))).await;
    story.end_with(&[ViolationKind::BusyVmDeleted]);
}
