//! A VM of the cluster: its configuration, and where it stands.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::shapes::tags_in;
use crate::world::guest::{Guest, Inside};
use crate::world::ids::VmId;
use crate::world::lab::{GuestOs, Template};
use crate::world::request::Api;
use crate::world::settings::Settings;
use crate::world::timeline::after;
use crate::world::view::VmView;

const MIB: u64 = 1024 * 1024;

/// Why a configuration may not be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    /// It is being cloned.
    Clone,
    /// It is being deleted.
    Destroyed,
}

impl Lock {
    pub fn name(self) -> &'static str {
        match self {
            Self::Clone => "clone",
            Self::Destroyed => "destroyed",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Power {
    Off,
    /// A start's task is under way.
    Starting,
    On,
}

/// Its only disk.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    pub storage: String,
    pub bytes: u64,
    /// How much it takes of the storage.
    pub used_bytes: u64,
    /// The volume's name, as in `ceph:vm-9001-disk-0`; none while it is being cloned.
    pub volume: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct LabVm {
    pub id: VmId,
    pub vmid: u32,
    pub node: String,
    /// Its options as they are in its file; not the lock and the disk.
    pub options: BTreeMap<String, String>,
    pub lock: Option<Lock>,
    pub is_template: bool,
    pub disk: Option<Disk>,
    pub power: Power,
    /// When it was last switched on or off: `pvestatd` tells of it later.
    pub switched: Timestamp,
    /// Whether it was on before that.
    pub was_on: bool,
    pub created: Timestamp,
    pub os: GuestOs,
    pub max_lifetime: Duration,
    /// When its guest was up, if it is on.
    pub booted: Option<Timestamp>,
    /// When its guest powers itself off.
    pub expires: Option<Timestamp>,
    pub inside: Inside,
    /// What was written into the guest.
    pub files: BTreeMap<String, String>,
}

impl LabVm {
    /// A VM that has nothing but a name and a bit of memory.
    pub fn bare(id: VmId, vmid: u32, node: &str, name: &str, now: Timestamp) -> Self {
        let options = [("name", name), ("memory", "4096"), ("cores", "2"), ("ostype", "l26")];
        Self {
            id,
            vmid,
            node: node.to_owned(),
            options: options.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            lock: None,
            is_template: false,
            disk: None,
            power: Power::Off,
            switched: now,
            was_on: false,
            created: now,
            os: GuestOs::Linux,
            max_lifetime: Duration::MAX,
            booted: None,
            expires: None,
            inside: Inside::off(),
            files: BTreeMap::new(),
        }
    }

    pub fn from_template(id: VmId, template: &Template, now: Timestamp) -> Self {
        // It has been there for long: its figures are known.
        let long_ago = now.checked_sub(Duration::from_secs(30 * 24 * 3600)).unwrap_or(now);
        let mut vm = Self::bare(id, template.vmid, &template.node, &template.name, long_ago);
        let kind = if template.is_template { "base" } else { "vm" };
        vm.is_template = template.is_template;
        vm.os = template.os;
        vm.max_lifetime = template.max_lifetime;
        vm.disk = Some(Disk {
            storage: template.storage.clone(),
            bytes: template.disk_bytes,
            used_bytes: template.disk_bytes,
            volume: Some(format!("{kind}-{}-disk-0", template.vmid)),
        });
        vm.set("memory", &(template.memory_bytes / MIB).to_string());
        vm.set("cores", "4");
        vm.set("boot", "order=scsi0");
        vm.set("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0");
        vm.set("scsihw", "virtio-scsi-single");
        if template.has_agent {
            vm.set("agent", "enabled=1");
        }
        if template.os == GuestOs::Windows {
            vm.set("ostype", "win11");
        }
        vm
    }

    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.options.insert(name.to_owned(), value.to_owned());
    }

    pub fn name(&self) -> String {
        self.option("name").map_or_else(|| format!("VM {}", self.vmid), str::to_owned)
    }

    /// Its name as it is told. Until a clone's disk is there its configuration holds nothing but the lock
    /// (`# qmclone temporary file`), and a VM without a name is called by its id.
    pub fn told_name(&self) -> String {
        if self.is_temporary() { format!("VM {}", self.vmid) } else { self.name() }
    }

    /// Whether its configuration is the one that a clone begins with.
    pub fn is_temporary(&self) -> bool {
        self.lock == Some(Lock::Clone)
    }

    pub fn memory_bytes(&self) -> u64 {
        let text = self.option("memory").unwrap_or_default();
        let text = text.split(',').next().unwrap_or_default().trim_start_matches("current=");
        text.parse().unwrap_or(512) * MIB
    }

    /// `1`, `1,…` or `enabled=1,…`
    pub fn has_agent(&self) -> bool {
        let mut parts = self.option("agent").unwrap_or_default().split(',');
        parts.any(|part| part == "1" || part == "enabled=1")
    }

    pub fn is_running(&self) -> bool {
        self.power == Power::On
    }

    pub fn holds_memory(&self) -> bool {
        self.power != Power::Off
    }

    pub fn agent_answers(&self) -> bool {
        match self.inside.guest {
            Guest::Down | Guest::Booting => false,
            Guest::Unconfigured | Guest::Registering(_) | Guest::Serving | Guest::Leaving => {
                self.is_running()
            }
        }
    }

    pub fn switch(&mut self, now: Timestamp, power: Power) {
        if (self.power == Power::On) != (power == Power::On) {
            self.switched = now;
            self.was_on = self.power == Power::On;
        }
        self.power = power;
    }

    /// Whether it runs, as `pvestatd` last told.
    pub fn seems_running(&self, now: Timestamp, lag: Duration) -> bool {
        if now < after(self.switched, lag) { self.was_on } else { self.is_running() }
    }

    pub fn has_tag(&self, tag: &str) -> bool {
        tags_in(self.option("tags").unwrap_or_default()).any(|each| each == tag)
    }

    fn line(&self, key: &str) -> Option<String> {
        let lines = self.option("description")?.lines();
        let mut values = lines.filter_map(|line| line.trim().strip_prefix(key)?.strip_prefix(':'));
        values.next().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The deployment and the pool that its description says, in a line each.
    pub fn marks(&self) -> Option<(String, String)> {
        Some((self.line("mayfly-deployment")?, self.line("mayfly-pool")?))
    }

    /// The deployment whose tags it has.
    pub fn tagged_deployment(&self) -> Option<&str> {
        if !self.has_tag("mayfly") {
            return None;
        }
        tags_in(self.option("tags")?).find_map(|tag| tag.strip_prefix("mayfly-"))
    }

    /// By its tags, or, inside the range of ids, by its name and description. A template never is.
    pub fn is_ours(&self, settings: &Settings) -> bool {
        if self.is_template {
            return false;
        }
        if self.tagged_deployment().is_some_and(|deployment| settings.is_ours(deployment)) {
            return true;
        }
        let (first, last) = settings.proxmox.vmid_range;
        let Some((deployment, _)) = self.marks() else { return false };
        let is_named = self.name().starts_with(&format!("{deployment}-"));
        (first..=last).contains(&self.vmid) && is_named && settings.is_ours(&deployment)
    }

    /// The file that says that the JIT configuration is complete.
    pub fn ready_path(&self) -> String {
        format!("{}.ready", self.os.jit_config_path())
    }

    /// `max-lifetime=SECONDS`, a line of that file.
    pub fn told_lifetime(&self) -> Option<Duration> {
        let mut lines = self.files.get(&self.ready_path())?.lines();
        let text = lines.find_map(|line| line.trim().strip_prefix("max-lifetime="))?;
        text.trim().parse().ok().map(Duration::from_secs)
    }

    /// What the guest finds once the file is there that says that the configuration is complete.
    pub fn jit_config(&self) -> Option<String> {
        self.files.get(&self.ready_path())?;
        Some(self.files.get(self.os.jit_config_path()).cloned().unwrap_or_default())
    }

    pub fn delete_jit_config(&mut self) {
        self.files.remove(self.os.jit_config_path());
        self.files.remove(&self.ready_path());
    }

    pub fn status(&self) -> &'static str {
        match (self.lock, self.power) {
            (Some(lock), _) => lock.name(),
            (None, Power::Off) => "stopped",
            (None, Power::Starting) => "starting",
            (None, Power::On) => "running",
        }
    }

    pub fn view(&self, gone: Option<Timestamp>) -> VmView {
        let marks = ["mayfly-deployment", "mayfly-pool"];
        let labels = marks.into_iter().filter_map(|key| Some((key.to_owned(), self.line(key)?)));
        VmView {
            id: self.id,
            name: self.name(),
            zone: self.node.clone(),
            provider: Api::Proxmox,
            vmid: Some(self.vmid),
            status: self.status(),
            labels: labels.collect(),
            created: self.created,
            gone,
            runner: self.inside.runner,
        }
    }
}
