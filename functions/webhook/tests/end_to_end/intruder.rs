//! The job that wants more than its machine, and what it tries.

use std::collections::BTreeSet;
use std::time::Duration;

use mayfly_testkit::delivery::{Delivery, WorkflowJob};
use serde_json::{Value, json};
use simulator::{Api, Found, JobId, Method, Request, VmView};

use crate::plot::{LABELS, Plot, REPOSITORY};
use crate::sights::{is_running, our_vms};
use crate::stage::Stage;

pub const HOUR: Duration = Duration::from_secs(3600);

/// An attempt, and what came of it.
pub type Tried = (String, String);

fn tried(what: &str, outcome: impl Into<String>) -> Tried {
    (what.to_owned(), outcome.into())
}

/// Two jobs of one pool that run, each on a VM of its own.
pub struct Scene {
    pub stage: Stage,
    intruder: VmView,
    neighbour: VmView,
    jobs: [JobId; 2],
}

impl Scene {
    pub async fn set(plot: Plot) -> Self {
        let stage = Stage::set(plot).await;
        let jobs = [stage.queue(HOUR), stage.queue(HOUR)];
        stage.until("both run", |world| jobs.iter().all(|job| is_running(world, *job))).await;
        let [intruder, neighbour] = jobs.map(|job| stage.vm_of(job));
        Self { stage, intruder, neighbour, jobs }
    }

    fn found_in(&self, vm: &VmView) -> Vec<Found> {
        self.stage.simulator.with(|world, _| world.found_in(vm.id))
    }

    /// Where the job finds something.
    pub fn places(&self) -> Vec<String> {
        self.found_in(&self.intruder).into_iter().map(|found| found.place).collect()
    }

    /// What it finds in one place, if there is such a place.
    fn text_at(&self, place: &str) -> Option<String> {
        let mut found = self.found_in(&self.intruder).into_iter();
        found.find(|found| found.place == place).map(|found| found.text)
    }

    /// All that it could pass off as a secret: the texts that it found, and the texts that are in them.
    fn credentials(&self, tokens: &[String]) -> Vec<String> {
        let mut all = BTreeSet::new();
        let found = self.found_in(&self.intruder).into_iter().map(|found| found.text);
        for text in found.chain(tokens.iter().cloned()) {
            texts_in(&serde_json::from_str(&text).unwrap_or_default(), &mut all);
            all.insert(text);
        }
        all.into_iter().collect()
    }

    /// All tries, and what came of each.
    pub async fn tries(&self) -> Vec<Tried> {
        let (mut all, tokens) = self.at_the_metadata_server();
        let credentials = self.credentials(&tokens);
        all.extend(self.by_its_config());
        all.extend(self.at_the_vendors(&credentials));
        all.extend(self.at_mayflys_door(&credentials).await);
        all
    }

    /// What it hears there, and the tokens that it is given. Nothing where there is no such server.
    fn at_the_metadata_server(&self) -> (Vec<Tried>, Vec<String>) {
        let (own_config, other) = (self.text_at("attribute jit-config"), &self.neighbour);
        let account = "instance/service-accounts/default";
        let questions = [
            ("attributes", Method::Get, "instance/attributes/".to_owned()),
            ("its jit-config", Method::Get, "instance/attributes/jit-config".to_owned()),
            ("service accounts", Method::Get, "instance/service-accounts/".to_owned()),
            ("a service account's token", Method::Get, format!("{account}/token")),
            ("a service account's identity", Method::Get, format!("{account}/identity")),
            ("the project's attributes", Method::Get, "project/attributes/".to_owned()),
            (
                "the neighbour's jit-config, by its id",
                Method::Get,
                format!("instance/{}/attributes/jit-config", other.id),
            ),
            (
                "the neighbour's jit-config, by its name",
                Method::Get,
                format!("instance/attributes/../../{}/attributes/jit-config", other.name),
            ),
            ("write an attribute", Method::Put, "instance/attributes/jit-config".to_owned()),
        ];
        let (mut heard, mut tokens) = (Vec::new(), Vec::new());
        for (what, method, path) in questions {
            let path = format!("/computeMetadata/v1/{path}");
            let ask =
                |world: &mut simulator::World, now| world.ask_metadata(now, self.intruder.id, method, &path);
            let Some((status, text)) = self.stage.simulator.with(ask) else { continue };
            let outcome = if Some(&text) == own_config.as_ref() {
                "its own".to_owned()
            } else if text.contains("access_token") {
                tokens.push(text);
                "a token".to_owned()
            } else {
                text.split_whitespace().collect::<Vec<_>>().join(" ")
            };
            heard.push(tried(&format!("metadata: {what}"), format!("{status} {outcome}").trim_end()));
        }
        (heard, tokens)
    }

