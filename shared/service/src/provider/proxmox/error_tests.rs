use super::*;

fn forbidden_on(path: &str, privilege: &str) -> Kind {
    Kind::Forbidden { path: Some(path.to_owned()), privilege: Some(privilege.to_owned()) }
}

fn locked(lock: &str) -> Kind {
    Kind::Locked { lock: lock.to_owned() }
}

const LOST: Kind = Kind::Lost { timed_out: false };

/// Status, reason phrase, meaning. The texts are those of pve-manager, pve-http-server, qemu-server, pve-guest-common,
/// pve-cluster and pve-access-control.
#[test]
fn refusals_are_told_apart() {
    is_told_apart(&[
        (401, "No ticket", Kind::Unauthorized),
        (401, "invalid token value!", Kind::Unauthorized),
        (401, "no such token 'mayfly' for user 'mayfly@pve'", Kind::Unauthorized),
        (401, "token 'mayfly@pve!mayfly' access expired", Kind::Unauthorized),
        (403, "Permission check failed (/vms/8000, VM.Clone)", forbidden_on("/vms/8000", "VM.Clone")),
        (
            403,
            "Permission check failed (/storage/local-lvm, Datastore.AllocateSpace)",
            forbidden_on("/storage/local-lvm", "Datastore.AllocateSpace"),
        ),
        (
            403,
            "Permission check failed (/vms/9000, VM.GuestAgent.Audit|VM.GuestAgent.Unrestricted)",
            forbidden_on("/vms/9000", "VM.GuestAgent.Audit|VM.GuestAgent.Unrestricted"),
        ),
        (403, "Permission check failed", Kind::Forbidden { path: None, privilege: None }),
        (403, "Permission check failed (user != root@pam)", Kind::Forbidden { path: None, privilege: None }),
        (403, "Permission check failed (pool 'ci' does not exist)", Kind::Refused),
        (400, "Parameter verification failed.", Kind::Refused),
        (501, "for data too large", Kind::Refused),
        (501, "Unexpected content for method 'DELETE'", Kind::Refused),
        (301, "Moved Permanently", Kind::Refused),
    ]);
}

#[test]
fn the_500s_are_told_apart() {
    is_told_apart(&[
        (500, "Configuration file 'nodes/pve1/qemu-server/9000.conf' does not exist", Kind::Missing),
        (500, "unable to find configuration file for VM 9000 on node 'pve1'", Kind::Missing),
        (500, "unable to find configuration file for VM 9000 - no such machine", Kind::Missing),
        (500, "unable to create VM 9000: config file already exists", Kind::Taken),
        (500, "VM 9000 already exists on node 'pve2'", Kind::Taken),
        (500, "CT 9000 already exists on node 'pve2'", Kind::Taken),
        (500, "VM is locked (clone)", locked("clone")),
        (500, "VM is locked (backup)", locked("backup")),
        (500, "VM 9000 already running", Kind::AlreadyRunning),
        (500, "VM 9000 is not running", Kind::NotRunning),
        (500, "VM 9000 not running", Kind::NotRunning),
        (500, "VM 9000 is running - destroy failed", Kind::StillRunning),
        (500, "QEMU guest agent is not running", Kind::AgentAbsent),
        (500, "VM 9000 qga command 'guest-ping' failed - got timeout", Kind::AgentAbsent),
        (500, "VM 9000 qmp command 'guest-file-open' failed - got timeout", Kind::AgentAbsent),
        (500, "No QEMU guest agent configured", Kind::AgentUnconfigured),
        (500, "can't lock file '/var/lock/qemu-server/lock-9000.conf' - got timeout", Kind::StorageLocked),
        (500, "cfs-lock 'file-user_cfg' error: got lock request timeout", Kind::StorageLocked),
        (500, "cfs-lock 'storage-ceph' error: no quorum!", Kind::NodeDown),
        (500, "cluster not ready - no quorum?", Kind::NodeDown),
        (500, "no such cluster node 'pve9'", Kind::NodeDown),
        (
            500,
            "hostname lookup 'pve9' failed - failed to get address info for: pve9: Name or service not known",
            Kind::NodeDown,
        ),
        (500, "can't clone VM to node 'pve2' (VM uses local storage)", Kind::Other(500)),
        (
            500,
            "Linked clone feature is not supported for 'local:8000/vm-8000-disk-0.raw' (scsi0)",
            Kind::Other(500),
        ),
        (500, "got no worker upid - start worker failed", Kind::Other(500)),
    ]);
}

#[test]
fn what_was_not_done_is_told_from_what_may_have_been() {
    is_told_apart(&[
        (595, "No route to host", Kind::NodeDown),
        (595, "Connection refused", Kind::NodeDown),
        (595, "Connection timed out", Kind::NodeDown),
        (596, "tls_process_server_certificate: certificate verify failed", Kind::NodeDown),
        // The request was on its way: it may have been done.
        (596, "Connection timed out", Kind::Lost { timed_out: true }),
        (596, "Broken pipe", LOST),
        (599, "Too many redirections", LOST),
        (502, "Bad Gateway", LOST),
        (504, "Gateway Timeout", Kind::Lost { timed_out: true }),
        (503, "Service Unavailable", Kind::Busy),
        (429, "Too Many Requests", Kind::Busy),
    ]);
}

