//! A job that wants more than its machine. It is root there, and tries everything that it could get at from inside, while another job
//! of the same pool runs beside it.
//!
//! What it finds and what comes of each try are tables, compared as a whole: an attack that begins to succeed fails the test,
//! and so does something that newly lies about in a guest. What the images keep from everybody but root is tried on the
//! images (`infra/images/test`, `infra/proxmox/test.sh`).

use std::time::Duration;

use serde_json::json;
use simulator::Mischief;

use crate::intruder::{HOUR, Scene, Tried};
use crate::plot::Plot;
use crate::sights::{all_over, conclusion, deleted_by_call, is_over, is_running, our_vms};
use crate::stage::Stage;

/// What comes of a try, wherever the job runs.
const ANYWHERE: [(&str, &str); 21] = [
    ("a second runner by its own config", "refused"),
    ("a second runner by its own credentials, as the neighbour", "refused"),
    ("GitHub: list runners", "401"),
    ("GitHub: register a runner", "401"),
    ("GitHub: a token to register more", "401"),
    ("GitHub: delete the neighbour's runner", "401"),
    ("GitHub: cancel somebody's run", "401"),
    ("GitHub: log in as the App", "401"),
    ("Google: list VMs", "401"),
    ("Google: read the neighbour", "401"),
    ("Google: mark itself as another's", "401"),
    ("Google: change its own metadata", "401"),
    ("Google: delete the neighbour", "401"),
    ("Google: make a VM", "401"),
    ("Proxmox: list VMs", "401"),
    ("Proxmox: call itself like the neighbour", "401"),
    ("Proxmox: read the neighbour's files", "401"),
    ("Proxmox: delete the neighbour", "401"),
    ("Mayfly: a job that nobody queued", "401"),
    ("Mayfly: the neighbour's end", "401"),
    ("Mayfly: its own end, unsigned", "401"),
];

/// What it hears of the metadata server.
const METADATA: [(&str, &str); 9] = [
    ("metadata: attributes", "200 expect-gpu jit-config serial-port-logging-enable startup-script"),
    ("metadata: its jit-config", "200 its own"),
    ("metadata: service accounts", "200"),
    ("metadata: a service account's token", "404"),
    ("metadata: a service account's identity", "404"),
    ("metadata: the project's attributes", "200"),
    ("metadata: the neighbour's jit-config, by its id", "404"),
    ("metadata: the neighbour's jit-config, by its name", "404"),
    ("metadata: write an attribute", "405"),
];

/// The runner's own files, which it unpacks its configuration into, for whomever jobs run as.
const RUNNERS_FILES: [&str; 3] =
    ["runner's .credentials", "runner's .credentials_rsaparams", "runner's .runner"];

fn table<'a>(parts: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> Vec<Tried> {
    parts.into_iter().map(|(what, outcome)| ((*what).to_owned(), (*outcome).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_on_gcp_can_read_its_own_config_and_nothing_else() {
    let scene = Scene::set(Plot::limited(4)).await;
    let attributes = ["expect-gpu", "jit-config", "serial-port-logging-enable", "startup-script"]
        .map(|key| format!("attribute {key}"));
    assert_eq!(scene.places(), [&attributes[..], &RUNNERS_FILES.map(str::to_owned)].concat());
    assert_eq!(scene.tries().await, table(METADATA.iter().chain(&ANYWHERE)), "{}", scene.stage.story());
    scene.ends_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_on_proxmox_can_read_its_own_config_and_nothing_else() {
    let scene = Scene::set(Plot::lab(4)).await;
    // The files that Mayfly wrote are gone before a job begins, and there is nobody to ask.
    assert_eq!(scene.places(), RUNNERS_FILES);
    assert_eq!(scene.tries().await, table(&ANYWHERE), "{}", scene.stage.story());
    scene.ends_unharmed().await;
}

/// The tables can fail: this is what a template must not have, unless jobs are to have it.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_of_the_template_is_every_jobs() {
    let mut plot = Plot::limited(4);
    let template = plot.settings.templates.get_mut("linux-gpu-runner").unwrap();
    template.properties["serviceAccounts"] =
        json!([{ "email": "default", "scopes": ["https://www.googleapis.com/auth/cloud-platform"] }]);
    let scene = Scene::set(plot).await;
    let tried = scene.tries().await;
    let outcome = |what: &str| tried.iter().find(|(tried, _)| tried == what).unwrap().1.as_str();
    assert_eq!(outcome("metadata: service accounts"), "200 default/");
    assert_eq!(outcome("metadata: a service account's token"), "200 a token");
    assert_eq!(outcome("Google: list VMs"), "200 401");
    assert_eq!(outcome("Google: delete the neighbour"), "200 401");
    assert_eq!(outcome("GitHub: list runners"), "401");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_on_gcp_that_meddles_with_its_machine_leaves_no_vm() {
    a_job_that_meddles_with_its_machine_leaves_no_vm(Plot::limited(4), "gcp.insert").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_on_proxmox_that_meddles_with_its_machine_leaves_no_vm() {
    a_job_that_meddles_with_its_machine_leaves_no_vm(Plot::lab(4), "proxmox.clone").await;
}

async fn a_job_that_meddles_with_its_machine_leaves_no_vm(plot: Plot, create: &str) {
    let stage = Stage::set(plot).await;
    let jobs = [(); 4].map(|()| stage.queue(HOUR));
    stage.until("all run", |world| jobs.iter().all(|job| is_running(world, *job))).await;
    let [off, anew, on, for_ever] = jobs.map(|job| stage.vm_of(job));
    let mischiefs =
        [Mischief::PowersOff, Mischief::Reboots, Mischief::StaysOn, Mischief::StaysOn].into_iter();
    stage.simulator.with(|world, now| {
        for (vm, mischief) in [&off, &anew, &on, &for_ever].into_iter().zip(mischiefs) {
            world.do_mischief(now, vm.id, mischief);
        }
        // Over at GitHub, and its machine would stay.
        world.cancel_job(now, jobs[2]);
    });
    let is_left =
        |world: &simulator::World, vm: simulator::VmId| our_vms(world).iter().any(|each| each.id == vm);
    stage.until("what stays on is deleted by its job's end", |world| !is_left(world, on.id)).await;
    assert!(stage.simulator.with(|world, _| deleted_by_call(world, &on.name)), "{}", stage.story());

    // Its clock is at an end, and nothing in there heeds it.
    stage.age(&for_ever, Duration::from_secs(10 * 60 + 1)).await;
    stage.sweep_until("all are gone", |world, _| our_vms(world).is_empty() && all_over(world)).await;
    stage.simulator.with(|world, _| {
        assert!(jobs.iter().all(|job| is_over(world, *job)));
        assert!(deleted_by_call(world, &for_ever.name), "{:#?}", world.history());
        // GitHub gives up a job whose runner has gone; none of them ran twice.
        for job in [jobs[0], jobs[1], jobs[3]] {
            assert_eq!(conclusion(world, job), "failure");
        }
    });
    assert_eq!(stage.calls(create), 4, "{}", stage.story());
    stage.curtain().await;
}
