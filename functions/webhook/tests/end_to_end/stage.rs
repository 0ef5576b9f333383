//! The stage of a story: GitHub, GCP, the table, and the two functions.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::ids::Deployment;
use mayfly_service::store::{Ledger, create_table, local_aws_config};
use mayfly_testkit::lambda::{Fleet, Function, FunctionUrl, Launch};
use mayfly_testkit::secrets::Canaries;
use mayfly_testkit::table::EmbeddedTable;
use mayfly_testkit::{binary, wirecheck};
use serde_json::{Value, json};
use simulator::{JobId, JobSpec, ServeOptions, Simulator, World};
use tempfile::TempDir;

use crate::plot::{DEPLOYMENT, LABELS, Plot, REPOSITORY, TABLE};

/// Nothing in these stories takes that long.
/// What lets somebody see the page, where there is one.
pub const PAGE_TOKEN: &str = "the-token-of-the-page-in-stories";
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two sweeps of those who sweep until something is so.
const PAUSE: Duration = Duration::from_millis(200);

pub struct Stage {
    pub simulator: Simulator,
    pub table: EmbeddedTable,
    /// The table as Mayfly reads and writes it.
    pub ledger: Ledger,
    pub webhook: Fleet,
    /// The first one makes all sweeps but those of a story that needs several.
    pub sweepers: Vec<Function>,
    pub webhook_secret: String,
    /// How the webhook's environments are started.
    pub launch: Launch,
    pub plot: Plot,
    /// What all sweeps reported so far.
    reports: Mutex<Vec<Value>>,
    /// Where GitHub's deliveries arrive.
    _front: FunctionUrl,
    /// What functions printed that are no more.
    earlier_logs: Vec<String>,
    canaries: Canaries,
    folder: TempDir,
}

impl Stage {
    pub async fn set(plot: Plot) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut canaries = Canaries::new();
        let webhook_secret = canaries.secret("webhook");
        let mut settings = plot.settings.clone();
        settings.deployment = Some(DEPLOYMENT.to_owned());
        settings.pool_limits = plot.limits();
        let options = ServeOptions {
            webhook_secret: webhook_secret.clone(),
            wire_log: Some(folder.path().join("wire.jsonl")),
            ..ServeOptions::default()
        };
        let simulator = Simulator::start(settings, options).await.unwrap();
        for (name, file, secret) in [
            ("webhook secret", "webhook-secret", webhook_secret.clone()),
            ("app key", "app.pem", simulator.app_private_key_pem()),
            ("GCP key", "gcp.json", simulator.service_account_json()),
            ("PAT", "token", simulator.pat()),
            ("page token", "page-token", PAGE_TOKEN.to_owned()),
            ("Proxmox token", "proxmox-secret", simulator.proxmox_token_secret()),
        ] {
            std::fs::write(folder.path().join(file), &secret).unwrap();
            canaries.add(name, &secret);
        }

        let table = EmbeddedTable::start().unwrap();
        let aws = local_aws_config(&table.endpoint()).await;
        create_table(&aws, TABLE).await.unwrap();
        let deployment = Deployment::new(DEPLOYMENT).unwrap();
        let ledger = Ledger::new(&aws, TABLE.to_owned(), deployment, Duration::from_secs(3600));

