//! Whole lives of jobs and VMs, in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::{INSTANCES, LABELS, Story, ZONE, settings};
use simulator::{
    Chance, Conclusion, JobSpec, JobState, Method, PoolLimit, Repository, Scope, Settings, ViolationKind,
};

fn ran_on(story: &Story, job: simulator::JobId) -> Option<String> {
    story.world.job_state(job)?.ran().map(|(runner, _)| runner.name.clone())
}

#[test]
fn a_job_runs_on_its_vm_which_powers_off_and_is_deleted() {
    let mut story = Story::new(settings());
    let job = story.job(60);
    story.runner("test-linux-gpu-1");
    assert_eq!(story.vm("test-linux-gpu-1").unwrap().status, "PROVISIONING");
    story.pass_secs(7);
    assert_eq!(story.vm("test-linux-gpu-1").unwrap().status, "STAGING");
    story.pass_secs(6);
    assert_eq!(story.vm("test-linux-gpu-1").unwrap().status, "RUNNING");
    story.pass_secs(40);
    assert_eq!(story.world.job_state(job).unwrap().status(), "in_progress");
    story.pass_secs(61);
    assert_eq!(story.world.job_state(job).unwrap().status(), "completed");
    assert!(story.world.runners().is_empty(), "a JIT runner is gone after its job");
    story.pass_secs(11);
    assert_eq!(story.vm("test-linux-gpu-1").unwrap().status, "TERMINATED");
    assert_eq!(story.gcp(Method::Delete, &format!("{INSTANCES}/test-linux-gpu-1"), None).status, 200);
    assert_eq!(story.vm("test-linux-gpu-1").unwrap().status, "STOPPING");
    story.pass_secs(41);
    assert!(story.world.is_quiet());
    assert_eq!(story.actions(), ["queued", "in_progress", "completed"]);
    assert_eq!(story.kinds(), []);
    assert_eq!(story.world.calls_of("github.jitconfig"), 1);
}

#[test]
fn jobs_go_to_any_idle_runner_so_that_they_cross() {
    let crossed = (1..40).any(|seed| {
        let mut story = Story::new(Settings { seed, ..settings() });
        story.runner("a");
        story.runner("b");
        story.pass_secs(60);
        let first = story.job(600);
        let second = story.job(600);
        let both = [ran_on(&story, first).unwrap(), ran_on(&story, second).unwrap()];
        assert_ne!(both[0], both[1]);
        both == ["b", "a"]
    });
    assert!(crossed);
}

#[test]
fn the_oldest_job_that_fits_is_served_first_and_labels_have_no_case() {
    let mut story = Story::new(settings());
    let windows = JobSpec::new("shader-slang/slang", &["windows"]);
    let other = story.world.queue_job(story.now, windows);
    let first = story.world.queue_job(story.now, JobSpec::new("shader-slang/slang", &["SELF-HOSTED", "gpu"]));
    let second = story.job(60);
    story.runner("a");
    story.pass_secs(60);
    assert_eq!(ran_on(&story, first).as_deref(), Some("a"));
    assert_eq!(ran_on(&story, second), None);
    assert_eq!(*story.world.job_state(other).unwrap(), JobState::Queued);
}

#[test]
fn a_repository_runner_takes_no_other_repositorys_job() {
    let mut settings = settings();
    settings.repositories.push(Repository::public("shader-slang/other"));
    let mut story = Story::new(settings);
    let body = serde_json::json!({ "name": "a", "runner_group_id": 1, "labels": LABELS });
    let path = "/repos/shader-slang/other/actions/runners/generate-jitconfig";
    let config = story.github(Method::Post, path, Some(body)).value()["encoded_jit_config"].clone();
    story.insert(ZONE, "a", config.as_str().unwrap());
    story.pass_secs(60);
    let job = story.job(60);
    assert_eq!(*story.world.job_state(job).unwrap(), JobState::Queued);
    let expected = Scope::Repository("shader-slang/other".to_owned());
    assert_eq!(story.world.runners()[0].scope, expected);
}

