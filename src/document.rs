//! The members that every document begins with: its time, and the names of its service and host.

use crate::calendar::Timestamp;
use crate::json;

/// The text that a document begins with: what precedes its time.
pub(crate) const TIME: &[u8] = b"{\"@timestamp\":\"";

/// The text that precedes the value of `service.name` in a document.
pub(crate) const SERVICE_NAME: &[u8] = b",\"service.name\":\"";

/// Begins a document with its time and the `own_members` of its reader. The members of the payload follow, and [`end`]
/// closes the object.
pub(crate) fn begin(out: &mut Vec<u8>, time: Timestamp, own_members: &[u8]) {
    out.extend_from_slice(TIME);
    time.append_micros(out);
    out.push(b'"');
    out.extend_from_slice(own_members);
}

/// Closes the object that [`begin`] opened.
pub(crate) fn end(out: &mut Vec<u8>) {
    out.push(b'}');
}

/// The members that are the same in all documents of one reader, as [`begin`] takes them: each with a comma before it.
pub(crate) fn own_members<'l>(
    service_name: &'l str,
    host_name: &'l str,
    labels: impl Iterator<Item = (&'l str, &'l str)>,
) -> Vec<u8> {
    let mut members = Vec::new();
    let names = [("service.name", service_name), ("host.name", host_name)];
    for (name, value) in names.into_iter().chain(labels) {
        members.push(b',');
        json::write_string(&mut members, name);
        members.push(b':');
        json::write_string(&mut members, value);
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_document_begins_with_its_time_and_names() {
        let mut out = Vec::new();
        let own_members = own_members("my \"app\"", "box", [("zone", "\u{1}")].into_iter());
        begin(&mut out, Timestamp::since_epoch(Duration::from_secs(1_795_323_967)), &own_members);
        end(&mut out);
        let expected = r#"{"@timestamp":"2026-11-22T05:06:07.000000Z","service.name":"my \"app\"","host.name":"box","zone":"\u0001"}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert!(memchr::memmem::find(expected.as_bytes(), SERVICE_NAME).is_some());
    }
}
