//! The world: plain state, with time as an argument.

pub mod access;
pub(crate) mod call;
pub mod faults;
pub(crate) mod gcp;
pub mod github;
pub(crate) mod guest;
pub mod history;
pub mod ids;
pub mod intruder;
pub mod jobs;
pub mod lab;
pub mod people;
pub(crate) mod proxmox;
pub mod request;
pub mod rights;
pub(crate) mod rng;
pub(crate) mod scheduler;
pub mod settings;
pub(crate) mod shape;
pub(crate) mod timeline;
pub mod view;
pub mod violations;

use std::collections::BTreeMap;

use jiff::Timestamp;

pub use access::Access;
use faults::Faults;
use gcp::Gcp;
use github::GitHub;
use history::{Happening, HappeningKind};
use proxmox::Proxmox;
use rng::Rng;
use settings::Settings;
use timeline::{Due, Timeline};
use violations::Violation;

/// GitHub, Google Compute Engine, a Proxmox VE cluster, and the guests that tie them together.
///
/// Time only moves forward: a call with an earlier `now` than a previous one happens at the later time's
/// state. Nothing in here waits, does I/O or looks at a clock.
#[derive(Debug, Clone)]
pub struct World {
    /// What goes wrong; change it at any time.
    pub faults: Faults,
    /// The credentials that the world takes.
    pub access: Access,
    /// Where the webhook points, as the calls show it that list hooks.
    pub webhook_url: String,
    /// Where deliveries are sent; nowhere until somebody points the webhook there.
    pub(crate) webhook_target: Option<String>,
    pub(crate) settings: Settings,
    pub(crate) rng: Rng,
    pub(crate) timeline: Timeline,
    pub(crate) github: GitHub,
    pub(crate) gcp: Gcp,
    pub(crate) proxmox: Proxmox,
    pub(crate) history: Vec<Happening>,
    pub(crate) violations: Vec<Violation>,
    pub(crate) calls: BTreeMap<&'static str, u64>,
}

impl World {
    /// A world in which nothing has happened yet.
    pub fn new(settings: Settings, now: Timestamp) -> Self {
        let mut rng = Rng::new(settings.seed);
        let access = Access::from_seed(&mut rng, &settings.project);
        let proxmox = Proxmox::new(&settings.proxmox, now);
        Self {
            faults: Faults::default(),
            access,
            webhook_url: "https://example.com/webhook".to_owned(),
            webhook_target: None,
            rng,
            timeline: Timeline::default(),
            github: GitHub::default(),
            gcp: Gcp::new(now),
            proxmox,
            history: Vec::new(),
            violations: Vec::new(),
            calls: BTreeMap::new(),
            settings,
        }
    }

    /// What the world was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Change how long things take from now on.
    pub fn set_timing(&mut self, timing: settings::Timing) {
        self.settings.timing = timing;
    }

    /// Change one of a region's quotas.
    pub fn set_quota(&mut self, region: &str, metric: &str, limit: f64) {
        self.settings.set_quota(region, metric, limit);
    }

    /// Hold pools to other limits from now on (I2): what is there stays, the next insert is judged.
    pub fn set_pool_limits(&mut self, limits: Vec<settings::PoolLimit>) {
        self.settings.pool_limits = limits;
    }

    /// Change the Proxmox VE cluster's sizes, storages, limits or privileges: calls are judged by them from now on. Its VMs
    /// stay as they are, those from templates too.
    pub fn change_lab(&mut self, change: impl FnOnce(&mut lab::Lab)) {
        change(&mut self.settings.proxmox);
    }

    /// Run everything that is due by `now`, in order of time.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some((time, event)) = self.timeline.pop(now) {
            self.happen(time, event);
        }
    }

    /// When something will happen next, or a delivery is to be taken; none when all is still.
    pub fn next_due(&self) -> Option<Timestamp> {
        let delivery = self.github.outbox.first().map(|(time, _)| *time);
        [self.timeline.next(), delivery].into_iter().flatten().min()
    }

    /// The invariants that were broken so far, oldest first.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// All that happened so far, oldest first.
    pub fn history(&self) -> &[Happening] {
        &self.history
    }

    /// The same, taken out: for whoever is done with the world.
    pub fn take_history(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.history)
    }

    /// How often an endpoint was called, such as `gcp.insert`.
    pub fn calls_of(&self, endpoint: &str) -> u64 {
        self.calls.get(endpoint).copied().unwrap_or_default()
    }

    fn happen(&mut self, now: Timestamp, event: Due) {
        match event {
            Due::OperationRuns(name) => self.operation_runs(now, &name),
            Due::OperationEnds(name) => self.operation_ends(now, &name),
            Due::LabTaskEnds(upid) => self.lab_task_ends(now, &upid),
            Due::VmStages(id) => self.vm_stages(id),
            Due::GuestBoots(id) => self.guest_boots(now, id),
            Due::RunnerConnects(id) => self.runner_connects(now, id),
            Due::VmStops(id) => self.vm_stops(now, id),
            Due::VmExpires(id) => self.vm_expires(now, id),
            Due::VmVanishes(id) => self.remove_vm(now, id),
            Due::JobEnds(id) => self.job_ends(now, id),
            Due::JobIsLost(id) => self.job_is_lost(now, id),
            Due::RunnerSeemsOffline(id) => self.runner_seems_offline(now, id),
            Due::RegistrationExpires(id) => self.registration_expires(now, id),
            Due::RunnerIsDropped(id) => self.drop_runner(now, id),
        }
    }

    pub(crate) fn note(&mut self, time: Timestamp, kind: HappeningKind, text: String) {
        self.history.push(Happening { time, kind, text });
    }
}
