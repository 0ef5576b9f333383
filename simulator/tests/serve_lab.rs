//! The Proxmox VE cluster over a real socket: one job's whole way, errors in the reason phrase, and the traffic log
//! held against the vendor's published description.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;
use std::time::Duration;

use common::{LABELS, MARKS, TAGS, wirecheck};
use reqwest::Method;
use serde_json::{Value, json};
use simulator::{JobSpec, ServeOptions, Settings, Simulator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SOON: Duration = Duration::from_secs(10);

struct Client {
    simulator: Simulator,
    http: reqwest::Client,
    authorization: String,
}

impl Client {
    async fn start(log: &Path) -> Self {
        let mut settings = Settings::brisk();
        settings.proxmox.privileges.insert("VM.GuestAgent.FileRead".to_owned());
        let options = ServeOptions { wire_log: Some(log.to_owned()), ..ServeOptions::default() };
        let simulator = Simulator::start(settings, options).await.unwrap();
        let (id, secret) = (simulator.proxmox_token_id(), simulator.proxmox_token_secret());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { simulator, http, authorization: format!("PVEAPIToken={id}={secret}") }
    }

    async fn call(&self, method: Method, path: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        let url = format!("{}/api2/json{path}", self.simulator.proxmox_url());
        let request = self.http.request(method.clone(), url).header("authorization", &self.authorization);
        let request = if [Method::POST, Method::PUT].contains(&method) {
            let mut pairs = reqwest::Url::parse("http://localhost").unwrap();
            pairs.query_pairs_mut().extend_pairs(fields);
            let kind = "application/x-www-form-urlencoded";
            request.header("content-type", kind).body(pairs.query().unwrap_or_default().to_owned())
        } else {
            request.query(fields)
        };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, &[]).await;
        assert_eq!(status, 200, "{path}: {body}");
        body["data"].clone()
    }

    /// Carry a call out, and follow its task to its end.
    async fn task(&self, method: Method, path: &str, fields: &[(&str, &str)]) {
        let (status, body) = self.call(method, path, fields).await;
        assert_eq!(status, 200, "{path}: {body}");
        let upid = body["data"].as_str().unwrap().to_owned();
        let node = upid.split(':').nth(1).unwrap().to_owned();
        let mut ended = Value::Null;
        for _ in 0..1000 {
            ended = self.get(&format!("/nodes/{node}/tasks/{upid}/status")).await;
            if ended["status"] == "stopped" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(ended["exitstatus"], "OK", "{path}");
        self.get(&format!("/nodes/{node}/tasks/{upid}/log")).await;
    }

    async fn jit(&self, name: &str) -> String {
        let url =
            format!("{}/orgs/shader-slang/actions/runners/generate-jitconfig", self.simulator.github_url());
        let body = json!({ "name": name, "runner_group_id": 1, "labels": LABELS });
        let request = self.http.post(url).bearer_auth(self.simulator.pat()).header("user-agent", "test");
        let answer: Value =
            serde_json::from_str(&request.json(&body).send().await.unwrap().text().await.unwrap()).unwrap();
        answer["encoded_jit_config"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_job_on_a_clone_and_nothing_of_its_way_is_unpublished() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("wire.jsonl");
    let client = Client::start(&log).await;
    let spec = JobSpec::new("shader-slang/slang", &LABELS).lasting(Duration::from_millis(200));
    let job = client.simulator.with(|world, now| world.queue_job(now, spec));
    let config = client.jit("test-linux-1").await;
    let vm = "/nodes/pve2/qemu/9001";
    let fields = [("newid", "9001"), ("name", "test-linux-1"), ("description", MARKS), ("target", "pve2")];
    client.task(Method::POST, "/nodes/pve1/qemu/8000/clone", &fields).await;
    client.call(Method::PUT, &format!("{vm}/config"), &[("tags", TAGS)]).await;
    client.task(Method::POST, &format!("{vm}/status/start"), &[]).await;
    while client.call(Method::POST, &format!("{vm}/agent/ping"), &[]).await.0 != 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let write = format!("{vm}/agent/file-write");
    let file = "/var/lib/mayfly/jit-config";
    let fields = [("file", file), ("content", config.as_str())];
    assert_eq!(client.call(Method::POST, &write, &fields).await.0, 200);
    // As long as the guest waits for the second file: then it takes both away.
    let read = client.call(Method::GET, &format!("{vm}/agent/file-read"), &[("file", file)]).await;
    assert_eq!(read.1["data"]["content"], config);
    let ready = format!("{file}.ready");
    let fields = [("file", ready.as_str()), ("content", "max-lifetime=3600\n")];
    assert_eq!(client.call(Method::POST, &write, &fields).await.0, 200);
    read_everything(&client, vm).await;
    let ended = client.simulator.until(SOON, |world| world.job_state(job).unwrap().status() == "completed");
    ended.await.unwrap();
    let off = client.simulator.until(SOON, |world| world.vms()[0].status == "stopped");
    off.await.unwrap();
    client.task(Method::POST, &format!("{vm}/status/shutdown"), &[("timeout", "5")]).await;
    client.task(Method::POST, &format!("{vm}/status/stop"), &[]).await;
    let fields = [("purge", "1"), ("destroy-unreferenced-disks", "1")];
    client.task(Method::DELETE, vm, &fields).await;
    client.simulator.until(SOON, simulator::World::is_quiet).await.unwrap();
    assert_eq!(client.simulator.with(|world, _| world.violations().to_vec()), []);
    let text = std::fs::read_to_string(&log).unwrap();
    let clone = text.lines().find(|line| line.contains("/clone")).unwrap();
    let clone: Value = serde_json::from_str(clone).unwrap();
    assert_eq!((&clone["api"], &clone["request"]["newid"]), (&json!("proxmox"), &json!("9001")));
    wirecheck(&log);
}

async fn read_everything(client: &Client, vm: &str) {
    let paths = [
        "/version",
        "/access/permissions",
        "/access/permissions?path=/vms/9001",
        "/cluster/nextid",
        "/cluster/nextid?vmid=9002",
        "/cluster/resources",
        "/cluster/resources?type=vm",
        "/cluster/resources?type=node",
        "/cluster/resources?type=storage",
        "/nodes",
        "/nodes/pve1/qemu",
        "/nodes/pve2/qemu?full=1",
        "/nodes/pve1/qemu/8000/config",
        "/nodes/pve2/qemu/8001/config?current=1",
        "/nodes/pve1/qemu/8000/status/current",
        "/nodes/pve1/storage/ceph/status",
        "/nodes/pve3/storage/local-lvm/status",
    ];
    for path in paths {
        client.get(path).await;
    }
    for rest in ["config", "status/current"] {
        client.get(&format!("{vm}/{rest}")).await;
    }
}

#[tokio::test]
async fn an_error_is_in_the_reason_phrase() {
    let folder = tempfile::tempdir().unwrap();
    let client = Client::start(&folder.path().join("wire.jsonl")).await;
    let host = client.simulator.proxmox_url().replace("http://", "");
    let mut stream = tokio::net::TcpStream::connect(&host).await.unwrap();
    let request = format!(
        "GET /api2/json/nodes/pve1/qemu/9001/config HTTP/1.1\r\nhost: {host}\r\nauthorization: {}\r\nconnection: close\r\n\r\n",
        client.authorization
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let why = "Configuration file 'nodes/pve1/qemu-server/9001.conf' does not exist";
    assert_eq!(answer.lines().next().unwrap(), format!("HTTP/1.1 500 {why}"));
    let body = json!({ "data": null, "message": format!("{why}\n") });
    assert_eq!(serde_json::from_str::<Value>(answer.lines().last().unwrap()).unwrap(), body);
    client.simulator.with(|world, now| world.set_node_online(now, "pve1", false));
    assert_eq!(client.call(Method::GET, "/nodes/pve1/qemu", &[]).await.0, 595);
}
