//! What is wrong with a Proxmox VE cluster.

use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use simulator::{Lab, Settings};
use tokio::net::TcpListener;

use super::stage::{self, right};

const GIB: u64 = 1 << 30;

fn lab(change: impl FnOnce(&mut Lab)) -> impl FnOnce(&mut Settings) {
    |settings| change(&mut settings.proxmox)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_cannot_be_reached() {
    let stage = right().await;
    let url = stage.simulator.proxmox_url();
    let stage = stage.but(&url, "http://127.0.0.1:1");
    let found = stage.look();
    found.wrong("lab", "it answers", "no answer", "is `providers.lab.url` right");
    found.says("skipped", "lab", "privileges, templates", "cannot be asked", "");
}

/// The port of a server whose certificate nobody knows.
async fn stranger() -> u16 {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            // The handshake fails: whoever comes does not trust it.
            tokio::spawn(async move { acceptor.accept(stream).await.map(|_| ()) });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_trusted() {
    let stage = right().await;
    let (url, port) = (stage.simulator.proxmox_url(), stranger().await);
    let stage = stage.but(&url, &format!("https://127.0.0.1:{port}"));
    stage.look().wrong("lab", "certificate", "is not trusted", "set `providers.lab.fingerprint`");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_taken() {
    let mut stage = right().await;
    stage.place.environment.retain(|(name, _)| name != "PROXMOX_TOKEN_SECRET");
    let other = "00000000-1111-2222-3333-444444444444";
    stage.place.environment.push(("PROXMOX_TOKEN_SECRET".to_owned(), other.to_owned()));
    stage.look().wrong("lab", "token", "invalid token value", "setup.sh makes one");
    let stage = right().await.but("mayfly@pve!mayfly", "mayfly@pve!another");
    stage.look().wrong("lab", "token", "no such token", "setup.sh makes one");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_privilege_that_is_missing() {
    for (privilege, path) in [
        ("Datastore.AllocateSpace", "/storage/ceph"),
        ("Datastore.Audit", "/storage/ceph"),
        ("Sys.Audit", "/nodes/pve1"),
        ("VM.Allocate", "/vms/9000"),
        ("VM.Audit", "/vms/8000"),
        ("VM.Clone", "/vms/8000"),
        ("VM.Config.Options", "/vms/9000"),
        ("VM.GuestAgent.Audit", "/vms/9000"),
        ("VM.GuestAgent.FileWrite", "/vms/9000"),
        ("VM.PowerMgmt", "/vms/9000"),
    ] {
        let stage = stage::with(lab(|lab| {
            lab.privileges.remove(privilege);
        }))
        .await;
        let what = format!("privilege {privilege} on {path}");
        stage.look().wrong("lab", &what, "is missing", &format!("give the token's role {privilege}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_without_its_privilege_is_warned_of() {
    let stage = stage::with(lab(|lab| {
        lab.privileges.remove("SDN.Use");
    }))
    .await;
    let found = stage.look();
    assert_eq!(found.code, Some(0), "{:#}", found.not_ok());
    let what = "privilege SDN.Use on /sdn/zones/localnetwork/vmbr0";
    found.says("warning", "lab", what, "is missing", "give the token's role SDN.Use");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_on_a_resource_pool_are_looked_at_there() {
    let stage = right().await.but("template = 8000", "template = 8000\npool = \"runners\"");
    let found = stage.look();
    assert_eq!(found.code, Some(0), "{:#}", found.not_ok());
    found.says("ok", "lab", "privilege VM.Allocate on /pool/runners", "", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_does_not_exist() {
    let stage = right().await.but("template = 8000", "template = 8999");
    stage.look().wrong(
        "lab",
        "template 8999",
        "there is no VM of that id",
        "correct the placement's `template`",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_is_none() {
    let stage = right().await.but("template = 8000", "template = 8003");
    stage.look().wrong("lab", "template 8003", "is a VM, and no template", "qm template 8003");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_without_a_guest_agent() {
    let stage = stage::with(lab(|lab| lab.templates[0].has_agent = false)).await;
    stage.look().wrong("lab", "template 8000: guest agent", "is switched off", "qm set 8000 --agent 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_does_not_exist() {
    let placement = "template = 8000\nfull_clone = true\nstorage = \"cepf\"";
    let stage = right().await.but("template = 8000", placement);
    stage.look().wrong(
        "lab",
        "storage cepf",
        "there is none of that name",
        "correct the placement's `storage`",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_is_nearly_full_is_warned_of() {
    // All templates but one have their disk on it: 32, 64 and 32 GiB.
    let stage = stage::with(lab(|lab| lab.storages[0].bytes = 130 * GIB)).await;
    let found = stage.look();
    found.says("warning", "lab", "storage ceph", "is more than 90 % full", "make room on it");
    assert_eq!(found.code, Some(0), "{:#}", found.not_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_with_more_memory_than_any_node() {
    let stage = stage::with(lab(|lab| {
        for node in &mut lab.nodes {
            node.memory_bytes = 6 * GIB;
        }
    }))
    .await;
    let what = "memory for a clone of template 8000";
    stage.look().wrong("lab", what, "no node has the 8.0 GiB", "qm set 8000 --memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_free_memory_is_warned_of() {
    let stage = stage::with(lab(|lab| {
        for node in &mut lab.nodes {
            node.host_used_bytes = 60 * GIB;
        }
    }))
    .await;
    let found = stage.look();
    found.says("warning", "lab", "memory for a clone", "no node has 8.0 GiB free now", "free some memory");
    assert_eq!(found.code, Some(0), "{:#}", found.not_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_exist() {
    let stage = right().await.but("vmid_range", "nodes = [\"pve1\", \"pve9\"]\nvmid_range");
    let why = "there is none of that name; there are pve1, pve2, pve3";
    stage.look().wrong("lab", "node pve9", why, "correct the provider's `nodes`");
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_others_use() {
    let stage = right().await.but("[9000, 9999]", "[8001, 8003]");
    stage.look().wrong("lab", "vmid_range 8001 to 8003", "every id is taken", "choose a range");
    let stage = right().await.but("[9000, 9999]", "[8000, 8100]");
    let found = stage.look();
    let why = "VM 8000, 8001, 8002, 8003 in it does not have this deployment's tag";
    found.says("warning", "lab", "vmid_range 8000 to 8100", why, "choose a range");
    assert_eq!(found.code, Some(0), "{:#}", found.not_ok());
}
