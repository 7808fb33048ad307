//! The few operations that the spool needs from the file system, so that a test can make each of them fail, and
//! simulate every crash.

use std::fs::File;
use std::io;
use std::path::Path;

#[cfg(test)]
pub(crate) mod simulated;
mod system;

/// A file system.
#[derive(Debug, Clone)]
pub(crate) enum Files {
    System,
    #[cfg(test)]
    Simulated(simulated::Disk),
}

/// A folder that is open: what is done with the names in it is done there, wherever others move it.
#[derive(Debug)]
pub(crate) enum Folder {
    System(system::Folder),
    #[cfg(test)]
    Simulated(simulated::Folder),
}

/// A file that is appended to.
#[derive(Debug)]
pub(crate) enum Handle {
    System(File),
    #[cfg(test)]
    Simulated(simulated::Handle),
}

/// Why a folder could not be locked.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another process has locked it, or another recorder of this one; the number of the process, if it is known.
    InUse(Option<u32>),
    /// Neither the folder nor the file `lock` in it can be locked. Rare: most file systems have locks.
    Io(io::Error),
}

impl Files {
    /// Opens the folder that `path` leads to.
    pub(crate) fn open(&self, path: &Path) -> io::Result<Folder> {
        match self {
            Self::System => system::Folder::open(path, false).map(Folder::System),
            #[cfg(test)]
            Self::Simulated(disk) => disk.open(false).map(Folder::Simulated),
        }
    }

    /// The same, and makes it if it is not there.
    pub(crate) fn make(&self, path: &Path) -> io::Result<Folder> {
        match self {
            Self::System => system::Folder::open(path, true).map(Folder::System),
            #[cfg(test)]
            Self::Simulated(disk) => disk.open(true).map(Folder::Simulated),
        }
    }
}

impl Folder {
    /// Locks it, unless it is locked already, and writes down for others which process did. The system releases the lock
    /// when the folder is closed or the process ends, in whatever way.
    pub(crate) fn lock(&self) -> Result<(), LockError> {
        match self {
            Self::System(folder) => folder.lock(),
            #[cfg(test)]
            Self::Simulated(folder) => folder.lock(),
        }
    }

    /// Whether `path` leads here.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        match self {
            Self::System(folder) => folder.is_at(path),
            #[cfg(test)]
            Self::Simulated(folder) => folder.is_at_its_path(),
        }
    }

    /// Whether any path leads here: it was not removed.
    pub(crate) fn is_anywhere(&self) -> bool {
        match self {
            Self::System(folder) => folder.is_anywhere(),
            #[cfg(test)]
            Self::Simulated(folder) => folder.is_anywhere(),
        }
    }

    /// Names and lengths of the files whose names are `wanted`.
    pub(crate) fn list(&self, wanted: &dyn Fn(&str) -> bool) -> io::Result<Vec<(String, u64)>> {
        match self {
            Self::System(folder) => folder.list(wanted),
            #[cfg(test)]
            Self::Simulated(folder) => folder.list(wanted),
        }
    }

    /// All of a file, up to `bytes_max`.
    pub(crate) fn read(&self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        match self {
            Self::System(folder) => folder.read(name, bytes_max),
            #[cfg(test)]
            Self::Simulated(folder) => folder.read(name, bytes_max),
        }
    }

    /// A new, empty file; one that is there is an error.
    pub(crate) fn create(&self, name: &str) -> io::Result<Handle> {
        match self {
            Self::System(folder) => folder.create(name).map(Handle::System),
            #[cfg(test)]
            Self::Simulated(folder) => folder.create(name).map(Handle::Simulated),
        }
    }

    /// Whether `name` is there, whatever it stands for. True if the system does not say.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Self::System(folder) => folder.has(name),
            #[cfg(test)]
            Self::Simulated(folder) => folder.has(name),
        }
    }

    /// Whether `name` leads to the file that is open.
    pub(crate) fn names(&self, name: &str, handle: &Handle) -> bool {
        match (self, handle) {
            (Self::System(folder), Handle::System(file)) => folder.names(name, file),
            #[cfg(test)]
            (Self::Simulated(folder), Handle::Simulated(handle)) => folder.names(name, handle),
            #[cfg(test)]
            _ => false,
        }
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        match self {
            Self::System(folder) => folder.rename(from, to),
            #[cfg(test)]
            Self::Simulated(folder) => folder.rename(from, to),
        }
    }

    /// Gives the file `from` another name in another folder; one that is there is an error.
    pub(crate) fn link(&self, from: &str, other: &Self, to: &str) -> io::Result<()> {
        match (self, other) {
            (Self::System(folder), Self::System(other)) => folder.link(from, other, to),
            #[cfg(test)]
            (Self::Simulated(folder), Self::Simulated(other)) => folder.link(from, other, to),
            #[cfg(test)]
            _ => Err(io::ErrorKind::CrossesDevices.into()),
        }
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match self {
            Self::System(folder) => folder.remove(name),
            #[cfg(test)]
            Self::Simulated(folder) => folder.remove(name),
        }
    }

    /// Makes changes to the names in it durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match self {
            Self::System(folder) => folder.sync(),
            #[cfg(test)]
            Self::Simulated(folder) => folder.sync(),
        }
    }
}

impl Handle {
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::System(file) => system::append(file, bytes),
            #[cfg(test)]
            Self::Simulated(handle) => handle.append(bytes),
        }
    }

    /// Makes what was appended durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        match self {
            Self::System(file) => file.sync_data(),
            #[cfg(test)]
            Self::Simulated(handle) => handle.sync(),
        }
    }

    /// Cuts off what is beyond `length`.
    pub(crate) fn truncate(&mut self, length: u64) -> io::Result<()> {
        match self {
            Self::System(file) => file.set_len(length),
            #[cfg(test)]
            Self::Simulated(handle) => handle.truncate(length),
        }
    }

    /// All of it from its beginning, up to `bytes_max`, whether or not a name leads to it.
    pub(crate) fn read_back(&self, bytes_max: u64) -> io::Result<Vec<u8>> {
        match self {
            Self::System(file) => system::read_back(file, bytes_max),
            #[cfg(test)]
            Self::Simulated(handle) => handle.read_back(bytes_max),
        }
    }
}
