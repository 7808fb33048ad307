//! Removes secrets from texts that come from outside, before they become part of a message.
//!
//! Every secret of the process is hidden in every text, because a secret may be repeated by another server than the one it
//! was sent to. (A redirect may contain it in a host name, and one server may pass it on to another.) A text is always cut
//! after secrets were removed from it, never before.
//!
//! Invariant: a secret is known here from the moment when it is loaded until no answer to a request with it can arrive.

mod fold;
mod table;

use crate::limits;
use crate::secret::{Secret, base64};
use crate::sort::sorted;
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use table::Table;

thread_local! {
    /// The secrets of this thread, which does all the work of a process.
    static KNOWN: RefCell<Known> = RefCell::default();
}

#[derive(Default)]
struct Known {
    secrets: Vec<Weak<[Secret]>>,
    /// The table that texts are searched with. It is dropped when the secrets change, and built for the next text.
    table: Option<Rc<Table>>,
}

/// Secrets that are hidden for as long as this value exists.
#[derive(Debug, Default)]
pub(crate) struct Hidden(Option<Rc<[Secret]>>);

impl Hidden {
    pub(crate) fn new(mut secrets: Vec<Secret>) -> Self {
        let inner: Vec<Secret> = secrets.iter().filter_map(Secret::within).collect();
        secrets.extend(inner);
        if secrets.is_empty() {
            return Self(None);
        }
        let secrets: Rc<[Secret]> = secrets.into();
        KNOWN.with_borrow_mut(|known| {
            known.table = None;
            if known.secrets.len() == known.secrets.capacity() {
                known.secrets.retain(|secrets| secrets.strong_count() > 0);
            }
            known.secrets.push(Rc::downgrade(&secrets));
        });
        Self(Some(secrets))
    }

    /// The credentials in the URL of a proxy.
    pub(crate) fn of_url(url: &str) -> Self {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let Some((both, _)) = authority.rsplit_once('@') else { return Self(None) };
        let both = fold::decoded_text(both.as_bytes());
        let both = String::from_utf8_lossy(&both);
        let password = both.split_once(':').map_or(&*both, |(_, password)| password);
        Self::new([password, &base64::encoded(both.as_bytes())].map(Secret::of).to_vec())
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if self.0.take().is_some() {
            // While the thread ends, the list may have been dropped already.
            let _ = KNOWN.try_with(|known| {
                if let Ok(mut known) = known.try_borrow_mut() {
                    known.table = None;
                }
            });
        }
    }
}

/// Removes secrets from a text.
pub(crate) fn hide(text: &mut String) {
    if let Some(hidden) = table().hide(text) {
        *text = hidden;
    }
}

/// Quotes a text from outside without its secrets: at most `bytes_max` bytes, and `…` if it is longer.
pub(crate) fn quote(text: &[u8], bytes_max: usize) -> String {
    let window = &text[..text.len().min(bytes_max + limits::QUOTE_AHEAD_BYTES)];
    let mut quoted = String::from_utf8_lossy(window).into_owned();
    hide(&mut quoted);
    let is_cut = window.len() < text.len() || quoted.len() > bytes_max;
    if is_cut {
        let end = (0..=bytes_max.min(quoted.len())).rev().find(|&end| quoted.is_char_boundary(end));
        quoted.truncate(end.unwrap_or_default());
        quoted.push('…');
    }
    quoted
}

fn table() -> Rc<Table> {
    KNOWN.with_borrow_mut(|known| {
        let Known { secrets, table } = known;
        let make = || {
            let secrets: Vec<Rc<[Secret]>> = secrets.iter().filter_map(Weak::upgrade).collect();
            let texts = secrets.iter().flat_map(|secrets| secrets.iter().map(Secret::expose));
            // The readers of a range of ports have the same secrets.
            let mut texts: Vec<&str> = sorted(texts.collect());
            texts.dedup();
            Rc::new(Table::of(&texts))
        };
        Rc::clone(table.get_or_insert_with(make))
    })
}

#[cfg(test)]
mod tests;
