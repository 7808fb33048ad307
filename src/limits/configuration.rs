//! Bounds of the text of a configuration, and of what is said about it.

use std::time::Duration;

/// Bytes of a configuration, all its files together, and of a `map_file`. One with [`super::SECTION_ENTRIES_MAX`] readers has half a
/// megabyte.
pub(crate) const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Bytes of all `map_file`s of one configuration together. A usual one has a few hundred bytes.
pub(crate) const MAP_FILES_BYTES_MAX: usize = 512 << 10;
/// Keys and values of such a file. The parser needs some 300 bytes and 0.3 µs for each. A file with [`super::SECTION_ENTRIES_MAX`]
/// readers of three keys each has 70,000.
pub(crate) const CONFIG_NODES_MAX: usize = 100_000;
/// Levels of nested lists and sections; valid keys have at most six. The parser's time grows with the text times the depth.
pub(crate) const CONFIG_DEPTH_MAX: usize = 32;
/// Lines that begin with `%` (YAML directives). The parser compares each with all earlier ones, and no configuration needs any.
pub(crate) const CONFIG_DIRECTIVES_MAX: usize = 16;
/// The parser's work on the blanks in a text of several words, in bytes: the number of gaps times the length of the longest
/// one. A text of a thousand lines with one gap of a hundred empty lines has a hundred thousand.
pub(crate) const CONFIG_BLANKS_WORK_MAX: usize = 64 << 20;
/// Bytes from the beginning of a key without a `?` to its colon, according to the YAML specification.
pub(crate) const CONFIG_SIMPLE_KEY_BYTES_MAX: usize = 1024;
/// Bytes of the values of a configuration after aliases and `${NAME}` are expanded. A file of 100 kB with 20,000 aliases to a
/// list of 50 kB would otherwise become a gigabyte. A file of [`CONFIG_BYTES_MAX`] without either does not come near the bound.
pub(crate) const CONFIG_VALUES_BYTES_MAX: usize = 16 << 20;
/// Problems of one file that are shown. Further ones are only counted.
pub(crate) const PROBLEMS_MAX: usize = 100;
/// Bytes of all messages about problems together, because nobody reads more. The first message is shown whatever its length.
pub(crate) const PROBLEMS_BYTES_MAX: usize = 64 << 10;
/// Bytes of a file that are parsed again to find where a list or a section begins that is a problem. Each needs a parse of its
/// own; beyond this bound the problem is shown at its key.
pub(crate) const PROBLEM_READINGS_BYTES_MAX: usize = 512 << 10;
/// Characters of a problem's message, and of its key path.
pub(crate) const PROBLEM_CHARS_MAX: usize = 1_000;
/// Characters of an unknown name, up to which a similar known name is searched and suggested.
pub(crate) const SUGGESTED_CHARS_MAX: usize = 64;
/// Pairs of letters that are compared to find similar names, for all problems of a file. This takes some 20 ms; then problems
/// get no suggestion. Fifty problems among a hundred names of twenty letters take 2,000,000.
pub(crate) const SUGGESTION_STEPS_MAX: usize = 2 << 20;

/// Files of one configuration. A folder with a file for each service has some dozens.
pub(crate) const CONFIG_FILES_MAX: usize = 256;
/// Bytes that merge keys and `defaults` add to the values of a configuration. 10,000 readers with 10 default keys each take 8 MiB.
pub(crate) const CONFIG_DEFAULTS_BYTES_MAX: usize = 16 << 20;
/// How often `watch` looks at the files. To look costs a few microseconds for each file.
pub(crate) const WATCH_PERIOD: Duration = Duration::from_secs(1);
/// A file that was written less than this before it was read may change again without a new time, as some file systems have a
/// clock of two seconds. So its text is compared again.
pub(crate) const WATCH_CLOCK: Duration = Duration::from_secs(3);

/// Warnings about the configuration that are remembered, so that they are given once for all readers with the same cause: more
/// than a person reads. Beyond that they are given for each.
pub(crate) const SHARED_WARNINGS_MAX: usize = 64;
