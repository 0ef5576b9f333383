//! A deployment on simulated vendors and a real table, and what `mayfly doctor` says of it.

use std::fs;
use std::path::PathBuf;

use mayfly_service::store::{create_table, local_aws_config};
use mayfly_testkit::secrets::Canaries;
use mayfly_testkit::table::EmbeddedTable;
use mayfly_testkit::wirecheck_new;
use serde_json::{Value, json};
use simulator::{ServeOptions, Settings, Simulator};

use super::common::{Place, WEBHOOK_SECRET};

pub const TABLE: &str = "mayfly-test";

pub struct Stage {
    pub simulator: Simulator,
    pub table: EmbeddedTable,
    pub place: Place,
    canaries: Canaries,
    log: PathBuf,
}

/// What was found, by the program's own `--json`.
pub struct Found {
    pub findings: Vec<Value>,
    pub code: Option<i32>,
}

/// An App's deployment with a pool that has a placement in a lab and one in the cloud: nothing is wrong with it.
pub async fn right() -> Stage {
    with(|_| {}).await
}

/// The same in a world that is different.
pub async fn with(change: impl FnOnce(&mut Settings)) -> Stage {
    let table = EmbeddedTable::start().unwrap();
    create_table(&local_aws_config(&table.endpoint()).await, TABLE).await.unwrap();
    on(change, table).await
}

/// The same on another table.
pub async fn on(change: impl FnOnce(&mut Settings), table: EmbeddedTable) -> Stage {
    let mut settings = Settings::brisk();
    settings.project_quotas.insert("GPUS_ALL_REGIONS".to_owned(), 600.0);
    settings.project_quotas.insert("CPUS_ALL_REGIONS".to_owned(), 2400.0);
    change(&mut settings);
    let mut place = Place::with("");
    let log = place.path("wire.jsonl");
    let options = ServeOptions { wire_log: Some(log.clone()), ..ServeOptions::default() };
    let simulator = Simulator::start(settings, options).await.unwrap();
    fs::write(place.path("mayfly.toml"), configuration(&simulator)).unwrap();
    fs::write(place.path("app.pem"), simulator.app_private_key_pem()).unwrap();
    fs::write(place.path("google.json"), simulator.service_account_json()).unwrap();
    place.environment.extend(table.env());
    let key = place.path("google.json").display().to_string();
    let place = place
        .env("GOOGLE_APPLICATION_CREDENTIALS", &key)
        .env("GITHUB_TOKEN", &simulator.pat())
        .env("PROXMOX_TOKEN_SECRET", &simulator.proxmox_token_secret());
    let mut canaries = Canaries::new();
    canaries.add("the webhook's secret", WEBHOOK_SECRET);
    canaries.add("the App's key", &simulator.app_private_key_pem());
    canaries.add("the service account's key", &simulator.service_account_json());
    canaries.add("the token", &simulator.pat());
    canaries.add("the Proxmox token", &simulator.proxmox_token_secret());
    Stage { simulator, table, place, canaries, log }
}

impl Stage {
    /// Logs in by the personal access token.
    pub fn by_token(self) -> Self {
        let path = self.place.path("mayfly.toml");
        let text = fs::read_to_string(&path).unwrap();
        let lines = text
            .lines()
            .map(|line| if line.starts_with("app = ") { "token = { env = \"GITHUB_TOKEN\" }" } else { line });
        fs::write(path, lines.collect::<Vec<_>>().join("\n")).unwrap();
        self
    }

    /// Names the webhook that brings the events.
    pub fn by_hook(self, url: &str) -> Self {
        self.but("webhook_secrets =", &format!("webhook_url = \"{url}\"\nwebhook_secrets ="))
    }

    /// Changes the configuration.
    pub fn but(self, from: &str, to: &str) -> Self {
        self.place.replace(from, to);
        self
    }

