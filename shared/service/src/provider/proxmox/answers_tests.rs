use serde_json::json;

use super::*;
use crate::provider::proxmox::error::Kind;

fn fields(value: Value) -> Fields {
    serde_json::from_value(value).unwrap()
}

#[test]
fn resources_are_sorted_by_type() {
    let entries: Vec<Fields> = serde_json::from_value(json!([
        {"type": "node", "id": "node/pve1", "node": "pve1", "status": "online", "maxmem": 34359738368_u64, "mem": 1.5e9},
        {"type": "node", "node": "pve2", "status": "offline"},
        {"type": "qemu", "vmid": "9000", "node": "pve1", "name": "ci-linux-1", "status": "running",
         "tags": "mayfly;mayfly-prod", "template": 0, "maxmem": "4294967296", "mem": 1, "uptime": 12},
        {"type": "qemu", "vmid": 8000, "node": "pve1", "template": "1", "lock": "clone"},
        {"type": "lxc", "vmid": 200, "node": "pve2", "status": "unknown"},
        {"type": "storage", "storage": "ceph", "node": "pve1", "shared": true, "status": "available",
         "disk": 5, "maxdisk": 10, "plugintype": "rbd"},
        {"type": "sdn", "sdn": "localnetwork", "node": "pve1", "status": "ok"},
        {"type": "storage", "node": "pve1"},
        {"type": "node", "status": "online"},
    ]))
    .unwrap();
    let all = Resources::read(&entries).unwrap();
    let nodes: Vec<_> = all.nodes.iter().map(|node| (node.name.as_str(), node.online, node.maxmem)).collect();
    assert_eq!(nodes, [("pve1", true, Some(34_359_738_368)), ("pve2", false, None)]);
    assert_eq!(all.nodes[0].mem, Some(1_500_000_000));
    let ids: Vec<_> = all.vms.iter().map(|vm| (vm.vmid, vm.template, vm.is_container)).collect();
    assert_eq!(ids, [(9000, false, false), (8000, true, false), (200, false, true)]);
    assert_eq!(all.vms[0].tags, ["mayfly", "mayfly-prod"]);
    assert_eq!((all.vms[0].maxmem, all.vms[0].uptime), (Some(4 << 30), Some(12)));
    assert_eq!((all.vms[1].lock.as_deref(), &all.vms[1].name), (Some("clone"), &None));
    assert!(all.storages[0].shared && all.storages[0].available);
}

/// It may be one of ours, whose slot would be given away.
#[test]
fn a_list_in_which_a_vm_cannot_be_told_from_others_is_none() {
    let whole =
        [json!({"type": "node", "node": "pve1"}), json!({"type": "qemu", "vmid": 9000, "node": "pve1"})];
    let read =
        |entry: Value| Resources::read(&whole.iter().cloned().chain([entry]).map(fields).collect::<Vec<_>>());
    assert!(read(json!({"type": "sdn"})).is_some());
    for entry in [
        json!({"type": "qemu", "node": "pve1"}),
        json!({"type": "qemu", "vmid": 9001}),
        json!({"type": "qemu", "vmid": 4_294_967_296_u64, "node": "pve1"}),
        json!({"type": "lxc", "vmid": null, "node": "pve1"}),
    ] {
        assert_eq!(read(entry.clone()), None, "{entry}");
    }
}

#[test]
fn a_configuration_tells_its_disks_from_its_media() {
    let config = VmConfig::read(&fields(json!({
        "name": "tpl", "template": 1, "memory": "4096", "agent": "enabled=1,fstrim_cloned_disks=1",
        "scsihw": "virtio-scsi-single", "virtiofs0": "share", "boot": "order=scsi0;ide2",
        "scsi0": "ceph:base-8000-disk-0,size=8G", "virtio1": "file=local-lvm:vm-8000-disk-1,size=1G",
        "efidisk0": "local:8000/base-8000-disk-1.qcow2,efitype=4m", "tpmstate0": "zfs:vm-8000-disk-2,version=v2.0",
        "ide0": "none,media=cdrom", "ide2": "isos:vm-8000-cloudinit,media=cdrom", "sata0": "/dev/sdb",
        "sata1": "cdrom,media=cdrom", "unused0": "old:vm-8000-disk-9", "tags": "a, b;c", "digest": "x",
    })));
    assert_eq!(
        config.storages.iter().map(String::as_str).collect::<Vec<_>>(),
        ["ceph", "local", "local-lvm", "zfs"]
    );
    assert_eq!(config.media_storages.iter().map(String::as_str).collect::<Vec<_>>(), ["isos"]);
    assert_eq!(config.memory_bytes, 4 << 30);
    assert!(config.template && config.agent);
    assert_eq!(config.tags, ["a", "b", "c"]);
}

