//! What differs from story to story: the world, and the configuration of both functions.

use std::fmt::Write;
use std::path::Path;

use simulator::{PoolLimit, Settings, Simulator};

pub const LABELS: [&str; 3] = ["self-hosted", "Linux", "GPU"];
pub const REPOSITORY: &str = "shader-slang/slang";
/// The pool of stories that need only one.
pub const POOL: &str = "linux-gpu";
pub const DEPLOYMENT: &str = "test";
pub const TABLE: &str = "mayfly-test";

/// What differs from story to story.
#[derive(Clone)]
pub struct Plot {
    pub settings: Settings,
    /// How many environments Lambda may have.
    pub environments: usize,
    pub pools: Vec<PoolPlot>,
    pub timing: Timing,
    pub login: Login,
    /// `notifications.waiting_after`
    pub waiting_after: Option<&'static str>,
    /// Whether `github.webhook_url` says which hook is ours.
    pub webhook_url: bool,
    /// The secret of the token for Proxmox, where it is not the right one.
    pub wrong_token: bool,
    /// Whether there is a status page.
    pub page: bool,
    /// Whether metrics are written for CloudWatch.
    pub metrics: bool,
    /// The ids that VMs on Proxmox may have.
    pub vmid_range: (u32, u32),
    /// `RUST_LOG`: all there is, since every story looks for secrets in it; in the largest ones that would be most of the
    /// work.
    pub log: &'static str,
}

/// One pool, as it is configured.
#[derive(Clone)]
pub struct PoolPlot {
    pub name: &'static str,
    pub labels: Vec<&'static str>,
    pub platform: &'static str,
    /// Where its runners register: a line of the configuration.
    pub scope: &'static str,
    pub max_runners: u16,
    pub min_runners: u16,
    pub boot_timeout: &'static str,
    pub idle_timeout: &'static str,
    pub max_lifetime: &'static str,
    /// The Proxmox template of the placement in the lab, if there is one.
    pub template: Option<u32>,
    /// Whether the lab comes after the cloud.
    pub lab_last: bool,
    /// More lines of that placement.
    pub template_more: &'static str,
    /// The zones of the placement on GCP; none for no such placement.
    pub zones: Vec<&'static str>,
    /// More lines of that placement.
    pub cloud_more: &'static str,
}

/// The configuration's `[timing]`.
#[derive(Clone)]
pub struct Timing {
    pub orphan_grace: &'static str,
    pub step_timeout: &'static str,
    pub cooldown: &'static str,
    pub redelivery_after: &'static str,
    pub check_after: &'static str,
}

/// How Mayfly logs in at GitHub.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Login {
    App,
    Token,
}

impl Default for Plot {
    fn default() -> Self {
        Self {
            settings: Settings::brisk(),
            environments: 40,
            pools: vec![PoolPlot::default()],
            timing: Timing {
                orphan_grace: "2s",
                step_timeout: "6s",
                cooldown: "30s",
                redelivery_after: "1s",
                check_after: "2s",
            },
            login: Login::App,
            waiting_after: None,
            webhook_url: false,
            wrong_token: false,
            page: false,
            metrics: false,
            vmid_range: (9000, 9999),
            log: "trace",
        }
    }
}

impl Default for PoolPlot {
    fn default() -> Self {
        Self {
            name: POOL,
            labels: LABELS.to_vec(),
            platform: "linux",
            scope: "organization = \"shader-slang\"",
            max_runners: 10,
            min_runners: 0,
            boot_timeout: "5s",
            idle_timeout: "2s",
            max_lifetime: "10m",
            template: None,
            lab_last: false,
            template_more: "",
            zones: vec!["us-east1-c", "us-east1-d", "us-central1-a", "us-west1-a"],
            cloud_more: "",
        }
    }
}

impl Plot {
    /// One pool with so many slots.
    pub fn limited(max_runners: u16) -> Self {
        let pools = vec![PoolPlot { max_runners, ..PoolPlot::default() }];
        Self { pools, ..Self::default() }
    }

    /// One pool with so many slots, on Proxmox alone.
    pub fn lab(max_runners: u16) -> Self {
        let pools =
            vec![PoolPlot { max_runners, template: Some(8000), zones: vec![], ..PoolPlot::default() }];
        Self { pools, ..Self::default() }
    }

    /// The same, with GCP to overflow to.
    pub fn overflowing(max_runners: u16) -> Self {
        let mut plot = Self::lab(max_runners);
        plot.pools[0].zones = PoolPlot::default().zones;
        plot
    }

