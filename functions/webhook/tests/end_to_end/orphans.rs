//! What nobody knows any more goes, after a grace; what is not ours stays, whatever happens.

use std::time::Duration;

use simulator::{HappeningKind, VmId};

use crate::plot::Plot;
use crate::sights::{
    MARKS, ZONE, all_over, conclusion, deleted_by_call, is_over, is_running, our_vms, runner_name, when,
};
use crate::stage::Stage;

impl Stage {
    fn add_vm(&self, name: &str, labels: &[(&str, &str)]) -> VmId {
        self.simulator.with(|world, now| world.add_vm(now, ZONE, name, labels)).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_with_our_marks_that_no_slot_knows_goes_after_its_grace_whatever_its_name() {
    let stage = Stage::set(Plot::default()).await;
    let ours = runner_name(3).to_string();
    let names = [ours.as_str(), "made-by-hand"];
    for name in names {
        stage.add_vm(name, &MARKS);
    }
    stage.sweep_until("both are gone", |world, _| our_vms(world).is_empty()).await;
    for name in names {
        let (made, deleted) = stage.simulator.with(|world, _| {
            let at = |kind| when(world, kind, name).unwrap();
            (at(HappeningKind::VmRunning), at(HappeningKind::VmDeleting))
        });
        assert!(deleted >= made + Duration::from_secs(2), "{name} within its grace\n{}", stage.story());
    }
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_vm_of_a_pool_that_nobody_knows_goes() {
    let stage = Stage::set(Plot::default()).await;
    let marks = [("mayfly-deployment", "test"), ("mayfly-pool", "long-forgotten")];
    let [stopped, running] = ["stopped", "running"].map(|name| stage.add_vm(name, &marks));
    stage.simulator.with(|world, now| world.stop_vm(now, stopped));
    stage.sweep_until("it is gone", |world, _| world.vms().iter().all(|vm| vm.id != stopped)).await;
    // Of a running one nobody can say whether it is busy: it ends by itself.
    stage.sweep_for(Duration::from_secs(3)).await;
    assert!(
        stage.simulator.with(|world, _| world.vms().iter().any(|vm| vm.id == running)),
        "{}",
        stage.story()
    );
    stage.simulator.with(|world, now| world.kill_vm(now, running));
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_never_touched() {
    let stage = Stage::set(Plot::default()).await;
    let another_deployments = runner_name(4).to_string().replacen("test-", "prod-", 1);
    let looks_like_ours = runner_name(5).to_string();
    stage.add_vm("database", &[]);
    stage.add_vm(&another_deployments, &[("mayfly-deployment", "prod"), ("mayfly-pool", "linux-gpu")]);
    stage.add_vm(&looks_like_ours, &[("team", "graphics")]);
    stage.register("somebodys-runner");
    // An orphan, to know that the time has come in which strangers would have gone.
    stage.add_vm(runner_name(3).as_str(), &MARKS);
    stage.sweep_until("the orphan is gone", |world, _| our_vms(world).is_empty()).await;
    stage.sweep_for(Duration::from_secs(3)).await;
    let left = stage.simulator.with(|world, _| world.vms().len());
    assert_eq!((left, stage.calls("gcp.delete")), (3, 1), "{}", stage.story());
    assert!(stage.is_registered("somebodys-runner"));
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_with_our_name_and_no_vm_goes_after_its_grace() {
    let stage = Stage::set(Plot::default()).await;
    let name = runner_name(3).to_string();
    stage.register(&name);
    stage.sweep().await;
    stage.sweep_until("it is gone", |world, _| world.runners().is_empty()).await;
    let (made, gone) = stage.simulator.with(|world, _| {
        let at = |kind| when(world, kind, &name).unwrap();
        (at(HappeningKind::RunnerRegistered), at(HappeningKind::RunnerGone))
    });
    // A name says when it was made in whole seconds.
    assert!(gone >= made + Duration::from_secs(1), "within its grace\n{}", stage.story());
    assert_eq!(stage.calls("github.delete_runner"), 1);
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_that_a_person_stopped_goes_idle_or_busy() {
    let mut plot = Plot::default();
    plot.pools[0].idle_timeout = "10m";
    let stage = Stage::set(plot).await;
    let job = stage.queue(Duration::from_secs(3600));
    stage.until("a job runs", |world| is_running(world, job)).await;
    let busy = stage.only_vm();
    let idle = stage.spare_runner().await;
    stage.simulator.with(|world, now| {
        world.stop_vm(now, busy.id);
        world.stop_vm(now, idle.id);
    });
    stage.sweep_until("both are gone", |world, _| our_vms(world).is_empty()).await;
    for vm in [&busy, &idle] {
        assert!(stage.simulator.with(|world, _| deleted_by_call(world, &vm.name)), "{}", stage.story());
    }
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_vm_a_person_deleted_before_it_ran_gets_another_and_no_slot_is_lost() {
    let mut plot = Plot::limited(1);
    plot.settings.timing.boot = Duration::from_secs(2);
    plot.timing.step_timeout = "4s";
    let stage = Stage::set(plot).await;
    let job = stage.queue(Duration::from_secs(1));
    stage.until("its VM boots", |world| our_vms(world).iter().any(|vm| vm.status == "RUNNING")).await;
    let booting = stage.only_vm();
    stage.simulator.with(|world, now| world.kill_vm(now, booting.id));
    stage.sweep_until("the job is over", |world, _| is_over(world, job)).await;
    assert_eq!(stage.simulator.with(|world, _| conclusion(world, job)), "success");

    let job = stage.queue(Duration::from_secs(3600));
    stage.sweep_until("the next one runs", |world, _| is_running(world, job)).await;
    let busy = stage.simulator.with(|world, _| our_vms(world)).pop().unwrap();
    stage.simulator.with(|world, now| world.kill_vm(now, busy.id));
    stage.sweep_until("GitHub gives it up", |world, _| all_over(world)).await;
    stage.curtain().await;
}
