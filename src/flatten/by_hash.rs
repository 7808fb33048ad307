//! A table of what is told by hashes, within an arena.

use bumpalo::Bump;
use hashbrown::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// There is no room for a table in the arena.
#[derive(Debug)]
pub(super) struct NoRoom;

/// Values by hashes; each hash has the default value until it is given another one.
pub(super) struct ByHash<'a, V> {
    values: HashMap<u64, V, BuildHasherDefault<Hashed>, &'a Bump>,
}

/// Hashes what is a hash already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, &byte| hash.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl<'a, V: Copy + Default> ByHash<'a, V> {
    /// With room for so many hashes at once: what is outgrown stays in the arena until it is reset.
    pub(super) fn new(hashes: usize, arena: &'a Bump) -> Result<Self, NoRoom> {
        let mut values = HashMap::with_hasher_in(BuildHasherDefault::default(), arena);
        values.try_reserve(hashes).map_err(|_| NoRoom)?;
        Ok(Self { values })
    }

    pub(super) fn get(&self, hash: u64) -> V {
        self.values.get(&hash).copied().unwrap_or_default()
    }

    pub(super) fn get_mut(&mut self, hash: u64) -> Result<&mut V, NoRoom> {
        self.values.try_reserve(1).map_err(|_| NoRoom)?;
        Ok(self.values.entry(hash).or_default())
    }
}
