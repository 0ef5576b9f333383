//! The files that take the App's secrets: made before there are any, so that none is lost for want of a place.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use mayfly_service::secret::Secret;

use crate::error::Error;

/// A file that only its owner can read; gone again where nothing was kept in it.
#[derive(Debug)]
pub struct Kept {
    pub path: PathBuf,
    file: File,
    empty: bool,
}

impl Kept {
    /// Makes it; what is there already is left alone.
    pub fn make(directory: &Path, name: &str) -> Result<Self, Error> {
        let path = directory.join(name);
        let path = std::path::absolute(&path).unwrap_or(path);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        match made {
            Ok(file) => Ok(Self { path, file, empty: true }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let why = format!("{} is there already; give another --directory", path.display());
                Err(Error::App(why))
            }
            Err(error) => Err(Error::io(path.display().to_string(), error)),
        }
    }

    pub fn keep(&mut self, secret: &Secret) -> Result<(), Error> {
        // Half a secret is no reason to remove the file either.
        self.empty = false;
        let written = self.file.write_all(secret.expose().as_bytes()).and_then(|()| self.file.sync_all());
        written.map_err(|error| Error::io(self.path.display().to_string(), error))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.empty {
            // It stays there empty where this fails, which is said the next time.
            _ = std::fs::remove_file(&self.path);
        }
    }
}
