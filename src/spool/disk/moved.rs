//! What others do to the folder and to its files: remove them, move them, replace them.
//!
//! This is checked before each write. Whatever can still be read (through a file that is open, or in a folder that was
//! moved) is kept: in the folder that the path leads to now, if possible, otherwise where it is. What can no longer be
//! read is lost and counted, except for documents that are in memory as well, which continue from there.

use super::survey::{self, SUMS, Survey, TEXT, blocks, name};
use super::{Disk, SaveError, Segment, SegmentId};
use crate::plural::counted;
use crate::spool::files::Folder;
use std::fmt::Write as _;
use std::io;
use std::rc::Rc;

/// What others have done, as far as the caller has to act on it.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Documents that waited on disk alone, and are lost.
    pub(crate) lost: u64,
    /// Documents that were in files without a name, and were written again.
    pub(crate) rescued: u64,
    /// Documents in the folder that the path leads to now, which have not been counted yet.
    pub(crate) found: u64,
    /// Segments that are no more; of their documents some are in memory.
    pub(crate) gone: Vec<SegmentId>,
    /// What has become of the folder, for a person.
    pub(crate) folder: Option<String>,
}

impl Changes {
    fn is_any(&self) -> bool {
        self.lost + self.rescued + self.found > 0 || !self.gone.is_empty() || self.folder.is_some()
    }
}

impl Disk {
    /// What others have done since this was last asked.
    pub(crate) fn take_changes(&mut self) -> Option<Changes> {
        self.changes.is_any().then(|| std::mem::take(&mut self.changes))
    }

    /// Sees to it that the path leads to the folder, that this is ours alone, and that names lead to what is written.
    ///
    /// # Errors
    /// Why nothing can be written; what can still be read can be read.
    pub(crate) fn look(&mut self) -> io::Result<()> {
        if self.home.is_at(&self.path) {
            survey::lock(&self.home, &self.path).map_err(|error| io::Error::other(error.to_string()))?;
        } else {
            self.move_home()?;
        }
        // More is to be written to them, or some of their documents are to leave the memory.
        let mut watched = self.segments.iter().filter(|segment| segment.handles.is_some() || segment.is_in_memory());
        if watched.any(|segment| !segment.is_in_place()) {
            self.forget_what_others_removed();
        }
        self.rescue()
    }

    /// The same for the last time, and at all segments: what no name leads to is lost when the process ends.
    ///
    /// # Errors
    /// As [`Disk::look`].
    pub(crate) fn look_at_last(&mut self) -> io::Result<()> {
        let looked = self.look();
        self.close();
        // Nobody can open the files any more that have lost one of their names, and could not be written again.
        while let Some(at) = self.segments.iter().position(Segment::is_nameless) {
            self.lose(at);
        }
        for segment in &mut self.segments {
            segment.handles = None;
        }
        self.forget_what_others_removed();
        looked
    }

