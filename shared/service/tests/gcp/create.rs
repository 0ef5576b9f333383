//! Which VM is made, and where.

use mayfly_service::provider::{CreateError, Created};
use serde_json::json;
use simulator::{Fault, QuotaRefusal, Settings, Stockout};

use super::story::{JIT, Story, T4, passed, place};

#[tokio::test]
async fn a_vm_carries_its_marks_its_end_and_what_the_template_has() {
    let story = Story::begin(Settings::brisk()).await;
    story.gcp.prepare(&story.placement).await;
    let prepared = story.calls("gcp.template") + story.calls("gcp.region");
    assert_eq!(prepared, 4, "the template, and each region once");

    let (created, told) = story.create(3).await;
    assert_eq!(created.unwrap(), Created { place: place("us-east1-c"), passed_over: vec![] });
    assert_eq!(told, ["us-east1-c"]);
    assert_eq!((story.calls("gcp.insert"), story.calls("gcp.wait")), (1, 1));
    assert_eq!(story.calls("gcp.template") + story.calls("gcp.region"), prepared, "nothing was read again");

    let vms = story.vms();
    assert_eq!(vms.len(), 1);
    let instance = story.instance(&vms[0]);
    let labels =
        json!({ "team": "graphics", "os": "linux", "mayfly-deployment": "prod", "mayfly-pool": "linux-gpu" });
    assert_eq!(instance["labels"], labels);
    let items = instance["metadata"]["items"].as_array().unwrap();
    let item = |key: &str| items.iter().find(|item| item["key"] == key).map(|item| item["value"].clone());
    assert_eq!(item("jit-config"), Some(json!(JIT)));
    assert_eq!(item("expect-gpu"), Some(json!("true")));
    assert_eq!(item("serial-port-logging-enable"), Some(json!("true")));
    assert!(item("startup-script").is_some());
    let scheduling = &instance["scheduling"];
    assert_eq!(scheduling["maxRunDuration"]["seconds"], "21600");
    assert_eq!(scheduling["instanceTerminationAction"], "DELETE");
    assert_eq!(scheduling["onHostMaintenance"], "TERMINATE");
    assert_eq!(instance["guestAccelerators"][0]["acceleratorCount"], 1);
    story.end();
}

#[tokio::test]
async fn a_spot_vm_of_a_template_given_by_its_url() {
    let mut settings = Settings::brisk();
    settings.set_quota("us-east1", "PREEMPTIBLE_NVIDIA_T4_GPUS", 1.0);
    settings.set_quota("us-central1", "PREEMPTIBLE_NVIDIA_T4_GPUS", 3.0);
    settings.set_quota("us-west1", "PREEMPTIBLE_NVIDIA_T4_GPUS", 0.0);
    let mut story = Story::begin(settings).await;
    story.placement.spot = true;
    let url = "https://www.googleapis.com/compute/v1/projects/slang-runners/global/instanceTemplates/linux-gpu-runner";
    story.placement.instance_template = url.to_owned();
    let created = story.create(0).await.0.unwrap();
    assert_eq!(created.place, place("us-central1-a"));
    assert_eq!(passed(&created.passed_over), [("us-west1-a", false)]);
    let scheduling = story.instance(&story.vms()[0])["scheduling"].clone();
    assert_eq!(scheduling["provisioningModel"], "SPOT");
    assert_eq!(scheduling["automaticRestart"], false);
    assert_eq!(scheduling["instanceTerminationAction"], "DELETE");
    story.end();
}

#[tokio::test]
async fn the_region_with_most_free_quota_is_asked_first_and_counts_what_was_just_asked_for() {
    let mut settings = Settings::brisk();
    settings.set_quota("us-east1", T4, 1.0);
    settings.set_quota("us-central1", T4, 3.0);
    settings.set_quota("us-west1", T4, 2.0);
    let story = Story::begin(settings).await;
    let creates = async { tokio::join!(story.create(0), story.create(1), story.create(2), story.create(3)) };
    let (a, b, c, d) = creates.await;
    let mut zones: Vec<String> =
        [a, b, c, d].into_iter().map(|(created, _)| created.unwrap().place.at).collect();
    zones.sort();
    // Of 3, 2 and 1: central, then of 2, 2 and 1 the user's first, which is central, west, and of three with one left the
    // user's first, which is east.
    assert_eq!(zones, ["us-central1-a", "us-central1-a", "us-east1-c", "us-west1-a"]);
    assert_eq!(story.calls("gcp.region"), 3, "four creates at once share one look");
    story.end();
}

