//! The command line's arguments.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use mayfly_service::config::Url;

use crate::examples;

/// Self-hosted GitHub Actions runners on virtual machines that live for one job.
///
/// The configuration is read from the file that MAYFLY_CONFIG names, by default `mayfly.toml` in the working
/// directory. `mayfly demo` needs none.
#[derive(Debug, Parser)]
#[command(name = "mayfly", version, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Serve(ServeArgs),
    Demo(DemoArgs),
    Doctor(DoctorArgs),
    Drain(DrainArgs),
    Status(StatusArgs),
    Explain(ExplainArgs),
    Init(Box<InitArgs>),
    /// The GitHub App that Mayfly logs in as
    GithubApp {
        #[command(subcommand)]
        command: GithubAppCommand,
    },
    /// The DynamoDB table in which Mayfly keeps its state
    Table {
        #[command(subcommand)]
        command: TableCommand,
    },
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// Run everything on this machine: the webhook, the periodic sweep and the table
///
/// GitHub's deliveries are taken at POST /webhook; GET /healthz tells whether it runs. What is served is plain HTTP:
/// TLS is the business of a reverse proxy in front of it.
///
/// The state is kept in a file by an embedded DynamoDB engine, on a loopback port of its own; the table is made when
/// it is not there. Its log says where that is, for commands such as `mayfly drain`. With AWS_ENDPOINT_URL_DYNAMODB set,
/// the table there is used instead.
///
/// SIGINT and SIGTERM stop it in good order: no new requests, and work in flight gets time to finish. A second one
/// ends it at once; nothing is lost then, the next start takes up what was left.
#[derive(Debug, clap::Args)]
#[command(after_long_help = examples::SERVE)]
pub struct ServeArgs {
    /// Where the webhook listens; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// The file that keeps the state, made when it is not there
    #[arg(long, value_name = "FILE", default_value = "mayfly.db")]
    pub data: PathBuf,
    /// Show metrics to Prometheus at GET /metrics of this address; port 0 takes any free one
    ///
    /// They name the pools, and say how busy they are and what they cost; no job, repository or secret is in them. Whoever
    /// can reach the address can read them.
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_listen: Option<SocketAddr>,
    /// Let --metrics-listen be an address that other machines can reach
    #[arg(long, requires = "metrics_listen")]
    pub metrics_exposed: bool,
    /// How far apart sweeps are
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub sweep_every: Duration,
    /// Take no webhooks, but ask GitHub this often: for a machine that GitHub cannot reach
    ///
    /// Each poll is a sweep that looks for queued jobs in the repositories that the pools serve, and learns of starts and
    /// ends from GitHub's and the providers' lists. It costs a call for each organization's (or repository's) runners, two
    /// for each repository, and one for each workflow run that is queued or under way. At most half of GitHub's hourly limit is
    /// used: where polls cost more, they come further apart, which the log says. An enterprise's jobs cannot be found in
    /// this way.
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "sweep_every")]
    pub poll: Option<Duration>,
}

