//! A world, a provider for it, and what is asked of both.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use mayfly_core::ids::{Deployment, PoolName, ProviderName, RunnerName, SlotIndex, Zone};
use mayfly_core::policy::GcpPlacement;
use mayfly_core::slot::VmPlace;
use mayfly_service::provider::gcp::{Gcp, GcpCredentials, GcpSettings};
use mayfly_service::provider::{CreateError, Created, PassedOver, VmOrder};
use mayfly_service::secret::Secret;
use serde_json::{Value, json};
use simulator::{Api, Fault, Method, Request, ServeOptions, Settings, Simulator, VmView};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

pub const T4: &str = "NVIDIA_T4_GPUS";
pub const JIT: &str = "eyJzZWNyZXQiOiJvZiBhIHJ1bm5lciJ9";

/// All that is logged in this process, at every level.
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

/// A world, a provider for it, and what a pool would ask of it.
pub struct Story {
    pub world: Simulator,
    pub gcp: Gcp,
    pub deployment: Deployment,
    pub pool: PoolName,
    pub jit_config: Secret,
    pub placement: GcpPlacement,
    pub cooling: BTreeSet<String>,
}

impl Story {
    pub async fn begin(settings: Settings) -> Self {
        Lines::of_process();
        let world = Simulator::start(settings, ServeOptions::default()).await.unwrap();
        let key = Secret::new(world.service_account_json());
        let gcp = provider(&world.gcp_url(), GcpCredentials::ServiceAccount(key));
        let zones = ["us-east1-c", "us-east1-d", "us-central1-a", "us-west1-a"];
        Self {
            world,
            gcp,
            deployment: Deployment::new("prod").unwrap(),
            pool: PoolName::new("linux-gpu").unwrap(),
            jit_config: Secret::new(JIT),
            placement: GcpPlacement {
                instance_template: "linux-gpu-runner".to_owned(),
                zones: zones.into_iter().map(|zone| Zone::new(zone).unwrap()).collect(),
                gpu_type: Some("nvidia-tesla-t4".to_owned()),
                spot: false,
            },
            cooling: BTreeSet::new(),
        }
    }

    pub fn name(&self, slot: u16) -> RunnerName {
        RunnerName::new(&self.deployment, &self.pool, SlotIndex(slot), u64::from(slot))
    }

    /// Makes the VM of a slot; the second is where `placed` was told that it is, in order.
    pub async fn create(&self, slot: u16) -> (Result<Created, CreateError>, Vec<String>) {
        self.create_within(slot, Duration::from_secs(30)).await
    }

    /// The same where nothing can be recorded.
    pub async fn create_unrecorded(&self, slot: u16) -> (Result<Created, CreateError>, Vec<String>) {
        self.create_with(slot, Duration::from_secs(30), false).await
    }

    pub async fn create_within(
        &self,
        slot: u16,
        time: Duration,
    ) -> (Result<Created, CreateError>, Vec<String>) {
        self.create_with(slot, time, true).await
    }

    async fn create_with(
        &self,
        slot: u16,
        time: Duration,
        recorded: bool,
    ) -> (Result<Created, CreateError>, Vec<String>) {
        let name = self.name(slot);
        let order = VmOrder {
            name: &name,
            deployment: &self.deployment,
            pool: &self.pool,
            job: None,
            jit_config: &self.jit_config,
            max_lifetime: Duration::from_secs(6 * 3600),
            deadline: Instant::now() + time,
        };
        let told = Mutex::new(Vec::new());
        let placed = async |place: VmPlace| {
            told.lock().unwrap().push(place.at);
            recorded
        };
        let result = self.gcp.create(&self.placement, &order, &self.cooling, placed).await;
        (result, told.into_inner().unwrap())
    }

    pub fn strike(&self, endpoint: &str, fault: Fault) {
        self.world.with(|world, _| world.faults.once(endpoint, fault));
    }

    pub fn calls(&self, endpoint: &str) -> u64 {
        self.world.with(|world, _| world.calls_of(endpoint))
    }

    pub fn vms(&self) -> Vec<VmView> {
        self.world.with(|world, _| world.vms())
    }

    /// `instances.get`, past the wire and its faults' counters.
    pub fn instance(&self, vm: &VmView) -> Value {
        self.world.with(|world, now| {
            let path = format!("/compute/v1/projects/slang-runners/zones/{}/instances/{}", vm.zone, vm.name);
            let request = Request::new(Api::Gcp, Method::Get, path, now).bearer(&world.access.gcp_token);
            world.handle(now, &request).answer().unwrap().value().clone()
        })
    }

    /// Nothing in the story may have broken a promise or asked for what is not published.
    pub fn end(self) {
        let violations = self.world.with(|world, _| world.violations().to_vec());
        assert!(violations.is_empty(), "{violations:#?}");
    }
}

pub fn provider(endpoint: &str, credentials: GcpCredentials) -> Gcp {
    Gcp::new(GcpSettings {
        provider: ProviderName::new("gcp").unwrap(),
        project: "slang-runners".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        credentials,
    })
}

pub fn place(zone: &str) -> VmPlace {
    VmPlace { provider: ProviderName::new("gcp").unwrap(), at: zone.to_owned() }
}

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

pub fn passed(created: &[PassedOver]) -> Vec<(&str, bool)> {
    created.iter().map(|over| (over.place.as_str(), over.full)).collect()
}

/// Answers one connection after the other with these bodies, and keeps the requests' first lines.
pub async fn canned(bodies: Vec<Value>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&asked);
    tokio::spawn(async move {
        for body in bodies {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 16 * 1024];
            let length = stream.read(&mut request).await.unwrap();
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            lines.lock().unwrap().push(text.lines().next().unwrap_or_default().to_owned());
            let body = body.to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
    });
    (url, asked)
}

pub async fn canned_provider(bodies: Vec<Value>) -> (Gcp, Arc<Mutex<Vec<String>>>) {
    let keys = Simulator::start(Settings::brisk(), ServeOptions::default()).await.unwrap();
    let (url, asked) = canned(bodies).await;
    let key = Secret::new(keys.service_account_json());
    (provider(&url, GcpCredentials::ServiceAccount(key)), asked)
}

pub fn vm(name: &str, zone: &str) -> Value {
    let zone = format!("https://www.googleapis.com/compute/v1/projects/slang-runners/zones/{zone}");
    let marks = json!({ "mayfly-deployment": "prod", "mayfly-pool": "linux-gpu" });
    json!({ "name": name, "zone": zone, "status": "RUNNING", "labels": marks })
}
