//! What there is at the beginning, and what is done on it.

use std::cell::OnceCell;
use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::ids::{JobId, PoolName, RunnerName};
use mayfly_core::policy::Policy;
use mayfly_service::clock::working_deadline;
use mayfly_service::config::Config;
use mayfly_service::inbound::{Answer, Gate, Request};
use mayfly_service::look::{Witnesses, overview_of};
use mayfly_service::mayfly::Mayfly;
use mayfly_service::simulation::set_secret;
use mayfly_service::sweep::Report;
use serde_json::{Value, json};
use simulator::World;
use simulator_table::Table;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::logs;
use crate::request::sign;
use crate::stage::Stage;

mod grow;

/// The status page's token.
pub const PAGE_TOKEN: &str = "page-token-for-the-scenes";
/// A page has a bounded number of lines, however much there is to tell.
const PAGE_MOST: usize = 1 << 20;

/// What Lambda gives the webhook's function, and the sweeper's.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(300);
const SWEEP_TIMEOUT: Duration = Duration::from_secs(60);
/// GitHub gives an answer so long.
const ANSWER_LONGEST: Duration = Duration::from_secs(10);
/// What a sweep says of one thing, an overview, and a story, is no longer.
const WORDS_MOST: usize = 2 << 10;

/// Markup that an input may hold, and no page of ours does.
pub const INJECTED: &str = "<img src=x";

const CONFIGURATION: &str = include_str!("scene/mayfly.toml");

/// What there is at the beginning.
pub struct Scene {
    /// GitHub, Google and the cluster.
    pub world: World,
    /// The table.
    pub table: Table,
    /// When it is.
    pub now: Timestamp,
    config: Config,
    /// What Mayfly has at GitHub: an App's token, since only an App may write check runs.
    token: String,
    /// The jobs that the table knows, and the runners that have a slot.
    pub jobs: Vec<JobId>,
    /// See there.
    pub runners: Vec<RunnerName>,
}

/// Something that is done.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// A job is queued: for Google's pool, or for the lab's.
    Queued(usize),
    /// A runner's job is over.
    Completed(usize),
    /// A runner takes a job that nobody meant for it.
    Started(usize),
    /// A job that is known is told of again.
    Again(usize),
    /// A sweep.
    Sweep,
    /// So many seconds go by.
    Wait(u16),
    /// Somebody asks how the deployment stands.
    Overview,
    /// Somebody opens the status page.
    Page,
    /// Somebody asks for a job's story.
    Job(usize),
    /// Somebody asks for a runner's story.
    Runner(usize),
    /// Somebody asks GitHub and the cluster what `doctor` does.
    Inspect,
    /// A pool is drained, or not any more.
    Drain(bool),
}

impl Scene {
    /// Runners in every phase, a queue, a zone without machines, a delivery that failed.
    pub fn busy<T>(play: impl FnOnce(&Self) -> T) -> T {
        thread_local!(static SCENE: OnceCell<Scene> = const { OnceCell::new() });
        SCENE.with(|scene| play(scene.get_or_init(grow::busy)))
    }

    /// Runners with jobs, a spare one that is wanted, and nothing to do.
    pub fn settled<T>(play: impl FnOnce(&Self) -> T) -> T {
        thread_local!(static SCENE: OnceCell<Scene> = const { OnceCell::new() });
        SCENE.with(|scene| play(scene.get_or_init(grow::settled)))
    }

    /// The configuration.
    pub fn policy(&self) -> &Policy {
        &self.config.policy
    }
}

/// A run on a scene of its own.
pub struct Playing<'a> {
    /// The stage.
    pub stage: std::sync::Arc<Stage>,
    /// The process under test.
    pub mayfly: Mayfly,
    gate: Gate,
    scene: &'a Scene,
    runtime: Runtime,
}

impl<'a> Playing<'a> {
    /// Begins, on a copy of the scene.
    pub fn begin(scene: &'a Scene) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime of one thread");
        let access = &scene.world.access;
        let secrets = [&access.webhook_secret, &scene.token, &access.proxmox_token_secret, &access.gcp_token]
            .map(Clone::clone);
        let page_token = PAGE_TOKEN.to_owned();
        let secrets: Vec<String> = secrets.into_iter().chain([page_token]).collect();
        let variables = ["WEBHOOK_SECRET", "GITHUB_TOKEN", "PROXMOX_SECRET", "GCP_TOKEN", "PAGE_TOKEN"];
        for (variable, secret) in variables.into_iter().zip(&secrets) {
            set_secret(variable, secret);
        }
        logs::watch(secrets);
        let (stage, mayfly, gate) = runtime.block_on(async {
            let stage = Stage::new(scene.world.clone(), scene.table.clone(), scene.now);
            let mayfly = Mayfly::in_process(&scene.config, &stage.outside());
            let gate = Gate::open(&scene.config.github).await;
            (stage, mayfly, gate.expect("the secrets are set"))
        });
        Self { stage, mayfly, gate, scene, runtime }
    }

