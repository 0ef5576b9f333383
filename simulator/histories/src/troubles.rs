//! A plan's troubles, as the world knows them.

use std::time::Duration;

use simulator::{Chance, Fault, Faults};

use crate::plan::{Call, Delivery, Guest, Service, Trouble};

/// Has the world cause its share of the troubles.
pub fn set(faults: &mut Faults, troubles: &[(Trouble, f64)]) {
    for (trouble, rate) in troubles {
        let chance = Chance::rate(*rate);
        match trouble {
            Trouble::Delivery(delivery) => {
                let deliveries = &mut faults.deliveries;
                deliveries.delay_max = Duration::from_secs(900);
                deliveries.reorder_max = Duration::from_secs(20);
                match delivery {
                    Delivery::Lost => deliveries.lost = chance,
                    Delivery::Never => deliveries.never = chance,
                    Delivery::Duplicated => deliveries.duplicated = chance,
                    Delivery::Delayed => deliveries.delayed = chance,
                    Delivery::Reordered => deliveries.reordered = chance,
                }
            }
            Trouble::Guest(Guest::NeverBoots) => faults.guests.never_boots = chance,
            Trouble::Guest(Guest::HangsAfterJob) => faults.guests.hangs_after_job = chance,
            Trouble::Guest(Guest::StorageLocked) => faults.lab.storage_locked = chance,
            Trouble::Guest(Guest::StrangerTakes) => faults.lab.stranger_takes = chance,
            Trouble::Guest(Guest::CloneHangs) => faults.lab.clone_hangs = chance,
            Trouble::Call(service, call) => {
                if let (Some(api), Some(fault)) = (endpoints(*service), fault(*service, *call)) {
                    faults.rate(api, *rate, fault);
                }
            }
            Trouble::Table(_) | Trouble::Invocation(_) => {}
        }
    }
}

/// How often each trouble struck that the world leaves to chance, of those that no note of it tells.
pub fn struck_by_chance(faults: &Faults) -> [(Trouble, u64); 10] {
    let (deliveries, guests, lab) = (&faults.deliveries, &faults.guests, &faults.lab);
    [
        (Trouble::Delivery(Delivery::Lost), deliveries.lost),
        (Trouble::Delivery(Delivery::Never), deliveries.never),
        (Trouble::Delivery(Delivery::Duplicated), deliveries.duplicated),
        (Trouble::Delivery(Delivery::Delayed), deliveries.delayed),
        (Trouble::Delivery(Delivery::Reordered), deliveries.reordered),
        (Trouble::Guest(Guest::NeverBoots), guests.never_boots),
        (Trouble::Guest(Guest::HangsAfterJob), guests.hangs_after_job),
        (Trouble::Guest(Guest::StorageLocked), lab.storage_locked),
        (Trouble::Guest(Guest::StrangerTakes), lab.stranger_takes),
        (Trouble::Guest(Guest::CloneHangs), lab.clone_hangs),
    ]
    .map(|(trouble, chance)| (trouble, chance.struck))
}

fn endpoints(service: Service) -> Option<&'static str> {
    match service {
        Service::GitHub => Some("github.*"),
        Service::Gcp => Some("gcp.*"),
        Service::Proxmox => Some("proxmox.*"),
        Service::Table => None,
    }
}

/// What the world does; none for what happens on the way there.
fn fault(service: Service, call: Call) -> Option<Fault> {
    let limited = if service == Service::GitHub { 403 } else { 429 };
    Some(match call {
        Call::ErrorBefore => Fault::ErrorBefore(503),
        Call::ErrorAfter => Fault::ErrorAfter(500),
        Call::ClosedBefore => Fault::ClosedBefore,
        Call::ClosedAfter => Fault::ClosedAfter,
        Call::Limited => Fault::Limited { status: limited, retry_after: Duration::from_secs(20) },
        Call::Garbage => Fault::Garbage,
        Call::Slow => Fault::Slow(Duration::from_secs(6)),
        Call::HangsBefore => Fault::HangsBefore,
        Call::HangsAfter => Fault::HangsAfter,
        Call::NotSent | Call::Late | Call::Stale => return None,
    })
}

/// What the world's note of a fault is called in the coverage: endpoint, and kind.
pub fn struck(text: &str) -> Option<(&str, &str)> {
    let (endpoint, fault) = text.split_once(": ")?;
    Some((endpoint, kind(fault)))
}

/// What the coverage has for each trouble of a plan.
pub fn counted_as(trouble: Trouble) -> (&'static str, String) {
    match trouble {
        Trouble::Call(service, call) => match (endpoints(service), fault(service, call)) {
            (Some(endpoints), Some(fault)) => {
                let (api, fault) = (endpoints.trim_end_matches(".*"), format!("{fault:?}"));
                ("fault", format!("{api}: {}", kind(&fault)))
            }
            _ => ("trouble", format!("{trouble:?}")),
        },
        Trouble::Delivery(_) | Trouble::Table(_) | Trouble::Invocation(_) | Trouble::Guest(_) => {
            ("trouble", format!("{trouble:?}"))
        }
    }
}

fn kind(fault: &str) -> &str {
    fault.split(['(', ' ', '{']).next().unwrap_or(fault)
}
