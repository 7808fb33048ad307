//! The assertions of the fuzz target for spool folders. Whatever is in the folder, it can be opened. It gives complete
//! documents, which a naive reader finds as well, and all later steps work with them. Documents that are not done are still
//! there at the next start.
#![allow(dead_code, reason = "the targets take one each")]

#[path = "strict_json.rs"]
mod strict_json;

use expvastic::spooled::{FolderLoad, FolderTrial};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use strict_json::Json;

/// The content of a file outside of the folder.
const VICTIM: &str = "important\n";
/// Enough bytes for everything in an input.
const ROOMY: u64 = 64 << 20;

/// Bytes of an action line with its line end.
const ACTION_BYTES_MAX: usize = 1 << 10;
const BEGINNING: &[u8] = b"{\"create\":{\"_index\":\"";

/// The folder of an input, and how it is read.
struct Folder {
    root: tempfile::TempDir,
    path: PathBuf,
    /// The most bytes that the folder may have. With [`ROOMY`], nothing is dropped.
    bytes_max: u64,
    load_bytes: usize,
    /// Each bit is one choice of [`Folder::choose`].
    choices: u64,
    /// The content of each regular file by its name.
    files: BTreeMap<String, Vec<u8>>,
}

impl Folder {
    /// The first line has three numbers: bytes of the folder, bytes that are loaded at once, and what is done with which
    /// documents. Then come the files: a line `=NAME`, and the content in the lines after it. `=NAME+` also writes a correct
    /// list of checksums for that content. `=NAME/` makes a folder, and `=NAME@` a link to a file outside of the folder.
    fn new(input: &[u8]) -> Self {
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder");
        let path = root.path().join("spool");
        fs::create_dir(&path).expect("made");
        fs::write(root.path().join("victim"), VICTIM).expect("written");
        let mut lines = input.split_inclusive(|&byte| byte == b'\n').peekable();
        let first = lines.next().unwrap_or_default();
        let mut numbers = first
            .split(|byte| !byte.is_ascii_digit())
            .map(|text| std::str::from_utf8(text).ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or_default());
        let mut number = || numbers.next().unwrap_or_default();
        let (bytes_max, load_bytes, choices) = (number(), number(), number());
        let mut folder = Self {
            root,
            path,
            bytes_max: if bytes_max < 64 << 10 { ROOMY } else { bytes_max.min(ROOMY) },
            load_bytes: usize::try_from(load_bytes % 5000).expect("small"),
            choices,
            files: BTreeMap::new(),
        };
        while let Some(line) = lines.next() {
            let Some(name) = line.strip_prefix(b"=") else { continue };
            let mut content = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with(b"=")) {
                content.extend_from_slice(line);
            }
            folder.put(&String::from_utf8_lossy(name.trim_ascii_end()), content);
        }
        folder
    }

    fn put(&mut self, name: &str, content: Vec<u8>) {
        let base = name.trim_end_matches(['+', '/', '@']);
        let is_name =
            !base.is_empty() && base.len() < 100 && !base.contains(['/', '\0']) && base != "." && base != "..";
        if !is_name || self.path.join(base).symlink_metadata().is_ok() {
            return;
        }
        match name.as_bytes()[base.len()..].first() {
            Some(b'/') => fs::create_dir(self.path.join(base)).expect("made"),
            Some(b'@') => symlink(self.root.path().join("victim"), self.path.join(base)).expect("linked"),
            ending => {
                if ending == Some(&b'+')
                    && let Some(stem) = base.strip_suffix(".ndjson")
                {
                    self.write(&format!("{stem}.sums"), sums(&content));
                }
                self.write(base, content);
            }
        }
    }

    fn write(&mut self, name: &str, content: Vec<u8>) {
        if self.path.join(name).symlink_metadata().is_err() {
            fs::write(self.path.join(name), &content).expect("written");
            self.files.insert(name.to_owned(), content);
        }
    }

    /// Makes a choice between two things.
    fn choose(&mut self) -> bool {
        self.choices = self.choices.rotate_right(1);
        self.choices & 1 == 1
    }

    /// The documents in the segments, as a naive reader finds them. Each checksum in a list is good for one document.
    fn documents(&self) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        for (name, text) in &self.files {
            let Some((stem, _)) = segment_number(name, "ndjson") else { continue };
            if self.path.join(format!("{stem}.gone")).symlink_metadata().is_ok_and(|found| found.is_file()) {
                continue;
            }
            let empty = Vec::new();
            let sums = self.files.get(&format!("{stem}.sums")).unwrap_or(&empty);
            let mut listed: Vec<u64> = sums.split(|&byte| byte == b'\n').filter_map(read_sum).collect();
            let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
            let mut at = 0;
            while at + 1 < lines.len() {
                let start = lines[at].windows(BEGINNING.len()).rposition(|window| window == BEGINNING);
                let document = start.map(|start| [&lines[at][start..], lines[at + 1]].concat());
                let sum = document.as_ref().map(|document| checksum(document));
                match document.filter(|document| listed.contains(&sum.unwrap_or(0)) && is_document(document)) {
                    Some(document) => {
                        listed.retain(|listed| Some(*listed) != sum);
                        found.push(document);
                        at += 2;
                    }
                    None => at += 1,
                }
            }
        }
        found
    }
}

