//! For fuzzing: opens a spool folder with arbitrary content, and does with its documents all that is done later, but without
//! a server.

use super::dead_letters::letter;
use super::elasticsearch::verdict::DeadLetter;
use crate::bulk::Bulk;
use crate::calendar::Timestamp;
use crate::spool::disk::{self, Bounds, Disk, SegmentId, Survey, Tried};
use crate::spool::files::Files;
use std::path::Path;

/// An open folder.
pub struct FolderTrial {
    disk: Disk,
    /// Whether refused documents are loaded before others. It changes after an error, so that the other kind comes next.
    refused_first: bool,
}

/// Documents that were loaded from the folder, in the forms in which they would be sent and kept.
pub struct FolderLoad {
    id: SegmentId,
    bulk: Bulk,
    /// The documents with their action lines.
    pub documents: Vec<Vec<u8>>,
    /// The same with mapping types.
    pub typed: Vec<Vec<u8>>,
    /// The dead letter of each document, as if all were refused for good.
    pub letters: Vec<Vec<u8>>,
    /// Documents that were found to be damaged.
    pub damaged: u64,
}

impl FolderTrial {
    /// Opens a folder.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn open(folder: &Path, bytes_max: u64) -> Result<Self, String> {
        let bounds = Bounds { bytes_max, segment_bytes_max: 1 << 20, segment_documents_max: 500 };
        let disk = Disk::open(Files::System, folder, bounds).map_err(|error| error.to_string())?;
        Ok(Self { disk, refused_first: false })
    }

    /// What `spool dump` prints. Segments that cannot be read are skipped.
    ///
    /// # Errors
    /// The system's error about the folder.
    pub fn dump(folder: &Path) -> std::io::Result<Vec<u8>> {
        let folder = Files::System.open(folder)?;
        let segments = Survey::of(&folder)?.segments.into_iter();
        let read = segments.filter_map(|segment| disk::read_segment(&folder, segment).ok());
        Ok(read.flat_map(|(checked, _)| checked.bulk.bytes().to_vec()).collect())
    }

    /// The number of documents that are not done, as far as is known.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.disk.documents()
    }

    /// The number of documents that were removed by others, or dropped to make room, since the last call.
    pub fn lost(&mut self) -> u64 {
        self.disk.take_changes().map_or(0, |changes| changes.lost) + self.disk.take_dropped().documents
    }

    /// Loads the next documents, at most `bytes_max` bytes. Returns `None` if there are none.
    ///
    /// # Errors
    /// The system's error. The next call loads other documents.
    pub fn load(&mut self, bytes_max: usize) -> Result<Option<FolderLoad>, String> {
        for refused in [self.refused_first, !self.refused_first] {
            match self.disk.load_next(bytes_max, refused) {
                Ok(None) => {}
                Ok(Some(loaded)) => return Ok(Some(FolderLoad::new(loaded.id, loaded.bulk, loaded.damaged))),
                Err(error) => {
                    self.refused_first = !refused;
                    return Err(error.to_string());
                }
            }
        }
        Ok(None)
    }

    /// Marks loaded documents as done, or puts them back so that they are loaded again.
    pub fn end(&mut self, load: &FolderLoad, is_done: bool, is_refused: bool) {
        if is_done {
            self.disk.done(load.id, load.bulk.documents() as u64);
        } else {
            self.disk.unload(load.id, &load.bulk, if is_refused { Tried::Refused } else { Tried::No });
        }
    }
}

impl FolderLoad {
    fn new(id: SegmentId, bulk: Bulk, damaged: u64) -> Self {
        let all = |bulk: &Bulk| (0..bulk.documents()).map(|index| bulk.document(index).to_vec()).collect::<Vec<_>>();
        let documents = all(&bulk);
        let typed = bulk.typed(|index, name| if name.is_empty() { index } else { name });
        let line_of = |index: usize| {
            let letter = DeadLetter { index, status: 400, reason: "reason".to_owned(), message: "\n\"".to_owned() };
            let mut line = Vec::new();
            letter::write(&mut line, "es", &letter, bulk.document(index), Timestamp::EPOCH);
            line
        };
        let letters = (0..bulk.documents()).map(line_of).collect();
        // The documents are the same in whatever portions they are sent.
        let portions = bulk.portions(3, 200).into_iter().flat_map(|portion| {
            let [first, second] = portion.halves();
            [all(&first), all(&second)].concat()
        });
        assert!(portions.eq(documents.iter().cloned()), "portions and halves are all of it, in order");
        Self { id, documents, typed: all(&typed), letters, damaged, bulk }
    }
}
