//! A file system in memory for tests. Chosen operations fail, and the power can fail: then data that was not synced may be
//! incomplete, out of order, or missing. Tests can also remove or move files in it, as another process would.

use super::LockError;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Rc<RefCell<State>>);

/// An open folder: the disk, and the folder's number.
#[derive(Debug)]
pub(crate) struct Folder(Disk, usize);

/// An open file: the disk, and the file's number, which does not depend on its names.
#[derive(Debug)]
pub(crate) struct Handle(Disk, usize);

#[derive(Debug, Default)]
struct State {
    /// All files that were ever created. One without a name may still be open.
    files: Vec<Content>,
    folders: Vec<Names>,
    /// The folder that the path leads to, if any.
    place: Option<usize>,
    /// Operations so far.
    steps: u64,
    /// The operation that fails, counted from 0.
    failing: Option<u64>,
    /// Every operation from this one on fails, as on a disk that is full, read-only or removed.
    failing_from: Option<u64>,
    /// No file can be read, as if the process had too many files open or the disk were damaged.
    unreadable: bool,
    /// Syncs succeed without doing anything.
    lying: bool,
    /// Each folder is on a device of its own, so that no file can be linked into another folder.
    is_parted: bool,
}

#[derive(Debug, Default)]
struct Names {
    /// For each name the number of the file, and whether the name was synced.
    there: BTreeMap<String, (usize, bool)>,
    /// Names that were removed since the last sync. They may come back after a power failure.
    removed: BTreeMap<String, usize>,
    is_removed: bool,
}

#[derive(Debug, Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    /// The number of bytes that were synced.
    synced: usize,
}

impl Disk {
    /// Operations so far.
    pub(crate) fn steps(&self) -> u64 {
        self.0.borrow().steps
    }

    pub(crate) fn fail_at(&self, step: Option<u64>) {
        self.0.borrow_mut().failing = step;
    }

    pub(crate) fn fail_from(&self, step: Option<u64>) {
        self.0.borrow_mut().failing_from = step;
    }

    pub(crate) fn fail_reads(&self, fails: bool) {
        self.0.borrow_mut().unreadable = fails;
    }

    pub(crate) fn lie(&self) {
        self.0.borrow_mut().lying = true;
    }

    /// From now on no file can be linked into another folder.
    pub(crate) fn part(&self) {
        self.0.borrow_mut().is_parted = true;
    }

    /// Bytes in all files of the folder at the path, in blocks.
    pub(crate) fn used(&self) -> u64 {
        let state = self.0.borrow();
        let names = state.place.iter().flat_map(|&place| state.folders[place].there.values());
        names.map(|&(file, _)| (state.files[file].bytes.len() as u64).next_multiple_of(4096)).sum()
    }

    /// Simulates a power failure: chance decides what remains of data that was not synced.
    pub(crate) fn crash(&self, random: &mut fastrand::Rng) {
        let mut state = self.0.borrow_mut();
        (state.failing, state.failing_from, state.unreadable) = (None, None, false);
        for folder in &mut state.folders {
            for (name, file) in std::mem::take(&mut folder.removed) {
                if random.bool() {
                    folder.there.entry(name).or_insert((file, true));
                }
            }
            folder.there.retain(|_, (_, lasts)| std::mem::replace(lasts, true) || random.bool());
        }
        for content in &mut state.files {
            let length = content.bytes.len();
            // Blocks that were not written are zeros, and the file may end anywhere.
            for block in (content.synced..length).step_by(64) {
                if random.u8(..) < 64 {
                    content.bytes[block..(block + 64).min(length)].fill(0);
                }
            }
            content.bytes.truncate(random.usize(content.synced..=length));
            content.synced = content.bytes.len();
        }
    }

    /// Damages a random file: flips a bit, removes a byte, cuts it off, or removes the file.
    pub(crate) fn damage(&self, random: &mut fastrand::Rng) {
        let mut state = self.0.borrow_mut();
        let Some(place) = state.place else { return };
        let names: Vec<String> = state.folders[place].there.keys().cloned().collect();
        let Some(name) = random.choice(names) else { return };
        if random.u8(..) < 20 {
            state.folders[place].there.remove(&name);
            return;
        }
        let Some(&(file, _)) = state.folders[place].there.get(&name) else { return };
        let content = &mut state.files[file];
        if content.bytes.is_empty() {
            return;
        }
        let at = random.usize(..content.bytes.len());
        match random.u8(..4) {
            0 => content.bytes.truncate(at),
            1 => drop(content.bytes.remove(at)),
            _ => content.bytes[at] ^= 1 << random.u8(..8),
        }
        content.synced = content.synced.min(content.bytes.len());
    }

    /// Removes each file in the folder for which `chance` returns true, as another process would.
    pub(crate) fn remove_files(&self, mut chance: impl FnMut() -> bool) {
        let mut state = self.0.borrow_mut();
        if let Some(place) = state.place {
            state.folders[place].there.retain(|_, _| !chance());
        }
    }

    /// Removes the folder with its content, as another process would.
    pub(crate) fn remove_folder(&self) {
        let mut state = self.0.borrow_mut();
        if let Some(place) = state.place.take() {
            state.folders[place] = Names { is_removed: true, ..Names::default() };
        }
    }

    /// Moves the folder away, as another process would. Returns its number.
    pub(crate) fn move_folder(&self) -> Option<usize> {
        self.0.borrow_mut().place.take()
    }

