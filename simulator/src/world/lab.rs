//! What the Proxmox VE cluster is like: its nodes, storages and templates.

use std::collections::BTreeSet;
use std::time::Duration;

const GIB: u64 = 1024 * 1024 * 1024;
const SIX_HOURS: Duration = Duration::from_secs(6 * 3600);

/// A Proxmox VE cluster at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lab {
    /// The cluster's nodes, all online.
    pub nodes: Vec<Node>,
    /// Where disks are.
    pub storages: Vec<Storage>,
    /// The VMs that are there from the start, to be cloned.
    pub templates: Vec<Template>,
    /// Resource pools that a clone may be put into, by name.
    pub pools: BTreeSet<String>,
    /// What the API token may do, on all paths. Default: no more than an autoscaler's calls need.
    pub privileges: BTreeSet<String>,
    /// So many clones a storage bears at a time; the lock of one more times out, which its task tells.
    pub clones_at_once: usize,
    /// Names, states and figures in `cluster/resources` are this old (`pvestatd`: about 10 s).
    pub stats_lag: Duration,
    /// `cluster/resources` forgets the names of VMs on a node that has been away for this long.
    pub stats_kept: Duration,
    /// The first and last VM id that the deployment may use: its name and description mark a VM as ours there.
    pub vmid_range: (u32, u32),
}

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// For example `pve1`.
    pub name: String,
    /// Its memory.
    pub memory_bytes: u64,
    /// What the node itself takes of it, whatever VMs run.
    pub host_used_bytes: u64,
}

/// A storage for disks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// For example `local-lvm`.
    pub name: String,
    /// One storage that its nodes share (Ceph), or one of this name on each of them (LVM).
    pub shared: bool,
    /// The nodes that have it; none for all.
    pub nodes: Option<Vec<String>>,
    /// Its size, on each node when it is not shared.
    pub bytes: u64,
}

impl Storage {
    /// Whether a node reaches it.
    pub fn is_on(&self, node: &str) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.iter().any(|each| each == node))
    }
}

/// The operating system in a VM: it says where a guest looks for its JIT configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestOs {
    /// Below `/var/lib/mayfly`.
    Linux,
    /// Below `C:\ProgramData\mayfly`.
    Windows,
}

impl GuestOs {
    /// The file that holds the JIT configuration. With `.ready` after it, the file that says it is complete.
    pub fn jit_config_path(self) -> &'static str {
        match self {
            Self::Linux => "/var/lib/mayfly/jit-config",
            Self::Windows => r"C:\ProgramData\mayfly\jit-config",
        }
    }
}

/// A VM to be cloned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Its VM id.
    pub vmid: u32,
    /// Its name.
    pub name: String,
    /// The node that its configuration is on.
    pub node: String,
    /// The memory of each clone.
    pub memory_bytes: u64,
    /// Where its only disk is.
    pub storage: String,
    /// That disk's size.
    pub disk_bytes: u64,
    /// Whether it was made a template; if not, it is a VM as any other.
    pub is_template: bool,
    /// Whether its configuration lets the guest agent be spoken to.
    pub has_agent: bool,
    /// What runs in it.
    pub os: GuestOs,
    /// Its guests power themselves off this long after they booted, unless told otherwise.
    pub max_lifetime: Duration,
}

impl Template {
    /// A Linux template of 8 GiB with a disk of 32 GiB and the guest agent, on the storage `ceph`.
    pub fn linux(vmid: u32, node: &str) -> Self {
        Self {
            vmid,
            name: "linux-runner".to_owned(),
            node: node.to_owned(),
            memory_bytes: 8 * GIB,
            storage: "ceph".to_owned(),
            disk_bytes: 32 * GIB,
            is_template: true,
            has_agent: true,
            os: GuestOs::Linux,
            max_lifetime: SIX_HOURS,
        }
    }
}

/// What the calls of an autoscaler need, and nothing else: `proxmox.json`, `permissions` of each call. `Sys.Audit` is for
/// the nodes' memory, which is left out of `cluster/resources` without it.
const PRIVILEGES: [&str; 11] = [
    "Datastore.AllocateSpace",
    "Datastore.Audit",
    "SDN.Use",
    "Sys.Audit",
    "VM.Allocate",
    "VM.Audit",
    "VM.Clone",
    "VM.Config.Options",
    "VM.GuestAgent.Audit",
    "VM.GuestAgent.FileWrite",
    "VM.PowerMgmt",
];

impl Default for Lab {
    fn default() -> Self {
        let node =
            |name: &str| Node { name: name.to_owned(), memory_bytes: 64 * GIB, host_used_bytes: 4 * GIB };
        let storage =
            |name: &str, shared, bytes| Storage { name: name.to_owned(), shared, nodes: None, bytes };
        let linux = Template::linux(8000, "pve1");
        Self {
            nodes: ["pve1", "pve2", "pve3"].map(node).into(),
            storages: vec![storage("ceph", true, 4096 * GIB), storage("local-lvm", false, 512 * GIB)],
            templates: vec![
                linux.clone(),
                Template {
                    name: "windows-runner".to_owned(),
                    memory_bytes: 16 * GIB,
                    disk_bytes: 64 * GIB,
                    os: GuestOs::Windows,
                    ..Template::linux(8001, "pve2")
                },
                Template {
                    name: "linux-runner-local".to_owned(),
                    storage: "local-lvm".to_owned(),
                    ..Template::linux(8002, "pve3")
                },
                Template { name: "plain-vm".to_owned(), is_template: false, ..Template::linux(8003, "pve1") },
            ],
            pools: BTreeSet::from(["runners".to_owned()]),
            privileges: PRIVILEGES.map(str::to_owned).into(),
            clones_at_once: 4,
            stats_lag: Duration::from_secs(10),
            stats_kept: Duration::from_secs(300),
            vmid_range: (9000, 9999),
        }
    }
}

impl Lab {
    /// The default cluster, whose figures are hardly ever old.
    pub fn brisk() -> Self {
        Self {
            stats_lag: Duration::from_millis(20),
            stats_kept: Duration::from_millis(500),
            ..Self::default()
        }
    }

    pub(crate) fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    pub(crate) fn storage(&self, name: &str) -> Option<&Storage> {
        self.storages.iter().find(|storage| storage.name == name)
    }
}
