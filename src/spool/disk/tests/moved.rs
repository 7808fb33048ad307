//! Others remove, move and replace the folder and its content while it is open.

use super::*;
use std::fs;
use std::os::unix::fs::symlink;

/// A folder to be moved about, a disk that is open there, and all that it has taken.
struct World {
    root: tempfile::TempDir,
    disk: Disk,
    ids: IdSource,
    saved: BTreeSet<Vec<u8>>,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let disk = Disk::open(Files::System, &root.path().join("spool"), BOUNDS).unwrap();
        Self { root, disk, ids: IdSource::new([7; 9]), saved: BTreeSet::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn files(&self, folder: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path(folder)).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> = entries.filter(|path| !path.ends_with("lock")).collect();
        files.sort();
        files
    }

    fn save(&mut self, number: usize) -> BTreeSet<Vec<u8>> {
        let bulk = bulk(&mut self.ids, number);
        self.disk.save(&bulk, Tried::No).unwrap();
        let saved = documents(&bulk);
        self.saved.extend(saved.iter().cloned());
        saved
    }

    /// Two segments that are full, and one that is being written.
    fn fill(&mut self) -> [BTreeSet<Vec<u8>>; 3] {
        [self.save(6), self.save(6), self.save(2)]
    }

    /// What was lost and what was rescued since this was last asked.
    fn changes(&mut self) -> (u64, u64, u64) {
        let Changes { lost, rescued, found, .. } = self.disk.take_changes().unwrap_or_default();
        (lost, rescued, found)
    }

    /// What is found by whoever opens the folder after this.
    fn next_start(self) -> (BTreeSet<Vec<u8>>, tempfile::TempDir) {
        drop(self.disk);
        let mut disk = Disk::open(Files::System, &self.root.path().join("spool"), BOUNDS).unwrap();
        (drain(&mut disk), self.root)
    }
}

#[test]
fn a_folder_that_is_moved_away_is_made_anew_and_everything_comes_along() {
    let nothing_there = |_: &World| {};
    let another = |world: &World| fs::create_dir(world.path("spool")).unwrap();
    let a_link = |world: &World| {
        fs::create_dir(world.path("elsewhere")).unwrap();
        symlink(world.path("elsewhere"), world.path("spool")).unwrap();
    };
    for put in [&nothing_there as &dyn Fn(&World), &another, &a_link] {
        let mut world = World::new();
        world.fill();
        fs::rename(world.path("spool"), world.path("away")).unwrap();
        put(&world);
        world.save(2);
        assert_eq!(world.changes(), (0, 0, 0));
        assert_eq!((world.disk.documents(), world.files("away").len()), (16, 0));
        assert!(Disk::open(Files::System, &world.path("spool"), BOUNDS).is_err(), "the new one is locked");
        world.save(3);
        let saved = world.saved.clone();
        assert_eq!(world.next_start().0, saved);
    }
}

#[test]
fn what_is_in_the_folder_that_takes_the_place_is_found() {
    let mut world = World::new();
    world.fill();
    let mut other = Disk::open(Files::System, &world.path("other"), BOUNDS).unwrap();
    let theirs = bulk(&mut IdSource::new([9; 9]), 5);
    other.save(&theirs, Tried::No).unwrap();
    drop(other);
    fs::rename(world.path("spool"), world.path("away")).unwrap();
    fs::rename(world.path("other"), world.path("spool")).unwrap();
    world.save(2);
    assert_eq!((world.changes(), world.disk.documents()), ((0, 0, 5), 21));
    // Away and back again, in both ways.
    fs::rename(world.path("spool"), world.path("other")).unwrap();
    fs::rename(world.path("away"), world.path("spool")).unwrap();
    world.save(2);
    assert_eq!((world.changes(), world.disk.documents()), ((0, 0, 0), 23));
    world.saved.extend(documents(&theirs));
    let saved = world.saved.clone();
    assert_eq!(world.next_start().0, saved);
}

#[test]
fn of_a_folder_that_is_removed_what_is_open_is_kept_and_the_rest_is_counted() {
    for is_made_again in [false, true] {
        let mut world = World::new();
        let [_, _, open] = world.fill();
        fs::remove_dir_all(world.path("spool")).unwrap();
        if is_made_again {
            fs::create_dir(world.path("spool")).unwrap();
        }
        let kept = [open, world.save(1)].concat_all();
        assert_eq!((world.changes(), world.disk.documents()), ((12, 2, 0), 3), "{is_made_again}");
        let kept = [kept, world.save(1)].concat_all();
        assert_eq!((world.changes(), world.next_start().0), ((0, 0, 0), kept));
    }
}

