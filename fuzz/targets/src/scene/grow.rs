//! How the scenes come about: by Mayfly itself, from an empty table on.

use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::ids::{JobId, RunnerName};
use mayfly_service::clock::working_deadline;
use mayfly_service::config::Config;
use mayfly_service::inbound::Request;
use simulator::{
    Chance, Delivery, HookOwner, JobSpec, Node, PoolLimit, Repository, Settings, Stockout, Timing, World,
    Zone,
};
use simulator_table::Table;
use tokio::time::Instant;

use super::{Act, CONFIGURATION, Playing, Scene, WEBHOOK_TIMEOUT};
use crate::stage::after;

/// When everything begins.
const BEGAN: i64 = 1_772_366_400;
const REPOSITORY: &str = "shader-slang/slang";
const GIB: u64 = 1 << 30;
const LONG: Duration = Duration::from_secs(3 * 3600);

pub fn busy() -> Scene {
    let empty = empty();
    let playing = Playing::begin(&empty);
    playing.play(&[Act::Sweep]);
    for (label, lasting) in [("gpu", LONG), ("gpu", LONG), ("gpu", Duration::from_secs(40)), ("either", LONG)]
    {
        playing.queue(label, lasting);
    }
    playing.go_on(Duration::from_secs(90), None);
    // A full pool: two wait.
    for _ in 0..4 {
        playing.queue("gpu", LONG);
    }
    playing.go_on(Duration::from_secs(30), None);
    {
        let mut inner = playing.stage.lock();
        inner.world.faults.stockout("us-west1-a", Stockout::Until(Timestamp::MAX));
        inner.world.faults.deliveries.lost = Chance::next(1);
    }
    // A delivery that fails, and is asked for again.
    playing.queue("lab", LONG);
    playing.go_on(Duration::from_secs(130), None);
    playing.play(&[Act::Sweep]);
    // One that was left half-way, and one that is over, whose VM is not gone yet.
    playing.queue("lab", LONG);
    playing.queue("either", Duration::from_secs(20));
    playing.go_on(Duration::from_secs(5), Some(Duration::from_millis(1_500)));
    playing.end_one();
    playing.queue("warm", LONG);
    playing.go_on(Duration::from_secs(3), Some(Duration::from_millis(800)));
    // A spare runner is there; another one boots.
    playing.play(&[Act::Sweep]);
    playing.scene()
}

pub fn settled() -> Scene {
    let empty = empty();
    let playing = Playing::begin(&empty);
    playing.play(&[Act::Sweep]);
    for label in ["gpu", "gpu", "lab", "either"] {
        playing.queue(label, LONG);
    }
    playing.go_on(Duration::from_secs(240), None);
    playing.play(&[Act::Sweep, Act::Wait(60), Act::Sweep, Act::Wait(60), Act::Sweep, Act::Wait(20)]);
    let scene = playing.scene();
    let again = Playing::begin(&scene);
    again.play(&[Act::Sweep]);
    let ends = again.stage.lock().ends.clone();
    assert!(ends.is_empty(), "the scene has something to end: {ends:?}");
    drop(again);
    scene
}

fn empty() -> Scene {
    let now = Timestamp::from_second(BEGAN).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut config = Config::parse(CONFIGURATION).expect("the scene's configuration");
    // A file in which no App logs in may not say so; the token of these scenes is an App's.
    config.policy.waiting_after = Some(Duration::from_secs(60));
    let pools = config.policy.pools.iter();
    let limits = pools.map(|pool| PoolLimit {
        deployment: config.policy.deployment.to_string(),
        pool: pool.name.to_string(),
        max_vms: usize::from(pool.max_runners.get()),
    });
    let node = |name: &str| Node { name: name.to_owned(), memory_bytes: 44 * GIB, host_used_bytes: 4 * GIB };
    let mut settings = Settings {
        repositories: [REPOSITORY, "shader-slang/slangpy"].map(Repository::public).into(),
        hook: HookOwner::Organization("shader-slang".to_owned()),
        zones: ["us-east1-c", "us-east1-d", "us-west1-a"]
            .map(|name| Zone { name: name.to_owned(), machines: None })
            .into(),
        timing: Timing::realistic(),
        token_lifetime: Duration::from_secs(24 * 3600),
        deployment: Some(config.policy.deployment.to_string()),
        pool_limits: limits.collect(),
        ..Settings::default()
    };
    settings.proxmox.nodes = ["pve1", "pve2"].map(node).into();
    settings.proxmox.templates.retain(|template| [8000, 8002].contains(&template.vmid));
    for template in &mut settings.proxmox.templates {
        "pve1".clone_into(&mut template.node);
    }
    let mut world = World::new(settings, now);
    "https://abc.lambda-url.us-east-1.on.aws/webhook".clone_into(&mut world.webhook_url);
    let token = world.installation_token(now);
    let table = Table::new("mayfly-test");
    Scene { world, table, now, config, token, jobs: Vec::new(), runners: Vec::new() }
}

