//! The steps after the clone was begun, taken by whoever finds a VM in them.

use std::time::Duration;

use mayfly_core::making::MakingStep;
use mayfly_service::provider::proxmox::{Advanced, Failure, ProxmoxSettings, Reached};
use simulator::{Chance, ViolationKind};

use super::story::{Story, advance_clone, soon, take_up, vmid_of};

const A_WHILE: Duration = Duration::from_secs(10);

fn failure(advanced: &Advanced) -> Failure {
    match &advanced.reached {
        Reached::Failed { failure, .. } => *failure,
        Reached::Agent | Reached::NotYet { .. } => panic!("{advanced:?}"),
    }
}

fn not_yet(advanced: Advanced) -> (MakingStep, String) {
    match advanced.reached {
        Reached::NotYet { step, why } => (step, why),
        Reached::Agent | Reached::Failed { .. } => panic!("{advanced:?}"),
    }
}

fn is_done(advanced: &Advanced) {
    assert!(matches!(advanced.reached, Reached::Agent), "{advanced:?}");
}

fn cloning(task: Option<&str>) -> MakingStep {
    MakingStep::Cloning { task: task.map(str::to_owned) }
}

#[tokio::test]
async fn a_clone_that_waited_too_long_for_its_storage_may_be_asked_for_again() {
    let story = Story::begin().await;
    story.with(|world, _| world.faults.lab.storage_locked = Chance::next(1));
    let name = story.name();
    let begun = story.clone_of(&story.lab, &name).await.unwrap();
    let advanced = advance_clone(&story.lab, &name, &begun).await;
    assert_eq!(failure(&advanced), Failure::Again);
    assert!(story.vms().is_empty());
    assert!(story.lab.delete(name.as_str(), Some(&begun.place), soon()).await.unwrap().is_gone());
    let begun = story.clone_of(&story.lab, &name).await.unwrap();
    is_done(&advance_clone(&story.lab, &name, &begun).await);
    assert_eq!(story.vms().len(), 1);
    story.end();
}

#[tokio::test]
async fn a_clone_that_never_ends_is_named_by_its_lock() {
    let story = Story::begin().await;
    story.with(|world, _| world.faults.lab.clone_hangs = Chance::next(1));
    let lab = story.cold_with(ProxmoxSettings { nodes: vec!["pve2".to_owned()], ..story.settings() });
    let name = story.name();
    let begun = story.clone_of(&lab, &name).await.unwrap();
    let some = Duration::from_millis(400);
    let step = cloning(begun.task.as_deref());
    let advanced = take_up(&lab, &name, &begun.place, &step, some).await;
    assert_eq!(not_yet(advanced), (step.clone(), "its task is under way".to_owned()));
    let vmid = vmid_of(&begun.place);
    let why = format!("VM {vmid} is locked (clone)");
    let advanced = take_up(&story.cold(), &name, &begun.place, &cloning(None), some).await;
    assert_eq!(advanced.place.at, format!("pve1/{vmid}"), "it stands there until it is done");
    assert_eq!(not_yet(advanced), (cloning(None), why));
    for place in [Some(&begun.place), None] {
        let error = story.lab.delete(name.as_str(), place, soon()).await.unwrap_err().to_string();
        assert!(error.contains("is locked (clone)") && error.contains("`qm unlock`"), "{error}");
    }

    // The node falls and comes back: the task is dead, and the lock is still there.
    story.with(|world, now| world.set_node_online(now, "pve1", false));
    story.with(|world, now| world.set_node_online(now, "pve1", true));
    let advanced = take_up(&lab, &name, &begun.place, &step, A_WHILE).await;
    let (step, why) = not_yet(advanced);
    assert!(matches!(step, MakingStep::Cloning { .. }) && why.contains("unexpected status"), "{why}");
    story.end();
}

#[tokio::test]
async fn a_start_without_memory_fails_and_what_is_left_can_be_deleted() {
    let story = Story::begin().await;
    let (name, begun) = story.cloned().await;
    let (node, _) = begun.place.at.split_once('/').unwrap();
    for vmid in 200..214 {
        story.stranger(node, vmid, "theirs");
    }
    let advanced = take_up(&story.cold(), &name, &begun.place, &MakingStep::Starting, A_WHILE).await;
    failure(&advanced);
    story.removed(&name, Some(&begun.place)).await;
    story.end_with(&[ViolationKind::NodeOverMemory]);
}

#[tokio::test]
async fn an_agent_may_take_its_time_but_not_for_ever() {
    let story = Story::begin().await;
    story.with(|world, _| world.faults.lab.agent_delay = Some(Duration::from_millis(1500)));
    let (name, begun) = story.cloned().await;
    let step = MakingStep::Starting;
    let advanced = take_up(&story.lab, &name, &begun.place, &step, Duration::from_millis(900)).await;
    let (step, why) = not_yet(advanced);
    assert_eq!((&step, why.as_str()), (&MakingStep::WaitingForAgent, "QEMU guest agent is not running"));
    is_done(&take_up(&story.cold(), &name, &begun.place, &step, A_WHILE).await);

    story.with(|world, _| world.faults.guests.never_boots = Chance::next(1));
    let (name, begun) = story.cloned().await;
    let step = MakingStep::Starting;
    let advanced = take_up(&story.lab, &name, &begun.place, &step, Duration::from_millis(600)).await;
    assert_eq!(not_yet(advanced).0, MakingStep::WaitingForAgent);
    story.removed(&name, Some(&begun.place)).await;
    story.end();
}

