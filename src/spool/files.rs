//! The few things that the spool asks of the file system, so that a test can let each of them fail, and every crash happen.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

#[cfg(test)]
pub(crate) mod simulated;

/// A file system.
#[derive(Debug, Clone)]
pub(crate) enum Files {
    System,
    #[cfg(test)]
    Simulated(simulated::Disk),
}

/// A file that is appended to.
#[derive(Debug)]
pub(crate) enum Handle {
    System(File),
    #[cfg(test)]
    Simulated(simulated::Disk, String),
}

/// Held as long as a folder is ours alone; the system lets go of it when the process ends, however it does.
#[derive(Debug)]
pub(crate) enum Lock {
    System(#[expect(dead_code, reason = "held, not used")] File),
    #[cfg(test)]
    Simulated,
}

impl Files {
    pub(crate) fn create_folder(&self, folder: &Path) -> io::Result<()> {
        match self {
            Self::System => {
                let made = missing(folder).count();
                std::fs::create_dir_all(folder)?;
                // Each new name has to last, too.
                folder.ancestors().skip(1).take(made).try_for_each(|parent| {
                    let here = Path::new(".");
                    self.sync_folder(if parent.as_os_str().is_empty() { here } else { parent })
                })
            }
            #[cfg(test)]
            Self::Simulated(disk) => disk.step(),
        }
    }

    /// Locks a folder by the file `path` in it, which holds the number of the process.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if somebody else has it.
    pub(crate) fn lock(&self, path: &Path) -> io::Result<Lock> {
        match self {
            Self::System => {
                let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
                rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
                file.set_len(0)?;
                writeln!(file, "{}", std::process::id())?;
                Ok(Lock::System(file))
            }
            #[cfg(test)]
            Self::Simulated(disk) => disk.step().map(|()| Lock::Simulated),
        }
    }

    /// Names and lengths of the files in a folder.
    pub(crate) fn list(&self, folder: &Path) -> io::Result<Vec<(String, u64)>> {
        match self {
            Self::System => {
                let mut found = Vec::new();
                for entry in std::fs::read_dir(folder)? {
                    let entry = entry?;
                    match entry.metadata() {
                        Ok(metadata) if metadata.is_file() => {
                            found.extend(entry.file_name().into_string().ok().map(|name| (name, metadata.len())));
                        }
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(found)
            }
            #[cfg(test)]
            Self::Simulated(disk) => disk.list(),
        }
    }

    /// All of a file, up to `bytes_max`.
    pub(crate) fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        match self {
            Self::System => {
                let file = File::open(path)?;
                let length = file.metadata()?.len().min(bytes_max);
                let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
                file.take(bytes_max).read_to_end(&mut bytes)?;
                Ok(bytes)
            }
            #[cfg(test)]
            Self::Simulated(disk) => disk.read(path, bytes_max),
        }
    }

    /// A new, empty file; one that is there is an error.
    pub(crate) fn create(&self, path: &Path) -> io::Result<Handle> {
        match self {
            Self::System => OpenOptions::new().append(true).create_new(true).open(path).map(Handle::System),
            #[cfg(test)]
            Self::Simulated(disk) => disk.create(path).map(|name| Handle::Simulated(disk.clone(), name)),
        }
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self {
            Self::System => std::fs::rename(from, to),
            #[cfg(test)]
            Self::Simulated(disk) => disk.rename(from, to),
        }
    }

    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::System => std::fs::remove_file(path),
            #[cfg(test)]
            Self::Simulated(disk) => disk.remove(path),
        }
    }

    /// Makes the names in a folder last.
    pub(crate) fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        match self {
            Self::System => File::open(folder)?.sync_all(),
            #[cfg(test)]
            Self::Simulated(disk) => disk.sync_folder(),
        }
    }
}

/// A folder and those above it, as far as they are not there.
fn missing(folder: &Path) -> impl Iterator<Item = &Path> {
    folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
}

impl Handle {
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::System(file) => file.write_all(bytes),
            #[cfg(test)]
            Self::Simulated(disk, name) => disk.append(name, bytes),
        }
    }

    /// Makes what was appended last.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        match self {
            Self::System(file) => file.sync_data(),
            #[cfg(test)]
            Self::Simulated(disk, name) => disk.sync(name),
        }
    }

    /// Takes back what is beyond `length`.
    pub(crate) fn truncate(&mut self, length: u64) -> io::Result<()> {
        match self {
            Self::System(file) => file.set_len(length),
            #[cfg(test)]
            Self::Simulated(disk, name) => disk.truncate(name, length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_folder_that_is_made_is_known_so_that_its_name_can_last() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("one/two/three");
        let made: Vec<&Path> = missing(&folder).collect();
        assert_eq!(made, [folder.as_path(), &root.path().join("one/two"), &root.path().join("one")]);
        Files::System.create_folder(&folder).unwrap();
        assert_eq!(missing(&folder).count(), 0);
        Files::System.create_folder(&folder).unwrap();
        assert_eq!(missing(Path::new("no/such/spool")).count(), 3, "below the folder that the process is in");
    }
}