/// Watch Mayfly work, without any account: a simulated GitHub, Google Cloud and Proxmox cluster, everything on loopback
///
/// Jobs for three pools arrive in bursts: a Linux and a Windows GPU pool in the cloud, and a Linux pool in a lab on
/// Proxmox that overflows to the cloud when the lab is full. Some jobs are announced twice, some are cancelled before they
/// start, one zone has no machines for a while, and a stranger's VM takes an id in the lab, which stays. On a terminal the world is shown live, elsewhere each happening is
/// a line. It ends when all jobs are over and nothing is left, with exit code 1 if an invariant broke, a job was
/// not served, or anything is left.
#[derive(Debug, clap::Args)]
#[command(after_long_help = examples::DEMO)]
pub struct DemoArgs {
    /// Repeat a demo: the seed that it printed
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How many jobs there are
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub jobs: u16,
    /// Write Mayfly's own log there, as much of it as RUST_LOG asks for
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

/// Check a deployment from outside, and say how to mend what is wrong
///
/// Looks at the configuration and its secrets, GitHub (login, permissions, webhook and its deliveries, runner groups), the
/// table, and each provider (credentials, templates, zones, quotas, privileges, room), and changes nothing. A line for each
/// finding, with what to do on the next. Exit code 0 when nothing is wrong (warnings are not), else 1.
///
/// It asks with the configuration's own credentials, and with the AWS SDK's for the table. What these may not see, and Mayfly
/// itself has no need to, is skipped.
#[derive(Debug, clap::Args)]
#[command(after_long_help = examples::DOCTOR)]
pub struct DoctorArgs {
    /// Print one JSON object instead: `findings` with area, what, level, why and mend, and the number of each level
    #[arg(long)]
    pub json: bool,
    /// The deployment is a `mayfly serve --poll`, which needs no webhook
    #[arg(long)]
    pub poll: bool,
}

/// Let a pool run dry, or serve again: to replace an image without losing a job
///
/// A drained pool takes no new jobs and starts no VMs. Jobs that run end normally, idle runners go, and jobs that come
/// meanwhile wait until `--resume`. The flag is kept in the table of the configuration; the functions and `mayfly serve`
/// obey it, so one of them has to run for anything to go.
///
/// The table is looked for where the AWS SDK's own variables lead (AWS_REGION, AWS_ENDPOINT_URL_DYNAMODB, …). That of a
/// `mayfly serve` on this machine is at the address that its log names at its start: set AWS_ENDPOINT_URL_DYNAMODB to
/// it; it asks for no credentials.
#[derive(Debug, clap::Args)]
#[command(after_long_help = examples::DRAIN)]
pub struct DrainArgs {
    /// The pool's name
    #[arg(value_name = "POOL")]
    pub pool: String,
    /// End the drain: the pool takes jobs again, those that waited first
    #[arg(long, conflicts_with = "wait")]
    pub resume: bool,
    /// Drain, and return when no slot of the pool is taken any more, with a line for each change on the way
    ///
    /// SIGINT and SIGTERM end the waiting, not the drain.
    #[arg(long)]
    pub wait: bool,
    /// How long to wait at most; exit code 1 when it passes, and the pool stays drained
    #[arg(long, value_name = "DURATION", default_value = "6h", value_parser = duration, requires = "wait")]
    pub timeout: Duration,
}

/// Show how a deployment stands: its pools, their runners, the jobs that wait and why each does
///
/// From the table alone, with one query for each pool: nothing is asked of GitHub or a provider. It is looked for as `mayfly
/// drain` does. Exit code 1 where a pool could not be read.
#[derive(Debug, clap::Args)]
#[command(after_long_help = examples::STATUS)]
pub struct StatusArgs {
    /// Look again each few seconds until it is ended; on a terminal, drawn in place
    #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = "3s", value_parser = watch)]
    pub watch: Option<Duration>,
    /// As JSON, for programs; with --watch, a line for each look
    #[arg(long)]
    pub json: bool,
}

/// Tell the story of one job: what it waited for, what was tried for it, who ran it, and how long each step took
///
/// From the table, and from GitHub where that answers. A job is remembered for `timing.retention` after its end. Exit code 1
/// where the table knows nothing of it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = examples::EXPLAIN)]
pub struct ExplainArgs {
    /// The job's number, its address in the browser (`https://github.com/OWNER/REPO/actions/runs/RUN/job/JOB`), or the name
    /// of a runner that is still there
    #[arg(value_name = "JOB|RUNNER|URL")]
    pub what: String,
    /// As JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Write a commented configuration for one pool on Google Cloud
///
/// From these flags, which are those of scalers built on GitHub's scale sets; what is missing is asked for at the terminal. No
/// secret is written: the configuration names where each one is. An existing file is left as it is.
#[derive(Debug, clap::Args)]
#[command(after_long_help = examples::INIT)]
pub struct InitArgs {
    /// Where runners register: `https://github.com/ORGANIZATION`, `…/OWNER/REPOSITORY` or `…/enterprises/ENTERPRISE`
    #[arg(long)]
    pub url: Option<String>,
    /// The pool's name; also its label, where --labels gives none
    #[arg(long)]
    pub name: Option<String>,
    /// What jobs name in `runs-on`
    #[arg(long, value_delimiter = ',')]
    pub labels: Vec<String>,
    /// The runner group, by its name
    #[arg(long, default_value = "default")]
    pub runner_group: String,
    /// The most runners there are at a time
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub max_runners: u16,
    /// So many stand ready at all times
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub min_runners: u16,
    /// linux or windows
    #[arg(long, default_value = "linux", value_parser = ["linux", "windows"])]
    pub platform: String,
    /// The Google Cloud project
    #[arg(long, value_name = "PROJECT")]
    pub gcp_project: Option<String>,
    /// The zones, in the order in which they are tried
    #[arg(long, value_name = "ZONES", value_delimiter = ',')]
    pub gcp_zones: Vec<String>,
    /// The instance template
    #[arg(long, value_name = "TEMPLATE")]
    pub gcp_instance_template: Option<String>,
    /// The GPU whose quota is looked at, such as nvidia-tesla-t4; none for none
    #[arg(long, value_name = "TYPE", default_value = "none")]
    pub gcp_gpu_type: String,
    /// The GitHub App's client id
    #[arg(long, value_name = "ID")]
    pub app_client_id: Option<String>,
    /// The App's installation; without it each delivery tells its own
    #[arg(long, value_name = "ID", conflicts_with = "token")]
    pub app_installation_id: Option<u64>,
    /// The file with the App's private key
    #[arg(long, value_name = "FILE", allow_hyphen_values = true, conflicts_with = "token")]
    pub app_private_key: Option<String>,
    /// Use a personal access token, from the variable GITHUB_TOKEN; a value that is given here is not written
    #[arg(long, value_name = "TOKEN", num_args = 0..=1, default_missing_value = "", conflicts_with = "app_client_id")]
    pub token: Option<String>,
    /// The deployment's name: a letter, then up to 14 letters and digits
    #[arg(long, value_name = "NAME", default_value = "prod")]
    pub deployment: String,
    /// The file to write
    #[arg(long, value_name = "FILE", default_value = "mayfly.toml")]
    pub out: PathBuf,
    /// Write it even where it is there already
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Subcommand)]
pub enum GithubAppCommand {
    Create(Box<CreateAppArgs>),
    Webhook(Box<AppWebhookArgs>),
}

/// Make the App, by one click in a browser
///
/// A page on this machine takes the browser to GitHub with all that the App needs filled in. What GitHub gives for it is kept
/// in two new files that only you can read, `mayfly-app.pem` and `mayfly-webhook-secret`, and shown nowhere; the lines for
/// the configuration are printed. The browser has to reach this machine's loopback address: over SSH, give --listen a port
/// and forward it (`ssh -L PORT:127.0.0.1:PORT`).
#[derive(Debug, clap::Args)]
#[command(after_long_help = examples::GITHUB_APP_CREATE)]
pub struct CreateAppArgs {
    /// Whose App it is; without it, your own account's
    #[arg(long, value_name = "ORGANIZATION", value_parser = login)]
    pub organization: Option<String>,
    /// Its name, which nobody else's App may have; `mayfly-ORGANIZATION` unless told otherwise
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Where its webhook goes; `mayfly github-app webhook` says that later
    #[arg(long, value_name = "URL", value_parser = address)]
    pub webhook_url: Option<Url>,
    /// It has none: for `mayfly serve --poll`, or a webhook of the organization or repository
    #[arg(long, conflicts_with = "webhook_url")]
    pub no_webhook: bool,
    /// Where pools register their runners; an organization's App at it, your own at repositories
    #[arg(long, value_name = "SCOPES", value_enum, value_delimiter = ',')]
    pub pools: Vec<PoolScope>,
    /// It may say on commits that their jobs wait: for `notifications.waiting_after`
    #[arg(long)]
    pub check_runs: bool,
    /// Where the files with the secrets are made
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    pub directory: PathBuf,
    /// Where the page is; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = loopback)]
    pub listen: SocketAddr,
    /// A GitHub Enterprise Server
    #[arg(long, value_name = "URL", default_value = "https://github.com", value_parser = address)]
    pub github_url: Url,
    /// Its API; that of --github-url unless told otherwise
    #[arg(long, value_name = "URL", value_parser = address)]
    pub api_url: Option<Url>,
}

/// Say where the App's webhook goes
///
/// As the App of the configuration, or as the one that --client-id and --private-key name. Only the address changes, and that
/// deliveries are JSON; the secret stays as it is.
#[derive(Debug, clap::Args)]
#[command(after_long_help = examples::GITHUB_APP_WEBHOOK)]
pub struct AppWebhookArgs {
    /// The address, such as `https://….lambda-url.us-east-1.on.aws/webhook`
    #[arg(value_name = "URL", value_parser = address)]
    pub url: Url,
    /// The App's client id
    #[arg(long, value_name = "ID", requires = "private_key")]
    pub client_id: Option<String>,
    /// The file with its private key
    #[arg(long, value_name = "FILE", requires = "client_id")]
    pub private_key: Option<PathBuf>,
    /// Another GitHub than the public one, where the configuration is not read
    #[arg(long, value_name = "URL", default_value = "https://api.github.com", requires = "client_id", value_parser = address)]
    pub api_url: Url,
}

/// Where a pool registers its runners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PoolScope {
    /// `organization = "…"`
    Organization,
    /// `repository = "…"`
    Repository,
}