#[test]
fn a_job_behind_an_approval_is_queued_waiting_and_queued_again() {
    let mut story = Story::new(settings());
    let job = story.world.queue_job(story.now, JobSpec::new("shader-slang/slang", &LABELS).waiting());
    story.pass_secs(5);
    story.world.approve_job(story.now, job);
    story.pass_secs(5);
    assert_eq!(story.actions(), ["queued", "waiting", "queued"]);
    let statuses: Vec<String> = story
        .deliveries
        .iter()
        .map(|delivery| serde_json::from_slice::<serde_json::Value>(&delivery.body).unwrap())
        .map(|payload| payload["workflow_job"]["status"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(statuses, ["waiting", "waiting", "queued"]);
}

#[test]
fn a_job_cancelled_before_its_start_ends_without_a_runner() {
    let mut story = Story::new(settings());
    let job = story.job(60);
    story.world.cancel_job(story.now, job);
    story.pass_secs(5);
    let payload: serde_json::Value = serde_json::from_slice(&story.deliveries[1].body).unwrap();
    assert_eq!(payload["workflow_job"]["conclusion"], "cancelled");
    assert_eq!(payload["workflow_job"]["runner_name"], "");
}

#[test]
fn a_busy_vm_deleted_takes_its_job_with_it_and_breaks_i1() {
    let mut story = Story::new(settings());
    let job = story.job(3600);
    story.runner("a");
    story.pass_secs(60);
    story.gcp(Method::Delete, &format!("{INSTANCES}/a"), None);
    assert_eq!(story.kinds(), [ViolationKind::BusyVmDeleted]);
    story.pass_secs(50);
    assert!(story.vm("a").is_none());
    assert!(story.world.runners()[0].busy, "GitHub has not noticed yet");
    story.pass_secs(30);
    assert!(!story.world.runners()[0].online);
    story.pass_secs(600);
    let state = story.world.job_state(job).unwrap().clone();
    assert!(matches!(state, JobState::Ended { conclusion: Conclusion::Failure, .. }), "{state:?}");
    assert!(story.world.runners().is_empty());
}

#[test]
fn max_run_duration_ends_a_vm_without_anybody() {
    let mut story = Story::new(settings());
    story.world.faults.guests.never_boots = Chance::next(1);
    story.runner("a");
    story.pass_secs(21_600);
    assert_eq!(story.vm("a").unwrap().status, "RUNNING");
    story.pass_secs(15);
    assert_eq!(story.vm("a").unwrap().status, "STOPPING");
    story.pass_secs(41);
    assert!(story.vm("a").is_none());
    assert_eq!(story.world.runners().len(), 1, "the registration lingers for a day");
    story.pass_secs(24 * 3600);
    assert!(story.world.runners().is_empty());
}

#[test]
fn guests_hang_and_runners_are_dropped_when_told_to() {
    let mut story = Story::new(settings());
    story.world.faults.guests.hangs_after_job = Chance::next(1);
    story.job(10);
    story.runner("a");
    story.pass_secs(300);
    assert_eq!(story.vm("a").unwrap().status, "RUNNING");
    story.world.faults.guests.runner_dropped = Chance::next(1);
    story.world.faults.guests.dropped_after = Duration::from_secs(120);
    story.runner("b");
    story.pass_secs(100);
    assert_eq!(story.world.runners().len(), 1);
    story.pass_secs(120);
    assert!(story.world.runners().is_empty());
    assert_eq!(story.vm("b").unwrap().status, "TERMINATED");
}

#[test]
fn strangers_unmarked_vms_and_a_pool_over_its_limit_are_noticed() {
    let limit = PoolLimit { deployment: "test".to_owned(), pool: "linux-gpu".to_owned(), max_vms: 1 };
    let mut story =
        Story::new(Settings { deployment: Some("test".to_owned()), pool_limits: vec![limit], ..settings() });
    story.world.add_vm(story.now, ZONE, "stranger", &[]).unwrap();
    let others = [("mayfly-deployment", "other"), ("mayfly-pool", "linux-gpu")];
    story.world.add_vm(story.now, ZONE, "of-another", &others).unwrap();
    story.gcp(Method::Delete, &format!("{INSTANCES}/stranger"), None);
    story.gcp(Method::Delete, &format!("{INSTANCES}/of-another"), None);
    assert_eq!(story.kinds(), [ViolationKind::StrangerTouched; 2]);
    story.runner("a");
    story.runner("b");
    assert_eq!(story.kinds()[2..], [ViolationKind::PoolOverLimit]);
    let bare = serde_json::json!({ "name": "bare" });
    let request = story.gcp_request(Method::Post, INSTANCES, Some(bare));
    let request = request.query("sourceInstanceTemplate", "global/instanceTemplates/linux-gpu-runner");
    assert_eq!(story.send(&request).answer().unwrap().status, 200);
    assert_eq!(story.kinds()[3..], [ViolationKind::UnmarkedVm]);
}

#[test]
fn people_make_stop_and_delete_vms_behind_everybodys_back() {
    let mut story = Story::new(settings());
    let job = story.job(600);
    story.runner("a");
    story.pass_secs(60);
    let id = story.vm("a").unwrap().id;
    story.world.stop_vm(story.now, id);
    story.pass_secs(11);
    assert_eq!(story.vm("a").unwrap().status, "TERMINATED");
    story.pass_secs(600);
    assert_eq!(story.world.job_state(job).unwrap().status(), "completed");
    story.world.kill_vm(story.now, id);
    story.pass_secs(41);
    assert!(story.vm("a").is_none());
    assert!(story.world.add_vm(story.now, ZONE, "b", &[]).is_some());
    assert!(story.world.add_vm(story.now, ZONE, "b", &[]).is_none(), "the name is taken");
    assert_eq!(story.kinds(), [], "people may do as they like");
}

#[test]
fn deliveries_are_delayed_and_overtaken_when_told_to() {
    let mut story = Story::new(settings());
    story.world.faults.deliveries.delayed = Chance::next(1);
    story.world.faults.deliveries.reordered = Chance::next(2);
    for _ in 0..8 {
        story.job(600);
    }
    story.pass_secs(1);
    assert!(story.deliveries.len() < 8);
    story.pass_secs(65);
    assert_eq!(story.deliveries.len(), 8);
    let jobs: Vec<u64> = story
        .deliveries
        .iter()
        .map(|delivery| serde_json::from_slice::<serde_json::Value>(&delivery.body).unwrap())
        .map(|payload| payload["workflow_job"]["id"].as_u64().unwrap())
        .collect();
    assert!(!jobs.is_sorted());
}

#[test]
fn the_same_seed_tells_the_same_history_and_another_seed_another() {
    let told = |seed| {
        let timing = simulator::Timing::realistic();
        let mut story = Story::new(Settings { seed, timing, ..Settings::default() });
        story.world.faults.deliveries.lost = Chance::rate(0.2);
        story.world.faults.deliveries.duplicated = Chance::rate(0.2);
        story.world.faults.deliveries.delayed = Chance::rate(0.2);
        for number in 0..20 {
            story.job(30 + number);
            story.runner(&format!("r{number}"));
            story.pass_secs(3);
        }
        story.pass_secs(600);
        let guids: Vec<String> = story.deliveries.iter().map(|delivery| delivery.guid.clone()).collect();
        (story.world.history().to_vec(), guids)
    };
    assert_eq!(told(7), told(7));
    assert_ne!(told(7).1, told(8).1);
}

#[test]
fn a_busy_vm_can_be_set_into_the_world_in_the_middle_of_its_job() {
    let mut story = Story::new(settings());
    let marks = [("mayfly-deployment", "test"), ("mayfly-pool", "linux-gpu")];
    let spec = simulator::JobSpec::new("shader-slang/slang", &LABELS).lasting(Duration::from_secs(60));
    let busy = story.world.add_busy_vm(story.now, ZONE, "a", &marks, spec.clone()).unwrap();
    assert_eq!(story.world.add_busy_vm(story.now, ZONE, "a", &marks, spec), None);
    let runner = story.world.runners().remove(0);
    assert_eq!((runner.id, runner.busy, runner.online), (busy.runner, true, true));
    assert_eq!(ran_on(&story, busy.job).as_deref(), Some("a"));
    story.pass_secs(61);
    assert_eq!(story.world.job_state(busy.job).unwrap().status(), "completed");
    assert!(story.world.runners().is_empty());
    assert_eq!(story.actions(), ["completed"]);
    story.pass_secs(11);
    assert_eq!(story.vm("a").unwrap().status, "TERMINATED");
}

#[test]
fn an_aged_vm_may_be_ended_while_busy_and_its_own_switch_comes_late() {
    let mut story = Story::new(settings());
    story.job(7200);
    story.runner("a");
    story.pass_secs(60);
    let vm = story.vm("a").unwrap();
    story.world.age_vm(story.now, vm.id, Duration::from_secs(24 * 3600));
    assert_eq!(story.vm("a").unwrap().created, vm.created - Duration::from_secs(24 * 3600));
    story.pass_secs(60);
    assert_eq!(story.vm("a").unwrap().status, "RUNNING");
    assert_eq!(story.gcp(Method::Delete, &format!("{INSTANCES}/a"), None).status, 200);
    assert_eq!(story.kinds(), []);
}

#[test]
fn a_delivery_can_be_sent_again_by_hand() {
    let mut story = Story::new(settings());
    story.world.faults.deliveries.lost = Chance::next(1);
    story.job(60);
    story.pass_secs(2);
    let lost = story.world.deliveries().remove(0);
    assert_eq!((lost.action, lost.redelivery, lost.status), ("queued", false, Some(504)));
    assert!(story.world.redeliver_by_hand(story.now, lost.id));
    story.pass_secs(2);
    let again = story.world.deliveries().remove(1);
    assert_eq!((again.guid, again.redelivery, again.status), (lost.guid, true, Some(202)));
    assert!(!story.world.redeliver_by_hand(story.now, simulator::DeliveryId(1)));
    assert_eq!(story.world.calls_of("github.redeliver"), 0);
}
