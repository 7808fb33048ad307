//! Recognises action lines and documents in texts that come from elsewhere. Pure.

use super::{ID, INDEX};
use crate::flatten;
use crate::limits;
use memchr::memmem;

/// Finds the action line at the end of `line`, and returns its offset. Only the form that
/// [`Bulk::push`](super::Bulk::push) writes is recognised. In a damaged file other text may precede it in the same line.
pub(crate) fn action_start(line: &[u8]) -> Option<usize> {
    let text = line.strip_suffix(b"\"}}\n")?;
    let tail = line.len().saturating_sub(limits::ACTION_LINE_BYTES_MAX).min(text.len());
    let start = tail + memmem::rfind(&text[tail..], INDEX)?;
    let names = &text[start + INDEX.len()..];
    let at = memmem::find(names, ID)?;
    let is_plain = |name: &[u8]| {
        let needs_no_escape = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
        !name.is_empty() && name.iter().all(needs_no_escape) && std::str::from_utf8(name).is_ok()
    };
    (is_plain(&names[..at]) && is_plain(&names[at + ID.len()..])).then_some(start)
}

/// Whether `line` can follow an action line: it is one JSON object, and not longer than this program's documents can be.
pub(crate) fn is_source(line: &[u8]) -> bool {
    line.len() <= limits::SOURCE_BYTES_MAX && line.strip_suffix(b"\n").is_some_and(flatten::is_object_in_one_line)
}

/// Finds the text that every action line begins with.
pub(crate) fn beginning() -> memmem::Finder<'static> {
    memmem::Finder::new(INDEX)
}

#[cfg(test)]
mod tests {
    use super::super::{ActionLine, Bulk, DocumentKey, IdSource};
    use super::*;
    use crate::calendar::Timestamp;

    #[test]
    fn an_action_line_is_known_by_its_form_whatever_stands_before_it() {
        let mut bulk = Bulk::default();
        let key = DocumentKey { time: Timestamp::EPOCH, id: IdSource::new([3; 9]).next_id() };
        bulk.push(&mut ActionLine::new("metrics-%Y"), key, b"{\"a\":1}");
        let lines: Vec<&[u8]> = bulk.bytes().split_inclusive(|&byte| byte == b'\n').collect();
        assert_eq!((action_start(lines[0]), action_start(lines[1])), (Some(0), None));
        assert_eq!(
            (is_source(lines[0]), is_source(lines[1]), is_source(b"{}"), is_source(b"[]\n")),
            (true, true, false, false)
        );
        for before in
            ["x", "{\"a\":1}", "{\"create\":{\"_index\":\"i\",\"_id\":\"x\"}}", "{\"create\":{\"_index\":\"", "{"]
        {
            let line = [before.as_bytes(), lines[0]].concat();
            assert_eq!(action_start(&line), Some(before.len()), "{before}");
        }
        for wrong in [
            "\n",
            "{\"create\":{\"_index\":\"\n",
            "{\"create\":{\"_index\":\"i\"}}\n",
            "{\"create\":{\"_index\":\"\",\"_id\":\"x\"}}\n",
            "{\"create\":{\"_index\":\"i\",\"_id\":\"\"}}\n",
            "{\"create\":{\"_index\":\"i\\\",\"_id\":\"x\"}}\n",
            "{\"create\":{\"_index\":\"i\u{1}\",\"_id\":\"x\"}}\n",
            "{\"create\":{\"_index\":\"i\",\"_id\":\"x\",\"_type\":\"t\"}}\n",
            "{\"create\":{\"_index\":\"i\",\"_id\":\"x\"}}",
            "{\"create\":{\"_index\":\"i\",\"_id\":\"x\"}} \n",
            "{\"index\":{\"_index\":\"i\",\"_id\":\"x\"}}\n",
        ] {
            assert_eq!(action_start(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(action_start(b"{\"create\":{\"_index\":\"\xff\",\"_id\":\"x\"}}\n"), None);
    }
}
