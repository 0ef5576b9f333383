//! A life in which one call goes wrong, for each call and each way: it comes to a good end all the same.

use std::time::Duration;

use futures_util::future::join_all;
use mayfly_core::ids::RunnerName;
use mayfly_core::making::MakingStep;
use mayfly_core::slot::VmPlace;
use mayfly_service::provider::proxmox::{Proxmox, ProxmoxSettings, Reached};
use mayfly_service::provider::{CreateError, Deletion};
use mayfly_service::secret::Secret;
use simulator::{Chance, Fault};

use super::story::{LIFETIME, Story, advance_clone, hand_over, soon, take_up, vmid_of, wait_gone};

/// The calls that a life needs.
const CALLS: [&str; 11] = [
    "resources",
    "config",
    "clone",
    "task",
    "set_config",
    "start",
    "ping",
    "file_write",
    "status",
    "stop",
    "delete",
];
/// After a call that is never answered there is no time for anything. On a busy machine the call may not come within
/// the shortest.
const SHORT: [Duration; 3] = [Duration::from_millis(2_500), Duration::from_secs(6), Duration::from_secs(15)];
const LONG: Duration = Duration::from_secs(10);

/// One life, struck at one call.
struct Life<'a> {
    story: &'a Story,
    lab: Proxmox,
    name: RunnerName,
    config: Secret,
    time: Duration,
    what: String,
}

impl Life<'_> {
    /// As far as it goes in the time there is: where the VM is, and whether it is being deleted.
    async fn struck(&self) -> (Option<VmPlace>, bool) {
        let Self { story, lab, name, what, .. } = self;
        let begun = match story.clone_within(lab, name, self.time).await {
            Ok(begun) => begun,
            Err(
                CreateError::NoRoom(_)
                | CreateError::Full(_)
                | CreateError::Unavailable(_)
                | CreateError::Ambiguous { .. },
            ) => return (None, false),
            Err(error @ CreateError::Refused(_)) => panic!("{what}: {error}"),
        };
        let step = MakingStep::Cloning { task: begun.task.clone() };
        let deadline = tokio::time::Instant::now() + self.time;
        let advanced = lab.advance(name.as_str(), &begun.place, &step, Some(&begun.tags), deadline).await;
        match &advanced.reached {
            Reached::Agent => {}
            Reached::NotYet { .. } => return (Some(advanced.place), false),
            Reached::Failed { .. } => panic!("{what}: {advanced:?}"),
        }
        let deadline = tokio::time::Instant::now() + self.time;
        let platform = mayfly_core::policy::Platform::Linux;
        let handed = lab.hand_over(&advanced.place, platform, &self.config, LIFETIME, deadline).await;
        if handed.is_ok() {
            let deadline = tokio::time::Instant::now() + self.time;
            if let Ok(going) = lab.delete(name.as_str(), Some(&advanced.place), deadline).await {
                _ = lab.wait_gone(&going, deadline).await;
            }
        }
        (Some(advanced.place), handed.is_ok())
    }

    /// By another function, which finds what there is by a list.
    async fn finished(&self, recorded: Option<VmPlace>, is_ending: bool) {
        let Self { story, name, what, .. } = self;
        let lab = story.cold();
        let mut listed = lab.list(soon()).await.unwrap().vms;
        listed.retain(|vm| vm.name == name.as_str());
        assert!(listed.len() <= 1, "{what}: {listed:?}");
        let Some(vm) = listed.pop() else {
            assert!(recorded.is_none() || is_ending, "{what}: it is gone");
            return;
        };
        if !is_ending {
            let place = recorded.as_ref().unwrap_or(&vm.place);
            let advanced = take_up(&lab, name, place, &MakingStep::Cloning { task: None }, LONG).await;
            assert!(matches!(advanced.reached, Reached::Agent), "{what}: {advanced:?}");
            hand_over(&lab, &advanced.place, &self.config).await;
        }
        let going = lab.delete(name.as_str(), recorded.as_ref(), soon()).await;
        let going = going.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(wait_gone(&lab, &going).await, Deletion::Gone, "{what}");
    }
}

/// Each call of a life is struck, in a life of its own.
async fn lives(fault: Fault) {
    join_all(CALLS.chunks(4).map(|calls| some_lives(fault.clone(), calls))).await;
}

async fn some_lives(fault: Fault, calls: &[&str]) {
    let story = Story::begin().await;
    story.stranger("pve1", 9000, "theirs");
    let is_hanging = [Fault::HangsBefore, Fault::HangsAfter].contains(&fault);
    let times = if is_hanging { &SHORT[..] } else { &[LONG] };
    // A world has one queue of faults for each call: one life after the other.
    for call in calls {
        let mut happened = false;
        for time in times {
            happened = happened || one_life(&story, &fault, call, *time).await;
        }
        assert!(happened, "{fault:?} of {call} never happened");
    }
    assert_eq!(story.vms()[0].status, "running", "the stranger's");
    story.end();
}

