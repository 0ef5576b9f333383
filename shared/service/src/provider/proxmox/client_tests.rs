use std::sync::{Arc, Mutex};

use mayfly_core::ids::ProviderName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::*;
use crate::config::Trust;
use crate::provider::proxmox::error::Kind;
use crate::provider::repeat::repeated;
use crate::secret::SecretSource;

pub(in crate::provider::proxmox) const LIMIT: Duration = Duration::from_secs(10);
const UPID: &str = "UPID:pve2:0003C6F8:0123ABCD:6541F2A1:qmclone:8000:mayfly@pve!mayfly:";

/// Of a provider `lab`; its token has the secret `mayfly-service`, which cargo puts into the environment.
pub(in crate::provider::proxmox) fn settings(url: &str) -> ProxmoxSettings {
    ProxmoxSettings {
        provider: ProviderName::new("lab").unwrap(),
        url: url.parse().unwrap(),
        token_id: "mayfly@pve!mayfly".to_owned(),
        token_secret: SecretSource::Env("CARGO_PKG_NAME".to_owned()),
        trust: Trust::System,
        vmid_range: (9000, 9999),
        nodes: Vec::new(),
    }
}

/// Answers one request after the other with these bytes, each over a connection of its own; keeps what was asked.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn new(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut bytes = Vec::new();
                while !is_whole(&bytes) {
                    let mut buffer = [0; 8192];
                    let count = stream.read(&mut buffer).await.unwrap();
                    assert_ne!(count, 0);
                    bytes.extend_from_slice(&buffer[..count]);
                }
                kept.lock().unwrap().push(String::from_utf8(bytes).unwrap());
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { url, asked }
    }

    async fn data(data: &str) -> Self {
        Self::new(vec![answer("200 OK", &format!("{{\"data\":{data}}}"))]).await
    }

    fn client(&self) -> Client {
        Client::new(settings(&self.url))
    }

    /// What was asked: the request's line and its body.
    fn asked(&self) -> Vec<(String, String)> {
        let asked = self.asked.lock().unwrap();
        let parts = |text: &String| {
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            (head.lines().next().unwrap().to_owned(), body.to_owned())
        };
        asked.iter().map(parts).collect()
    }
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn nothing_is_done_before_the_first_call() {
    let client = Client::new(ProxmoxSettings {
        token_secret: SecretSource::File("/nowhere/secret".into()),
        trust: Trust::Authority("/nowhere/ca.pem".into()),
        ..settings("https://pve.invalid:8006")
    });
    assert_eq!(client.calls(), 0);
    let error = client.resources(LIMIT).await.unwrap_err();
    assert_eq!((error.kind, client.calls()), (Kind::Unauthorized, 0));
    assert!(
        error.why.contains("`providers.lab.token_secret`") && error.why.contains("/nowhere/secret"),
        "{}",
        error.why
    );
}

