//! A demo's stage: the simulated world, the table, and a Mayfly that is configured by a file like any other.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mayfly_core::explain::Explanation;
use mayfly_core::sweep::PoolLedger;
use mayfly_service::clock;
use mayfly_service::config::Config;
use mayfly_service::inbound::Gate;
use mayfly_service::look::{JobStory, Witnesses};
use mayfly_service::mayfly::Mayfly;
use mayfly_service::provider::gcp::GcpCredentials;
use mayfly_service::secret::Secret;
use mayfly_service::store::{create_table, local_aws_config};
use simulator::{
    Chance, InstanceTemplate, JobId, Lab, Node, PoolLimit, Repository, ServeOptions, Settings, Simulator,
    Stockout, Template, Timing,
};
use tempfile::TempDir;

use super::scenario::{KINDS, Kind, LAB, LINUX};
use crate::engine::Engine;
use crate::error::Error;
use crate::host::{Host, Rhythm};

/// The demo's deployment.
pub const DEPLOYMENT: &str = "demo";
/// Each pool's limit.
pub const MAX_RUNNERS: usize = 6;
/// The first zone has no machines for so long.
const STOCKOUT: Duration = Duration::from_secs(3);
/// GPUs that each region's quota allows. Different, so that the choice of the region shows; ample, since what was read of
/// a quota is good for ten seconds, in which a VM of the demo lives two lives.
const QUOTAS: [(&str, f64); 3] = [("us-east1", 24.0), ("us-central1", 18.0), ("us-west1", 10.0)];
/// Where the pools' VMs may be on Google Cloud.
const ZONES: [&str; 4] = ["us-east1-c", "us-east1-d", "us-central1-a", "us-west1-a"];
/// The provider that is the lab, as the configuration names it, and the template of its VMs.
pub const LAB_PROVIDER: &str = "lab";
const LAB_TEMPLATE: u32 = 8000;
/// The lab's nodes, and their memory in GiB: for two VMs of 8 GiB beside a stranger's of 4 GiB and what the node itself
/// uses, and for one.
const NODES: [(&str, u64); 2] = [("pve1", 26), ("pve2", 14)];
/// What an hour of a VM costs in the lab and in the cloud, as the status page counts.
const LAB_PRICE: f64 = 0.05;
const CLOUD_PRICE: f64 = 0.54;
const SWEEP_EVERY: Duration = Duration::from_secs(1);
const STOPPING_LONGEST: Duration = Duration::from_secs(5);
const LEDGER_LONGEST: Duration = Duration::from_secs(2);

/// All that runs.
pub struct Stage {
    /// The world.
    pub simulator: Simulator,
    mayfly: Arc<Mayfly>,
    host: Host,
    engine: Engine,
    /// What shows the status page.
    page_token: String,
    /// The configuration and its secrets; removed with it.
    _folder: TempDir,
}

impl Stage {
    /// Sets everything up; the webhook listens and the sweeps have begun.
    pub async fn build(seed: u64) -> Result<Self, Error> {
        let options = ServeOptions { webhook_secret: random_text()?, ..ServeOptions::default() };
        let secret = options.webhook_secret.clone();
        let simulator = Simulator::start(settings(seed), options).await;
        let simulator = simulator.map_err(|source| Error::io("the simulator", source))?;
        let folder = TempDir::with_prefix("mayfly-demo-");
        let folder = folder.map_err(|source| Error::io("a temporary folder", source))?;
        // Short enough to be typed: it guards a simulated world, for some seconds.
        let page_token = random_text()?.chars().take(20).collect::<String>();
        let file = configuration(folder.path(), &simulator, &secret, &page_token)?;

        let config = Config::read(&file)?;
        let engine = Engine::in_memory()?;
        let aws = local_aws_config(engine.endpoint()).await;
        create_table(&aws, &config.table).await?;
        let google = GcpCredentials::ServiceAccount(Secret::new(simulator.service_account_json()));
        let mayfly = Arc::new(Mayfly::new(&config, &aws, &google)?);
        let gate = Gate::open(&config.github).await?;
        let host =
            Host::start(([127, 0, 0, 1], 0).into(), mayfly.clone(), gate, Rhythm::Every(SWEEP_EVERY)).await?;
        simulator.set_webhook(&format!("http://{}/webhook", host.address()));
        simulator.with(|world, now| {
            let until = now.checked_add(STOCKOUT).unwrap_or(now);
            world.faults.stockout(ZONES[0], Stockout::Until(until));
            world.faults.lab.stranger_takes = Chance::next(1);
        });
        Ok(Self { simulator, mayfly, host, engine, page_token, _folder: folder })
    }

