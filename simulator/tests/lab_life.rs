//! Whole lives of jobs on VMs of the Proxmox VE cluster, and the invariants there, in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::{LABELS, MARKS, Story, TAGS, ZONE, at, settings};
use simulator::{
    Chance, Conclusion, JobSpec, JobState, Lab, Method, PoolLimit, Settings, Template, ViolationKind,
};

const CONFIG: &str = "/var/lib/mayfly/jit-config";
const READY: &str = "/var/lib/mayfly/jit-config.ready";

fn jit(story: &mut Story, name: &str) -> String {
    story.jit(name).value()["encoded_jit_config"].as_str().unwrap().to_owned()
}

#[test]
fn a_job_runs_on_a_clone_which_powers_off_and_is_deleted() {
    let mut story = Story::new(settings());
    let job = story.job(60);
    story.lab_runner(9001);
    assert_eq!(story.world.job_state(job).unwrap().status(), "in_progress");
    let ran_on = story.world.job_state(job).unwrap().ran().unwrap().0.name.clone();
    assert_eq!(ran_on, "test-linux-9001");
    story.pass_secs(61);
    assert_eq!(story.world.job_state(job).unwrap().status(), "completed");
    assert!(story.world.runners().is_empty());
    story.pass_secs(11);
    assert_eq!(story.lab_vm(9001).unwrap().status, "stopped");
    story.pass_secs(3600);
    assert!(!story.world.is_quiet(), "it stays until somebody deletes it");
    story.lab_task(Method::Delete, &at(9001, ""), &[("purge", "1")]);
    story.pass_secs(5);
    assert!(story.world.is_quiet());
    assert_eq!(story.world.view().gone_vms[0].vmid, Some(9001));
    assert_eq!(story.actions(), ["queued", "in_progress", "completed"]);
    assert_eq!(story.kinds(), []);
}

#[test]
fn a_guest_is_told_when_its_configuration_is_complete() {
    for config in [None, Some(""), Some("half of it")] {
        let mut story = Story::new(settings());
        let job = story.job(60);
        jit(&mut story, "test-linux-9001");
        story.started(9001);
        if let Some(config) = config {
            story.write(9001, CONFIG, config);
        }
        story.pass_secs(60);
        assert_eq!(story.lab_vm(9001).unwrap().status, "running", "it waits");
        story.write(9001, READY, "");
        story.pass_secs(30);
        assert_eq!(story.lab_vm(9001).unwrap().status, "stopped", "{config:?}: its runner failed");
        assert_eq!(*story.world.job_state(job).unwrap(), JobState::Queued);
    }
}

#[test]
fn a_windows_guest_looks_elsewhere() {
    let mut story = Story::new(settings());
    let fields = [("newid", "9001"), ("name", "test-win-1"), ("description", MARKS), ("target", "pve1")];
    story.lab_task(Method::Post, "/nodes/pve2/qemu/8001/clone", &fields);
    story.pass_secs(9);
    story.lab(Method::Put, &at(9001, "config"), &[("tags", TAGS)]);
    story.lab_task(Method::Post, &at(9001, "status/start"), &[]);
    story.pass_secs(34);
    let config = jit(&mut story, "test-win-1");
    story.write(9001, CONFIG, &config);
    story.write(9001, READY, "");
    story.pass_secs(10);
    assert!(!story.world.runners()[0].online);
    story.write(9001, r"C:\ProgramData\mayfly\jit-config", &config);
    story.write(9001, r"C:\ProgramData\mayfly\jit-config.ready", "");
    story.pass_secs(10);
    assert!(story.world.runners()[0].online);
}

