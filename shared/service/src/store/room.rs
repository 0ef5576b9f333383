//! What invocations have claimed of a cluster's hosts ([`mayfly_core::room`]): one item for each provider, which is
//! replaced as a whole by whoever read it last.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use mayfly_core::ids::ProviderName;
use mayfly_core::room::{Claim, Own};

use super::item::{Item, Reader, number, room_key, text};
use super::write::{Write, Written};
use super::{Ledger, StoreError};

/// The claims on a cluster, as they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Room {
    /// By the name of the VM that each is for.
    pub claims: BTreeMap<String, Claim>,
    /// What each host was seen to use for itself.
    pub own: BTreeMap<String, Own>,
    /// Which writing of them this is; 0 where there was none.
    version: u64,
}

impl Room {
    /// A claim that cannot be read is as good as not there: what it stood for shows in the cluster.
    fn read(item: &Item) -> Result<Self, StoreError> {
        let reader = Reader::new(item);
        let version = reader.maybe_number("version")?.unwrap_or(0);
        let read = |(name, value): &(&String, &str)| {
            let claim = read_claim(value);
            if claim.is_none() {
                tracing::error!(
                    runner = name,
                    "a VM's claim on its cluster's room cannot be read, and is left out"
                );
            }
            Some(((*name).clone(), claim?))
        };
        let claims = texts(item, "claims").iter().filter_map(read).collect();
        let own =
            texts(item, "own").into_iter().filter_map(|(host, value)| Some((host.clone(), read_own(value)?)));
        Ok(Self { version, claims, own: own.collect() })
    }
}

/// The texts of a map; nothing where there is none.
fn texts<'a>(item: &'a Item, name: &str) -> Vec<(&'a String, &'a str)> {
    let map = item.get(name).and_then(|value| value.as_m().ok());
    let text = |(name, value): (&'a String, &'a AttributeValue)| Some((name, value.as_s().ok()?.as_str()));
    let sorted: BTreeMap<&String, &AttributeValue> = map.into_iter().flatten().collect();
    sorted.into_iter().filter_map(text).collect()
}

fn own_text(own: Own) -> String {
    format!("{} {}", own.at.as_millisecond(), own.bytes)
}

fn read_own(text: &str) -> Option<Own> {
    let (at, bytes) = text.split_once(' ')?;
    Some(Own { at: Timestamp::from_millisecond(at.parse().ok()?).ok()?, bytes: bytes.parse().ok()? })
}

/// In one short text, since an item of 1 KB is what one write unit pays for.
fn claim_text(claim: &Claim) -> String {
    let Claim { at, vmid, host, memory, storages } = claim;
    let storages: Vec<&str> = storages.iter().map(String::as_str).collect();
    format!("{} {vmid} {host} {memory} {}", at.as_millisecond(), storages.join(","))
}

fn read_claim(text: &str) -> Option<Claim> {
    let mut parts = text.split(' ');
    let mut part = || parts.next();
    let at = Timestamp::from_millisecond(part()?.parse().ok()?).ok()?;
    let (vmid, host) = (part()?.parse().ok()?, part()?.to_owned());
    let memory = part()?.parse().ok()?;
    let storages: BTreeSet<String> =
        part()?.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    Some(Claim { at, vmid, host, memory, storages })
}

impl Ledger {
    /// What is claimed of a cluster.
    pub async fn room(&self, provider: &ProviderName) -> Result<Room, StoreError> {
        let item = self.get(room_key(provider), "reading the claims on a cluster").await?;
        Room::read(&item.unwrap_or_default())
    }

    /// Replaces the claims on a cluster, where nobody else has since `before` was read; how they are now, and whether they
    /// were replaced.
    pub async fn claim_room(
        &self,
        provider: &ProviderName,
        before: &Room,
        claims: BTreeMap<String, Claim>,
        own: BTreeMap<String, Own>,
    ) -> Result<(Room, bool), StoreError> {
        let condition = if before.version == 0 { "attribute_not_exists(pk)" } else { "version = :before" };
        let version = before.version.saturating_add(1);
        let map = claims.iter().map(|(name, claim)| (name.clone(), text(claim_text(claim)))).collect();
        let hosts = own.iter().map(|(host, own)| (host.clone(), text(own_text(*own)))).collect();
        let update = "SET claims = :claims, own = :own, version = :version";
        let write = Write::update(room_key(provider), update, condition)
            .value(":claims", AttributeValue::M(map))
            .value(":own", AttributeValue::M(hosts))
            .value(":version", number(version));
        let write = if before.version == 0 { write } else { write.value(":before", number(before.version)) };
        Ok(match self.write(write, "claiming a cluster's room").await? {
            Written::Before(_) => (Room { claims, own, version }, true),
            Written::Refused(item) => (Room::read(&item)?, false),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_read_back_as_it_was_written() {
        let at = Timestamp::from_millisecond(1_800_000_000_123).unwrap();
        for storages in [vec![], vec!["ceph"], vec!["ceph", "local-lvm"]] {
            let storages = storages.into_iter().map(str::to_owned).collect();
            let claim = Claim { at, vmid: 9001, host: "pve1".into(), memory: 8 << 30, storages };
            assert_eq!(read_claim(&claim_text(&claim)), Some(claim));
        }
        let own = Own { at, bytes: 4 << 30 };
        assert_eq!((read_own(&own_text(own)), read_own("4")), (Some(own), None));
        for wrong in ["", "1 2", "x 9001 pve1 5 ", "1 9001 pve1"] {
            assert_eq!(read_claim(wrong), None, "{wrong}");
        }
    }
}
