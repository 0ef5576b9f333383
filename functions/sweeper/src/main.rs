//! The Lambda function for the schedule: its event is any JSON object, its answer the report of what it saw and did.

// What others wrote cannot end the process by an index, or become another number without a word.
#![warn(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::mem_forget,
    clippy::unused_async
)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap
    )
)]
// Layouts of futures within futures within futures.
#![recursion_limit = "256"]

use std::process::ExitCode;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use mayfly_service::clock::instant_at;
use mayfly_service::config::Config;
use mayfly_service::mayfly::Mayfly;
use mayfly_service::telemetry;
use serde_json::Value;
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::start(telemetry::format_here());
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the function stopped: Lambda starts it anew for the next event");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let config = Config::load()?;
    let mayfly = &Mayfly::start(&config).await?;
    lambda_runtime::run(service_fn(async move |event: LambdaEvent<Value>| {
        let end: Instant = instant_at(event.context.deadline);
        let report = mayfly.sweep(end).await;
        mayfly.log_metrics();
        Ok::<Value, Error>(serde_json::to_value(report)?)
    }))
    .await
}
