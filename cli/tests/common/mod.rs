//! The real `mayfly`, in a folder of its own.
#![allow(dead_code)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mayfly_testkit::{delivery, wait_for_value};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use simulator::Simulator;
use tempfile::TempDir;

pub const SOON: Duration = Duration::from_secs(20);
pub const WEBHOOK_SECRET: &str = "a webhook's secret for these tests";
pub const LABELS: [&str; 2] = ["self-hosted", "GPU"];

/// A folder with a configuration, and the environment that goes with it.
pub struct Place {
    pub folder: TempDir,
    pub environment: Vec<(String, String)>,
}

impl Place {
    /// A pool of three on a simulated GitHub and Google Cloud.
    pub fn on(simulator: &Simulator) -> Self {
        let place = Self::with(&configuration(&simulator.github_url(), &simulator.gcp_url()));
        let key = place.path("google.json");
        fs::write(&key, simulator.service_account_json()).unwrap();
        let key = key.display().to_string();
        place.env("GITHUB_TOKEN", &simulator.pat()).env("GOOGLE_APPLICATION_CREDENTIALS", &key)
    }

    /// A pool of three, and nobody there.
    pub fn alone() -> Self {
        let nobody = "http://127.0.0.1:1";
        Self::with(&configuration(nobody, nobody)).env("GITHUB_TOKEN", "a token for nobody")
    }

    pub fn with(configuration: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("mayfly.toml"), configuration).unwrap();
        Self { folder, environment: Vec::new() }.env("WEBHOOK_SECRET", WEBHOOK_SECRET)
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Changes the configuration.
    pub fn replace(&self, from: &str, to: &str) {
        let path = self.path("mayfly.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    pub fn mayfly(&self, arguments: &[&str]) -> Command {
        let mut command = mayfly(self.folder.path());
        command.args(arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.mayfly(arguments).output().unwrap()
    }

    /// `mayfly serve` on any port, with its state in this folder.
    pub fn serve(&self) -> Serving {
        self.serve_with(&["--sweep-every", "200ms"])
    }

    /// The same with these arguments as well.
    pub fn serve_with(&self, arguments: &[&str]) -> Serving {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut child = self
            .mayfly(&["serve", "--listen", "127.0.0.1:0", "--data", "state.db"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").map(str::to_owned);
        let url = url.unwrap_or_else(|| panic!("it does not listen; its log:\n{}", self.log()));
        Serving { child, url, stdout, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// Where the table is of the `mayfly serve` that has begun here.
    pub fn table_of_serve(&self) -> String {
        let log = self.log();
        let (_, rest) = log.split_once("AWS_ENDPOINT_URL_DYNAMODB=").expect(&log);
        rest.split_whitespace().next().unwrap().to_owned()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }
}

/// The program, without what this process happens to have in its environment.
pub fn mayfly(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mayfly"));
    command.current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let foreign =
            ["AWS_", "MAYFLY_", "GOOGLE_", "RUST_LOG", "NO_COLOR"].iter().any(|each| text.starts_with(each));
        if foreign {
            command.env_remove(&name);
        }
    }
    command
}

/// A `mayfly serve` under way; ended with it.
pub struct Serving {
    child: Child,
    pub url: String,
    /// What it tells after its address.
    pub stdout: BufReader<ChildStdout>,
    pub client: reqwest::Client,
}

impl Serving {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub async fn post(&self, delivery: &delivery::Delivery) -> (u16, serde_json::Value) {
        let mut request = self.client.post(format!("{}/webhook", self.url)).body(delivery.body.clone());
        for (name, value) in &delivery.headers {
            request = request.header(name, value);
        }
        answer(request).await
    }

    /// Asks it to stop, and waits until it has.
    pub async fn stop(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        wait_for_value("the end of mayfly", SOON, async || self.child.try_wait().unwrap()).await.unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It has ended already, unless a test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub async fn answer(request: reqwest::RequestBuilder) -> (u16, serde_json::Value) {
    let response = request.timeout(SOON).send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
}

/// The only line on standard error of a run that failed.
pub fn complaint(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

fn configuration(github: &str, gcp: &str) -> String {
    format!(
        r#"
deployment = "test"
[store]
table = "mayfly-test"
[github]
api_url = "{github}"
webhook_secrets = [{{ env = "WEBHOOK_SECRET" }}]
token = {{ env = "GITHUB_TOKEN" }}
[providers.gcp]
kind = "gcp"
project = "slang-runners"
endpoint = "{gcp}"
[[pools]]
name = "linux-gpu"
labels = ["self-hosted", "GPU"]
organization = "shader-slang"
max_runners = 3
[[pools.placements]]
provider = "gcp"
instance_template = "linux-gpu-runner"
zones = ["us-east1-c"]
gpu_type = "none"
"#
    )
}

/// A terminal, and what was written to it so far.
pub struct Terminal {
    seen: Arc<Mutex<Vec<u8>>>,
}

/// A terminal, and the end of it that a program gets.
pub fn terminal() -> (Terminal, Stdio) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
    let (kept, mut screen) = (seen.clone(), fs::File::from(ours));
    std::thread::spawn(move || {
        let mut part = [0; 1024];
        // An error is its end as well: nobody has the other end any more.
        while let Ok(read @ 1..) = screen.read(&mut part) {
            kept.lock().unwrap().extend_from_slice(&part[..read]);
        }
    });
    (Terminal { seen }, Stdio::from(theirs))
}

impl Terminal {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }
}
