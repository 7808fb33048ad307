//! The addresses of host names, by the system's resolver (`getaddrinfo`: hosts file, search domains, name servers, mDNS).
//!
//! The resolver blocks, possibly for a minute, and cannot be stopped. So each lookup has a thread of its own, which exists
//! only as long as the lookup takes. What waits for it waits until its own deadline and no longer. A name that is being
//! looked up is not looked up a second time; a failure is not remembered.

use super::neighbours;
use crate::clock;
use crate::event_loop;
use crate::limits;
use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// What is known of host names.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: RefCell<Vec<Name>>,
}

#[derive(Debug)]
struct Name {
    host: String,
    addresses: Vec<IpAddr>,
    resolved_at: Option<Instant>,
    /// The lookup that is under way. It may hang.
    lookup: Option<Arc<Lookup>>,
}

/// The addresses of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) addresses: Vec<IpAddr>,
    /// They have just been asked for, so there is no use in asking again.
    pub(super) is_fresh: bool,
}

/// Why a name has no addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NameError {
    /// The resolver says that there are none. Common: a wrong name, or one that does not exist yet.
    Unknown,
    /// The resolver has asked, and got no answer. Common: no network yet, or a wrong `resolv.conf`.
    NoAnswer,
    /// The resolver has not ended in time. Occasional, with a name server that is down.
    TimedOut(Duration),
    /// There are too many lookups that hang. Rare.
    TooMany,
    /// Another error, in the words of the system. Rare.
    System(String),
}

