//! Reads the kernel's figures about a process.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use crate::Outcome;

/// One look at a process.
pub(crate) struct Sample {
    pub(crate) threads: BTreeMap<u32, Thread>,
    pub(crate) peak_kb: u64,
    pub(crate) anonymous_kb: u64,
    /// User and system time of all threads, ended ones too, in clock ticks of (mostly) 10 ms.
    pub(crate) ticks: Duration,
}

/// One thread, as it was seen.
pub(crate) struct Thread {
    pub(crate) name: String,
    pub(crate) cpu: Duration,
    pub(crate) switches: u64,
}

/// What a thread did between two samples.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) name: String,
    pub(crate) cpu: Duration,
    pub(crate) switches: u64,
}

/// Whether this kernel tells the CPU time of a thread in nanoseconds.
pub(crate) fn is_here() -> bool {
    Path::new("/proc/self/schedstat").exists()
}

impl Sample {
    pub(crate) fn take(pid: u32) -> Outcome<Self> {
        let root = format!("/proc/{pid}");
        let status = read(&format!("{root}/status"))?;
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("{root}/task"))? {
            let entry = entry?;
            let id = entry.file_name().to_string_lossy().parse()?;
            // A thread may end between the listing and the look.
            if let Ok(thread) = Thread::read(&entry.path().to_string_lossy()) {
                threads.insert(id, thread);
            }
        }
        Ok(Self {
            threads,
            peak_kb: field(&status, "VmHWM")?,
            anonymous_kb: field(&status, "RssAnon")?,
            ticks: ticks(&read(&format!("{root}/stat"))?)?,
        })
    }

    /// The work of each thread since `earlier`, in order of their start.
    pub(crate) fn since(&self, earlier: &Self) -> Vec<Work> {
        let work = |(id, thread): (&u32, &Thread)| {
            let before = earlier.threads.get(id);
            Work {
                name: thread.name.clone(),
                cpu: thread.cpu.saturating_sub(before.map_or(Duration::ZERO, |before| before.cpu)),
                switches: thread.switches - before.map_or(0, |before| before.switches),
            }
        };
        self.threads.iter().map(work).collect()
    }
}

impl Thread {
    fn read(root: &str) -> Outcome<Self> {
        let status = read(&format!("{root}/status"))?;
        let on_cpu = read(&format!("{root}/schedstat"))?;
        let nanoseconds = on_cpu.split_ascii_whitespace().next().ok_or("schedstat is empty")?.parse()?;
        Ok(Self {
            name: read(&format!("{root}/comm"))?.trim().to_owned(),
            cpu: Duration::from_nanos(nanoseconds),
            switches: field(&status, "voluntary_ctxt_switches")? + field(&status, "nonvoluntary_ctxt_switches")?,
        })
    }
}

fn read(path: &str) -> Outcome<String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}").into())
}

/// The number behind `name:` in a status file; sizes are in kB there.
fn field(status: &str, name: &str) -> Outcome<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = value.and_then(|value| value.split_ascii_whitespace().next());
    Ok(number.ok_or_else(|| format!("no {name} in a status file"))?.parse()?)
}

fn ticks(stat: &str) -> Outcome<Duration> {
    // The program's name, in parentheses, may hold blanks; utime and stime are the 12th and 13th behind it.
    let (_, behind_name) = stat.rsplit_once(')').ok_or("no name in a stat file")?;
    let mut numbers = behind_name.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    let mut next = || numbers.next().ok_or("a stat file is too short");
    let sum = next()?? + next()??;
    Ok(Duration::from_millis(sum * 1000 / rustix::param::clock_ticks_per_second()))
}
