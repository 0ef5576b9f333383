//! GPU quotas: which metric counts for an accelerator, and what this process has asked for since it was read.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use google_cloud_compute_v1::model::Region;
use mayfly_core::ids::Zone;
use mayfly_core::zones::{self, Quota};
use tokio::time::Instant;

/// A region's quotas: metric → (limit, usage), from `regions.get`'s `quotas[]`.
pub(super) type RegionQuotas = BTreeMap<String, (f64, f64)>;

/// The metric that counts for an accelerator type in a region's quotas: `nvidia-tesla-t4` → `NVIDIA_T4_GPUS`. `None`
/// when no such metric is known; the region's quota is unknown then.
pub(super) fn metric(gpu_type: &str, spot: bool) -> Option<String> {
    // Where the metric leaves out a part of the type's name.
    const EXCEPTIONS: [(&str, &str); 5] = [
        ("nvidia-h100-80gb", "NVIDIA_H100_GPUS"),
        ("nvidia-h100-mega-80gb", "NVIDIA_H100_MEGA_GPUS"),
        ("nvidia-h200-141gb", "NVIDIA_H200_GPUS"),
        ("nvidia-rtx-pro-6000", "NVIDIA_RTX_PRO_6000_GPUS"),
        ("nvidia-tesla-a100-80gb", "NVIDIA_A100_80GB_GPUS"),
    ];
    let known = EXCEPTIONS.iter().find(|(kind, _)| *kind == gpu_type).map(|(_, metric)| (*metric).to_owned());
    let standard = known.or_else(|| {
        let model = gpu_type.strip_prefix("nvidia-")?;
        let model = model.strip_prefix("tesla-").unwrap_or(model);
        let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (!model.is_empty() && model.bytes().all(fine))
            .then(|| format!("NVIDIA_{}_GPUS", model.replace('-', "_").to_ascii_uppercase()))
    })?;
    Some(if spot { format!("PREEMPTIBLE_{standard}") } else { standard })
}

/// A region's quotas by metric.
pub(super) fn read(region: Region) -> RegionQuotas {
    amounts(region.quotas)
}

/// Quotas by metric.
pub(super) fn amounts(quotas: Vec<google_cloud_compute_v1::model::Quota>) -> RegionQuotas {
    let entry = |quota: google_cloud_compute_v1::model::Quota| {
        Some((quota.metric?.name()?.to_owned(), (quota.limit?, quota.usage?)))
    };
    quotas.into_iter().filter_map(entry).collect()
}

/// One metric of one region, as read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// When it was asked for.
    pub asked_at: Instant,
    /// `limit`.
    pub limit: f64,
    /// `usage`.
    pub usage: f64,
}

/// So long an accepted insert is remembered: longer than any reading is used.
const REMEMBERED: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Asked {
    id: u64,
    region: String,
    metric: String,
    gpus: f64,
    /// `usage` counts an insert from when it was accepted.
    accepted_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Book {
    next_id: u64,
    asked: Vec<Asked>,
}

/// What this process has asked for.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Book>);

/// What one VM takes of a quota.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Demand {
    /// The metric.
    pub metric: String,
    /// How much of it.
    pub gpus: f64,
}

impl Ledger {
    /// The zones in the order to be tried, and a reservation for the first of them: one step, so that of many creates
    /// at once each sees the ones before it.
    pub fn choose(
        &self,
        zones: &[Zone],
        readings: &BTreeMap<String, Reading>,
        demand: &Demand,
    ) -> (Vec<Zone>, Option<Reservation<'_>>) {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.asked.retain(|asked| asked.accepted_at.is_none_or(|at| at.elapsed() < REMEMBERED));
        let quota = |(region, reading): (&String, &Reading)| {
            let pending = book
                .asked
                .iter()
                .filter(|asked| &asked.region == region && asked.metric == demand.metric)
                .filter(|asked| asked.accepted_at.is_none_or(|at| at > reading.asked_at))
                .map(|asked| asked.gpus)
                .sum();
            (region.clone(), Quota { limit: reading.limit, usage: reading.usage, pending })
        };
        let quotas: BTreeMap<String, Quota> = readings.iter().map(quota).collect();
        let order = zones::order(zones, &quotas, demand.gpus);
        let reservation = order.first().map(|zone| self.enter(&mut book, zone, demand));
        (order, reservation)
    }

    /// Counts a VM that is about to be asked for in a zone.
    pub fn reserve(&self, zone: &Zone, demand: &Demand) -> Reservation<'_> {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.enter(&mut book, zone, demand)
    }

    fn enter(&self, book: &mut Book, zone: &Zone, demand: &Demand) -> Reservation<'_> {
        let id = book.next_id;
        book.next_id += 1;
        book.asked.push(Asked {
            id,
            region: zone.region().to_owned(),
            metric: demand.metric.clone(),
            gpus: demand.gpus,
            accepted_at: None,
        });
        Reservation { ledger: self, id, kept: false }
    }
}

/// A VM that is being asked for; given back when it is dropped, unless it was accepted.
#[derive(Debug)]
pub(super) struct Reservation<'a> {
    ledger: &'a Ledger,
    id: u64,
    kept: bool,
}

impl Reservation<'_> {
    /// The insert was accepted: from now on a new reading counts it.
    pub fn accepted(&mut self) {
        self.kept = true;
        let mut book = self.ledger.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) = book.asked.iter_mut().find(|asked| asked.id == self.id) {
            asked.accepted_at = Some(Instant::now());
        }
    }

    /// Its operation failed: it takes nothing after all.
    pub fn failed(mut self) {
        self.kept = false;
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if !self.kept {
            let mut book = self.ledger.0.lock().unwrap_or_else(PoisonError::into_inner);
            book.asked.retain(|asked| asked.id != self.id);
        }
    }
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
