//! Ids, one type each, so that a runner's id never passes for a job's.

use serde::Serialize;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub struct $name(pub u64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id! {
    /// GitHub's id of a workflow job (`workflow_job.id`).
    JobId
}
id! {
    /// GitHub's id of a runner.
    RunnerId
}
id! {
    /// One sending of a webhook; a redelivery has another id but the same GUID.
    DeliveryId
}
id! {
    /// Compute Engine's id of an instance: unique for ever, unlike its name.
    VmId
}
