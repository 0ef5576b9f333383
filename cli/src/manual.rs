//! `mayfly completions` and `mayfly man`: what shells and readers get from the definition of the arguments.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Args;
use crate::error::Error;
use crate::tell::tell;

/// Prints what a shell completes `mayfly` by.
pub fn completions(shell: Shell) -> Result<(), Error> {
    // Not straight to standard output: nobody may be reading that any more.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "mayfly", &mut script);
    tell(String::from_utf8_lossy(&script).trim_end())
}

/// Writes a page for `mayfly` and one for each command.
pub fn pages(folder: &Path) -> Result<(), Error> {
    let written =
        std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Args::command(), folder));
    written.map_err(|source| Error::io(folder.display().to_string(), source))?;
    tell(format_args!("the manual is in {}; it begins with mayfly.1", folder.display()))
}
