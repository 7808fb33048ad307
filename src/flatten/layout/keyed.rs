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

/// Whether a key, as it stands in the payload, is this name. `buffer` is for decoding it.
pub(crate) fn is_name(key: &[u8], name: &[u8], buffer: &mut Vec<u8>) -> bool {
    if memchr::memchr(b'\\', key).is_none() {
        return key == name;
    }
    // No escape is longer than six bytes for each byte that it stands for.
    if key.len() > 6 * name.len() || scalar::escapes(key) == Escapes::Bad {
        return false;
    }
    buffer.clear();
    scalar::decode(buffer, key);
    buffer == name
}
