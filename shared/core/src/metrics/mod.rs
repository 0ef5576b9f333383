//! What is measured, and how it is written for those who draw and watch it.
//!
//! One table says what each metric is called on CloudWatch and on Prometheus ([`Metric::about`]). What happens is a [`Sample`],
//! which cannot name a job or a runner: each set of labels is a series, and a series costs money, or memory. [`Recorded`]
//! keeps samples; [`emf`] and [`prometheus`] write them.

use std::time::Duration;

use crate::ids::{PoolName, ProviderName};
use crate::price::Cost;
use crate::slot::PhaseKind;

pub mod emf;
pub mod prometheus;
mod recorded;

#[cfg(test)]
mod tests;

pub use recorded::{Recorded, SAMPLES_MOST, SERIES_MOST};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// How long a job was queued.
    QueueWait,
    /// How long a runner took to be there.
    BootDuration,
    /// Taken slots.
    Runners,
    /// The queue.
    JobsWaiting,
    /// Places that made no VM.
    CreateFailures,
    /// Requests to others.
    ApiRequests,
    /// What GitHub still grants.
    RateLimitRemaining,
    /// How long a sweep took.
    SweepDuration,
    /// How long VMs lived.
    VmSeconds,
    /// What they cost.
    Cost,
}

/// How samples of a metric add up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// To a sum that only grows.
    Counter,
    /// Not at all: the last one counts.
    Gauge,
    /// To a distribution, with these upper bounds of its buckets.
    Histogram(&'static [f64]),
}

/// What a metric's values are in, by CloudWatch's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// A number of things.
    Count,
    /// The user's own currency.
    None,
}

/// What tells a metric's series from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// A pool's name.
    Pool,
    /// A phase's name.
    Phase,
    /// The name of a placement's provider.
    Placement,
    /// A [`Reason`].
    Reason,
    /// An [`Api`].
    Api,
    /// A [`StatusClass`].
    Status,
    /// An [`Outcome`].
    Outcome,
}

/// A row of the table of metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct About {
    /// Its name on CloudWatch.
    pub cloudwatch: &'static str,
    /// Its name on Prometheus.
    pub prometheus: &'static str,
    /// How its samples add up.
    pub kind: Kind,
    /// What its values are in.
    pub unit: Unit,
    /// What tells its series from each other.
    pub labels: &'static [Label],
    /// What it says, for people.
    pub help: &'static str,
}

const WAITS: &[f64] = &[1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0];
const BOOTS: &[f64] = &[5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0];
const SWEEPS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0];

impl Metric {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::QueueWait,
        Self::BootDuration,
        Self::Runners,
        Self::JobsWaiting,
        Self::CreateFailures,
        Self::ApiRequests,
        Self::RateLimitRemaining,
        Self::SweepDuration,
        Self::VmSeconds,
        Self::Cost,
    ];

    /// Its row of the table. On CloudWatch `Deployment` is a dimension of each beside its labels.
    #[expect(clippy::too_many_lines, reason = "it is the table")]
    pub fn about(self) -> About {
        let about = |names: (&'static str, &'static str), kind, unit, labels, help| About {
            cloudwatch: names.0,
            prometheus: names.1,
            kind,
            unit,
            labels,
            help,
        };
        use Label::{Api, Outcome, Phase, Placement, Pool, Reason, Status};
        match self {
            Self::QueueWait => about(
                ("QueueWait", "mayfly_queue_wait_seconds"),
                Kind::Histogram(WAITS),
                Unit::Seconds,
                &[Pool],
                "From a job's creation until a runner of the pool took it, by GitHub's clock.",
            ),
            Self::BootDuration => about(
                ("BootDuration", "mayfly_boot_duration_seconds"),
                Kind::Histogram(BOOTS),
                Unit::Seconds,
                &[Pool],
                "From a slot's being taken for a VM until its runner was online or took a job.",
            ),
            Self::Runners => about(
                ("Runners", "mayfly_runners"),
                Kind::Gauge,
                Unit::Count,
                &[Pool, Phase],
                "Taken slots by phase, as the last sweep saw them.",
            ),
            Self::JobsWaiting => about(
                ("JobsWaiting", "mayfly_jobs_waiting"),
                Kind::Gauge,
                Unit::Count,
                &[Pool],
                "Jobs that wait for a slot, as the last sweep saw them.",
            ),
            Self::CreateFailures => about(
                ("CreateFailures", "mayfly_create_failures_total"),
                Kind::Counter,
                Unit::Count,
                &[Pool, Placement, Reason],
                "Places (zones, clusters) where a VM was to be made and was not.",
            ),
            Self::ApiRequests => about(
                ("ApiRequests", "mayfly_api_requests_total"),
                Kind::Counter,
                Unit::Count,
                &[Api, Status],
                "Requests that were sent, those that were repeated included.",
            ),
            Self::RateLimitRemaining => about(
                ("GitHubRateLimitRemaining", "mayfly_github_rate_limit_remaining"),
                Kind::Gauge,
                Unit::Count,
                &[],
                "Calls that GitHub still grants within the hour, by its last answers; of several tokens the tightest.",
            ),
            Self::SweepDuration => about(
                ("SweepDuration", "mayfly_sweep_duration_seconds"),
                Kind::Histogram(SWEEPS),
                Unit::Seconds,
                &[Outcome],
                "How long sweeps took.",
            ),
            Self::VmSeconds => about(
                ("VmSeconds", "mayfly_vm_seconds_total"),
                Kind::Counter,
                Unit::Seconds,
                &[Pool],
                "How long VMs lived, counted when they are gone.",
            ),
            Self::Cost => about(
                ("Cost", "mayfly_cost_total"),
                Kind::Counter,
                Unit::None,
                &[Pool],
                "What VMs cost by price_per_hour, in your currency, counted when they are gone.",
            ),
        }
    }
}

