//! What is logged: every line is written, and looked at.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// No line needs more bytes: a delivery's and a job's names, a reason, and a vendor's message of some hundred characters.
const LINE_MOST: usize = 8 << 10;

thread_local! {
    static SECRETS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static BROKEN: RefCell<Option<String>> = const { RefCell::new(None) };
}

struct Reader;

impl io::Write for Reader {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        if let Some(wrong) = wrong(&text) {
            BROKEN.with_borrow_mut(|broken| _ = broken.get_or_insert(wrong));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Reader {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

/// Begins to look at what this thread logs, for these secrets.
pub fn watch(secrets: Vec<String>) {
    static START: Once = Once::new();
    START.call_once(|| {
        let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(Reader);
        let filter: Targets = "mayfly_service=debug,mayfly_core=debug".parse().unwrap_or_default();
        // Where somebody logs already, that is fine too.
        _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    });
    SECRETS.set(secrets);
    BROKEN.set(None);
}

/// What was wrong with what was logged.
pub fn check() {
    if let Some(broken) = BROKEN.take() {
        panic!("a line of the log {broken}");
    }
}

/// What is wrong with a text that leaves Mayfly.
pub fn wrong(text: &str) -> Option<String> {
    let shown = |text: &str| text.chars().take(300).collect::<String>();
    if text.len() > LINE_MOST {
        return Some(format!("has {} bytes: {}", text.len(), shown(text)));
    }
    let holds = SECRETS.with_borrow(|secrets| secrets.iter().any(|secret| text.contains(secret)));
    holds.then(|| format!("holds a secret: {}", shown(text)))
}