impl Playing<'_> {
    fn queue(&self, label: &str, lasting: Duration) {
        let spec = JobSpec::new(REPOSITORY, &["self-hosted", "Linux", label]).lasting(lasting);
        let now = self.now();
        self.stage.lock().world.queue_job(now, spec);
    }

    /// The world goes on for so long, and its deliveries are taken. What follows them is cut off after a while, if that is said.
    fn go_on(&self, by: Duration, cut: Option<Duration>) {
        let end = after(self.now(), by);
        self.run(async {
            loop {
                let now = self.stage.now();
                let due: Vec<Delivery> = self.stage.lock().world.take_deliveries(now);
                for delivery in due {
                    self.deliver(delivery, cut).await;
                }
                let next = self.stage.lock().world.next_due();
                let next = next.map_or(end, |next| next.min(end));
                if self.stage.now() >= end {
                    break;
                }
                self.stage.sleep_until(next.max(after(self.stage.now(), Duration::from_millis(1)))).await;
            }
        });
    }

    async fn deliver(&self, delivery: Delivery, cut: Option<Duration>) {
        let header = |wanted: &str| {
            let found = delivery.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.as_str())
        };
        let request = Request {
            method: "POST",
            path: "/webhook",
            signature: header("x-hub-signature-256"),
            event: header("x-github-event"),
            delivery: header("x-github-delivery"),
            authorization: None,
            body: &delivery.body,
        };
        let (answer, work) = self.mayfly.receive(&self.gate, request).await;
        self.stage.lock().world.delivered(self.stage.now(), delivery.id, answer.status);
        if let Some(work) = work {
            let end = Instant::now() + WEBHOOK_TIMEOUT;
            let following = self.mayfly.follow(&work.pool, work.follow, working_deadline(end));
            _ = tokio::time::timeout(cut.unwrap_or(WEBHOOK_TIMEOUT), following).await;
        }
    }

    /// The newest job that runs is cancelled.
    fn end_one(&self) {
        let now = self.now();
        let mut inner = self.stage.lock();
        let jobs = inner.world.jobs();
        let running = jobs.iter().rev().find(|job| matches!(job.state, simulator::JobState::Running { .. }));
        if let Some(job) = running.map(|job| job.id) {
            inner.world.cancel_job(now, job);
        }
    }

    /// As everything is now.
    fn scene(&self) -> Scene {
        let now = self.now();
        let inner = self.stage.lock();
        let text = |item: &simulator_table::Item, name: &str| {
            item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default()
        };
        let (mut jobs, mut runners) = (Vec::new(), Vec::new());
        for item in inner.table.items() {
            let (pk, sk) = (text(item, "pk"), text(item, "sk"));
            if let Some(id) = pk.strip_prefix("job#").and_then(|id| id.parse().ok()) {
                jobs.push(JobId(id));
            }
            let runner = RunnerName::parse(&self.scene.config.policy.deployment, &text(item, "runner"));
            runners.extend(runner.filter(|_| sk.starts_with("slot#")));
        }
        let (world, table) = (inner.world.clone(), inner.table.clone());
        let (config, token) = (self.scene.config.clone(), self.scene.token.clone());
        Scene { world, table, now, config, token, jobs, runners }
    }
}
