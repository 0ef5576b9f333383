//! What the inside takes, without sockets and without a table: an event up to its match, and the plan of a sweep.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a benchmark has no callers, and stops where it cannot measure"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use mayfly_core::gate::PoolState;
use mayfly_core::ids::{JobId, ProviderName, RunnerId, RunnerName, SlotIndex};
use mayfly_core::policy::{Policy, Timing};
use mayfly_core::slot::{Machine, Phase, Purpose, Slot, VmPlace, Way};
use mayfly_core::sweep::{Observed, PoolLedger, SeenRunner, Vm, VmState, World, plan};
use mayfly_service::config::Config;
use mayfly_service::inbound::{Gate, Request};
use mayfly_service::mayfly::Mayfly;
use mayfly_testkit::delivery::{Delivery, WorkflowJob};

const SECRET: &str = "a webhook's secret that is as long as people are told to make it";

/// Two pools of 5,000.
fn configuration(secret: &str) -> String {
    CONFIG.replace("SECRET", &format!("{{ file = {secret:?} }}"))
}

const CONFIG: &str = r#"
deployment = "bench"
store = { table = "bench" }

[github]
webhook_secrets = [SECRET]
token = SECRET

[providers.cloud]
kind = "gcp"
project = "slang-runners"

[[pools]]
name = "one"
labels = ["self-hosted", "Linux", "GPU"]
organization = "shader-slang"
max_runners = 5000
[[pools.placements]]
provider = "cloud"
instance_template = "linux-gpu-runner"
zones = ["us-east1-c"]

[[pools]]
name = "two"
labels = ["self-hosted", "Windows", "GPU"]
organization = "shader-slang"
max_runners = 5000
[[pools.placements]]
provider = "cloud"
instance_template = "windows-gpu-runner"
zones = ["us-east1-c"]
"#;

/// Signature, JSON, labels: an event that no pool serves is answered after these.
fn event(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let config = Config::parse(&configuration(&secret.display().to_string())).unwrap();
    let (mayfly, gate) = runtime.block_on(async {
        (Mayfly::start(&config).await.unwrap(), Gate::open(&config.github).await.unwrap())
    });
    let job = WorkflowJob::new(7, "shader-slang/slang", &["macos-15"]).created_at(Timestamp::now()).queued();
    let delivery = Delivery::workflow_job("delivery", &job, SECRET);
    let header = |wanted: &str| {
        let found = delivery.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.as_str())
    };
    let name = format!("event/{} bytes", delivery.body.len());
    criterion.bench_function(&name, |bencher| {
        bencher.iter(|| {
            let inbound = Request {
                method: "POST",
                path: "/webhook",
                signature: header("x-hub-signature-256"),
                event: header("x-github-event"),
                delivery: header("x-github-delivery"),
                authorization: None,
                body: &delivery.body,
            };
            let (answer, work) = runtime.block_on(mayfly.receive(&gate, black_box(inbound)));
            assert!(answer.status == 200 && work.is_none());
        });
    });
}

/// So many busy runners, and nothing to do.
fn world(policy: &Policy, vms: usize, now: Timestamp) -> World {
    let provider = ProviderName::new("cloud").unwrap();
    let since = now - jiff::SignedDuration::from_secs(60);
    let (mut pools, mut seen, mut runners) = (Vec::new(), Vec::new(), Vec::new());
    for pool in &policy.pools {
        let mut slots = Vec::new();
        for index in 0..u16::try_from(vms / policy.pools.len()).unwrap() {
            let runner = RunnerName::new(&policy.deployment, &pool.name, SlotIndex(index), u64::from(index));
            let id = seen.len() as u64 + 1;
            let place = VmPlace { provider: provider.clone(), at: "us-east1-c".to_owned() };
            let machine = Some(Machine { vm: place.clone(), runner_id: Some(RunnerId(id)) });
            runners.push(SeenRunner { id: RunnerId(id), name: runner.to_string(), online: true, busy: true });
            seen.push(Vm {
                name: runner.to_string(),
                pool: pool.name.clone(),
                place,
                created_at: Some(since),
                state: VmState::Running,
            });
            slots.push(Slot {
                runner,
                purpose: Purpose::Job(JobId(id)),
                displaced: None,
                reserved_at: since,
                way: Way::default(),
                phase: Phase::Busy { machine, since },
            });
        }
        pools.push(PoolLedger {
            pool: pool.name.clone(),
            slots,
            unreadable: BTreeSet::new(),
            waiting: Vec::new(),
            asked: BTreeMap::new(),
            notices: Vec::new(),
            state: PoolState { limit: Some(pool.max_runners.get()), ..PoolState::default() },
        });
    }
    World {
        now,
        pools,
        removed: Vec::new(),
        vms: BTreeMap::from([(provider, Observed::Known { at: now, value: seen })]),
        unseen: BTreeSet::new(),
        room: BTreeMap::new(),
        runners: BTreeMap::from([(
            policy.pools[0].scope.clone(),
            Observed::Known { at: now, value: runners },
        )]),
        jobs: BTreeMap::new(),
        told: Vec::new(),
        deliveries: BTreeMap::new(),
        voice: Default::default(),
    }
}

fn plans(criterion: &mut Criterion) {
    let config = Config::parse(&configuration("secret")).unwrap();
    let policy = Policy { timing: Timing::default(), ..config.policy };
    let mut group = criterion.benchmark_group("plan");
    for vms in [100, 1_000, 10_000] {
        let world = world(&policy, vms, Timestamp::now());
        assert_eq!(plan(&policy, &world).steps, Vec::new());
        group.bench_function(BenchmarkId::new("busy VMs", vms), |bencher| {
            bencher.iter(|| plan(black_box(&policy), black_box(&world)));
        });
    }
}

criterion_group! {
    name = inside;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = event, plans
}
criterion_main!(inside);