    /// Puts the folder of this number, or a new empty one, at the path.
    pub(crate) fn put_folder(&self, number: Option<usize>) {
        let mut state = self.0.borrow_mut();
        let new = state.folders.len();
        if number.is_none() {
            state.folders.push(Names::default());
        }
        state.place = Some(number.unwrap_or(new));
    }

    /// Counts an operation, and returns an error if it is to fail.
    fn step(&self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let step = state.steps;
        state.steps += 1;
        if state.failing == Some(step) || state.failing_from.is_some_and(|from| step >= from) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }

    pub(super) fn open(&self, is_made: bool) -> io::Result<Folder> {
        self.step()?;
        if is_made && self.0.borrow().place.is_none() {
            self.put_folder(None);
        }
        let place = self.0.borrow().place.ok_or(io::ErrorKind::NotFound)?;
        Ok(Folder(self.clone(), place))
    }
}

impl Folder {
    fn names_mut<T>(&self, change: impl FnOnce(&mut Names) -> T) -> T {
        change(&mut self.0.0.borrow_mut().folders[self.1])
    }

    fn file(&self, name: &str) -> Option<usize> {
        self.0.0.borrow().folders[self.1].there.get(name).map(|&(file, _)| file)
    }

    fn put(&self, name: &str, file: usize) -> io::Result<()> {
        self.names_mut(|names| {
            if names.is_removed {
                return Err(io::ErrorKind::NotFound.into());
            }
            if names.there.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            names.there.insert(name.to_owned(), (file, false));
            Ok(())
        })
    }

    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "as the system's")]
    pub(super) fn lock(&self) -> Result<(), LockError> {
        Ok(())
    }

    pub(super) fn is_at_its_path(&self) -> bool {
        self.0.0.borrow().place == Some(self.1)
    }

    pub(super) fn is_anywhere(&self) -> bool {
        !self.names_mut(|names| names.is_removed)
    }

    pub(super) fn list(&self, wanted: &dyn Fn(&str) -> bool) -> io::Result<Vec<(String, u64)>> {
        self.0.step()?;
        let state = self.0.0.borrow();
        let names = state.folders[self.1].there.iter().filter(|(name, _)| wanted(name));
        Ok(names.map(|(name, &(file, _))| (name.clone(), state.files[file].bytes.len() as u64)).collect())
    }

    pub(super) fn read(&self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        self.0.step()?;
        let file = self.file(name);
        let state = self.0.0.borrow();
        if state.unreadable {
            return Err(io::Error::other("Too many open files"));
        }
        Ok(state.files[file.ok_or(io::ErrorKind::NotFound)?].read(bytes_max))
    }

    pub(super) fn create(&self, name: &str) -> io::Result<Handle> {
        self.0.step()?;
        let file = self.0.0.borrow().files.len();
        self.put(name, file)?;
        self.0.0.borrow_mut().files.push(Content::default());
        Ok(Handle(self.0.clone(), file))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.file(name).is_some()
    }

    pub(super) fn names(&self, name: &str, handle: &Handle) -> bool {
        self.file(name) == Some(handle.1)
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.step()?;
        self.names_mut(|names| {
            let file = names.there.remove(from).ok_or(io::ErrorKind::NotFound)?;
            names.there.insert(to.to_owned(), file);
            Ok(())
        })
    }

    pub(super) fn link(&self, from: &str, other: &Self, to: &str) -> io::Result<()> {
        self.0.step()?;
        if self.0.0.borrow().is_parted {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        let file = self.file(from).ok_or(io::ErrorKind::NotFound)?;
        other.put(to, file)
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        self.0.step()?;
        self.names_mut(|names| {
            let (file, _) = names.there.remove(name).ok_or(io::ErrorKind::NotFound)?;
            names.removed.insert(name.to_owned(), file);
            Ok(())
        })
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.step()?;
        if !self.0.0.borrow().lying {
            self.names_mut(|names| {
                names.removed.clear();
                names.there.values_mut().for_each(|(_, lasts)| *lasts = true);
            });
        }
        Ok(())
    }
}

impl Content {
    fn read(&self, bytes_max: u64) -> Vec<u8> {
        self.bytes[..self.bytes.len().min(usize::try_from(bytes_max).unwrap_or(usize::MAX))].to_vec()
    }
}

impl Handle {
    fn change<T>(&self, change: impl FnOnce(&mut Content) -> T) -> T {
        change(&mut self.0.0.borrow_mut().files[self.1])
    }

    /// Appends to the file. If it fails, half of the bytes are written.
    pub(super) fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let done = self.0.step();
        let written = if done.is_ok() { bytes.len() } else { bytes.len() / 2 };
        self.change(|content| content.bytes.extend_from_slice(&bytes[..written]));
        done
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.step()?;
        let lying = self.0.0.borrow().lying;
        self.change(|content| content.synced = if lying { content.synced } else { content.bytes.len() });
        Ok(())
    }

    pub(super) fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.step()?;
        self.change(|content| {
            content.bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
            content.synced = content.synced.min(content.bytes.len());
        });
        Ok(())
    }

    pub(super) fn read_back(&self, bytes_max: u64) -> io::Result<Vec<u8>> {
        self.0.step()?;
        if self.0.0.borrow().unreadable {
            return Err(io::Error::other("Input/output error"));
        }
        Ok(self.change(|content| content.read(bytes_max)))
    }
}
