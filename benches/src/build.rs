//! The programs that are measured.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Error;
use crate::rig::Programs;

/// As they are shipped: built one by one, so that no other program's features are in them.
pub fn as_shipped() -> Result<Programs, Error> {
    eprintln!("building the functions as they are shipped …");
    let built = |package, binary| build(&["--release", "-p", package, "--bin", binary], binary);
    Ok(Programs {
        webhook: built("webhook", "webhook")?,
        sweeper: built("sweeper", "sweeper")?,
        hello: built("hello", "hello")?,
    })
}

/// As the tests build them: there already, where they have just run, and good enough to count what they do.
pub fn as_tested() -> Result<Programs, Error> {
    eprintln!("building the functions as they are tested …");
    // With a small test, as without any the dependencies would have other features, and be built anew.
    let built = |binary| build(&["--workspace", "--test", "lambda", "--bin", binary], binary);
    Ok(Programs { webhook: built("webhook")?, sweeper: built("sweeper")?, hello: built("hello")? })
}

fn build(arguments: &[&str], binary: &str) -> Result<PathBuf, Error> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--message-format=json-render-diagnostics"])
        .args(arguments)
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()?;
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let mut messages = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let found = messages.find_map(|message| {
        let is_it = message["reason"] == "compiler-artifact" && message["target"]["name"] == binary;
        message["executable"].as_str().filter(|_| is_it).map(PathBuf::from)
    });
    found.ok_or_else(|| Error::Set(format!("{binary} was not built: {}", output.status)))
}

/// The folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
