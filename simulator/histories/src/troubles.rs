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
    let kind = fault.split(['(', ' ', '{']).next().unwrap_or(fault);
    Some((endpoint, kind))
}
