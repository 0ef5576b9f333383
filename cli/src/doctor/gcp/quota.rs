//! Whether quotas allow what the pools are configured for.

use std::collections::BTreeMap;

use mayfly_core::policy::{GcpPlacement, Pool};
use mayfly_service::provider::LookError;
use mayfly_service::provider::gcp::{Amount, RegionSeen, TemplateSeen, quota_metric};

use crate::doctor::finding::Findings;

const MORE: &str = "ask Google for more (console, IAM & Admin, Quotas)";

/// What one VM takes of a quota.
#[derive(Debug, Clone, PartialEq)]
struct Demand {
    /// What it is, for people.
    what: &'static str,
    /// The metric of a region's quotas.
    metric: String,
    /// How much of it.
    each: f64,
}

/// How it stands with one metric.
#[derive(Debug, Clone, PartialEq)]
enum Judged {
    /// All VMs of the pool fit.
    Enough,
    /// No region tells the metric.
    Untold,
    /// No VM fits in any region.
    None,
    /// Not all fit, or not everywhere.
    Some {
        /// So many VMs fit in all regions together.
        vms: f64,
        /// Regions in which none does.
        without: Vec<String>,
    },
}

/// Judges a pool's quotas in the regions of its zones.
pub fn of_regions(
    pool: &Pool,
    placement: &GcpPlacement,
    template: &TemplateSeen,
    regions: &BTreeMap<String, Result<RegionSeen, LookError>>,
    found: &mut Findings,
) {
    let mut here: Vec<(&str, &RegionSeen)> = Vec::new();
    for zone in &placement.zones {
        if let Some(Ok(seen)) = regions.get(zone.region())
            && !here.iter().any(|(name, _)| *name == zone.region())
        {
            here.push((zone.region(), seen));
        }
    }
    if here.is_empty() {
        found.skipped(format!("pool {}: quotas", pool.name), "no region of its zones could be read");
        return;
    }
    let spot = placement.spot || template.spot;
    if let Some(kind) = placement.gpu_type.as_deref() {
        let metrics: Vec<String> =
            [spot.then(|| quota_metric(kind, true)).flatten(), quota_metric(kind, false)]
                .into_iter()
                .flatten()
                .collect();
        match counting(&metrics, &here) {
            None => {
                let why = format!("which metric counts {kind} is not known");
                found.skipped(format!("pool {}: GPU quota", pool.name), why);
            }
            Some(metric) => {
                told(pool, &Demand { what: "GPU", metric, each: gpus(template, Some(kind)) }, &here, found);
            }
        }
    }
    match cpus(&template.machine_type) {
        None => {
            let why = format!("how many CPUs a {} has is not in its name", template.machine_type);
            found.skipped(format!("pool {}: CPU quota", pool.name), why);
        }
        Some(each) => {
            if let Some(metric) = counting(&cpu_metrics(&template.machine_type, spot), &here) {
                told(pool, &Demand { what: "CPU", metric, each }, &here, found);
            }
        }
    }
}

/// The metric that counts, of those that may: the first of which there is any, else the last that Google tells. Spot VMs use
/// the standard quota where a region was granted none of their own.
fn counting(metrics: &[String], here: &[(&str, &RegionSeen)]) -> Option<String> {
    let limit = |metric: &String| {
        let limits = here.iter().filter_map(|(_, seen)| Some(seen.quotas.get(metric)?.limit));
        limits.reduce(f64::max)
    };
    let some = metrics.iter().find(|metric| limit(metric).is_some_and(|limit| limit > 0.0));
    some.or_else(|| metrics.iter().rev().find(|metric| limit(metric).is_some())).or(metrics.last()).cloned()
}

fn told(pool: &Pool, demand: &Demand, here: &[(&str, &RegionSeen)], found: &mut Findings) {
    let Demand { what, metric, each } = demand;
    let name = format!("pool {}: {what} quota {metric}", pool.name);
    let amounts: Vec<(&str, Option<Amount>)> =
        here.iter().map(|(region, seen)| (*region, seen.quotas.get(metric).copied())).collect();
    let shown: Vec<String> = amounts
        .iter()
        .filter_map(|(region, amount)| {
            amount.map(|Amount { limit, usage }| format!("{region} {usage} of {limit}"))
        })
        .collect();
    let shown = shown.join(", ");
    let most = f64::from(pool.max_runners.get());
    match judge(&amounts, *each, most) {
        Judged::Enough => found.ok(name, format!("{shown}; a VM takes {each}")),
        Judged::Untold => found.skipped(name, "Google tells of no such quota in these regions"),
        Judged::None => {
            let why = format!("no VM fits in any region: {shown}; a VM takes {each}");
            found.wrong(name, why, format!("{MORE}, or name zones of other regions"));
        }
        Judged::Some { vms, without } if without.is_empty() => {
            let why = format!("is enough for {vms} of {most} runners: {shown}");
            found.warning(name, why, format!("{MORE}, or lower `max_runners`"));
        }
        Judged::Some { vms, without } => {
            let why =
                format!("no VM fits in {}, and {vms} of {most} runners in all: {shown}", without.join(", "));
            found.warning(name, why, format!("{MORE}, or take the zones of that region out"));
        }
    }
}

