//! Thousands of random scripts of answers, disk faults, restarts and crashes, in simulated time. At the end each
//! document is stored once, or was dropped by a stated policy, exactly.
//!
//! Real here: all of delivery, the verdicts on the bytes of answers, the spool. Not real: the sockets (see
//! `tests/delivery.rs`), the clock, and the disk, which is simulated so that it can fail and lose power.

mod server;

use super::*;
use server::{Behaviour, Server, behaviour};

/// Scripts that are run, if `EXPVASTIC_SCRIPTS` says nothing else.
const SCRIPTS: u64 = 10_000;

/// One random script, from the first document to the last answer.
#[allow(clippy::struct_excessive_bools, reason = "what may happen in it, each by itself")]
struct Script {
    random: fastrand::Rng,
    recorder: Recorder,
    memory_bytes_max: usize,
    disk: simulated::Disk,
    world: World,
    server: Server,
    /// When each document came, by number.
    came: Vec<Instant>,
    /// Documents that a crash may have cost: they were younger than `sync`, or the disk had failed.
    forgivable: BTreeSet<u64>,
    /// What earlier runs have let go of.
    given_up: u64,
    restarted: bool,
    /// Another configuration is followed now and then.
    reloads: bool,
    /// Documents come that are larger than the disk may hold, or than a share of the memory that is small.
    large: bool,
    /// The disk has been failing, so that nothing can be said of what is on it.
    disk_failed: bool,
    /// Others have removed or moved what is on it.
    meddled: bool,
    /// Nothing can be read from it at present.
    reads_fail: bool,
    /// Where dead letters are kept, if they are.
    letters: Option<Letters>,
    /// The process may end while an exchange is under way.
    ends_under_way: bool,
}

/// A file of dead letters that cannot be written to now and then.
struct Letters(tempfile::TempDir);

impl Letters {
    fn new(recorder: &mut Recorder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("there")).unwrap();
        recorder.dead_letter = Some(folder.path().join("there/dead.ndjson"));
        Self(folder)
    }

    fn allow(&self, can_write: bool) {
        let [there, away] = ["there", "away"].map(|name| self.0.path().join(name));
        if can_write && away.exists() {
            std::fs::remove_file(&there).unwrap();
            std::fs::rename(away, there).unwrap();
        } else if !can_write && !away.exists() {
            // A file stands where the folder is to be.
            std::fs::rename(&there, away).unwrap();
            std::fs::write(there, "").unwrap();
        }
    }

    /// The numbers of the documents whose letters are there, sorted.
    fn numbers(&self) -> Vec<u64> {
        let text = std::fs::read_to_string(self.0.path().join("there/dead.ndjson")).unwrap_or_default();
        let letters = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let mut numbers: Vec<u64> = letters.map(|letter| letter["document"]["n"].as_u64().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    }
}

