//! Our own flattener. Only this file of the benches depends on its interface.

use expvastic::Config;
use expvastic::hot_path::HotPath;

/// Everything that is kept from one body to the next.
pub(crate) struct Ours(HotPath);

impl Ours {
    /// A reader with the defaults, but for `max_fields`: everything is shipped, as the rivals do.
    pub(crate) fn new() -> Self {
        let config = "readers: {app: {type_name: app, endpoint: \"localhost:1\", max_fields: 100000}}\n\
                      recorders: {out: {type: file, path: \"-\"}}\nroutes: {r: {readers: [app], recorders: [out]}}\n";
        let config = Config::parse("bench", config, &|_| None).expect("a good configuration");
        Self(HotPath::of_config(&config).expect("a reader"))
    }

    /// Hands the document of `body` to `receive`.
    pub(crate) fn flatten<R>(&mut self, body: &mut Vec<u8>, receive: impl FnOnce(&[u8]) -> R) -> R {
        receive(self.0.flatten(body).expect("a document"))
    }
}