impl Names {
    /// The addresses of a host name: those that are known and not too old, or else those that the resolver gives.
    ///
    /// # Errors
    /// [`NameError`]
    pub(super) async fn resolve(
        &self,
        host: &str,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<Resolved, NameError> {
        let now = clock::now();
        if let Some(addresses) = self.known(host, now) {
            return Ok(Resolved { addresses, is_fresh: false });
        }
        let own = neighbours::own_addresses(host);
        if !own.is_empty() {
            self.store(host, own.clone(), now);
            return Ok(Resolved { addresses: own, is_fresh: true });
        }
        let lookup = match self.lookup(host) {
            Err(NameError::TooMany) => {
                // The resolver may be needed for no more than this file, which must not wait for a name server.
                let in_file = neighbours::addresses_in_file(host);
                if !in_file.is_empty() {
                    self.store(host, in_file.clone(), now);
                    return Ok(Resolved { addresses: in_file, is_fresh: true });
                }
                self.lookup_in_turn(host, deadline).await?
            }
            lookup => lookup?,
        };
        let late = async {
            event_loop::sleep_until(deadline).await;
            Err(NameError::TimedOut(timeout))
        };
        let outcome = smol::future::or(Outcome(&lookup), late).await;
        match outcome {
            Ok(addresses) => {
                self.store(host, addresses.clone(), clock::now());
                Ok(Resolved { addresses, is_fresh: true })
            }
            // It goes on, and the next one that asks waits for it, too.
            Err(NameError::TimedOut(timeout)) => Err(NameError::TimedOut(timeout)),
            Err(error) => {
                self.known.borrow_mut().retain(|name| name.host != host);
                Err(error)
            }
        }
    }

    /// Moves the address that has accepted to the front, so that the next connection need not try those before it again.
    pub(super) fn prefer(&self, host: &str, address: IpAddr) {
        for name in self.known.borrow_mut().iter_mut().filter(|name| name.host == host) {
            if let Some(at) = name.addresses.iter().position(|other| *other == address) {
                name.addresses[..=at].rotate_right(1);
            }
        }
    }

    /// Forgets the addresses of a host name, because none of them could be reached.
    pub(super) fn forget(&self, host: &str) {
        for name in self.known.borrow_mut().iter_mut().filter(|name| name.host == host) {
            name.resolved_at = None;
        }
    }

    fn known(&self, host: &str, now: Instant) -> Option<Vec<IpAddr>> {
        let mut known = self.known.borrow_mut();
        let is_recent =
            |name: &Name| name.resolved_at.is_some_and(|at| now.saturating_duration_since(at) < limits::NAME_AGE_MAX);
        let is_looked_up = |name: &Name| name.lookup.as_ref().is_some_and(|lookup| lookup.is_useful(now));
        known.retain(|name| is_looked_up(name) || is_recent(name));
        known.iter().find(|name| name.host == host && is_recent(name)).map(|name| name.addresses.clone())
    }

    fn store(&self, host: &str, addresses: Vec<IpAddr>, now: Instant) {
        let mut known = self.known.borrow_mut();
        known.retain(|name| name.host != host);
        known.push(Name { host: host.to_owned(), addresses, resolved_at: Some(now), lookup: None });
    }

    /// A lookup of this name, as soon as others have ended.
    async fn lookup_in_turn(&self, host: &str, deadline: Instant) -> Result<Arc<Lookup>, NameError> {
        let turn = async {
            loop {
                self.one_ends().await;
                match self.lookup(host) {
                    Err(NameError::TooMany) => {}
                    lookup => return lookup,
                }
            }
        };
        let late = async {
            event_loop::sleep_until(deadline).await;
            Err(NameError::TooMany)
        };
        smol::future::or(turn, late).await
    }

    /// Completes when there are fewer lookups than there may be.
    async fn one_ends(&self) {
        let lookups: Vec<Arc<Lookup>> = {
            let known = self.known.borrow();
            known.iter().filter_map(|name| name.lookup.clone()).filter(|lookup| !lookup.is_over()).collect()
        };
        poll_fn(|context| {
            let mut has_ended = lookups.len() < limits::LOOKUPS_MAX;
            for lookup in &lookups {
                has_ended |= Pin::new(&mut Outcome(lookup)).poll(context).is_ready();
            }
            if has_ended { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// The lookup of this name that is under way, or a new one.
    fn lookup(&self, host: &str) -> Result<Arc<Lookup>, NameError> {
        let mut known = self.known.borrow_mut();
        let under_way = known.iter().filter_map(|name| Some((&name.host, name.lookup.as_ref()?)));
        let now = clock::now();
        if let Some((_, lookup)) = under_way.clone().find(|(name, lookup)| *name == host && lookup.is_useful(now)) {
            return Ok(Arc::clone(lookup));
        }
        if under_way.filter(|(_, lookup)| !lookup.is_over()).count() >= limits::LOOKUPS_MAX {
            return Err(NameError::TooMany);
        }
        let lookup = Lookup::start(host)?;
        known.retain(|name| name.host != host);
        let started = Some(Arc::clone(&lookup));
        known.push(Name { host: host.to_owned(), addresses: Vec::new(), resolved_at: None, lookup: started });
        Ok(lookup)
    }
}

/// A lookup on a thread of its own.
#[derive(Debug, Default)]
struct Lookup {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    outcome: Option<Result<Vec<IpAddr>, NameError>>,
    ended_at: Option<Instant>,
    /// Those of the tasks that wait for the outcome.
    wakers: Vec<Waker>,
}

impl Lookup {
    fn start(host: &str) -> Result<Arc<Self>, NameError> {
        let lookup: Arc<Self> = Arc::default();
        let (ended, host) = (Arc::clone(&lookup), host.to_owned());
        let thread = std::thread::Builder::new().name("name lookup".to_owned()).stack_size(limits::LOOKUP_STACK_BYTES);
        let started = thread.spawn(move || ended.end(look_up(&host)));
        started.map_err(|error| NameError::System(error.to_string()))?;
        Ok(lookup)
    }

    fn end(&self, outcome: Result<Vec<IpAddr>, NameError>) {
        let wakers = {
            let mut state = self.state();
            state.outcome = Some(outcome);
            state.ended_at = Some(clock::now());
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    fn is_over(&self) -> bool {
        self.state().outcome.is_some()
    }

    /// Whether it can still tell the addresses: it is under way, or has ended a short while ago, after those that waited for it
    /// had given up.
    fn is_useful(&self, now: Instant) -> bool {
        let ended_at = self.state().ended_at;
        ended_at.is_none_or(|at| now.saturating_duration_since(at) < limits::NAME_AGE_MAX)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Completes when the lookup has ended.
struct Outcome<'l>(&'l Lookup);

impl Future for Outcome<'_> {
    type Output = Result<Vec<IpAddr>, NameError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.state();
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(outcome.clone());
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

/// Asks the system's resolver, which blocks.
fn look_up(host: &str) -> Result<Vec<IpAddr>, NameError> {
    let found = (host, 0).to_socket_addrs().map_err(|error| explained(&error))?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found.map(|found| found.ip()).take(limits::NAME_TARGETS_MAX) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(NameError::Unknown) } else { Ok(in_turns(&addresses)) }
}

/// Both families in turns, beginning with that of the first address: a family that leads nowhere then costs one attempt.
fn in_turns(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let is_first_family = |address: &IpAddr| address.is_ipv6() == addresses[0].is_ipv6();
    let (mut first, mut second) =
        (addresses.iter().filter(|one| is_first_family(one)), addresses.iter().filter(|one| !is_first_family(one)));
    let mut turns = Vec::with_capacity(addresses.len());
    loop {
        let (one, other) = (first.next(), second.next());
        if one.is_none() && other.is_none() {
            return turns;
        }
        turns.extend(one.into_iter().chain(other));
    }
}

/// What glibc's and musl's resolvers mean. The standard library passes on only their words.
fn explained(error: &io::Error) -> NameError {
    let words = error.to_string();
    let words = words.strip_prefix("failed to lookup address information: ").unwrap_or(&words);
    match words {
        "Name or service not known"
        | "No address associated with hostname"
        | "Name does not resolve"
        | "Name has no usable address" => NameError::Unknown,
        "Temporary failure in name resolution" | "Try again" => NameError::NoAnswer,
        words => NameError::System(words.to_owned()),
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("the name has no address"),
            Self::NoAnswer => f.write_str("no answer from the name server"),
            Self::TimedOut(timeout) => write!(f, "no answer from the name server within {timeout:?}"),
            Self::TooMany => write!(f, "{} other lookups have not ended", limits::LOOKUPS_MAX),
            Self::System(words) => f.write_str(words),
        }
    }
}

#[cfg(test)]
mod tests;
