//! What Compute Engine's requests may hold: the fields of the published `Instance`, and no others.

use crate::world::shape::Shape::{self, Any, Bool, Int, Int64, List, Map, Object, OneOf, Text};

const DURATION: Shape = Object(&[], &[("seconds", Int64), ("nanos", Int)]);

const METADATA_ITEM: Shape = Object(&["key"], &[("key", Text), ("value", Text)]);

const METADATA_FIELD: Shape =
    Object(&[], &[("fingerprint", Text), ("items", List(&METADATA_ITEM)), ("kind", Text)]);

/// `Metadata`, for `setMetadata`.
pub(crate) static METADATA: Shape = METADATA_FIELD;

/// `InstancesSetLabelsRequest`.
pub(crate) static SET_LABELS: Shape =
    Object(&["labels"], &[("labelFingerprint", Text), ("labels", Map(&Text))]);

/// `TestPermissionsRequest`.
pub(crate) static PERMISSIONS: Shape = Object(&["permissions"], &[("permissions", List(&Text))]);

const SCHEDULING: Shape = Object(
    &[],
    &[
        ("automaticRestart", Bool),
        ("availabilityDomain", Int),
        ("exposeHostTopology", Bool),
        ("gracefulShutdown", Any),
        ("hostErrorTimeoutSeconds", Int),
        ("instanceTerminationAction", OneOf(&["DELETE", "STOP", "INSTANCE_TERMINATION_ACTION_UNSPECIFIED"])),
        ("localSsdRecoveryTimeout", DURATION),
        ("locationHint", Text),
        ("maxRunDuration", DURATION),
        ("minNodeCpus", Int),
        ("nodeAffinities", List(&Any)),
        ("onHostMaintenance", OneOf(&["MIGRATE", "TERMINATE"])),
        ("onInstanceStopAction", Any),
        ("preemptible", Bool),
        ("preemptionNoticeDuration", DURATION),
        ("protectionTier", Text),
        ("provisioningModel", OneOf(&["FLEX_START", "RESERVATION_BOUND", "SPOT", "STANDARD"])),
        ("skipGuestOsShutdown", Bool),
        ("terminationTime", Text),
    ],
);

const INITIALIZE: Shape = Object(
    &[],
    &[
        ("architecture", Text),
        ("description", Text),
        ("diskName", Text),
        ("diskSizeGb", Int64),
        ("diskType", Text),
        ("enableConfidentialCompute", Bool),
        ("labels", Map(&Text)),
        ("licenses", List(&Text)),
        ("onUpdateAction", Text),
        ("provisionedIops", Int64),
        ("provisionedThroughput", Int64),
        ("replicaZones", List(&Text)),
        ("resourceManagerTags", Map(&Text)),
        ("resourcePolicies", List(&Text)),
        ("sourceImage", Text),
        ("sourceImageEncryptionKey", Any),
        ("sourceSnapshot", Text),
        ("sourceSnapshotEncryptionKey", Any),
        ("storagePool", Text),
    ],
);

const DISK: Shape = Object(
    &[],
    &[
        ("architecture", Text),
        ("autoDelete", Bool),
        ("boot", Bool),
        ("deviceName", Text),
        ("diskEncryptionKey", Any),
        ("diskSizeGb", Int64),
        ("forceAttach", Bool),
        ("guestOsFeatures", List(&Any)),
        ("index", Int),
        ("initializeParams", INITIALIZE),
        ("interface", Text),
        ("kind", Text),
        ("licenses", List(&Text)),
        ("mode", OneOf(&["READ_ONLY", "READ_WRITE"])),
        ("savedState", Text),
        ("shieldedInstanceInitialState", Any),
        ("source", Text),
        ("type", OneOf(&["PERSISTENT", "SCRATCH"])),
    ],
);

const INTERFACE: Shape = Object(
    &[],
    &[
        ("accessConfigs", List(&Any)),
        ("aliasIpRanges", List(&Any)),
        ("aliasIpv6Ranges", List(&Any)),
        ("enableVpcScopedDns", Bool),
        ("fingerprint", Text),
        ("igmpQuery", Text),
        ("internalIpv6PrefixLength", Int),
        ("ipv6AccessConfigs", List(&Any)),
        ("ipv6AccessType", Text),
        ("ipv6Address", Text),
        ("kind", Text),
        ("name", Text),
        ("network", Text),
        ("networkAttachment", Text),
        ("networkIP", Text),
        ("nicType", Text),
        ("parentNicName", Text),
        ("queueCount", Int),
        ("serviceClassId", Text),
        ("stackType", Text),
        ("subnetwork", Text),
        ("vlan", Int),
    ],
);

const ACCELERATOR: Shape = Object(&[], &[("acceleratorCount", Int), ("acceleratorType", Text)]);
const SERVICE_ACCOUNT: Shape = Object(&[], &[("email", Text), ("scopes", List(&Text))]);
const TAGS: Shape = Object(&[], &[("fingerprint", Text), ("items", List(&Text))]);

/// `Instance`, for `insert`.
pub(crate) static INSTANCE: Shape = Object(
    &["name"],
    &[
        ("advancedMachineFeatures", Any),
        ("canIpForward", Bool),
        ("confidentialInstanceConfig", Any),
        ("cpuPlatform", Text),
        ("creationTimestamp", Text),
        ("deletionProtection", Bool),
        ("description", Text),
        ("disks", List(&DISK)),
        ("displayDevice", Any),
        ("fingerprint", Text),
        ("guestAccelerators", List(&ACCELERATOR)),
        ("hostname", Text),
        ("id", Int64),
        ("instanceEncryptionKey", Any),
        ("keyRevocationActionType", Text),
        ("kind", Text),
        ("labelFingerprint", Text),
        ("labels", Map(&Text)),
        ("lastStartTimestamp", Text),
        ("lastStopTimestamp", Text),
        ("lastSuspendedTimestamp", Text),
        ("localSsdEncryptionMode", Text),
        ("machineType", Text),
        ("metadata", METADATA_FIELD),
        ("minCpuPlatform", Text),
        ("name", Text),
        ("networkInterfaces", List(&INTERFACE)),
        ("networkPerformanceConfig", Any),
        ("params", Any),
        ("privateIpv6GoogleAccess", Text),
        ("reservationAffinity", Any),
        ("resourcePolicies", List(&Text)),
        ("resourceStatus", Any),
        ("satisfiesPzi", Bool),
        ("satisfiesPzs", Bool),
        ("scheduling", SCHEDULING),
        ("selfLink", Text),
        ("serviceAccounts", List(&SERVICE_ACCOUNT)),
        ("shieldedInstanceConfig", Any),
        ("shieldedInstanceIntegrityPolicy", Any),
        ("sourceMachineImage", Text),
        ("sourceMachineImageEncryptionKey", Any),
        ("startRestricted", Bool),
        ("status", Text),
        ("statusMessage", Text),
        ("tags", TAGS),
        ("workloadIdentityConfig", Any),
        ("zone", Text),
    ],
);
