//! Trouble in the lab, and configurations that cannot work: said clearly, and no job is lost.

use std::time::Duration;

use simulator::{Api, Chance, JobId, World};

use crate::plot::{POOL, Plot};
use crate::sights::{all_over, is_over, is_running, our_vms, pool};
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_agent_that_never_comes_is_replaced_and_leaves_nothing() {
    let mut plot = Plot::lab(4);
    plot.pools[0].boot_timeout = "3s";
    plot.timing.step_timeout = "2s";
    let stage = Stage::set(plot).await;
    stage.simulator.with(|world, _| world.faults.guests.never_boots = Chance::next(1));
    let job = stage.queue(Duration::from_millis(50));
    stage.until("its VM runs", |world| world.calls_of("proxmox.ping") > 0).await;
    let stuck = stage.only_vm().name;
    stage.sweep_until("the job is over", |world, _| all_over(world)).await;
    assert_eq!(stage.calls("proxmox.clone"), 2, "{}", stage.story());
    assert!(!stage.is_registered(&stuck));
    let timeline = stage.timeline(job).await;
    assert!(timeline.iter().any(|line| line.contains("guest agent did not answer")), "{timeline:#?}");
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_that_is_retired_while_it_is_made_is_not_made_in_the_cloud_instead() {
    let mut plot = Plot::overflowing(4);
    plot.pools[0].idle_timeout = "1s";
    let stage = Stage::set(plot).await;
    stage.simulator.with(|world, _| world.faults.lab.agent_delay = Some(Duration::from_secs(20)));
    let job = stage.queue(Duration::from_millis(50));
    stage.until("its agent is waited for", |world| world.calls_of("proxmox.ping") > 0).await;
    stage.simulator.with(|world, now| world.cancel_job(now, job));
    stage.sweep_until("its VM is gone", |world, _| our_vms(world).is_empty()).await;
    // Whoever was at it sees that, too: by the end of its time at the latest.
    stage.sweep_for(Duration::from_secs(5)).await;
    assert_eq!((stage.calls("proxmox.clone"), stage.calls("gcp.insert")), (1, 0), "{}", stage.story());
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_locks_are_survived() {
    let mut plot = Plot::lab(20);
    plot.settings.proxmox.clones_at_once = 2;
    let stage = Stage::set(plot).await;
    stage.simulator.with(|world, _| world.faults.lab.storage_locked = Chance::rate(0.3));
    for _ in 0..20 {
        stage.queue(Duration::from_millis(100));
    }
    stage.to_the_end().await;
    stage.simulator.with(|world, _| world.faults.clear());
    assert!(stage.calls("proxmox.clone") > 20, "no lock struck in this story: {}", stage.story());
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_goes_offline_takes_its_jobs_along_and_no_other() {
    let mut plot = Plot::lab(10);
    plot.settings.timing.job_lost_after = Duration::from_secs(2);
    let stage = Stage::set(plot).await;
    let jobs: Vec<JobId> = (0..6).map(|_| stage.queue(Duration::from_secs(6))).collect();
    stage.until("all run", |world| jobs.iter().all(|job| is_running(world, *job))).await;
    let on = |node: &str| {
        stage.simulator.with(|world, _| our_vms(world).iter().filter(|vm| vm.zone == node).count())
    };
    assert!(on("pve2") > 0 && on("pve2") < 6, "they are spread");
    stage.simulator.with(|world, now| world.set_node_online(now, "pve2", false));
    let next = stage.queue(Duration::from_millis(50));
    stage.sweep_until("a new one is served elsewhere", |world, _| is_over(world, next)).await;
    stage.sweep_until("all are over", |world, _| all_over(world)).await;
    // Nothing is known of its VMs, so nothing is done to them, and their slots stay taken: they may come back.
    let report = stage.sweep_for(Duration::from_secs(2)).await;
    let slots = pool(&report, POOL).unwrap()["slots"].as_object().unwrap();
    let taken: u64 = slots.values().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!(usize::try_from(taken).unwrap(), on("pve2"), "{report:#}");
    stage.simulator.with(|world, now| world.set_node_online(now, "pve2", true));
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_whose_task_hangs_is_reported_and_its_job_served_by_another() {
    let mut plot = Plot::overflowing(4);
    plot.pools[0].boot_timeout = "3s";
    plot.timing.step_timeout = "2s";
    let stage = Stage::set(plot).await;
    stage.simulator.with(|world, _| world.faults.lab.clone_hangs = Chance::next(1));
    let job = stage.queue(Duration::from_millis(50));
    stage.until("it is being cloned", |world| world.calls_of("proxmox.clone") == 1).await;
    let hung = stage.only_vm();
    let over = |world: &World| is_over(world, job);
    let report = stage.sweep_until("its job is served by another", |world, _| over(world)).await;
    let why = report["left_alone"].to_string();
    assert!(why.contains(&hung.vmid.unwrap().to_string()) && why.contains("qm unlock"), "{report:#}");
    let timeline = stage.timeline(job).await;
    assert!(timeline.iter().any(|line| line.starts_with("waits again")), "{timeline:#?}");
    // Its slot is not given away while the VM is there: nobody knows when its task goes on.
    let taken = pool(&report, POOL).unwrap()["slots"]["creating"].as_u64();
    let is_there = stage.simulator.with(|world, _| our_vms(world).iter().any(|vm| vm.id == hung.id));
    assert!(is_there && taken == Some(1), "{report:#}");
    // Somebody mends it by hand.
    stage.simulator.with(|world, now| world.kill_vm(now, hung.id));
    stage.curtain().await;
}

/// Why the only job waits, after a while of sweeps; the job is still there.
async fn waits_because(stage: &Stage) -> String {
    let job = stage.queue(Duration::from_millis(50));
    let says = |report: &serde_json::Value| pool(report, POOL).is_some_and(|pool| pool["waiting"] == 1);
    let report = stage.sweep_until("it waits", |_, report| says(report)).await;
    let timeline = stage.timeline(job).await.join("\n");
    format!("{timeline}\n{}", pool(&report, POOL).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_says_so_and_the_job_waits_until_it_is_right() {
    let mut plot = Plot::lab(2);
    plot.timing.cooldown = "1s";
    plot.wrong_token = true;
    let mut stage = Stage::set(plot).await;
    let why = waits_because(&stage).await;
    assert!(why.contains("providers.lab.token_secret"), "{why}");
    stage.reconfigure(|plot| plot.wrong_token = false).await;
    stage.sweep_until("the job is over", |world, _| all_over(world)).await;
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_is_not_there_or_is_none_is_named_and_the_job_overflows_or_waits() {
    for (template, expected) in [(8999, "no template 8999"), (8003, "VM 8003 is no template")] {
        let mut plot = Plot::lab(2);
        plot.timing.cooldown = "1s";
        plot.pools[0].template = Some(template);
        let mut stage = Stage::set(plot).await;
        let why = waits_because(&stage).await;
        assert!(why.contains(expected), "{why}");
        stage.reconfigure(|plot| plot.pools[0].zones = vec!["us-east1-c"]).await;
        stage.sweep_until("the job is over", |world, _| all_over(world)).await;
        let timeline = stage.simulator.with(|world, _| world.jobs()[0].id);
        let timeline = stage.timeline(timeline).await.join("\n");
        assert!(timeline.contains(expected) && timeline.contains("cloud/us-east1-c"), "{timeline}");
        stage.curtain().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_privilege_is_named() {
    let mut plot = Plot::lab(2);
    plot.timing.cooldown = "1s";
    plot.settings.proxmox.privileges.remove("VM.Clone");
    let stage = Stage::set(plot).await;
    let why = waits_because(&stage).await;
    assert!(why.contains("VM.Clone on /vms/8000"), "{why}");
    stage.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_storage_and_nodes_that_are_all_offline_overflow() {
    let mut plot = Plot::overflowing(4);
    plot.pools[0].template_more = "full_clone = true\nstorage = \"ceph\"";
    for storage in &mut plot.settings.proxmox.storages {
        storage.bytes = 300 << 30;
    }
    plot.settings.proxmox.templates[0].disk_bytes = 400 << 30;
    let stage = Stage::set(plot).await;
    let job = stage.queue(Duration::from_millis(50));
    stage.until("the job is over", |world| is_over(world, job)).await;
    let timeline = stage.timeline(job).await.join("\n");
    assert!(timeline.contains("space") && timeline.contains("cloud/"), "{timeline}");
    stage.simulator.with(|world, now| {
        for node in ["pve1", "pve2", "pve3"] {
            world.set_node_online(now, node, false);
        }
    });
    let job = stage.queue(Duration::from_millis(50));
    stage.until("the next is over", |world| is_over(world, job)).await;
    assert!(stage.simulator.with(|world, _| our_vms(world).iter().all(|vm| vm.provider == Api::Gcp)));
    stage.simulator.with(|world, now| {
        for node in ["pve1", "pve2", "pve3"] {
            world.set_node_online(now, node, true);
        }
    });
    stage.curtain().await;
}