#[tokio::test]
async fn a_region_without_free_quota_is_not_asked() {
    let mut settings = Settings::brisk();
    for region in ["us-east1", "us-central1", "us-west1"] {
        settings.set_quota(region, T4, 0.0);
    }
    let story = Story::begin(settings).await;
    let (created, told) = story.create(0).await;
    let Err(CreateError::Full(places)) = created else { panic!("{created:?}") };
    assert_eq!(places.len(), 4);
    assert!(places[0].why.contains("NVIDIA_T4_GPUS in us-east1: 0 of 0 used"), "{}", places[0].why);
    assert!(told.is_empty());
    assert_eq!(story.calls("gcp.insert"), 0);
    story.end();
}

#[tokio::test]
async fn without_a_gpu_or_with_an_unreadable_quota_the_order_is_the_users() {
    let mut story = Story::begin(Settings::brisk()).await;
    story.world.with(|world, _| world.faults.rate("gcp.region", 1.0, Fault::ErrorBefore(500)));
    assert_eq!(story.create(0).await.1, ["us-east1-c"]);

    story.world.with(|world, _| world.faults.clear());
    let looked = story.calls("gcp.region");
    story.placement.gpu_type = None;
    assert_eq!(story.create(1).await.1, ["us-east1-c"]);
    assert_eq!(story.calls("gcp.region"), looked, "no quota is asked for");
    story.end();
}

#[tokio::test]
async fn a_vm_is_asked_for_in_another_zone_only_when_its_slot_says_so() {
    let story = Story::begin(Settings::brisk()).await;
    story.world.with(|world, _| world.faults.stockout("us-east1-c", Stockout::Inserts(1)));
    let (created, told) = story.create_unrecorded(0).await;
    assert!(matches!(created, Err(CreateError::Ambiguous { .. })), "{created:?}");
    // The first is recorded beside the wait for its operation, since a slot without a place is looked for by name.
    assert_eq!((told.len(), story.calls("gcp.insert"), story.vms().len()), (2, 1, 0));
    story.end();
}

#[tokio::test]
async fn a_stockout_that_shows_in_the_operation_is_served_by_the_next_zone() {
    let story = Story::begin(Settings::brisk()).await;
    story.world.with(|world, _| world.faults.stockout("us-east1-c", Stockout::Inserts(1)));
    let (created, told) = story.create(0).await;
    let created = created.unwrap();
    assert_eq!(created.place, place("us-east1-d"));
    assert_eq!(passed(&created.passed_over), [("us-east1-c", true)]);
    assert!(created.passed_over[0].why.contains("ZONE_RESOURCE_POOL_EXHAUSTED"), "{created:?}");
    assert_eq!(told, ["us-east1-c", "us-east1-d"]);
    assert_eq!(story.vms().len(), 1);

    // The same name, minutes later, is a new request to the zone that was full.
    let mut story = story;
    story.placement.zones.truncate(1);
    story.world.with(|world, _| world.faults.stockout("us-east1-c", Stockout::Inserts(1)));
    let (full, _) = story.create(1).await;
    assert!(matches!(full, Err(CreateError::Full(_))), "{full:?}");
    assert_eq!(story.create(1).await.0.unwrap().place, place("us-east1-c"));
    story.end();
}

#[tokio::test]
async fn a_quota_used_up_is_served_by_the_next_region_however_it_is_told() {
    for refusal in [QuotaRefusal::AtOnce, QuotaRefusal::InOperation] {
        let mut settings = Settings::brisk();
        settings.quota_refusal = refusal;
        // Not the GPU's quota, which is looked up, but one that only the insert meets.
        settings.set_quota("us-east1", "INSTANCES", 0.0);
        let story = Story::begin(settings).await;
        let created = story.create(0).await.0.unwrap();
        assert_eq!(created.place, place("us-central1-a"));
        assert_eq!(passed(&created.passed_over), [("us-east1-c", true), ("us-east1-d", true)]);
        story.end();
    }
}

#[tokio::test]
async fn zones_that_cool_down_are_left_out_and_all_full_is_told() {
    let mut story = Story::begin(Settings::brisk()).await;
    story.cooling = ["us-east1-c", "us-east1-d"].map(str::to_owned).into();
    let far = Stockout::Inserts(9);
    story.world.with(|world, _| world.faults.stockout("us-central1-a", far));
    let created = story.create(0).await.0.unwrap();
    assert_eq!(created.place, place("us-west1-a"));
    let expected = [("us-east1-c", false), ("us-east1-d", false), ("us-central1-a", true)];
    assert_eq!(passed(&created.passed_over), expected);

    story.world.with(|world, _| world.faults.stockout("us-west1-a", far));
    let (created, _) = story.create(1).await;
    let Err(CreateError::Full(places)) = created else { panic!("{created:?}") };
    assert_eq!(places.len(), 4);
    story.end();
}
