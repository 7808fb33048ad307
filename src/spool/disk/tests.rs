mod moved;

use super::super::files::simulated;
use super::load::Loaded;
use super::*;
use crate::bulk::{ActionLine, Bulk, DocumentKey, IdSource};
use crate::calendar::Timestamp;
use std::collections::BTreeSet;

const BOUNDS: Bounds = Bounds { bytes_max: 1 << 20, segment_bytes_max: 600, segment_documents_max: 6 };

fn bulk(ids: &mut IdSource, documents: usize) -> Bulk {
    let mut bulk = Bulk::default();
    for number in 0..documents {
        let key = DocumentKey { time: Timestamp::EPOCH, id: ids.next_id() };
        bulk.push(&mut ActionLine::new("i"), key, format!("{{\"n\":{number}}}").as_bytes());
    }
    bulk
}

fn documents(bulk: &Bulk) -> BTreeSet<Vec<u8>> {
    (0..bulk.documents()).map(|index| bulk.document(index).to_vec()).collect()
}

fn open(files: Files) -> Disk {
    Disk::open(files, Path::new("spool"), BOUNDS).unwrap()
}

/// Everything that a folder holds; each document once.
fn drain(disk: &mut Disk) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    while let Some(loaded) = load(disk) {
        found.extend(documents(&loaded.bulk));
        disk.done(loaded.id, loaded.bulk.documents() as u64);
    }
    assert_eq!(disk.documents(), 0);
    found
}

/// A whole segment.
fn load(disk: &mut Disk) -> Option<Loaded> {
    [false, true].into_iter().find_map(|refused| disk.load_next(usize::MAX, refused).ok().flatten())
}

/// Some documents of a segment, of either kind.
fn load_some(disk: &mut Disk, random: &mut fastrand::Rng) -> Option<Loaded> {
    let first = random.bool();
    [first, !first].into_iter().find_map(|refused| disk.load_next(random.usize(1..600), refused).unwrap())
}

const TRIED: [Tried; 3] = [Tried::No, Tried::Refused, Tried::Rejected];

/// What must and what may be on a disk.
#[derive(Default)]
struct Expected {
    safe: BTreeSet<Vec<u8>>,
    ever: BTreeSet<Vec<u8>>,
}

/// One of everything that a recorder does with its disk; what fails is left out. Stops if the folder cannot be opened.
fn exercise(files: &Files, expected: &mut Expected) {
    let Ok(mut disk) = Disk::open(files.clone(), Path::new("spool"), BOUNDS) else { return };
    let mut ids = IdSource::new([3; 9]);
    for round in 0..3 {
        for size in [1, 4, 2, 7] {
            let bulk = bulk(&mut ids, size);
            expected.ever.extend(documents(&bulk));
            if disk.save(&bulk, Tried::No).is_ok() {
                expected.safe.extend(documents(&bulk));
            }
        }
        let apart = bulk(&mut ids, 3);
        expected.ever.extend(documents(&apart));
        if let Ok(id) = disk.save_copy(&apart) {
            expected.safe.extend(documents(&apart));
            if round == 1 {
                disk.unload(id, &apart, Tried::No);
            } else {
                expected.safe.retain(|document| !documents(&apart).contains(document));
                disk.done(id, 3);
            }
        }
        if let Some(loaded) = load(&mut disk) {
            let loaded_documents = documents(&loaded.bulk);
            expected.safe.retain(|document| !loaded_documents.contains(document));
            disk.done(loaded.id, loaded.bulk.documents() as u64);
        }
        if let Some(loaded) = load(&mut disk).filter(|loaded| loaded.bulk.documents() > 1) {
            // In part: the files stay whole.
            expected.safe.remove(loaded.bulk.document(0));
            disk.done(loaded.id, 1);
            disk.unload(loaded.id, &loaded.bulk.select(|index| index > 0), Tried::No);
        }
    }
}

/// After whatever has happened: it opens, has what is safe, and nothing that never was.
fn check(files: &Files, expected: &Expected, what: &str) {
    let found = drain(&mut open(files.clone()));
    let missing = expected.safe.difference(&found).count();
    assert_eq!(missing, 0, "{what}: documents that were safe are missing");
    assert!(found.is_subset(&expected.ever), "{what}: something was found that never was there");
}