    /// Does these, one after the other.
    pub fn play(&self, acts: &[Act]) {
        for act in acts {
            self.runtime.block_on(Box::pin(self.act(*act)));
            logs::check();
        }
    }

    /// A request, with the work that follows it: the answer, whether there was work, and how often the table was asked before
    /// the answer.
    pub fn receive(&self, request: Request<'_>, table_before: u32) -> (Answer, bool, u32) {
        let result = self.runtime.block_on(Box::pin(async {
            let end = Instant::now() + WEBHOOK_TIMEOUT;
            let answering = tokio::time::timeout(ANSWER_LONGEST, self.mayfly.receive(&self.gate, request));
            let (answer, work) = answering.await.expect("GitHub waits no longer for an answer");
            let asked = self.stage.lock().table_requests - table_before;
            let has_work = work.is_some();
            if let Some(work) = work {
                let following = self.mayfly.follow(&work.pool, work.follow, working_deadline(end));
                tokio::time::timeout_at(end, following).await.expect("work ends before its invocation does");
            }
            (answer, has_work, asked)
        }));
        logs::check();
        result
    }

    /// The world's time, as it stands between two acts.
    fn now(&self) -> Timestamp {
        let _entered = self.runtime.enter();
        self.stage.now()
    }

    /// Runs something on this stage.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(Box::pin(work))
    }

    fn runner(&self, nth: usize) -> Option<&RunnerName> {
        let runners = &self.scene.runners;
        runners.get(nth % runners.len().max(1))
    }

    fn job(&self, nth: usize) -> JobId {
        let jobs = &self.scene.jobs;
        jobs.get(nth % jobs.len().max(1)).copied().unwrap_or(JobId(1))
    }

    async fn act(&self, act: Act) {
        let new = JobId(40_000_000_000 + u64::from(self.stage.lock().table_requests));
        match act {
            Act::Queued(kind) => self.tell("queued", new, ["gpu", "lab"][kind % 2], None).await,
            Act::Again(nth) => self.tell("queued", self.job(nth), "gpu", None).await,
            Act::Started(nth) => self.tell("in_progress", new, "gpu", self.runner(nth)).await,
            Act::Completed(nth) => self.tell("completed", self.job(nth), "gpu", self.runner(nth)).await,
            Act::Sweep => {
                let end = Instant::now() + SWEEP_TIMEOUT;
                let report = tokio::time::timeout_at(end, self.mayfly.sweep(end)).await;
                read(&report.expect("a sweep ends before its invocation does"));
            }
            Act::Wait(seconds) => tokio::time::sleep(Duration::from_secs(u64::from(seconds))).await,
            Act::Overview => {
                let told = overview_of(&self.mayfly.ledger, self.scene.policy(), self.stage.now()).await;
                if let Err(why) = &told {
                    bounded(&why.to_string());
                }
                harmless(&format!("{told:?}"));
            }
            Act::Page => self.page().await,
            Act::Job(nth) => self.story(self.job(nth)).await,
            Act::Runner(nth) => {
                let Some(runner) = self.runner(nth) else { return };
                let told = self.witnesses().runner(runner, self.stage.now()).await;
                harmless(&format!("{told:?}"));
            }
            Act::Inspect => self.inspect().await,
            Act::Drain(drained) => {
                let pool = PoolName::new("gpu").expect("a pool's name");
                let (ledger, now) = (&self.mayfly.ledger, self.stage.now());
                let result = if drained {
                    ledger.drain(&pool, now).await.err()
                } else {
                    ledger.resume(&pool).await.err()
                };
                harmless(&format!("{result:?}"));
            }
        }
    }

    async fn tell(&self, action: &str, job: JobId, label: &str, runner: Option<&RunnerName>) {
        let body = json!({
            "action": action,
            "workflow_job": {
                "id": job.0, "status": action, "labels": ["self-hosted", "Linux", label],
                "conclusion": (action == "completed").then_some("success"),
                "runner_name": runner.map(RunnerName::as_str),
                "created_at": self.stage.now().to_string(),
            },
            "repository": {"full_name": "shader-slang/slang"},
        });
        let body = body.to_string().into_bytes();
        let signature = sign(&self.scene.world.access.webhook_secret, &body);
        let request = Request {
            method: "POST",
            path: "/webhook",
            signature: Some(&signature),
            event: Some("workflow_job"),
            delivery: Some("00000000-0000-0000-0000-000000000000"),
            authorization: None,
            body: &body,
        };
        let end = Instant::now() + WEBHOOK_TIMEOUT;
        let answering = tokio::time::timeout(ANSWER_LONGEST, self.mayfly.receive(&self.gate, request));
        let (answer, work) = answering.await.expect("GitHub waits no longer for an answer");
        assert!([200, 202, 503].contains(&answer.status), "{answer:?}");
        bounded(&answer.body);
        if let Some(work) = work {
            let following = self.mayfly.follow(&work.pool, work.follow, working_deadline(end));
            tokio::time::timeout_at(end, following).await.expect("work ends before its invocation does");
        }
    }

    async fn page(&self) {
        let authorization = format!("Bearer {PAGE_TOKEN}");
        let request = Request {
            method: "GET",
            path: "/",
            signature: None,
            event: None,
            delivery: None,
            authorization: Some(&authorization),
            body: b"",
        };
        let (answer, work) = self.mayfly.receive(&self.gate, request).await;
        assert!(work.is_none() && [200, 503].contains(&answer.status), "{}: {}", answer.status, answer.body);
        look_at_page(&answer.body);
    }

    fn witnesses(&self) -> Witnesses<'_> {
        Witnesses {
            ledger: &self.mayfly.ledger,
            policy: self.scene.policy(),
            github: Ok(&self.mayfly.github),
        }
    }

    async fn story(&self, job: JobId) {
        let told = self.witnesses().job(job, self.stage.now()).await;
        harmless(&format!("{told:?}"));
        let repository =
            mayfly_core::ids::Repository::new("shader-slang/slang").expect("a repository's name");
        let told = self.witnesses().unknown_at_github(&repository, JobId(job.0 + 1)).await;
        bounded(&told.unwrap_or_default());
    }

    async fn inspect(&self) {
        let github = &self.mayfly.github;
        let end = Instant::now() + Duration::from_secs(10);
        let scopes = self.scene.policy().pools.iter().map(|pool| pool.scope.clone());
        harmless(&format!("{:?}", github.clock(end).await));
        for scope in scopes.take(1) {
            harmless(&format!("{:?}", github.runners_seen(&scope, end).await));
            harmless(&format!("{:?}", github.runner_groups(&scope, end).await));
            harmless(&format!("{:?}", github.hooks_seen(&scope, end).await));
        }
        assert!(Instant::now() <= end + Duration::from_secs(1), "no look takes longer than it may");
    }
}

