//! What stories look at, and what they do behind Mayfly's back.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use mayfly_core::ids::{Deployment, PoolName, RunnerName, SlotIndex, nonce};
use serde_json::{Value, json};
use simulator::{Api, HappeningKind, JobId, Method, Request, VmView, World};

use crate::plot::{DEPLOYMENT, LABELS, POOL, TABLE};
use crate::stage::Stage;

/// The labels of this deployment's VMs.
pub const MARKS: [(&str, &str); 2] = [("mayfly-deployment", DEPLOYMENT), ("mayfly-pool", POOL)];
pub const ZONE: &str = "us-east1-c";

pub fn all_over(world: &World) -> bool {
    world.jobs().iter().all(|job| job.state.is_over())
}

pub fn is_over(world: &World, job: JobId) -> bool {
    world.job_state(job).is_some_and(|state| state.is_over())
}

pub fn is_running(world: &World, job: JobId) -> bool {
    world.job_state(job).is_some_and(|state| state.status() == "in_progress")
}

/// How a job ended: `success`, `failure` or `cancelled`.
pub fn conclusion(world: &World, job: JobId) -> Value {
    serde_json::to_value(world.job_state(job)).unwrap()["Ended"]["conclusion"].clone()
}

/// This deployment's VMs; those of others stay in the world for ever.
pub fn our_vms(world: &World) -> Vec<VmView> {
    let ours = |vm: &VmView| vm.labels.get("mayfly-deployment").is_some_and(|name| name == DEPLOYMENT);
    world.vms().into_iter().filter(ours).collect()
}

/// Runners that are online and have no job.
pub fn idle_runners(world: &World) -> usize {
    world.runners().iter().filter(|runner| runner.online && !runner.busy).count()
}

/// When something happened to what has this name, for the first time.
pub fn when(world: &World, kind: HappeningKind, name: &str) -> Option<Timestamp> {
    let happened = world.history().iter().find(|each| each.kind == kind && each.text.contains(name));
    happened.map(|each| each.time)
}

/// Whether the VM was deleted by a call, not by its own end.
pub fn deleted_by_call(world: &World, name: &str) -> bool {
    let text = format!("{name} is being deleted through the API");
    world.history().iter().any(|each| each.text == text)
}

/// A report's part about one pool.
pub fn pool<'a>(report: &'a Value, name: &str) -> Option<&'a Value> {
    report["pools"].as_array()?.iter().find(|pool| pool["pool"] == name)
}

/// Whether the report says that this source failed.
pub fn failed(report: &Value, source: &str) -> bool {
    report["failed_sources"].as_array().unwrap().iter().any(|failed| failed["source"] == source)
}

/// A runner's name as Mayfly makes them, never given to any VM.
pub fn runner_name(slot: u16) -> RunnerName {
    let (deployment, pool) = (Deployment::new(DEPLOYMENT).unwrap(), pool_name(POOL));
    RunnerName::new(&deployment, &pool, SlotIndex(slot), nonce(Timestamp::now(), u64::from(slot)))
}

pub fn pool_name(name: &str) -> PoolName {
    PoolName::new(name).unwrap()
}

impl Stage {
    /// All that sweeps did of one kind so far.
    pub fn did(&self, action: &str) -> Vec<Value> {
        let reports = self.reports();
        let done = reports.iter().filter_map(|report| report["done"].as_array()).flatten();
        done.filter(|done| done["action"] == action).cloned().collect()
    }

    /// The name of the only VM.
    pub fn only_vm(&self) -> VmView {
        let mut vms = self.simulator.with(|world, _| our_vms(world));
        assert_eq!(vms.len(), 1, "{}", self.story());
        vms.remove(0)
    }

    /// A runner that waits for a job: the job that it was made for was cancelled.
    pub async fn spare_runner(&self) -> VmView {
        let before = self.simulator.with(|world, _| our_vms(world));
        let job = self.queue(Duration::from_secs(3600));
        let count = before.len() + 1;
        self.until("its VM is asked for", |world| our_vms(world).len() == count).await;
        self.simulator.with(|world, now| world.cancel_job(now, job));
        self.until("its runner idles", |world| idle_runners(world) > 0).await;
        let is_new = |vm: &VmView| before.iter().all(|other| other.id != vm.id);
        self.simulator.with(|world, _| our_vms(world)).into_iter().find(is_new).unwrap()
    }

    /// A registration that no VM belongs to.
    pub fn register(&self, name: &str) {
        let body = json!({ "name": name, "runner_group_id": 1, "labels": LABELS });
        let path = "/orgs/shader-slang/actions/runners/generate-jitconfig";
        let answer = self.simulator.with(|world, now| {
            let pat = world.access.pat.clone();
            world.handle(now, &Request::new(Api::GitHub, Method::Post, path, now).bearer(&pat).json(&body))
        });
        assert_eq!(answer.answer().unwrap().status, 201);
    }

    pub fn is_registered(&self, name: &str) -> bool {
        self.simulator.with(|world, _| world.runners().iter().any(|runner| runner.name == name))
    }

    /// A VM of ours turns older at once, in the world and in its slot. Its own end does not come for it.
    pub async fn age(&self, vm: &VmView, by: Duration) {
        let runner = RunnerName::parse(&Deployment::new(DEPLOYMENT).unwrap(), &vm.name).unwrap();
        let by_ms = by.as_millis().to_string();
        self.dynamodb()
            .await
            .update_item()
            .table_name(TABLE)
            .key("pk", AttributeValue::S(format!("pool#{}", runner.pool())))
            .key("sk", AttributeValue::S(format!("slot#{:04}", runner.slot().0)))
            .update_expression("SET reserved_at = reserved_at - :by")
            .condition_expression("runner = :runner")
            .expression_attribute_values(":by", AttributeValue::N(by_ms))
            .expression_attribute_values(":runner", AttributeValue::S(vm.name.clone()))
            .send()
            .await
            .unwrap();
        self.simulator.with(|world, now| world.age_vm(now, vm.id, by));
    }

    /// What the table tells of a job.
    pub async fn timeline(&self, job: JobId) -> Vec<String> {
        let known = self.ledger.job(mayfly_core::ids::JobId(job.0)).await.unwrap();
        known.map_or_else(Vec::new, |job| job.timeline.into_iter().map(|line| line.what).collect())
    }
}
