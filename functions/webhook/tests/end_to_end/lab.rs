//! Pools on Proxmox, and pools that overflow from there to the cloud.

use std::time::Duration;

use mayfly_testkit::delivery::{Delivery, WorkflowJob};
use simulator::{Api, Chance, VmView, World};

use crate::plot::{LABELS, Plot, REPOSITORY};
use crate::sights::{all_over, our_vms};
use crate::stage::Stage;

/// All VMs of ours that ever were.
fn ever(world: &World) -> Vec<VmView> {
    let gone = world.view().gone_vms.into_iter().filter(|vm| vm.labels.contains_key("mayfly-pool"));
    our_vms(world).into_iter().chain(gone).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_on_a_clone_of_its_own_and_the_clone_goes() {
    let stage = Stage::set(Plot::lab(10)).await;
    stage.queue(Duration::from_millis(50));
    stage.until("the job is over", all_over).await;
    stage.until("its VM is gone", |world| our_vms(world).is_empty()).await;
    let calls = |endpoint: &str| stage.calls(&format!("proxmox.{endpoint}"));
    assert_eq!((calls("clone"), calls("set_config"), calls("start"), calls("delete")), (1, 1, 1, 1));
    // Where the guest has powered off by then there is no plug to pull.
    assert!(calls("file_write") == 2 && calls("stop") <= 1, "{}", stage.story());
    assert_eq!((stage.calls("github.jitconfig"), stage.calls("github.delete_runner")), (1, 0));
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_delivery_four_times_makes_one_clone() {
    let stage = Stage::set(Plot::lab(10)).await;
    let job = WorkflowJob::new(4711, REPOSITORY, &LABELS).installation(stage.simulator.installation_id());
    let delivery = Delivery::workflow_job("guid", &job.queued(), &stage.webhook_secret);
    for _ in 0..2 {
        let event = delivery.request().event();
        let (first, second) = tokio::join!(stage.webhook.invoke(event.clone()), stage.webhook.invoke(event));
        for invocation in [first.unwrap(), second.unwrap()] {
            assert_eq!(invocation.response.clone().unwrap()["statusCode"], 202);
            invocation.finished().await;
        }
    }
    assert_eq!((stage.calls("proxmox.clone"), stage.calls("github.jitconfig")), (1, 1));
    let ended = Delivery::workflow_job("guid-2", &job.completed("cancelled"), &stage.webhook_secret);
    stage.webhook.invoke(ended.request().event()).await.unwrap().finished().await;
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crossed_jobs_and_bad_deliveries_are_all_served() {
    let stage = Stage::set(Plot::lab(12)).await;
    stage.simulator.with(|world, _| {
        world.faults.deliveries.duplicated = Chance::rate(0.5);
        world.faults.deliveries.reordered = Chance::rate(0.5);
        world.faults.deliveries.reorder_max = Duration::from_millis(800);
    });
    for _ in 0..12 {
        stage.queue(Duration::from_millis(1500));
    }
    stage.to_the_end().await;
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_lab_overflows_within_the_invocation_and_is_preferred_again_when_it_empties() {
    let mut plot = Plot::overflowing(10);
    // Room for one VM of 8 GiB.
    plot.settings.proxmox.nodes.truncate(1);
    plot.settings.proxmox.nodes[0].memory_bytes = 14 << 30;
    let stage = Stage::set(plot).await;
    let first = stage.queue(Duration::from_secs(4));
    stage.until("the first runs", |world| crate::sights::is_running(world, first)).await;
    let second = stage.queue(Duration::from_millis(50));
    stage.until("the second is over", |world| crate::sights::is_over(world, second)).await;
    assert_eq!((stage.calls("proxmox.clone"), stage.calls("gcp.insert")), (1, 1), "{}", stage.story());
    let timeline = stage.timeline(second).await;
    assert!(timeline.iter().any(|line| line.contains("lab: no room: pve1: ")), "{timeline:#?}");
    stage
        .until("the lab is empty", |world| our_vms(world).iter().all(|vm| vm.provider != Api::Proxmox))
        .await;
    stage.queue(Duration::from_millis(50));
    stage.until("all are over", all_over).await;
    assert_eq!((stage.calls("proxmox.clone"), stage.calls("gcp.insert")), (2, 1), "{}", stage.story());
    assert_eq!(stage.did("serve").len(), 0, "no sweep was needed");
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_jobs_at_once_share_a_lab_with_room_for_twenty() {
    let mut plot = Plot::lab(50);
    plot.environments = 60;
    plot.log = "debug";
    // 8 + 6 + 6 VMs of 8 GiB.
    for (node, memory) in plot.settings.proxmox.nodes.iter_mut().zip([69u64, 53, 53]) {
        node.memory_bytes = memory << 30;
    }
    let stage = Stage::set(plot).await;
    for _ in 0..50 {
        stage.queue(Duration::from_millis(300));
    }
    stage.to_the_end().await;
    // That no node was asked for more than it has is one of the world's own invariants.
    let vms = stage.simulator.with(|world, _| ever(world));
    let nodes: std::collections::BTreeSet<&str> = vms.iter().map(|vm| vm.zone.as_str()).collect();
    assert_eq!(nodes.len(), 3, "all nodes served");
    stage.curtain().await;
}
