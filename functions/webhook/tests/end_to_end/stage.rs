//! The stage of a story: GitHub, GCP, the table, and the two functions.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use mayfly_service::store::{create_table, local_aws_config};
use mayfly_testkit::lambda::{Fleet, Function, FunctionUrl, Launch};
use mayfly_testkit::secrets::Canaries;
use mayfly_testkit::table::EmbeddedTable;
use mayfly_testkit::{binary, wirecheck};
use serde_json::{Value, json};
use simulator::{JobId, JobSpec, PoolLimit, ServeOptions, Settings, Simulator};
use tempfile::TempDir;

pub const LABELS: [&str; 3] = ["self-hosted", "Linux", "GPU"];
pub const REPOSITORY: &str = "shader-slang/slang";
const TABLE: &str = "mayfly-test";
/// Nothing in these stories takes that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What differs from story to story.
pub struct Plot {
    pub settings: Settings,
    /// `max_runners` of the only pool.
    pub max_runners: u16,
    /// How many environments Lambda may have.
    pub environments: usize,
    pub idle_timeout: &'static str,
}

impl Default for Plot {
    fn default() -> Self {
        Self { settings: Settings::brisk(), max_runners: 10, environments: 40, idle_timeout: "2s" }
    }
}

pub struct Stage {
    pub simulator: Simulator,
    pub table: EmbeddedTable,
    pub webhook: Fleet,
    pub sweeper: Function,
    pub webhook_secret: String,
    /// How the webhook's environments are started.
    pub launch: Launch,
    /// Where GitHub's deliveries arrive.
    _front: FunctionUrl,
    canaries: Canaries,
    folder: TempDir,
}

impl Stage {
    pub async fn set(plot: Plot) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut canaries = Canaries::new();
        let webhook_secret = canaries.secret("webhook");
        let mut settings = plot.settings;
        settings.deployment = Some("test".into());
        settings.pool_limits = vec![PoolLimit {
            deployment: "test".into(),
            pool: "linux-gpu".into(),
            max_vms: usize::from(plot.max_runners),
        }];
        let options = ServeOptions {
            webhook_secret: webhook_secret.clone(),
            wire_log: Some(folder.path().join("wire.jsonl")),
            ..ServeOptions::default()
        };
        let simulator = Simulator::start(settings, options).await.unwrap();
        canaries.add("app key", &simulator.app_private_key_pem());
        canaries.add("GCP key", &simulator.service_account_json());

        let table = EmbeddedTable::start().unwrap();
        create_table(&local_aws_config(&table.endpoint()).await, TABLE).await.unwrap();
        write_configuration(folder.path(), &simulator, &webhook_secret, plot.max_runners, plot.idle_timeout);