fn is_told_apart(table: &[(u16, &str, Kind)]) {
    for (status, phrase, kind) in table {
        let by_phrase = of_answer(*status, phrase, br#"{"data":null}"#);
        assert_eq!((&by_phrase.kind, by_phrase.why.as_str()), (kind, *phrase), "{status} {phrase}");
        // Newer versions, behind a proxy that writes its own phrases.
        let body = serde_json::json!({"data": null, "message": format!("{phrase}\n")}).to_string();
        assert_eq!(of_answer(*status, "", body.as_bytes()), by_phrase, "{status} {phrase}");
    }
}

/// Exit status, meaning.
#[test]
fn tasks_are_told_apart() {
    let table = [
        ("can't lock file '/var/lock/qemu-server/lock-9000.conf' - got timeout", Kind::StorageLocked),
        (
            "clone failed: can't lock file '/var/lock/pve-manager/pve-storage-local-lvm' - got timeout",
            Kind::StorageLocked,
        ),
        ("clone failed: cfs-lock 'storage-nfs' error: got lock request timeout", Kind::StorageLocked),
        ("clone failed: 'storage-ceph'-locked command timed out - aborting", Kind::StorageLocked),
        ("clone failed: command '/sbin/vgs --separator :' failed: got timeout", Kind::StorageLocked),
        (
            "clone failed: error during cfs-locked 'storage-nfs' operation: No space left on device",
            Kind::StorageFull,
        ),
        (
            "clone failed: lvcreate 'pve/vm-9000-disk-0' error:   Volume group \"pve\" has insufficient free space \
             (10 extents): 8192 required.",
            Kind::StorageFull,
        ),
        (
            "clone failed: lvcreate snapshot 'pve/base-8000-disk-0' error: Cannot create new thin volume, free space \
             in thin pool pve/data reached threshold.",
            Kind::StorageFull,
        ),
        ("clone failed: zfs error: cannot create 'rpool/vm-9000-disk-0': out of space", Kind::StorageFull),
        ("unable to create VM 9000: config file already exists", Kind::Taken),
        (
            "close (rename) atomic file '/etc/pve/nodes/pve1/qemu-server/9000.conf' failed: File exists",
            Kind::Taken,
        ),
        ("VM is locked (clone)", locked("clone")),
        ("VM 9000 already running", Kind::AlreadyRunning),
        ("VM 9000 is running - destroy failed", Kind::StillRunning),
        ("Configuration file 'nodes/pve1/qemu-server/9000.conf' does not exist", Kind::Missing),
        ("start failed: hugepage allocation failed", Kind::NoMemory),
        ("start failed: kvm: cannot set up guest memory 'pc.ram': Cannot allocate memory", Kind::NoMemory),
        ("start failed: QEMU exited with code 1", Kind::Other(0)),
        ("interrupted by signal", LOST),
        ("unexpected status", LOST),
        ("", LOST),
    ];
    for (exit, kind) in table {
        assert_eq!(of_task(exit).kind, kind, "{exit}");
    }
}

#[test]
fn wrong_parameters_are_named() {
    let body = br#"{"data":null,"errors":{"newid":"value must have a minimum value of 100","name":"invalid format\n"}}"#;
    let error = of_answer(400, "Parameter verification failed.", body);
    assert_eq!(
        (error.kind, error.why.as_str()),
        (
            Kind::Refused,
            "Parameter verification failed. (name: invalid format; newid: value must have a minimum value of 100)"
        )
    );
    let body = br#"{"data":null,"errors":{"upid":"no such task"}}"#;
    assert_eq!(of_answer(400, "Parameter verification failed.", body).kind, Kind::Missing);
}

#[test]
fn what_is_no_json_is_not_shown() {
    let error = of_answer(500, "", b"<html>\x00 not Proxmox </html>");
    assert_eq!((error.kind, error.why.as_str()), (Kind::Other(500), "HTTP 500"));
    let long = of_answer(500, &"x".repeat(10_000), b"").why;
    assert_eq!(long.len(), TEXT_LENGTH_MAX);
}

#[test]
fn a_person_is_told_what_to_do() {
    let provider: ProviderName = ProviderName::new("lab").unwrap();
    let told = |status, phrase| of_answer(status, phrase, b"").advised(&provider).why;
    let text = told(403, "Permission check failed (/vms/8000, VM.Clone)");
    assert!(text.contains("give the token's role the privilege VM.Clone on /vms/8000"), "{text}");
    let text = told(401, "invalid token value!");
    assert!(
        text.contains("`providers.lab.token_id`") && text.contains("`providers.lab.token_secret`"),
        "{text}"
    );
    assert!(told(500, "VM is locked (clone)").contains("qm unlock"));
}

#[test]
fn only_what_passes_is_worth_a_repeat() {
    for (status, phrase, passes) in [
        (503, "", true),
        (500, "got no worker upid", true),
        (500, "cfs-lock 'x' error: got lock request timeout", true),
        (596, "Connection timed out", true),
        (595, "No route to host", false),
        (401, "No ticket", false),
        (403, "Permission check failed", false),
        (500, "VM is locked (clone)", false),
        (400, "Parameter verification failed.", false),
    ] {
        assert_eq!(of_answer(status, phrase, b"").passes(), passes, "{status} {phrase}");
    }
}

#[test]
fn a_secret_that_is_repeated_is_cut_out() {
    let error = Error::new(Kind::Refused, "cannot write 0123456789abcdef to it");
    assert_eq!(error.clone().without("0123456789abcdefffff").why, "cannot write [redacted]");
    assert_eq!(error.clone().without(""), error);
}
