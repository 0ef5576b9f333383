//! `mayfly serve`: everything on this machine.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use mayfly_service::config::Config;
use mayfly_service::inbound::Gate;
use mayfly_service::mayfly::Mayfly;
use mayfly_service::metrics::Metrics;
use mayfly_service::store::{CreateTable, create_table, local_aws_config};
use mayfly_service::telemetry;

use crate::args::ServeArgs;
use crate::engine::Engine;
use crate::error::Error;
use crate::host::{Host, Rhythm};
use crate::progress::during;
use crate::signals::Signals;
use crate::table::{self, ENDPOINT_VARIABLE};
use crate::tell::tell;

/// Work in flight gets so long after the first signal.
const STOPPING_LONGEST: Duration = Duration::from_secs(30);
/// The embedded table has nothing left to do then.
const ENGINE_STOPPING_LONGEST: Duration = Duration::from_secs(5);
/// What a shell reports for a process that SIGINT ended.
const ENDED_AT_ONCE: i32 = 130;

/// Serves until a signal comes.
pub async fn run(args: ServeArgs) -> Result<(), Error> {
    telemetry::start(telemetry::format_here());
    let config = Config::load()?;
    check_exposure(&args)?;
    let gate = during("fetching the webhook's secrets", Gate::open(&config.github)).await?;
    let mut signals = Signals::catch()?;
    let (aws, engine) = open_table(&args, &config).await?;
    let mut mayfly = during("looking for the secrets", Mayfly::start_at(&config, &aws)).await?;
    // Nobody collects this process' output for CloudWatch.
    mayfly.metrics =
        if args.metrics_listen.is_some() { Metrics::for_prometheus() } else { Metrics::default() };
    let mayfly = Arc::new(mayfly);
    let rhythm = rhythm(&args, &mayfly)?;
    let mut host = Host::start(args.listen, mayfly.clone(), gate, rhythm).await?;
    let address = host.address();
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "plain HTTP beyond this machine: put a reverse proxy with TLS in front of it");
    }
    let metrics = match args.metrics_listen {
        Some(listen) => Some(host.show_metrics(listen, mayfly).await?),
        None => None,
    };
    tell(format_args!("listening on http://{address}"))?;
    if let Some(address) = metrics {
        tell(format_args!("metrics at http://{address}/metrics"))?;
    }

    let signal = signals.next().await;
    tracing::info!(signal, longest = ?STOPPING_LONGEST, "stopping; a second signal ends it at once");
    tokio::spawn(async move {
        let signal = signals.next().await;
        tracing::warn!(signal, "ended at once: what is unfinished is left for the next start");
        std::process::exit(ENDED_AT_ONCE);
    });
    if host.stop(STOPPING_LONGEST).await {
        tracing::info!("stopped");
    } else {
        tracing::warn!("stopped; what is unfinished is left for the next start");
    }
    if let Some(engine) = engine {
        engine.stop(ENGINE_STOPPING_LONGEST).await;
    }
    Ok(())
}

/// Metrics are shown to other machines only where that is said.
fn check_exposure(args: &ServeArgs) -> Result<(), Error> {
    match args.metrics_listen {
        Some(address) if !address.ip().is_loopback() && !args.metrics_exposed => {
            Err(Error::MetricsExposed { address })
        }
        Some(_) | None => Ok(()),
    }
}

/// When sweeps are, and whether they are polls; an error when no pool's jobs could be found by polls.
fn rhythm(args: &ServeArgs, mayfly: &Mayfly) -> Result<Rhythm, Error> {
    let Some(every) = args.poll else { return Ok(Rhythm::Every(args.sweep_every)) };
    let blind: Vec<String> = mayfly.pools_not_polled().iter().map(|pool| pool.name.to_string()).collect();
    if blind.len() == mayfly.policy.pools.len() {
        return Err(Error::NothingToPoll { pools: blind });
    }
    for pool in blind {
        tracing::warn!(pool, "polls cannot find this pool's jobs: GitHub lists no enterprise's repositories");
    }
    tracing::info!(?every, "asking GitHub for jobs; no webhook is needed");
    Ok(Rhythm::Poll(every))
}

/// The table that the environment names, or an embedded one.
async fn open_table(args: &ServeArgs, config: &Config) -> Result<(SdkConfig, Option<Engine>), Error> {
    if let Ok(endpoint) = std::env::var(ENDPOINT_VARIABLE) {
        tracing::info!(endpoint, table = config.table, "using the table that {ENDPOINT_VARIABLE} names");
        return Ok((table::aws_config().await, None));
    }
    let engine = Engine::open(&args.data)?;
    let aws = local_aws_config(engine.endpoint()).await;
    let made = create_table(&aws, &config.table).await?;
    let is_new = made == CreateTable::Created;
    let endpoint = engine.endpoint();
    tracing::info!(
        data = %args.data.display(), table = config.table, is_new,
        "using the embedded table; other commands find it with {ENDPOINT_VARIABLE}={endpoint}"
    );
    Ok((aws, Some(engine)))
}
