//! Finds out which source file imports which, from their text: `use` and paths in the code, followed through re-exports to the
//! file that defines the item. Comments, literals and code that is compiled only for tests do not count.

use std::collections::{BTreeMap, BTreeSet};

/// The modules around a file and its own, the name of its crate first.
type Module = Vec<String>;

/// The source files of some crates.
pub(crate) struct Imports {
    files: BTreeMap<Module, String>,
    /// For each file the files that it imports from.
    edges: BTreeMap<Module, BTreeSet<Module>>,
}

/// The paths in one file.
#[derive(Default)]
struct Names {
    /// The imports by `use`: the name in this file, and the path.
    used: BTreeMap<String, Vec<String>>,
    paths: Vec<Vec<String>>,
}

impl Imports {
    /// `sources` are modules with the name of their file and its text.
    pub(crate) fn of(sources: &[(Module, String, String)]) -> Self {
        let files = sources.iter().map(|(module, file, _)| (module.clone(), file.clone())).collect();
        let names: BTreeMap<Module, Names> =
            sources.iter().map(|(module, _, text)| (module.clone(), Names::in_code(&product(text)))).collect();
        let mut edges: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for (module, own) in &names {
            for path in own.used.values().chain(&own.paths) {
                if let Some(target) = definition(&names, module, path).filter(|target| target != module) {
                    edges.entry(module.clone()).or_default().insert(target);
                }
            }
        }
        Self { files, edges }
    }

    /// All pairs of a file and a file that it imports from.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.edges.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
        all.map(|(from, to)| (self.files[from].as_str(), self.files[to].as_str()))
    }

    /// The imports by which modules of the same parent need each other in a circle, each with all that is below it. What a
    /// module imports from one that it is in, or that is in it, does not count.
    pub(crate) fn circles(&self) -> Vec<String> {
        let parents: BTreeSet<&[String]> = self.files.keys().map(|module| &module[..module.len() - 1]).collect();
        parents.into_iter().flat_map(|parent| self.circles_below(parent)).collect()
    }

    fn circles_below(&self, parent: &[String]) -> Vec<String> {
        let child = |module: &Module| module.strip_prefix(parent)?.first().cloned();
        let mut left: Vec<(String, String, String)> = Vec::new();
        for (from, targets) in &self.edges {
            for to in targets {
                if let (Some(one), Some(other)) = (child(from), child(to))
                    && one != other
                {
                    left.push((one, other, format!("{} imports {}", self.files[from], self.files[to])));
                }
            }
        }
        // A module that imports no other, or is imported by no other, is in no circle.
        loop {
            let before = left.len();
            let from: BTreeSet<String> = left.iter().map(|(one, ..)| one.clone()).collect();
            let to: BTreeSet<String> = left.iter().map(|(_, other, _)| other.clone()).collect();
            left.retain(|(one, other, _)| from.contains(other) && to.contains(one));
            if left.len() == before {
                return left.into_iter().map(|(.., line)| line).collect();
            }
        }
    }
}

/// The module that defines the item which `path` names in `module`. `None` if it is in another crate.
fn definition(names: &BTreeMap<Module, Names>, module: &Module, path: &[String]) -> Option<Module> {
    let (mut module, mut path) = (module.clone(), path.to_vec());
    // Each round follows one re-export.
    for _ in 0..16 {
        let first = path.first()?;
        if let Some(used) = names[&module].used.get(first).filter(|used| used[..] != path[..1]) {
            path.splice(..1, used.iter().cloned());
        }
        let mut at = absolute(names, &module, &path)?;
        let known = (1..=at.len()).rev().find(|&length| names.contains_key(&at[..length]))?;
        let rest = at.split_off(known);
        let is_moved_on = rest.first().is_some_and(|name| names[&at].used.contains_key(name));
        if !is_moved_on {
            return Some(at);
        }
        (module, path) = (at.clone(), rest);
        if absolute(names, &at, &names[&at].used[&path[0]]).is_none() {
            return Some(at);
        }
    }
    None
}

/// The path from the root of its crate.
fn absolute(names: &BTreeMap<Module, Names>, module: &Module, path: &[String]) -> Option<Vec<String>> {
    let first = path.first()?;
    let above = path.iter().take_while(|name| *name == "super").count();
    let (start, rest) = match first.as_str() {
        "crate" => (&module[..1], &path[1..]),
        "self" => (&module[..], &path[1..]),
        "super" => (module.get(..module.len().checked_sub(above)?)?, &path[above..]),
        _ if names.contains_key(&[&module[..], &path[..1]].concat()) => (&module[..], path),
        _ if names.contains_key(&path[..1]) => (&module[..0], path),
        _ => return None,
    };
    Some([start, rest].concat())
}

