//! Logs: one line for each decision. JSON on Lambda, readable text on a terminal.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// What is logged where `RUST_LOG` says nothing: our own decisions, and others' troubles. The embedded table calls every
/// condition that did not hold a trouble; they are how it is meant to be used.
const DEFAULT_FILTER: &str =
    "warn,mayfly=info,mayfly_service=info,webhook=info,sweeper=info,simulator=warn,dynoxide=error";

/// Starts logging to standard error, filtered by `RUST_LOG` (`target=level,…`).
///
/// The clients' crates stay at their own level even at `trace`: at that level they print what they send, and that
/// holds tokens and JIT configs.
pub fn start(format: Format) {
    let coloured =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(coloured);
    let registry = tracing_subscriber::registry().with(filter());
    // A second start (tests in one process) keeps the first one's settings.
    let _ = match format {
        Format::Json => registry.with(layer.json().flatten_event(true).with_current_span(false)).try_init(),
        Format::Text => registry.with(layer.with_target(false)).try_init(),
    };
}

/// What is logged: `RUST_LOG`, or the default, with the clients' crates kept at their own level.
pub fn filter() -> Targets {
    let given = std::env::var("RUST_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    quiet(given.unwrap_or_else(|| DEFAULT_FILTER.parse().unwrap_or_default()))
}

/// On Lambda lines are JSON.
pub fn format_here() -> Format {
    let on_lambda = std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some();
    if on_lambda { Format::Json } else { Format::Text }
}

fn quiet(filter: Targets) -> Targets {
    use tracing::level_filters::LevelFilter;
    let loud = [
        "aws_sdk_dynamodb",
        "aws_sdk_ssm",
        "aws_sdk_secretsmanager",
        "aws_smithy_runtime",
        "aws_smithy_runtime_api",
        "aws_runtime",
        "aws_config",
        "aws_sigv4",
        "hyper",
        "hyper_util",
        "h2",
        "reqwest",
        "rustls",
        "google_cloud_auth",
        "google_cloud_gax_internal",
        "lambda_runtime",
        "lambda_http",
        "lambda_extension",
    ];
    // A directive for a part of such a crate would win over one for the whole.
    let of_loud = |target: &str| loud.iter().any(|name| target.split("::").next() == Some(name));
    let default = filter.default_level().unwrap_or(LevelFilter::OFF);
    let kept = filter.iter().filter(|(target, _)| !of_loud(target));
    let kept = kept.map(|(target, level)| (target.to_owned(), level));
    let quieted = loud.iter().map(|target| ((*target).to_owned(), LevelFilter::WARN));
    Targets::new().with_default(default).with_targets(kept.chain(quieted))
}