#[test]
fn memory_and_agent_come_in_several_forms() {
    let memory = |value: Value| VmConfig::read(&fields(json!({ "memory": value }))).memory_bytes >> 20;
    assert_eq!(
        [memory(json!(2048)), memory(json!("2048")), memory(json!("current=8192"))],
        [2048, 2048, 8192]
    );
    assert_eq!(VmConfig::read(&Fields::default()).memory_bytes >> 20, 512);
    let agent = |value: Value| VmConfig::read(&fields(json!({ "agent": value }))).agent;
    for (value, enabled) in [
        (json!("1"), true),
        (json!(1), true),
        (json!("1,type=virtio"), true),
        (json!("type=virtio,enabled=1"), true),
        (json!("enabled=0"), false),
        (json!("0"), false),
        (json!("0,fstrim_cloned_disks=1"), false),
        (json!("fstrim_cloned_disks=1"), false),
        (json!(null), false),
    ] {
        assert_eq!(agent(value.clone()), enabled, "{value}");
    }
    assert!(!VmConfig::read(&Fields::default()).agent);
}

#[test]
fn a_task_ends_well_with_warnings_too() {
    let state = |value: Value| TaskState::read(&fields(value));
    assert_eq!(state(json!({"status": "running", "pid": 1})), TaskState::Running);
    assert_eq!(state(json!({"status": "stopped", "exitstatus": "OK"})), TaskState::Done);
    assert_eq!(state(json!({"status": "stopped", "exitstatus": "WARNINGS: 2"})), TaskState::Done);
    let TaskState::Failed(error) = state(json!({"status": "stopped", "exitstatus": "VM is locked (backup)"}))
    else {
        panic!("not failed")
    };
    assert_eq!(error.kind, Kind::Locked { lock: "backup".into() });
    let TaskState::Failed(error) = state(json!({"status": "stopped"})) else { panic!("not failed") };
    assert_eq!(error.kind, Kind::Lost { timed_out: false });
}

#[test]
fn a_upid_names_its_node() {
    let text = "UPID:pve-1:0003C6F8:0123ABCDE:6541F2A1:qmclone:8000:mayfly@pve!mayfly:";
    let upid: Upid = text.parse().unwrap();
    assert_eq!((upid.node(), upid.to_string().as_str()), ("pve-1", text));
    let long = |length: usize| format!("{}{}@pve:", &text[..text.len() - 18], "m".repeat(length));
    assert!(long(400).parse::<Upid>().is_ok(), "{}", long(400));
    let too_long = long(600);
    for wrong in [
        "",
        too_long.as_str(),
        "UPID:pve1",
        "OK",
        "UPID::0003C6F8:0123ABCD:6541F2A1:qmclone:8000:mayfly@pve:",
        "UPID:../x:0003C6F8:0123ABCD:6541F2A1:qmclone:8000:mayfly@pve:",
        "UPID:pve1:0003C6F8:0123ABCD:6541F2A1:qmclone:8000:mayfly@pve",
        "UPID:pve1:0003C6F8:0123ABCD:6541F2A1:qmclone:8000:may fly@pve:",
        "UPID:pve1:0003C6F8:0123ABCD:6541F2A1:qmclone:8000:mayfly@pve/../..:",
        "UPID:pve1:XXXXXXXX:0123ABCD:6541F2A1:qmclone:8000:mayfly@pve:",
        "UPID:pve1:0003C6F8:0123ABCD:6541F2A1:qmclone:8000:mayfly@pve::",
    ] {
        assert!(wrong.parse::<Upid>().is_err(), "{wrong}");
    }
}
