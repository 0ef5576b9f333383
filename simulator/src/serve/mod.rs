//! The shell: the world on loopback sockets, in real (or faster) time.

mod http;
mod keys;
mod wire;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

pub use keys::Keys;
use wire::WireLog;

use crate::world::World;
use crate::world::github::Delivery;
use crate::world::request::{Api, Reply, Request, Ticket};
use crate::world::settings::Settings;

/// GitHub waits ten seconds for a webhook's answer.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Deliveries under way at once.
const MOST_DELIVERIES: usize = 64;

/// How the world is served.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Where deliveries are posted; without one, they fail.
    pub webhook_url: Option<String>,
    /// What they are signed with.
    pub webhook_secret: String,
    /// The traffic log. Default: the file that `MAYFLY_WIRE_LOG` names, or none.
    pub wire_log: Option<PathBuf>,
    /// Simulated seconds per real second. Above 1, the world's times are ahead of the callers' clocks;
    /// credentials are still judged by those.
    pub speed: f64,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            webhook_url: None,
            webhook_secret: "a secret for nobody but the simulator".to_owned(),
            wire_log: std::env::var_os("MAYFLY_WIRE_LOG").map(PathBuf::from),
            speed: 1.0,
        }
    }
}

/// A condition was not met in time.
#[derive(Debug, thiserror::Error)]
#[error("the condition was not met within {after:?}")]
pub struct Timeout {
    /// How long it was waited for.
    pub after: Duration,
}

/// A world, served on three loopback ports until it is dropped.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    keys: Keys,
    github_url: String,
    gcp_url: String,
    proxmox_url: String,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    world: Mutex<World>,
    clock: Clock,
    /// Counts changes of the world.
    changed: watch::Sender<u64>,
    wire_log: Option<WireLog>,
    client: reqwest::Client,
}

/// The world's time, made from real time.
#[derive(Debug)]
pub(crate) struct Clock {
    began: Timestamp,
    since: Instant,
    speed: f64,
}

impl Clock {
    fn new(speed: f64) -> Self {
        Self { began: Timestamp::now(), since: Instant::now(), speed: speed.max(0.001) }
    }

    fn now(&self) -> Timestamp {
        crate::world::timeline::after(self.began, self.since.elapsed().mul_f64(self.speed))
    }

    /// How long a simulated duration takes in real time.
    pub fn real(&self, simulated: Duration) -> Duration {
        simulated.div_f64(self.speed)
    }

    fn real_until(&self, time: Timestamp) -> Duration {
        self.real(Duration::try_from(time.duration_since(self.now())).unwrap_or_default())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<R>(&self, run: impl FnOnce(&mut World, Timestamp) -> R) -> R {
        let result = {
            let mut world = self.lock();
            let now = self.clock.now();
            world.advance(now);
            run(&mut world, now)
        };
        self.changed.send_modify(|count| *count += 1);
        result
    }

    pub(crate) fn call(&self, request: &Request) -> Reply {
        self.with(|world, now| world.handle(now, request))
    }

    /// How far GitHub's clock is ahead of the callers'.
    pub(crate) fn github_ahead(&self) -> SignedDuration {
        SignedDuration::from_secs(self.lock().settings().github_ahead_seconds)
    }

    /// Asking again changes nothing by itself: others are only told if something was due.
    pub(crate) fn resume(&self, ticket: Ticket) -> Reply {
        let (reply, happened) = {
            let mut world = self.lock();
            let now = self.clock.now();
            let happened = world.next_due().is_some_and(|due| due <= now);
            (world.resume(now, ticket), happened)
        };
        if happened {
            self.changed.send_modify(|count| *count += 1);
        }
        reply
    }

    /// Wait until the world changes, or this time has come.
    pub(crate) async fn changed_or(&self, time: Timestamp) {
        let mut changes = self.changed.subscribe();
        let timeout = tokio::time::timeout(self.clock.real_until(time), changes.changed());
        // Either way, the caller looks again.
        let _ = timeout.await;
    }
}

impl Simulator {
    /// Start to serve a world on three free loopback ports.
    ///
    /// # Errors
    /// When no port is free, the traffic log cannot be opened, or no key can be made.
    pub async fn start(settings: Settings, options: ServeOptions) -> io::Result<Self> {
        let keys = Keys::of_process()?;
        let (github, github_url) = listen().await?;
        let (gcp, gcp_url) = listen().await?;
        let (proxmox, proxmox_url) = listen().await?;
        let clock = Clock::new(options.speed);
        let mut world = World::new(settings, clock.now());
        world.access.app_public_key = Some(keys.app.public.clone());
        world.access.app_private_key_pem = Some(keys.app.pkcs1_pem());
        world.access.service_account_public_key = Some(keys.service_account.public.clone());
        world.access.webhook_secret = options.webhook_secret;
        world.access.token_uri = format!("{gcp_url}/token");
        let client = reqwest::Client::builder().no_proxy().timeout(DELIVERY_TIMEOUT).build();
        let shared = Arc::new(Shared {
            world: Mutex::new(world),
            clock,
            changed: watch::Sender::new(0),
            wire_log: options.wire_log.as_deref().map(WireLog::open).transpose()?,
            client: client.map_err(io::Error::other)?,
        });
        let tasks = vec![
            tokio::spawn(serve(github, Api::GitHub, shared.clone())),
            tokio::spawn(serve(gcp, Api::Gcp, shared.clone())),
            tokio::spawn(serve(proxmox, Api::Proxmox, shared.clone())),
            tokio::spawn(run(shared.clone())),
        ];
        let simulator = Self { shared, keys, github_url, gcp_url, proxmox_url, tasks };
        if let Some(url) = options.webhook_url {
            simulator.set_webhook(&url);
        }
        Ok(simulator)
    }

