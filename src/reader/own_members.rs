//! The members that every document of a reader begins with, after its time.

use crate::config::Reader;
use crate::document;
use crate::http::Endpoint;
use std::cell::{Cell, Ref, RefCell};

/// They are written once, and again if it turns out where the endpoint is: a name that only a name server knows counts as
/// another machine until a connection has been made.
pub(super) struct OwnMembers {
    /// The name of this machine.
    machine: String,
    text: RefCell<Vec<u8>>,
    is_local: Cell<bool>,
}

impl OwnMembers {
    pub(super) fn new(reader: &Reader, endpoint: Option<&Endpoint>, machine: &str) -> Self {
        let is_local = endpoint.is_none_or(Endpoint::is_neighbour);
        let members = Self { machine: machine.to_owned(), text: RefCell::default(), is_local: Cell::new(is_local) };
        members.write(reader, endpoint);
        members
    }

    pub(super) fn of(&self, reader: &Reader, endpoint: Option<&Endpoint>) -> Ref<'_, [u8]> {
        let is_local = endpoint.is_none_or(Endpoint::is_neighbour);
        if self.is_local.replace(is_local) != is_local {
            self.write(reader, endpoint);
        }
        Ref::map(self.text.borrow(), Vec::as_slice)
    }

    fn write(&self, reader: &Reader, endpoint: Option<&Endpoint>) {
        let host = match (&reader.host_name, endpoint) {
            (Some(name), _) => name,
            (None, Some(endpoint)) if !self.is_local.get() => endpoint.host(),
            (None, _) => &self.machine,
        };
        self.text.replace(document::own_members(&reader.type_name, host, reader.labels()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(endpoint: &str, host_name: Option<&str>) -> String {
        let mut reader = Reader::expvar("r", "app", endpoint).unwrap();
        reader.host_name = host_name.map(str::to_owned);
        let url = format!("http://{endpoint}/debug/vars");
        let endpoint = Endpoint::new(if endpoint.starts_with("unix:") { endpoint } else { &url });
        let members = OwnMembers::new(&reader, Some(&endpoint), "box");
        let text = String::from_utf8(members.of(&reader, Some(&endpoint)).to_vec()).unwrap();
        text.strip_prefix(r#","service.name":"app","host.name":""#).unwrap().trim_end_matches('"').to_owned()
    }

    #[test]
    fn the_host_is_that_of_the_endpoint() {
        assert_eq!(host("localhost:1234", None), "box");
        assert_eq!(host("127.0.0.1:1234", None), "box");
        assert_eq!(host("unix:///run/app.sock:/debug/vars", None), "box");
        assert_eq!(host("shop.invalid:1234", None), "shop.invalid");
        assert_eq!(host("192.0.2.1:1234", None), "192.0.2.1");
        assert_eq!(host("[2001:db8::1]:1234", None), "2001:db8::1");
        assert_eq!(host("localhost:1234", Some("node-7")), "node-7");
        assert_eq!(host("shop.invalid:1234", Some("node-7")), "node-7");
    }

    #[test]
    fn an_endpoint_that_turns_out_to_be_here_has_this_machine_s_name() {
        let reader = Reader::expvar("r", "app", "alias.invalid:1234").unwrap();
        let endpoint = Endpoint::new("http://alias.invalid:1234/debug/vars");
        let members = OwnMembers::new(&reader, Some(&endpoint), "box");
        let is_here = |name: &str| members.of(&reader, Some(&endpoint)).ends_with(format!("{name}\"").as_bytes());
        assert!(is_here("alias.invalid"));
        endpoint.learn(true);
        assert!(is_here("box"));
        endpoint.learn(false);
        assert!(is_here("alias.invalid"));
    }
}
