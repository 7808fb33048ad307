//! A spool folder in the real file system. The folder is held open, and all operations are relative to it. So if another
//! process moves or replaces the folder, names still lead to the same files. Symbolic links are followed only in the
//! folder's own path, only regular files are opened, and new files are readable by their owner only.

use super::LockError;
use crate::descriptors;
use rustix::fs::{AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::cell::{Cell, RefCell};
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;

/// The name of the lock file in the folder. Versions of expvastic up to 0.1 lock only this file, and not the folder.
const LOCK: &str = "lock";

/// An open folder.
#[derive(Debug)]
#[allow(clippy::struct_field_names, reason = "it is the folder itself that is open")]
pub(crate) struct Folder {
    folder: File,
    /// Whether the folder itself is locked. Some file systems (NFS) can lock only files.
    is_locked: Cell<bool>,
    lock: RefCell<Option<File>>,
}

impl Folder {
    /// Opens a folder. If it does not exist and is `wanted`, it is created, with the folders above it.
    pub(super) fn open(path: &Path, wanted: bool) -> io::Result<Self> {
        if wanted {
            make(path)?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = descriptors::freeing(|| Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?))?;
        Ok(Self { folder: File::from(folder), is_locked: Cell::new(false), lock: RefCell::new(None) })
    }

    /// Whether `path` leads here.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        match (rustix::fs::stat(path), rustix::fs::fstat(&self.folder)) {
            (Ok(there), Ok(here)) => is_same(&there, &here),
            _ => false,
        }
    }

    /// Whether the folder still has a path, and was not removed.
    pub(super) fn is_anywhere(&self) -> bool {
        rustix::fs::fstat(&self.folder).is_ok_and(|here| here.st_nlink > 0)
    }

    /// Locks the folder and the file `lock` in it, for as long as the folder is open. If another process has removed the
    /// file, it is created again. It is enough if the file system can lock one of the two.
    pub(super) fn lock(&self) -> Result<(), LockError> {
        if !self.is_locked.get() {
            match rustix::fs::flock(&self.folder, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => self.is_locked.set(true),
                Err(Errno::WOULDBLOCK) => return Err(LockError::InUse(self.owner())),
                Err(_) => {}
            }
        }
        let mut held = self.lock.borrow_mut();
        if held.as_ref().is_some_and(|lock| self.names(LOCK, lock)) {
            return Ok(());
        }
        match self.lock_file() {
            Ok(lock) => *held = Some(lock),
            Err(Errno::WOULDBLOCK) => return Err(LockError::InUse(self.owner())),
            Err(_) if self.is_locked.get() => {}
            Err(error) => return Err(LockError::Io(error.into())),
        }
        Ok(())
    }

    fn lock_file(&self) -> Result<File, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = loop {
            match rustix::fs::openat(&self.folder, LOCK, flags, OWNERS) {
                Err(Errno::MFILE | Errno::NFILE) if descriptors::make_room() => {}
                opened => break File::from(opened?),
            }
        };
        let found = rustix::fs::fstat(&file)?;
        if !FileType::from_raw_mode(found.st_mode).is_file() {
            return Err(Errno::INVAL);
        }
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        // A file that is longer, or has a second name, was put there by somebody else. It is locked, but not written to.
        if found.st_size <= OWNER_BYTES_MAX && found.st_nlink == 1 {
            let owner = format!("{}\n", std::process::id());
            // The process id is only informative, so errors do not matter.
            let _ = file.set_len(0).and_then(|()| file.write_all_at(owner.as_bytes(), 0));
        }
        Ok(file)
    }

    /// The process that has locked the folder, according to the file `lock`.
    fn owner(&self) -> Option<u32> {
        let text = self.read(LOCK, OWNER_BYTES_MAX.unsigned_abs()).ok()?;
        std::str::from_utf8(&text).ok()?.trim().parse().ok()
    }

    /// Names and lengths of the files whose names are `wanted`.
    pub(super) fn list(&self, wanted: &dyn Fn(&str) -> bool) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        for entry in descriptors::freeing(|| Ok(Dir::read_from(&self.folder)?))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if !wanted(name) {
                continue;
            }
            match rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_file() => {
                    found.push((name.to_owned(), u64::try_from(stat.st_size).unwrap_or(0)));
                }
                Ok(_) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    pub(super) fn read(&self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        // `NONBLOCK` opens a FIFO without waiting, so that it can be refused below.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = || Ok(rustix::fs::openat(&self.folder, name, flags, Mode::empty())?);
        let file = File::from(descriptors::freeing(open)?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name} is not a file")));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(bytes_max)).unwrap_or(0));
        file.take(bytes_max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = || Ok(rustix::fs::openat(&self.folder, name, flags, OWNERS)?);
        descriptors::freeing(create).map(File::from)
    }

    /// Whether `name` exists, whatever it is.
    pub(super) fn has(&self, name: &str) -> bool {
        !matches!(rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW), Err(Errno::NOENT))
    }

    /// Whether `name` leads to `file`.
    pub(super) fn names(&self, name: &str, file: &File) -> bool {
        match (rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW), rustix::fs::fstat(file)) {
            (Ok(there), Ok(here)) => is_same(&there, &here),
            _ => false,
        }
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.folder, from, &self.folder, to)?)
    }

    /// Gives the file `from` a second name in another folder. It is an error if that name exists.
    pub(super) fn link(&self, from: &str, other: &Self, to: &str) -> io::Result<()> {
        Ok(rustix::fs::linkat(&self.folder, from, &other.folder, to, AtFlags::empty())?)
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.folder, name, AtFlags::empty())?)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.folder.sync_all()
    }
}

