//! What tells our VMs from all others: tags, and before there are any, the name and the description of the clone.

use mayfly_core::ids::{Deployment, PoolName, RunnerName};

use super::answers::VmEntry;

/// The first tag of every VM of ours.
const TAG: &str = "mayfly";
const DEPLOYMENT: &str = "mayfly-deployment: ";
const POOL: &str = "mayfly-pool: ";

/// The tags of a VM: those of its template, and ours.
pub(super) fn tags(deployment: &Deployment, of_template: &[String]) -> Vec<String> {
    let ours = [TAG.to_owned(), deployment_tag(deployment)];
    let others = of_template.iter().filter(|tag| *tag != TAG && !tag.starts_with("mayfly-")).cloned();
    others.chain(ours).collect()
}

fn deployment_tag(deployment: &Deployment) -> String {
    format!("{TAG}-{deployment}")
}

/// Whether the tags are those of a VM of this deployment.
pub(super) fn are_ours(tags: &[String], deployment: &Deployment) -> bool {
    let has = |wanted: &str| tags.iter().any(|tag| tag.eq_ignore_ascii_case(wanted));
    has(TAG) && has(&deployment_tag(deployment))
}

/// What the clone call itself says, so that an orphan is known even when everything after it fails.
pub(super) fn description(deployment: &Deployment, pool: &PoolName) -> String {
    format!(
        "A runner's VM, made by Mayfly for one job and deleted after it. Keep nothing on it.\n\n\
         {DEPLOYMENT}{deployment}\n{POOL}{pool}\n"
    )
}

/// The pool of a VM by its description; `None` for a stranger's.
pub(super) fn pool_of(description: &str, deployment: &Deployment) -> Option<PoolName> {
    let line = |key: &str| description.lines().find_map(|line| line.trim().strip_prefix(key)).map(str::trim);
    line(DEPLOYMENT).filter(|name| *name == deployment.as_str())?;
    PoolName::new(line(POOL)?).ok()
}

/// The pool of a VM by its name, which is its runner's.
pub(super) fn pool_by_name(name: &str, deployment: &Deployment) -> Option<PoolName> {
    RunnerName::parse(deployment, name).map(|runner| runner.pool().clone())
}

/// The name of a VM that has one. Until a clone's first disk is there its configuration holds nothing but its lock, and
/// Proxmox calls it by its id.
pub(super) fn own_name(vm: &VmEntry) -> Option<&str> {
    vm.name.as_deref().filter(|name| !is_nameless(Some(name), vm.vmid))
}

/// Whether the name is none.
pub(super) fn is_nameless(name: Option<&str>, vmid: u32) -> bool {
    name.is_none_or(|name| name.strip_prefix("VM ").and_then(|id| id.parse().ok()) == Some(vmid))
}

/// Whether the lock is that of a VM whose disks are not there yet.
pub(super) fn is_being_made(lock: Option<&str>) -> bool {
    matches!(lock, Some("clone" | "create"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vm_is_known_by_its_description_alone() {
        let (deployment, pool) = (Deployment::new("prod").unwrap(), PoolName::new("linux-gpu").unwrap());
        let text = description(&deployment, &pool);
        assert_eq!(pool_of(&text, &deployment), Some(pool));
        assert_eq!(pool_of(&text, &Deployment::new("test").unwrap()), None);
        for stranger in ["", "mayfly", "mayfly-pool: linux-gpu", "my-mayfly-deployment: prod"] {
            assert_eq!(pool_of(stranger, &deployment), None, "{stranger}");
        }
    }

    #[test]
    fn the_templates_own_tags_are_kept() {
        let deployment = Deployment::new("prod").unwrap();
        let tags = tags(&deployment, &["gpu".to_owned(), "mayfly".to_owned(), "mayfly-test".to_owned()]);
        assert_eq!(tags, ["gpu", "mayfly", "mayfly-prod"]);
        assert!(are_ours(&tags, &deployment));
        for strangers in
            [vec![], vec!["mayfly".to_owned()], vec!["mayfly".to_owned(), "mayfly-test".to_owned()]]
        {
            assert!(!are_ours(&strangers, &deployment), "{strangers:?}");
        }
    }
}
