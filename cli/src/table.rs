//! `mayfly table`: the table where the AWS SDK's own variables lead.

use std::io::Write;

use mayfly_service::config::Config;
use mayfly_service::store::{CreateTable, aws_config, create_table};
use mayfly_service::telemetry;

use crate::error::Error;

/// Makes the table of the configuration, and says whether it was there.
pub async fn create() -> Result<(), Error> {
    telemetry::start(telemetry::format_here());
    let config = Config::load()?;
    let found = create_table(&aws_config().await, &config.table).await?;
    let outcome = match found {
        CreateTable::Created => "created",
        CreateTable::Existed => "existed already",
    };
    let said = writeln!(std::io::stdout(), "table {}: {outcome}", config.table);
    said.map_err(|source| Error::io("standard output", source))
}