fn steps_of_all() -> u64 {
    let simulated = simulated::Disk::default();
    exercise(&Files::Simulated(simulated.clone()), &mut Expected::default());
    simulated.steps()
}

#[test]
fn whichever_operation_fails_what_was_taken_is_there() {
    let steps = steps_of_all();
    assert!(steps > 100, "only {steps} operations");
    for step in 0..steps {
        for (kind, once) in [("once", true), ("from then on", false)] {
            let simulated = simulated::Disk::default();
            simulated.fail_at(once.then_some(step));
            simulated.fail_from((!once).then_some(step));
            let (files, mut expected) = (Files::Simulated(simulated.clone()), Expected::default());
            exercise(&files, &mut expected);
            simulated.fail_at(None);
            simulated.fail_from(None);
            check(&files, &expected, &format!("operation {step} fails {kind}"));
        }
    }
}

#[test]
fn whenever_the_power_goes_what_was_synced_is_there() {
    let steps = steps_of_all();
    for step in 0..=steps {
        for seed in 0..20 {
            let simulated = simulated::Disk::default();
            simulated.fail_from(Some(step));
            let (files, mut expected) = (Files::Simulated(simulated.clone()), Expected::default());
            exercise(&files, &mut expected);
            simulated.crash(&mut fastrand::Rng::with_seed(seed));
            check(&files, &expected, &format!("power lost at operation {step}, seed {seed}"));
        }
    }
}

#[test]
fn a_disk_that_lies_about_syncs_or_is_damaged_opens_and_gives_nothing_false() {
    for seed in 0..2000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let simulated = simulated::Disk::default();
        if random.bool() {
            simulated.lie();
        }
        let (files, mut expected) = (Files::Simulated(simulated.clone()), Expected::default());
        exercise(&files, &mut expected);
        simulated.crash(&mut random);
        for _ in 0..random.u8(..8) {
            simulated.damage(&mut random);
        }
        expected.safe.clear();
        check(&files, &expected, &format!("seed {seed}"));
    }
}

#[test]
fn damage_costs_what_is_damaged_and_is_counted_and_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let mut ids = IdSource::new([0; 9]);
    let saved = bulk(&mut ids, 5);
    Disk::open(Files::System, folder.path(), BOUNDS).unwrap().save(&saved, Tried::No).unwrap();
    let text = text_path(folder.path(), 0);
    assert_eq!(std::fs::read(&text).unwrap(), saved.bytes(), "the file is what curl would send");
    let mut bytes = saved.bytes().to_vec();
    let at = saved.document(0).len() + saved.document(1).len() + 12;
    bytes[at] ^= 1;
    std::fs::write(&text, &bytes).unwrap();

    let mut disk = Disk::open(Files::System, folder.path(), BOUNDS).unwrap();
    assert_eq!(disk.documents(), 5);
    let loaded = load(&mut disk).unwrap();
    assert_eq!((loaded.bulk.documents(), loaded.counted, loaded.damaged, disk.documents()), (4, 1, 1, 4));
    assert_eq!(std::fs::read(damaged_path(folder.path(), 0)).unwrap().len(), saved.document(2).len());
    disk.unload(loaded.id, &loaded.bulk, Tried::No);
    let again = load(&mut disk).unwrap();
    assert_eq!((again.bulk.documents(), again.counted, again.damaged), (4, 0, 0), "counted once");
    disk.done(again.id, 4);
    assert!(!text.exists() && damaged_path(folder.path(), 0).exists());
}