/// A login becomes a part of addresses.
fn login(text: &str) -> Result<String, String> {
    let is_login =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_login {
        Ok(text.to_owned())
    } else {
        Err("must be an organization's login, such as shader-slang".to_owned())
    }
}

/// Secrets are sent there.
fn address(text: &str) -> Result<Url, String> {
    let wanted = "must be an https:// address without a user or query (or http:// on this machine)";
    mayfly_service::config::address(text).ok_or_else(|| wanted.to_owned())
}

/// Whoever can reach the page can take the App.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "must be an address with a port, such as 127.0.0.1:8000".to_owned())?;
    if address.ip().is_loopback() { Ok(address) } else { Err("must be a loopback address".to_owned()) }
}

#[derive(Debug, Subcommand)]
pub enum TableCommand {
    /// Make the table of the configuration
    ///
    /// Made where the AWS SDK's own variables lead (AWS_REGION, AWS_ENDPOINT_URL_DYNAMODB, …), as the terraform makes
    /// it. A table that is there already is left as it is.
    #[command(after_long_help = examples::TABLE_CREATE)]
    Create,
}

/// Print what a shell needs to complete `mayfly` and its arguments
#[derive(Debug, clap::Args)]
#[command(after_long_help = examples::COMPLETIONS)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Write the manual: a page for `mayfly` and one for each command
#[derive(Debug, clap::Args)]
#[command(after_long_help = examples::MAN)]
pub struct ManArgs {
    /// Where, made when it is not there
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

/// Each look is a query for each pool.
fn watch(text: &str) -> Result<Duration, String> {
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(3600));
    let wait = duration(text)?;
    if (least..=most).contains(&wait) { Ok(wait) } else { Err("must be between 1s and 60m".to_owned()) }
}

