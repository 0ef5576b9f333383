//! Jobs: an upsert for each thing that can happen to one, so that events may come late, twice or not at all.

use jiff::Timestamp;
use mayfly_core::ids::{JobId, SlotIndex};
use mayfly_core::job::{Job, JobState, Moment};
use mayfly_core::slot::later;

use super::item::{Reader, expiry, job_key, moment, number, text, timeline_entry};
use super::write::{Write, Written};
use super::{JOB_LONGEST, Ledger, StoreError};

/// What became of a write to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobWritten {
    /// It was made; this is the job as it was before, if it was known.
    From(Option<Job>),
    /// The job is further already; this is how it is.
    Known(Job),
}

/// How far a job is thought to be that is given a slot, or loses one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Was {
    /// It waits.
    Waiting,
    /// It waits, or counts on this slot.
    WaitingOr(SlotIndex),
}

/// A job that is tried again with every sweep must not grow beyond what an item can hold: from so many lines on each of its tries
/// writes over the last one.
const TRIES_TOLD_MOST: usize = 24;
/// What events tell comes after that. But a copy of an event may be sent without end: from so many lines on each of these
/// writes over the last one, since a record that is full (400 KB) could never be ended.
const LINES_MOST: usize = 40;

impl Ledger {
    /// The job was taken by a runner, is over, or is held for approval; `job` holds what the event knows, the state,
    /// and a line for the timeline. Events come late: an end is never taken back, and a job that is known is not held,
    /// since the event may be older than its approval. At worst a VM waits for a job that is not approved yet, and goes.
    pub async fn job_left(&self, job: &Job) -> Result<JobWritten, StoreError> {
        if job.state == JobState::Held {
            return self.job_written(self.job_write(job, "attribute_not_exists(pk)")).await;
        }
        let room = LINES_MOST.saturating_sub(job.timeline.len());
        let condition = format!(
            "(attribute_not_exists(pk) OR #state <> :done) AND attribute_not_exists(timeline[{room}])"
        );
        let write = self.job_write(job, &condition).value(":done", text("done"));
        match (self.job_written(write).await?, job.timeline.last()) {
            // Of so many lines that these would be too many.
            (JobWritten::Known(known), Some(line)) if known.state != JobState::Done => {
                let condition = "attribute_exists(pk) AND #state <> :done";
                let write = self.job_write_with(job, condition, &next_line(LINES_MOST));
                let write = write.value(":done", text("done")).value(":line", timeline_entry(line));
                self.job_written(write).await
            }
            (written, _) => Ok(written),
        }
    }

    /// A job that waits, or lost its runner, has a slot now, or waits again. Does nothing where the job is not as it was
    /// thought to be: `false`.
    pub async fn job_assigned(
        &self,
        job: JobId,
        was: Was,
        state: &JobState,
        line: Moment,
    ) -> Result<bool, StoreError> {
        let update = match state.slot() {
            Some(_) => format!("SET #state = :state, slot = :slot, {}", next_line(TRIES_TOLD_MOST)),
            None => format!("SET #state = :state, {} REMOVE slot", next_line(TRIES_TOLD_MOST)),
        };
        let condition = match was {
            Was::Waiting => "#state = :waiting",
            Was::WaitingOr(_) => "#state = :waiting OR (#state = :assigned AND slot = :was)",
        };
        let write = Write::update(job_key(job), update, condition)
            .name("#state", "state")
            .value(":state", text(state.as_str()))
            .value(":waiting", text("waiting"))
            .value(":line", timeline_entry(&line));
        let write = match was {
            Was::Waiting => write,
            Was::WaitingOr(slot) => write.value(":assigned", text("assigned")).value(":was", number(slot)),
        };
        let write = match state.slot() {
            Some(slot) => write.value(":slot", number(slot)),
            None => write,
        };
        Ok(matches!(self.write(write, "assigning a job").await?, Written::Before(_)))
    }

    /// Adds a line to a job's timeline, where the job is known.
    pub async fn note(&self, job: JobId, line: Moment) -> Result<(), StoreError> {
        let update = format!("SET {}", next_line(TRIES_TOLD_MOST));
        let write =
            Write::update(job_key(job), update, "attribute_exists(pk)").value(":line", timeline_entry(&line));
        self.write(write, "noting a job's story").await.map(|_| ())
    }

    /// Writes all that `job` holds, its timeline appended, where the condition holds.
    pub(super) fn job_write(&self, job: &Job, condition: &str) -> Write {
        let lines = "timeline = list_append(if_not_exists(timeline, :none), :lines)";
        self.job_write_with(job, condition, lines)
            .value(":none", list(vec![]))
            .value(":lines", list(job.timeline.iter().map(timeline_entry).collect()))
    }

    /// The same, its timeline by an expression whose values are the caller's.
    fn job_write_with(&self, job: &Job, condition: &str, lines: &str) -> Write {
        let mut update = format!(
            "SET #state = :state, #pool = :pool, repository = :repository, \
             queued_at = if_not_exists(queued_at, :queued_at), expires_at = :expires_at, {lines}"
        );
        let slot = job.state.slot();
        if job.installation.is_some() {
            update.push_str(", installation = :installation");
        }
        if job.unseen_run.is_some() {
            update.push_str(", unseen_run = :unseen_run");
        }
        update.push_str(if slot.is_some() { ", slot = :slot" } else { " REMOVE slot" });
        let write = Write::update(job_key(job.id), update, condition)
            .name("#state", "state")
            .name("#pool", "pool")
            .value(":state", text(job.state.as_str()))
            .value(":pool", text(job.pool.as_str()))
            .value(":repository", text(job.repository.as_str()))
            .value(":queued_at", moment(job.queued_at))
            .value(":expires_at", expiry(self.expires(job)));
        let write = match job.installation {
            Some(installation) => write.value(":installation", number(installation)),
            None => write,
        };
        let write = match job.unseen_run {
            Some(run) => write.value(":unseen_run", number(run)),
            None => write,
        };
        match slot {
            Some(slot) => write.value(":slot", number(slot)),
            None => write,
        }
    }

    fn expires(&self, job: &Job) -> Timestamp {
        let latest = job.timeline.last().map_or(job.queued_at, |line| line.at);
        let kept = if job.state == JobState::Done { self.retention } else { JOB_LONGEST };
        later(latest, kept)
    }

    async fn job_written(&self, write: Write) -> Result<JobWritten, StoreError> {
        match self.write(write, "recording a job").await? {
            Written::Before(item) if item.is_empty() => Ok(JobWritten::From(None)),
            Written::Before(item) => Ok(JobWritten::From(Some(Reader::new(&item).job()?))),
            Written::Refused(item) => Ok(JobWritten::Known(Reader::new(&item).job()?)),
        }
    }
}

/// Appends a line to a timeline of fewer than `most`, or writes over its last one: past the end of a list DynamoDB appends.
fn next_line(most: usize) -> String {
    format!("timeline[{}] = :line", most - 1)
}

fn list(entries: Vec<aws_sdk_dynamodb::types::AttributeValue>) -> aws_sdk_dynamodb::types::AttributeValue {
    aws_sdk_dynamodb::types::AttributeValue::L(entries)
}