#[test]
fn documents_come_into_memory_and_go_back_in_any_order_and_none_twice() {
    for seed in 0..500 {
        let mut random = fastrand::Rng::with_seed(seed);
        let simulated = simulated::Disk::default();
        let mut disk = open(Files::Simulated(simulated.clone()));
        let (mut ids, mut all) = (IdSource::new([0; 9]), BTreeSet::new());
        for _ in 0..4 {
            let bulk = bulk(&mut ids, random.usize(1..9));
            all.extend(documents(&bulk));
            disk.save(&bulk, *random.choice(&TRIED).unwrap()).unwrap();
        }
        let (mut out, mut done) = (Vec::new(), BTreeSet::new());
        while disk.documents() > 0 {
            let loads = out.is_empty() || random.u8(..3) > 0;
            if let Some(loaded) = loads.then(|| load_some(&mut disk, &mut random)).flatten() {
                for part in loaded.bulk.portions(random.usize(1..4), 600) {
                    out.push((loaded.id, part));
                }
            } else if !out.is_empty() {
                let (id, part) = out.swap_remove(random.usize(..out.len()));
                match random.u8(..3) {
                    0 | 1 => assert!(disk.unload(id, &part, *random.choice(&TRIED).unwrap())),
                    _ => {
                        let before = done.len() + part.documents();
                        done.extend(documents(&part));
                        assert_eq!(done.len(), before, "seed {seed}: none comes that is done");
                        disk.done(id, part.documents() as u64);
                    }
                }
            }
            assert_eq!(disk.documents() + done.len() as u64, all.len() as u64, "seed {seed}");
        }
        assert_eq!((done, simulated.used()), (all, 0), "seed {seed}");
    }
}

#[test]
fn what_was_refused_comes_behind_what_was_not_and_in_turn() {
    let mut disk = open(Files::Simulated(simulated::Disk::default()));
    let mut ids = IdSource::new([0; 9]);
    let all: Vec<Bulk> = (0..4).map(|_| bulk(&mut ids, 6)).collect();
    // A segment each; the third was refused before.
    all.iter()
        .enumerate()
        .for_each(|(at, bulk)| disk.save(bulk, if at == 2 { Tried::Refused } else { Tried::No }).unwrap());
    let mut order = Vec::new();
    for _ in 0..9 {
        let loaded = load(&mut disk).unwrap();
        order.push(all.iter().position(|bulk| bulk.bytes() == loaded.bulk.bytes()).unwrap());
        disk.unload(loaded.id, &loaded.bulk, Tried::Refused);
    }
    assert_eq!(order, [0, 1, 3, 2, 0, 1, 3, 2, 0]);
}

#[test]
fn what_cannot_be_read_for_now_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let saved = bulk(&mut IdSource::new([0; 9]), 5);
    Disk::open(Files::System, folder.path(), BOUNDS).unwrap().save(&saved, Tried::No).unwrap();
    let (text, elsewhere) = (text_path(folder.path(), 0), folder.path().join("elsewhere"));
    let mut disk = Disk::open(Files::System, folder.path(), BOUNDS).unwrap();
    // A folder opens, but gives an error when it is read.
    std::fs::rename(&text, &elsewhere).unwrap();
    std::fs::create_dir(&text).unwrap();
    disk.load_next(usize::MAX, false).unwrap_err();
    assert_eq!((disk.documents(), disk.waiting(false), disk.waiting(true)), (5, 5, 0));
    std::fs::remove_dir(&text).unwrap();
    std::fs::rename(&elsewhere, &text).unwrap();
    let loaded = load(&mut disk).unwrap();
    assert_eq!((loaded.bulk.bytes(), loaded.damaged), (saved.bytes(), 0));
}

#[test]
fn files_that_are_not_ours_are_left_alone_whatever_their_number() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["18446744073709551615.ndjson", "00000000007.ndjson", "+000000009.ndjson", "0000000001.sums"];
    for name in names {
        std::fs::write(folder.path().join(name), "theirs").unwrap();
    }
    let mut ids = IdSource::new([0; 9]);
    let (first, second) = (bulk(&mut ids, 5), bulk(&mut ids, 6));
    Disk::open(Files::System, folder.path(), BOUNDS).unwrap().save(&first, Tried::No).unwrap();
    let mut disk = Disk::open(Files::System, folder.path(), BOUNDS).unwrap();
    disk.save(&second, Tried::No).unwrap();
    // A file appears under the number that comes next: the one behind it is taken.
    let taken = folder.path().join(name(4, SUMS));
    std::fs::write(&taken, "theirs").unwrap();
    disk.save(&bulk(&mut ids, 6), Tried::No).unwrap();
    assert_eq!(std::fs::read(&taken).unwrap(), b"theirs");
    assert!(!text_path(folder.path(), 4).exists());
    for theirs in &names[..3] {
        assert_eq!(std::fs::read(folder.path().join(theirs)).unwrap(), b"theirs", "{theirs}");
    }
    let whole = documents(&first).len() + documents(&second).len() + 6;
    assert_eq!(drain(&mut disk).len(), whole);
}