/// Whether so many VMs, each taking so much, fit in the regions' limits. A region that does not tell the metric has no limit
/// that could be known.
fn judge(amounts: &[(&str, Option<Amount>)], each: f64, most: f64) -> Judged {
    let known: Vec<(&str, Amount)> =
        amounts.iter().filter_map(|(region, amount)| Some((*region, (*amount)?))).collect();
    if known.is_empty() || each <= 0.0 {
        return Judged::Untold;
    }
    let fit = |amount: &Amount| (amount.limit / each).floor().max(0.0);
    let vms: f64 = known.iter().map(|(_, amount)| fit(amount)).sum();
    let without: Vec<String> = known
        .iter()
        .filter(|(_, amount)| fit(amount) < 1.0)
        .map(|(region, _)| (*region).to_owned())
        .collect();
    let all_known = known.len() == amounts.len();
    if without.len() == amounts.len() {
        Judged::None
    } else if without.is_empty() && (vms >= most || !all_known) {
        Judged::Enough
    } else {
        Judged::Some { vms, without }
    }
}

/// Judges the project's own quotas, over all regions, against all of its pools.
pub fn of_project(
    project: &Result<BTreeMap<String, Amount>, LookError>,
    demands: &[(&Pool, &GcpPlacement, &TemplateSeen)],
    found: &mut Findings,
) {
    let quotas = match project {
        Ok(quotas) => quotas,
        Err(LookError::Forbidden(_)) => {
            let why =
                "it takes the permission compute.projects.get, which Mayfly has no need of: see the console";
            found.skipped("quotas over all regions (GPUS_ALL_REGIONS)", why);
            return;
        }
        Err(error) => {
            found.skipped("quotas over all regions (GPUS_ALL_REGIONS)", error.to_string());
            return;
        }
    };
    let gpus = demands.iter().map(|(pool, placement, template)| {
        let has_some = placement.gpu_type.is_some() || !template.accelerators.is_empty();
        (*pool, if has_some { gpus(template, placement.gpu_type.as_deref()) } else { 0.0 })
    });
    let cpus = demands.iter().map(|(pool, _, template)| (*pool, cpus(&template.machine_type).unwrap_or(0.0)));
    over_all("GPUS_ALL_REGIONS", quotas, &gpus.collect::<Vec<_>>(), found);
    over_all("CPUS_ALL_REGIONS", quotas, &cpus.collect::<Vec<_>>(), found);
}

fn over_all(metric: &str, quotas: &BTreeMap<String, Amount>, demands: &[(&Pool, f64)], found: &mut Findings) {
    let needed: Vec<&(&Pool, f64)> = demands.iter().filter(|(_, each)| *each > 0.0).collect();
    if needed.is_empty() {
        return;
    }
    let what = format!("quota {metric}");
    let Some(Amount { limit, usage }) = quotas.get(metric).copied() else {
        found.skipped(what, "Google does not tell it");
        return;
    };
    let total: f64 = needed.iter().map(|(pool, each)| each * f64::from(pool.max_runners.get())).sum();
    let stuck: Vec<&str> =
        needed.iter().filter(|(_, each)| *each > limit).map(|(pool, _)| pool.name.as_str()).collect();
    let why = format!("{usage} of {limit}; all runners of all pools take {total}");
    if stuck.is_empty() && total <= limit {
        found.ok(what, why);
    } else if stuck.is_empty() {
        found.warning(what, why, format!("{MORE}, or lower `max_runners`"));
    } else {
        found.wrong(what, format!("{why}; no VM of pool {} fits", stuck.join(", ")), MORE);
    }
}

/// How many GPUs a VM has: those that the template lists, of that type where one is given; at least one, since a machine
/// type that brings its own lists none.
fn gpus(template: &TemplateSeen, kind: Option<&str>) -> f64 {
    let listed: f64 = template
        .accelerators
        .iter()
        .filter(|(listed, _)| kind.is_none_or(|kind| kind == listed))
        .map(|(_, count)| count)
        .sum();
    if listed > 0.0 { listed } else { 1.0 }
}

