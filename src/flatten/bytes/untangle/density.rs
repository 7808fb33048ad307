//! Estimates the memory that it takes to walk a copy: the index has four bytes for each token.

use crate::bytes::scalar::is_blank;
use crate::limits::MENDED_BYTES_MAX;

/// Whether walking the copy would take more memory than a body of its length may.
pub(crate) fn is_too_dense(copy: &[u8]) -> bool {
    if copy.len() <= MENDED_BYTES_MAX {
        return false;
    }
    let is_mark = |byte: u8| matches!(byte, b'{' | b'}' | b'[' | b']' | b',' | b':');
    let is_between = |byte: u8| is_mark(byte) || is_blank(byte);
    let begins = |pair: &[u8]| is_mark(pair[1]) || (is_between(pair[0]) && !is_blank(pair[1]));
    copy.windows(2).filter(|pair| begins(pair)).count() > copy.len() / 3 * 2
}