impl Unit {
    /// As CloudWatch calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "Seconds",
            Self::Count => "Count",
            Self::None => "None",
        }
    }
}

impl Label {
    /// The dimension's name on CloudWatch.
    pub fn cloudwatch(self) -> &'static str {
        self.names().0
    }

    /// The label's name on Prometheus.
    pub fn prometheus(self) -> &'static str {
        self.names().1
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Pool => ("Pool", "pool"),
            Self::Phase => ("Phase", "phase"),
            Self::Placement => ("Placement", "placement"),
            Self::Reason => ("Reason", "reason"),
            Self::Api => ("Api", "api"),
            Self::Status => ("Status", "status"),
            Self::Outcome => ("Outcome", "outcome"),
        }
    }
}

/// Defines an enum whose variants are a label's values.
macro_rules! values {
    ($(#[$doc:meta])* $name:ident { $($(#[$says:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$says])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The label's value.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

values!(
    /// Why a place made no VM.
    Reason {
        /// No machines, memory or disk.
        Capacity = "capacity",
        /// A quota is used up.
        Quota = "quota",
        /// It was full a while ago, and is not asked again yet.
        Cooling = "cooling",
        /// It does not have what the template asks for.
        Unfit = "unfit",
        /// Not until somebody mends something.
        Refused = "refused",
        /// Not made, for a reason that passes.
        Unavailable = "unavailable",
        /// Nobody knows whether it was made.
        Unclear = "unclear",
    }
);

values!(
    /// Whom a request was for.
    Api {
        /// GitHub.
        GitHub = "github",
        /// Compute Engine.
        Gcp = "gcp",
        /// Proxmox VE.
        Proxmox = "proxmox",
        /// The table.
        DynamoDb = "dynamodb",
    }
);

values!(
    /// What a request was answered with.
    StatusClass {
        /// Success.
        Success = "2xx",
        /// Elsewhere.
        Redirect = "3xx",
        /// A refusal; of the table also each condition that does not hold, which is how it is meant to be used.
        Refusal = "4xx",
        /// The server's trouble.
        Trouble = "5xx",
        /// No answer that could be read.
        Silence = "none",
    }
);

values!(
    /// How a sweep went.
    Outcome {
        /// All that was planned was done, or tried.
        Complete = "complete",
        /// Some steps were left for the next sweep, for want of time.
        Postponed = "postponed",
        /// A source could not be read.
        Blind = "blind",
    }
);

impl StatusClass {
    /// The class of an HTTP status; `None` is no answer.
    pub fn of(status: Option<u16>) -> Self {
        match status {
            Some(200..=299) => Self::Success,
            Some(300..=399) => Self::Redirect,
            Some(400..=499) => Self::Refusal,
            Some(500..=599) => Self::Trouble,
            Some(_) | None => Self::Silence,
        }
    }
}

/// Something that was measured.
#[derive(Debug, Clone, Copy)]
pub enum Sample<'a> {
    /// A runner of the pool took a job that was queued so long.
    QueueWait(&'a PoolName, Duration),
    /// A runner was there, so long after its slot was taken.
    BootDuration(&'a PoolName, Duration),
    /// So many slots are in a phase.
    Runners(&'a PoolName, PhaseKind, usize),
    /// So many jobs wait.
    JobsWaiting(&'a PoolName, usize),
    /// A place of that provider made no VM.
    CreateFailure(&'a PoolName, &'a ProviderName, Reason),
    /// So many more requests were answered so.
    ApiRequests(Api, StatusClass, u64),
    /// So many calls are left.
    RateLimitRemaining(u64),
    /// A sweep took so long.
    Sweep(Outcome, Duration),
    /// A VM that lived so long is gone.
    VmSeconds(&'a PoolName, Duration),
    /// A VM that cost that much is gone.
    Cost(&'a PoolName, Cost),
}

impl<'a> Sample<'a> {
    /// Of which metric it is, the values of that metric's labels, in their order, and its own.
    fn read(self) -> (Metric, Vec<&'a str>, f64) {
        match self {
            Self::QueueWait(pool, waited) => (Metric::QueueWait, vec![pool.as_str()], waited.as_secs_f64()),
            Self::BootDuration(pool, took) => (Metric::BootDuration, vec![pool.as_str()], took.as_secs_f64()),
            Self::Runners(pool, phase, count) => {
                (Metric::Runners, vec![pool.as_str(), phase.as_str()], count as f64)
            }
            Self::JobsWaiting(pool, count) => (Metric::JobsWaiting, vec![pool.as_str()], count as f64),
            Self::CreateFailure(pool, placement, reason) => {
                (Metric::CreateFailures, vec![pool.as_str(), placement.as_str(), reason.as_str()], 1.0)
            }
            Self::ApiRequests(api, status, more) => {
                (Metric::ApiRequests, vec![api.as_str(), status.as_str()], more as f64)
            }
            Self::RateLimitRemaining(left) => (Metric::RateLimitRemaining, Vec::new(), left as f64),
            Self::Sweep(outcome, took) => (Metric::SweepDuration, vec![outcome.as_str()], took.as_secs_f64()),
            Self::VmSeconds(pool, lived) => (Metric::VmSeconds, vec![pool.as_str()], lived.as_secs_f64()),
            Self::Cost(pool, cost) => (Metric::Cost, vec![pool.as_str()], cost.amount()),
        }
    }
}
