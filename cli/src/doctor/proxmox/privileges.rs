//! What the token may do, one privilege after the other.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use mayfly_service::provider::proxmox::{Proxmox, Resources, VmConfig};
use tokio::time::Instant;

use super::Lab;
use crate::doctor::finding::Findings;

/// A path, and what the token needs there.
pub(super) type Needs = BTreeMap<String, BTreeSet<&'static str>>;

/// Any of these opens the guest agent for what Mayfly does with it.
const UNRESTRICTED: &str = "VM.GuestAgent.Unrestricted";

/// What the token needs, by path: the table of infra/proxmox/README.md.
pub(super) fn needed(
    release: &str,
    lab: &Lab<'_>,
    resources: &Resources,
    templates: &BTreeMap<u32, VmConfig>,
) -> Needs {
    let major: u32 = release.split('.').next().and_then(|text| text.parse().ok()).unwrap_or(9);
    let agent: &[&str] =
        if major < 9 { &["VM.Monitor"] } else { &["VM.GuestAgent.Audit", "VM.GuestAgent.FileWrite"] };
    let mut needs = Needs::new();
    for placement in &lab.places {
        needs.entry(format!("/vms/{}", placement.template)).or_default().extend(["VM.Audit", "VM.Clone"]);
        let clones = match &placement.pool {
            Some(pool) => format!("/pool/{pool}"),
            None => format!("/vms/{}", lab.vmid_range.0),
        };
        let on_clones = ["VM.Allocate", "VM.Audit", "VM.Config.Options", "VM.PowerMgmt"];
        needs.entry(clones).or_default().extend(on_clones.into_iter().chain(agent.iter().copied()));
        let config = templates.get(&placement.template);
        for storage in config.into_iter().flat_map(|config| super::room::storages_of(placement, config)) {
            let on_storage = ["Datastore.AllocateSpace", "Datastore.Audit"];
            needs.entry(format!("/storage/{storage}")).or_default().extend(on_storage);
        }
        for bridge in config.into_iter().flat_map(|config| &config.bridges) {
            needs.entry(format!("/sdn/zones/localnetwork/{bridge}")).or_default().insert("SDN.Use");
        }
    }
    let all = resources.nodes.iter().map(|node| &node.name);
    for node in all.filter(|node| lab.nodes.is_empty() || lab.nodes.contains(node)) {
        needs.entry(format!("/nodes/{node}")).or_default().insert("Sys.Audit");
    }
    needs
}

/// Asks for what the token has on each of the paths.
pub(super) async fn examine(proxmox: &Proxmox, needs: &Needs, found: &mut Findings, deadline: Instant) {
    let asked =
        needs.iter().map(async |(path, wanted)| (path, wanted, proxmox.privileges_on(path, deadline).await));
    for (path, wanted, had) in join_all(asked).await {
        match had {
            Ok(had) => judge(path, wanted, &had, found),
            Err(error) => found.skipped(format!("privileges on {path}"), error.to_string()),
        }
    }
}

fn judge(path: &str, wanted: &BTreeSet<&'static str>, had: &BTreeSet<String>, found: &mut Findings) {
    for privilege in wanted {
        let by_another = privilege.starts_with("VM.GuestAgent.") && had.contains(UNRESTRICTED);
        let what = format!("privilege {privilege} on {path}");
        if had.contains(*privilege) || by_another {
            found.ok(what, "");
            continue;
        }
        let mend = format!(
            "give the token's role {privilege}, and the role to both the user and the token, on {path} or above it \
             (infra/proxmox/setup.sh does)"
        );
        if path.starts_with("/sdn/") {
            // In which SDN zone a bridge is, only who may see the zones is told.
            let why = "is missing; right only where the bridge is one of another SDN zone, on which the token has it";
            found.warning(what, why, mend);
        } else {
            found.wrong(what, "is missing", mend);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;

    fn levels(path: &str, wanted: &[&'static str], had: &[&str]) -> Vec<Level> {
        let mut found = Findings::of("lab");
        let had = had.iter().map(|each| (*each).to_owned()).collect();
        judge(path, &wanted.iter().copied().collect(), &had, &mut found);
        found.done().into_iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn privileges_are_told_one_by_one() {
        assert_eq!(levels("/vms/8000", &["VM.Audit", "VM.Clone"], &["VM.Clone"]), [Level::Wrong, Level::Ok]);
        assert_eq!(levels("/vms/9000", &["VM.GuestAgent.Audit"], &[UNRESTRICTED]), [Level::Ok]);
        assert_eq!(levels("/vms/9000", &["VM.Audit"], &[UNRESTRICTED]), [Level::Wrong]);
        assert_eq!(levels("/sdn/zones/localnetwork/vmbr0", &["SDN.Use"], &[]), [Level::Warning]);
    }
}
