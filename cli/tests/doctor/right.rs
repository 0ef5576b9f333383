//! A deployment that is right passes.

use super::stage::{self, right};

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_right_passes() {
    let stage = right().await;
    let found = stage.look();
    assert_eq!(found.code, Some(0), "{:#}", found.not_ok());
    assert_eq!((found.number("wrong"), found.number("warning")), (0, 0), "{:#}", found.not_ok());
    // What cannot be seen before the first VM, and says so.
    found.says("skipped", "github", "runner version", "there is none of this deployment now", "");
    found.says("skipped", "gcp", "permissions on VMs", "there is none of this deployment now", "");
    assert_eq!(found.number("skipped"), 2, "{:#}", found.not_ok());
    for (area, what) in [
        ("configuration", "it loads"),
        ("configuration", "github.app.private_key"),
        ("github", "it answers"),
        ("github", "clock"),
        ("github", "login"),
        ("github", "permission organization_self_hosted_runners"),
        ("github", "webhook app"),
        ("github", "deliveries"),
        ("github", "runner group default"),
        ("github", "whom its runner group admits"),
        ("table", "its key"),
        ("table", "its TTL"),
        ("table", "its billing"),
        ("gcp", "credentials"),
        ("gcp", "instance template linux-gpu-runner"),
        ("gcp", "zone us-west1-a"),
        ("gcp", "GPU quota NVIDIA_T4_GPUS"),
        ("gcp", "CPU quota CPUS"),
        ("gcp", "GPUS_ALL_REGIONS"),
        ("lab", "it answers"),
        ("lab", "privilege VM.Clone on /vms/8000"),
        ("lab", "privilege VM.Allocate on /vms/9000"),
        ("lab", "template 8000: guest agent"),
        ("lab", "storage ceph"),
        ("lab", "memory for a clone of template 8000"),
        ("lab", "vmid_range"),
    ] {
        found.says("ok", area, what, "", "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_get_a_line_for_each_finding_and_no_colours_in_a_pipe() {
    let stage = right().await;
    let (text, code) = stage.text(&[]);
    assert_eq!(code, Some(0), "{text}");
    let findings = stage.look().findings.len();
    assert_eq!(text.lines().count(), findings + 1, "{text}");
    assert!(text.lines().all(|line| !line.contains('\x1b')), "{text}");
    assert!(text.lines().last().unwrap().contains("0 wrong, 0 to be warned of"), "{text}");
    assert!(text.contains("ok       github         clock: this machine's and GitHub's agree"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_it_is_right_as_well_and_its_kind_is_told() {
    let stage = right().await.by_token();
    let found = stage.look();
    assert_eq!(found.code, Some(0), "{:#}", found.not_ok());
    found.says("ok", "github", "login", "a classic token with the scopes admin:org", "");
    found.says("warning", "github", "webhook", "is not configured", "github.webhook_url");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_polls_needs_no_webhook() {
    let stage = stage::with(|settings| {
        settings.hook = simulator::HookOwner::Repository("nobody/nothing".to_owned());
    })
    .await;
    assert_eq!(stage.look().code, Some(1));
    let found = stage.look_with(&["--poll"]);
    assert_eq!(found.code, Some(0), "{:#}", found.not_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_changed_anywhere() {
    let stage = right().await;
    stage.look();
    let log = std::fs::read_to_string(stage.place.path("wire.jsonl")).unwrap_or_default();
    let asking = ["/access_tokens", "/testIamPermissions", "/token"];
    for line in log.lines().filter(|line| !line.is_empty()) {
        let call: serde_json::Value = serde_json::from_str(line).unwrap();
        let path = call["path"].as_str().unwrap();
        assert!(call["method"] == "GET" || asking.iter().any(|each| path.ends_with(each)), "{line}");
    }
    let world = stage.simulator.with(|world, _| (world.vms().len(), world.runners().len()));
    let made = stage.simulator.with(|world, _| {
        ["gcp.insert", "proxmox.clone", "github.jitconfig"].map(|endpoint| world.calls_of(endpoint))
    });
    assert_eq!((world.1, made), (0, [0, 0, 0]));
    let writes = stage.table.requests().into_iter().map(|request| format!("{request:?}"));
    let writes: Vec<String> = writes
        .filter(|text| {
            ["Put", "Update", "Delete", "Transact"].iter().any(|each| text.contains(&format!("{each}Item")))
        })
        .collect();
    assert_eq!(writes, [] as [String; 0]);
}
