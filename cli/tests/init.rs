//! `mayfly init` writes a configuration that Mayfly takes, and no secret.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;
use std::process::Output;

use mayfly_service::config::Config;
use tempfile::TempDir;

use common::{complaint, mayfly};

const FLAGS: [&str; 14] = [
    "--url",
    "https://github.com/my-org",
    "--name",
    "gpu-runners",
    "--max-runners",
    "4",
    "--min-runners",
    "1",
    "--gcp-project",
    "my-project",
    "--gcp-zones",
    "us-east1-c,us-west1-a",
    "--gcp-instance-template",
    "linux-gpu-runner",
];

fn init(folder: &Path, more: &[&str]) -> Output {
    mayfly(folder).arg("init").args(FLAGS).args(more).output().unwrap()
}

fn written(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("mayfly.toml")).unwrap()
}

#[test]
fn a_scale_sets_flags_make_a_configuration() {
    let folder = TempDir::new().unwrap();
    let more = [
        "--labels",
        "self-hosted,GPU",
        "--runner-group",
        "trusted",
        "--platform",
        "windows",
        "--gcp-gpu-type",
        "nvidia-tesla-t4",
        "--app-client-id",
        "Iv23liEXAMPLE",
        "--app-installation-id",
        "7",
        "--app-private-key",
        "key.pem",
    ];
    let output = init(folder.path(), &more);
    assert!(output.status.success(), "{}", complaint(&output));
    let config = Config::parse(&written(folder.path())).unwrap();
    let pool = &config.policy.pools[0];
    assert_eq!((pool.name.as_str(), pool.max_runners.get(), pool.min_runners), ("gpu-runners", 4, 1));
    assert_eq!(pool.scope.to_string(), "orgs/my-org");
    let text = written(folder.path());
    for line in [
        "labels = [\"self-hosted\", \"GPU\"]",
        "runner_group = \"trusted\"",
        "platform = \"windows\"",
        "gpu_type = \"nvidia-tesla-t4\"",
        "installation_id = 7",
        "private_key = { file = \"key.pem\" }",
        "zones = [\"us-east1-c\", \"us-west1-a\"]",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_token_is_named_and_not_written() {
    let folder = TempDir::new().unwrap();
    let output = init(folder.path(), &["--token", "ghp_0123456789"]);
    assert!(output.status.success(), "{}", complaint(&output));
    let text = written(folder.path());
    assert!(text.contains("token = { env = \"GITHUB_TOKEN\" }") && !text.contains("ghp_"), "{text}");
    assert!(text.contains("labels = [\"gpu-runners\"]"), "without labels the name is the label\n{text}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("ghp_"));
    let key =
        init(folder.path(), &["--force", "--app-client-id", "Iv23", "--app-private-key", "-----BEGIN RSA"]);
    assert!(complaint(&key).contains("the name of a file"), "{}", complaint(&key));
}

#[test]
fn a_file_that_is_there_stays_unless_told_otherwise() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("mayfly.toml"), "mine").unwrap();
    assert!(complaint(&init(folder.path(), &["--token"])).contains("--force"));
    assert_eq!(written(folder.path()), "mine");
    assert!(init(folder.path(), &["--token", "--force"]).status.success());
    assert!(written(folder.path()).contains("[[pools]]"));
}

#[test]
fn without_a_terminal_what_is_missing_is_named_and_what_is_wrong_too() {
    let folder = TempDir::new().unwrap();
    let run = |flags: &[&str]| complaint(&mayfly(folder.path()).arg("init").args(flags).output().unwrap());
    let missing = run(&["--name", "gpu", "--gcp-zones", "us-east1-c"]);
    assert!(missing.contains("--url, --gcp-project, --gcp-instance-template"), "{missing}");
    let wrong = run(&[
        "--url",
        "https://github.com/my-org",
        "--name",
        "GPU",
        "--gcp-project",
        "p",
        "--gcp-zones",
        "z-1-a",
        "--gcp-instance-template",
        "t",
    ]);
    assert!(wrong.contains("GPU"), "{wrong}");
    assert!(!folder.path().join("mayfly.toml").exists());
}
