//! Finds patterns and names of the configuration that match nothing in a payload, most of which are misspelt. Runs once
//! for each reader, on the payload of its first document.

use super::globs::{Choice, Matched};
use super::keyed;
use super::rules::VariableRules;
use crate::bytes::locate::string_end;
use crate::bytes::scalar::{self, Escapes};

/// The patterns of one key of the configuration that match nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmatched {
    /// The key as it stands in the configuration.
    pub key: &'static str,
    /// The patterns as they were given.
    pub patterns: Vec<String>,
}

/// The state of a search through the names of a payload.
struct Search<'r> {
    rules: &'r VariableRules,
    globs: Vec<(&'static str, Matched<'r>)>,
    /// For each renamed name, each name of the `map_file`, and each array with a key, whether there is such a variable.
    renames: Vec<bool>,
    units: Vec<bool>,
    keyed: Vec<bool>,
    /// The name of the current member, as patterns see it.
    path: Vec<u8>,
    /// Where the names of the members around it end in the path.
    ends: Vec<usize>,
}

/// An object or array that is open at the current position.
struct Open<'r> {
    is_object: bool,
    /// It is an object, and the position is within one of its members.
    in_member: bool,
    /// It is an array that becomes an object, by this member of its elements.
    member: Option<&'r str>,
    /// It is an element of such an array, and has a key.
    has_key: bool,
}

/// The patterns of `rules` that match nothing in `text`, an object that a walk has found to be sound.
#[cold]
pub(crate) fn unmatched(rules: &VariableRules, text: &[u8]) -> Vec<Unmatched> {
    let has_patterns = rules.choice != Choice::default() || !rules.rates.is_empty() || rules.renames.count() > 0;
    let has_conversions = rules.converts() || !rules.texts.is_empty() || !rules.keyed_arrays.is_empty();
    if !has_patterns && !has_conversions {
        return Vec::new();
    }
    let Choice { include, exclude } = &rules.choice;
    let globs = [("include", include), ("exclude", exclude), ("rates", &rules.rates)];
    let globs = globs.into_iter().chain(rules.texts.groups().map(|globs| ("convert", globs)));
    let mut search = Search {
        rules,
        globs: globs.map(|(key, globs)| (key, Matched::new(globs))).collect(),
        keyed: vec![false; rules.keyed_arrays.len()],
        renames: vec![false; rules.renames.count()],
        units: vec![false; rules.conversions.names().count()],
        path: Vec::new(),
        ends: Vec::new(),
    };
    search.read(text);
    search.found()
}

