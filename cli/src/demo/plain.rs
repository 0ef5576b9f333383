//! The demo where there is no terminal: one line for each happening, without escape codes.

use std::io::{self, Write};

use super::story::Line;

/// Writes the lines.
pub fn write(lines: &[Line]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in lines {
        let text: String = line.text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect();
        writeln!(out, "{:7.2} s  {:12}{text}", line.at.as_secs_f64(), line.label)?;
    }
    out.flush()
}
