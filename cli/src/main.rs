//! `mayfly`: everything on one machine, a demo that needs no account, a first configuration, the GitHub App, a check of a deployment,
//! draining a pool, how a deployment stands, the story of a job, and the table.

mod args;
mod demo;
mod doctor;
mod drain;
mod engine;
mod error;
mod examples;
mod explain;
mod github_app;
mod host;
mod init;
mod manual;
mod progress;
mod proxy;
mod screen;
mod serve;
mod signals;
mod status;
mod styled;
mod table;
mod tell;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command, TableCommand};
use error::Error;

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mayfly: {error}");
            ExitCode::FAILURE
        }
    }
}

/// As much as a main thread has, on which the functions run: what Tokio gives its threads (2 MiB) is not enough for a sweep
/// that makes a VM, in a build without optimisations. Only what is used of it takes memory.
const STACK: usize = 8 << 20;

/// Secrets lie in this process's memory: where it is ended by a signal, no image of it is left on a disk.
fn leave_no_core() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        // To lower one's own limit is refused to nobody.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
}

fn run(args: Args) -> Result<(), Error> {
    leave_no_core();
    proxy::keep_out()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK).enable_all().build();
    let runtime = runtime.map_err(|source| Error::io("the asynchronous runtime", source))?;
    let result = runtime.block_on(async {
        match args.command {
            Command::Serve(serve) => serve::run(serve).await,
            Command::Demo(demo) => demo::run(demo).await,
            Command::Doctor(args) => doctor::run(args).await,
            Command::Drain(args) => drain::run(args).await,
            Command::Status(args) => status::run(args).await,
            Command::Explain(args) => explain::run(args).await,
            Command::Init(args) => init::run(args),
            Command::GithubApp { command } => github_app::run(command).await,
            Command::Table { command: TableCommand::Create } => table::create().await,
            Command::Completions(args) => manual::completions(args.shell),
            Command::Man(args) => manual::pages(&args.folder),
        }
    });
    // What is still under way was given its time; it is left for the next sweep.
    runtime.shutdown_background();
    result
}
