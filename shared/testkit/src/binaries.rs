//! The workspace's programs, built when a test first asks for one.
//!
//! A package's own integration tests have `env!("CARGO_BIN_EXE_name")`, which needs no build.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// Why there is no binary.
#[derive(Debug, Clone, thiserror::Error)]
#[error("can't build {target} of {package}: {reason}")]
pub struct BuildError {
    /// The cargo package.
    pub package: String,
    /// The binary or example.
    pub target: String,
    /// What went wrong; the compiler's own words are on stderr.
    pub reason: String,
}

/// The path of a binary whose package has the same name, built by cargo in the profile and target directory of the
/// running test; once a process.
///
/// # Errors
/// [`BuildError`].
pub fn binary(name: &str) -> Result<PathBuf, BuildError> {
    built(name, "--bin", name)
}

/// The path of a package's example, built likewise.
///
/// # Errors
/// [`BuildError`].
pub fn example(package: &str, name: &str) -> Result<PathBuf, BuildError> {
    built(package, "--example", name)
}

type Key = (String, &'static str, String);

static BUILT: Mutex<BTreeMap<Key, Result<PathBuf, BuildError>>> = Mutex::new(BTreeMap::new());

fn built(package: &str, kind: &'static str, target: &str) -> Result<PathBuf, BuildError> {
    let key = (package.to_owned(), kind, target.to_owned());
    // Held while building: whoever asks meanwhile waits for the result.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let build = || {
        let error = |reason| BuildError { package: package.to_owned(), target: target.to_owned(), reason };
        build(kind, target).map_err(error)
    };
    built.entry(key).or_insert_with(build).clone()
}

fn build(kind: &str, target: &str) -> Result<PathBuf, String> {
    let test = std::env::current_exe().map_err(|error| error.to_string())?;
    let layout = Layout::of(&test).ok_or_else(|| format!("{} is in no target directory", test.display()))?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--quiet", "--message-format=json-render-diagnostics"])
        // As the tests themselves were built: a package by itself, or a binary without any test, has its dependencies with
        // other features, anew. The test named here is one of this package's own, and small.
        .args(["--workspace", "--test", "lambda"])
        .args([kind, target, "--profile", &layout.profile, "--target-dir"])
        .arg(&layout.directory)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    if let Some(triple) = &layout.triple {
        command.args(["--target", triple]);
    }
    let output = command.output().map_err(|error| format!("can't run cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo build ended with {}", output.status));
    }
    executable(&output.stdout, target).ok_or_else(|| "cargo build named no executable".to_owned())
}

/// The executable that cargo's messages (one JSON object a line) name for `target`.
fn executable(messages: &[u8], target: &str) -> Option<PathBuf> {
    let lines = messages.split(|byte| *byte == b'\n');
    let mut messages = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    messages.find_map(|message| {
        let is_target = message["reason"] == "compiler-artifact" && message["target"]["name"] == target;
        message["executable"].as_str().filter(|_| is_target).map(PathBuf::from)
    })
}

/// How cargo was told to build the running test.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    directory: PathBuf,
    triple: Option<String>,
    profile: String,
}

impl Layout {
    /// Reads it off a test's path: `DIRECTORY[/TRIPLE]/PROFILE/deps/test-…`.
    fn of(test: &Path) -> Option<Self> {
        let output = test.ancestors().skip(1).find(|dir| {
            matches!(dir.file_name().and_then(|name| name.to_str()), Some("deps" | "examples" | "build"))
        });
        let profile_dir = output?.parent()?;
        let profile = match profile_dir.file_name()?.to_str()? {
            "debug" => "dev",
            other => other,
        };
        let parent = profile_dir.parent()?;
        let name = parent.file_name()?.to_str()?;
        // Triples have three or four parts; cargo marks the target directory itself as a cache.
        let is_triple = name.split('-').count() >= 3 && !parent.join("CACHEDIR.TAG").exists();
        let (directory, triple) =
            if is_triple { (parent.parent()?, Some(name.to_owned())) } else { (parent, None) };
        Some(Self { directory: directory.to_path_buf(), triple, profile: profile.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tests_path_tells_how_it_was_built() {
        let layout = |directory: &str, triple: Option<&str>, profile: &str| {
            let (directory, triple) = (PathBuf::from(directory), triple.map(str::to_owned));
            Some(Layout { directory, triple, profile: profile.to_owned() })
        };
        assert_eq!(Layout::of(Path::new("/t/debug/deps/a-1")), layout("/t", None, "dev"));
        assert_eq!(Layout::of(Path::new("/t/release/examples/b")), layout("/t", None, "release"));
        let triple = "aarch64-unknown-linux-gnu";
        let path = format!("/t/{triple}/debug/deps/a-1");
        assert_eq!(Layout::of(Path::new(&path)), layout("/t", Some(triple), "dev"));
        assert_eq!(Layout::of(Path::new("/usr/bin/a")), None);
    }
}
