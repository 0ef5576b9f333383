//! What somebody has to mend: each error says what, and how.

use std::sync::Arc;

use mayfly_service::provider::CreateError;
use mayfly_service::provider::proxmox::{Failure, Proxmox, ProxmoxSettings, Reached};
use mayfly_service::secret::{Secret, SecretSource};
use simulator::{Settings, Template};

use super::story::{JIT, LIFETIME, Story, advance_clone, soon};

impl Story {
    /// Why the clone is refused, until somebody mends something.
    async fn refusal(&self, lab: &Proxmox) -> String {
        match self.clone_of(lab, &self.name()).await {
            Err(CreateError::Refused(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    fn with_settings(&self, change: impl FnOnce(&mut ProxmoxSettings)) -> Proxmox {
        let mut settings = self.settings();
        change(&mut settings);
        self.cold_with(settings)
    }
}

fn without(privilege: &str) -> impl FnOnce(&mut Settings) {
    move |settings| assert!(settings.proxmox.privileges.remove(privilege), "{privilege}")
}

#[tokio::test]
async fn a_token_that_is_not_taken() {
    let story = Story::begin().await;
    let wrong = story.file("wrong", "not-the-secret-at-all");
    let cases = [
        (story.with_settings(|it| it.token_secret = SecretSource::File(wrong)), "invalid token value!"),
        (
            story.with_settings(|it| it.token_id = "mayfly@pve!other".to_owned()),
            "no such token 'other' for user 'mayfly@pve'",
        ),
        (
            story.with_settings(|it| it.token_id = "nobody@pve!mayfly".to_owned()),
            "no such user ('nobody@pve')",
        ),
    ];
    for (lab, said) in cases {
        let why = story.refusal(&lab).await;
        assert!(why.contains(said), "{why}");
        assert!(why.contains("`providers.lab.token_id`"), "{why}");
        assert!(why.contains("`providers.lab.token_secret`"), "{why}");
        let listed = lab.list(soon()).await.unwrap_err().to_string();
        assert!(listed.contains(said) && listed.starts_with("listing VMs: refused: "), "{listed}");
    }
    let nowhere = SecretSource::File("/nowhere/at/all".into());
    let why = story.refusal(&story.with_settings(|it| it.token_secret = nowhere)).await;
    assert!(why.contains("`providers.lab.token_secret`") && why.contains("/nowhere/at/all"), "{why}");
    story.end();
}

/// A server with a certificate of its own making, as a fresh Proxmox VE has; its port.
async fn self_signed() -> u16 {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Nobody who refuses the certificate gets any further.
            tokio::spawn(acceptor.accept(stream));
        }
    });
    port
}

#[tokio::test]
async fn a_certificate_that_nobody_signed() {
    let story = Story::begin().await;
    let url = format!("https://localhost:{}", self_signed().await);
    let lab = story.with_settings(|it| it.url = url.parse().unwrap());
    let why = story.refusal(&lab).await;
    for part in
        ["it is ", "`providers.lab.ca_file`", "`providers.lab.fingerprint`", "/etc/pve/pve-root-ca.pem"]
    {
        assert!(why.contains(part), "{part}: {why}");
    }
    story.end();
}

#[tokio::test]
async fn a_url_where_nobody_listens() {
    let story = Story::begin().await;
    let lab = story.with_settings(|it| it.url = "http://127.0.0.1:1".parse().unwrap());
    let error = story.clone_of(&lab, &story.name()).await.unwrap_err();
    let CreateError::Unavailable(why) = error else { panic!("{error:?}") };
    assert!(why.contains("http://127.0.0.1:1") && why.contains("`providers.lab.url`"), "{why}");
    let why = lab.list(soon()).await.unwrap_err().to_string();
    assert!(why.contains("`providers.lab.url`"), "{why}");
    story.end();
}

#[tokio::test]
async fn a_template_that_is_none() {
    let story = Story::of(|settings| {
        let dumb = Template { has_agent: false, ..Template::linux(8004, "pve2") };
        settings.proxmox.templates.push(dumb);
    });
    let mut story = story.await;
    for (template, expected) in [
        (8999, ["there is no template 8999", "VM.Audit on /vms/8999"]),
        (8003, ["VM 8003 is no template", "`qm template 8003`"]),
        (8004, ["template 8004 has no guest agent", "`qm set 8004 --agent 1`"]),
    ] {
        story.placement.template = template;
        let why = story.refusal(&story.cold()).await;
        assert!(expected.iter().all(|part| why.contains(part)), "{why}");
    }
    assert_eq!(story.calls("clone"), 0);

    // A pool or storage that is not there.
    story.placement.template = 8000;
    story.placement.pool = Some("none".to_owned());
    let error = story.clone_of(&story.lab, &story.name()).await.unwrap_err().to_string();
    assert!(error.contains("pool 'none' does not exist"), "{error}");
    story.placement.pool = None;
    (story.placement.full_clone, story.placement.storage) = (true, Some("none".to_owned()));
    let error = story.clone_of(&story.cold(), &story.name()).await.unwrap_err().to_string();
    assert!(error.contains("storage none"), "{error}");
    assert!(story.vms().is_empty());
    story.end();
}

#[tokio::test]
async fn a_privilege_that_is_missing_before_there_is_a_vm() {
    for (privilege, path) in [
        ("Datastore.AllocateSpace", "/storage/ceph"),
        ("Datastore.Audit", "/storage/ceph"),
        ("SDN.Use", "/sdn/zones/localnetwork/vmbr0"),
        ("Sys.Audit", "/nodes"),
        ("VM.Allocate", "/vms/9"),
        ("VM.Audit", "/vms/8000"),
        ("VM.Clone", "/vms/8000"),
    ] {
        let story = Story::of(without(privilege)).await;
        let why = story.refusal(&story.lab).await;
        assert!(why.contains(privilege) && why.contains(path), "{privilege}: {why}");
        assert!(story.vms().is_empty());
        // Once it is given, the same function goes on.
        story.with(|world, _| world.change_lab(|lab| _ = lab.privileges.insert(privilege.to_owned())));
        story.clone_of(&story.cold(), &story.name()).await.unwrap();
        story.end();
    }
}

#[tokio::test]
async fn a_privilege_that_is_missing_for_a_step() {
    for privilege in ["VM.Config.Options", "VM.PowerMgmt", "VM.GuestAgent.Audit"] {
        let story = Story::of(without(privilege)).await;
        let name = story.name();
        let cloning = story.clone_of(&story.lab, &name).await.unwrap();
        let advanced = advance_clone(&story.lab, &name, &cloning).await;
        let Reached::Failed { failure: Failure::Refused, why } = advanced.reached else {
            panic!("{advanced:?}")
        };
        assert!(why.contains(&format!("the privilege {privilege}")), "{privilege}: {why}");
        assert!(why.contains("on /vms/9"), "{privilege}: {why}");
        story.end();
    }
}

#[tokio::test]
async fn a_privilege_that_is_missing_at_the_end() {
    let story = Story::of(without("VM.GuestAgent.FileWrite")).await;
    let (name, place) = story.made().await;
    let jit_config = Secret::new(JIT.to_owned());
    let platform = mayfly_core::policy::Platform::Linux;
    let error = story.lab.hand_over(&place, platform, &jit_config, LIFETIME, soon()).await.unwrap_err();
    assert!(error.to_string().contains("the privilege VM.GuestAgent.FileWrite"), "{error}");
    story.with(|world, _| world.change_lab(|lab| _ = lab.privileges.remove("VM.PowerMgmt")));
    let error = story.lab.delete(name.as_str(), Some(&place), soon()).await.unwrap_err().to_string();
    assert!(error.contains("refused") && error.contains("the privilege VM.PowerMgmt"), "{error}");
    story.with(|world, _| world.change_lab(|lab| _ = lab.privileges.insert("VM.PowerMgmt".to_owned())));
    story.with(|world, _| world.change_lab(|lab| _ = lab.privileges.remove("VM.Allocate")));
    let error = story.lab.delete(name.as_str(), Some(&place), soon()).await.unwrap_err().to_string();
    assert!(error.contains("refused") && error.contains("the privilege VM.Allocate"), "{error}");
    story.end();
}
