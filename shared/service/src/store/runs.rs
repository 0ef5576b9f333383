//! What GitHub said of workflow runs: written by whoever asked, so that the other jobs of a run, which other processes see to, ask no more.

use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::audience::{Head, Run, Visibility};
use mayfly_core::ids::RunId;
use mayfly_core::slot::{earlier, later};

use super::item::{Item, Reader, expiry, moment, number, run_key, short, text};
use super::write::{Write, Written};
use super::{COST, Ledger, StoreError, unavailable};

/// Whoever is to ask GitHub has answered by then, or has died.
const ASKING: Duration = Duration::from_secs(10);
/// So long it counts: GitHub gives up a job that has waited for a day, and who sees a repository may change.
const KEPT: Duration = Duration::from_secs(24 * 3600);

impl Ledger {
    /// What GitHub said of a run today. Half a read unit.
    pub async fn run(&self, run: RunId, now: Timestamp) -> Result<Option<Run>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(run_key(run)));
        let sent = self.send_get(request.return_consumed_capacity(COST)).await;
        let answer = sent.map_err(unavailable("reading what is known of a run"))?;
        answer.item.map_or(Ok(None), |item| Reader::new(&item).run(now))
    }

    /// Notes that GitHub is about to be asked for a run of which nothing is known; `false` where somebody else is at it, or has been. One
    /// write unit.
    pub async fn run_asked(&self, run: RunId, now: Timestamp) -> Result<bool, StoreError> {
        let condition = "attribute_not_exists(pk) OR expires_at <= :today OR \
                         (attribute_not_exists(head) AND asked_at < :dead)";
        let write = Write::update(
            run_key(run),
            "SET asked_at = :now, expires_at = :expires_at REMOVE head, visibility, fork",
            condition,
        )
        .value(":now", moment(now))
        .value(":today", number(now.as_second()))
        .value(":dead", moment(earlier(now, ASKING)))
        .value(":expires_at", expiry(later(now, KEPT)));
        Ok(matches!(self.write(write, "noting that a run is asked for").await?, Written::Before(_)))
    }

    /// Remembers what GitHub said of a run. One write unit.
    pub async fn run_seen(&self, id: RunId, run: &Run, now: Timestamp) -> Result<(), StoreError> {
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item(id, run, now)));
        let sent = self.send_put(request.return_consumed_capacity(COST)).await;
        sent.map(|_| ()).map_err(unavailable("remembering what is known of a run"))
    }
}

fn item(id: RunId, run: &Run, now: Timestamp) -> Item {
    let mut item = run_key(id);
    item.insert("expires_at".to_owned(), expiry(later(now, KEPT)));
    if let Some(visibility) = run.visibility {
        item.insert("visibility".to_owned(), text(visibility.as_str()));
    }
    let (head, fork) = match &run.head {
        Head::Own => ("own", None),
        Head::Fork(name) => ("fork", Some(name)),
        Head::Gone => ("gone", None),
    };
    item.insert("head".to_owned(), text(head));
    if let Some(fork) = fork {
        item.insert("fork".to_owned(), short(fork));
    }
    item
}

impl Reader<'_> {
    fn run(&self, now: Timestamp) -> Result<Option<Run>, StoreError> {
        // The table deletes what is over some hours later only.
        let expires_at = self.maybe_number::<i64>("expires_at")?.unwrap_or_default();
        if expires_at <= now.as_second() {
            return Ok(None);
        }
        let visibility = self.maybe_text("visibility")?.and_then(|text| Visibility::of(Some(text), None));
        let head = match self.maybe_text("head")? {
            // It is being asked for.
            None => return Ok(None),
            Some("own") => Head::Own,
            Some("fork") => Head::Fork(self.maybe_text("fork")?.unwrap_or_default().to_owned()),
            Some("gone") => Head::Gone,
            Some(_) => return Err(self.corrupt("head is none of own, fork and gone")),
        };
        Ok(Some(Run { visibility, head }))
    }
}
