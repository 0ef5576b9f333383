//! What is logged in this process, at every level, and whether a secret is in it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};

static SECRETS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LEAKS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Looks at each line as it is logged, and keeps only those that have a secret.
struct Watch;

impl io::Write for Watch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        if line.contains("called Proxmox") {
            CALLS.fetch_add(1, Ordering::Relaxed);
        }
        let secrets = SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
        if secrets.iter().any(|secret| line.contains(secret.as_str())) {
            LEAKS.lock().unwrap_or_else(PoisonError::into_inner).push(line.into_owned());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One log for all stories: a subscriber of one thread would miss what another thread met first.
pub fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let logs = tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::TRACE);
        logs.with_writer(|| Watch).init();
    });
}

/// From now on this must be in no line. Of something long, its beginning is enough.
pub fn must_not_show(secret: &str) {
    let head: String = secret.chars().take(40).collect();
    let mut secrets = SECRETS.lock().unwrap();
    if !secrets.contains(&head) {
        secrets.push(head);
    }
}

/// Fails when a secret was logged, or nothing at all.
pub fn check() {
    let leaks = LEAKS.lock().unwrap();
    assert!(leaks.is_empty(), "{leaks:#?}");
    assert!(CALLS.load(Ordering::Relaxed) > 0, "the calls are not even logged");
}
