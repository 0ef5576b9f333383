//! A cluster, a table, functions that share them, and what is asked of all.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::ids::{Deployment, PoolName, ProviderName, RunnerName, SlotIndex, nonce};
use mayfly_core::making::MakingStep;
use mayfly_core::policy::{Platform, ProxmoxPlacement};
use mayfly_core::slot::VmPlace;
use mayfly_service::config::Trust;
use mayfly_service::provider::proxmox::{
    Advanced, Cloning, Going, NewVm, Proxmox, ProxmoxSettings, ProxmoxUse, Reached,
};
use mayfly_service::provider::{CreateError, Deletion, Listed};
use mayfly_service::secret::{Secret, SecretSource};
use mayfly_service::store::{Ledger, create_table, local_aws_config};
use mayfly_testkit::table::EmbeddedTable;
use mayfly_testkit::wirecheck_new;
use serde_json::{Value, json};
use simulator::{
    Api, Fault, Method, Request, ServeOptions, Settings, Simulator, ViolationKind, VmView, World,
};
use tokio::time::Instant;

use super::logs;

pub const GIB: u64 = 1 << 30;
pub const JIT: &str = "eyJzZWNyZXQiOiJvZiBhIHJ1bm5lciwgd2hpY2ggaXMgbm9ib2R5J3MgYnVzaW5lc3MifQ==";
pub const LIFETIME: Duration = Duration::from_secs(3600);
const TABLE: &str = "mayfly-test";

pub struct Story {
    pub world: Simulator,
    pub table: EmbeddedTable,
    /// A function that is warm, as far as the story made it so.
    pub lab: Proxmox,
    pub deployment: Deployment,
    pub pool: PoolName,
    pub placement: ProxmoxPlacement,
    aws: aws_config::SdkConfig,
    directory: PathBuf,
}

impl Drop for Story {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Story {
    pub async fn begin() -> Self {
        Self::of(|_| {}).await
    }

    /// In a world that is different.
    pub async fn of(change: impl FnOnce(&mut Settings)) -> Self {
        static STORIES: AtomicU64 = AtomicU64::new(0);
        logs::watch();
        let name = format!("proxmox-{}-{}", std::process::id(), STORIES.fetch_add(1, Ordering::Relaxed));
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let mut settings = Settings { deployment: Some("prod".to_owned()), ..Settings::brisk() };
        change(&mut settings);
        let options =
            ServeOptions { wire_log: Some(directory.join("wire.jsonl")), ..ServeOptions::default() };
        let world = Simulator::start(settings, options).await.unwrap();
        logs::must_not_show(&world.proxmox_token_secret());
        logs::must_not_show(JIT);
        std::fs::write(directory.join("token"), world.proxmox_token_secret()).unwrap();
        let table = EmbeddedTable::start().unwrap();
        let aws = local_aws_config(&table.endpoint()).await;
        create_table(&aws, TABLE).await.unwrap();
        let deployment = Deployment::new("prod").unwrap();
        let placement = ProxmoxPlacement { template: 8000, full_clone: false, storage: None, pool: None };
        let settings = settings_of(&world, &directory);
        let lab = function(settings, &deployment, &placement, &aws);
        let pool = PoolName::new("linux").unwrap();
        Self { world, table, lab, deployment, pool, placement, aws, directory }
    }

    /// What a function is told of the cluster.
    pub fn settings(&self) -> ProxmoxSettings {
        settings_of(&self.world, &self.directory)
    }

    /// One more function, which knows nothing yet.
    pub fn cold(&self) -> Proxmox {
        self.cold_with(self.settings())
    }

    pub fn cold_with(&self, settings: ProxmoxSettings) -> Proxmox {
        function(settings, &self.deployment, &self.placement, &self.aws)
    }

    /// A file of the story's own.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A name that was never given before.
    pub fn name(&self) -> RunnerName {
        static NAMES: AtomicU64 = AtomicU64::new(0);
        let number = NAMES.fetch_add(1, Ordering::Relaxed);
        let slot = SlotIndex(u16::try_from(number % 1000).unwrap());
        RunnerName::new(&self.deployment, &self.pool, slot, nonce(Timestamp::now(), number))
    }

    pub async fn clone_of(&self, lab: &Proxmox, name: &RunnerName) -> Result<Cloning, CreateError> {
        self.clone_within(lab, name, Duration::from_secs(20)).await
    }