    /// Goes on in the folder that the path leads to now, which is made if there is none.
    fn move_home(&mut self) -> io::Result<()> {
        let path = self.path.display();
        let is_back = |segment: &&Segment| segment.home.is_at(&self.path);
        let was_there = self.files.open(&self.path).is_ok();
        let (home, survey) = if let Some(segment) = self.segments.iter().find(is_back) {
            (Rc::clone(&segment.home), Survey::default())
        } else {
            let opened = survey::open_locked(&self.files, &self.path).map_err(|error| error.to_string());
            match opened.and_then(|home| Ok((Survey::of(&home).map_err(|error| error.to_string())?, home))) {
                Ok((survey, home)) => (Rc::new(home), survey),
                Err(error) if self.home.is_anywhere() => {
                    let message =
                        format!("the spool folder {path} was moved; still writing to it at its new location ({error})");
                    self.changes.folder = Some(message);
                    return Ok(());
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        };
        let what = match (was_there, self.home.is_anywhere()) {
            (true, _) => "was replaced",
            (false, true) => "was moved; creating a new one",
            (false, false) => "was removed; creating a new one",
        };
        let mut message = format!("the spool folder {path} {what}");
        self.is_writing = false;
        self.home = home;
        for bytes in std::mem::take(&mut self.set_aside).into_values() {
            self.used_bytes = self.used_bytes.saturating_sub(blocks(bytes));
        }
        if let Some(last) = survey.last_number() {
            self.next_number = self.next_number.max(last + 1);
        }
        self.changes.found += self.adopt(survey);
        self.carry_over();
        self.forget_what_others_removed();
        let stays = |segment: &&Segment| !Rc::ptr_eq(&segment.home, &self.home) && segment.is_in_place();
        let stay: u64 = self.segments.iter().filter(stays).map(|segment| segment.left).sum();
        if stay > 0 {
            // Writing into memory does not fail.
            let stay = counted(stay, "document");
            let _ = write!(message, "; {stay} left in the old one, shipped from there");
        }
        self.changes.folder = Some(message);
        self.drop_oldest(0);
        Ok(())
    }

    /// Brings the segments along that are in another folder, if the system lets it be done without copying.
    fn carry_over(&mut self) {
        let mut carried: Vec<(Rc<Folder>, u64)> = Vec::new();
        let mut next = 0;
        while let Some(segment) = self.segments.get(next) {
            let at = next;
            next += 1;
            if Rc::ptr_eq(&segment.home, &self.home) || !segment.is_in_place() {
                continue;
            }
            let (old, number) = (Rc::clone(&segment.home), segment.number);
            let new_number = self.take_number();
            let link = |kind| old.link(&name(number, kind), &self.home, &name(new_number, kind));
            // At each moment there is a text with its list. Twice is no harm.
            let linked =
                link(TEXT).and_then(|()| link(SUMS).inspect_err(|_| _ = self.home.remove(&name(new_number, TEXT))));
            if linked.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                // Without its list nothing of it can be told from damage, and no later start looks for it there. A person may.
                let _ = self.book_loss(at);
                next = at;
            } else if linked.is_ok() {
                let segment = &mut self.segments[at];
                (segment.home, segment.number, segment.handles) = (Rc::clone(&self.home), new_number, None);
                carried.push((old, number));
            }
        }
        if self.home.sync().is_ok() {
            for (old, number) in &carried {
                old.remove_segment(*number);
            }
        }
    }

    /// Books the loss of each segment whose files are gone.
    pub(super) fn forget_what_others_removed(&mut self) {
        let mut at = 0;
        while let Some(segment) = self.segments.get(at) {
            if segment.handles.is_none() && !segment.is_in_place() {
                self.lose(at);
            } else {
                at += 1;
            }
        }
    }

    pub(super) fn lose(&mut self, at: usize) {
        if let Some(segment) = self.book_loss(at) {
            segment.remove_files();
        }
    }

    fn book_loss(&mut self, at: usize) -> Option<Segment> {
        let segment = self.take_out(at)?;
        self.changes.lost += segment.waiting();
        if segment.is_in_memory() {
            self.changes.gone.push(segment.id);
        }
        Some(segment)
    }

    /// Writes again what is in files that are open, and that no name leads to.
    fn rescue(&mut self) -> io::Result<()> {
        let nameless = self.segments.iter().filter(|segment| segment.is_nameless());
        let nameless: Vec<SegmentId> = nameless.map(|segment| segment.id).collect();
        for id in nameless {
            let Some(at) = self.position(id) else { continue };
            // Nothing is written to it any more, whatever comes of this.
            self.is_writing &= at + 1 < self.segments.len();
            // What cannot be read for now is tried again before the next write.
            let Ok((checked, _)) = self.segments[at].read() else { continue };
            let Some(old) = self.take_out(at) else { continue };
            let waits = |place: u32| old.residence.as_ref().is_none_or(|residence| residence.waits_at(place));
            let places = checked.found.iter().map(|found| found.place).filter(|place| waits(*place));
            let rejected: Vec<bool> = places.map(|place| old.rejected.has(place)).collect();
            let waiting = match &old.residence {
                None => checked.bulk,
                Some(residence) => checked.bulk.select(|index| residence.waits_at(checked.found[index].place)),
            };
            if !waiting.is_empty() {
                self.close();
                match self.append(&waiting) {
                    Ok(_) => {}
                    Err(error) => {
                        self.put_in(at, old);
                        match error {
                            // It is shipped from where it is.
                            SaveError::TooLarge => continue,
                            SaveError::Io(error) => return Err(error),
                        }
                    }
                }
                if let Some(new) = self.segments.back_mut() {
                    (new.turn, new.refused) = (old.turn, old.refused);
                    let first = new.total - waiting.documents() as u64;
                    let places = (first..).zip(rejected).filter(|(_, is_rejected)| *is_rejected);
                    for place in places.filter_map(|(place, _)| u32::try_from(place).ok()) {
                        new.rejected.insert(place);
                    }
                }
            }
            let rescued = waiting.documents() as u64;
            self.changes.rescued += rescued;
            self.changes.lost += old.waiting() - rescued;
            if old.is_in_memory() {
                self.changes.gone.push(id);
            }
            old.remove_files();
        }
        Ok(())
    }

    /// Puts a segment into the books again.
    fn put_in(&mut self, at: usize, segment: Segment) {
        self.close();
        self.documents += segment.left;
        self.used_bytes = self.used_bytes.saturating_add(segment.used_bytes());
        self.segments.insert(at.min(self.segments.len()), segment);
    }
}
