//! `mayfly doctor`: looks at a deployment from outside, and says what is right and how to mend what is wrong.
//!
//! - `finding`: what was found, and how it is told
//! - `github`, `table`, `gcp`, `proxmox`: what is looked at, each with its judgement, which is pure
//! - `secrets`: whether the secrets are where the configuration says
//!
//! Nothing is changed anywhere. No right is asked for that Mayfly itself has no need of: what cannot be seen without one is
//! skipped, and says so.

mod finding;
mod gcp;
mod github;
mod proxmox;
mod secrets;
mod table;

use std::io::IsTerminal;
use std::time::Duration;

use futures_util::future::join_all;
use mayfly_service::config::{CONFIG_VARIABLE, Config, ConfigError};
use mayfly_service::mayfly::Mayfly;
use mayfly_service::provider::Provider;
use mayfly_service::provider::gcp::GcpCredentials;
use mayfly_service::telemetry;
use tokio::time::Instant;

use crate::args::DoctorArgs;
use crate::error::Error;
use crate::table::aws_config;
use crate::tell::tell;
use finding::{Finding, Findings, Level, count, json, text};

/// For all of it: the areas are looked at side by side.
const TIME: Duration = Duration::from_secs(45);

/// Looks, and tells. An error where something is wrong.
pub async fn run(args: DoctorArgs) -> Result<(), Error> {
    telemetry::start(telemetry::format_here());
    let findings = match Config::load() {
        Ok(config) => examine(&config, &args).await?,
        Err(error) => unreadable(&error),
    };
    if args.json {
        tell(format_args!("{:#}", json(&findings)))?;
    } else {
        let stdout = std::io::stdout();
        let coloured = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        tell(text(&findings, coloured))?;
    }
    match count(&findings, Level::Wrong) {
        0 => Ok(()),
        wrong => Err(Error::Unwell { wrong }),
    }
}

/// A configuration that does not load: nothing else can be looked at.
fn unreadable(error: &ConfigError) -> Vec<Finding> {
    let mut found = Findings::of("configuration");
    let mend = match error {
        ConfigError::Unreadable { .. } => {
            format!("name the file by {CONFIG_VARIABLE}; `mayfly init` writes a first one")
        }
        ConfigError::Wrong { .. } => {
            "correct what the message names; the README's \"Configure\" has each key with an example"
                .to_owned()
        }
    };
    found.wrong("it loads", error.to_string(), mend);
    found.skipped("everything else", "nothing is known of the deployment without its configuration");
    found.done()
}

async fn examine(config: &Config, args: &DoctorArgs) -> Result<Vec<Finding>, Error> {
    let aws = aws_config().await;
    let mayfly = Mayfly::new(config, &aws, &GcpCredentials::default())?;
    let deadline = Instant::now() + TIME;

    let mut found = Findings::of("configuration");
    let pools: Vec<&str> = config.policy.pools.iter().map(|pool| pool.name.as_str()).collect();
    found.ok("it loads", format!("deployment {}, pools {}", config.policy.deployment, pools.join(", ")));
    let has_login = secrets::examine(config, &mut found, deadline).await;

    let providers = mayfly.providers().map(async |(name, provider)| match provider {
        Provider::Gcp(gcp) => gcp::examine(config, name, gcp, deadline).await,
        Provider::Proxmox(proxmox) => proxmox::examine(config, name, proxmox, deadline).await,
    });
    let (github, table, providers) = tokio::join!(
        Box::pin(github::examine(config, &mayfly.github, has_login, args.poll, deadline)),
        Box::pin(table::examine(config, &aws, &mayfly.ledger)),
        join_all(providers),
    );
    let all = [found.done(), github, table].into_iter().chain(providers).flatten();
    Ok(all.collect())
}
