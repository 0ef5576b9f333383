//! Registered runners: deleted, looked up, and listed in full.

use std::collections::BTreeMap;

use mayfly_core::brief::brief;
use mayfly_core::ids::{InstallationId, RunnerId};
use mayfly_core::policy::Scope;
use mayfly_core::sweep::SeenRunner;
use serde::Deserialize;
use tokio::time::Instant;

use super::http::{Call, NOT_FOUND, Said, Status};
use super::refusal::refused;
use super::{GitHub, GitHubError, NAME_LONGEST, PAGE, Permission};

/// A list of runners is read up to this many pages: ten thousand runners, as many as a runner group takes.
const PAGES_MOST: usize = 100;
/// A list that changes while it is read is read at most so often.
const READS_MOST: usize = 3;
const REMOVING: &str = "deleting a runner";
const LISTING: &str = "listing the runners";

/// What became of a registration that was to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is gone, now or already.
    Gone,
    /// The runner is busy, and GitHub keeps it (422).
    Busy,
}

#[derive(Deserialize)]
struct RunnersAnswer {
    total_count: usize,
    runners: Vec<RunnerAnswer>,
}

#[derive(Deserialize)]
struct RunnerAnswer {
    id: u64,
    name: String,
    status: String,
    busy: bool,
}

impl From<RunnerAnswer> for SeenRunner {
    fn from(answer: RunnerAnswer) -> Self {
        let RunnerAnswer { id, name, status, busy } = answer;
        // One that is cut short has a sign that no runner's name has: it is still a stranger's.
        Self { id: RunnerId(id), name: brief(&name, NAME_LONGEST), online: status == "online", busy }
    }
}

impl GitHub {
    /// Deletes a registration. GitHub refuses when the runner is busy, so no busy runner can be lost by it.
    pub async fn remove(
        &self,
        scope: &Scope,
        runner: RunnerId,
        installation: Option<InstallationId>,
        deadline: Instant,
    ) -> Result<Removal, GitHubError> {
        let path = format!("/{scope}/actions/runners/{runner}");
        let call = Call::delete(REMOVING, &path);
        match self.send(scope, installation, call, deadline).await? {
            Status::Ok(_) => Ok(Removal::Gone),
            Status::Said(said @ Said { status: NOT_FOUND, .. }) => {
                // Also what it answers to those who must not see the runner; only who sees the others knows it is gone.
                let path = format!("/{scope}/actions/runners");
                let list = Call::get(REMOVING, &path).query("per_page", 1);
                match self.send(scope, installation, list, deadline).await? {
                    Status::Ok(_) => Ok(Removal::Gone),
                    Status::Said(_) => Err(refused(REMOVING, scope, Permission::Runners, said)),
                }
            }
            Status::Said(_) => Ok(Removal::Busy),
        }
    }

    /// Deletes the registration of that name, if there is one.
    pub async fn remove_by_name(
        &self,
        scope: &Scope,
        name: &str,
        installation: Option<InstallationId>,
        deadline: Instant,
    ) -> Result<Removal, GitHubError> {
        match self.find(scope, name, installation, deadline).await? {
            Some(runner) => self.remove(scope, runner.id, installation, deadline).await,
            None => Ok(Removal::Gone),
        }
    }

    /// The runner of that name, if one is registered.
    pub async fn find(
        &self,
        scope: &Scope,
        name: &str,
        installation: Option<InstallationId>,
        deadline: Instant,
    ) -> Result<Option<SeenRunner>, GitHubError> {
        const DOING: &str = "looking a runner up";
        let path = format!("/{scope}/actions/runners");
        let call = Call::get(DOING, &path).query("name", name).query("per_page", PAGE);
        let answer: RunnersAnswer = self.answer(scope, installation, call, deadline).await?.read(DOING)?;
        let same = answer.runners.into_iter().find(|found| found.name == name);
        Ok(same.map(SeenRunner::from))
    }

    /// All runners of a scope: each that was registered when the reading began and still is when it ends, and maybe
    /// some that came or went meanwhile. Whole or unknown: where the pages do not show that none was missed, the list
    /// is read again, and in the end `Unavailable`. So it is beyond ten thousand runners. One call up to a hundred
    /// runners; above, one for each hundred and one more.
    pub async fn runners(&self, scope: &Scope, deadline: Instant) -> Result<Vec<SeenRunner>, GitHubError> {
        for _ in 0..READS_MOST {
            if let Some(runners) = whole(&self.runner_pages(scope, deadline).await?) {
                return Ok(runners);
            }
            tracing::debug!(?scope, "the list of runners changed while it was read");
        }
        let why = "the list changed while it was read".to_owned();
        Err(GitHubError::Unavailable { doing: LISTING, why })
    }

    /// The pages in the order in which they were read: the first, which says how many there are, then from the last one to the
    /// first again. A runner that goes moves those behind it to the front, where they are then seen twice; read from the
    /// front they would be missed.
    async fn runner_pages(&self, scope: &Scope, deadline: Instant) -> Result<Vec<Page>, GitHubError> {
        let first = self.runner_page(scope, 1, deadline).await?;
        let last = first.total.div_ceil(PAGE);
        if last > PAGES_MOST {
            let why = format!("{} runners are more than can be listed", first.total);
            return Err(GitHubError::Unavailable { doing: LISTING, why });
        }
        let mut pages = vec![first];
        if last > 1 {
            for number in (1..=last).rev() {
                pages.push(self.runner_page(scope, number, deadline).await?);
            }
        }
        Ok(pages)
    }

