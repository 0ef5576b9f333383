//! The table itself, made exactly as the terraform makes it.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, PointInTimeRecoverySpecification,
    ScalarAttributeType, TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
};

use super::{StoreError, unavailable};
use crate::errors::sources;

/// What [`create_table`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateTable {
    /// It is new.
    Created,
    /// It was there already.
    Existed,
}

/// A table as it is (`DescribeTable`, `DescribeTimeToLive`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSeen {
    /// `TableStatus`: `ACTIVE` when it can be used.
    pub status: String,
    /// The attributes of its key, each with its type: first the partition key, then the sort key.
    pub key: Vec<(String, String)>,
    /// Whether it is billed by request (`PAY_PER_REQUEST`).
    pub on_demand: bool,
    /// Secondary indexes, by name.
    pub indexes: Vec<String>,
    /// The attribute by which items expire, where that is switched on.
    pub expires_by: Option<String>,
    /// Whether it cannot be deleted by mistake; an engine for one machine may not tell.
    pub deletion_protected: Option<bool>,
}

/// Looks at the table. `None` where there is none of that name.
pub async fn describe_table(
    aws: &aws_config::SdkConfig,
    table: &str,
) -> Result<Option<TableSeen>, StoreError> {
    let client = Client::new(aws);
    let seen = match client.describe_table().table_name(table).send().await {
        Ok(answer) => answer.table,
        Err(error) => {
            return match unavailable("looking at the table")(error) {
                StoreError::Missing { .. } => Ok(None),
                error @ (StoreError::Unavailable { .. } | StoreError::Corrupt { .. }) => Err(error),
            };
        }
    };
    let Some(seen) = seen else { return Ok(None) };
    let ttl = client.describe_time_to_live().table_name(table).send().await;
    let ttl = ttl.map_err(unavailable("reading the table's TTL"))?.time_to_live_description;
    let is_on =
        |status: &TimeToLiveStatus| matches!(status, TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling);
    let ttl = ttl.filter(|ttl| ttl.time_to_live_status().is_some_and(is_on));
    let mut key = seen.key_schema().to_vec();
    key.sort_by_key(|element| element.key_type != KeyType::Hash);
    let kind = |name: &str| {
        let known = seen.attribute_definitions().iter().find(|known| known.attribute_name == name);
        known.map_or(String::new(), |known| known.attribute_type.as_str().to_owned())
    };
    let key = key.into_iter().map(|element| (kind(&element.attribute_name), element.attribute_name));
    let global = seen.global_secondary_indexes().iter().filter_map(|index| index.index_name.clone());
    let local = seen.local_secondary_indexes().iter().filter_map(|index| index.index_name.clone());
    Ok(Some(TableSeen {
        status: seen.table_status().map_or(String::new(), |status| status.as_str().to_owned()),
        key: key.map(|(kind, name)| (name, kind)).collect(),
        on_demand: seen
            .billing_mode_summary()
            .is_some_and(|billing| billing.billing_mode() == Some(&BillingMode::PayPerRequest)),
        indexes: global.chain(local).collect(),
        expires_by: ttl.and_then(|ttl| ttl.attribute_name),
        deletion_protected: seen.deletion_protection_enabled(),
    }))
}

/// How often, and how far apart, a new table is asked whether it is ready.
const READY_CHECKS: u32 = 60;
const READY_PAUSE: Duration = Duration::from_millis(500);
/// Its backups become ready later than the table.
const BACKUP_CHECKS: u32 = 120;

/// Makes the table: partition key `pk`, sort key `sk`, TTL `expires_at`, billed by request, no index; protected against
/// deletion, and restorable to any moment of the last 35 days.
pub async fn create_table(aws: &aws_config::SdkConfig, table: &str) -> Result<CreateTable, StoreError> {
    let client = Client::new(aws);
    let created = match create(&client, table).await {
        Ok(()) => CreateTable::Created,
        Err(Creation::Exists) => CreateTable::Existed,
        Err(Creation::Failed(error)) => return Err(error),
    };
    ready(&client, table).await?;
    let ttl = client.describe_time_to_live().table_name(table).send().await;
    let ttl = ttl.map_err(unavailable("reading the table's TTL"))?;
    let attribute = ttl.time_to_live_description.and_then(|ttl| ttl.attribute_name);
    if attribute.as_deref() != Some("expires_at") {
        let build = TimeToLiveSpecification::builder().attribute_name("expires_at").enabled(true).build();
        let ttl = build.map_err(|error| failed("switching TTL on", &error))?;
        let request = client.update_time_to_live().table_name(table).time_to_live_specification(ttl);
        request.send().await.map_err(unavailable("switching TTL on"))?;
    }
    if created == CreateTable::Created {
        back_up(&client, table).await?;
    }
    Ok(created)
}

/// Switches point-in-time recovery on. Engines for one machine know nothing of it, and of their files a copy can be made.
async fn back_up(client: &Client, table: &str) -> Result<(), StoreError> {
    const DOING: &str = "switching the table's point-in-time recovery on";
    let build = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build();
    let wanted = build.map_err(|error| failed(DOING, &error))?;
    for left in (0..BACKUP_CHECKS).rev() {
        let request = client.update_continuous_backups().table_name(table);
        let error = match request.point_in_time_recovery_specification(wanted.clone()).send().await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        match error.code() {
            Some("UnknownOperationException") => {
                tracing::debug!(table, "this engine has no point-in-time recovery");
                return Ok(());
            }
            // Right after its making a table's backups are not ready yet.
            Some("ContinuousBackupsUnavailableException") if left > 0 => {
                tokio::time::sleep(READY_PAUSE).await;
            }
            _ => {
                let why = format!(
                    "{}; the table is there, only that is to be switched on by hand",
                    sources(&error)
                );
                return Err(StoreError::Unavailable { doing: DOING, why });
            }
        }
    }
    Ok(())
}

enum Creation {
    Exists,
    Failed(StoreError),
}

async fn create(client: &Client, table: &str) -> Result<(), Creation> {
    let mut request = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .deletion_protection_enabled(true);
    for (name, role) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
        let attribute = AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S)
            .build();
        let key = KeySchemaElement::builder().attribute_name(name).key_type(role).build();
        request = request
            .attribute_definitions(
                attribute.map_err(|error| Creation::Failed(failed("creating the table", &error)))?,
            )
            .key_schema(key.map_err(|error| Creation::Failed(failed("creating the table", &error)))?);
    }
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => {
            Err(Creation::Exists)
        }
        Err(error) => Err(Creation::Failed(unavailable("creating the table")(error))),
    }
}

async fn ready(client: &Client, table: &str) -> Result<(), StoreError> {
    for _ in 0..READY_CHECKS {
        let status = match client.describe_table().table_name(table).send().await {
            Ok(answer) => answer.table.and_then(|table| table.table_status),
            // Right after its making a table may not be seen yet.
            Err(error)
                if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) =>
            {
                None
            }
            Err(error) => return Err(unavailable("reading the table's state")(error)),
        };
        if status == Some(TableStatus::Active) {
            return Ok(());
        }
        tokio::time::sleep(READY_PAUSE).await;
    }
    Err(StoreError::Unavailable {
        doing: "creating the table",
        why: "it did not become active in 30 s".to_owned(),
    })
}

fn failed(doing: &'static str, error: &dyn std::error::Error) -> StoreError {
    StoreError::Unavailable { doing, why: error.to_string() }
}