/// How many CPUs a machine type has, where its name says so: `n1-standard-4`, `n2-custom-8-16384`, `custom-2-4096`.
fn cpus(machine_type: &str) -> Option<f64> {
    let parts: Vec<&str> = machine_type.split('-').collect();
    let number = match parts.as_slice() {
        ["custom", cpus, _] | [_, "custom", cpus, _] | [_, "custom", cpus, _, "ext"] => cpus,
        [_, "standard" | "highmem" | "highcpu" | "ultramem" | "megamem", cpus, ..] => cpus,
        _ => return None,
    };
    number.parse::<u32>().ok().filter(|cpus| *cpus > 0).map(f64::from)
}

/// The metrics that may count a machine type's CPUs: most families have one of their own, and Spot VMs another.
fn cpu_metrics(machine_type: &str, spot: bool) -> Vec<String> {
    let family = machine_type.split('-').next().unwrap_or_default().to_uppercase();
    let shared = matches!(family.as_str(), "N1" | "E2" | "F1" | "G1" | "CUSTOM");
    let metrics = [
        spot.then(|| "PREEMPTIBLE_CPUS".to_owned()),
        Some(format!("{family}_CPUS")),
        shared.then(|| "CPUS".to_owned()),
    ];
    metrics.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(limit: f64) -> Option<Amount> {
        Some(Amount { limit, usage: 0.0 })
    }

    #[test]
    fn a_quota_is_held_against_all_runners_of_a_pool() {
        for (amounts, each, most, judged) in [
            (vec![("a", of(8.0))], 2.0, 4.0, Judged::Enough),
            (vec![("a", of(4.0)), ("b", of(4.0))], 2.0, 4.0, Judged::Enough),
            (vec![("a", of(3.0)), ("b", of(4.0))], 2.0, 4.0, Judged::Some { vms: 3.0, without: vec![] }),
            (
                vec![("a", of(1.0)), ("b", of(8.0))],
                2.0,
                4.0,
                Judged::Some { vms: 4.0, without: vec!["a".to_owned()] },
            ),
            (vec![("a", of(1.0)), ("b", of(0.0))], 2.0, 4.0, Judged::None),
            (vec![("a", None)], 2.0, 4.0, Judged::Untold),
            (vec![("a", None), ("b", of(2.0))], 2.0, 4.0, Judged::Enough),
        ] {
            assert_eq!(judge(&amounts, each, most), judged, "{amounts:?}");
        }
    }

    #[test]
    fn cpus_are_read_off_a_name_that_has_them() {
        for (name, number) in [
            ("n1-standard-4", Some(4.0)),
            ("g2-standard-12", Some(12.0)),
            ("n2-custom-8-16384", Some(8.0)),
            ("n2-custom-8-16384-ext", Some(8.0)),
            ("custom-2-4096", Some(2.0)),
            ("c4-standard-8-lssd", Some(8.0)),
            ("e2-medium", None),
            ("a2-highgpu-1g", None),
            ("", None),
        ] {
            assert_eq!(cpus(name), number, "{name}");
        }
        assert_eq!(cpu_metrics("e2-standard-4", false), ["E2_CPUS", "CPUS"]);
        assert_eq!(cpu_metrics("n2-standard-4", false), ["N2_CPUS"]);
        assert_eq!(cpu_metrics("n2-standard-4", true), ["PREEMPTIBLE_CPUS", "N2_CPUS"]);
    }

    #[test]
    fn spot_vms_without_a_quota_of_their_own_use_the_standard_one() {
        let region = |quotas: &[(&str, f64)]| RegionSeen {
            zones: [].into(),
            quotas: quotas
                .iter()
                .map(|(metric, limit)| ((*metric).to_owned(), Amount { limit: *limit, usage: 0.0 }))
                .collect(),
        };
        let counting = |quotas: &[(&str, f64)]| {
            counting(&cpu_metrics("e2-standard-4", true), &[("us-east1", &region(quotas))])
        };
        let told = |name: &str| Some(name.to_owned());
        assert_eq!(counting(&[("PREEMPTIBLE_CPUS", 8.0), ("CPUS", 24.0)]), told("PREEMPTIBLE_CPUS"));
        assert_eq!(counting(&[("PREEMPTIBLE_CPUS", 0.0), ("CPUS", 24.0)]), told("CPUS"));
        assert_eq!(counting(&[("PREEMPTIBLE_CPUS", 0.0), ("CPUS", 0.0)]), told("CPUS"));
        assert_eq!(counting(&[]), told("CPUS"));
    }

    #[test]
    fn gpus_are_those_of_the_template_or_one_that_it_does_not_list() {
        let template = |accelerators: &[(&str, f64)]| TemplateSeen {
            machine_type: "n1-standard-4".to_owned(),
            accelerators: accelerators.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect(),
            spot: false,
        };
        assert_eq!(gpus(&template(&[("nvidia-tesla-t4", 2.0)]), Some("nvidia-tesla-t4")), 2.0);
        assert_eq!(gpus(&template(&[]), Some("nvidia-l4")), 1.0);
    }
}