#[test]
fn a_guest_powers_itself_off_at_the_end_of_its_lifetime() {
    let mut story = Story::new(settings());
    let job = story.job(7200);
    let config = jit(&mut story, "test-linux-9001");
    story.started(9001);
    story.write(9001, CONFIG, &config);
    story.write(9001, READY, "max-lifetime=600\n");
    story.pass_secs(500);
    assert_eq!(story.world.job_state(job).unwrap().status(), "in_progress");
    story.pass_secs(110);
    assert_eq!(story.lab_vm(9001).unwrap().status, "stopped");
    story.pass_secs(600);
    let state = story.world.job_state(job).unwrap().clone();
    assert!(matches!(state, JobState::Ended { conclusion: Conclusion::Failure, .. }), "{state:?}");

    let short = Template { max_lifetime: Duration::from_secs(300), ..Template::linux(8000, "pve1") };
    let proxmox = Lab { templates: vec![short], ..Lab::default() };
    let mut story = Story::new(Settings { proxmox, ..settings() });
    story.started(9001);
    story.pass_secs(290);
    assert_eq!(story.lab_vm(9001).unwrap().status, "running");
    story.pass_secs(25);
    assert_eq!(story.lab_vm(9001).unwrap().status, "stopped", "nobody came");
    assert_eq!(story.kinds(), []);
}

#[test]
fn guests_fail_in_the_lab_as_elsewhere() {
    let mut story = Story::new(settings());
    story.world.faults.guests.never_boots = Chance::next(1);
    story.started(9001);
    story.pass_secs(24 * 3600);
    assert_eq!(story.lab(Method::Post, &at(9001, "agent/ping"), &[]).status, 500);
    let fields = [("timeout", "30")];
    let shutdown = story.lab_task(Method::Post, &at(9001, "status/shutdown"), &fields);
    story.pass_secs(31);
    assert_eq!(story.exit(&shutdown).as_deref(), Some("VM quit/powerdown failed - got timeout"));
    assert_eq!(story.lab_vm(9001).unwrap().status, "running");
    let fields = [("timeout", "30"), ("forceStop", "1")];
    story.lab_task(Method::Post, &at(9001, "status/shutdown"), &fields);
    story.pass_secs(31);
    assert_eq!(story.lab_vm(9001).unwrap().status, "stopped");
    story.world.faults.guests.hangs_after_job = Chance::next(1);
    story.job(10);
    story.lab_runner(9002);
    story.pass_secs(300);
    assert_eq!(story.lab_vm(9002).unwrap().status, "running");
    let shutdown = story.lab_task(Method::Post, &at(9002, "status/shutdown"), &[]);
    story.pass_secs(11);
    assert_eq!(story.exit(&shutdown).as_deref(), Some("OK"));
    assert_eq!(story.kinds(), []);
}

#[test]
fn a_busy_vm_is_ended_by_nobody() {
    for call in ["status/stop", "status/shutdown"] {
        let mut story = Story::new(settings());
        story.job(3600);
        story.lab_runner(9001);
        story.lab_task(Method::Post, &at(9001, call), &[]);
        assert_eq!(story.kinds(), [ViolationKind::BusyVmDeleted], "{call}");
        story.pass_secs(90);
        assert!(!story.world.runners()[0].online);
        assert_eq!(story.lab_vm(9001).unwrap().status, "stopped");
    }
    let mut story = Story::new(settings());
    story.job(30_000);
    story.lab_runner(9001);
    let id = story.lab_vm(9001).unwrap().id;
    story.world.age_vm(story.now, id, Duration::from_secs(24 * 3600));
    story.lab_task(Method::Post, &at(9001, "status/stop"), &[]);
    assert_eq!(story.kinds(), [], "it was past its end");
}

#[test]
fn a_pools_limit_counts_the_vms_of_all_providers() {
    let limit = PoolLimit { deployment: "test".to_owned(), pool: "linux".to_owned(), max_vms: 2 };
    let mut story = Story::new(Settings { pool_limits: vec![limit], ..settings() });
    let marks = [("mayfly-deployment", "test"), ("mayfly-pool", "linux")];
    story.world.add_vm(story.now, ZONE, "a", &marks).unwrap();
    story.clone_call(9001, &[]);
    assert_eq!(story.kinds(), []);
    story.world.faults.lab.storage_locked = Chance::next(1);
    story.clone_call(9002, &[]);
    assert_eq!(story.kinds(), [ViolationKind::PoolOverLimit], "from the accepted clone on");
    story.pass_secs(11);
    let id = story.world.vms()[0].id;
    story.world.kill_vm(story.now, id);
    story.pass_secs(60);
    story.clone_call(9003, &[]);
    assert_eq!(story.kinds().len(), 1, "the one that failed is gone");
}

