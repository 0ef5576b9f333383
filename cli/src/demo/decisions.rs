//! Mayfly's own log lines, caught as data: what was decided, and why.

use std::collections::BTreeMap;
use std::fmt::Debug;

use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// One line of the log.
#[derive(Debug, Clone)]
pub struct Decision {
    /// When.
    pub at: Timestamp,
    /// How grave.
    pub level: Level,
    /// What.
    pub message: String,
    /// About what: job, runner, why, …
    pub fields: BTreeMap<&'static str, String>,
}

impl Decision {
    /// A field's value, or nothing.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// Catches log lines.
#[derive(Debug)]
pub struct Catcher(UnboundedSender<Decision>);

/// Something that catches log lines, and where they come out.
pub fn catcher() -> (Catcher, UnboundedReceiver<Decision>) {
    let (sender, receiver) = unbounded_channel();
    (Catcher(sender), receiver)
}

impl<S: Subscriber> Layer<S> for Catcher {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_default();
        let level = *event.metadata().level();
        // Nobody listens any more when the demo is about to end.
        let _ = self.0.send(Decision { at: Timestamp::now(), level, message, fields: fields.0 });
    }
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
