//! A world that is driven in virtual time, and short words for the calls that the stories make.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use simulator::{
    Api, Delivery, JobSpec, Lab, Method, Reply, Request, Response, Settings, Timing, VmView, World,
};

pub const ZONE: &str = "us-east1-c";
pub const LABELS: [&str; 3] = ["self-hosted", "Linux", "GPU"];
pub const INSTANCES: &str = "/compute/v1/projects/slang-runners/zones/us-east1-c/instances";

/// A world, what time it is in it, and the deliveries that were sent (and answered with 202).
pub struct Story {
    pub world: World,
    pub now: Timestamp,
    pub deliveries: Vec<Delivery>,
}

/// Realistic times without chance in them.
pub fn settings() -> Settings {
    Settings { timing: Timing { jitter: 0.0, ..Timing::realistic() }, ..Settings::default() }
}

impl Story {
    pub fn new(settings: Settings) -> Self {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        Self { world: World::new(settings, now), now, deliveries: Vec::new() }
    }

    /// Let time pass, from one event to the next.
    pub fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(due) = self.world.next_due().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.take_deliveries();
        }
        self.now = end;
        self.take_deliveries();
    }

    pub fn pass_secs(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    fn take_deliveries(&mut self) {
        for delivery in self.world.take_deliveries(self.now) {
            self.world.delivered(self.now, delivery.id, 202);
            self.deliveries.push(delivery);
        }
    }

    pub fn send(&mut self, request: &Request) -> Reply {
        self.world.handle(self.now, request)
    }

    pub fn github(&mut self, method: Method, path: &str, body: Option<Value>) -> Response {
        let pat = self.world.access.pat.clone();
        let request = with_body(Request::new(Api::GitHub, method, path, self.now).bearer(&pat), body);
        self.send(&request).answer().unwrap()
    }

    pub fn gcp_request(&self, method: Method, path: &str, body: Option<Value>) -> Request {
        let token = self.world.access.gcp_token.clone();
        with_body(Request::new(Api::Gcp, method, path, self.now).bearer(&token), body)
    }

    pub fn gcp(&mut self, method: Method, path: &str, body: Option<Value>) -> Response {
        let request = self.gcp_request(method, path, body);
        self.send(&request).answer().unwrap()
    }

    /// A JIT configuration of the organization.
    pub fn jit(&mut self, name: &str) -> Response {
        let body = json!({ "name": name, "runner_group_id": 1, "labels": LABELS });
        self.github(Method::Post, "/orgs/shader-slang/actions/runners/generate-jitconfig", Some(body))
    }

    /// An insert as Mayfly makes it.
    pub fn insert(&mut self, zone: &str, name: &str, config: &str) -> Response {
        let path = format!("/compute/v1/projects/slang-runners/zones/{zone}/instances");
        let request = self.gcp_request(Method::Post, &path, Some(instance(name, config)));
        let request = request.query("sourceInstanceTemplate", "global/instanceTemplates/linux-gpu-runner");
        self.send(&request).answer().unwrap()
    }

    /// JIT configuration and VM; the configuration's runner waits for a job when the VM is up.
    pub fn runner(&mut self, name: &str) {
        let config = self.jit(name).value()["encoded_jit_config"].as_str().unwrap().to_owned();
        assert_eq!(self.insert(ZONE, name, &config).status, 200);
    }

    pub fn operation(&mut self, zone: &str, name: &str) -> Value {
        let path = format!("/compute/v1/projects/slang-runners/zones/{zone}/operations/{name}");
        self.gcp(Method::Get, &path, None).value().clone()
    }

    pub fn vm(&self, name: &str) -> Option<VmView> {
        self.world.vms().into_iter().find(|vm| vm.name == name)
    }

    pub fn job(&mut self, seconds: u64) -> simulator::JobId {
        let spec = JobSpec::new("shader-slang/slang", &LABELS).lasting(Duration::from_secs(seconds));
        self.world.queue_job(self.now, spec)
    }

    /// The actions that were delivered, in order.
    pub fn actions(&self) -> Vec<&'static str> {
        self.deliveries.iter().map(|delivery| delivery.action).collect()
    }

    pub fn kinds(&self) -> Vec<simulator::ViolationKind> {
        self.world.violations().iter().map(|violation| violation.kind).collect()
    }
}

pub fn instance(name: &str, config: &str) -> Value {
    json!({
        "name": name,
        "labels": { "mayfly-deployment": "test", "mayfly-pool": "linux-gpu", "team": "graphics" },
        "metadata": { "items": [{ "key": "jit-config", "value": config }] },
        "scheduling": { "maxRunDuration": { "seconds": "21600" }, "instanceTerminationAction": "DELETE" },
    })
}

fn with_body(request: Request, body: Option<Value>) -> Request {
    match body {
        Some(body) => request.json(&body),
        None => request,
    }
}

/// What Mayfly says of a VM in its description.
pub const MARKS: &str = "Made by Mayfly.\nmayfly-deployment: test\nmayfly-pool: linux";
pub const TAGS: &str = "mayfly;mayfly-test";