    /// Its configuration once more: as it is, and as the neighbour's.
    fn by_its_config(&self) -> [Tried; 2] {
        let [runner, credentials] = ["runner's .runner", "runner's .credentials"]
            .map(|place| serde_json::from_str::<Value>(&self.text_at(place).unwrap()).unwrap());
        let mut forged = runner.clone();
        forged["AgentId"] = json!(self.neighbour.runner);
        forged["AgentName"] = json!(self.neighbour.name);
        let starts = |runner: &Value| {
            let (simulator, vm) = (&self.stage.simulator, self.intruder.id);
            let starts = simulator.with(|world, now| world.start_runner(now, vm, runner, &credentials));
            if starts { "starts" } else { "refused" }
        };
        [
            tried("a second runner by its own config", starts(&runner)),
            tried("a second runner by its own credentials, as the neighbour", starts(&forged)),
        ]
    }

    /// Each call with each text that might be a secret, and with none: all statuses that came.
    fn at_the_vendors(&self, credentials: &[String]) -> Vec<Tried> {
        let calls = calls(&self.intruder, &self.neighbour);
        let statuses = |call: &Call| {
            self.stage.simulator.with(|world, now| {
                let bare = call.request(now);
                let token_id = world.access.proxmox_token_id.clone();
                let mut statuses = BTreeSet::new();
                for secret in credentials.iter().map(Some).chain([None]) {
                    let request = match (call.api, secret) {
                        (_, None) => bare.clone(),
                        // Whose name is no secret.
                        (Api::Proxmox, Some(secret)) => bare.clone().proxmox_token(&token_id, secret),
                        (Api::GitHub | Api::Gcp, Some(secret)) => bare.clone().bearer(secret),
                    };
                    statuses.insert(world.handle(now, &request).answer().unwrap().status);
                }
                joined(&statuses)
            })
        };
        calls.iter().map(|call| tried(call.what, statuses(call))).collect()
    }

    /// Deliveries that GitHub never sent, signed with each of the texts.
    async fn at_mayflys_door(&self, credentials: &[String]) -> Vec<Tried> {
        let job = |id, vm: &VmView| {
            WorkflowJob::new(id, REPOSITORY, &LABELS)
                .installation(self.stage.simulator.installation_id())
                .runner(vm.runner.unwrap().0, &vm.name)
        };
        let all: Vec<Option<&String>> = credentials.iter().map(Some).collect();
        let (own, other) = (job(self.jobs[0].0, &self.intruder), job(self.jobs[1].0, &self.neighbour));
        let mut outcomes = Vec::new();
        for (what, payload, secrets) in [
            (
                "Mayfly: a job that nobody queued",
                WorkflowJob::new(4711, REPOSITORY, &LABELS).queued(),
                &all[..],
            ),
            ("Mayfly: the neighbour's end", other.completed("success"), &all[..]),
            ("Mayfly: its own end, unsigned", own.completed("success"), &[None]),
        ] {
            let mut statuses = BTreeSet::new();
            for secret in secrets {
                let secret_or_none = secret.map_or("", String::as_str);
                let delivery = Delivery::workflow_job("forged", &payload, secret_or_none);
                let delivery = if secret.is_none() {
                    delivery.with_header("x-hub-signature-256", None)
                } else {
                    delivery
                };
                let invocation = self.stage.webhook.invoke(delivery.request().event()).await.unwrap();
                statuses.insert(invocation.response.clone().unwrap()["statusCode"].to_string());
                invocation.finished().await;
            }
            outcomes.push(tried(what, joined(&statuses)));
        }
        outcomes
    }

