//! What a command tells on standard output. Nobody may be reading that any more, which is an error and no crash.

use std::fmt::Display;
use std::io::Write;

use crate::error::Error;

/// A line, or several.
pub fn tell(text: impl Display) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|source| Error::io("standard output", source))
}