#[test]
fn a_segment_without_its_list_is_set_aside_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let saved = bulk(&mut IdSource::new([0; 9]), 5);
    Disk::open(Files::System, folder.path(), BOUNDS).unwrap().save(&saved, Tried::No).unwrap();
    std::fs::remove_file(folder.path().join("0000000000.sums")).unwrap();
    let mut disk = Disk::open(Files::System, folder.path(), BOUNDS).unwrap();
    assert_eq!(disk.documents(), 0);
    let loaded = load(&mut disk).unwrap();
    assert_eq!((loaded.bulk.documents(), loaded.counted, loaded.damaged), (0, 0, 5));
    assert_eq!(std::fs::read(damaged_path(folder.path(), 0)).unwrap(), saved.bytes());
}

#[test]
fn a_folder_stays_within_its_bytes_and_the_oldest_go_first() {
    let simulated = simulated::Disk::default();
    let bounds = Bounds { bytes_max: 64 << 10, segment_bytes_max: 6000, segment_documents_max: 1000 };
    let mut disk = Disk::open(Files::Simulated(simulated.clone()), Path::new("spool"), bounds).unwrap();
    let (mut ids, mut all, mut dropped) = (IdSource::new([0; 9]), Vec::new(), 0);
    for _ in 0..200 {
        let bulk = bulk(&mut ids, 9);
        disk.save(&bulk, Tried::No).unwrap();
        all.extend((0..9).map(|index| bulk.document(index).to_vec()));
        dropped += disk.take_dropped().documents;
        assert!(simulated.used() <= bounds.bytes_max);
        assert_eq!(disk.documents() + dropped, all.len() as u64);
    }
    assert!(dropped > 0);
    let kept = drain(&mut disk);
    assert!(kept.len() > 300, "what fits is kept: {}", kept.len());
    assert_eq!(kept, all.split_off(all.len() - kept.len()).into_iter().collect(), "the newest are kept");
    // What is on its way is not dropped; if nothing else is left, the new ones are not taken.
    disk.save(&bulk(&mut ids, 100), Tried::No).unwrap();
    let loaded = load(&mut disk).unwrap();
    assert!(disk.save(&bulk(&mut ids, 1000), Tried::No).is_err());
    assert_eq!((disk.documents(), loaded.bulk.documents()), (100, 100));
    assert_eq!(disk.take_dropped().documents, 0);
    // What can never fit, or not beside what is on its way, costs nothing that waits.
    disk.save(&bulk(&mut ids, 100), Tried::No).unwrap();
    assert!(matches!(disk.save(&bulk(&mut ids, 2000), Tried::No), Err(SaveError::TooLarge)));
    assert!(matches!(disk.save(&bulk(&mut ids, 600), Tried::No), Err(SaveError::Io(_))));
    assert_eq!((disk.documents(), disk.take_dropped().documents), (200, 0));
    disk.unload(loaded.id, &loaded.bulk, Tried::No);
    disk.save(&bulk(&mut ids, 600), Tried::No).unwrap();
    assert!(disk.take_dropped().documents > 0);
}

#[test]
fn a_smaller_bound_than_before_is_kept_to_at_once() {
    let simulated = simulated::Disk::default();
    let files = Files::Simulated(simulated.clone());
    let mut ids = IdSource::new([0; 9]);
    let mut disk = open(files.clone());
    for _ in 0..20 {
        disk.save(&bulk(&mut ids, 5), Tried::No).unwrap();
    }
    let before = disk.documents();
    let mut disk = Disk::open(files, Path::new("spool"), Bounds { bytes_max: 64 << 10, ..BOUNDS }).unwrap();
    let dropped = disk.take_dropped().documents;
    assert!(dropped > 0 && simulated.used() <= 64 << 10);
    assert_eq!(disk.documents() + dropped, before);
}

