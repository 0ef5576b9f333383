//! Names and numbers, each a type of its own.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is wrong with a name: the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not {rule}")]
pub struct InvalidName {
    /// What was given.
    pub value: String,
    /// What would be right.
    pub rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $rule:expr, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes the name when it follows the rule.
            pub fn new(value: impl Into<String>) -> Result<Self, InvalidName> {
                let value = value.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&value) { Ok(Self(value)) } else { Err(InvalidName { value, rule: $rule }) }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(value: String) -> Result<Self, InvalidName> {
                Self::new(value)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

fn lower_alnum(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// `first` once, then up to `most` of `rest`.
fn shaped(value: &str, first: fn(u8) -> bool, rest: fn(u8) -> bool, most: usize) -> bool {
    let bytes = value.as_bytes();
    bytes.first().is_some_and(|byte| first(*byte))
        && bytes.len() <= most
        && bytes.iter().all(|byte| rest(*byte))
}

/// With a pool's name and the rest, 54 characters of the 63 that a GCP instance's name may have.
const DEPLOYMENT_LONGEST: usize = 15;
/// The other part of the same sum.
const POOL_LONGEST: usize = 20;
/// It stands in the keys of the table and in lines of logs.
const PROVIDER_LONGEST: usize = 40;
/// GitHub's own limit of a repository's name; logins and slugs are shorter.
const ACCOUNT_LONGEST: usize = 100;
/// GCP's own limit of a resource's name; the longest zone has 25 characters.
const ZONE_LONGEST: usize = 63;

name!(
    /// The name of one Mayfly deployment, stamped on every VM, so that two deployments never touch each other's.
    Deployment,
    "a deployment name: a lower-case letter, then up to 14 lower-case letters or digits, no hyphen",
    |value| shaped(value, |byte| byte.is_ascii_lowercase(), lower_alnum, DEPLOYMENT_LONGEST)
);
name!(
    /// The name of a pool.
    PoolName,
    "a pool name: a lower-case letter, then up to 19 lower-case letters, digits or hyphens",
    |value| {
        let fine = |byte: u8| lower_alnum(byte) || byte == b'-';
        shaped(value, |byte| byte.is_ascii_lowercase(), fine, POOL_LONGEST)
    }
);
name!(
    /// The user's own name for a provider, the key of its table in the configuration.
    ProviderName,
    "a provider name: letters, digits, `-` or `_`, at most 40",
    |value| {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        shaped(value, fine, fine, PROVIDER_LONGEST)
    }
);
name!(
    /// A GCP zone such as `us-east1-c`; its region is what stands before the last hyphen.
    Zone,
    "a GCP zone, such as `us-east1-c`",
    |value| {
        let parts: Vec<&str> = value.split('-').collect();
        value.len() <= ZONE_LONGEST && matches!(parts.as_slice(), [area, place, letter]
            if area.bytes().all(|byte| byte.is_ascii_lowercase()) && !area.is_empty()
                && place.bytes().all(lower_alnum)
                && place.bytes().last().is_some_and(|byte| byte.is_ascii_digit())
                && place.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
                && letter.len() == 1 && letter.bytes().all(|byte| byte.is_ascii_lowercase()))
    }
);
name!(
    /// A repository as `owner/name` (`repository.full_name` in GitHub's payloads).
    Repository,
    "a repository as `owner/name`",
    |value| {
        let fine = |part: &str| {
            !part.is_empty()
                && part.len() <= ACCOUNT_LONGEST
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        value.split_once('/').is_some_and(|(owner, name)| fine(owner) && fine(name))
    }
);
name!(
    /// The login of an organization, or the slug of an enterprise.
    Account,
    "an account name: letters, digits, hyphens or underscores, at most 100",
    |value| {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        shaped(value, fine, fine, ACCOUNT_LONGEST)
    }
);
name!(
    /// A commit's SHA (`head_sha`): 40 hexadecimal digits, or 64.
    Commit,
    "a commit's SHA",
    |value| {
        matches!(value.len(), 40 | 64)
            && value.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
    }
);

number!(
    /// A job's id (`workflow_job.id`), unique for each attempt of a job.
    JobId, u64);
number!(
    /// A self-hosted runner's id at GitHub.
    RunnerId, u64);
number!(
    /// A GitHub App's installation (`installation.id`).
    InstallationId, u64);
number!(
    /// A workflow run's id (`workflow_job.run_id`).
    RunId, u64);
number!(
    /// A check run's id at GitHub.
    CheckRunId, u64);
number!(
    /// The place of a slot in its pool: 0 … `max_runners` − 1.
    SlotIndex, u16);

impl Zone {
    /// The region the zone is in (`us-east1` for `us-east1-c`).
    pub fn region(&self) -> &str {
        self.0.rsplit_once('-').map_or(self.0.as_str(), |(region, _)| region)
    }
}

impl Repository {
    /// The owner's login.
    pub fn owner(&self) -> &str {
        self.0.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// The name without its owner.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }
}

/// The name of one runner and of its VM: `<deployment>-<pool>-<slot>-<nonce>`.
///
/// It says the slot, so that an event which names the runner finds its record with one read; the nonce makes it
/// unique for ever. At most 54 characters, valid as a GCP instance name, a Proxmox VM name and a GitHub
/// runner name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunnerName {
    text: String,
    pool: PoolName,
    slot: SlotIndex,
}

/// The length of a runner name's nonce: 12 of 32 signs, 60 bits.
const NONCE_LENGTH: usize = 12;
const NONCE_SIGNS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Half of the nonce is the second in which the name was made, counted from the beginning of 2024: until 2058.
const NONCE_TIME_BITS: u32 = 30;
const NONCE_EPOCH: i64 = 1_704_067_200;

/// A nonce for a name made now. It says when, since GitHub says of no registration how old it is; 30 random bits make it
/// unique among the names of one slot and second.
pub fn nonce(now: Timestamp, random: u64) -> u64 {
    let half = (1 << NONCE_TIME_BITS) - 1;
    let seconds = u64::try_from(now.as_second() - NONCE_EPOCH).unwrap_or(0);
    ((seconds & half) << NONCE_TIME_BITS) | (random & half)
}

impl RunnerName {
    /// A new name for a slot; see [`nonce`], which must never be used twice.
    pub fn new(deployment: &Deployment, pool: &PoolName, slot: SlotIndex, nonce: u64) -> Self {
        // Five bits a sign, and as many signs as these can say.
        let sign = |place| {
            let bits = usize::try_from((nonce >> (5 * place)) & 31).unwrap_or_default();
            NONCE_SIGNS.get(bits).copied().map_or('0', char::from)
        };
        let nonce: String = (0..NONCE_LENGTH).map(sign).collect();
        let text = format!("{deployment}-{pool}-{:04}-{nonce}", slot.0);
        Self { text, pool: pool.clone(), slot }
    }

    /// Reads a name back; `None` when it is not one of this deployment's.
    pub fn parse(deployment: &Deployment, text: &str) -> Option<Self> {
        let rest = text.strip_prefix(deployment.as_str())?.strip_prefix('-')?;
        let (rest, nonce) = rest.rsplit_once('-')?;
        let (pool, slot) = rest.rsplit_once('-')?;
        let canonical = slot.len() >= 4 && (slot.len() == 4 || !slot.starts_with('0'));
        if !canonical || nonce.len() != NONCE_LENGTH || !nonce.bytes().all(lower_alnum) {
            return None;
        }
        let slot = SlotIndex(slot.bytes().all(|byte| byte.is_ascii_digit()).then(|| slot.parse().ok())??);
        Some(Self { text: text.to_owned(), pool: PoolName::new(pool).ok()?, slot })
    }

    /// The pool whose slot this runner takes.
    pub fn pool(&self) -> &PoolName {
        &self.pool
    }

    /// The slot.
    pub fn slot(&self) -> SlotIndex {
        self.slot
    }

    /// When the name was made, to the second; `None` when its nonce is not one of [`nonce`]'s.
    pub fn made_at(&self) -> Option<Timestamp> {
        let (_, text) = self.text.rsplit_once('-')?;
        let mut nonce = 0;
        for sign in text.bytes().rev() {
            let value = NONCE_SIGNS.iter().position(|known| *known == sign)?;
            nonce = nonce << 5 | i64::try_from(value).ok()?;
        }
        Timestamp::from_second(NONCE_EPOCH + (nonce >> NONCE_TIME_BITS)).ok()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for RunnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for RunnerName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_outside_their_rule_are_refused() {
        for wrong in ["", "Prod", "my-prod", "1prod", "averyveryverylong"] {
            assert!(Deployment::new(wrong).is_err(), "{wrong}");
        }
        let long = |letter: &str, length: usize| letter.repeat(length);
        for (length, fits) in [(15, true), (16, false)] {
            assert_eq!(Deployment::new(long("d", length)).is_ok(), fits);
        }
        for (length, fits) in [(20, true), (21, false)] {
            assert_eq!(PoolName::new(long("p", length)).is_ok(), fits);
        }
        for (length, fits) in [(40, true), (41, false)] {
            assert_eq!(ProviderName::new(long("p", length)).is_ok(), fits);
        }
        for (length, fits) in [(100, true), (101, false)] {
            assert_eq!(Account::new(long("a", length)).is_ok(), fits);
            assert_eq!(Repository::new(format!("{}/r", long("a", length))).is_ok(), fits);
            assert_eq!(Repository::new(format!("a/{}", long("r", length))).is_ok(), fits);
        }
        for (length, fits) in [(63, true), (64, false)] {
            assert_eq!(Zone::new(format!("{}-east1-c", long("u", length - 8))).is_ok(), fits);
        }
        for wrong in ["us-east1", "us-east1-c-d", "US-east1-c", "us-east-c", "us-east1-", "us-east1-cc"] {
            assert!(Zone::new(wrong).is_err(), "{wrong}");
        }
        for wrong in ["slang", "a/b/c", "/b", "a/", "a b/c"] {
            assert!(Repository::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_zone_knows_its_region() {
        assert_eq!(Zone::new("northamerica-northeast1-a").unwrap().region(), "northamerica-northeast1");
    }

    #[test]
    fn a_foreign_name_is_nobodys_slot() {
        let deployment = Deployment::new("prod").unwrap();
        for foreign in [
            "",
            "prod",
            "runner-1",
            "prod-linux-gpu-7-abcdefghijkm",
            "prod-linux-gpu-0007-short",
            "prod-linux-gpu-00007-abcdefghijkm",
            "prod-linux-gpu-99999-abcdefghijkm",
            "prod-linux-gpu-+007-abcdefghijkm",
            "staging-linux-gpu-0007-abcdefghijkm",
            "prod2-linux-gpu-0007-abcdefghijkm",
        ] {
            assert_eq!(RunnerName::parse(&deployment, foreign), None, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn a_runner_name_says_its_slot_and_is_valid_everywhere(
            deployment in "[a-z][a-z0-9]{0,14}", pool in "[a-z][a-z0-9-]{0,19}", slot: u16, random: u64,
        ) {
            let deployment = Deployment::new(deployment).unwrap();
            let pool = PoolName::new(pool).unwrap();
            let name = RunnerName::new(&deployment, &pool, SlotIndex(slot), random);
            prop_assert_eq!(RunnerName::parse(&deployment, name.as_str()), Some(name.clone()));
            prop_assert!(name.as_str().len() <= 63);
            let tail = name.as_str().as_bytes();
            prop_assert!(tail.iter().all(|byte| lower_alnum(*byte) || *byte == b'-'));
            prop_assert!(tail.last().copied().is_some_and(lower_alnum));
        }

        #[test]
        fn a_runner_name_says_when_it_was_made(second in 1_704_067_200i64..2_700_000_000, random: u64) {
            let now = Timestamp::from_second(second).unwrap();
            let (deployment, pool) = (Deployment::new("prod").unwrap(), PoolName::new("linux").unwrap());
            let name = RunnerName::new(&deployment, &pool, SlotIndex(3), nonce(now, random));
            prop_assert_eq!(name.made_at(), Some(now));
        }
    }
}