/// Looks at what a sweep said.
fn read(report: &Report) {
    for done in &report.done {
        bounded(&done.what);
        bounded(&done.outcome);
    }
    for left in &report.left_alone {
        bounded(&left.what);
        bounded(left.why);
    }
    for source in &report.failed_sources {
        bounded(&source.source);
        bounded(&source.why);
    }
    for pool in &report.pools {
        pool.troubles.iter().chain(pool.jobs.iter().map(|job| &job.why)).for_each(|text| bounded(text));
    }
    let told = serde_json::to_value(report);
    assert!(told.as_ref().is_ok_and(Value::is_object), "a report is JSON: {told:?}");
}

/// Looks at the status page, or at the form in its place: whatever there is to tell, it is bounded, and nothing in it is taken
/// for more than text.
pub fn look_at_page(page: &str) {
    assert!(page.len() <= PAGE_MOST, "a page of {} bytes", page.len());
    assert!(!page.contains(INJECTED), "a page with somebody's markup: {page:.2000}");
    harmless(page);
}

fn bounded(text: &str) {
    assert!(text.len() <= WORDS_MOST, "{} bytes are told: {:.300}", text.len(), text);
    harmless(text);
}

fn harmless(text: &str) {
    let wrong = logs::wrong(text).filter(|why| why.starts_with("holds"));
    assert!(wrong.is_none(), "what is told {wrong:?}");
}