    pub async fn clone_within(
        &self,
        lab: &Proxmox,
        name: &RunnerName,
        time: Duration,
    ) -> Result<Cloning, CreateError> {
        let deadline = Instant::now() + time;
        lab.begin(&self.placement, NewVm { name, pool: &self.pool, job: None, deadline }).await
    }

    /// A VM whose guest agent answers.
    pub async fn made(&self) -> (RunnerName, VmPlace) {
        let name = self.name();
        let cloning = self.clone_of(&self.lab, &name).await.unwrap();
        let advanced = advance_clone(&self.lab, &name, &cloning).await;
        assert!(matches!(advanced.reached, Reached::Agent), "{advanced:?}");
        (name, advanced.place)
    }

    /// A VM whose clone is done, and which was not started.
    pub async fn cloned(&self) -> (RunnerName, Cloning) {
        let name = self.name();
        let cloning = self.clone_of(&self.lab, &name).await.unwrap();
        self.until(|world| vm_named(world, name.as_str()).is_some_and(|vm| vm.status == "stopped")).await;
        (name, cloning)
    }

    /// Deletes a VM and sees it go.
    pub async fn removed(&self, name: &RunnerName, place: Option<&VmPlace>) {
        let going = self.lab.delete(name.as_str(), place, soon()).await.unwrap();
        assert_eq!(self.lab.wait_gone(&going, soon()).await.unwrap(), Deletion::Gone);
        assert!(self.vm(name).is_none(), "{:?}", self.vm(name));
    }

    pub async fn listed(&self) -> Listed {
        self.lab.list(soon()).await.unwrap()
    }

    /// Of the VMs that are listed.
    pub async fn listed_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.listed().await.vms.into_iter().map(|vm| vm.name).collect();
        names.sort();
        names
    }

    pub async fn until(&self, holds: impl FnMut(&World) -> bool) {
        self.until_within(Duration::from_secs(10), holds).await;
    }

    pub async fn until_within(&self, time: Duration, holds: impl FnMut(&World) -> bool) {
        self.world.until(time, holds).await.unwrap();
    }

    pub fn with<R>(&self, run: impl FnOnce(&mut World, Timestamp) -> R) -> R {
        self.world.with(run)
    }

    pub fn strike(&self, endpoint: &str, fault: Fault) {
        self.with(|world, _| world.faults.once(endpoint, fault));
    }

    /// Of one endpoint, without `proxmox.`.
    pub fn calls(&self, endpoint: &str) -> u64 {
        self.with(|world, _| world.calls_of(&format!("proxmox.{endpoint}")))
    }

    pub fn vms(&self) -> Vec<VmView> {
        self.with(|world, _| world.vms())
    }

    pub fn vm(&self, name: &RunnerName) -> Option<VmView> {
        self.with(|world, _| vm_named(world, name.as_str()))
    }

    /// How many VMs there ever were of that name.
    pub fn ever(&self, name: &RunnerName) -> usize {
        let view = self.with(|world, _| world.view());
        view.vms.iter().chain(&view.gone_vms).filter(|vm| vm.name == name.as_str()).count()
    }

    /// A stranger's VM that runs.
    pub fn stranger(&self, node: &str, vmid: u32, name: &str) {
        self.with(|world, now| world.add_lab_vm(now, node, vmid, name, "", &[])).unwrap();
    }

    /// As its owner sees it: past the faults and the privileges of our token.
    pub fn config(&self, place: &VmPlace) -> Value {
        let (node, vmid) = place.at.split_once('/').unwrap();
        self.by_hand(Method::Get, &format!("/nodes/{node}/qemu/{vmid}/config"), &[])
    }

    /// A call that somebody else makes.
    pub fn by_hand(&self, method: Method, path: &str, fields: &[(&str, &str)]) -> Value {
        self.with(|world, now| {
            let (id, secret) =
                (world.access.proxmox_token_id.clone(), world.access.proxmox_token_secret.clone());
            let path = format!("/api2/json{path}");
            let request = Request::new(Api::Proxmox, method, path, now).proxmox_token(&id, &secret);
            let request = fields.iter().fold(request, |request, (name, value)| request.query(name, value));
            world.handle(now, &request).answer().unwrap().value()["data"].clone()
        })
    }