#[tokio::test]
async fn the_reason_phrase_is_read() {
    let phrase = "500 QEMU guest agent is not running";
    let server = Server::new(vec![answer(phrase, r#"{"data":null}"#)]).await;
    let client = server.client();
    let error = client.ping("pve1", 9000, LIMIT).await.unwrap_err();
    assert_eq!((error.kind, error.why.as_str()), (Kind::AgentAbsent, "QEMU guest agent is not running"));
    assert_eq!(client.calls(), 1);
    assert_eq!(server.asked()[0].0, "POST /api2/json/nodes/pve1/qemu/9000/agent/ping HTTP/1.1");
}

#[tokio::test]
async fn statuses_of_its_own_are_understood() {
    let server = Server::new(vec![answer("595 No route to host", "")]).await;
    let error = server.client().status("pve2", 9000, LIMIT).await.unwrap_err();
    assert_eq!((error.kind, error.why.as_str()), (Kind::NodeDown, "No route to host"));
}

#[tokio::test]
async fn a_clone_is_asked_for_as_described() {
    let server = Server::data(&format!("\"{UPID}\"")).await;
    let order = CloneOrder {
        newid: 9001,
        name: "ci-linux-1",
        description: "mayfly: ci & linux\nx=1",
        target: Some("pve2"),
        full: true,
        storage: Some("ceph"),
        pool: None,
    };
    let upid = server.client().clone("pve1", 8000, &order, LIMIT).await.unwrap();
    assert_eq!((upid.node(), upid.as_str()), ("pve2", UPID));
    let asked = server.asked();
    assert_eq!(asked[0].0, "POST /api2/json/nodes/pve1/qemu/8000/clone HTTP/1.1");
    assert_eq!(
        asked[0].1,
        "newid=9001&name=ci-linux-1&description=mayfly%3A+ci+%26+linux%0Ax%3D1&full=1&target=pve2&storage=ceph"
    );
    let head = server.asked.lock().unwrap()[0].to_lowercase();
    assert!(head.contains("content-type: application/x-www-form-urlencoded"), "{head}");
    assert!(head.contains("authorization: pveapitoken=mayfly@pve!mayfly=mayfly-service\r\n"), "{head}");
}

#[tokio::test]
async fn a_privilege_that_proxmox_does_not_name_is_named() {
    let server = Server::new(vec![answer("403 Permission check failed", "")]).await;
    let order = CloneOrder {
        newid: 9001,
        name: "a",
        description: "",
        target: None,
        full: false,
        storage: None,
        pool: None,
    };
    let error = server.client().clone("pve1", 8000, &order, LIMIT).await.unwrap_err();
    assert!(error.why.contains("VM.Allocate on /vms/9001"), "{}", error.why);
}

#[tokio::test]
async fn a_delete_has_no_body_and_a_task_is_asked_for_on_its_node() {
    let task = r#"{"data":{"status":"stopped","exitstatus":"OK"}}"#;
    let upid = format!("{{\"data\":\"{UPID}\"}}");
    let server = Server::new(vec![
        answer("200 OK", &upid),
        answer("200 OK", task),
        answer("200 OK", r#"{"data":null}"#),
    ]);
    let server = server.await;
    let client = server.client();
    let upid = client.delete("pve1", 9000, LIMIT).await.unwrap();
    assert_eq!(client.task(&upid, LIMIT).await.unwrap(), TaskState::Done);
    client.set_tags("pve1", 9000, &["mayfly", "mayfly-prod"], LIMIT).await.unwrap();
    let asked = server.asked();
    assert_eq!(
        asked[0],
        (
            "DELETE /api2/json/nodes/pve1/qemu/9000?purge=1&destroy-unreferenced-disks=1 HTTP/1.1".to_owned(),
            String::new()
        )
    );
    assert_eq!(asked[1].0, format!("GET /api2/json/nodes/pve2/tasks/{UPID}/status HTTP/1.1"));
    assert_eq!(asked[2].0, "PUT /api2/json/nodes/pve1/qemu/9000/config HTTP/1.1");
    assert_eq!(asked[2].1, "tags=mayfly%3Bmayfly-prod");
    assert_eq!(client.calls(), 3);
}

#[tokio::test]
async fn a_file_s_content_is_bounded_and_never_shown() {
    let content = "c2VjcmV0LWppdC1jb25maWc=";
    let phrase = format!("500 Agent error: cannot write {content}");
    let server = Server::new(vec![answer(&phrase, "")]).await;
    let client = server.client();
    let write = |content: String| {
        let client = &client;
        async move { client.write_file("pve1", 9000, "/var/lib/mayfly/jit-config", &content, LIMIT).await }
    };
    let error = write("x".repeat(61_441)).await.unwrap_err();
    assert_eq!((error.kind, client.calls()), (Kind::TooLong, 0));
    // Short enough in characters, too long as it has to be written.
    let error = write("+".repeat(61_440)).await.unwrap_err();
    assert_eq!((error.kind, client.calls()), (Kind::TooLong, 0));
    let error = write(content.to_owned()).await.unwrap_err();
    assert_eq!(error.why, "Agent error: cannot write [redacted]");
    assert!(server.asked()[0].1.contains("c2VjcmV0"));
}

#[tokio::test]
async fn a_secret_that_was_changed_is_fetched_again() {
    let file = std::env::temp_dir().join(format!("mayfly-proxmox-token-{}", std::process::id()));
    std::fs::write(&file, "old\n").unwrap();
    let refused = answer("401 invalid token value!", "");
    let empty = answer("200 OK", r#"{"data":[]}"#);
    let server = Server::new(vec![empty.clone(), refused.clone(), empty, refused]).await;
    let client = Client::new(ProxmoxSettings {
        token_secret: SecretSource::File(file.clone()),
        ..settings(&server.url)
    });
    client.resources(LIMIT).await.unwrap();
    std::fs::write(&file, "new\n").unwrap();
    client.resources(LIMIT).await.unwrap();
    let asked = server.asked.lock().unwrap().clone();
    assert!(asked[1].contains("=old\r\n") && asked[2].contains("=new\r\n"), "{asked:?}");
    // Not changed: not asked again.
    let error = client.resources(LIMIT).await.unwrap_err();
    std::fs::remove_file(file).unwrap();
    assert_eq!((error.kind, client.calls()), (Kind::Unauthorized, 4));
    assert!(error.why.starts_with("invalid token value!; are `providers.lab.token_id`"), "{}", error.why);
}

#[tokio::test]
async fn what_was_never_sent_is_told_from_what_is_lost() {
    // Nobody listens on port 1.
    let client = Client::new(settings("http://127.0.0.1:1"));
    assert_eq!(client.start("pve1", 9000, LIMIT).await.unwrap_err().kind, Kind::NotSent);
    assert_eq!(client.start("pve1", 9000, Duration::ZERO).await.unwrap_err().kind, Kind::NotSent);

    let lost = |timed_out| Kind::Lost { timed_out };
    let server = Server::new(vec![String::new()]).await;
    assert_eq!(server.client().start("pve1", 9000, LIMIT).await.unwrap_err().kind, lost(false));
    for body in [r#"{"data":"UPID:x"}"#, r#"{"data":nu"#, "<html>"] {
        let server = Server::new(vec![answer("200 OK", body)]).await;
        assert_eq!(server.client().start("pve1", 9000, LIMIT).await.unwrap_err().kind, lost(false), "{body}");
    }
    // It takes the request and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(settings(&format!("http://{}", listener.local_addr().unwrap())));
    let error = client.start("pve1", 9000, Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(error.kind, lost(true));
}

#[tokio::test]
async fn too_long_an_answer_is_not_read() {
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
    let server = Server::new(vec![format!("{head}{{\"data\":[\"{}\"]}}", "x".repeat(9 << 20))]).await;
    let error = server.client().resources(LIMIT).await.unwrap_err();
    assert!(error.why.contains("more than 8388608 bytes"), "{}", error.why);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::new(vec![
        "HTTP/1.1 301 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".into(),
    ]);
    let error = server.await.client().resources(LIMIT).await.unwrap_err();
    assert_eq!(error.kind, Kind::Refused);
}

#[tokio::test]
async fn a_read_is_repeated_while_its_failure_passes() {
    let busy = answer("503 Service Unavailable", "");
    let server = Server::new(vec![busy.clone(), answer("200 OK", r#"{"data":[]}"#)]).await;
    let client = server.client();
    let deadline = Instant::now() + LIMIT;
    repeated(deadline, LIMIT, |limit| client.resources(limit)).await.unwrap();
    assert_eq!(client.calls(), 2);

    let server = Server::new(vec![answer("403 Permission check failed", "")]).await;
    let client = server.client();
    repeated(deadline, LIMIT, |limit| client.resources(limit)).await.unwrap_err();
    assert_eq!(client.calls(), 1);

    let after =
        "HTTP/1.1 503 Busy\r\nretry-after: 60\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned();
    let server = Server::new(vec![after]).await;
    let client = server.client();
    let error = repeated(deadline, LIMIT, |limit| client.resources(limit)).await.unwrap_err();
    assert_eq!((error.retry_after(), client.calls()), (Some(Duration::from_secs(60)), 1));
}