#[test]
fn of_files_that_are_removed_or_replaced_what_is_open_is_kept_and_the_rest_is_counted() {
    for (which, lost) in [(&["ndjson", "sums"][..], 12), (&["ndjson"], 12), (&["sums"], 0)] {
        for is_replaced in [false, true] {
            let mut world = World::new();
            let [first, second, open] = world.fill();
            for file in world.files("spool") {
                if which.iter().any(|kind| file.extension().is_some_and(|found| found == *kind)) {
                    fs::remove_file(&file).unwrap();
                    // The last ones are those that are open.
                    if is_replaced && file.display().to_string().contains("0000000002.") {
                        fs::write(&file, "theirs").unwrap();
                    }
                }
            }
            let kept = [open, world.save(1)].concat_all();
            assert_eq!(world.changes(), (lost, 2, 0), "{which:?}");
            assert_eq!(world.disk.documents(), 15 - lost, "{which:?}");
            let found = drain(&mut world.disk);
            let lists_missing = which == ["sums"];
            let closed = if lists_missing { BTreeSet::new() } else { [first, second].concat_all() };
            assert!(kept.is_subset(&found) && found.is_disjoint(&closed), "{which:?}");
            let theirs = fs::read(world.path("spool/0000000002.").with_extension(which[0])).ok();
            assert_eq!(theirs.as_deref(), is_replaced.then_some(&b"theirs"[..]), "what others have put there stays");
        }
    }
}

#[test]
fn one_file_that_others_move_away_costs_its_documents_only_and_is_told_from_damage() {
    let mut world = World::new();
    let [first, ..] = world.fill();
    fs::rename(text_path(&world.path("spool"), 0), world.path("theirs")).unwrap();
    let found = drain(&mut world.disk);
    assert_eq!((world.changes(), found), ((6, 0, 0), &world.saved - &first));
    assert!(fs::read_dir(world.path("spool")).unwrap().all(|entry| entry.unwrap().file_name() == "lock"));
}

#[test]
fn what_is_in_memory_when_its_segment_is_removed_is_in_memory_alone() {
    for is_noticed_by_a_write in [false, true] {
        let mut world = World::new();
        let sending = bulk(&mut world.ids, 3);
        let id = world.disk.save_copy(&sending).unwrap();
        for file in world.files("spool") {
            fs::remove_file(file).unwrap();
        }
        if is_noticed_by_a_write {
            world.save(1);
        }
        assert!(!world.disk.unload(id, &sending, Tried::No));
        let changes = world.disk.take_changes().unwrap();
        assert_eq!((changes.lost, changes.gone), (0, vec![id]), "{is_noticed_by_a_write}");
        assert_eq!(world.disk.documents(), u64::from(is_noticed_by_a_write));
        // It is taken for one that was never saved.
        world.disk.save(&sending, Tried::No).unwrap();
        world.saved.extend(documents(&sending));
        let saved = world.saved.clone();
        assert_eq!(world.next_start().0, saved);
    }
}

#[test]
fn where_no_folder_can_be_it_goes_on_in_the_one_that_was_moved() {
    let root = tempfile::tempdir().unwrap();
    let (above, away) = (root.path().join("above"), root.path().join("away"));
    let mut ids = IdSource::new([0; 9]);
    let mut disk = Disk::open(Files::System, &above.join("spool"), BOUNDS).unwrap();
    let [first, second, third] = [4, 5, 6].map(|number| bulk(&mut ids, number));
    disk.save(&first, Tried::No).unwrap();
    fs::rename(&above, &away).unwrap();
    fs::write(&above, "no folder").unwrap();
    disk.save(&second, Tried::No).unwrap();
    let said = disk.take_changes().unwrap().folder.unwrap();
    assert!(
        said.contains("was moved; still writing to it at its new location (cannot use the spool folder "),
        "{said}"
    );
    assert_eq!(disk.documents(), 9);
    fs::remove_file(&above).unwrap();
    disk.save(&third, Tried::No).unwrap();
    assert!(disk.take_changes().unwrap().folder.unwrap().ends_with("was moved; creating a new one"));
    drop(disk);
    let found = drain(&mut Disk::open(Files::System, &above.join("spool"), BOUNDS).unwrap());
    assert_eq!(found, [first, second, third].iter().flat_map(documents).collect());
}

#[test]
fn what_cannot_be_moved_to_the_new_folder_is_shipped_from_the_old_one() {
    let simulated = simulated::Disk::default();
    simulated.part();
    let mut disk = open(Files::Simulated(simulated.clone()));
    let mut ids = IdSource::new([0; 9]);
    let all: Vec<Bulk> = [6, 6, 2, 3].map(|number| bulk(&mut ids, number)).into();
    all[..3].iter().for_each(|bulk| disk.save(bulk, Tried::No).unwrap());
    simulated.move_folder();
    disk.save(&all[3], Tried::No).unwrap();
    let said = disk.take_changes().unwrap().folder.unwrap();
    assert!(said.ends_with("14 documents left in the old one, shipped from there"), "{said}");
    assert_eq!(drain(&mut disk), all.iter().flat_map(documents).collect());
    assert_eq!(simulated.used(), 0);
}

