//! A child process that can be stopped and continued, as a process group of its own.
//!
//! Should the test's process die, its frozen children are in an orphaned process group, which the kernel ends with
//! `SIGHUP`; running ones lose their Runtime API, and end when they next turn to it.

use std::io;
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::{Child, Command};

use super::launch::Launch;
use super::record::Record;

/// A signalled process stops in microseconds; this bounds the wait on a machine that has better things to do.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// So often a process that is to stop is looked at without a pause.
const TURNS: u32 = 100;

pub(crate) struct Process {
    child: Child,
    /// The process's id, which is its group's too.
    pub(crate) group: Pid,
    /// Which of the function's environments it is.
    pub(crate) environment: u32,
}

impl Process {
    /// Starts the program. Must be called within the background runtime, which then reaps it.
    pub(crate) fn spawn(launch: &Launch, runtime_api: SocketAddr, record: &Record) -> io::Result<Self> {
        let output = record.output()?;
        let mut command = Command::new(&launch.program);
        command
            .env_clear()
            .envs(launch.environment(runtime_api))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .kill_on_drop(true);
        if let Some(directory) = &launch.directory {
            command.current_dir(directory);
        }
        let child = command.spawn()?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let group = pid.ok_or_else(|| io::Error::other("the child has no process id"))?;
        let environment = record.started(group);
        Ok(Self { child, group, environment })
    }

    /// Stops the process and returns once it stands still.
    pub(crate) async fn freeze(&self) {
        self.signal(Signal::STOP);
        let start = Instant::now();
        // Most often it takes some microseconds, and a timer counts in milliseconds.
        let mut turns = 0..TURNS;
        while start.elapsed() < STOP_LIMIT {
            let options = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
            match waitid(WaitId::Pid(self.group), options) {
                Ok(None) if turns.next().is_some() => tokio::task::yield_now().await,
                Ok(None) => tokio::time::sleep(Duration::from_millis(1)).await,
                // Stopped; or there is no such child any more, which its exit status will tell.
                Ok(Some(_)) | Err(_) => return,
            }
        }
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    pub(crate) fn kill(&self) {
        kill(self.group);
    }

    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    fn signal(&self, signal: Signal) {
        // The only possible failure is that the process is gone, which its exit status will tell.
        let _ = kill_process_group(self.group, signal);
    }
}

/// Kills a process group, stopped or not.
pub(crate) fn kill(group: Pid) {
    let _ = kill_process_group(group, Signal::KILL);
}
