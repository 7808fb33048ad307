//! Readers share what is equal. Hundreds of them mostly have what `defaults` says, and one set of rules takes half a kilobyte.

use super::reader::{Reader, Source};
use crate::access::Access;
use crate::flatten::VariableRules;
use std::sync::Arc;

/// What the last reader had, for the next one.
#[derive(Default)]
pub(super) struct Shared {
    variables: Arc<VariableRules>,
    access: Arc<Access>,
}

impl Shared {
    pub(super) fn share_with(&mut self, reader: &mut Reader) {
        share(&mut reader.variables, &mut self.variables);
        if let Source::Expvar { access, .. } = &mut reader.source {
            share(access, &mut self.access);
        }
    }
}

fn share<T: PartialEq>(own: &mut Arc<T>, last: &mut Arc<T>) {
    if own == last {
        *own = Arc::clone(last);
    } else {
        *last = Arc::clone(own);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn readers_share_what_is_equal() {
        let text = "defaults: {readers: {type_name: t, endpoint: \"h:1\"}}\n\
                    readers: {a: {include: [x]}, b: {include: [x]}, c: {}}\n\
                    recorders: {out: {type: file, path: \"-\"}}\nroutes: {r: {readers: [a, b, c], recorders: out}}";
        let all = Config::parse("conf.yml", text, &|_| None).expect("a configuration").readers;
        assert!(Arc::ptr_eq(&all[0].variables, &all[1].variables));
        assert!(!Arc::ptr_eq(&all[1].variables, &all[2].variables));
        let accesses: Vec<_> = all.iter().filter_map(|reader| reader.source.access()).collect();
        assert!(accesses.len() == 3 && accesses.iter().all(|access| Arc::ptr_eq(access, accesses[0])));
    }
}
