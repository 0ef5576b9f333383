//! Which node and id a VM gets. Many functions choose at once, and none knows of the others: so the choice is claimed in
//! the table before anything is cloned.

use std::time::Duration;

use mayfly_core::ids::RunnerName;
use mayfly_core::metrics::Reason;
use mayfly_core::room::{Claim, Demand, Found, choose, room, standing, steady};
use tokio::time::Instant;

use super::look::Seen;
use super::{Proxmox, is_past};
use crate::clock;
use crate::provider::{CreateError, PassedOver};
use crate::store::StoreError;

/// A claim that others were quicker with is made again so often, as long as there is time.
const TRIES: usize = 100;
/// The wait before the next try of a claim doubles from here, up to that: with a hundred who choose at once, some fifty
/// claims a second get through.
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_MOST: Duration = Duration::from_millis(640);
/// A claim is given back in so many tries, or ends by itself.
const RELEASES: usize = 24;
/// And in this time, for a VM whose own has run out.
const RELEASE_LEAST: Duration = Duration::from_secs(1);

impl Proxmox {
    /// Chooses a place for the VM of that name, and claims it.
    pub(super) async fn claim(
        &self,
        seen: &Seen,
        demand: &Demand,
        name: &str,
        deadline: Instant,
    ) -> Result<Found, CreateError> {
        let provider = self.provider();
        let waiting = tokio::time::timeout_at(deadline, self.room.lock()).await;
        let mut kept = waiting.map_err(|_| CreateError::Unavailable("no time left".to_owned()))?;
        // What this process remembers may be out of date: that there is no room is said by the table only.
        let (mut known, mut read) = match kept.take() {
            Some(known) => (known, false),
            None => (self.ledger.room(provider).await.map_err(|error| store_error(&error))?, true),
        };
        let mut pause = PAUSE_FIRST;
        for _ in 0..TRIES {
            let now = clock::now();
            let longest = self.uses.step_timeout;
            let (cluster, own) = steady(&seen.cluster, &known.own);
            let mut claims = standing(known.claims.clone(), &cluster, now, longest);
            claims.remove(name);
            let found = choose(&cluster, &claims, demand, crate::random::bits());
            let Found::Place { host, vmid } = &found else {
                if read {
                    *kept = Some(known);
                    return Ok(found);
                }
                known = self.ledger.room(provider).await.map_err(|error| store_error(&error))?;
                read = true;
                continue;
            };
            let (host, vmid, memory) = (host.clone(), *vmid, demand.memory);
            let storages = demand.storages.clone();
            claims.insert(name.to_owned(), Claim { at: now, vmid, host, memory, storages });
            let (now_known, claimed) = self
                .ledger
                .claim_room(provider, &known, claims, own)
                .await
                .map_err(|error| store_error(&error))?;
            known = now_known;
            if claimed {
                *kept = Some(known);
                return Ok(found);
            }
            read = true;
            if is_past(deadline) {
                break;
            }
            tokio::time::sleep(crate::random::jitter(pause)).await;
            pause = (pause * 2).min(PAUSE_MOST);
        }
        *kept = Some(known);
        let why = "too many others were choosing a place at the same time".to_owned();
        let (place, reason) = (provider.to_string(), Reason::Unavailable);
        Err(CreateError::NoRoom(vec![PassedOver { place, why, full: false, reason }]))
    }

    /// Gives back what was claimed for a VM that is not made, or gone. If that fails, the claim ends by itself.
    pub(super) async fn release(&self, name: &str, deadline: Instant) {
        self.give_back(name, deadline, false).await;
    }

    async fn give_back(&self, name: &str, deadline: Instant, by_another: bool) {
        let released = async {
            let mut kept = self.room.lock().await;
            if by_another {
                *kept = None;
            }
            for _ in 0..RELEASES {
                let known = match kept.take() {
                    Some(known) => known,
                    None => self.ledger.room(self.provider()).await?,
                };
                let mut claims = known.claims.clone();
                if claims.remove(name).is_none() {
                    // Perhaps another process has claimed it since this one read them.
                    *kept = Some(known);
                    return Ok(());
                }
                let own = known.own.clone();
                let (now_known, done) = self.ledger.claim_room(self.provider(), &known, claims, own).await?;
                *kept = Some(now_known);
                if done {
                    return Ok(());
                }
            }
            Ok::<(), StoreError>(())
        };
        let end = deadline.max(Instant::now() + RELEASE_LEAST);
        let why = match tokio::time::timeout_at(end, released).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no time left".to_owned(),
        };
        tracing::debug!(runner = name, why, "its claim on the cluster's room ends by itself");
    }

    /// Gives back what was claimed for a VM that is gone, where it was made so lately that its claim may still stand.
    pub(super) async fn release_young(&self, name: &str, deadline: Instant) {
        let runner = RunnerName::parse(&self.uses.deployment, name);
        let Some(made_at) = runner.and_then(|runner| runner.made_at()) else { return };
        // The claim is a little younger than the name.
        if made_at > mayfly_core::slot::earlier(clock::now(), self.uses.step_timeout * 2) {
            // Another process may have claimed it.
            self.give_back(name, deadline, true).await;
        }
    }

    /// For how many more VMs of each demand there is room, going by what the table says is claimed. Keeps what the hosts
    /// use for themselves, for those who choose a place.
    pub(super) async fn rooms_for(&self, seen: &Seen, demands: &[Demand]) -> Result<Vec<u32>, StoreError> {
        let known = self.ledger.room(self.provider()).await?;
        let (cluster, own) = steady(&seen.cluster, &known.own);
        let claims = standing(known.claims.clone(), &cluster, clock::now(), self.uses.step_timeout);
        let rooms = demands.iter().map(|demand| room(&cluster, &claims, demand)).collect();
        if known.own != own {
            // Whoever was quicker keeps it as well.
            self.ledger.claim_room(self.provider(), &known, claims, own).await?;
        }
        Ok(rooms)
    }
}

fn store_error(error: &StoreError) -> CreateError {
    CreateError::Unavailable(error.to_string())
}