impl Names {
    fn in_code(code: &[String]) -> Self {
        let mut names = Self::default();
        let mut at = 0;
        while at < code.len() {
            if code[at] == "use" {
                let length = code[at..].iter().position(|token| token == ";").unwrap_or(code.len() - at);
                names.add_use(&code[at + 1..at + length], &[]);
                at += length;
            } else if is_name(&code[at]) {
                let mut path = vec![code[at].clone()];
                while code.get(at + 1).is_some_and(|token| token == "::")
                    && code.get(at + 2).is_some_and(|it| is_name(it))
                {
                    path.push(code[at + 2].clone());
                    at += 2;
                }
                if path.len() > 1 {
                    names.paths.push(path);
                }
            }
            at += 1;
        }
        names
    }

    /// The tree of a `use` below the path `around`.
    fn add_use(&mut self, tree: &[String], around: &[String]) {
        let group = tree.iter().position(|token| token == "{").unwrap_or(tree.len());
        let (path, alias) = match tree[..group].iter().position(|token| token == "as") {
            Some(place) => (&tree[..place], tree.get(place + 1)),
            None => (&tree[..group], None),
        };
        let mut path = [around, &path.iter().filter(|token| *token != "::").cloned().collect::<Vec<_>>()].concat();
        if group < tree.len() {
            let mut depth = 0;
            let inside = &tree[group + 1..tree.len() - 1];
            for part in inside.split(|token| {
                depth += i32::from(token == "{") - i32::from(token == "}");
                token == "," && depth == 0
            }) {
                self.add_use(part, &path);
            }
        } else if !path.is_empty() && path != around {
            if path.last().is_some_and(|last| last == "self") {
                path.pop();
            }
            let name = alias.or_else(|| path.last()).cloned().unwrap_or_default();
            self.paths.push(path.clone());
            self.used.insert(name, path);
        }
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The names, `::` and other characters of a text that are code of the product.
fn product(text: &str) -> Vec<String> {
    const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let all = tokens(text);
    let (mut code, mut at) = (Vec::new(), 0);
    while at < all.len() {
        if all[at..].iter().take(TEST.len()).map(String::as_str).eq(TEST) {
            let mut depth = 0;
            let is_end = |token: &String| {
                depth += i32::from(token == "{") - i32::from(token == "}");
                depth == 0 && matches!(token.as_str(), ";" | "}")
            };
            at += all[at..].iter().position(is_end).map_or(all.len(), |length| length + 1);
        } else {
            code.push(all[at].clone());
            at += 1;
        }
    }
    code
}

fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let name = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let literal = literal_bytes(rest);
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if literal > 0 {
            literal
        } else if name > 0 || rest.starts_with("::") {
            let length = name.max(if name > 0 { 0 } else { 2 });
            found.push(rest[..length].to_owned());
            length
        } else {
            if !first.is_whitespace() {
                found.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

/// Bytes of the string or character that a text begins with, 0 if it begins with none.
fn literal_bytes(text: &str) -> usize {
    for prefix in ["r", "br"] {
        let Some(body) = text.strip_prefix(prefix) else { continue };
        let marks = body.bytes().take_while(|byte| *byte == b'#').count();
        if body[marks..].starts_with('"') {
            let (inside, end) = (prefix.len() + marks + 1, format!("\"{}", &body[..marks]));
            return text[inside..].find(&end).map_or(text.len(), |found| inside + found + end.len());
        }
    }
    let body = text.strip_prefix('b').unwrap_or(text);
    let Some(quote @ ('"' | '\'')) = body.chars().next() else { return 0 };
    let mut escaped = false;
    // No character is longer than `\u{10ffff}`: what begins another way is a lifetime.
    let characters_max = if quote == '"' { usize::MAX } else { 12 };
    let end = body.char_indices().take(characters_max).skip(1).find(|(_, c)| {
        let is_end = !escaped && *c == quote;
        escaped = !escaped && *c == '\\';
        is_end
    });
    let Some((end, _)) = end else { return if quote == '"' { text.len() } else { 0 } };
    let is_character = body[1..].starts_with('\\') || body[1..end].chars().count() == 1;
    if quote == '"' || is_character { text.len() - body.len() + end + 1 } else { 0 }
}
