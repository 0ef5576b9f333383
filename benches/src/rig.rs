//! What is measured, and what it runs against: the real functions, a simulated GitHub and Google Cloud, and a real DynamoDB
//! engine, each of whose answers can be made to take a fixed time.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mayfly_core::ids::{Deployment, PoolName, RunnerName, SlotIndex};
use mayfly_service::store::{Ledger, create_table, local_aws_config};
use mayfly_testkit::lambda::{Fleet, Function, FunctionUrl, Launch};
use mayfly_testkit::table::EmbeddedTable;
use mayfly_testkit::tcp_proxy::Link;
use simulator::{ENDPOINTS, Fault, HappeningKind, PoolLimit, ServeOptions, Settings, Simulator, Timing};
use tempfile::TempDir;

use crate::Error;

pub const REPOSITORY: &str = "shader-slang/slang";
pub const LABELS: [&str; 3] = ["self-hosted", "Linux", "GPU"];
pub const POOL: &str = "linux-gpu";
pub const ZONE: &str = "us-east1-c";
const DEPLOYMENT: &str = "bench";
const TABLE: &str = "mayfly-bench";
const SECRET: &str = "a webhook's secret that is as long as people are told to make it";
/// Where Linux systems keep the certificates of those who are trusted.
const ROOTS: [&str; 3] =
    ["/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem"];
/// More VMs than are being made at a time.
const YOUNG: usize = 20;
/// Nothing that is measured takes so long.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Where a pool's VMs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    Google,
    Proxmox,
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Google => "GCP",
            Self::Proxmox => "Proxmox",
        })
    }
}

/// What differs from measurement to measurement.
#[derive(Debug, Clone)]
pub struct Shape {
    /// How many pools; all are alike but for their names and a label.
    pub pools: u16,
    /// Slots of each.
    pub max_runners: u16,
    /// Where the VMs are.
    pub cloud: Cloud,
    /// How long each answer of each remote API takes.
    pub reply: Duration,
    /// Of the world.
    pub timing: Timing,
}

impl Shape {
    /// A pool of this size, in a world that answers at once.
    pub fn of(max_runners: u16) -> Self {
        let timing = Timing { jitter: 0.0, ..Timing::brisk() };
        Self { pools: 1, max_runners, cloud: Cloud::Google, reply: Duration::ZERO, timing }
    }

    /// Each answer takes so long.
    pub fn replying_after(self, reply: Duration) -> Self {
        Self { reply, ..self }
    }
}

/// The functions' binaries, as they are shipped.
#[derive(Debug, Clone)]
pub struct Programs {
    pub webhook: PathBuf,
    pub sweeper: PathBuf,
    pub hello: PathBuf,
}

pub struct Rig {
    pub simulator: Simulator,
    pub table: EmbeddedTable,
    pub ledger: Ledger,
    pub folder: TempDir,
    shape: Shape,
}

impl Rig {
    pub async fn set(shape: Shape) -> Result<Self, Error> {
        let folder = tempfile::tempdir()?;
        let mut settings = Settings { timing: shape.timing.clone(), ..Settings::brisk() };
        settings.deployment = Some(DEPLOYMENT.to_owned());
        settings.pool_limits = (0..shape.pools)
            .map(|number| PoolLimit {
                deployment: DEPLOYMENT.to_owned(),
                pool: pool_name(number),
                max_vms: usize::from(shape.max_runners),
            })
            .collect();
        for region in ["us-east1", "us-central1", "us-west1"] {
            for metric in ["NVIDIA_T4_GPUS", "CPUS", "INSTANCES", "IN_USE_ADDRESSES"] {
                settings.set_quota(region, metric, 1e6);
            }
        }
        let options =
            ServeOptions { webhook_secret: SECRET.to_owned(), wire_log: None, ..ServeOptions::default() };
        let simulator = Simulator::start(settings, options).await?;
        for (name, text) in [
            ("webhook-secret", SECRET.to_owned()),
            ("app.pem", simulator.app_private_key_pem()),
            ("gcp.json", simulator.service_account_json()),
            ("proxmox-secret", simulator.proxmox_token_secret()),
        ] {
            std::fs::write(folder.path().join(name), text)?;
        }
        let table = EmbeddedTable::start().map_err(Error::set)?;
        let aws = local_aws_config(&table.endpoint()).await;
        create_table(&aws, TABLE).await?;
        // That tells no units.
        table.reset_usage();
        let deployment = Deployment::new(DEPLOYMENT).map_err(Error::set)?;
        let ledger = Ledger::new(&aws, TABLE.to_owned(), deployment, Duration::from_secs(3600));
        let rig = Self { simulator, table, ledger, folder, shape };
        std::fs::write(rig.folder.path().join("mayfly.toml"), rig.configuration())?;
        Ok(rig)
    }

    /// From now on each answer takes its time.
    pub fn slow_down(&self) {
        let reply = self.shape.reply;
        if reply.is_zero() {
            return;
        }
        self.table.set_link(Link::Slow(reply));
        self.simulator.with(|world, _| {
            for endpoint in ENDPOINTS {
                world.faults.rate(endpoint, 1.0, Fault::Slow(reply));
            }
        });
    }

    /// From now on each comes at once.
    pub fn speed_up(&self) {
        self.table.set_link(Link::Open);
        self.simulator.with(|world, _| world.faults.clear());
    }