impl<'r> Search<'r> {
    fn read(&mut self, text: &[u8]) {
        let mut open: Vec<Open<'r>> = Vec::new();
        let mut arrays = 0_usize;
        let mut at = 0;
        while at < text.len() {
            match text[at] {
                b'"' => {
                    let end = string_end(text, at + 1);
                    let is_key = open.last().is_some_and(|open| open.is_object && !open.in_member);
                    if let Some(innermost) = open.last_mut().filter(|_| is_key) {
                        innermost.in_member = true;
                        self.enter(&text[at + 1..end], arrays > 0);
                    }
                    at = end;
                }
                b'{' => {
                    let member = open.last().and_then(|open| open.member);
                    let key = member.and_then(|member| key_of_element(text, at, member));
                    if let Some(key) = key {
                        self.enter(key, false);
                    }
                    open.push(Open { is_object: true, in_member: false, member: None, has_key: key.is_some() });
                }
                b'[' => {
                    let member = if arrays == 0 { self.key_member() } else { None };
                    open.push(Open { is_object: false, in_member: false, member, has_key: false });
                    if member.is_none() {
                        arrays += 1;
                        // The column for elements that are not objects.
                        self.enter(b"_value", true);
                        self.leave();
                    }
                }
                b'}' | b']' => {
                    if let Some(closed) = open.pop() {
                        arrays = arrays.saturating_sub(usize::from(!closed.is_object && closed.member.is_none()));
                        (0..usize::from(closed.in_member) + usize::from(closed.has_key)).for_each(|_| self.leave());
                    }
                }
                b',' => {
                    if let Some(innermost) = open.last_mut().filter(|open| open.in_member) {
                        innermost.in_member = false;
                        self.leave();
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// If the current member becomes an object by a key: the member of its elements that has the key.
    fn key_member(&mut self) -> Option<&'r str> {
        let place = keyed::place_of(&self.rules.keyed_arrays, &self.path)?;
        self.keyed[place] = true;
        self.rules.keyed_arrays.get(place).map(|keyed| keyed.member.as_str())
    }

    fn enter(&mut self, key: &[u8], in_array: bool) {
        let before = self.path.len();
        self.ends.push(before);
        if before > 0 || self.ends.len() > 1 {
            self.path.push(b'.');
        }
        let key_at = self.path.len();
        if scalar::escapes(key) != Escapes::Bad {
            scalar::decode(&mut self.path, key);
        }
        if in_array && self.rules.dots_underscore {
            // In names of columns the change comes before patterns are matched.
            self.path[key_at..].iter_mut().filter(|byte| **byte == b'.').for_each(|byte| *byte = b'_');
        }
        for (_, matched) in &mut self.globs {
            matched.push(&self.path[before..]);
        }
        let Self { rules, renames, units, path, .. } = self;
        rules.renames.each_of(path, key_at, |place| renames[place] = true);
        if !in_array {
            rules.conversions.each_of(path, |place| units[place] = true);
        }
    }

    fn leave(&mut self) {
        if let Some(before) = self.ends.pop() {
            self.path.truncate(before);
            for (_, matched) in &mut self.globs {
                matched.pop();
            }
        }
    }

    fn found(&self) -> Vec<Unmatched> {
        let defaults = Choice::default();
        let is_default = |text: &str| [&defaults.include, &defaults.exclude].iter().any(|globs| globs.has(text));
        let globs = self.globs.iter().map(|(key, matched)| {
            let patterns = matched.unmatched().filter(|text| !is_default(text)).map(str::to_owned).collect();
            Unmatched { key, patterns }
        });
        let not_seen = |seen: &[bool], names: &mut dyn Iterator<Item = &str>| -> Vec<String> {
            names.zip(seen).filter(|(_, seen)| !**seen).map(|(name, _)| name.to_owned()).collect()
        };
        let renames = not_seen(&self.renames, &mut self.rules.renames.sources());
        let units = not_seen(&self.units, &mut self.rules.conversions.names());
        let keyed = not_seen(&self.keyed, &mut self.rules.keyed_arrays.iter().map(|keyed| keyed.array.as_str()));
        let others = [("rename", renames), ("map_file", units), ("object_arrays", keyed)];
        let others = others.into_iter().map(|(key, patterns)| Unmatched { key, patterns });
        let mut all: Vec<Unmatched> = Vec::new();
        for found in globs.chain(others).filter(|found| !found.patterns.is_empty()) {
            // `convert` has several lists of patterns.
            match all.last_mut().filter(|last| last.key == found.key) {
                Some(last) => last.patterns.extend(found.patterns),
                None => all.push(found),
            }
        }
        all
    }
}

/// The key of the element that begins at `start`: the text of its member `member`, as it stands. None if it has none.
fn key_of_element<'t>(text: &'t [u8], start: usize, member: &str) -> Option<&'t [u8]> {
    let (mut nested, mut at, mut last) = (0_usize, start + 1, None);
    let mut is_key = false;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => {
                let end = string_end(text, at + 1);
                let string = &text[at + 1..end];
                if is_key && nested == 0 {
                    return Some(string);
                }
                last = Some(string);
                at = end;
            }
            b'{' | b'[' => nested += 1,
            b'}' | b']' if nested == 0 => return None,
            b'}' | b']' => nested -= 1,
            b':' if nested == 0 => {
                is_key = last.is_some_and(|key| keyed::is_name(key, member.as_bytes(), &mut Vec::new()));
            }
            b',' => is_key = false,
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Conversion, Conversions, Globs, KeyedArray, Renames, TextUnit, TextUnits};
    use std::sync::Arc;

    fn found(rules: &VariableRules, text: &str) -> Vec<String> {
        let join = |found: Unmatched| format!("{}: {}", found.key, found.patterns.join(" "));
        unmatched(rules, text.as_bytes()).into_iter().map(join).collect()
    }

    #[test]
    fn what_matches_nothing_is_found() {
        let text = r#"{"a":1,"b":{"c":{"d":[1,2],"e.f":"x\",{\"k\":"}},"t":[{"x":1,"y.z":{"w":2}},3],"memstats":{"\u0041lloc":1}}"#;
        for (patterns, unmatched) in [
            (&["a", "b.c", "b.c.d", "b.c.e", "b.c.e.f", "t.x", "t.y.z.w", "memstats.Alloc", "t._value"][..], ""),
            (&["b.**", "**.d", "*", "**", "b.*.d", "m*.A*", "t.y.z", "b.c.**", "a.**"], ""),
            (
                &["b.d", "c", "a.b", "x", "k", "b.c.d.**.z", "t.z", "alloc", "**.q", "b.c.e*g"],
                "b.d c a.b x k b.c.d.**.z t.z alloc **.q b.c.e*g",
            ),
            (&["**", "cmdline", "memstats.BySize.**"], ""),
        ] {
            let expected: Vec<String> =
                if unmatched.is_empty() { Vec::new() } else { vec![format!("rates: {unmatched}")] };
            let rules = VariableRules { rates: Globs::new(patterns), ..VariableRules::default() };
            assert_eq!(found(&rules, text), expected);
            // What takes all that is around it hides nothing.
            let choice = Choice::default().replaced(Some(&["zzz", "b"]), Some(patterns));
            let rules = VariableRules { choice, ..VariableRules::default() };
            let expected: Vec<String> = expected.iter().map(|line| line.replace("rates", "exclude")).collect();
            assert_eq!(found(&rules, text), [vec!["include: zzz".to_owned()], expected].concat());
        }
        let pair = |from: &str| (from.to_owned(), from.to_uppercase());
        let renames = Renames::new(["a", "b.c", "b.c.e", "b.c.e.f", "c", "t.y.z", "nope"].map(pair).to_vec());
        let sizes = ["alloc", "memstats.alloc", "B.C.D", "other"].map(|name| (name.to_owned(), Conversion::Bytes));
        let conversions = Conversions { gc_lists: vec!["D".to_owned(), "pauses".to_owned()], sizes: sizes.to_vec() };
        let rules = VariableRules { renames, conversions: Arc::new(conversions), ..VariableRules::default() };
        assert_eq!(found(&rules, text), ["rename: c nope", "map_file: pauses other"]);
    }

    #[test]
    fn patterns_for_texts_and_arrays_with_keys_are_looked_for() {
        let text = r#"{"up":"1s","G":[{"Name":"a.b","Value":1},{"Value":2,"Name":"c","L":[{"Name":"x"}]},3,{"Value":9}],"o":{"G":[]}}"#;
        let unit = |name| TextUnit::named(name).unwrap();
        let texts =
            [("up", "s"), ("nope", "ms"), ("G.a.b.Value", "B"), ("G.Value", "s"), ("G.c.L.Name", "s"), ("q", "B")];
        let texts = TextUnits::new(&texts.map(|(pattern, name)| (pattern.to_owned(), unit(name))));
        let keyed = |(array, member): (&str, &str)| KeyedArray { array: array.to_owned(), member: member.to_owned() };
        let keyed_arrays = [("G", "Name"), ("o.G", "Name"), ("g", "Name"), ("G.c.L", "x")].map(keyed).to_vec();
        let rules = VariableRules { keyed_arrays, texts, ..VariableRules::default() };
        // `G.Value` is the name in an element without a key, which is left out.
        assert_eq!(found(&rules, text), ["convert: nope q", "object_arrays: g"]);
    }
}