    /// What `mayfly doctor` says, in both of its forms, having leaked nothing and called nothing that is not published.
    pub fn text(&self, arguments: &[&str]) -> (String, Option<i32>) {
        let arguments = [&["doctor"], arguments].concat();
        let output = tokio::task::block_in_place(|| self.place.run(&arguments));
        let (stdout, stderr) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(self.canaries.leaks(&[("stdout", &stdout), ("stderr", &stderr)]), []);
        // A copy: the check leaves only what is new in it, and the world goes on writing.
        let copy = self.place.path("wire-to-check.jsonl");
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        fs::write(&copy, &log[..log.rfind('\n').map_or(0, |end| end + 1)]).unwrap();
        wirecheck_new(&copy);
        assert_eq!(self.simulator.with(|world, _| world.violations().to_vec()), []);
        (stdout, output.status.code())
    }

    pub fn look(&self) -> Found {
        self.look_with(&[])
    }

    pub fn look_with(&self, arguments: &[&str]) -> Found {
        let (text, code) = self.text(&[&["--json"], arguments].concat());
        let told: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let wrong = told["wrong"].as_u64().unwrap();
        assert_eq!(code, Some(i32::from(wrong > 0)), "{text}");
        Found { findings: told["findings"].as_array().unwrap().clone(), code }
    }
}

impl Found {
    /// One finding of that level and area says all of this: in `what`, `why` and `mend`.
    #[track_caller]
    pub fn says(&self, level: &str, area: &str, what: &str, why: &str, mend: &str) {
        let has =
            |each: &&Value, key: &str, part: &str| each[key].as_str().unwrap_or_default().contains(part);
        let fits = |each: &&Value| {
            each["level"] == level
                && each["area"] == area
                && has(each, "what", what)
                && has(each, "why", why)
                && has(each, "mend", mend)
        };
        assert!(self.findings.iter().any(|each| fits(&each)), "{:#}", self.not_ok());
    }

    #[track_caller]
    pub fn wrong(&self, area: &str, what: &str, why: &str, mend: &str) {
        assert!(!mend.is_empty());
        self.says("wrong", area, what, why, mend);
        assert_eq!(self.code, Some(1));
    }

    /// What is wrong, to be warned of or skipped, without what is right.
    pub fn not_ok(&self) -> Value {
        json!(self.findings.iter().filter(|each| each["level"] != "ok").collect::<Vec<_>>())
    }

    /// How many findings are of a level.
    pub fn number(&self, level: &str) -> usize {
        self.findings.iter().filter(|each| each["level"] == level).count()
    }
}

/// What the engine is asked over its own protocol.
pub async fn ask(table: &EmbeddedTable, operation: &str, body: Value) -> Value {
    let scope = "AKIATESTKITDUMMY/20260101/us-east-1/dynamodb/aws4_request";
    let signature = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client
        .post(table.endpoint())
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        .header("x-amz-date", "20260101T000000Z")
        .header("authorization", signature)
        .header("content-type", "application/x-amz-json-1.0")
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{text}");
    serde_json::from_str(&text).unwrap()
}

fn configuration(simulator: &Simulator) -> String {
    let (github, gcp, lab) = (simulator.github_url(), simulator.gcp_url(), simulator.proxmox_url());
    let (client_id, token_id) = (simulator.app_client_id(), simulator.proxmox_token_id());
    format!(
        r#"
deployment = "test"
[store]
table = "{TABLE}"
[github]
api_url = "{github}"
webhook_secrets = [{{ env = "WEBHOOK_SECRET" }}]
app = {{ client_id = "{client_id}", private_key = {{ file = "app.pem" }} }}
[providers.gcp]
kind = "gcp"
project = "slang-runners"
endpoint = "{gcp}"
[providers.lab]
kind = "proxmox"
url = "{lab}"
token_id = "{token_id}"
token_secret = {{ env = "PROXMOX_TOKEN_SECRET" }}
vmid_range = [9000, 9999]
[[pools]]
name = "linux-gpu"
labels = ["self-hosted", "GPU"]
organization = "shader-slang"
repositories = ["slang", "slang-*"]
runner_group = "default"
max_runners = 3
[[pools.placements]]
provider = "lab"
template = 8000
[[pools.placements]]
provider = "gcp"
instance_template = "linux-gpu-runner"
zones = ["us-east1-c", "us-west1-a"]
gpu_type = "nvidia-tesla-t4"
"#
    )
}
