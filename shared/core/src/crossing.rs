//! GitHub matches jobs to runners, not we: a runner made for job A may run job B. So when a job turns up on
//! another runner than its own, the two that are left over belong together.

use crate::ids::{JobId, SlotIndex};

/// What follows from a job having been taken by a runner, or having ended without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// Everybody has what was meant for them.
    Nothing,
    /// The job whose runner was taken gets the runner that the other job no longer needs.
    Reassign {
        /// The job left without a runner.
        job: JobId,
        /// The slot left without a job.
        slot: SlotIndex,
    },
    /// The job whose runner was taken has none now, and queues again.
    Requeue {
        /// The job.
        job: JobId,
    },
    /// The slot's runner has no job to come: it serves the oldest waiting job, or goes.
    Spare {
        /// The slot.
        slot: SlotIndex,
    },
}

/// Settles what `job` leaves behind: `own` is the slot that was meant for it, `ran_on` the slot of the runner that
/// took it, with the job that runner was meant for. `ran_on` is `None` when it ended without a runner, or on
/// a stranger's.
pub fn settle(job: JobId, own: Option<SlotIndex>, ran_on: Option<(SlotIndex, Option<JobId>)>) -> Settlement {
    let left_slot = own.filter(|own| ran_on.is_none_or(|(slot, _)| slot != *own));
    let left_job = ran_on.and_then(|(_, meant)| meant).filter(|meant| *meant != job);
    match (left_job, left_slot) {
        (None, None) => Settlement::Nothing,
        (Some(job), Some(slot)) => Settlement::Reassign { job, slot },
        (Some(job), None) => Settlement::Requeue { job },
        (None, Some(slot)) => Settlement::Spare { slot },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: JobId = JobId(1);
    const B: JobId = JobId(2);
    const OF_A: SlotIndex = SlotIndex(10);
    const OF_B: SlotIndex = SlotIndex(20);

    #[test]
    fn what_two_crossed_jobs_leave_behind_belongs_together() {
        for (story, own, ran_on, follows) in [
            ("ran where it was meant to", Some(OF_A), Some((OF_A, Some(A))), Settlement::Nothing),
            (
                "took B's runner",
                Some(OF_A),
                Some((OF_B, Some(B))),
                Settlement::Reassign { job: B, slot: OF_A },
            ),
            ("waited, and took B's runner", None, Some((OF_B, Some(B))), Settlement::Requeue { job: B }),
            ("took a warm runner", Some(OF_A), Some((OF_B, None)), Settlement::Spare { slot: OF_A }),
            ("waited, and took a warm runner", None, Some((OF_B, None)), Settlement::Nothing),
            ("ran on a stranger's", Some(OF_A), None, Settlement::Spare { slot: OF_A }),
            ("was cancelled while waiting", None, None, Settlement::Nothing),
        ] {
            assert_eq!(settle(A, own, ran_on), follows, "{story}");
        }
    }
}
