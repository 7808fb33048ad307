//! Arrays of objects that become one object each (`object_arrays: {Gauges: Name}`): the key of each element is the text of
//! one of its members.

use crate::bytes::scalar::{self, Escapes};

/// One such array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedArray {
    /// The array's name in the payload: its keys joined with dots.
    pub array: String,
    /// The member of each element whose text becomes the element's key.
    pub member: String,
}

/// The place of the array with this name.
pub(crate) fn place_of(arrays: &[KeyedArray], name: &[u8]) -> Option<usize> {
    arrays.iter().position(|keyed| keyed.array.as_bytes() == name)
}

/// Whether a key, as it stands in the payload, is this name.
pub(crate) fn is_name(key: &[u8], name: &[u8]) -> bool {
    // No escape is longer than six bytes for each byte that it stands for.
    key == name || (key.len() <= 6 * name.len() && memchr::memchr(b'\\', key).is_some() && is_decoded(key, name))
}

#[cold]
fn is_decoded(key: &[u8], name: &[u8]) -> bool {
    let mut decoded = Vec::new();
    if scalar::escapes(key) != Escapes::Bad {
        scalar::decode(&mut decoded, key);
    }
    decoded == name
}
