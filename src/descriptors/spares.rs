//! Descriptors that are held open in reserve, so that threads for name lookups, and libcurl's, cannot take them. A name lookup takes the
//! lowest free numbers, and can continue for a minute after the last task stopped waiting for it.

use crate::limits;
use std::cell::RefCell;
use std::fs::File;

thread_local! {
    static SPARES: RefCell<Spares> = const { RefCell::new(Spares { held: Vec::new(), wanted: 0 }) };
}

struct Spares {
    held: Vec<File>,
    wanted: usize,
}

impl Spares {
    fn refill(&mut self) {
        while self.held.len() < self.wanted {
            let Ok(spare) = File::open("/dev/null") else { return };
            self.held.push(spare);
        }
    }
}

/// Holds this many from now on.
pub(crate) fn hold(wanted: usize) {
    SPARES.with_borrow_mut(|spares| {
        spares.wanted = wanted;
        spares.held.truncate(wanted);
        spares.refill();
    });
}

/// Holds as many as are wanted again, as far as there are any.
pub(crate) fn refill() {
    SPARES.with_borrow_mut(Spares::refill);
}

/// Frees one for whatever is opened next; false if there is none.
pub(crate) fn release() -> bool {
    SPARES.with_borrow_mut(|spares| spares.held.pop()).is_some()
}

/// The same for a connection to a recorder, which leaves those of spool and files alone.
pub(crate) fn release_to_ship() -> bool {
    SPARES.with_borrow_mut(|spares| {
        let is_ours = spares.held.len() + limits::LOOKUP_EXCHANGE_DESCRIPTORS > spares.wanted;
        is_ours.then(|| spares.held.pop()).flatten().is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_are_wanted_are_held_and_let_go_one_by_one() {
        hold(3);
        assert!(release() && release());
        refill();
        assert!((0..3).all(|_| release()) && !release());
        hold(6);
        let to_ship = (0..6).filter(|_| release_to_ship()).count();
        assert_eq!(to_ship, limits::LOOKUP_EXCHANGE_DESCRIPTORS);
        assert!(release() && release() && !release());
        hold(2);
        hold(0);
        assert!(!release());
    }
}
