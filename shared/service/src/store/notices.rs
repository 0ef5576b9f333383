//! What was said on commits of waiting jobs. A notice has an item of its own beside its pool's: nobody writes one where
//! notices are off, and the query that reads the pool reads them along.

use jiff::Timestamp;
use mayfly_core::ids::{CheckRunId, Commit, InstallationId, JobId, PoolName, Repository};
use mayfly_core::notice::{Cause, Notice, Standing};
use mayfly_core::slot::later;

use super::item::{NOTICE, Reader, expiry, moment, notice_key, number, text};
use super::write::{Write, Written};
use super::{JOB_LONGEST, Ledger, StoreError};

const KEEPING: &str = "remembering what was said of a waiting job";
/// The check run's number of a notice that GitHub refused; no check run has it.
const REFUSED: u64 = 0;

impl Ledger {
    /// Remembers a notice before GitHub is asked for it; `false` where one is known.
    pub async fn notice_begins(&self, pool: &PoolName, notice: &Notice) -> Result<bool, StoreError> {
        let mut update = "SET repository = :repository, queued_at = :queued_at, head_sha = :head_sha, \
                          check_name = :check_name, cause = :cause, said_at = :said_at, expires_at = :expires_at"
            .to_owned();
        if notice.installation.is_some() {
            update.push_str(", installation = :installation");
        }
        let write = Write::update(notice_key(pool, notice.job), update, "attribute_not_exists(pk)")
            .value(":repository", text(notice.repository.as_str()))
            .value(":queued_at", moment(notice.queued_at))
            .value(":head_sha", text(notice.commit.as_str()))
            .value(":check_name", text(notice.name.as_str()))
            .value(":cause", text(notice.cause.as_str()))
            .value(":said_at", moment(notice.said_at))
            .value(":expires_at", expiry(later(notice.said_at, JOB_LONGEST)));
        let write = match notice.installation {
            Some(installation) => write.value(":installation", number(installation)),
            None => write,
        };
        self.notice_written(write).await
    }

    /// Remembers that another cause is about to be said; `false` where somebody else said something since.
    pub async fn notice_changes(
        &self,
        pool: &PoolName,
        was: &Notice,
        cause: Cause,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let update = "SET cause = :cause, said_at = :now";
        let write = Write::update(notice_key(pool, was.job), update, "said_at = :was")
            .value(":cause", text(cause.as_str()))
            .value(":now", moment(now))
            .value(":was", moment(was.said_at));
        self.notice_written(write).await
    }

    /// Remembers whether GitHub has a notice; `false` where it was concluded, or said anew, since.
    pub async fn notice_stands(
        &self,
        pool: &PoolName,
        notice: &Notice,
        standing: Standing,
    ) -> Result<bool, StoreError> {
        let id = match standing {
            Standing::Asked => return Ok(true),
            Standing::Made(id) => id.0,
            Standing::Refused => REFUSED,
        };
        let write = Write::update(notice_key(pool, notice.job), "SET check_run = :id", "said_at = :said_at")
            .value(":id", number(id))
            .value(":said_at", moment(notice.said_at));
        self.notice_written(write).await
    }

    /// Forgets a notice: it is concluded.
    pub async fn notice_over(&self, pool: &PoolName, job: JobId) -> Result<(), StoreError> {
        let write = Write::delete(notice_key(pool, job), "attribute_exists(pk)");
        self.notice_written(write).await.map(|_| ())
    }

    async fn notice_written(&self, write: Write) -> Result<bool, StoreError> {
        Ok(matches!(self.write(write, KEEPING).await?, Written::Before(_)))
    }
}

impl Reader<'_> {
    pub(super) fn notice(&self) -> Result<Notice, StoreError> {
        let job = self.text("sk")?.strip_prefix(NOTICE).and_then(|id| id.parse().ok());
        let standing = match self.maybe_number("check_run")? {
            None => Standing::Asked,
            Some(REFUSED) => Standing::Refused,
            Some(id) => Standing::Made(CheckRunId(id)),
        };
        Ok(Notice {
            job: JobId(job.ok_or_else(|| self.corrupt("its key names no job"))?),
            repository: self.named("repository", |name| Repository::new(name).ok())?,
            installation: self.maybe_number("installation")?.map(InstallationId),
            queued_at: self.moment("queued_at")?,
            commit: self.named("head_sha", |sha| Commit::new(sha).ok())?,
            name: self
                .maybe_name("check_name")?
                .ok_or_else(|| self.corrupt("check_name is missing"))?
                .to_owned(),
            standing,
            cause: self.named("cause", Cause::parse)?,
            said_at: self.moment("said_at")?,
        })
    }
}
