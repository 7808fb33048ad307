//! The naive twin's names: names that servers refuse are mended, no two variables have the same name, and no name is ever that of
//! both a value and an object.

use std::collections::{HashMap, HashSet};

const RESERVED: &str = " _all _data_stream_timestamp _doc_count _feature _field_names _id _ignored _ignored_source _index \
    _index_mode _inference_fields _meta _nested _nested_path _parent _primary_term _recovery_source _routing _seq_no \
    _seq_no_doc_values _size _slice _source _tier _timestamp _ts_routing_hash _tsid _ttl _type _uid _version ";
pub(crate) const OWN: [&str; 4] = ["@timestamp", "service.name", "host.name", "expvastic.restarted"];

/// A joined name in the form that servers accept, without regard to other variables.
fn mended(joined: &str, labels: &[String]) -> String {
    let blank = |segment: &str| segment.chars().all(|char| char.is_whitespace() || char <= ' ');
    let segments: Vec<&str> = joined.split('.').map(|segment| if blank(segment) { "_" } else { segment }).collect();
    let mut name = segments.join(".");
    let is_below = |rest: &str| rest.is_empty() || rest.starts_with('.');
    let mut own = OWN.into_iter().chain(labels.iter().map(String::as_str));
    let own = own.any(|own| name.strip_prefix(own).is_some_and(is_below));
    if own || name.starts_with('_') && RESERVED.split_whitespace().any(|reserved| reserved == segments[0]) {
        name = format!("vars.{name}");
    }
    let segments: Vec<&str> = name.split('.').collect();
    if segments.len() > 20 {
        name = format!("{}.{}", segments[..19].join("."), segments[19..].join("_"));
    }
    if name.len() > 512 {
        let end = (0..=495).rev().find(|&at| name.is_char_boundary(at)).unwrap_or_default();
        name = format!("{}_{:016x}", &name[..end], fnv1a(&name));
    }
    name
}

fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The names of the objects within a name: each prefix that ends before a dot.
pub(crate) fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('.').map(|(dot, _)| &name[..dot])
}

/// A mended name, and the position of a variable among those with this name in the payload.
pub(crate) type Field = (String, usize);

/// A variable that is to have a name.
pub(crate) struct Named {
    pub(crate) field: Field,
    /// Whether its value is something other than `null`.
    pub(crate) has_value: bool,
    /// Whether it is the rate of the variable before it.
    pub(crate) is_rate: bool,
}

/// What a reader remembers of its names.
#[derive(Clone)]
pub(crate) struct Names {
    max: usize,
    labels: Vec<String>,
    admitted: HashSet<Field>,
    values: HashSet<String>,
    objects: HashSet<String>,
}

impl Names {
    pub(crate) fn new(max: usize, labels: &[String]) -> Self {
        let own = OWN.into_iter().chain(labels.iter().map(String::as_str));
        let objects = own.flat_map(parents).map(str::to_owned).collect();
        Self { max, labels: labels.to_vec(), admitted: HashSet::new(), values: HashSet::new(), objects }
    }

    /// The field of a variable with this name, if one more may be shipped.
    pub(crate) fn admit(&mut self, name: &str, occurrences: &mut HashMap<String, usize>) -> Option<Field> {
        let name = self.outside_of_values(&mended(name, &self.labels));
        let occurrence = *occurrences.entry(name.clone()).and_modify(|count| *count += 1).or_insert(1);
        let field = (name, occurrence);
        if !self.admitted.contains(&field) {
            if self.admitted.len() >= self.max {
                return None;
            }
            self.admitted.insert(field.clone());
        }
        self.objects.extend(parents(&field.0).map(str::to_owned));
        Some(field)
    }

    /// Renames an object whose name once was that of a value, for the variables in it.
    fn outside_of_values(&self, name: &str) -> String {
        let mut outside = String::new();
        for segment in name.split('.') {
            if !outside.is_empty() {
                while self.values.contains(&outside) {
                    outside.push_str("#object");
                }
                outside.push('.');
            }
            outside.push_str(segment);
        }
        outside
    }

    /// Gives each field a name. Fields whose names need no change come first. `None` for a field beyond the limit.
    pub(crate) fn settle(&mut self, fields: &[Named]) -> Vec<Option<String>> {
        let objects = self.objects.clone();
        let as_it_is = |(name, occurrence): &Field| *occurrence == 1 && !objects.contains(name);
        let own = OWN.into_iter().chain(self.labels.iter().map(String::as_str));
        let mut used: HashSet<String> = own.map(str::to_owned).collect();
        used.extend(fields.iter().filter(|named| as_it_is(&named.field)).map(|named| named.field.0.clone()));
        // Lower numbers are taken already for this base.
        let mut tried: HashMap<String, usize> = HashMap::new();
        let mut find = |field: &Field| {
            let (mut base, _) = field.clone();
            if as_it_is(field) {
                return base;
            }
            while objects.contains(&base) {
                base.push_str("._value");
            }
            let numbered = |n: usize| if n == 1 { base.clone() } else { format!("{base}#{n}") };
            let number = tried.entry(base.clone()).or_insert(1);
            while used.contains(&numbered(*number)) || objects.contains(&numbered(*number)) {
                *number += 1;
            }
            used.insert(numbered(*number));
            numbered(*number)
        };
        let mut names: Vec<Option<String>> = Vec::new();
        for Named { field, has_value, is_rate } in fields {
            if *is_rate && names.last().is_some_and(Option::is_none) {
                names.push(None);
                continue;
            }
            let name = find(field);
            let fits = self.values.contains(&name) || self.values.len() < self.max;
            if fits && *has_value {
                self.values.insert(name.clone());
            }
            names.push(fits.then_some(name));
        }
        names
    }
}
