//! `mayfly table`: the table where the AWS SDK's own variables lead.

use std::net::IpAddr;

use aws_config::SdkConfig;
use mayfly_service::config::Config;
use mayfly_service::store::{self, CreateTable, create_table, local_aws_config};
use mayfly_service::telemetry;

use crate::error::Error;
use crate::progress::during;
use crate::tell::tell;

/// The AWS SDK's own variable for the table's address.
pub const ENDPOINT_VARIABLE: &str = "AWS_ENDPOINT_URL_DYNAMODB";
/// The variables by which a user chooses credentials.
const LOGIN_VARIABLES: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_PROFILE"];

/// Where the AWS SDK's own variables lead. An engine on this machine asks for no credentials, so none need to be set.
pub async fn aws_config() -> SdkConfig {
    let has_login = LOGIN_VARIABLES.into_iter().any(|name| std::env::var_os(name).is_some());
    match std::env::var(ENDPOINT_VARIABLE) {
        Ok(endpoint) if !has_login && is_here(&endpoint) => local_aws_config(&endpoint).await,
        Ok(_) | Err(_) => store::aws_config().await,
    }
}

/// Whether a URL is plain HTTP to this very machine.
fn is_here(url: &str) -> bool {
    let Some(authority) = url.strip_prefix("http://").and_then(|rest| rest.split('/').next()) else {
        return false;
    };
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|host: IpAddr| host.is_loopback())
}

/// Makes the table of the configuration, and says whether it was there.
pub async fn create() -> Result<(), Error> {
    telemetry::start(telemetry::format_here());
    let config = Config::load()?;
    let making = async { create_table(&aws_config().await, &config.table).await };
    let found = during(format_args!("making the table {}", config.table), making).await?;
    let outcome = match found {
        CreateTable::Created => "created",
        CreateTable::Existed => "existed already",
    };
    tell(format_args!("table {}: {outcome}", config.table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_to_this_machine_needs_no_credentials() {
        for here in
            ["http://127.0.0.1:8000", "http://localhost:8000/", "http://[::1]:8000", "http://127.0.0.1"]
        {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in [
            "https://127.0.0.1:8000",
            "http://10.0.0.1:8000",
            "http://localhost.example.com:8000",
            "http://127.0.0.1@example.com",
            "https://dynamodb.us-east-1.amazonaws.com",
            "",
        ] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }
}
