//! What Proxmox VE answers, as far as it is used.
//!
//! Its numbers may come as text and its booleans as 0, 1, `"1"` or `true`, by version and call; fields may be missing
//! where the token may not see them. Unknown fields are left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::Value;

use super::error::{self, Error};

/// The memory of a VM whose configuration does not say (`memory`: default 512), in MiB.
const MEMORY_DEFAULT_MIB: u64 = 512;
const MIB: u64 = 1 << 20;

/// All that the cluster has (`GET /cluster/resources`). What the token may not see is not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// `type` = `node`
    pub nodes: Vec<NodeEntry>,
    /// `type` = `qemu`, and `lxc`, whose ids are of the same kind
    pub vms: Vec<VmEntry>,
    /// `type` = `storage`, once for each node
    pub storages: Vec<StorageEntry>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEntry {
    /// `node`
    pub name: String,
    /// `status` = `online`
    pub online: bool,
    /// Its memory, in bytes; not told of a node that is offline or may not be seen (`Sys.Audit`).
    pub maxmem: Option<u64>,
    /// What of it is in use, in bytes.
    pub mem: Option<u64>,
}

/// A VM or container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmEntry {
    /// `vmid`
    pub vmid: u32,
    /// Where it is.
    pub node: String,
    /// Not told of a VM whose node is offline, nor at once of a new one.
    pub name: Option<String>,
    /// `running`, `stopped`, or `unknown` when its node is offline.
    pub status: Option<String>,
    /// `clone`, `backup`, …: a task is at it, or died over it.
    pub lock: Option<String>,
    /// Its tags, each by itself.
    pub tags: Vec<String>,
    /// Whether it is a template.
    pub template: bool,
    /// Its memory, in bytes.
    pub maxmem: Option<u64>,
    /// What of it is in use, in bytes.
    pub mem: Option<u64>,
    /// In bytes, as its host sees it; since Proxmox VE 9.
    pub memhost: Option<u64>,
    /// For how long it runs, in seconds; 0 when it does not.
    pub uptime: Option<u64>,
    /// `type` = `lxc`
    pub is_container: bool,
}

/// A storage as one node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageEntry {
    /// Its name.
    pub storage: String,
    /// The node.
    pub node: String,
    /// Whether all nodes see the same.
    pub shared: bool,
    /// `status` = `available`
    pub available: bool,
    /// What is in use, in bytes.
    pub disk: Option<u64>,
    /// Its size, in bytes.
    pub maxdisk: Option<u64>,
}

/// A VM's configuration (`GET /nodes/{node}/qemu/{vmid}/config`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmConfig {
    /// `name`
    pub name: Option<String>,
    /// `description`
    pub description: Option<String>,
    /// `tags`, each by itself
    pub tags: Vec<String>,
    /// `lock`
    pub lock: Option<String>,
    /// `template`
    pub template: bool,
    /// Whether the guest agent is enabled (`agent`).
    pub agent: bool,
    /// Its memory (`memory`, there in MiB).
    pub memory_bytes: u64,
    /// The storages of its disks, EFI variables and TPM state.
    pub storages: BTreeSet<String>,
    /// The storages of its CD images and cloud-init drives. Proxmox refuses to clone to another node when one of these
    /// is not shared either.
    pub media_storages: BTreeSet<String>,
    /// The bridges of its network devices.
    pub bridges: BTreeSet<String>,
}

/// A VM as it is now (`GET …/status/current`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VmStatus {
    /// `name`
    pub name: Option<String>,
    /// `status` = `running`
    pub running: bool,
    /// `lock`
    pub lock: Option<String>,
    /// `tags`, each by itself
    pub tags: Vec<String>,
    /// In seconds.
    pub uptime: Option<u64>,
}

/// How far a task is (`GET …/tasks/{upid}/status`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TaskState {
    /// At work.
    Running,
    /// Done, perhaps with warnings.
    Done,
    /// It failed.
    Failed(Error),
}

/// A task's name: `UPID:node:pid:pstart:starttime:type:id:user:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Upid(String);

/// What is no [`Upid`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no task's UPID")]
pub(super) struct WrongUpid(String);