#[test]
fn strangers_and_unmarked_clones_are_noticed() {
    let mut story = Story::new(Settings { deployment: Some("test".to_owned()), ..settings() });
    let marked = "mayfly-deployment: test\nmayfly-pool: linux";
    let of_another = "mayfly-deployment: other\nmayfly-pool: linux";
    let cases: [(u32, &str, &str, &[&str], bool); 6] = [
        (200, "theirs", "", &["mayfly", "mayfly-test"], true),
        (9101, "test-linux-1", marked, &[], true),
        (201, "test-linux-2", marked, &[], false),
        (9102, "their-linux-3", marked, &[], false),
        (9103, "other-linux-4", of_another, &["mayfly", "mayfly-other"], false),
        (9104, "test-linux-5", "", &["mayfly"], false),
    ];
    for (vmid, name, description, tags, is_ours) in cases {
        story.world.add_lab_vm(story.now, "pve1", vmid, name, description, tags).unwrap();
        let before = story.kinds().len();
        story.lab_task(Method::Post, &at(vmid, "status/stop"), &[]);
        let expected: &[ViolationKind] = if is_ours { &[] } else { &[ViolationKind::StrangerTouched] };
        assert_eq!(story.kinds()[before..], *expected, "{name}");
    }
    let before = story.kinds().len();
    story.lab_task(Method::Post, "/nodes/pve1/qemu/8000/clone", &[("newid", "9001"), ("name", "test-a")]);
    let fields = [("newid", "9002"), ("description", marked)];
    story.lab_task(Method::Post, "/nodes/pve1/qemu/8000/clone", &fields);
    story.clone_call(9003, &[]);
    story.pass_secs(11);
    story.lab_task(Method::Post, &at(9003, "status/start"), &[]);
    assert_eq!(story.kinds()[before..], [ViolationKind::UnmarkedVm; 3]);
    assert_eq!(story.lab_vm(9001).unwrap().labels.len(), 0);
    story.lab(Method::Delete, &at(8000, ""), &[]);
    assert_eq!(story.kinds()[before + 3..], [ViolationKind::StrangerTouched], "a template");
}

#[test]
fn people_do_as_they_like_in_the_lab() {
    let mut story = Story::new(settings());
    let spec = JobSpec::new("shader-slang/slang", &LABELS).lasting(Duration::from_secs(60));
    let tags = ["mayfly", "mayfly-test"];
    let add = |story: &mut Story, spec: JobSpec| {
        story.world.add_busy_lab_vm(story.now, "pve1", 9001, "test-linux-1", MARKS, &tags, spec)
    };
    let busy = add(&mut story, spec.clone()).unwrap();
    assert_eq!(add(&mut story, spec), None, "the id is taken");
    assert_eq!(story.world.add_lab_vm(story.now, "pve9", 9002, "a", "", &[]), None);
    story.pass_secs(61);
    assert_eq!(story.world.job_state(busy.job).unwrap().status(), "completed");
    story.pass_secs(11);
    assert_eq!(story.lab_vm(9001).unwrap().status, "stopped");
    assert_eq!(story.world.lab_nodes()[0].held_bytes, 4 << 30);
    let other = story.world.add_lab_vm(story.now, "pve2", 9002, "a", "", &[]).unwrap();
    story.world.stop_vm(story.now, other);
    assert_eq!(story.world.lab_nodes()[1].held_bytes, 8 << 30);
    story.pass_secs(3);
    assert_eq!(story.lab_vm(9002).unwrap().status, "stopped");
    for id in [busy.vm, other] {
        story.world.kill_vm(story.now, id);
    }
    story.pass_secs(7);
    assert!(story.world.is_quiet());
    assert_eq!(story.kinds(), []);
}

#[test]
fn a_vms_own_id_is_never_used_again() {
    let mut story = Story::new(settings());
    let first = story.world.add_lab_vm(story.now, "pve1", 9001, "a", "", &[]).unwrap();
    let second = story.world.add_vm(story.now, ZONE, "a", &[]).unwrap();
    story.world.kill_vm(story.now, first);
    story.pass_secs(7);
    let third = story.world.add_lab_vm(story.now, "pve1", 9001, "a", "", &[]).unwrap();
    assert!(first < second && second < third);
}