        let launch = launch(env!("CARGO_BIN_EXE_webhook").into(), &plot, &table, folder.path());
        let (webhook, front) = webhook(&plot, &launch, &simulator, folder.path());
        let mut stage = Self {
            simulator,
            table,
            ledger,
            webhook,
            sweepers: Vec::new(),
            webhook_secret,
            launch,
            plot,
            reports: Mutex::default(),
            _front: front,
            earlier_logs: Vec::new(),
            canaries,
            folder,
        };
        stage.add_sweeper().await;
        stage
    }

    /// Starts one more sweeper function.
    pub async fn add_sweeper(&mut self) {
        let launch = launch(binary("sweeper").unwrap(), &self.plot, &self.table, self.folder.path());
        self.sweepers.push(Function::start(launch).await.unwrap());
    }

    /// A sweeper function of its own, with little time.
    pub async fn hurried_sweeper(&self, time: Duration) -> Function {
        let launch = launch(binary("sweeper").unwrap(), &self.plot, &self.table, self.folder.path());
        Function::start(launch.timeout(time)).await.unwrap()
    }

    /// Deploys another configuration: new functions take over, what the old webhook works on is finished.
    pub async fn reconfigure(&mut self, change: impl FnOnce(&mut Plot)) {
        change(&mut self.plot);
        let limits = self.plot.limits();
        let (webhook, front) = webhook(&self.plot, &self.launch, &self.simulator, self.folder.path());
        let (old, old_front) =
            (std::mem::replace(&mut self.webhook, webhook), std::mem::replace(&mut self._front, front));
        mayfly_testkit::wait_for("the old functions to be done", PATIENCE, || old.idle()).await.unwrap();
        drop(old_front);
        self.earlier_logs.push(old.log());
        let count = self.sweepers.len();
        self.earlier_logs.extend(self.sweepers.drain(..).map(|sweeper| sweeper.log()));
        for _ in 0..count {
            self.add_sweeper().await;
        }
        self.simulator.with(|world, _| world.set_pool_limits(limits));
    }

    pub fn queue(&self, lasting: Duration) -> JobId {
        self.queue_for(&LABELS, lasting)
    }

    pub fn queue_for(&self, labels: &[&str], lasting: Duration) -> JobId {
        let job = JobSpec::new(REPOSITORY, labels).lasting(lasting);
        self.simulator.with(|world, now| world.queue_job(now, job))
    }

    pub fn calls(&self, endpoint: &str) -> u64 {
        self.simulator.with(|world, _| world.calls_of(endpoint))
    }

    /// How many requests the world was sent so far, by whomever.
    pub fn requests(&self) -> usize {
        std::fs::read_to_string(self.folder.path().join("wire.jsonl")).unwrap_or_default().lines().count()
    }

    /// One sweep; its report.
    pub async fn sweep(&self) -> Value {
        self.sweep_by(&self.sweepers[0]).await
    }

    pub async fn sweep_by(&self, sweeper: &Function) -> Value {
        let invocation = sweeper.invoke(json!({"source": "schedule"})).await.unwrap();
        let report = invocation.response.clone().unwrap();
        self.reports.lock().unwrap().push(report.clone());
        report
    }

    /// What all sweeps reported so far, oldest first.
    pub fn reports(&self) -> Vec<Value> {
        self.reports.lock().unwrap().clone()
    }

    pub async fn until(&self, what: &str, holds: impl FnMut(&World) -> bool) {
        if self.simulator.until(PATIENCE, holds).await.is_err() {
            panic!("waited in vain until {what}\n{}", self.story());
        }
    }

    /// Sweeps again and again until something is so, of the world and of what the last sweep reported; that report.
    pub async fn sweep_until(&self, what: &str, mut holds: impl FnMut(&World, &Value) -> bool) -> Value {
        let end = Timestamp::now() + PATIENCE;
        loop {
            let report = self.sweep().await;
            if self.simulator.with(|world, _| holds(world, &report)) {
                return report;
            }
            assert!(Timestamp::now() < end, "swept in vain until {what}: {report:#}\n{}", self.story());
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Sweeps again and again for a while.
    pub async fn sweep_for(&self, time: Duration) -> Value {
        let end = Timestamp::now() + time;
        self.sweep_until("time has passed", |_, _| Timestamp::now() >= end).await
    }

    /// Sweeps now and then, as the schedule does, until all jobs are over.
    pub async fn to_the_end(&self) {
        let over = |world: &World| world.jobs().iter().all(|job| job.state.is_over());
        for _ in 0..120 {
            if self.simulator.until(Duration::from_millis(500), over).await.is_ok() {
                return;
            }
            self.sweep().await;
        }
        panic!("jobs are left unserved\n{}", self.story());
    }

    /// Sweeps until all jobs have run and nothing is left but what is kept warm, asks that sweeps then do nothing more
    /// (I8), and looks at everything that must never be.
    pub async fn curtain(self) {
        let end = Timestamp::now() + PATIENCE;
        let mut idle_sweeps = 0;
        while idle_sweeps < 2 {
            let report = self.sweep().await;
            // The second one in a row finds all as the first one left it.
            let rests = self.webhook.idle() && self.rests(&report) && report["done"] == json!([]);
            idle_sweeps = if rests { idle_sweeps + 1 } else { 0 };
            assert!(Timestamp::now() < end, "something is left: {report:#}\n{}", self.story());
            tokio::time::sleep(PAUSE).await;
        }
        self.check().await;
    }

    /// Whether all jobs are over and nothing of ours is there but what is kept warm.
    fn rests(&self, report: &Value) -> bool {
        let warm = self.plot.warm();
        let world_rests = self.simulator.with(|world, _| {
            let ours = |name: &str| name.starts_with("test-");
            let runners = world.runners().into_iter().filter(|runner| ours(&runner.name));
            let ready = runners.map(|runner| runner.online && !runner.busy).collect::<Vec<_>>();
            world.jobs().iter().all(|job| job.state.is_over())
                && world.deliveries_pending() == 0
                && crate::sights::our_vms(world).len() == warm
                && ready == vec![true; warm]
        });
        let pool_rests = |pool: &Value| {
            let kept = self.plot.pools.iter().find(|plot| pool["pool"] == plot.name);
            let kept = kept.map_or(0, |plot| u64::from(plot.min_runners));
            let slots = pool["slots"].as_object().unwrap();
            let taken: u64 = slots.values().filter_map(Value::as_u64).sum();
            pool["waiting"] == 0 && taken == kept
        };
        world_rests && report["pools"].as_array().unwrap().iter().all(pool_rests)
    }

    /// What must hold at the end of every story.
    pub async fn check(mut self) {
        let violations = self.simulator.with(|world, _| world.violations().to_vec());
        assert!(violations.is_empty(), "{violations:#?}\n{}", self.story());
        let wire = self.folder.path().join("wire.jsonl");
        wirecheck(&wire);
        for (place, secret) in secrets_on_the_wire(&wire) {
            self.canaries.add(&place, &secret);
        }
        let (webhook, items) = (self.webhook.log(), self.items().await);
        let sweeper: String = self.sweepers.iter().map(Function::log).collect();
        assert!(webhook.contains("job gets a slot") || !webhook.contains("accepted"), "the log is captured");
        assert!(!webhook.contains("panicked") && !sweeper.contains("panicked"), "{}", self.story());
        assert!(
            self.plot.metrics || !(webhook.clone() + &sweeper).contains("\"_aws\""),
            "metrics nobody asked for"
        );
        let jobs: Vec<JobId> =
            self.simulator.with(|world, _| world.jobs().iter().map(|job| job.id).collect());
        let logs = [&webhook, &sweeper].into_iter().chain(&self.earlier_logs);
        logs.for_each(|log| crate::logs::assert_found(log, &jobs));
        let reports = json!(self.reports()).to_string();
        let mut places = vec![
            ("webhook's log", &webhook),
            ("sweeper's log", &sweeper),
            ("table", &items),
            ("reports", &reports),
        ];
        places.extend(self.earlier_logs.iter().map(|log| ("an earlier function's log", log)));
        let places: Vec<(&str, &str)> =
            places.into_iter().map(|(place, text)| (place, text.as_str())).collect();
        self.canaries.assert_absent(&places);
    }

    /// The table, by way of the SDK.
    pub async fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&local_aws_config(&self.table.endpoint()).await)
    }

    /// All items of the table, as text.
    async fn items(&self) -> String {
        let client = self.dynamodb().await;
        let (mut text, mut next) = (String::new(), None);
        loop {
            let scan = client.scan().table_name(TABLE).set_exclusive_start_key(next);
            let page = scan.send().await.unwrap();
            text.push_str(&format!("{:?}", page.items.unwrap_or_default()));
            next = page.last_evaluated_key;
            if next.is_none() {
                return text;
            }
        }
    }

    /// What happened, for a failed test.
    pub fn story(&self) -> String {
        let history = self.simulator.with(|world, _| world.history().to_vec());
        let history: Vec<String> =
            history.iter().map(|moment| format!("{} {}", moment.time, moment.text)).collect();
        let ours = |log: &str| -> String {
            log.lines()
                .filter(|line| line.contains("mayfly_service") || line.contains("\"webhook\""))
                .map(|line| format!("{line}\n"))
                .collect()
        };
        let sweeper: String = self.sweepers.iter().map(Function::log).collect();
        format!(
            "{}\n--- earlier functions\n{}\n--- webhook\n{}\n--- sweeper\n{}",
            history.join("\n"),
            ours(&self.earlier_logs.concat()),
            ours(&self.webhook.log()),
            ours(&sweeper)
        )
    }
}