impl Upid {
    /// The node that runs it, and tells of it.
    pub fn node(&self) -> &str {
        self.0.split(':').nth(1).unwrap_or_default()
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Upid {
    type Err = WrongUpid;

    /// By the pattern that Proxmox reads its own with (`PVE::UPID`).
    fn from_str(text: &str) -> Result<Self, WrongUpid> {
        /// No true one is near it.
        const LENGTH_MAX: usize = 512;
        let hex = |part: &str, most| {
            (8..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let word =
            |part: &str| part.chars().all(|sign| !sign.is_whitespace() && !sign.is_control() && sign != '/');
        let node = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        let parts: Vec<&str> = text.split(':').take(10).collect();
        let right = match parts.as_slice() {
            ["UPID", name, pid, pstart, start, kind, id, user, ""] => {
                node(name)
                    && hex(pid, 8)
                    && hex(pstart, 9)
                    && hex(start, 8)
                    && !kind.is_empty()
                    && !user.is_empty()
                    && [kind, id, user].into_iter().all(|part| word(part))
            }
            _ => false,
        };
        if right && text.len() <= LENGTH_MAX {
            Ok(Self(text.to_owned()))
        } else {
            Err(WrongUpid(text.chars().take(60).collect()))
        }
    }
}

impl Resources {
    /// Of `data`. A node or a storage without its name cannot be used and is left out. `None` where a VM has no id or no node:
    /// it may be any, and must not look as if it were not there.
    pub(super) fn read(entries: &[Fields]) -> Option<Self> {
        let mut all = Self::default();
        for entry in entries {
            match entry.text("type").as_deref() {
                Some("node") => all.nodes.extend(node(entry)),
                Some("qemu") => all.vms.push(vm(entry, false)?),
                Some("lxc") => all.vms.push(vm(entry, true)?),
                Some("storage") => all.storages.extend(storage(entry)),
                Some(_) | None => {}
            }
        }
        Some(all)
    }
}

fn node(entry: &Fields) -> Option<NodeEntry> {
    Some(NodeEntry {
        name: entry.text("node")?,
        online: entry.is("status", "online"),
        maxmem: entry.number("maxmem"),
        mem: entry.number("mem"),
    })
}

fn vm(entry: &Fields, is_container: bool) -> Option<VmEntry> {
    Some(VmEntry {
        vmid: u32::try_from(entry.number("vmid")?).ok()?,
        node: entry.text("node")?,
        name: entry.text("name"),
        status: entry.text("status"),
        lock: entry.text("lock"),
        tags: entry.tags(),
        template: entry.flag("template"),
        maxmem: entry.number("maxmem"),
        mem: entry.number("mem"),
        memhost: entry.number("memhost"),
        uptime: entry.number("uptime"),
        is_container,
    })
}

fn storage(entry: &Fields) -> Option<StorageEntry> {
    Some(StorageEntry {
        storage: entry.text("storage")?,
        node: entry.text("node")?,
        shared: entry.flag("shared"),
        available: entry.is("status", "available"),
        disk: entry.number("disk"),
        maxdisk: entry.number("maxdisk"),
    })
}

impl VmConfig {
    /// Of `data`.
    pub(super) fn read(data: &Fields) -> Self {
        let mut storages = BTreeSet::new();
        let mut media_storages = BTreeSet::new();
        let mut bridges = BTreeSet::new();
        for (key, value) in &data.0 {
            bridges.extend(value.as_str().filter(|_| is_network(key)).and_then(bridge_of).map(str::to_owned));
            let Some(drive) = value.as_str().filter(|_| is_drive(key)) else { continue };
            let Some(storage) = storage_of(drive) else { continue };
            let media = drive.split(',').any(|option| option == "media=cdrom");
            if media { &mut media_storages } else { &mut storages }.insert(storage.to_owned());
        }
        let mib = data.text("memory").and_then(|text| leading(&text, "current")?.parse::<u64>().ok());
        Self {
            name: data.text("name"),
            description: data.text("description"),
            tags: data.tags(),
            lock: data.text("lock"),
            template: data.flag("template"),
            agent: data.text("agent").is_some_and(|text| leading(&text, "enabled").is_some_and(is_true)),
            memory_bytes: mib.unwrap_or(MEMORY_DEFAULT_MIB).saturating_mul(MIB),
            storages,
            media_storages,
            bridges,
        }
    }
}

impl VmStatus {
    /// Of `data`.
    pub fn read(data: &Fields) -> Self {
        Self {
            name: data.text("name"),
            running: data.is("status", "running"),
            lock: data.text("lock"),
            tags: data.tags(),
            uptime: data.number("uptime"),
        }
    }
}

impl TaskState {
    /// Of `data`: `status` is `running` or `stopped`, and `exitstatus` is then `OK`, `WARNINGS: n` or the error.
    pub fn read(data: &Fields) -> Self {
        if data.is("status", "running") {
            return Self::Running;
        }
        let exit = data.text("exitstatus").unwrap_or_default();
        let warnings = exit.strip_prefix("WARNINGS: ").is_some_and(|count| count.parse::<u32>().is_ok());
        if exit == "OK" || warnings { Self::Done } else { Self::Failed(error::of_task(&exit)) }
    }
}

/// An object of Proxmox's, read leniently.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Fields(BTreeMap<String, Value>);

impl Fields {
    /// The names of the fields that are objects, with the names in each.
    pub fn names(&self) -> BTreeMap<String, BTreeSet<String>> {
        let inner = |(key, value): (&String, &Value)| {
            Some((key.clone(), value.as_object()?.keys().cloned().collect()))
        };
        self.0.iter().filter_map(inner).collect()
    }

    /// A text; a number counts as one, and an empty one as none.
    pub fn text(&self, key: &str) -> Option<String> {
        match self.0.get(key)? {
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(u8::from(*flag).to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn is(&self, key: &str, text: &str) -> bool {
        self.0.get(key).and_then(Value::as_str) == Some(text)
    }

    /// A number that is not negative, whole or rounded down.
    fn number(&self, key: &str) -> Option<u64> {
        let text = self.text(key)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rounded down, and what is too large becomes the largest"
        )]
        let rounded = |number: f64| (number.is_finite() && number >= 0.0).then_some(number as u64);
        text.parse().ok().or_else(|| rounded(text.parse().ok()?))
    }

    fn flag(&self, key: &str) -> bool {
        self.text(key).is_some_and(|text| is_true(&text))
    }

    /// Separated by `;`, in older versions by `,` or a space.
    fn tags(&self) -> Vec<String> {
        let text = self.text("tags").unwrap_or_default();
        text.split([';', ',', ' ']).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
    }
}

fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on")
}

/// The value of a property string's default key, which may be written without it: of `1,type=virtio`, and of
/// `type=virtio,enabled=1`, `enabled` is `1`.
fn leading<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let named = |option: &'a str| option.strip_prefix(key)?.strip_prefix('=');
    let first = text.split(',').next().filter(|option| !option.contains('='));
    text.split(',').find_map(named).or(first).map(str::trim)
}

/// `ide0`, `scsi12`, `efidisk0`: not `scsihw`.
fn is_drive(key: &str) -> bool {
    const KINDS: [&str; 6] = ["ide", "sata", "scsi", "virtio", "efidisk", "tpmstate"];
    let number = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    KINDS.iter().any(|kind| key.strip_prefix(kind).is_some_and(number))
}

/// `net0`
fn is_network(key: &str) -> bool {
    key.strip_prefix("net")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The bridge of `virtio=BC:24:…,bridge=vmbr0`.
fn bridge_of(device: &str) -> Option<&str> {
    device.split(',').find_map(|option| option.strip_prefix("bridge="))
}

/// The storage of `storage:volume,option=…`; `None` for `none`, `cdrom` and a device of the host.
fn storage_of(drive: &str) -> Option<&str> {
    let file = drive.split(',').find_map(|option| option.strip_prefix("file="));
    let (storage, volume) = file.or_else(|| drive.split(',').next())?.split_once(':')?;
    (!storage.is_empty() && !volume.is_empty() && !storage.contains('/')).then_some(storage)
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