    /// What the world holds the pools to (I2).
    pub fn limits(&self) -> Vec<PoolLimit> {
        let limit = |pool: &PoolPlot| PoolLimit {
            deployment: DEPLOYMENT.to_owned(),
            pool: pool.name.to_owned(),
            max_vms: usize::from(pool.max_runners),
        };
        self.pools.iter().map(limit).collect()
    }

    /// How many VMs stand ready when nothing is to be done.
    pub fn warm(&self) -> usize {
        self.pools.iter().map(|pool| usize::from(pool.min_runners)).sum()
    }

    /// Writes `mayfly.toml`; the secrets lie beside it already.
    pub fn write(&self, folder: &Path, simulator: &Simulator, webhook: &str) {
        let at = |name: &str| folder.join(name).display().to_string();
        let login = match self.login {
            Login::App => {
                let (id, key) = (simulator.app_client_id(), at("app.pem"));
                format!("app = {{ client_id = \"{id}\", private_key = {{ file = \"{key}\" }} }}")
            }
            Login::Token => format!("token = {{ file = \"{}\" }}", at("token")),
        };
        let hook = if self.webhook_url { format!("webhook_url = \"{webhook}\"") } else { String::new() };
        let (github, gcp, secret) = (simulator.github_url(), simulator.gcp_url(), at("webhook-secret"));
        let mut text = format!(
            r#"
deployment = "{DEPLOYMENT}"

[store]
table = "{TABLE}"

[github]
api_url = "{github}"
webhook_secrets = [{{ file = "{secret}" }}]
{login}
{hook}

[providers.cloud]
kind = "gcp"
project = "slang-runners"
endpoint = "{gcp}"
"#
        );
        if self.pools.iter().any(|pool| pool.template.is_some()) {
            let (url, id, secret) = (
                simulator.proxmox_url(),
                simulator.proxmox_token_id(),
                at(if self.wrong_token { "webhook-secret" } else { "proxmox-secret" }),
            );
            let (first, last) = self.vmid_range;
            write!(
                text,
                r#"
[providers.lab]
kind = "proxmox"
url = "{url}"
token_id = "{id}"
token_secret = {{ file = "{secret}" }}
vmid_range = [{first}, {last}]
"#
            )
            .unwrap();
        }
        if self.metrics {
            text.push_str("\n[metrics]\ncloudwatch = true\n");
        }
        self.timing.write(&mut text);
        if let Some(after) = self.waiting_after {
            write!(text, "\n[notifications]\nwaiting_after = \"{after}\"\n").unwrap();
        }
        for pool in &self.pools {
            pool.write(&mut text);
        }
        if self.page {
            text.push_str(&format!("\n[page]\ntoken = {{ file = \"{}\" }}\n", at("page-token")));
        }
        std::fs::write(folder.join("mayfly.toml"), text).unwrap();
    }
}

impl Timing {
    fn write(&self, text: &mut String) {
        let Self { orphan_grace, step_timeout, cooldown, redelivery_after, check_after } = self;
        write!(
            text,
            r#"
[timing]
orphan_grace = "{orphan_grace}"
step_timeout = "{step_timeout}"
cooldown = "{cooldown}"
redelivery_after = "{redelivery_after}"
check_after = "{check_after}"
"#
        )
        .unwrap();
    }
}

impl PoolPlot {
    fn write(&self, text: &mut String) {
        let Self {
            name,
            labels,
            platform,
            scope,
            max_runners,
            min_runners,
            boot_timeout,
            idle_timeout,
            max_lifetime,
            template,
            lab_last,
            template_more,
            zones,
            cloud_more,
        } = self;
        write!(
            text,
            r#"
[[pools]]
name = "{name}"
labels = {labels:?}
platform = "{platform}"
{scope}
max_runners = {max_runners}
min_runners = {min_runners}
boot_timeout = "{boot_timeout}"
idle_timeout = "{idle_timeout}"
max_lifetime = "{max_lifetime}"
"#
        )
        .unwrap();
        let lab = template.map(|template| {
            format!("\n[[pools.placements]]\nprovider = \"lab\"\ntemplate = {template}\n{template_more}\n")
        });
        let cloud = (!zones.is_empty()).then(|| {
            format!(
                r#"
[[pools.placements]]
provider = "cloud"
instance_template = "linux-gpu-runner"
zones = {zones:?}
gpu_type = "nvidia-tesla-t4"
{cloud_more}
"#
            )
        });
        let order = if *lab_last { [cloud, lab] } else { [lab, cloud] };
        order.into_iter().flatten().for_each(|placement| text.push_str(&placement));
    }
}
