//! A world, a client for it, and what passed between them.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use mayfly_core::audience::Audience;
use mayfly_core::ids::{Account, Deployment, InstallationId, PoolName, Repository, RunnerName, SlotIndex};
use mayfly_core::labels::Labels;
use mayfly_core::policy::{Platform, Pool, Scope};
use mayfly_service::config::{GitHubConfig, GitHubLogin};
use mayfly_service::github::{GitHub, GitHubError, Registration};
use mayfly_service::secret::SecretSource;
use mayfly_testkit::wirecheck_new;
use serde_json::Value;
use simulator::{Api, Fault, Method, Request, RunnerView, ServeOptions, Settings, Simulator};
use tokio::time::Instant;

const WIRE_LOG: &str = "wire.jsonl";
pub const SOON: Duration = Duration::from_secs(20);

/// All that is logged in this process, at every level, by whatever crate.
#[derive(Clone, Default)]
pub struct Lines(pub Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// One log for all stories: a subscriber of one thread would miss what another thread met first.
    pub fn of_process() -> Self {
        static LINES: OnceLock<Lines> = OnceLock::new();
        let begin = || {
            let lines = Self::default();
            let writer = lines.clone();
            let logs = tracing_subscriber::fmt()
                .with_ansi(false)
                .with_max_level(tracing::Level::TRACE)
                .with_writer(move || writer.clone());
            logs.init();
            lines
        };
        LINES.get_or_init(begin).clone()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub struct Story {
    pub world: Simulator,
    pub github: GitHub,
    pub pool: Pool,
    /// Files of the story's own: keys, and the traffic log.
    directory: PathBuf,
}

impl Drop for Story {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Story {
    /// As the App, with the installation from the configuration.
    pub async fn begin(settings: Settings) -> Self {
        let story = Self::as_nobody(settings).await;
        let installation = Some(InstallationId(story.world.installation_id()));
        story.with_login(|story| story.app(installation))
    }

    pub async fn as_nobody(settings: Settings) -> Self {
        Lines::of_process();
        static STORIES: AtomicU64 = AtomicU64::new(0);
        let name = format!("github-{}-{}", std::process::id(), STORIES.fetch_add(1, Ordering::Relaxed));
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let options = ServeOptions { wire_log: Some(directory.join(WIRE_LOG)), ..ServeOptions::default() };
        let world = Simulator::start(settings, options).await.unwrap();
        let github = client(&world.github_url(), GitHubLogin::Token(SecretSource::Env("NOBODY".to_owned())));
        Self { world, github, pool: pool(organization()), directory }
    }

    pub fn with_login(mut self, login: impl FnOnce(&Self) -> GitHubLogin) -> Self {
        self.github = client(&self.world.github_url(), login(&self));
        self
    }

    pub fn app(&self, installation: Option<InstallationId>) -> GitHubLogin {
        self.app_with_key(&self.world.app_private_key_pem(), installation)
    }

    pub fn app_with_key(&self, pem: &str, installation: Option<InstallationId>) -> GitHubLogin {
        let private_key = SecretSource::File(self.file("key.pem", pem));
        GitHubLogin::App { client_id: self.world.app_client_id(), private_key, installation }
    }

    pub fn token(&self, token: &str) -> GitHubLogin {
        GitHubLogin::Token(SecretSource::File(self.file("token", &format!("{token}\n"))))
    }

    /// A file with a name of its own.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let number = std::fs::read_dir(&self.directory).unwrap().count();
        let path = self.directory.join(format!("{number}-{name}"));
        std::fs::write(&path, text).unwrap();
        path
    }

    pub async fn register(&self, slot: u16) -> Result<Registration, GitHubError> {
        self.register_within(slot, SOON).await
    }

    pub async fn register_within(&self, slot: u16, time: Duration) -> Result<Registration, GitHubError> {
        self.github.register(&self.pool, &self.name(slot), None, Instant::now() + time).await
    }

    pub fn name(&self, slot: u16) -> RunnerName {
        let deployment = Deployment::new("prod").unwrap();
        RunnerName::new(&deployment, &self.pool.name, SlotIndex(slot), u64::from(slot))
    }

    pub fn strike(&self, endpoint: &str, fault: Fault) {
        self.world.with(|world, _| world.faults.once(endpoint, fault));
    }

    pub fn always(&self, endpoint: &str, fault: Fault) {
        self.world.with(|world, _| world.faults.rate(endpoint, 1.0, fault));
    }

    /// How often each of these was called.
    pub fn calls<const N: usize>(&self, endpoints: [&str; N]) -> [u64; N] {
        self.world.with(|world, _| endpoints.map(|endpoint| world.calls_of(&format!("github.{endpoint}"))))
    }

    pub fn runners(&self) -> Vec<RunnerView> {
        self.world.with(|world, _| world.runners())
    }

    /// Has a VM start the runner, and a job run on it.
    pub async fn make_busy(&self, slot: u16, registration: &Registration) {
        let name = self.name(slot);
        let instance = serde_json::json!({
            "name": name.as_str(),
            "labels": { "mayfly-deployment": "prod", "mayfly-pool": "linux-gpu" },
            "metadata": { "items": [{ "key": "jit-config", "value": registration.jit_config.expose() }] },
            "scheduling": { "maxRunDuration": { "seconds": "21600" }, "instanceTerminationAction": "DELETE" },
        });
        self.world.with(|world, now| {
            let path = "/compute/v1/projects/slang-runners/zones/us-east1-c/instances";
            let request = Request::new(Api::Gcp, Method::Post, path, now).bearer(&world.access.gcp_token);
            let template = "global/instanceTemplates/linux-gpu-runner";
            let request = request.query("sourceInstanceTemplate", template).json(&instance);
            assert_eq!(world.handle(now, &request).answer().unwrap().status, 200);
            world.queue_job(now, simulator::JobSpec::new("shader-slang/slang", &["GPU"]));
        });
        let busy = |world: &simulator::World| world.runners().iter().any(|runner| runner.busy);
        self.world.until(SOON, busy).await.unwrap();
    }

    /// What was answered, as the traffic log has it.
    pub fn traffic(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.directory.join(WIRE_LOG)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Nothing in the story may have asked for what is not published.
    pub fn end(self) {
        let violations = self.world.with(|world, _| world.violations().to_vec());
        assert!(violations.is_empty(), "{violations:#?}");
        wirecheck_new(&self.directory.join(WIRE_LOG));
    }
}

pub fn client(api_url: &str, login: GitHubLogin) -> GitHub {
    client_with_hook(api_url, login, None)
}

/// A client whose configuration may say which hook is ours.
pub fn client_with_hook(api_url: &str, login: GitHubLogin, webhook_url: Option<&str>) -> GitHub {
    let api_url = api_url.to_owned();
    let webhook_url = webhook_url.map(|url| url.parse().unwrap());
    GitHub::new(&GitHubConfig { api_url, webhook_secrets: Vec::new(), login, webhook_url })
}

pub fn soon() -> Instant {
    Instant::now() + SOON
}

pub fn organization() -> Scope {
    Scope::Organization(Account::new("shader-slang").unwrap())
}

pub fn repository() -> Scope {
    Scope::Repository(Repository::new("shader-slang/slang").unwrap())
}

pub fn enterprise() -> Scope {
    Scope::Enterprise(Account::new("slang-corp").unwrap())
}

pub fn pool(scope: Scope) -> Pool {
    Pool {
        name: PoolName::new("linux-gpu").unwrap(),
        labels: Labels::new(["self-hosted", "Linux", "GPU"]),
        scope,
        repositories: Vec::new(),
        audience: Audience::default(),
        runner_group: "default".to_owned(),
        platform: Platform::Linux,
        max_runners: 10.try_into().unwrap(),
        min_runners: 0,
        boot_timeout: Duration::from_secs(600),
        idle_timeout: Duration::from_secs(600),
        max_lifetime: Duration::from_secs(21_600),
        placements: Vec::new(),
    }
}

/// A refusal's status and reason.
pub fn refusal<T: std::fmt::Debug>(told: Result<T, GitHubError>) -> (u16, String) {
    match told {
        Err(GitHubError::Refused { status, why, .. }) => (status, why),
        other => panic!("{other:?}"),
    }
}

pub fn is_unavailable<T>(told: &Result<T, GitHubError>) -> bool {
    matches!(told, Err(GitHubError::Unavailable { .. }))
}