fn launch(program: PathBuf, plot: &Plot, table: &EmbeddedTable, folder: &Path) -> Launch {
    Launch::new(program)
        .envs(table.env())
        .env("MAYFLY_CONFIG", folder.join("mayfly.toml").display().to_string())
        .env("GOOGLE_APPLICATION_CREDENTIALS", folder.join("gcp.json").display().to_string())
        .env("RUST_LOG", plot.log)
        .timeout(PATIENCE)
}

/// A webhook function with this configuration, which GitHub's hook points to.
fn webhook(plot: &Plot, launch: &Launch, simulator: &Simulator, folder: &Path) -> (Fleet, FunctionUrl) {
    let fleet = Fleet::new(launch.clone(), plot.environments);
    let front = fleet.serve_url().unwrap();
    let url = format!("{}/webhook", front.url());
    plot.write(folder, simulator, &url);
    simulator.set_webhook(&url);
    (fleet, front)
}

/// The tokens and JIT configs that went over the wire.
fn secrets_on_the_wire(log: &Path) -> Vec<(String, String)> {
    let mut secrets = Vec::new();
    for line in std::fs::read_to_string(log).unwrap_or_default().lines() {
        let call: Value = serde_json::from_str(line).unwrap();
        for field in ["token", "encoded_jit_config", "access_token"] {
            if let Some(secret) = call["response"][field].as_str() {
                secrets.push((format!("{field} {}", secrets.len()), secret.to_owned()));
            }
        }
    }
    secrets
}
