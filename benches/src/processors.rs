//! Who runs on which processor.

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

use crate::Error;

/// The functions have a processor of their own, and the simulated clouds, the table and the emulation the others, for as long as this is kept.
pub struct Apart(CpuSet);

impl Apart {
    /// Where there is only one processor they share it.
    pub fn keep(functions: &[i32]) -> Result<Self, Error> {
        let all = sched_getaffinity(None).map_err(Error::set)?;
        let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| all.is_set(*cpu)).unwrap_or_default();
        let (mut theirs, mut ours) = (CpuSet::new(), all);
        theirs.set(last);
        if all.count() > 1 {
            ours.unset(last);
        }
        functions.iter().try_for_each(|pid| run_on(*pid, &theirs))?;
        let apart = Self(all);
        run_on(own_pid()?, &ours)?;
        Ok(apart)
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // What is measured next may run a little slower; nothing else comes of it.
        _ = own_pid().and_then(|pid| run_on(pid, &self.0));
    }
}

fn own_pid() -> Result<i32, Error> {
    i32::try_from(std::process::id()).map_err(Error::set)
}

/// All threads of a process; those that it begins later follow them.
fn run_on(pid: i32, processors: &CpuSet) -> Result<(), Error> {
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let id: i32 = task?.file_name().to_string_lossy().parse().map_err(Error::set)?;
        match sched_setaffinity(Pid::from_raw(id), processors) {
            // It has ended in between.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(Error::set(error)),
        }
    }
    Ok(())
}