    async fn runner_page(
        &self,
        scope: &Scope,
        number: usize,
        deadline: Instant,
    ) -> Result<Page, GitHubError> {
        let path = format!("/{scope}/actions/runners");
        let call = Call::get(LISTING, &path).query("per_page", PAGE).query("page", number);
        let answer: RunnersAnswer = self.answer(scope, None, call, deadline).await?.read(LISTING)?;
        let runners = answer.runners.into_iter().map(SeenRunner::from).collect();
        Ok(Page { number, total: answer.total_count, runners })
    }
}

/// One page of a list of runners, as it was at one moment.
#[derive(Debug, Clone)]
struct Page {
    number: usize,
    total: usize,
    runners: Vec<SeenRunner>,
}

impl Page {
    fn ids(&self) -> impl Iterator<Item = RunnerId> {
        self.runners.iter().map(|runner| runner.id)
    }

    /// It holds as many as its own count leaves to it.
    fn is_whole(&self) -> bool {
        let before = (self.number - 1) * PAGE;
        self.runners.len() == self.total.saturating_sub(before).min(PAGE)
    }
}

/// The runners of pages read from the last to the first, if none can have been missed. Pure.
///
/// In a list by growing ids new runners come at the end and gone ones move the others to the front, so reading it backwards
/// misses nobody who stays. A list in another order is only taken if nothing in it changed: not the
/// count, and not the first page, where new ones would stand in a list by falling ids.
fn whole(pages: &[Page]) -> Option<Vec<SeenRunner>> {
    let (first, rest) = pages.split_first()?;
    let read = if rest.is_empty() { std::slice::from_ref(first) } else { rest };
    if !read.iter().all(Page::is_whole) {
        return None;
    }
    let found: BTreeMap<RunnerId, SeenRunner> =
        read.iter().flat_map(|page| &page.runners).map(|runner| (runner.id, runner.clone())).collect();
    let starts: Vec<RunnerId> = read.iter().rev().filter_map(|page| page.ids().next()).collect();
    let grows = starts.is_sorted_by(|one, other| one < other)
        && read.iter().all(|page| page.ids().is_sorted_by(|one, other| one < other));
    let still = || {
        let same_count = read.iter().all(|page| page.total == first.total) && found.len() == first.total;
        same_count && read.last().is_some_and(|again| again.ids().eq(first.ids()))
    };
    (grows || still()).then(|| found.into_values().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// What happens to the list between two calls: so many go, from these places, and so many come.
    type Change = (Vec<prop::sample::Index>, usize);

    fn page(list: &[u64], number: usize) -> Page {
        let seen =
            |id: &u64| SeenRunner { id: RunnerId(*id), name: String::new(), online: true, busy: false };
        let runners = list.iter().skip((number - 1) * PAGE).take(PAGE).map(seen).collect();
        Page { number, total: list.len(), runners }
    }

    fn change(list: &mut Vec<u64>, (gone, come): &Change, next: &mut u64, falling: bool) {
        for place in gone {
            if !list.is_empty() {
                list.remove(place.index(list.len()));
            }
        }
        for _ in 0..*come {
            *next += 1;
            list.insert(if falling { 0 } else { list.len() }, *next);
        }
    }

    /// The pages of a list that changes between the calls, and those who were there all the time.
    fn read(size: usize, changes: &[Change], falling: bool) -> (Vec<Page>, BTreeSet<u64>) {
        let mut list: Vec<u64> = (1..=size as u64).collect();
        if falling {
            list.reverse();
        }
        let began: BTreeSet<u64> = list.iter().copied().collect();
        let (mut next, mut changes) = (size as u64, changes.iter());
        let mut pages = vec![page(&list, 1)];
        let last = size.div_ceil(PAGE);
        for number in (1..=last).rev().filter(|_| last > 1) {
            if let Some(now) = changes.next() {
                change(&mut list, now, &mut next, falling);
            }
            pages.push(page(&list, number));
        }
        let stayed = list.into_iter().filter(|id| began.contains(id)).collect();
        (pages, stayed)
    }

    proptest! {
        #[test]
        fn nobody_who_stays_is_missed(
            size in 0usize..450, falling: bool,
            changes in prop::collection::vec(
                (prop::collection::vec(any::<prop::sample::Index>(), 0..4), 0usize..4), 0..6),
        ) {
            let (pages, stayed) = read(size, &changes, falling);
            let found = whole(&pages);
            if let Some(found) = &found {
                let found: BTreeSet<u64> = found.iter().map(|runner| runner.id.0).collect();
                prop_assert!(found.is_superset(&stayed));
            }
            // A list by growing ids may change as it likes; any list may be read that does not.
            let nothing_happens = changes.iter().all(|(gone, come)| gone.is_empty() && *come == 0);
            prop_assert!(found.is_some() || (falling && !nothing_happens));
        }
    }

    #[test]
    fn a_page_that_lacks_some_is_not_taken() {
        let list: Vec<u64> = (1..=150).collect();
        let mut pages = vec![page(&list, 1), page(&list, 2), page(&list, 1)];
        assert!(whole(&pages).is_some());
        pages[1].runners.pop();
        assert!(whole(&pages).is_none());
    }
}