    /// `http://127.0.0.1:PORT`, for `github.api_url`.
    pub fn github_url(&self) -> String {
        self.github_url.clone()
    }

    /// `http://127.0.0.1:PORT`, for `providers.….endpoint`.
    pub fn gcp_url(&self) -> String {
        self.gcp_url.clone()
    }

    /// `http://127.0.0.1:PORT`, for `providers.….url`.
    pub fn proxmox_url(&self) -> String {
        self.proxmox_url.clone()
    }

    /// The id of the Proxmox VE API token, for `providers.….token_id`.
    pub fn proxmox_token_id(&self) -> String {
        self.shared.lock().access.proxmox_token_id.clone()
    }

    /// Its secret, for `providers.….token_secret`.
    pub fn proxmox_token_secret(&self) -> String {
        self.shared.lock().access.proxmox_token_secret.clone()
    }

    /// Post deliveries there from now on.
    pub fn set_webhook(&self, url: &str) {
        self.shared.lock().point_webhook(url);
    }

    /// Look at the world, or change it. Everything due has happened by then. The world is locked
    /// meanwhile: no method of the simulator may be called from `run`.
    pub fn with<R>(&self, run: impl FnOnce(&mut World, Timestamp) -> R) -> R {
        self.shared.with(run)
    }

    /// Wait until a condition holds; it is looked at whenever the world changes.
    ///
    /// # Errors
    /// [`Timeout`] when it does not hold after `deadline`, in real time.
    pub async fn until(
        &self,
        deadline: Duration,
        mut holds: impl FnMut(&World) -> bool,
    ) -> Result<(), Timeout> {
        let mut changes = self.shared.changed.subscribe();
        let wait = async {
            while !holds(&self.shared.lock()) {
                if changes.changed().await.is_err() {
                    break;
                }
            }
        };
        tokio::time::timeout(deadline, wait).await.map_err(|_| Timeout { after: deadline })
    }

    /// The private key of the GitHub App, as GitHub hands it out (PKCS#1).
    pub fn app_private_key_pem(&self) -> String {
        self.keys.app.pkcs1_pem()
    }

    /// The app's client id, for `iss`.
    pub fn app_client_id(&self) -> String {
        self.shared.lock().access.client_id.clone()
    }

    /// The id of the app's installation.
    pub fn installation_id(&self) -> u64 {
        self.shared.lock().access.installation_id
    }

    /// A personal access token with all rights.
    pub fn pat(&self) -> String {
        self.shared.lock().access.pat.clone()
    }

    /// The contents of a service account's key file, for `GOOGLE_APPLICATION_CREDENTIALS`.
    pub fn service_account_json(&self) -> String {
        let world = self.shared.lock();
        let key = json!({
            "type": "service_account",
            "project_id": world.settings().project,
            "private_key_id": world.access.service_account_key_id,
            "private_key": self.keys.service_account.pkcs8_pem(),
            "client_email": world.access.service_account,
            "client_id": "100000000000000000001",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": world.access.token_uri,
            "universe_domain": "googleapis.com",
        });
        format!("{key:#}")
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn listen() -> io::Result<(TcpListener, String)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

async fn serve(listener: TcpListener, api: Api, shared: Arc<Shared>) {
    let router = Router::new().fallback(move |request: axum::extract::Request| {
        let shared = shared.clone();
        async move { http::answer(shared, api, request).await }
    });
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the simulator's server stopped");
    }
}

/// Let time pass: run what is due, send deliveries, sleep until something is due again.
async fn run(shared: Arc<Shared>) {
    let mut changes = shared.changed.subscribe();
    let permits = Arc::new(Semaphore::new(MOST_DELIVERIES));
    loop {
        changes.mark_unchanged();
        let (deliveries, next, happened) = {
            let mut world = shared.lock();
            let now = shared.clock.now();
            let happened = world.next_due().is_some_and(|due| due <= now);
            (world.take_deliveries(now), world.next_due(), happened)
        };
        for delivery in deliveries {
            tokio::spawn(send(shared.clone(), permits.clone(), delivery));
        }
        if happened {
            shared.changed.send_modify(|count| *count += 1);
        }
        let sleep = next.map_or(Duration::from_secs(3600), |due| shared.clock.real_until(due));
        // Either way, the loop looks again.
        let _ = tokio::time::timeout(sleep, changes.changed()).await;
    }
}

async fn send(shared: Arc<Shared>, permits: Arc<Semaphore>, delivery: Delivery) {
    let Ok(_permit) = permits.acquire().await else { return };
    // Where it points now: a call may have changed that.
    let url = shared.lock().webhook_target.clone();
    let status = http::deliver(&shared.client, url, delivery.headers, delivery.body).await;
    shared.with(|world, now| world.delivered(now, delivery.id, status));
}