#[test]
fn a_folder_that_another_one_has_by_now_is_not_written_to() {
    let mut world = World::new();
    world.fill();
    fs::remove_dir_all(world.path("spool")).unwrap();
    let other = Disk::open(Files::System, &world.path("spool"), BOUNDS).unwrap();
    let more = bulk(&mut world.ids, 1);
    let error = world.disk.save(&more, Tried::No).unwrap_err();
    assert!(matches!(&error, SaveError::Io(error) if error.to_string().contains("is in use by process")), "{error:?}");
    assert_eq!(world.changes(), (0, 0, 0), "nothing is decided yet");
    drop(other);
    world.disk.save(&more, Tried::No).unwrap();
    assert_eq!((world.changes(), world.disk.documents()), ((12, 2, 0), 3));
}

#[test]
fn a_full_disk_keeps_what_is_open_from_being_written_again_but_not_from_being_shipped() {
    let simulated = simulated::Disk::default();
    let mut disk = open(Files::Simulated(simulated.clone()));
    let mut ids = IdSource::new([0; 9]);
    let (first, second) = (bulk(&mut ids, 5), bulk(&mut ids, 1));
    disk.save(&first, Tried::No).unwrap();
    simulated.remove_files(|| true);
    // Reading the file works, writing another one does not.
    simulated.fail_from(Some(simulated.steps() + 2));
    disk.save(&second, Tried::No).unwrap_err();
    simulated.fail_from(None);
    assert_eq!(disk.documents(), 5);
    let part = disk.load_next(200, false).unwrap().unwrap();
    assert!((1..5).contains(&part.bulk.documents()), "{}", part.bulk.documents());
    disk.done(part.id, part.bulk.documents() as u64);
    let rest = drain(&mut disk);
    assert_eq!(&rest | &documents(&part.bulk), documents(&first));
    assert!(disk.take_changes().is_none(), "nothing is lost");
}

#[test]
fn whatever_others_do_each_document_is_there_or_counted() {
    let mut rescued_ever = 0;
    for seed in 0..3000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let simulated = simulated::Disk::default();
        if random.u8(..4) == 0 {
            simulated.part();
        }
        let mut disk = open(Files::Simulated(simulated.clone()));
        let (mut ids, mut lost, mut damaged) = (IdSource::new([4; 9]), 0, 0);
        let (mut all, mut done, mut away) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        let mut out: Vec<(SegmentId, Bulk)> = Vec::new();
        for _ in 0..random.u8(5..40) {
            match random.u8(..8) {
                0..=2 => {
                    let bulk = bulk(&mut ids, random.usize(1..8));
                    all.extend(documents(&bulk));
                    disk.save(&bulk, *random.choice(&TRIED).unwrap()).unwrap();
                }
                3 => {
                    if let Some(loaded) = load_some(&mut disk, &mut random) {
                        damaged += loaded.damaged;
                        out.extend(Some((loaded.id, loaded.bulk)).filter(|(_, bulk)| !bulk.is_empty()));
                    }
                }
                4 if !out.is_empty() => {
                    let (id, bulk) = out.swap_remove(random.usize(..out.len()));
                    if random.bool() || !disk.unload(id, &bulk, *random.choice(&TRIED).unwrap()) {
                        assert!(documents(&bulk).iter().all(|document| done.insert(document.clone())), "seed {seed}");
                        disk.done(id, bulk.documents() as u64);
                    }
                }
                5 => simulated.remove_files(|| random.u8(..3) == 0),
                6 => match random.u8(..4) {
                    0 => simulated.remove_folder(),
                    1 => away.extend(simulated.move_folder()),
                    2 => simulated.put_folder(None),
                    _ if !away.is_empty() => simulated.put_folder(Some(away.swap_remove(random.usize(..away.len())))),
                    _ => {}
                },
                _ => _ = disk.look(),
            }
            let changes = disk.take_changes().unwrap_or_default();
            lost += changes.lost;
            rescued_ever += changes.rescued;
            // They go on from the memory.
            out.retain(|(id, bulk)| {
                let is_gone = changes.gone.contains(id);
                if is_gone {
                    done.extend(documents(bulk));
                }
                !is_gone
            });
            let in_memory_too: u64 = out.iter().map(|(_, bulk)| bulk.documents() as u64).sum();
            assert!(disk.documents() >= in_memory_too, "seed {seed}");
        }
        for (id, bulk) in out {
            disk.done(id, bulk.documents() as u64);
            done.extend(documents(&bulk));
        }
        while let Some(loaded) = load(&mut disk) {
            done.extend(documents(&loaded.bulk));
            disk.done(loaded.id, loaded.bulk.documents() as u64);
            damaged += loaded.damaged;
        }
        lost += disk.take_changes().map_or(0, |changes| changes.lost);
        assert!(done.is_subset(&all), "seed {seed}");
        let missing = all.difference(&done).count() as u64;
        assert!(missing <= lost + damaged, "seed {seed}: {missing} are missing, {lost} lost, {damaged} damaged");
        assert_eq!(disk.documents(), 0, "seed {seed}");
    }
    assert!(rescued_ever > 1000, "{rescued_ever}");
}

trait ConcatAll {
    fn concat_all(self) -> BTreeSet<Vec<u8>>;
}

impl<const N: usize> ConcatAll for [BTreeSet<Vec<u8>>; N] {
    fn concat_all(self) -> BTreeSet<Vec<u8>> {
        self.into_iter().flatten().collect()
    }
}
