//! Errors as text.

/// An error with its sources, each by its own words. Not what an SDK's `Debug` shows: that holds the raw answer, and with
/// it perhaps a secret.
pub(crate) fn sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