    /// Nothing of the neighbour's is among what the job found, nothing has become of either VM, and both go as ever.
    pub async fn ends_unharmed(self) {
        let (stage, jobs) = (&self.stage, self.jobs);
        let own = self.credentials(&[]);
        for found in self.found_in(&self.neighbour) {
            let is_its_own = found.place.contains("jit-config") || found.place.starts_with("runner's");
            let is_there = own.iter().any(|text| text.contains(&found.text));
            assert!(!is_its_own || !is_there, "the neighbour's {} is there", found.place);
        }
        assert!(own.iter().all(|text| !text.contains(&self.neighbour.name)), "the neighbour's name is there");
        let seen = |vm: &VmView| (vm.id, vm.name.clone(), vm.labels.clone(), vm.status);
        let mut before = [&self.intruder, &self.neighbour].map(seen);
        before.sort_by_key(|(id, ..)| *id);
        let after: Vec<_> = stage.simulator.with(|world, _| our_vms(world)).iter().map(seen).collect();
        assert_eq!(after, before, "{}", stage.story());
        stage.simulator.with(|world, now| {
            assert!(jobs.iter().all(|job| is_running(world, *job)), "both still run");
            jobs.iter().for_each(|job| world.cancel_job(now, *job));
        });
        stage.until("both VMs are gone", |world| our_vms(world).is_empty()).await;
        self.stage.curtain().await;
    }
}

impl Stage {
    /// The VM that a job runs on.
    pub fn vm_of(&self, job: JobId) -> VmView {
        self.simulator.with(|world, _| {
            let runner = world.job_state(job).and_then(|state| state.ran()).map(|(runner, _)| runner.id);
            our_vms(world).into_iter().find(|vm| vm.runner == runner).unwrap()
        })
    }
}

/// A call on a vendor's API.
struct Call {
    what: &'static str,
    api: Api,
    method: Method,
    path: String,
    body: Value,
}

impl Call {
    fn request(&self, now: jiff::Timestamp) -> Request {
        let request = Request::new(self.api, self.method, self.path.as_str(), now);
        if self.body.is_null() { request } else { request.json(&self.body) }
    }
}

/// What it calls: as if it knew of every address, and of its neighbour.
fn calls(own: &VmView, other: &VmView) -> Vec<Call> {
    let call = |api: Api, what, method, path: String, body| Call { what, api, method, path, body };
    let runners = "/orgs/shader-slang/actions/runners";
    let github = |what, method, path: String| call(Api::GitHub, what, method, path, Value::Null);
    let project = "/compute/v1/projects/slang-runners";
    let instance =
        |vm: &VmView, rest: &str| format!("{project}/zones/{}/instances/{}{rest}", vm.zone, vm.name);
    let google = |what, method, path, body| call(Api::Gcp, what, method, path, body);
    let guest = |vm: &VmView, rest: &str| {
        format!("/api2/json/nodes/{}/qemu/{}{rest}", vm.zone, vm.vmid.unwrap_or(9000))
    };
    let proxmox = |what, method, path| call(Api::Proxmox, what, method, path, Value::Null);
    let other_runner = other.runner.unwrap();
    let marks = json!({ "labels": { "mayfly-deployment": "others" }, "labelFingerprint": "AAAA" });
    let items = json!({ "fingerprint": "AAAA", "items": [] });
    use Method::{Delete, Get, Post, Put};
    vec![
        github("GitHub: list runners", Get, runners.to_owned()),
        github("GitHub: register a runner", Post, format!("{runners}/generate-jitconfig")),
        github("GitHub: a token to register more", Post, format!("{runners}/registration-token")),
        github("GitHub: delete the neighbour's runner", Delete, format!("{runners}/{other_runner}")),
        github("GitHub: cancel somebody's run", Post, format!("/repos/{REPOSITORY}/actions/runs/1/cancel")),
        github("GitHub: log in as the App", Get, "/app".to_owned()),
        google("Google: list VMs", Get, format!("{project}/aggregated/instances"), Value::Null),
        google("Google: read the neighbour", Get, instance(other, ""), Value::Null),
        google("Google: mark itself as another's", Post, instance(own, "/setLabels"), marks),
        google("Google: change its own metadata", Post, instance(own, "/setMetadata"), items),
        google("Google: delete the neighbour", Delete, instance(other, ""), Value::Null),
        google("Google: make a VM", Post, format!("{project}/zones/us-east1-c/instances"), json!({})),
        proxmox("Proxmox: list VMs", Get, "/api2/json/cluster/resources".to_owned()),
        proxmox("Proxmox: call itself like the neighbour", Put, guest(own, "/config")),
        proxmox("Proxmox: read the neighbour's files", Get, guest(other, "/agent/file-read")),
        proxmox("Proxmox: delete the neighbour", Delete, guest(other, "")),
    ]
}

fn joined(statuses: &BTreeSet<impl ToString>) -> String {
    statuses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// All texts in a value.
fn texts_in(value: &Value, all: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => _ = all.insert(text.clone()),
        Value::Array(each) => each.iter().for_each(|value| texts_in(value, all)),
        Value::Object(fields) => fields.values().for_each(|value| texts_in(value, all)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