/// Calls on the Proxmox VE cluster.
impl Story {
    pub fn lab_request(&self, method: Method, path: &str, fields: &[(&str, &str)]) -> Request {
        let (id, secret) = (&self.world.access.proxmox_token_id, &self.world.access.proxmox_token_secret);
        let path = format!("/api2/json{path}");
        let request = Request::new(Api::Proxmox, method, path, self.now).proxmox_token(id, secret);
        match method {
            Method::Post | Method::Put => request.form(fields),
            Method::Get | Method::Patch | Method::Delete => {
                fields.iter().fold(request, |request, (name, value)| request.query(name, value))
            }
        }
    }

    pub fn lab(&mut self, method: Method, path: &str, fields: &[(&str, &str)]) -> Response {
        let request = self.lab_request(method, path, fields);
        self.send(&request).answer().unwrap()
    }

    /// The `data` of a call that succeeds.
    pub fn lab_get(&mut self, path: &str) -> Value {
        let answer = self.lab(Method::Get, path, &[]);
        assert_eq!(answer.status, 200, "{path}: {:?}", answer.reason);
        answer.value()["data"].clone()
    }

    /// The task of a call that is accepted.
    pub fn lab_task(&mut self, method: Method, path: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.lab(method, path, fields);
        assert_eq!(answer.status, 200, "{path}: {:?}", answer.reason);
        answer.value()["data"].as_str().unwrap().to_owned()
    }

    /// How a task ended; none while it runs.
    pub fn exit(&mut self, upid: &str) -> Option<String> {
        let node = upid.split(':').nth(1).unwrap();
        let task = self.lab_get(&format!("/nodes/{node}/tasks/{upid}/status"));
        assert_eq!(task["status"] == "stopped", task["exitstatus"].is_string());
        task["exitstatus"].as_str().map(str::to_owned)
    }

    /// A clone as Mayfly makes it, of the template 8000 on pve1.
    pub fn clone_call(&mut self, vmid: u32, more: &[(&str, &str)]) -> Response {
        let (newid, name) = (vmid.to_string(), format!("test-linux-{vmid}"));
        let mut fields = vec![("newid", newid.as_str()), ("name", name.as_str()), ("description", MARKS)];
        fields.extend(more);
        self.lab(Method::Post, "/nodes/pve1/qemu/8000/clone", &fields)
    }

    /// A clone on pve1 that is done and has its tags.
    pub fn cloned(&mut self, vmid: u32) {
        assert_eq!(self.clone_call(vmid, &[]).status, 200);
        self.pass_secs(9);
        let tagged = self.lab(Method::Put, &at(vmid, "config"), &[("tags", TAGS)]);
        assert_eq!(tagged.status, 200, "{:?}", tagged.reason);
    }

    /// … and that is on, its guest up.
    pub fn started(&mut self, vmid: u32) {
        self.cloned(vmid);
        self.lab_task(Method::Post, &at(vmid, "status/start"), &[]);
        self.pass_secs(34);
    }

    /// … and whose runner is online.
    pub fn lab_runner(&mut self, vmid: u32) {
        let config = self.jit(&format!("test-linux-{vmid}")).value()["encoded_jit_config"].clone();
        self.started(vmid);
        self.write(vmid, "/var/lib/mayfly/jit-config", config.as_str().unwrap());
        self.write(vmid, "/var/lib/mayfly/jit-config.ready", "");
        self.pass_secs(7);
    }

    pub fn write(&mut self, vmid: u32, file: &str, content: &str) {
        let fields = [("file", file), ("content", content)];
        let answer = self.lab(Method::Post, &at(vmid, "agent/file-write"), &fields);
        assert_eq!((answer.status, &answer.reason), (200, &None));
    }

    pub fn lab_vm(&self, vmid: u32) -> Option<VmView> {
        self.world.vms().into_iter().find(|vm| vm.vmid == Some(vmid))
    }
}

/// A path of a VM on pve1.
pub fn at(vmid: u32, rest: &str) -> String {
    format!("/nodes/pve1/qemu/{vmid}/{rest}").trim_end_matches('/').to_owned()
}

/// Hold a traffic log against the published descriptions, when their checker is at hand.
pub fn wirecheck(log: &Path) {
    let tool: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "..", "..", "shared", "tools", "wirecheck"].iter().collect();
    if !tool.exists() {
        eprintln!("skipped: no checker beside the repository");
        return;
    }
    let output = std::process::Command::new(tool).arg(log).output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
}

pub const GIB: u64 = 1024 * 1024 * 1024;

/// The usual settings, but for the cluster.
pub fn lab(change: impl FnOnce(&mut Lab)) -> Settings {
    let mut settings = settings();
    change(&mut settings.proxmox);
    settings
}

/// What the cluster answered: the status, and the reason beside it.
pub fn said(response: &Response) -> (u16, &str) {
    (response.status, response.reason.as_deref().unwrap_or_default())
}

/// A call that the cluster refuses, and how.
pub fn refused(story: &mut Story, method: Method, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let answer = story.lab(method, path, fields);
    assert!(!answer.is_success(), "{path}");
    assert_eq!(answer.value()["data"], Value::Null);
    (answer.status, answer.reason.unwrap_or_default())
}
