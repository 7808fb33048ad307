//! A hash table in an arena, whose entries are identified by their hashes alone.

use bumpalo::Bump;
use hashbrown::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

pub(crate) const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a. Names in indices contain such hashes and stay there for years, so the function may never change.
pub(crate) fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The arena has no room for a table.
#[derive(Debug)]
pub(crate) struct NoRoom;

/// Values by hashes. A hash has the default value until it gets another one.
pub(crate) struct ByHash<'a, V> {
    values: HashMap<u64, V, BuildHasherDefault<Hashed>, &'a Bump>,
}

/// A hasher for keys that are hashes already.
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
    /// A table with room for so many hashes. If it has to grow, the memory that it leaves stays in the arena until that
    /// is reset.
    pub(crate) fn new(hashes: usize, arena: &'a Bump) -> Result<Self, NoRoom> {
        let mut values = HashMap::with_hasher_in(BuildHasherDefault::default(), arena);
        values.try_reserve(hashes).map_err(|_| NoRoom)?;
        Ok(Self { values })
    }

    pub(crate) fn get(&self, hash: u64) -> V {
        self.values.get(&hash).copied().unwrap_or_default()
    }

    pub(crate) fn get_mut(&mut self, hash: u64) -> Result<&mut V, NoRoom> {
        self.values.try_reserve(1).map_err(|_| NoRoom)?;
        Ok(self.values.entry(hash).or_default())
    }
}