/// The stem and the number in a file name, if it is one of the spool.
fn segment_number<'n>(name: &'n str, kind: &str) -> Option<(&'n str, u64)> {
    let stem = name.strip_suffix(kind)?.strip_suffix('.')?;
    let number: u64 = stem.parse().ok().filter(|number| *number < u64::MAX)?;
    (format!("{number:010}") == stem).then_some((stem, number))
}

fn read_sum(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok().filter(|text| text.len() == 16)?;
    u64::from_str_radix(text, 16).ok()
}

/// CRC-64 as it is defined, bit by bit.
fn checksum(bytes: &[u8]) -> u64 {
    let bit = |sum: u64| if sum & 1 == 1 { 0xC96C_5795_D787_0F42 ^ (sum >> 1) } else { sum >> 1 };
    !bytes.iter().fold(u64::MAX, |sum, &byte| (0..8).fold(sum ^ u64::from(byte), |sum, _| bit(sum)))
}

/// The list of checksums for a text in which each document has two lines.
fn sums(text: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
    lines.chunks(2).flat_map(|pair| format!("{:016x}\n", checksum(&pair.concat())).into_bytes()).collect()
}

/// Whether this is an action line as the program writes it, followed by an object on one line.
fn is_document(document: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(document) else { return false };
    let Some((action, source)) = text.strip_suffix('\n').and_then(|text| text.split_once('\n')) else { return false };
    let Ok(Json::Object(outer)) = Json::parse(action) else { return false };
    let Some((_, Json::Object(inner))) = outer.first() else { return false };
    let [(_, Json::String(index)), (_, Json::String(id))] = &inner[..] else { return false };
    let written = format!("{{\"create\":{{\"_index\":\"{index}\",\"_id\":\"{id}\"}}}}");
    let is_action = written == action && action.len() < ACTION_BYTES_MAX && !index.is_empty() && !id.is_empty();
    is_action && !source.contains('\n') && depth(source) <= 64 && matches!(Json::parse(source), Ok(Json::Object(_)))
}