#[tokio::test]
async fn a_vm_that_somebody_ends_meanwhile_is_gone() {
    for is_deleted in [false, true] {
        let story = Story::begin().await;
        story.with(|world, _| world.faults.lab.agent_delay = Some(Duration::from_secs(60)));
        let (name, begun) = story.cloned().await;
        let step = MakingStep::Starting;
        let advancing = take_up(&story.lab, &name, &begun.place, &step, A_WHILE);
        let ending = async {
            story.until(|world| world.vms()[0].status == "running").await;
            story.with(|world, now| {
                let id = world.vms()[0].id;
                if is_deleted { world.kill_vm(now, id) } else { world.stop_vm(now, id) }
            });
        };
        let (advanced, ()) = tokio::join!(advancing, ending);
        assert_eq!(failure(&advanced), Failure::Gone, "{advanced:?}");
        story.until(|world| world.vms().iter().all(|vm| vm.status == "stopped")).await;
        story.removed(&name, Some(&begun.place)).await;
        story.end();
    }
}

#[tokio::test]
async fn two_functions_that_take_the_same_step_do_no_harm() {
    let story = Story::begin().await;
    story.with(|world, _| world.faults.lab.agent_delay = Some(Duration::from_millis(300)));
    for number in 0..4 {
        let name = story.name();
        let begun = story.clone_of(&story.lab, &name).await.unwrap();
        let step = match number {
            0 => cloning(begun.task.as_deref()),
            1 => cloning(None),
            2 => MakingStep::Starting,
            _ => MakingStep::WaitingForAgent,
        };
        if number > 1 {
            story.until(|world| world.vms().iter().all(|vm| vm.status != "clone")).await;
        }
        if number > 2 {
            let first = Duration::from_millis(200);
            not_yet(take_up(&story.lab, &name, &begun.place, &MakingStep::Starting, first).await);
        }
        let (first, second) = (story.cold(), story.cold());
        let (first, second) = tokio::join!(
            take_up(&first, &name, &begun.place, &step, A_WHILE),
            take_up(&second, &name, &begun.place, &step, A_WHILE)
        );
        for advanced in [first, second] {
            is_done(&advanced);
            assert_eq!(advanced.place, begun.place);
        }
        assert_eq!(story.ever(&name), 1);
        assert_eq!(story.config(&begun.place)["tags"], "mayfly;mayfly-prod");
        // And once more, by one who comes too late.
        is_done(&take_up(&story.cold(), &name, &begun.place, &step, A_WHILE).await);
        story.removed(&name, Some(&begun.place)).await;
    }
    story.end();
}

#[tokio::test]
async fn a_clone_whose_task_is_not_known_is_followed_to_its_node() {
    let story = Story::begin().await;
    story.with(|world, _| world.faults.lab.clone_takes = Some(Duration::from_millis(600)));
    let lab = story.cold_with(ProxmoxSettings { nodes: vec!["pve3".to_owned()], ..story.settings() });
    let unknown = "UPID:pve1:00000001:00000001:00000001:qmclone:8000:mayfly@pve!mayfly:";
    for task in [None, Some(unknown), Some("no UPID")] {
        let name = story.name();
        let begun = story.clone_of(&lab, &name).await.unwrap();
        let vmid = vmid_of(&begun.place);
        let soon = Duration::from_millis(200);
        let advanced = take_up(&story.cold(), &name, &begun.place, &cloning(task), soon).await;
        assert_eq!(advanced.place.at, format!("pve1/{vmid}"));
        let (step, _) = not_yet(advanced);
        let advanced = take_up(&story.cold(), &name, &begun.place, &step, A_WHILE).await;
        is_done(&advanced);
        assert_eq!(advanced.place, begun.place);
        story.removed(&name, Some(&begun.place)).await;
    }
    story.end();
}

#[tokio::test]
async fn a_stranger_with_the_id_of_a_vm_that_is_gone_is_left_alone() {
    let story = Story::begin().await;
    let (name, begun) = story.cloned().await;
    story.with(|world, now| {
        let id = world.vms()[0].id;
        world.kill_vm(now, id);
    });
    story.until(|world| world.vms().is_empty()).await;
    let (node, vmid) = (begun.place.at.split_once('/').unwrap().0, vmid_of(&begun.place));
    story.stranger(node, vmid, "theirs");
    for step in
        [cloning(begun.task.as_deref()), cloning(None), MakingStep::Starting, MakingStep::WaitingForAgent]
    {
        let advanced = take_up(&story.cold(), &name, &begun.place, &step, Duration::from_secs(2)).await;
        assert_eq!(failure(&advanced), Failure::Gone, "{step}: {advanced:?}");
    }
    assert_eq!(story.calls("set_config") + story.calls("start") + story.calls("ping"), 0);
    story.end();
}