/// The mode of new files: only their owner can read and write them.
const OWNERS: Mode = Mode::RUSR.union(Mode::WUSR);

/// The longest content of `lock`, bytes. A process id is shorter.
const OWNER_BYTES_MAX: i64 = 32;

fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

/// Creates a folder and those above it, as far as they do not exist. Only their owner has access to them.
fn make(folder: &Path) -> io::Result<()> {
    let made = missing(folder).count();
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // Without these syncs, a power failure might remove the new folders.
    folder.ancestors().skip(1).take(made).try_for_each(|parent| {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        descriptors::freeing(|| File::open(parent))?.sync_all()
    })
}

/// Those of a folder and the ones above it that do not exist.
fn missing(folder: &Path) -> impl Iterator<Item = &Path> {
    folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
}

/// Reads an open file from its beginning, at most `bytes_max` bytes.
pub(super) fn read_back(file: &File, bytes_max: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len().min(bytes_max);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

pub(super) fn append(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn each_folder_that_is_made_is_known_so_that_its_name_can_last() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("one/two/three");
        let made: Vec<&Path> = missing(&folder).collect();
        assert_eq!(made, [folder.as_path(), &root.path().join("one/two"), &root.path().join("one")]);
        make(&folder).unwrap();
        assert_eq!(missing(&folder).count(), 0);
        make(&folder).unwrap();
        assert_eq!(missing(Path::new("no/such/spool")).count(), 3, "below the folder that the process is in");
    }

    #[test]
    fn what_is_made_is_for_its_owner_only() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("above/spool");
        let folder = Folder::open(&path, true).unwrap();
        folder.lock().unwrap();
        folder.create("0.ndjson").unwrap();
        for (name, expected) in
            [("above", 0o700), ("above/spool", 0o700), ("above/spool/lock", 0o600), ("above/spool/0.ndjson", 0o600)]
        {
            let mode = std::fs::metadata(root.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, expected, "{name}");
        }
        assert!(
            Folder::open(&root.path().join("elsewhere"), false)
                .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        );
    }

    #[test]
    fn a_folder_is_locked_whatever_becomes_of_the_file_in_it() {
        let root = tempfile::tempdir().unwrap();
        let lock = root.path().join(LOCK);
        let first = Folder::open(root.path(), false).unwrap();
        first.lock().unwrap();
        let is_in_use = || matches!(Folder::open(root.path(), false).unwrap().lock(), Err(LockError::InUse(_)));
        assert!(is_in_use());
        for again in [false, true] {
            std::fs::remove_file(&lock).unwrap();
            assert!(is_in_use(), "removed; again: {again}");
            std::fs::write(&lock, "1\n").unwrap();
            assert!(is_in_use(), "replaced; again: {again}");
            first.lock().unwrap();
            assert_eq!(first.owner(), Some(std::process::id()), "it is made anew");
        }
        // Locks only the file, as expvastic up to 0.1 does.
        let older = |path: &Path| {
            let file = File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap();
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map(|()| file)
        };
        assert!(older(&lock).is_err());
        drop(first);
        let older = older(&lock).unwrap();
        assert!(is_in_use());
        drop(older);
        std::fs::remove_file(&lock).unwrap();
        std::fs::create_dir(&lock).unwrap();
        let next = Folder::open(root.path(), false).unwrap();
        next.lock().unwrap();
        assert!(is_in_use());
    }

    #[test]
    fn nothing_is_written_through_a_lock_that_is_something_else() {
        let root = tempfile::tempdir().unwrap();
        let (victim, lock) = (root.path().join("victim"), root.path().join(LOCK));
        let text = "important\n".repeat(5);
        std::fs::write(&victim, &text).unwrap();
        let put: [&dyn Fn(); 4] = [
            &|| symlink(&victim, &lock).unwrap(),
            &|| std::fs::hard_link(&victim, &lock).unwrap(),
            &|| symlink(root.path().join("nowhere"), &lock).unwrap(),
            &|| rustix::fs::mknodat(CWD, &lock, FileType::Fifo, OWNERS, 0).unwrap(),
        ];
        for put in put {
            put();
            let folder = Folder::open(root.path(), false).unwrap();
            folder.lock().unwrap();
            assert!(matches!(Folder::open(root.path(), false).unwrap().lock(), Err(LockError::InUse(_))));
            assert_eq!(std::fs::read_to_string(&victim).unwrap(), text);
            assert!(!root.path().join("nowhere").exists());
            std::fs::remove_file(&lock).unwrap();
        }
    }

    #[test]
    fn neither_links_nor_pipes_are_opened() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("file"), "text").unwrap();
        symlink(root.path().join("file"), root.path().join("link")).unwrap();
        rustix::fs::mknodat(CWD, root.path().join("pipe"), FileType::Fifo, OWNERS, 0).unwrap();
        let folder = Folder::open(root.path(), false).unwrap();
        assert_eq!(folder.read("file", 2).unwrap(), b"te");
        for name in ["link", "pipe"] {
            folder.read(name, 10).unwrap_err();
            folder.create(name).unwrap_err();
        }
        assert_eq!(folder.list(&|_| true).unwrap(), [("file".to_owned(), 4)]);
    }
}
