//! What is wrong at Google: credentials, templates, zones, quotas, permissions.

use std::collections::BTreeSet;
use std::fs;

use serde_json::json;
use simulator::{Settings, Simulator};

use super::stage::{self, Stage, right};

/// What infra/modules/gcp gives, without the permission named.
fn as_deployed(settings: &mut Settings, without: &str) {
    let all = [
        "compute.disks.create",
        "compute.images.useReadOnly",
        "compute.instanceTemplates.get",
        "compute.instanceTemplates.useReadOnly",
        "compute.instances.create",
        "compute.instances.delete",
        "compute.instances.get",
        "compute.instances.list",
        "compute.instances.setLabels",
        "compute.instances.setMetadata",
        "compute.regions.get",
        "compute.subnetworks.use",
        "compute.zoneOperations.get",
    ];
    let given = all.into_iter().filter(|each| *each != without).map(str::to_owned);
    settings.rights.gcp_permissions = Some(given.collect::<BTreeSet<String>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_that_a_deployment_has_are_enough_and_what_takes_more_is_skipped() {
    let stage = stage::with(|settings| as_deployed(settings, "")).await;
    let found = stage.look();
    assert_eq!(found.code, Some(0), "{:#}", found.not_ok());
    let why = "compute.projects.get, which Mayfly has no need of";
    found.says("skipped", "gcp", "GPUS_ALL_REGIONS", why, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_not_taken() {
    let stage = right().await;
    // The key of another account than the one that the world knows.
    let text = fs::read_to_string(stage.place.path("google.json")).unwrap();
    let mut key: serde_json::Value = serde_json::from_str(&text).unwrap();
    key["client_email"] = json!("somebody@else.iam.gserviceaccount.com");
    fs::write(stage.place.path("google.json"), key.to_string()).unwrap();
    let found = stage.look();
    found.wrong("gcp", "credentials", "401", "GOOGLE_APPLICATION_CREDENTIALS");
    found.says("skipped", "gcp", "templates, zones", "cannot be asked", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_not_there() {
    let stage = right().await;
    fs::remove_file(stage.place.path("google.json")).unwrap();
    stage.look().wrong("gcp", "credentials", "google.json", "GOOGLE_APPLICATION_CREDENTIALS");
}

#[tokio::test(flavor = "multi_thread")]
async fn compute_engine_that_cannot_be_reached() {
    let stage = right().await;
    let url = stage.simulator.gcp_url();
    let stage = stage.but(&url, "http://127.0.0.1:1");
    stage.look().wrong("gcp", "credentials", "", "to be reached from here");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_template_that_does_not_exist() {
    let stage = right().await.but("linux-gpu-runner", "linux-gpu-runer");
    let found = stage.look();
    let mend = "make the template, or correct `instance_template` of pool linux-gpu";
    found.wrong("gcp", "instance template linux-gpu-runer", "was not found", mend);
    found.says("skipped", "gcp", "pool linux-gpu: quotas", "without its template", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_template_without_the_gpu() {
    let stage = stage::with(|settings| {
        let template = settings.templates.get_mut("linux-gpu-runner").unwrap();
        template.properties["guestAccelerators"] = json!([]);
    })
    .await;
    let mend = "add the accelerator to the template";
    stage.look().wrong(
        "gcp",
        "instance template linux-gpu-runner",
        "has no GPU, and pool linux-gpu says",
        mend,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gpu_that_nobody_counts_is_warned_of() {
    let stage = right().await.but("gpu_type = \"nvidia-tesla-t4\"", "gpu_type = \"none\"");
    let found = stage.look();
    assert_eq!(found.code, Some(0));
    let mend = "set the placement's `gpu_type` to \"nvidia-tesla-t4\"";
    found.says("warning", "gcp", "instance template linux-gpu-runner", "has nvidia-tesla-t4", mend);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_does_not_exist() {
    let stage = right().await.but("us-east1-c", "us-east1-z");
    let why = "there is none of that name; region us-east1 has us-east1-c, us-east1-d";
    stage.look().wrong("gcp", "zone us-east1-z", why, "correct `zones` of pool linux-gpu");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_does_not_exist() {
    let stage = right().await.but("us-east1-c", "us-east9-c");
    stage.look().wrong("gcp", "zone us-east9-c", "there is no region us-east9", "correct `zones`");
}

async fn with_quota(metric: &str, limits: [f64; 2]) -> Stage {
    stage::with(|settings| {
        settings.set_quota("us-east1", metric, limits[0]);
        settings.set_quota("us-west1", metric, limits[1]);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_gpu_quota_anywhere() {
    let stage = with_quota("NVIDIA_T4_GPUS", [0.0, 0.0]).await;
    let why = "no VM fits in any region: us-east1 0 of 0, us-west1 0 of 0";
    stage.look().wrong("gcp", "GPU quota NVIDIA_T4_GPUS", why, "ask Google for more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gpu_quota_that_is_not_enough_for_all_runners_is_warned_of() {
    for (limits, why) in
        [([1.0, 1.0], "is enough for 2 of 3 runners"), ([0.0, 8.0], "no VM fits in us-east1")]
    {
        let found = with_quota("NVIDIA_T4_GPUS", limits).await.look();
        assert_eq!(found.code, Some(0));
        found.says("warning", "gcp", "GPU quota NVIDIA_T4_GPUS", why, "ask Google for more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cpu_quota_in_which_no_vm_fits() {
    let stage = with_quota("CPUS", [2.0, 3.0]).await;
    let why = "no VM fits in any region: us-east1 0 of 2, us-west1 0 of 3; a VM takes 4";
    stage.look().wrong("gcp", "CPU quota CPUS", why, "ask Google for more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_without_any_gpu() {
    let stage = stage::with(|settings| {
        settings.project_quotas.insert("GPUS_ALL_REGIONS".to_owned(), 0.0);
    })
    .await;
    let why = "0 of 0; all runners of all pools take 3; no VM of pool linux-gpu fits";
    stage.look().wrong("gcp", "quota GPUS_ALL_REGIONS", why, "ask Google for more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_to_look_that_is_missing() {
    for (permission, what) in [
        ("compute.instanceTemplates.get", "instance template linux-gpu-runner"),
        ("compute.regions.get", "region us-east1"),
        ("compute.instances.list", "permission compute.instances.list"),
    ] {
        let found = stage::with(|settings| as_deployed(settings, permission)).await.look();
        found.wrong("gcp", what, permission, "give it to the service account");
    }
}

fn with_a_vm(simulator: &Simulator) {
    let marks = [("mayfly-deployment", "test"), ("mayfly-pool", "linux-gpu")];
    simulator.with(|world, now| world.add_vm(now, "us-east1-c", "test-linux-gpu-0000-1", &marks)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_on_vms_that_is_missing() {
    for permission in
        ["compute.instances.delete", "compute.instances.setLabels", "compute.instances.setMetadata"]
    {
        let stage = stage::with(|settings| as_deployed(settings, permission)).await;
        with_a_vm(&stage.simulator);
        let what = format!("permission {permission}");
        stage.look().wrong(
            "gcp",
            &what,
            "is missing on VM test-linux-gpu-0000-1",
            "give it to the service account",
        );
    }
    let stage = stage::with(|settings| as_deployed(settings, "")).await;
    with_a_vm(&stage.simulator);
    let found = stage.look();
    assert_eq!(found.code, Some(0), "{:#}", found.not_ok());
    found.says("ok", "gcp", "permission compute.instances.delete", "on VM", "");
}
