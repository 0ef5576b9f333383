//! The vendors' published API descriptions, held against a simulator's traffic log.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Fails when a call in the log is not as the vendors publish it. The checker lies beside the repository; where it is
/// not at hand, this says that it was skipped.
///
/// # Panics
/// When the log holds a violation, or the checker cannot be run.
#[expect(clippy::panic, reason = "it is an assertion of tests")]
pub fn wirecheck(log: &Path) {
    // A story in which nobody called anybody has nothing to check.
    if std::fs::metadata(log).is_ok_and(|log| log.len() == 0) {
        return;
    }
    let repository: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", ".."].iter().collect();
    let tool: PathBuf = repository.join("../shared/tools/wirecheck");
    if !tool.exists() {
        println!("skipped: no wirecheck beside the repository");
        return;
    }
    match Command::new(&tool).arg(log).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!(
            "the traffic is not as published:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => panic!("{}: {error}", tool.display()),
    }
}
