//! Pools on Proxmox, and pools that overflow from there to the cloud.

use std::time::Duration;

use simulator::{Api, Chance, Stockout, VmView, World};

use crate::plot::{Plot, PoolPlot};
use crate::sights::{all_over, is_over, our_vms};
use crate::stage::Stage;
use crate::stories::{bad_deliveries, burst, crossed, crossing, four_times};

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
    assert!(calls("file_write") == 2 && calls("status") == 1 && calls("stop") <= 1, "{}", stage.story());
    // Two functions looked at the cluster at most, and at the template once.
    assert!(calls("config") <= 1 && calls("resources") <= 2, "{}", stage.story());
    assert_eq!((stage.calls("github.jitconfig"), stage.calls("github.delete_runner")), (1, 0));
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_delivery_four_times_makes_one_clone() {
    four_times(Plot::lab(10), "proxmox.clone").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crossed_jobs_and_bad_deliveries_are_all_served() {
    let stage = Stage::set(crossing(Plot::lab(12))).await;
    bad_deliveries(&stage);
    crossed(stage).await;
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
async fn a_cloud_without_machines_passes_the_job_on_to_the_lab_within_the_invocation() {
    let mut plot = Plot::overflowing(4);
    plot.pools[0].lab_last = true;
    let stage = Stage::set(plot).await;
    // Which shows only after the inserts were accepted, and their places written down.
    stage.simulator.with(|world, _| {
        for zone in PoolPlot::default().zones {
            world.faults.stockout(zone, Stockout::Inserts(1));
        }
    });
    let job = stage.queue(Duration::from_millis(50));
    stage.until("its job is over, without a sweep", |world| is_over(world, job)).await;
    assert_eq!((stage.calls("gcp.insert"), stage.calls("proxmox.clone")), (4, 1), "{}", stage.story());
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

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_jobs_at_once_on_ten_clones_are_all_served() {
    burst(Plot { environments: 100, log: "debug", ..Plot::lab(10) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_vm_is_in_the_first_placement() {
    let mut plot = Plot::overflowing(3);
    plot.pools[0].min_runners = 1;
    let stage = Stage::set(plot).await;
    stage.sweep_until("it stands ready", |world, _| crate::sights::idle_runners(world) == 1).await;
    assert_eq!(stage.only_vm().provider, Api::Proxmox);
    let job = stage.queue(Duration::from_millis(50));
    stage.until("the job is over", |world| crate::sights::is_over(world, job)).await;
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_that_outlasts_the_invocation_is_taken_further_by_a_sweep() {
    let mut plot = Plot::lab(4);
    plot.pools[0].boot_timeout = "30s";
    // A webhook is at it for three quarters of that.
    plot.timing.step_timeout = "2s";
    let stage = Stage::set(plot).await;
    stage.simulator.with(|world, _| world.faults.lab.clone_takes = Some(Duration::from_secs(4)));
    let job = stage.queue(Duration::from_millis(50));
    stage.until("it is being cloned", |world| world.calls_of("proxmox.clone") == 1).await;
    let left = || stage.webhook.idle();
    mayfly_testkit::wait_for("the function to be done", Duration::from_secs(20), left).await.unwrap();
    assert!(!stage.simulator.with(|world, _| crate::sights::is_over(world, job)), "its clone takes longer");
    stage.sweep_until("the job is over", |world, _| all_over(world)).await;
    assert_eq!((stage.calls("proxmox.clone"), stage.calls("github.jitconfig")), (1, 1), "{}", stage.story());
    assert!(!stage.did("advance").is_empty());
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_a_stranger_takes_is_passed_over_and_the_stranger_left_alone() {
    let stage = Stage::set(Plot::lab(4)).await;
    stage.simulator.with(|world, _| world.faults.lab.stranger_takes = Chance::next(2));
    let job = stage.queue(Duration::from_millis(50));
    stage.until("the job is over", |world| crate::sights::is_over(world, job)).await;
    assert_eq!(stage.calls("proxmox.clone"), 3);
    let strangers =
        |world: &World| world.vms().iter().filter(|vm| vm.vmid.is_some() && vm.labels.is_empty()).count();
    let before = stage.simulator.with(|world, _| strangers(world));
    stage.sweep_until("our VM is gone", |world, _| our_vms(world).is_empty()).await;
    assert!(before >= 2 && stage.simulator.with(|world, _| strangers(world)) == before);
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_windows_guest_finds_its_config_where_it_looks() {
    let mut plot = Plot::lab(4);
    plot.pools[0].template = Some(8001);
    plot.pools[0].template_more = "full_clone = true";
    plot.pools[0].platform = "windows";
    let stage = Stage::set(plot).await;
    let job = stage.queue(Duration::from_millis(50));
    stage.until("the job is over", |world| crate::sights::is_over(world, job)).await;
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_on_local_storage_is_cloned_on_its_own_node() {
    let mut plot = Plot::lab(4);
    plot.pools[0].template = Some(8002);
    let stage = Stage::set(plot).await;
    for _ in 0..4 {
        stage.queue(Duration::from_millis(300));
    }
    stage.until("all are over", all_over).await;
    let nodes =
        stage.simulator.with(|world, _| ever(world).into_iter().map(|vm| vm.zone).collect::<Vec<_>>());
    assert_eq!(nodes, vec!["pve3"; 4]);
    stage.curtain().await;
}
