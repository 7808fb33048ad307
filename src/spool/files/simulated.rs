//! A file system in memory that fails where a test wants it to, and that can lose power: then what was not synced is
//! there in part, torn, in another order, or not at all.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::rc::Rc;

#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Rc<RefCell<State>>);

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Content>,
    /// Files that were removed while the folder was not synced: they may come back.
    removed: BTreeMap<String, Content>,
    steps: u64,
    /// The operation that fails, counted from 0.
    failing: Option<u64>,
    /// Every operation from this one on fails: the disk is full, read-only, or gone.
    failing_from: Option<u64>,
    /// No file can be read: the process has too many open, or the disk gives none.
    unreadable: bool,
    /// A sync says that it has done its work, and has not.
    lying: bool,
}

#[derive(Debug, Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    /// As many of them last.
    synced: usize,
    /// Whether its name lasts.
    named: bool,
}

fn name_of(path: &Path) -> String {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned()
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

    /// Bytes in all files, in blocks.
    pub(crate) fn used(&self) -> u64 {
        self.0.borrow().files.values().map(|content| (content.bytes.len() as u64).next_multiple_of(4096)).sum()
    }

    /// Loses power: of what was not synced, chance decides what is there.
    pub(crate) fn crash(&self, random: &mut fastrand::Rng) {
        let mut state = self.0.borrow_mut();
        (state.failing, state.failing_from, state.unreadable) = (None, None, false);
        let removed = std::mem::take(&mut state.removed);
        for (name, content) in removed {
            if random.bool() {
                state.files.entry(name).or_insert(content);
            }
        }
        state.files.retain(|_, content| content.named || random.bool());
        for content in state.files.values_mut() {
            let length = content.bytes.len();
            // Zeros where blocks did not arrive, then an end anywhere.
            for block in (content.synced..length).step_by(64) {
                if random.u8(..) < 64 {
                    content.bytes[block..(block + 64).min(length)].fill(0);
                }
            }
            content.bytes.truncate(random.usize(content.synced..=length));
            content.synced = content.bytes.len();
            content.named = true;
        }
    }

    /// Flips or cuts something of some file.
    pub(crate) fn damage(&self, random: &mut fastrand::Rng) {
        let mut state = self.0.borrow_mut();
        let names: Vec<String> = state.files.keys().cloned().collect();
        let Some(name) = random.choice(names) else { return };
        if random.u8(..) < 20 {
            state.files.remove(&name);
            return;
        }
        let Some(content) = state.files.get_mut(&name).filter(|content| !content.bytes.is_empty()) else { return };
        let at = random.usize(..content.bytes.len());
        match random.u8(..4) {
            0 => content.bytes.truncate(at),
            1 => drop(content.bytes.remove(at)),
            _ => content.bytes[at] ^= 1 << random.u8(..8),
        }
        content.synced = content.synced.min(content.bytes.len());
    }

    /// Counts an operation; an error if it is one that fails.
    pub(crate) fn step(&self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let step = state.steps;
        state.steps += 1;
        if state.failing == Some(step) || state.failing_from.is_some_and(|from| step >= from) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }

    pub(super) fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.step()?;
        Ok(self.0.borrow().files.iter().map(|(name, content)| (name.clone(), content.bytes.len() as u64)).collect())
    }

    pub(super) fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        self.step()?;
        let state = self.0.borrow();
        if state.unreadable {
            return Err(io::Error::other("Too many open files"));
        }
        let content = state.files.get(&name_of(path)).ok_or(io::ErrorKind::NotFound)?;
        let length = content.bytes.len().min(usize::try_from(bytes_max).unwrap_or(usize::MAX));
        Ok(content.bytes[..length].to_vec())
    }

    pub(super) fn create(&self, path: &Path) -> io::Result<String> {
        self.step()?;
        let name = name_of(path);
        let mut state = self.0.borrow_mut();
        if state.files.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.files.insert(name.clone(), Content::default());
        Ok(name)
    }

    /// If it fails, part of it may have been written.
    pub(super) fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let done = self.step();
        let mut state = self.0.borrow_mut();
        let content = state.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        let written = if done.is_ok() { bytes.len() } else { bytes.len() / 2 };
        content.bytes.extend_from_slice(&bytes[..written]);
        done
    }

    pub(super) fn sync(&self, name: &str) -> io::Result<()> {
        self.step()?;
        let mut state = self.0.borrow_mut();
        let lying = state.lying;
        let content = state.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        if !lying {
            content.synced = content.bytes.len();
        }
        Ok(())
    }

    pub(super) fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        self.step()?;
        let mut state = self.0.borrow_mut();
        let content = state.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        content.bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        content.synced = content.synced.min(content.bytes.len());
        Ok(())
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let mut state = self.0.borrow_mut();
        let content = state.files.remove(&name_of(from)).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(name_of(to), content);
        Ok(())
    }

    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        let mut state = self.0.borrow_mut();
        let name = name_of(path);
        let content = state.files.remove(&name).ok_or(io::ErrorKind::NotFound)?;
        state.removed.insert(name, content);
        Ok(())
    }

    pub(super) fn sync_folder(&self) -> io::Result<()> {
        self.step()?;
        let mut state = self.0.borrow_mut();
        if !state.lying {
            state.removed.clear();
            state.files.values_mut().for_each(|content| content.named = true);
        }
        Ok(())
    }
}
