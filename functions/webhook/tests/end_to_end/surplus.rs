//! Runners that nobody needs go, those that somebody needs stay, and none stays for ever.

use std::time::Duration;

use simulator::{Chance, Fault, HappeningKind, JobSpec};

use crate::plot::{LABELS, Plot, REPOSITORY};
use crate::sights::{conclusion, deleted_by_call, is_over, is_running, our_vms, when};
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_jobs_runner_goes_after_idle_timeout_first_its_registration_then_its_vm() {
    let mut plot = Plot::default();
    plot.pools[0].idle_timeout = "1s";
    let stage = Stage::set(plot).await;
    let vm = stage.spare_runner().await;
    stage.sweep_until("its VM is gone", |world, _| our_vms(world).is_empty()).await;
    let (cancelled, unregistered, deleted) = stage.simulator.with(|world, _| {
        let cancelled = world.history().iter().find(|each| each.kind == HappeningKind::JobCancelled);
        let at = |kind| when(world, kind, &vm.name).unwrap();
        (cancelled.unwrap().time, at(HappeningKind::RunnerGone), at(HappeningKind::VmDeleting))
    });
    assert!(unregistered < deleted, "GitHub is asked first\n{}", stage.story());
    assert!(deleted >= cancelled + Duration::from_secs(1), "not before idle_timeout\n{}", stage.story());
    assert_eq!(stage.calls("github.delete_runner"), 1);
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_took_another_job_in_the_last_moment_is_left_alone() {
    let mut plot = Plot::default();
    plot.pools[0].idle_timeout = "1s";
    let stage = Stage::set(plot).await;
    let vm = stage.spare_runner().await;
    stage.sweep().await;
    // Longer than `idle_timeout`.
    tokio::time::sleep(Duration::from_millis(1500)).await;

    // What the sweep sees is old when it acts on it, and nobody tells what has changed meanwhile.
    let listed = |world: &simulator::World| {
        world.calls_of("gcp.aggregated_instances") + world.calls_of("github.runners")
    };
    let before = stage.simulator.with(|world, _| {
        for endpoint in ["gcp.aggregated_instances", "github.runners"] {
            world.faults.once(endpoint, Fault::Slow(Duration::from_millis(500)));
        }
        listed(world)
    });
    let takes = async {
        stage.until("the sweep has looked", |world| listed(world) >= before + 2).await;
        stage.simulator.with(|world, now| {
            world.faults.deliveries.never = Chance::next(2);
            world.queue_job(now, JobSpec::new(REPOSITORY, &LABELS).lasting(Duration::from_secs(3)))
        })
    };
    let (report, job) = tokio::join!(stage.sweep(), takes);
    let ran = stage.simulator.with(|world, _| is_running(world, job) || is_over(world, job));
    assert!(ran, "the runner took the job\n{}", stage.story());
    stage.sweep_until("the job is over", |world, _| is_over(world, job)).await;
    let ended = stage.simulator.with(|world, _| conclusion(world, job));
    assert_eq!(ended, "success", "{report:#}\n{}", stage.story());
    assert_eq!(stage.calls("gcp.insert"), 1, "{} served it\n{}", vm.name, stage.story());
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_vm_outlives_max_lifetime_even_busy_and_with_its_own_switch_broken() {
    let stage = Stage::set(Plot::default()).await;
    let job = stage.queue(Duration::from_secs(3600));
    stage.until("the job runs", |world| is_running(world, job)).await;
    let vm = stage.only_vm();
    stage.age(&vm, Duration::from_secs(9 * 60)).await;
    stage.sweep_for(Duration::from_secs(1)).await;
    assert_eq!(stage.calls("gcp.delete"), 0, "it is busy, and has a minute left\n{}", stage.story());
    stage.age(&vm, Duration::from_secs(61)).await;
    stage.sweep_until("it is gone", |world, _| our_vms(world).is_empty()).await;
    assert!(stage.simulator.with(|world, _| deleted_by_call(world, &vm.name)));
    stage.curtain().await;
}