fn duration(text: &str) -> Result<Duration, String> {
    mayfly_service::config::duration(text)
        .ok_or_else(|| format!("must be {}", mayfly_service::config::DURATION))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_is_left_out_has_the_contracts_default() {
        let Args { command: Command::Serve(serve) } = Args::parse_from(["mayfly", "serve"]) else { panic!() };
        assert_eq!(serve.listen, "127.0.0.1:8080".parse().unwrap());
        assert_eq!((serve.data, serve.sweep_every), ("mayfly.db".into(), Duration::from_secs(60)));
        assert_eq!(serve.poll, None);
        assert!(Args::try_parse_from(["mayfly", "serve", "--sweep-every", "60"]).is_err());
        assert!(Args::try_parse_from(["mayfly", "serve", "--poll", "20s"]).is_ok());
        assert!(Args::try_parse_from(["mayfly", "serve", "--poll", "20s", "--sweep-every", "60s"]).is_err());
        assert!(Args::try_parse_from(["mayfly", "demo", "--jobs", "0"]).is_err());
    }

    #[test]
    fn a_drain_waits_or_is_ended_but_not_both() {
        let parsed = |rest: &[&str]| Args::try_parse_from([&["mayfly", "drain"], rest].concat());
        let Ok(Args { command: Command::Drain(drain) }) = parsed(&["linux", "--wait"]) else { panic!() };
        assert_eq!((drain.pool.as_str(), drain.wait, drain.resume), ("linux", true, false));
        assert_eq!(drain.timeout, Duration::from_secs(6 * 3600));
        assert!(parsed(&["linux"]).is_ok() && parsed(&["linux", "--resume"]).is_ok());
        assert!(parsed(&["linux", "--wait", "--timeout", "90m"]).is_ok());
        for wrong in
            [&[][..], &["linux", "--wait", "--resume"], &["linux", "--timeout", "1h"], &["linux", "windows"]]
        {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }
}
