//! A project of Google Cloud: credentials, templates, zones, quotas, and what the caller may do with a VM.

mod quota;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use mayfly_core::ids::{PoolName, ProviderName};
use mayfly_core::policy::{GcpPlacement, PlacementKind, Pool};
use mayfly_service::config::Config;
use mayfly_service::provider::gcp::{Amount, Gcp, RegionSeen, TemplateSeen};
use mayfly_service::provider::{LookError, ProviderError};
use tokio::time::Instant;

use super::finding::{Finding, Findings};

/// What Mayfly does with a VM of its own (infra/modules/gcp: `ours`), as far as an instance that exists can be asked for it.
const ON_A_VM: [&str; 4] = [
    "compute.instances.delete",
    "compute.instances.get",
    "compute.instances.setLabels",
    "compute.instances.setMetadata",
];
const GRANT: &str =
    "give it to the service account (the README lists all that it needs, infra/modules/gcp grants them)";

/// A pool's placement here.
struct Place<'a> {
    pool: &'a Pool,
    gcp: &'a GcpPlacement,
}

/// What was seen of a project.
struct Seen {
    templates: BTreeMap<String, Result<TemplateSeen, LookError>>,
    regions: BTreeMap<String, Result<RegionSeen, LookError>>,
    project: Result<BTreeMap<String, Amount>, LookError>,
}

/// Looks at a project, as far as the pools use it.
pub async fn examine(config: &Config, name: &ProviderName, gcp: &Gcp, deadline: Instant) -> Vec<Finding> {
    let mut found = Findings::of(name.as_str());
    let places: Vec<Place<'_>> = places(config, name).collect();
    if places.is_empty() {
        found.warning(
            "placements",
            "no pool uses this provider",
            "take it out of the configuration, or name it in a placement",
        );
        return found.done();
    }
    let templates: BTreeSet<&str> = places.iter().map(|place| place.gcp.instance_template.as_str()).collect();
    let regions: BTreeSet<&str> =
        places.iter().flat_map(|place| &place.gcp.zones).map(|zone| zone.region()).collect();
    let (templates, regions, project, vms) = tokio::join!(
        join_all(
            templates
                .into_iter()
                .map(async |name| { (name.to_owned(), gcp.template_seen(name, deadline).await) })
        ),
        join_all(
            regions.into_iter().map(async |name| (name.to_owned(), gcp.region_seen(name, deadline).await))
        ),
        gcp.project_quotas(deadline),
        gcp.list(&config.policy.deployment, deadline),
    );
    let seen =
        Seen { templates: templates.into_iter().collect(), regions: regions.into_iter().collect(), project };
    if !credentials(&seen, &mut found) {
        found.skipped("templates, zones, quotas, permissions", "Compute Engine cannot be asked");
        return found.done();
    }
    for (name, template) in &seen.templates {
        judge_template(name, template, &places, &mut found);
    }
    for (name, region) in &seen.regions {
        judge_region(name, region, &places, &mut found);
    }
    for place in &places {
        if let Some(Ok(template)) = seen.templates.get(&place.gcp.instance_template) {
            quota::of_regions(place.pool, place.gcp, template, &seen.regions, &mut found);
        } else {
            let what = format!("pool {}: quotas", place.pool.name);
            found.skipped(what, "how much a VM takes is not known without its template");
        }
    }
    let demands = places.iter().filter_map(|place| {
        Some((place.pool, place.gcp, seen.templates.get(&place.gcp.instance_template)?.as_ref().ok()?))
    });
    quota::of_project(&seen.project, &demands.collect::<Vec<_>>(), &mut found);
    let vms = vms.map(|vms| {
        let places = vms.into_iter().filter(|vm| !vm.name.is_empty()).map(|vm| (vm.place.at, vm.name));
        places.collect::<Vec<_>>()
    });
    permissions(gcp, vms, &mut found, deadline).await;
    found.done()
}

fn places<'a>(config: &'a Config, name: &'a ProviderName) -> impl Iterator<Item = Place<'a>> {
    config.policy.pools.iter().flat_map(move |pool| {
        pool.placements.iter().filter_map(move |placement| match &placement.kind {
            PlacementKind::Gcp(gcp) if placement.provider == *name => Some(Place { pool, gcp }),
            PlacementKind::Gcp(_) | PlacementKind::Proxmox(_) => None,
        })
    })
}

/// Whether Google takes our credentials. A refusal of one call says so as well as an answer.
fn credentials(seen: &Seen, found: &mut Findings) -> bool {
    let templates = seen.templates.values().map(|each| each.as_ref().err());
    let regions = seen.regions.values().map(|each| each.as_ref().err());
    let all: Vec<Option<&LookError>> = templates.chain(regions).collect();
    let refused = all.iter().flatten().find(|error| matches!(error, LookError::Unauthorized(_)));
    if let Some(error) = refused {
        let mend = "let GOOGLE_APPLICATION_CREDENTIALS name a service account's key that is valid, or an external_account \
                    file; on your own machine `gcloud auth application-default login` will do";
        found.wrong("credentials", error.to_string(), mend);
        return false;
    }
    let unknown: Vec<&LookError> = all
        .iter()
        .flatten()
        .copied()
        .filter(|error| matches!(error, LookError::Unknown(_) | LookError::Untrusted(_)))
        .collect();
    match unknown.first() {
        Some(error) if unknown.len() == all.len() => {
            let mend = "is Compute Engine to be reached from here (HTTPS_PROXY, the provider's `endpoint`)?";
            found.wrong("credentials", error.to_string(), mend);
            false
        }
        Some(_) | None => {
            found.ok("credentials", "Compute Engine takes them");
            true
        }
    }
}

