//! A `mayfly serve` with a page, and a table that the test fills.

use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::ids::{
    Deployment, JobId, PoolName, ProviderName, Repository, RunnerId, RunnerName, SlotIndex,
};
use mayfly_core::job::{Job, JobState};
use mayfly_core::past::OverJob;
use mayfly_core::slot::{Purpose, Slot, SlotEvent, VmPlace};
use mayfly_service::store::{Ledger, create_table, local_aws_config};
use mayfly_testkit::table::EmbeddedTable;
use mayfly_testkit::wait_for;

use crate::common::{Place, SOON, Serving};

pub const TOKEN: &str = "the token of the page in these tests";
pub const GITHUB_TOKEN: &str = "ghp_a-token-of-nobody-that-the-page-must-not-show";

/// A page that was asked for.
#[derive(Debug)]
pub struct Shown {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

pub struct Stage {
    pub table: EmbeddedTable,
    pub place: Place,
    pub ledger: Ledger,
    pub serving: Serving,
    pub now: Timestamp,
}

pub const PAGE: &str = "[page]\ntoken = { env = \"PAGE_TOKEN\" }\ncurrency = \"USD\"\n";

/// A pool at Google, dear or without a price.
pub fn pool(name: &str, max: u16, price: Option<f64>) -> String {
    let price = price.map(|price| format!("price_per_hour = {price}\n")).unwrap_or_default();
    format!(
        "[[pools]]\nname = \"{name}\"\nlabels = [\"self-hosted\", \"{name}\"]\norganization = \"shader-slang\"\nmax_runners = \
         {max}\n[[pools.placements]]\nprovider = \"gcp\"\ninstance_template = \"{name}-runner\"\nzones = [\"us-east1-c\", \
         \"us-west1-a\"]\ngpu_type = \"none\"\n{price}"
    )
}

impl Stage {
    /// The page is on. The only sweep is over before this returns.
    pub async fn begin(pools: &[String]) -> Self {
        Self::begin_with(PAGE, pools).await
    }

    pub async fn begin_with(page: &str, pools: &[String]) -> Self {
        let table = EmbeddedTable::start().unwrap();
        let nobody = "http://127.0.0.1:1";
        let configuration = format!(
            "deployment = \"prod\"\n[store]\ntable = \"mayfly-test\"\n[github]\napi_url = \"{nobody}\"\nwebhook_secrets = [{{ env = \
             \"WEBHOOK_SECRET\" }}]\ntoken = {{ env = \"GITHUB_TOKEN\" }}\n[providers.gcp]\nkind = \"gcp\"\nproject = \
             \"slang-runners\"\nendpoint = \"{nobody}\"\n{page}{}",
            pools.concat()
        );
        let mut place =
            Place::with(&configuration).env("GITHUB_TOKEN", GITHUB_TOKEN).env("PAGE_TOKEN", TOKEN);
        place.environment.extend(table.env());
        let aws = local_aws_config(&table.endpoint()).await;
        create_table(&aws, "mayfly-test").await.unwrap();
        let ledger = Ledger::new(&aws, "mayfly-test".to_owned(), deployment(), Duration::from_secs(3600));
        let serving = place.serve_with(&["--sweep-every", "10h"]);
        wait_for("the first sweep", SOON, || place.log().contains("swept")).await.unwrap();
        Self { table, place, ledger, serving, now: mayfly_service::clock::now() }
    }

    pub fn ago(&self, seconds: u64) -> Timestamp {
        self.now.checked_sub(Duration::from_secs(seconds)).unwrap()
    }

    pub fn ahead(&self, seconds: u64) -> Timestamp {
        self.now.checked_add(Duration::from_secs(seconds)).unwrap()
    }

    /// A slot that was taken so long ago, brought on by these events, each so long ago.
    pub async fn taken(
        &self,
        pool: &str,
        index: u16,
        job: Option<u64>,
        since: u64,
        events: &[(u64, SlotEvent)],
    ) {
        let nonce = (u64::from(index) * 7 + 3) * 1_234_577;
        let runner = RunnerName::new(&deployment(), &name(pool), SlotIndex(index), nonce);
        let purpose = job.map_or(Purpose::Spare { since: self.ago(since) }, |job| Purpose::Job(JobId(job)));
        let slot = Slot::reserved(runner, purpose, self.ago(since));
        assert!(self.ledger.reserve(&slot).await.unwrap());
        for (ago, event) in events {
            self.ledger.slot_event(&slot.runner, event, self.ago(*ago)).await.unwrap();
        }
    }

    pub async fn waits(&self, pool: &str, job: u64, repository: &str, since: u64) {
        let job = Job {
            id: JobId(job),
            pool: name(pool),
            repository: Repository::new(repository).unwrap(),
            queued_at: self.ago(since),
            installation: None,
            unseen_run: None,
            state: JobState::Waiting,
            timeline: Vec::new(),
        };
        self.ledger.enqueue(&job).await.unwrap();
    }

    /// A job that ended so long ago, having waited, booted and run so long.
    pub async fn over(
        &self,
        pool: &str,
        job: u64,
        repository: &str,
        ended: u64,
        parts: (u64, u64, u64),
        conclusion: &str,
    ) {
        let (wait, boot, run) = parts;
        let started = (conclusion != "cancelled").then(|| self.ago(ended + run));
        let over = OverJob {
            job: JobId(job),
            repository: Repository::new(repository).unwrap(),
            runner: Some(format!("prod-{pool}-0000-x")),
            queued_at: self.ago(ended + run + boot + wait),
            made_at: started.map(|_| self.ago(ended + run + boot)),
            started_at: started,
            ended_at: self.ago(ended),
            conclusion: conclusion.to_owned(),
        };
        self.ledger.job_over(&name(pool), &over).await.unwrap();
    }

    pub fn address(&self) -> String {
        format!("{}/", self.serving.url)
    }

    /// The page, for who has the token.
    pub async fn page(&self) -> Shown {
        let shown = ask(self.serving.client.get(self.address()).bearer_auth(TOKEN)).await;
        assert_eq!(shown.status, 200, "{}\n{}", shown.text, self.place.log());
        shown
    }
}

pub async fn ask(request: reqwest::RequestBuilder) -> Shown {
    let response = request.timeout(SOON).send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Shown { status, headers, text: response.text().await.unwrap() }
}

/// Keeps a page for the browser.
pub fn keep(scene: &str, shown: &Shown) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    fs::create_dir_all(&folder).unwrap();
    let headers: serde_json::Map<String, serde_json::Value> = shown
        .headers
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "content-length" | "date"))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()))
        .collect();
    let kept = serde_json::json!({"status": shown.status, "headers": headers, "body": shown.text});
    fs::write(folder.join(format!("{scene}.json")), kept.to_string()).unwrap();
}

pub fn name(pool: &str) -> PoolName {
    PoolName::new(pool).unwrap()
}

pub fn deployment() -> Deployment {
    Deployment::new("prod").unwrap()
}

pub fn placed() -> SlotEvent {
    let vm = VmPlace { provider: ProviderName::new("gcp").unwrap(), at: "us-east1-c".to_owned() };
    SlotEvent::Placed { vm, runner_id: RunnerId(7), registered_at: None }
}

pub fn started(job: u64) -> SlotEvent {
    SlotEvent::Started { job: JobId(job) }
}