/// Whether the call was struck.
async fn one_life(story: &Story, fault: &Fault, call: &str, time: Duration) -> bool {
    let name = story.name();
    let config = story.jit_config(&name);
    let what = format!("{fault:?} of {call}");
    let life = Life { story, lab: story.cold(), name, config, time, what };
    let before = story.calls(call);
    story.strike(&format!("proxmox.{call}"), fault.clone());
    let (place, is_ending) = life.struck().await;
    story.with(|world, _| world.faults.clear());
    let happened = story.calls(call) > before;
    life.finished(place, is_ending).await;
    assert!(story.ever(&life.name) <= 1, "{}: made twice", life.what);
    story.until(|world| world.vms().len() == 1).await;
    happened
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_life_in_which_one_call_goes_wrong_ends_well() {
    let retry_after = Duration::from_secs(1);
    // Most of a life is waiting.
    join_all([
        lives(Fault::ErrorBefore(500)),
        lives(Fault::ErrorAfter(500)),
        lives(Fault::Limited { status: 429, retry_after }),
        lives(Fault::Limited { status: 503, retry_after }),
        lives(Fault::Slow(Duration::from_millis(200))),
        lives(Fault::Garbage),
        lives(Fault::ClosedBefore),
        lives(Fault::ClosedAfter),
        lives(Fault::HangsBefore),
        lives(Fault::HangsAfter),
    ])
    .await;
}

#[tokio::test]
async fn a_clone_whose_reply_was_lost_is_found_by_its_id_and_name() {
    let story = Story::begin().await;
    // As long as a clone takes: until it is done it is on its template's node.
    story.with(|world, _| world.faults.lab.clone_takes = Some(Duration::from_secs(3)));
    let lab = story.cold_with(ProxmoxSettings { nodes: vec!["pve2".to_owned()], ..story.settings() });
    for fault in [Fault::ClosedAfter, Fault::Garbage, Fault::ErrorAfter(500), Fault::ErrorAfter(502)] {
        let (name, before) = (story.name(), story.calls("clone"));
        story.strike("proxmox.clone", fault.clone());
        let begun = story.clone_of(&lab, &name).await.unwrap();
        assert_eq!((begun.task.as_ref(), story.calls("clone") - before), (None, 1), "{fault:?}");
        assert_eq!((story.ever(&name), story.vm(&name).unwrap().vmid), (1, Some(vmid_of(&begun.place))));
        if fault == Fault::ClosedAfter {
            let advanced = advance_clone(&story.cold(), &name, &begun).await;
            assert!(matches!(advanced.reached, Reached::Agent), "{advanced:?}");
            assert_eq!(advanced.place, begun.place);
        }
    }
    story.end();
}

#[tokio::test]
async fn a_clone_that_failed_and_could_not_be_looked_for_is_not_taken_for_a_strangers() {
    let story = Story::begin().await;
    story.with(|world, _| world.faults.lab.clone_takes = Some(Duration::from_secs(3)));
    // It was begun, whatever was answered, and nobody says so until it is asked for again: then its id is taken.
    story.strike("proxmox.clone", Fault::ErrorAfter(500));
    for _ in 0..3 {
        story.strike("proxmox.status", Fault::ErrorBefore(500));
    }
    let name = story.name();
    let begun = story.clone_of(&story.lab, &name).await.unwrap();
    assert_eq!((story.calls("clone"), story.ever(&name)), (2, 1));
    assert_eq!(story.vm(&name).unwrap().vmid, Some(vmid_of(&begun.place)));
    story.end();
}

#[tokio::test]
async fn a_clone_whose_reply_was_lost_and_that_was_not_begun_is_asked_for_again() {
    let story = Story::begin().await;
    story.strike("proxmox.clone", Fault::ClosedBefore);
    let name = story.name();
    let begun = story.clone_of(&story.lab, &name).await.unwrap();
    assert!(begun.task.is_some());
    assert_eq!((story.calls("clone"), story.ever(&name)), (2, 1));

    // Lost, and a stranger takes the id before the second try.
    story.strike("proxmox.clone", Fault::ClosedBefore);
    story.with(|world, _| world.faults.lab.stranger_takes = Chance::next(1));
    let name = story.name();
    let begun = story.clone_of(&story.lab, &name).await.unwrap();
    assert_eq!((story.calls("clone"), story.ever(&name)), (5, 1));
    assert_eq!(story.vm(&name).unwrap().vmid, Some(vmid_of(&begun.place)));

    // Refused for no reason that is known: it was not made, and that is certain.
    story.strike("proxmox.clone", Fault::ErrorBefore(500));
    let error = story.clone_of(&story.lab, &story.name()).await.unwrap_err();
    assert!(matches!(error, CreateError::Unavailable(_)), "{error:?}");
    assert_eq!(story.calls("clone"), 6);
    story.end();
}

#[tokio::test]
async fn what_nobody_knows_is_told_as_such() {
    let story = Story::begin().await;
    story.lab.prepare(&story.placement, soon()).await;
    story.strike("proxmox.clone", Fault::ClosedAfter);
    for call in ["proxmox.resources", "proxmox.status"] {
        story.with(|world, _| world.faults.rate(call, 1.0, Fault::ErrorBefore(500)));
    }
    let name = story.name();
    let error = story.clone_within(&story.lab, &name, Duration::from_secs(3)).await.unwrap_err();
    let CreateError::Ambiguous { place, .. } = error else { panic!("{error:?}") };
    story.with(|world, _| world.faults.clear());
    assert_eq!(story.listed().await.vms[0].place.at, place);
    assert_eq!(story.ever(&name), 1);
    story.end();
}
