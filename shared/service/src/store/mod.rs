//! The ledger: one DynamoDB table, no scans, every write conditional on what was read.
//!
//! | item | key |
//! | --- | --- |
//! | job | `job#<id>` / `job` |
//! | slot | `pool#<name>` / `slot#0007` |
//! | waiting job | `pool#<name>` / `wait#<queued_at>#<id>` |
//! | what was said on a waiting job's commit | `pool#<name>` / `pending#<id>` |
//! | pool | `pool#<name>` / `pool` |
//! | a job that is over | `pool#<name>` / `over#07` |
//! | what VMs ran and cost | `pool#<name>` / `month#2026-11` |
//! | claims on a cluster's room | `provider#<name>` / `room` |
//! | the sweep's memory | `deployment` / `sweep` |
//! | a delivery that was asked for again | `delivery#<guid>` / `delivery` |

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::ReturnConsumedCapacity;
use mayfly_core::brief::brief;
use mayfly_core::ids::Deployment;

use crate::tally::Counts;

mod claim;
mod count;
mod item;
mod jobs;
mod making;
mod memory;
mod notices;
mod past;
mod pool;
mod read;
mod room;
mod runs;
mod send;
mod slots;
mod table;
mod write;

use count::Count;

pub use claim::{Claim, Enqueued, Take, to_milliseconds};
pub use jobs::{JobWritten, Was};
pub use memory::{KnownPool, Memory};
pub use past::PoolRead;
pub use pool::Stage;
pub use room::Room;
pub use slots::Moved;
pub use table::{CreateTable, TableSeen, create_table, describe_table};

/// Why the ledger could not be asked or told.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The table did not answer, or could not take the request for a reason that passes.
    #[error("table: {doing}: {why}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        why: String,
    },
    /// There is no such table (`ResourceNotFoundException`).
    #[error(
        "table: {doing}: there is no table of the configured name there; `mayfly table create` makes it, and \
         AWS_ENDPOINT_URL_DYNAMODB, AWS_REGION and the like say where"
    )]
    Missing {
        /// What was being done.
        doing: &'static str,
    },
    /// An item is not as Mayfly writes it.
    #[error("table: item {key}: {why}; delete it by hand if nothing else repairs it")]
    Corrupt {
        /// Which item.
        key: String,
        /// What is wrong with it.
        why: String,
    },
}

/// The ledger.
#[derive(Debug, Clone)]
pub struct Ledger {
    client: Client,
    table: String,
    deployment: Deployment,
    /// How long an ended job is remembered.
    retention: Duration,
    count: Count,
    #[cfg(feature = "simulation")]
    outside: Option<std::sync::Arc<dyn crate::simulation::Table>>,
}

/// A job that nobody ever ended is forgotten after this: GitHub itself ends a workflow run after 35 days.
const JOB_LONGEST: Duration = Duration::from_secs(35 * 24 * 3600);

/// What is told of DynamoDB's own words, or of why there are none, in characters.
const WHY_LONGEST: usize = 400;

/// Every request asks what it cost: that is free, and lets costs be measured.
const COST: ReturnConsumedCapacity = ReturnConsumedCapacity::Total;

impl Ledger {
    /// The ledger in that table.
    pub fn new(
        aws: &aws_config::SdkConfig,
        table: String,
        deployment: Deployment,
        retention: Duration,
    ) -> Self {
        let count = Count::default();
        let config = aws_sdk_dynamodb::config::Builder::from(aws).interceptor(count.clone());
        Self {
            client: Client::from_conf(config.build()),
            table,
            deployment,
            retention,
            count,
            #[cfg(feature = "simulation")]
            outside: None,
        }
    }

    /// A ledger whose requests a simulation answers.
    #[cfg(feature = "simulation")]
    pub fn in_process(
        outside: &crate::simulation::Outside,
        table: String,
        deployment: Deployment,
        retention: Duration,
    ) -> Self {
        let (client, count) = (outside.dynamodb.clone(), Count::default());
        Self { client, table, deployment, retention, count, outside: Some(outside.table.clone()) }
    }

    /// How many requests this ledger and its clones have sent to the table, those that were repeated included.
    pub fn requests(&self) -> u64 {
        self.count.get()
    }

    /// How they were answered.
    pub(crate) fn answers(&self) -> Counts {
        self.count.answers()
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// DynamoDB answers within some ten milliseconds.
const TRY_TIMEOUT: Duration = Duration::from_secs(2);
/// For all tries of one call: an answer to GitHub takes several calls, and has ten seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// A call is sent at most so often by the SDK itself.
const TRIES: u32 = 3;

/// What the AWS SDK finds in its own variables and files, with waits short enough for a webhook: GitHub gives a
/// delivery ten seconds.
pub async fn aws_config() -> aws_config::SdkConfig {
    patient().load().await
}

/// The settings for a table engine on this machine, which asks for no credentials.
pub async fn local_aws_config(endpoint: &str) -> aws_config::SdkConfig {
    let anyone = aws_sdk_dynamodb::config::Credentials::new("local", "local", None, None, "local");
    let region = aws_sdk_dynamodb::config::Region::new("us-east-1");
    patient().endpoint_url(endpoint).credentials_provider(anyone).region(region).load().await
}

fn patient() -> aws_config::ConfigLoader {
    use aws_config::retry::RetryConfig;
    use aws_config::timeout::TimeoutConfig;
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(TRY_TIMEOUT)
        .operation_timeout(CALL_TIMEOUT)
        .build();
    let retries =
        RetryConfig::standard().with_max_attempts(TRIES).with_initial_backoff(Duration::from_millis(100));
    aws_config::defaults(aws_config::BehaviorVersion::latest()).timeout_config(timeouts).retry_config(retries)
}

fn unavailable<E, R>(doing: &'static str) -> impl Fn(SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    move |error| {
        if error.code() == Some("ResourceNotFoundException") {
            return StoreError::Missing { doing };
        }
        // The service's own words where it answered; else the whole chain, since the outermost says little.
        let why = match error.as_service_error() {
            Some(answer) => {
                let code = answer.code().unwrap_or("error");
                format!("{code}: {}", answer.message().unwrap_or("no message"))
            }
            None => crate::errors::sources(&error),
        };
        StoreError::Unavailable { doing, why: brief(&why, WHY_LONGEST) }
    }
}