#[test]
fn a_folder_has_one_owner_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = Disk::open(Files::System, folder.path(), BOUNDS).unwrap();
    let error = || Disk::open(Files::System, folder.path(), BOUNDS).unwrap_err().to_string();
    let ours = format!("is in use by process {}, which is this process's id: by a recorder that", std::process::id());
    assert!(error().contains(&ours), "{}", error());
    std::fs::write(folder.path().join("lock"), "1\n").unwrap();
    assert!(error().ends_with("is in use by process 1: give each expvastic its own folder"), "{}", error());
    drop(first);
    assert!(Disk::open(Files::System, folder.path(), BOUNDS).is_ok());
}

#[test]
fn a_removal_that_a_crash_has_cut_short_is_no_loss() {
    for kept in [&["ndjson", "sums"][..], &["ndjson", "gone"], &["gone"], &[]] {
        let folder = tempfile::tempdir().unwrap();
        let saved = bulk(&mut IdSource::new([0; 9]), 5);
        Disk::open(Files::System, folder.path(), BOUNDS).unwrap().save(&saved, Tried::No).unwrap();
        let file = |kind: &str| folder.path().join(name(0, kind));
        if kept.contains(&"gone") {
            std::fs::rename(file(SUMS), file(GONE)).unwrap();
        }
        for kind in [TEXT, SUMS, GONE].iter().filter(|kind| !kept.contains(kind)) {
            let _ = std::fs::remove_file(file(kind));
        }
        let mut disk = Disk::open(Files::System, folder.path(), BOUNDS).unwrap();
        let whole = if kept.contains(&"sums") { 5 } else { 0 };
        assert_eq!(disk.documents(), whole, "{kept:?}");
        assert_eq!(load(&mut disk).map_or(0, |loaded| loaded.damaged), 0, "{kept:?}");
        assert!(whole > 0 || std::fs::read_dir(folder.path()).unwrap().count() == 1, "{kept:?}: only the lock");
    }
}

#[test]
fn of_what_makes_room_it_is_known_what_was_rejected() {
    let simulated = simulated::Disk::default();
    let bounds = Bounds { bytes_max: 64 << 10, ..BOUNDS };
    let mut disk = Disk::open(Files::Simulated(simulated), Path::new("spool"), bounds).unwrap();
    let mut ids = IdSource::new([0; 9]);
    // Each has a segment of its own: rejected when it came, and when it was tried.
    disk.save(&bulk(&mut ids, 6), Tried::Rejected).unwrap();
    disk.save(&bulk(&mut ids, 6), Tried::No).unwrap();
    disk.save(&bulk(&mut ids, 6), Tried::No).unwrap();
    let Loaded { id, bulk: loaded, .. } = load(&mut disk).unwrap();
    disk.unload(id, &loaded.select(|index| index < 2), Tried::Refused);
    disk.unload(id, &loaded.select(|index| index == 2), Tried::Rejected);
    disk.done(id, 3);
    disk.set_bounds(Bounds { bytes_max: 0, ..bounds });
    let Dropped { documents, rejected } = disk.take_dropped();
    assert_eq!((documents, rejected), (6 + 3 + 6, 6 + 1));
}

#[test]
fn sizes_and_numbers_that_others_make_up_are_taken_for_no_more_than_they_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let last = folder.path().join(name(u64::MAX - 1, TEXT));
    std::fs::write(&last, "theirs").unwrap();
    let sums = std::fs::File::create(folder.path().join(name(3, SUMS))).unwrap();
    sums.set_len(1 << 40).unwrap();
    std::fs::write(text_path(folder.path(), 3), "theirs").unwrap();
    let bounds = Bounds { bytes_max: 1 << 45, ..BOUNDS };
    let mut disk = Disk::open(Files::System, folder.path(), bounds).unwrap();
    assert_eq!(disk.documents(), limits::BULK_DOCUMENTS_MAX, "what a list of ours may speak of");
    // Behind the last number it goes on with the lowest that is free.
    let mut ids = IdSource::new([0; 9]);
    let saved = [bulk(&mut ids, 6), bulk(&mut ids, 6)];
    for bulk in &saved {
        disk.save(bulk, Tried::No).unwrap();
    }
    assert!(text_path(folder.path(), 0).exists() && text_path(folder.path(), 1).exists());
    assert_eq!(drain(&mut disk), saved.iter().flat_map(documents).collect());
}