    /// Where the status page is, and the password that a browser is to be told; any user's name will do.
    pub fn page(&self) -> String {
        format!("http://{}/ (password {})", self.host.address(), self.page_token)
    }

    /// The pools as the table has them now, and what could not be read of them.
    pub async fn ledgers(&self) -> Result<Vec<PoolLedger>, String> {
        let mut ledgers = Vec::new();
        for pool in &self.mayfly.policy.pools {
            let read = tokio::time::timeout(LEDGER_LONGEST, self.mayfly.ledger.pool_ledger(&pool.name)).await;
            let (ledger, corrupt) =
                read.map_err(|_| "the table does not answer")?.map_err(|error| error.to_string())?;
            if let Some(error) = corrupt.first() {
                return Err(error.to_string());
            }
            ledgers.push(ledger);
        }
        Ok(ledgers)
    }

    /// The story of the job to which most happened, as `mayfly explain` tells it; none where the table does not answer.
    pub async fn richest_story(&self, jobs: &[JobId]) -> Option<Explanation> {
        let jobs: Vec<_> = jobs.iter().map(|job| mayfly_core::ids::JobId(job.0)).collect();
        let read = tokio::time::timeout(LEDGER_LONGEST, self.mayfly.ledger.jobs(&jobs)).await;
        let records = read.ok()?.ok()?;
        let richest = records.into_values().flatten().max_by_key(|job| job.timeline.len())?;
        let Mayfly { ledger, policy, .. } = &*self.mayfly;
        // The demo counts GitHub's calls as Mayfly's work.
        let github = Err("the demo asks it for no more than the jobs themselves need".to_owned());
        let witnesses = Witnesses { ledger, policy, github };
        let told = tokio::time::timeout(LEDGER_LONGEST, witnesses.job(richest.id, clock::now())).await;
        match told.ok()?.ok()? {
            JobStory::Told(story) => Some(*story),
            JobStory::Unknown => None,
        }
    }

    /// Ends Mayfly and the table; the world stays, to be looked at.
    pub async fn close(self) -> Simulator {
        self.host.stop(STOPPING_LONGEST).await;
        self.engine.stop(STOPPING_LONGEST).await;
        self.simulator
    }
}

/// A world in which a VM's life, some five minutes out there, takes some five seconds.
fn settings(seed: u64) -> Settings {
    let timing = Timing {
        insert: Duration::from_millis(900),
        operation: Duration::from_millis(200),
        delete: Duration::from_millis(1_000),
        boot: Duration::from_millis(1_100),
        registration: Duration::from_millis(300),
        power_off: Duration::from_millis(600),
        clone: Duration::from_millis(700),
        full_clone: Duration::from_secs(3),
        pve_start: Duration::from_millis(300),
        pve_stop: Duration::from_millis(200),
        pve_delete: Duration::from_millis(400),
        webhook: Duration::from_millis(40),
        offline_after: Duration::from_secs(30),
        job_lost_after: Duration::from_secs(120),
        registration_kept: Duration::from_secs(3600),
        jitter: 0.35,
    };
    let limit = |kind: &Kind| PoolLimit {
        deployment: DEPLOYMENT.to_owned(),
        pool: kind.pool.to_owned(),
        max_vms: MAX_RUNNERS,
    };
    let mut settings = Settings {
        seed,
        repositories: KINDS.iter().map(|kind| Repository::private(kind.repository)).collect(),
        timing,
        proxmox: lab(),
        deployment: Some(DEPLOYMENT.to_owned()),
        pool_limits: KINDS.iter().map(limit).collect(),
        ..Settings::default()
    };
    for (region, gpus) in QUOTAS {
        settings.set_quota(region, "NVIDIA_T4_GPUS", gpus);
    }
    // What the lab overflows to is a machine without a GPU.
    let mut plain = settings.templates.get(&instance_template(&LINUX)).map(|gpu| gpu.properties.clone());
    if let Some(properties) = plain.as_mut().and_then(|plain| plain.as_object_mut()) {
        properties.remove("guestAccelerators");
    }
    let properties = plain.unwrap_or_default();
    settings.templates.insert(instance_template(&LAB), InstanceTemplate { properties });
    settings
}

/// A cluster so small that a burst fills it.
fn lab() -> Lab {
    const GIB: u64 = 1 << 30;
    let node = |(name, gib): (&str, u64)| Node {
        name: name.to_owned(),
        memory_bytes: gib * GIB,
        host_used_bytes: 4 * GIB,
    };
    Lab {
        nodes: NODES.map(node).into(),
        templates: vec![Template::linux(LAB_TEMPLATE, NODES[0].0)],
        ..Lab::brisk()
    }
}

