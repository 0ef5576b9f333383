//! What to start, and in which environment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The region every emulated function is in.
pub(crate) const REGION: &str = "us-east-1";
/// The account every emulated function belongs to; AWS's documentation uses it.
pub(crate) const ACCOUNT: &str = "123456789012";

/// Passed on from the test's environment: what a program needs to run on this machine at all, coverage included.
const INHERITED: [&str; 5] = ["PATH", "HOME", "TMPDIR", "LLVM_PROFILE_FILE", "RUST_BACKTRACE"];

/// A function's program and settings.
#[derive(Debug, Clone)]
pub struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) name: String,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) memory_mib: u32,
    pub(crate) one_trace: bool,
    pub(crate) timeout: Duration,
    pub(crate) init_timeout: Duration,
    env: BTreeMap<String, String>,
}

impl Launch {
    /// The program at `program`, named after its file, with 128 MB, a timeout of 30 s, and 30 s to initialise
    /// (Lambda allows 10 s; debug builds on a busy machine get more).
    pub fn new(program: impl AsRef<Path>) -> Self {
        let program = program.as_ref().to_path_buf();
        let name = program.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Self {
            program,
            name,
            directory: None,
            memory_mib: 128,
            one_trace: false,
            timeout: Duration::from_secs(30),
            init_timeout: Duration::from_secs(30),
            env: BTreeMap::new(),
        }
    }

    /// Sets an environment variable, over whatever Lambda would set.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Sets several environment variables.
    #[must_use]
    pub fn envs<N: Into<String>, V: Into<String>>(mut self, vars: impl IntoIterator<Item = (N, V)>) -> Self {
        self.env.extend(vars.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// The function's timeout: how long an invocation may take, work after the answer included.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long the program may take until it waits for its first event.
    #[must_use]
    pub fn init_timeout(mut self, timeout: Duration) -> Self {
        self.init_timeout = timeout;
        self
    }

    /// `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`, in MB. Told to the program, not enforced.
    #[must_use]
    pub fn memory(mut self, mib: u32) -> Self {
        self.memory_mib = mib;
        self
    }

    /// The working directory (on Lambda `/var/task`); the test's own unless given.
    #[must_use]
    pub fn directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = Some(directory.as_ref().to_path_buf());
        self
    }

    /// All invocations have one trace id, as Lambda's never do.
    #[must_use]
    pub fn one_trace(mut self) -> Self {
        self.one_trace = true;
        self
    }

    /// The function's ARN.
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{}", self.name)
    }

    /// The child's whole environment: what Lambda sets, then what the test sets.
    pub(crate) fn environment(&self, runtime_api: SocketAddr) -> BTreeMap<String, String> {
        let directory = self.directory.as_deref().unwrap_or(Path::new("/var/task"));
        let lambda = [
            ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", self.name.clone()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", self.memory_mib.to_string()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", self.name)),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "emulated".to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", "AKIATESTKITDUMMY".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "testkit-dummy-secret-access-key".to_owned()),
            ("AWS_SESSION_TOKEN", "testkit-dummy-session-token".to_owned()),
            ("_HANDLER", "bootstrap".to_owned()),
            ("LAMBDA_TASK_ROOT", directory.to_string_lossy().into_owned()),
            ("LANG", "en_US.UTF-8".to_owned()),
            ("TZ", ":UTC".to_owned()),
        ];
        let inherited =
            INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
        let mut environment: BTreeMap<String, String> = inherited.collect();
        environment.extend(lambda.map(|(name, value)| (name.to_owned(), value)));
        environment.extend(self.env.clone());
        environment
    }
}