        let launch = |program: PathBuf| {
            Launch::new(program)
                .envs(table.env())
                .env("MAYFLY_CONFIG", folder.path().join("mayfly.toml").display().to_string())
                .env("GOOGLE_APPLICATION_CREDENTIALS", folder.path().join("gcp.json").display().to_string())
                .env("RUST_LOG", "trace")
                .timeout(PATIENCE)
        };
        let webhook_launch = launch(env!("CARGO_BIN_EXE_webhook").into());
        let webhook = Fleet::new(webhook_launch.clone(), plot.environments);
        let front = webhook.serve_url().unwrap();
        simulator.set_webhook(&format!("{}/webhook", front.url()));
        let sweeper = Function::start(launch(binary("sweeper").unwrap())).await.unwrap();
        Self {
            simulator,
            table,
            webhook,
            sweeper,
            webhook_secret,
            launch: webhook_launch,
            _front: front,
            canaries,
            folder,
        }
    }

    pub fn queue(&self, lasting: Duration) -> JobId {
        let job = JobSpec::new(REPOSITORY, &LABELS).lasting(lasting);
        self.simulator.with(|world, now| world.queue_job(now, job))
    }

    pub fn calls(&self, endpoint: &str) -> u64 {
        self.simulator.with(|world, _| world.calls_of(endpoint))
    }

    /// One sweep; its report.
    pub async fn sweep(&self) -> Value {
        let invocation = self.sweeper.invoke(json!({"source": "schedule"})).await.unwrap();
        invocation.response.clone().unwrap()
    }

    pub async fn until(&self, what: &str, holds: impl FnMut(&simulator::World) -> bool) {
        if self.simulator.until(PATIENCE, holds).await.is_err() {
            panic!("waited in vain until {what}\n{}", self.story());
        }
    }

    /// Sweeps now and then, as the schedule does, until all jobs are over.
    pub async fn to_the_end(&self) {
        let over = |world: &simulator::World| world.jobs().iter().all(|job| job.state.is_over());
        for _ in 0..120 {
            if self.simulator.until(Duration::from_millis(500), over).await.is_ok() {
                return;
            }
            self.sweep().await;
        }
        panic!("jobs are left unserved\n{}", self.story());
    }

    /// Sweeps until all jobs have run and nothing is left, and then looks at everything that must never be.
    pub async fn curtain(self) {
        let sweeps_end = Timestamp::now() + PATIENCE;
        loop {
            let report = self.sweep().await;
            let quiet = self.simulator.with(|world, _| {
                world.jobs().iter().all(|job| job.state.is_over())
                    && world.vms().is_empty()
                    && world.runners().is_empty()
            });
            let pools = report["pools"].as_array().unwrap();
            let empty = pools.iter().all(|pool| pool["waiting"] == 0 && pool["slots"] == json!({}));
            if quiet && empty && self.webhook.idle() {
                break;
            }
            assert!(Timestamp::now() < sweeps_end, "something is left: {report:#}\n{}", self.story());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.check().await;
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
        let (webhook, sweeper, items) = (self.webhook.log(), self.sweeper.log(), self.items().await);
        assert!(webhook.contains("job gets a slot") || !webhook.contains("accepted"), "the log is captured");
        self.canaries.assert_absent(&[
            ("webhook's log", &webhook),
            ("sweeper's log", &sweeper),
            ("table", &items),
        ]);
    }

    /// All items of the table, as text.
    async fn items(&self) -> String {
        let client = aws_sdk_dynamodb::Client::new(&local_aws_config(&self.table.endpoint()).await);
        let page = client.scan().table_name(TABLE).send().await.unwrap();
        format!("{:?}", page.items.unwrap_or_default())
    }

    /// What happened, for a failed test.
    fn story(&self) -> String {
        let history = self.simulator.with(|world, _| world.history().to_vec());
        let history: Vec<String> =
            history.iter().map(|moment| format!("{} {}", moment.time, moment.text)).collect();
        let ours = |log: String| -> String {
            log.lines()
                .filter(|line| line.contains("mayfly_service") || line.contains("\"webhook\""))
                .map(|line| format!("{line}\n"))
                .collect()
        };
        format!(
            "{}\n--- webhook\n{}\n--- sweeper\n{}",
            history.join("\n"),
            ours(self.webhook.log()),
            ours(self.sweeper.log())
        )
    }
}

fn write_configuration(
    folder: &Path,
    simulator: &Simulator,
    webhook_secret: &str,
    max_runners: u16,
    idle_timeout: &str,
) {
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let webhook_secret = file("webhook-secret", webhook_secret);
    let key = file("app.pem", &simulator.app_private_key_pem());
    file("gcp.json", &simulator.service_account_json());
    let (github, gcp, client_id) = (simulator.github_url(), simulator.gcp_url(), simulator.app_client_id());
    file(
        "mayfly.toml",
        &format!(
            r#"
deployment = "test"

[store]
table = "{TABLE}"

[github]
api_url = "{github}"
webhook_secrets = [{{ file = "{webhook_secret}" }}]
app = {{ client_id = "{client_id}", private_key = {{ file = "{key}" }} }}

[providers.cloud]
kind = "gcp"
project = "slang-runners"
endpoint = "{gcp}"

[[pools]]
name = "linux-gpu"
labels = ["self-hosted", "Linux", "GPU"]
organization = "shader-slang"
max_runners = {max_runners}
boot_timeout = "5s"
idle_timeout = "{idle_timeout}"
max_lifetime = "10m"

[[pools.placements]]
provider = "cloud"
instance_template = "linux-gpu-runner"
zones = ["us-east1-c", "us-east1-d", "us-central1-a", "us-west1-a"]
gpu_type = "nvidia-tesla-t4"

[timing]
orphan_grace = "2s"
step_timeout = "6s"
check_after = "2s"
cooldown = "30s"
"#
        ),
    );
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