/// The template of a pool's VMs on Google Cloud.
fn instance_template(kind: &Kind) -> String {
    format!("{}-runner", kind.pool)
}

/// Writes the configuration, and beside it its secrets; where it is.
fn configuration(
    folder: &Path,
    simulator: &Simulator,
    webhook_secret: &str,
    page_token: &str,
) -> Result<std::path::PathBuf, Error> {
    let webhook_secret = write_secret(folder, "webhook-secret", webhook_secret)?;
    let page_token = write_secret(folder, "page-token", page_token)?;
    let app_key = write_secret(folder, "app-key.pem", &simulator.app_private_key_pem())?;
    let token_secret = write_secret(folder, "proxmox-token-secret", &simulator.proxmox_token_secret())?;
    let (github, gcp, client) = (simulator.github_url(), simulator.gcp_url(), simulator.app_client_id());
    let (proxmox, token_id) = (simulator.proxmox_url(), simulator.proxmox_token_id());
    let (project, (first, last)) = simulator.with(|world, _| {
        let settings = world.settings();
        (settings.project.clone(), settings.proxmox.vmid_range)
    });
    let mut text = format!(
        "deployment = \"{DEPLOYMENT}\"\n\n[store]\ntable = \"mayfly-{DEPLOYMENT}\"\n\n\
         [github]\napi_url = \"{github}\"\nwebhook_secrets = [{{ file = {webhook_secret} }}]\n\
         app = {{ client_id = \"{client}\", private_key = {{ file = {app_key} }} }}\n\n\
         [page]\ntoken = {{ file = {page_token} }}\ncurrency = \"USD\"\n\n\
         [providers.gcp]\nkind = \"gcp\"\nproject = \"{project}\"\nendpoint = \"{gcp}\"\n\n\
         [providers.{LAB_PROVIDER}]\nkind = \"proxmox\"\nurl = \"{proxmox}\"\ntoken_id = \"{token_id}\"\n\
         token_secret = {{ file = {token_secret} }}\nvmid_range = [{first}, {last}]\n"
    );
    for kind in KINDS {
        text += &pool(&kind);
    }
    text += "\n[timing]\norphan_grace = \"10s\"\nstep_timeout = \"10s\"\ncooldown = \"4s\"\ncheck_after = \"4s\"\n";
    let file = folder.join("mayfly.toml");
    fs::write(&file, text).map_err(|source| Error::io(file.display().to_string(), source))?;
    Ok(file)
}

/// A pool and its placements, as the configuration has them.
fn pool(kind: &Kind) -> String {
    let (owner, _) = kind.repository.split_once('/').unwrap_or_default();
    let platform = if kind.pool.starts_with("windows") { "windows" } else { "linux" };
    let is_lab = *kind == LAB;
    let gpu = if is_lab { "none" } else { "nvidia-tesla-t4" };
    let mut text = format!(
        "\n[[pools]]\nname = \"{}\"\nlabels = {:?}\norganization = \"{owner}\"\nplatform = \"{platform}\"\n\
         max_runners = {MAX_RUNNERS}\nboot_timeout = \"20s\"\nidle_timeout = \"2s\"\nmax_lifetime = \"30m\"\n",
        kind.pool, kind.labels
    );
    if is_lab {
        text += &format!(
            "\n[[pools.placements]]\nprovider = \"{LAB_PROVIDER}\"\ntemplate = {LAB_TEMPLATE}\nprice_per_hour = {LAB_PRICE}\n"
        );
    }
    text + &format!(
        "\n[[pools.placements]]\nprovider = \"gcp\"\ninstance_template = \"{}\"\nzones = {ZONES:?}\n\
         gpu_type = \"{gpu}\"\nprice_per_hour = {CLOUD_PRICE}\n",
        instance_template(kind)
    )
}

/// Writes a secret for this user's eyes only; its path as TOML writes it.
fn write_secret(folder: &Path, name: &str, secret: &str) -> Result<String, Error> {
    let path = folder.join(name);
    let failed = |source| Error::io(path.display().to_string(), source);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    file.write_all(secret.as_bytes()).map_err(failed)?;
    // A JSON string is a TOML string as well.
    Ok(serde_json::Value::from(path.display().to_string()).to_string())
}

fn random_text() -> Result<String, Error> {
    let mut text = String::new();
    for _ in 0..4 {
        let bits = getrandom::u64().map_err(|error| Error::io("randomness", std::io::Error::other(error)))?;
        text += &format!("{bits:016x}");
    }
    Ok(text)
}