    /// How a function is started.
    pub fn launch(&self, program: &Path) -> Launch {
        // As on Lambda's Amazon Linux: one file of all roots, and no folder with another file for each.
        let roots =
            ROOTS.into_iter().find(|file| Path::new(file).is_file()).map(|file| ("SSL_CERT_FILE", file));
        Launch::new(program)
            .envs(roots)
            .envs(self.table.env())
            .env("MAYFLY_CONFIG", self.path("mayfly.toml"))
            .env("GOOGLE_APPLICATION_CREDENTIALS", self.path("gcp.json"))
            .timeout(PATIENCE)
    }

    /// All but the youngest of what was made goes, so that the simulated clouds' lists, and the time they take, do not grow with the
    /// measurement.
    pub fn tidy(&self) {
        self.simulator.with(|world, now| {
            for runner in world.runners().iter().rev().skip(YOUNG) {
                world.drop_runner(now, runner.id);
            }
            for vm in world.vms().iter().rev().skip(YOUNG) {
                world.kill_vm(now, vm.id);
            }
        });
    }

    /// The webhook's function, to which GitHub delivers.
    pub fn webhook(&self, programs: &Programs, environments: usize) -> Result<(Fleet, FunctionUrl), Error> {
        let fleet = Fleet::new(self.launch(&programs.webhook), environments);
        let front = fleet.serve_url()?;
        self.simulator.set_webhook(&format!("{}/webhook", front.url()));
        Ok((fleet, front))
    }

    pub async fn sweeper(&self, programs: &Programs) -> Result<Function, Error> {
        Function::start(self.launch(&programs.sweeper)).await.map_err(Error::set)
    }

    pub fn secret(&self) -> &'static str {
        SECRET
    }

    /// The runner of a slot, counted through all pools.
    pub fn runner(&self, slot: u16) -> Result<RunnerName, Error> {
        let deployment = Deployment::new(DEPLOYMENT).map_err(Error::set)?;
        let pool = PoolName::new(pool_name(slot / self.shape.max_runners)).map_err(Error::set)?;
        let index = SlotIndex(slot % self.shape.max_runners);
        Ok(RunnerName::new(&deployment, &pool, index, u64::from(slot)))
    }

    /// Nothing was refused, and no promise broken: else something else was measured than was meant.
    pub fn is_sound(&self) -> Result<(), Error> {
        self.simulator.with(|world, _| {
            let refused = world.history().iter().find(|each| each.kind == HappeningKind::VmRefused);
            let wrong = refused.map(|each| each.text.clone());
            let wrong = wrong.or_else(|| world.violations().first().map(|violation| violation.text.clone()));
            wrong.map_or(Ok(()), |text| Err(Error::Set(format!("the measurement is void: {text}"))))
        })?;
        match self.table.usage().unreported {
            0 => Ok(()),
            some => Err(Error::Set(format!("{some} requests to the table did not tell their units"))),
        }
    }

    /// The slot of a runner of the only pool.
    pub fn slot_of(&self, runner: &str) -> Option<SlotIndex> {
        let deployment = Deployment::new(DEPLOYMENT).ok()?;
        RunnerName::parse(&deployment, runner).map(|runner| runner.slot())
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn configuration(&self) -> String {
        let (github, gcp) = (self.simulator.github_url(), self.simulator.gcp_url());
        let (client, key, secret) =
            (self.simulator.app_client_id(), self.path("app.pem"), self.path("webhook-secret"));
        let Shape { pools, max_runners, cloud, .. } = self.shape;
        let pools: String = (0..pools).map(|number| pool(number, max_runners, cloud)).collect();
        let provider = match cloud {
            Cloud::Google => format!("kind = \"gcp\"\nproject = \"slang-runners\"\nendpoint = \"{gcp}\""),
            Cloud::Proxmox => format!(
                "kind = \"proxmox\"\nurl = \"{}\"\ntoken_id = \"{}\"\ntoken_secret = {{ file = \"{}\" }}\nvmid_range = [9000, 9999]",
                self.simulator.proxmox_url(),
                self.simulator.proxmox_token_id(),
                self.path("proxmox-secret"),
            ),
        };
        format!(
            r#"
deployment = "{DEPLOYMENT}"
store = {{ table = "{TABLE}" }}

[github]
api_url = "{github}"
webhook_secrets = [{{ file = "{secret}" }}]
app = {{ client_id = "{client}", private_key = {{ file = "{key}" }} }}

[timing]
# So that no search for lost jobs falls into what is counted.
check_after = "1h"

[providers.cloud]
{provider}
{pools}"#
        )
    }
}

fn pool_name(number: u16) -> String {
    if number == 0 { POOL.to_owned() } else { format!("{POOL}-{number}") }
}

fn pool(number: u16, max_runners: u16, cloud: Cloud) -> String {
    let mut labels = LABELS.map(str::to_owned).to_vec();
    labels.extend((number > 0).then(|| format!("pool-{number}")));
    let placement = match cloud {
        Cloud::Google => {
            "instance_template = \"linux-gpu-runner\"\ngpu_type = \"nvidia-tesla-t4\"\n\
             zones = [\"us-east1-c\", \"us-east1-d\", \"us-central1-a\", \"us-west1-a\"]"
        }
        Cloud::Proxmox => "template = 8000",
    };
    format!(
        r#"
[[pools]]
name = "{}"
labels = {labels:?}
organization = "shader-slang"
max_runners = {max_runners}

[[pools.placements]]
provider = "cloud"
{placement}
"#,
        pool_name(number)
    )
}

/// The marks of a VM of ours.
pub fn marks(pool: &PoolName) -> [(&'static str, &str); 2] {
    [("mayfly-deployment", DEPLOYMENT), ("mayfly-pool", pool.as_str())]
}