    /// A registration of GitHub's for that runner.
    pub fn jit_config(&self, name: &RunnerName) -> Secret {
        let config = self.with(|world, now| {
            let path = "/orgs/shader-slang/actions/runners/generate-jitconfig";
            let pat = world.access.pat.clone();
            let body = json!({ "name": name.as_str(), "runner_group_id": 1, "labels": ["linux"] });
            let request = Request::new(Api::GitHub, Method::Post, path, now).bearer(&pat).json(&body);
            let answer = world.handle(now, &request).answer().unwrap();
            answer.value()["encoded_jit_config"].as_str().unwrap().to_owned()
        });
        logs::must_not_show(&config);
        Secret::new(config)
    }

    /// Nothing in the story may have broken a promise, asked for what is not published, or shown a secret.
    pub fn end(self) {
        self.end_with(&[]);
    }

    /// The same, but for promises that the story itself makes break.
    pub fn end_with(self, kinds: &[ViolationKind]) {
        let violations = self.with(|world, _| world.violations().to_vec());
        let seen: Vec<ViolationKind> = violations.iter().map(|violation| violation.kind).collect();
        assert_eq!(seen, kinds, "{violations:#?}");
        wirecheck_new(&self.directory.join("wire.jsonl"));
        logs::check();
    }
}

fn settings_of(world: &Simulator, directory: &std::path::Path) -> ProxmoxSettings {
    ProxmoxSettings {
        provider: ProviderName::new("lab").unwrap(),
        url: world.proxmox_url().parse().unwrap(),
        token_id: world.proxmox_token_id(),
        token_secret: SecretSource::File(directory.join("token")),
        trust: Trust::System,
        vmid_range: (9000, 9999),
        nodes: Vec::new(),
    }
}

fn function(
    settings: ProxmoxSettings,
    deployment: &Deployment,
    placement: &ProxmoxPlacement,
    aws: &aws_config::SdkConfig,
) -> Proxmox {
    let uses = ProxmoxUse {
        deployment: deployment.clone(),
        placements: vec![placement.clone()],
        step_timeout: Duration::from_secs(300),
    };
    let retention = Duration::from_secs(3 * 24 * 3600);
    Proxmox::new(settings, uses, Ledger::new(aws, TABLE.to_owned(), deployment.clone(), retention))
}

pub fn vm_named(world: &World, name: &str) -> Option<VmView> {
    world.vms().into_iter().find(|vm| vm.name == name)
}

/// Takes a clone on until its agent answers, as the function does that began it.
pub async fn advance_clone(lab: &Proxmox, name: &RunnerName, cloning: &Cloning) -> Advanced {
    let step = MakingStep::Cloning { task: cloning.task.clone() };
    lab.advance(name.as_str(), &cloning.place, &step, Some(&cloning.tags), soon()).await
}

/// Takes a VM up at some step, as a function does that finds it so in the table.
pub async fn take_up(
    lab: &Proxmox,
    name: &RunnerName,
    place: &VmPlace,
    step: &MakingStep,
    time: Duration,
) -> Advanced {
    lab.advance(name.as_str(), place, step, None, Instant::now() + time).await
}

pub async fn hand_over(lab: &Proxmox, place: &VmPlace, config: &Secret) {
    lab.hand_over(place, Platform::Linux, config, LIFETIME, soon()).await.unwrap();
}

pub async fn wait_gone(lab: &Proxmox, going: &Going) -> Deletion {
    lab.wait_gone(going, soon()).await.unwrap()
}

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

pub fn at(place: &str) -> VmPlace {
    VmPlace { provider: ProviderName::new("lab").unwrap(), at: place.to_owned() }
}

pub fn node_of(place: &VmPlace) -> String {
    place.at.split_once('/').unwrap().0.to_owned()
}

pub fn vmid_of(place: &VmPlace) -> u32 {
    place.at.split_once('/').unwrap().1.parse().unwrap()
}

/// Of a begin that found no room: what each place said.
pub fn no_room(result: Result<Cloning, CreateError>) -> String {
    match result {
        Err(CreateError::NoRoom(places)) => {
            places.iter().map(|over| format!("{}: {}\n", over.place, over.why)).collect()
        }
        other => panic!("{other:?}"),
    }
}