fn judge_template(
    name: &str,
    template: &Result<TemplateSeen, LookError>,
    places: &[Place<'_>],
    found: &mut Findings,
) {
    let what = format!("instance template {name}");
    let users = places.iter().filter(|place| place.gcp.instance_template == name);
    match template {
        Ok(seen) => {
            let gpus: Vec<String> =
                seen.accelerators.iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
            let gpus = if gpus.is_empty() { String::new() } else { format!(", {}", gpus.join(", ")) };
            found.ok(&what, format!("{}{gpus}", seen.machine_type));
            for place in users {
                judge_gpu(&what, &place.pool.name, place.gcp.gpu_type.as_deref(), seen, found);
            }
        }
        Err(LookError::Missing(why)) => {
            let pools: Vec<&str> = users.map(|place| place.pool.name.as_str()).collect();
            let mend = format!(
                "make the template, or correct `instance_template` of pool {} (or the provider's `project`)",
                pools.join(", ")
            );
            found.wrong(what, why, mend);
        }
        Err(LookError::Forbidden(why)) => {
            found.wrong(what, why, format!("the permission is compute.instanceTemplates.get: {GRANT}"));
        }
        Err(error) => found.skipped(what, error.to_string()),
    }
}

/// Whether the GPU that a pool counts on is the one that the template asks for. Families that bring their own GPUs list
/// none.
fn judge_gpu(what: &str, pool: &PoolName, wanted: Option<&str>, seen: &TemplateSeen, found: &mut Findings) {
    let family = seen.machine_type.split('-').next().unwrap_or_default();
    let brings_gpus = matches!(family.as_bytes(), [b'a' | b'g', b'2'..=b'9', ..]);
    let listed: Vec<&str> = seen.accelerators.iter().map(|(kind, _)| kind.as_str()).collect();
    match (wanted, listed.as_slice()) {
        (Some(wanted), []) if !brings_gpus => {
            let why = format!("has no GPU, and pool {pool} says {wanted}: its guests wait for one");
            found.wrong(
                what,
                why,
                "add the accelerator to the template, or set the placement's `gpu_type` to \"none\"",
            );
        }
        (Some(wanted), [_, ..]) if !listed.contains(&wanted) => {
            let why = format!(
                "has {}, and pool {pool} says {wanted}: the wrong quota is looked at",
                listed.join(", ")
            );
            found.warning(what, why, "correct the placement's `gpu_type`, or the template");
        }
        (None, [kind, ..]) => {
            let why = format!(
                "has {kind}, and pool {pool} says none: no quota is looked at, and guests expect no GPU"
            );
            found.warning(what, why, format!("set the placement's `gpu_type` to \"{kind}\""));
        }
        (Some(_) | None, _) => {}
    }
}

fn judge_region(
    name: &str,
    region: &Result<RegionSeen, LookError>,
    places: &[Place<'_>],
    found: &mut Findings,
) {
    let wanted: BTreeMap<&str, Vec<&str>> = places.iter().fold(BTreeMap::new(), |mut all, place| {
        for zone in place.gcp.zones.iter().filter(|zone| zone.region() == name) {
            all.entry(zone.as_str()).or_default().push(place.pool.name.as_str());
        }
        all
    });
    match region {
        Ok(seen) => {
            for (zone, pools) in wanted {
                if seen.zones.contains(zone) {
                    found.ok(format!("zone {zone}"), "exists");
                } else {
                    let there: Vec<&str> = seen.zones.iter().map(String::as_str).collect();
                    let why = format!("there is none of that name; region {name} has {}", there.join(", "));
                    found.wrong(
                        format!("zone {zone}"),
                        why,
                        format!("correct `zones` of pool {}", pools.join(", ")),
                    );
                }
            }
        }
        Err(LookError::Missing(why)) => {
            for (zone, pools) in wanted {
                let mend = format!("correct `zones` of pool {}", pools.join(", "));
                found.wrong(format!("zone {zone}"), format!("there is no region {name}: {why}"), mend);
            }
        }
        Err(LookError::Forbidden(why)) => {
            found.wrong(
                format!("region {name}"),
                why,
                format!("the permission is compute.regions.get: {GRANT}"),
            );
        }
        Err(error) => found.skipped(format!("region {name}"), error.to_string()),
    }
}

/// What the caller may do with the deployment's own VMs. Google tells that of a VM that exists, and the rights may be limited
/// to VMs of ours.
async fn permissions(
    gcp: &Gcp,
    vms: Result<Vec<(String, String)>, ProviderError>,
    found: &mut Findings,
    deadline: Instant,
) {
    let what = "permissions on VMs";
    let vms = match vms {
        Ok(vms) => vms,
        Err(ProviderError::Refused { why, .. }) => {
            found.wrong("permission compute.instances.list", why, GRANT);
            found.skipped(what, "no VM can be seen");
            return;
        }
        Err(error @ ProviderError::Unavailable { .. }) => {
            found.skipped(what, error.to_string());
            return;
        }
    };
    found.ok("permission compute.instances.list", format!("there are {} VMs of this deployment", vms.len()));
    let Some((zone, vm)) = vms.first() else {
        let why = "Google tells them of a VM that exists, and there is none of this deployment now; those to make one show \
                   when one is made";
        found.skipped(what, why);
        return;
    };
    match gcp.permissions_on(zone, vm, &ON_A_VM, deadline).await {
        Ok(had) => {
            for permission in ON_A_VM {
                if had.contains(permission) {
                    found.ok(format!("permission {permission}"), format!("on VM {vm}"));
                } else {
                    found.wrong(format!("permission {permission}"), format!("is missing on VM {vm}"), GRANT);
                }
            }
        }
        Err(error) => found.skipped(what, error.to_string()),
    }
}