impl Script {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut recorder = if random.bool() { recorder() } else { with_spool(random.u64((64 << 10)..(256 << 10))) };
        recorder.bulk.documents = random.u32(1..30);
        recorder.backoff = random.u32(1..8);
        let memory_bytes_max = if random.bool() { 1 << 20 } else { random.usize(4_000..20_000) };
        let letters = (random.u8(..4) == 0).then(|| Letters::new(&mut recorder));
        let disk = simulated::Disk::default();
        let world = World::new(&recorder, memory_bytes_max, Files::Simulated(disk.clone()));
        let bytes_max = if random.bool() { usize::MAX } else { random.usize(100..3_000) };
        let poison = (0..random.u64(..3)).map(|_| random.u64(..100)).collect();
        let blocked = match random.u8(..3) {
            0 => (random.u64(..50)..random.u64(50..100)).collect(),
            1 => (random.u64(..50)..100).step_by(random.usize(1..9)).collect(),
            _ => BTreeSet::new(),
        };
        Self {
            recorder,
            memory_bytes_max,
            disk,
            world,
            server: Server { poison, blocked, bytes_max, ..Server::default() },
            came: Vec::new(),
            forgivable: BTreeSet::new(),
            given_up: 0,
            restarted: false,
            reloads: random.u8(..3) == 0,
            large: random.u8(..8) == 0,
            disk_failed: false,
            meddled: false,
            reads_fail: false,
            letters,
            ends_under_way: random.u8(..8) == 0,
            random,
        }
    }

    /// Lets time pass, in which documents come and the disk is seen to.
    fn pass(&mut self, mut time: Duration) {
        while time > Duration::ZERO {
            let step = time.min(Duration::from_millis(self.random.u64(1..1000)));
            let step = match self.world.delivery.save_due(self.world.now) {
                Some(due) => step.min(due.saturating_duration_since(self.world.now)).max(Duration::from_millis(1)),
                None => step,
            };
            self.world.pass(step);
            time = time.saturating_sub(step);
            if self.came.len() < 100 && self.random.bool() {
                self.came.push(self.world.now);
                let is_large = self.large && self.random.u8(..20) == 0;
                self.world.add_sized(if is_large { self.random.usize(..300_000) } else { 0 });
            }
            // A disk that fails may keep what it was told to remove; what is under way stays when there may be less of it.
            let may_be_more = self.disk_failed || self.meddled || self.large && self.reloads;
            let bytes_max = self.recorder.spool.as_ref().map_or(0, |spool| spool.bytes_max);
            assert!(may_be_more || self.disk.used() <= bytes_max);
        }
    }

    /// One try, whatever comes of it. False if there was nothing to send.
    fn exchange(&mut self, behaviour: Behaviour, takes: Duration) -> bool {
        match self.world.delivery.next(self.world.now) {
            Step::Send(bulk) => {
                self.pass(takes);
                let is_superseded = self.reloads && self.random.u8(..8) == 0;
                if is_superseded {
                    self.reload();
                }
                let verdict = self.server.take(&bulk, behaviour, &mut self.random);
                drop(bulk);
                if self.ends_under_way && self.random.u8(..8) == 0 {
                    // Whatever the answer would have been, and whoever waits for it.
                    self.restart();
                    return true;
                }
                if is_superseded && self.random.bool() {
                    // Nobody waits for the answer any more.
                    assert!(self.world.delivery.cancel_sending(self.world.now));
                    self.world.delivery.flush(self.world.now);
                } else {
                    self.world.delivery.settle(verdict, self.world.now);
                }
                assert!(self.world.delivery.ledger().balances());
                true
            }
            Step::Wait(Some(until)) => {
                let pause = until - self.world.now;
                self.pass(pause.min(seconds(3.0)));
                true
            }
            Step::Wait(None) | Step::Ended => {
                self.pass(seconds(0.2));
                false
            }
        }
    }

    /// Goes on by another configuration.
    fn reload(&mut self) {
        self.recorder.bulk.documents = self.random.u32(1..30);
        self.recorder.backoff = self.random.u32(1..8);
        if let Some(spool) = &mut self.recorder.spool {
            spool.bytes_max = self.random.u64((64 << 10)..(256 << 10));
        }
        self.share_memory();
        let (level, files) = (ComponentLevel::of_settings(LogLevel::Trace), Files::Simulated(self.disk.clone()));
        self.world.delivery.apply_config(&self.recorder, level, &mut self.random.fork());
        self.world.delivery.fit(&self.recorder, 1, self.memory_bytes_max, files, self.world.now);
        assert!(self.world.delivery.ledger().balances());
    }

    /// Another share than before, now and then.
    fn share_memory(&mut self) {
        self.memory_bytes_max = if self.random.bool() { 1 << 20 } else { self.random.usize(4_000..20_000) };
    }

    fn run_ends(&mut self, ledger: &Ledger) {
        self.given_up += ledger.dropped.total() + ledger.dead_lettered;
        let has_spool = self.recorder.spool.is_some() && !self.disk_failed && !self.large;
        assert!(!has_spool || ledger.dropped.memory_limit == 0, "there is a disk: {ledger}");
        let may_be_damaged = self.disk_failed || self.restarted || self.meddled;
        assert!(may_be_damaged || ledger.dropped.damaged == 0, "nothing is damaged: {ledger}");
        assert!(self.meddled || ledger.dropped.spool_removed == 0, "nobody has removed anything: {ledger}");
    }

    /// Ends this run, by the power or in good order, and starts the next one.
    fn restart(&mut self) {
        self.restarted = true;
        self.forgive_what_was_out_of_reach();
        let sync = self.recorder.spool.as_ref().map(|spool| spool.sync);
        if self.random.bool() {
            self.world.delivery.drain(self.world.now);
            self.world.delivery.give_up(self.world.now);
            let ledger = self.world.delivery.ledger();
            self.run_ends(&ledger);
            assert_eq!(ledger.waiting, ledger.spooled, "what is not on disk is counted");
        } else {
            let ledger = self.world.delivery.ledger();
            self.run_ends(&ledger);
            let young = |at: &Instant| sync.is_none_or(|sync| self.world.now < *at + sync);
            // What is large has to wait in memory, or leaves the others no room while it is under way.
            let is_open = self.disk_failed || self.large || self.meddled;
            let lost = (0..).zip(&self.came).filter(|(_, at)| is_open || young(at)).map(|(number, _)| number);
            self.forgivable.extend(lost);
            self.disk.crash(&mut self.random);
        }
        let World { ids, made, now, .. } =
            std::mem::replace(&mut self.world, World::plain(&Recorder { spool: None, ..self.recorder.clone() }));
        self.share_memory();
        let files = Files::Simulated(self.disk.clone());
        let mut random = self.random.fork();
        let delivery = Delivery::new(
            &self.recorder,
            ComponentLevel::of_settings(LogLevel::Trace),
            1,
            self.memory_bytes_max,
            files,
            now,
            &mut random,
        );
        self.world = World { start: now, now, delivery, ids, made };
    }

    fn fail_disk(&mut self) {
        self.disk_failed = true;
        let step = self.disk.steps() + self.random.u64(..10);
        let once = self.random.bool();
        self.disk.fail_at(once.then_some(step));
        self.disk.fail_from((!once).then_some(step));
    }

    /// A folder that was moved while it could not be opened, or no other could be made or read, is found by no later run.
    fn forgive_what_was_out_of_reach(&mut self) {
        if (self.disk_failed || self.reads_fail) && self.meddled {
            self.forgivable.extend(0..self.came.len() as u64);
        }
    }

    /// Others remove or move the folder, or what is in it; or put one where it is wanted.
    fn meddle(&mut self, away: &mut Vec<usize>) {
        self.meddled = true;
        self.forgive_what_was_out_of_reach();
        match self.random.u8(..5) {
            0 => self.disk.remove_files(|| true),
            1 => self.disk.remove_files(|| self.random.bool()),
            2 => self.disk.remove_folder(),
            3 => away.extend(self.disk.move_folder()),
            _ => self.disk.put_folder(away.pop()),
        }
    }

    fn run(mut self) {
        let restarts = self.random.u8(..4) == 0;
        let disk_fails = self.random.u8(..4) == 0;
        let (others_meddle, mut away) = (self.random.u8(..4) == 0, Vec::new());
        for _ in 0..self.random.u8(10..80) {
            let (behaviour, takes) = (behaviour(&mut self.random), seconds(self.random.f64() * 2.0));
            let takes = if self.random.u8(..10) == 0 { seconds(30.0) } else { takes };
            self.exchange(behaviour, takes);
            if restarts && self.random.u8(..15) == 0 {
                self.restart();
            }
            if disk_fails && self.random.u8(..15) == 0 {
                self.fail_disk();
            }
            if others_meddle && self.random.u8(..10) == 0 {
                self.meddle(&mut away);
            }
            if self.reloads && self.random.u8(..10) == 0 {
                self.reload();
            }
            if self.random.u8(..20) == 0 {
                self.reads_fail = self.random.bool();
                self.disk.fail_reads(self.reads_fail);
            }
            if let Some(letters) = self.letters.as_ref().filter(|_| self.random.u8(..10) == 0) {
                letters.allow(self.random.bool());
            }
            if self.random.u8(..30) == 0 {
                self.world.delivery.flush(self.world.now);
            }
        }
        // Everything is well from now on.
        self.disk.fail_at(None);
        self.disk.fail_from(None);
        self.disk.fail_reads(false);
        self.letters.iter().for_each(|letters| letters.allow(true));
        self.ends_under_way = false;
        self.pass(limits::SPOOL_RETRY);
        if self.random.u8(..4) == 0 {
            self.ship_the_old_ones_beside_fresh_ones();
        }
        self.ship_all_but_blocked();
        self.server.blocked.clear();
        let mut idle = 0;
        while idle < 30 {
            idle = if self.exchange(Behaviour::Well, Duration::ZERO) { 0 } else { idle + 1 };
        }
        self.check();
    }

    /// Fresh documents come faster than the server takes bulks: the others come, too.
    fn ship_the_old_ones_beside_fresh_ones(&mut self) {
        let made = self.came.len() as u64;
        let is_gone = |script: &Self| {
            let stored = script.server.numbers();
            let is_done = |number: &u64| {
                stored.contains(number)
                    || script.server.blocked.contains(number)
                    || script.server.poison.contains(number)
            };
            let left = (0..made).filter(|number| !is_done(number)).count() as u64;
            left <= script.given_up + script.world.delivery.ledger().dropped.total() + script.forgivable.len() as u64
        };
        // One bulk in four is not of the fresh documents, and the five other lanes take turns. In the worst case each of the old
        // documents is in a bulk of its own, all of them in one lane.
        let bulks_max = 4 * 5 * (made + 10);
        let mut bulks = 0;
        while !is_gone(self) {
            self.came.push(self.world.now);
            self.world.add();
            if let Step::Send(bulk) = self.world.delivery.next(self.world.now) {
                bulks += 1;
                let verdict = self.server.take(&bulk, Behaviour::Well, &mut self.random);
                drop(bulk);
                self.came.push(self.world.now);
                self.world.add();
                self.world.delivery.settle(verdict, self.world.now);
            }
            self.world.pass(seconds(1.0));
            assert!(bulks <= bulks_max, "{made} documents: {}", self.world.delivery.ledger());
        }
    }

    /// What is blocked keeps nothing else.
    fn ship_all_but_blocked(&mut self) {
        let blocked = self.server.blocked.len() as u64;
        let mut exchanges = 0;
        // Of a write that has failed some documents may be there twice; large ones that are blocked may fill the memory.
        let is_exact = blocked > 0 && !self.disk_failed && !self.large && !self.meddled;
        while is_exact && (self.came.len() < 100 || self.world.delivery.ledger().waiting > blocked) {
            self.exchange(Behaviour::Well, Duration::ZERO);
            exchanges += 1;
            assert!(exchanges < 2000, "{blocked} blocked: {}", self.world.delivery.ledger());
        }
    }

    fn check(&mut self) {
        let ledger = self.world.delivery.ledger();
        assert_eq!(ledger.waiting, 0, "{ledger}");
        let before = self.given_up;
        self.run_ends(&ledger);
        let stored = self.server.numbers();
        let made: BTreeSet<u64> = (0..self.came.len() as u64).collect();
        assert!(stored.is_subset(&made));
        let missing: BTreeSet<u64> = made.difference(&stored).copied().collect();
        let unexplained: BTreeSet<u64> =
            missing.iter().filter(|number| !self.forgivable.contains(number)).copied().collect();
        if let Some(letters) = self.letters.as_ref().filter(|_| !self.restarted) {
            let numbers = letters.numbers();
            assert!(numbers.is_sorted_by(|one, other| one < other), "no letter twice: {numbers:?}");
            assert_eq!(numbers.len() as u64, ledger.dead_lettered, "what is counted is in the file: {ledger}");
        }
        let given_up = self.given_up;
        assert!(unexplained.len() as u64 <= given_up, "{} are missing, {ledger}", unexplained.len());
        if given_up == ledger.dead_lettered && self.forgivable.is_empty() && before == 0 {
            // Nothing was dropped and nothing crashed: all but the poisoned ones, exactly.
            let poison: BTreeSet<u64> = self.server.poison.intersection(&made).copied().collect();
            assert_eq!(missing, poison, "{ledger}");
            assert_eq!(ledger.dead_lettered, poison.len() as u64, "once each: {ledger}");
            // What is sent again after a restart counts again.
            if !self.restarted {
                assert_eq!(ledger.acked + ledger.duplicate, stored.len() as u64, "{ledger}");
            }
        }
    }
}

#[test]
fn each_document_is_stored_once_whatever_the_script() {
    let scripts = std::env::var("EXPVASTIC_SCRIPTS").map_or(SCRIPTS, |number| number.parse().unwrap());
    // Clock and disk are simulated by each script for itself.
    let threads = std::thread::available_parallelism().unwrap().get();
    let run = |first: u64| {
        for seed in (first..scripts).step_by(threads) {
            let outcome = std::panic::catch_unwind(|| Script::new(seed).run());
            assert!(outcome.is_ok(), "script {seed} of {scripts}");
        }
    };
    std::thread::scope(|scope| (0..threads as u64).for_each(|first| _ = scope.spawn(move || run(first))));
}
