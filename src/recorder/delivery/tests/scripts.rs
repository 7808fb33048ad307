//! Random scripts of answers, faults of the disk, restarts and crashes, thousands of them, in a time of their own: at the
//! end each document is stored once, or has gone by a stated policy, exactly.
//!
//! What is real here: all of delivery, the verdicts on the bytes of answers, the spool. What is not: the sockets (see
//! `tests/delivery.rs`), the clock, and the disk, which is simulated so that it can fail and lose power.

use super::*;
use std::collections::HashMap;

/// Scripts that are run, if `EXPVASTIC_SCRIPTS` says nothing else.
const SCRIPTS: u64 = 10_000;

/// A fake server that stores by id.
#[derive(Default)]
struct Server {
    stored: HashMap<Vec<u8>, u64>,
    poison: BTreeSet<u64>,
    /// Their index takes nothing for now.
    blocked: BTreeSet<u64>,
    /// Larger requests get 413; a lone document always fits.
    bytes_max: usize,
}

#[derive(Debug, Clone, Copy)]
enum Behaviour {
    Well,
    /// No answer, and nothing was taken in.
    Lost,
    /// No answer, but all was taken in.
    AnswerLost,
    Status(u16),
    RetryAfter(u64),
    Html,
    Empty,
    CutOff,
    OneItemLess,
    ItemsMixed,
}

impl Server {
    fn take(&mut self, bulk: &Bulk, behaviour: Behaviour, random: &mut fastrand::Rng) -> Verdict {
        let lost = || {
            let reason = "reset".to_owned();
            Verdict::Again(Refusal::new(reason.clone(), reason))
        };
        let documents = bulk.documents();
        let answer = |status, retry_after: Option<u64>, body: Vec<u8>| {
            let retry_after = retry_after.map(Duration::from_secs);
            verdict::judge(Answer { status, retry_after, body }, documents)
        };
        if bulk.bytes().len() > self.bytes_max && documents > 1 {
            return answer(413, None, Vec::new());
        }
        match behaviour {
            Behaviour::Lost => lost(),
            Behaviour::AnswerLost => {
                self.store(bulk, &mut |_| None);
                lost()
            }
            Behaviour::Status(status) => answer(status, None, Vec::new()),
            Behaviour::RetryAfter(seconds) => answer(429, Some(seconds), Vec::new()),
            Behaviour::Html => answer(200, None, b"<html>OK</html>".to_vec()),
            Behaviour::Empty => answer(200, None, Vec::new()),
            Behaviour::Well => answer(200, None, self.store(bulk, &mut |_| None)),
            Behaviour::CutOff => {
                let body = self.store(bulk, &mut |_| None);
                answer(200, None, body[..random.usize(..body.len())].to_vec())
            }
            Behaviour::OneItemLess => {
                self.store(bulk, &mut |_| None);
                let body = r#"{"create":{"status":201}},"#.repeat(documents - 1);
                answer(200, None, format!("{{\"items\":[{}]}}", body.trim_end_matches(',')).into_bytes())
            }
            Behaviour::ItemsMixed => {
                let mut refuse = |_| match random.u8(..8) {
                    0 => Some((429, "es_rejected_execution_exception")),
                    1 => Some((503, "unavailable_shards_exception")),
                    2 => Some((403, "cluster_block_exception")),
                    _ => None,
                };
                answer(200, None, self.store(bulk, &mut refuse))
            }
        }
    }

    /// Takes in what is not refused; gives the answer's body.
    fn store(&mut self, bulk: &Bulk, refuse: &mut dyn FnMut(usize) -> Option<(u16, &'static str)>) -> Vec<u8> {
        let mut items = Vec::new();
        for (index, number) in numbers(bulk).into_iter().enumerate() {
            let id = bulk.document(index).split(|&byte| byte == b'\n').next().unwrap().to_vec();
            let (status, error) = match refuse(index) {
                Some(refused) => refused,
                None if self.poison.contains(&number) => (400, "mapper_parsing_exception"),
                None if self.blocked.contains(&number) => (403, "cluster_block_exception"),
                None if self.stored.contains_key(&id) => (409, "version_conflict_engine_exception"),
                None => {
                    self.stored.insert(id, number);
                    (201, "")
                }
            };
            items.push(match error {
                "" => format!("{{\"create\":{{\"status\":{status}}}}}"),
                _ => format!("{{\"create\":{{\"error\":{{\"type\":\"{error}\"}} , \"status\":{status}}}}}"),
            });
        }
        format!("{{ \"errors\" : true, \"items\":[{}] }}", items.join(",")).into_bytes()
    }

    /// The numbers of what is stored; each once.
    fn numbers(&self) -> BTreeSet<u64> {
        let numbers: BTreeSet<u64> = self.stored.values().copied().collect();
        assert_eq!(numbers.len(), self.stored.len(), "no document twice");
        numbers
    }
}

fn behaviour(random: &mut fastrand::Rng) -> Behaviour {
    match random.u8(..14) {
        0 => Behaviour::Lost,
        1 => Behaviour::AnswerLost,
        2 => Behaviour::Status(*random.choice(&[429, 500, 502, 503, 408]).unwrap()),
        3 => Behaviour::Status(*random.choice(&[401, 403, 404, 400, 301]).unwrap()),
        4 => Behaviour::RetryAfter(random.u64(1..20)),
        5 => Behaviour::Html,
        6 => Behaviour::Empty,
        7 => Behaviour::CutOff,
        8 => Behaviour::OneItemLess,
        9..=11 => Behaviour::ItemsMixed,
        _ => Behaviour::Well,
    }
}

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
}

impl Script {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut recorder = if random.bool() { recorder() } else { with_spool(random.u64((64 << 10)..(256 << 10))) };
        recorder.bulk.documents = random.u32(1..30);
        recorder.backoff = random.u32(1..8);
        let memory_bytes_max = if random.bool() { 1 << 20 } else { random.usize(4_000..20_000) };
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
            random,
        }
    }

    /// Lets time pass, in which documents come and the disk is seen to.
    fn pass(&mut self, mut time: Duration) {
        while time > Duration::ZERO {
            let step = time.min(Duration::from_millis(self.random.u64(1..1000)));
            let step = match self.world.delivery.keep(self.world.now) {
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
                if is_superseded && self.random.bool() {
                    // Nobody waits for the answer any more.
                    assert!(self.world.delivery.take_back(self.world.now));
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
        let (level, files) = (PartLevel::of_settings(LogLevel::Trace), Files::Simulated(self.disk.clone()));
        self.world.delivery.follow(&self.recorder, level, &mut self.random.fork());
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
            PartLevel::of_settings(LogLevel::Trace),
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

    /// A folder that was moved while it could not be opened, or no other could be made, is found by no later run.
    fn forgive_what_was_out_of_reach(&mut self) {
        if self.disk_failed && self.meddled {
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
                self.disk.fail_reads(self.random.bool());
            }
            if self.random.u8(..30) == 0 {
                self.world.delivery.flush(self.world.now);
            }
        }
        // Everything is well from now on.
        self.disk.fail_at(None);
        self.disk.fail_from(None);
        self.disk.fail_reads(false);
        self.pass(limits::SPOOL_RETRY);
        self.ship_all_but_blocked();
        self.server.blocked.clear();
        let mut idle = 0;
        while idle < 30 {
            idle = if self.exchange(Behaviour::Well, Duration::ZERO) { 0 } else { idle + 1 };
        }
        self.check();
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
    for seed in 0..scripts {
        let outcome = std::panic::catch_unwind(|| Script::new(seed).run());
        assert!(outcome.is_ok(), "script {seed} of {scripts}");
    }
}