/// The deepest nesting of objects and arrays. Brackets in texts do not count.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match (byte, in_text) {
            _ if escaped => escaped = false,
            (b'\\', true) => escaped = true,
            (b'"', _) => in_text = !in_text,
            (b'{' | b'[', false) => depth += 1,
            (b'}' | b']', false) => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn check_load(load: &FolderLoad) {
    for ((document, typed), letter) in load.documents.iter().zip(&load.typed).zip(&load.letters) {
        assert!(is_document(document), "{}", String::from_utf8_lossy(document));
        let typed = std::str::from_utf8(typed).expect("UTF-8");
        let (action, source) = typed.strip_suffix('\n').and_then(|text| text.split_once('\n')).expect("two lines");
        assert!(document.ends_with(format!("\n{source}\n").as_bytes()));
        let action = Json::parse(action).expect("strict JSON");
        let Json::Object(outer) = action else { panic!("{typed}") };
        let Json::Object(inner) = &outer[0].1 else { panic!("{typed}") };
        let names: Vec<&str> = inner.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["_index", "_type", "_id"], "{typed}");
        let letter = std::str::from_utf8(letter).expect("UTF-8");
        assert!(letter.ends_with('\n') && letter.matches('\n').count() == 1, "{letter}");
        assert!(matches!(Json::parse(letter.trim_ascii_end()), Ok(Json::Object(_))), "{letter}");
    }
    assert_eq!((load.typed.len(), load.letters.len()), (load.documents.len(), load.documents.len()));
}

/// Loads all documents. Some of them are first put back and loaded again.
fn load_all(folder: &mut Folder, trial: &mut FolderTrial, is_done: bool) -> Vec<Vec<u8>> {
    let (mut all, mut unreadable, mut out) = (Vec::new(), 0, Vec::new());
    for turn in 0.. {
        assert!(turn < 10_000, "loading does not end");
        match trial.load(folder.load_bytes) {
            Ok(None) => break,
            Ok(Some(load)) => {
                check_load(&load);
                if turn < 50 && folder.choose() {
                    let is_refused = folder.choose();
                    trial.end(&load, false, is_refused);
                    continue;
                }
                all.extend(load.documents.iter().cloned());
                out.push(load);
            }
            Err(_) => {
                unreadable += 1;
                if unreadable > 2 * folder.files.len() + 50 {
                    break;
                }
            }
        }
    }
    if is_done {
        for load in &out {
            trial.end(load, true, false);
        }
    }
    all.sort();
    all
}

/// Checks the spool folder that an input describes as in [`Folder::new`].
pub(crate) fn spool_folder(input: &[u8]) {
    let mut folder = Folder::new(input);
    let mut expected = folder.documents();
    expected.sort();
    let theirs: Vec<(String, Vec<u8>)> = {
        let ours = |name: &str| {
            name == "lock"
                || ["ndjson", "sums", "damaged", "gone"].iter().any(|kind| segment_number(name, kind).is_some())
        };
        folder
            .files
            .iter()
            .filter(|(name, _)| !ours(name))
            .map(|(name, content)| (name.clone(), content.clone()))
            .collect()
    };
    let mut dumped = FolderTrial::dump(&folder.path).expect("it can be read");
    assert_eq!(dumped.len(), expected.iter().map(Vec::len).sum::<usize>());
    dumped.clear();
    let open =
        |folder: &Folder| FolderTrial::open(&folder.path, folder.bytes_max).expect("whatever is in it, it opens");
    for is_done in [false, true] {
        let mut trial = open(&folder);
        assert!(FolderTrial::open(&folder.path, ROOMY).is_err(), "it is locked");
        let all = load_all(&mut folder, &mut trial, is_done);
        if folder.bytes_max == ROOMY {
            assert!(all == expected, "{} documents instead of {}", all.len(), expected.len());
        } else {
            assert!(all.iter().all(|document| expected.contains(document)));
        }
    }
    let mut trial = open(&folder);
    assert!(load_all(&mut folder, &mut trial, true).is_empty(), "what is done is done");
    for (name, content) in theirs {
        assert!(fs::read(folder.path.join(&name)).expect("it is there") == content, "{name} is not ours");
    }
    assert_eq!(fs::read_to_string(folder.root.path().join("victim")).expect("it is there"), VICTIM);
}
