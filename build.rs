//! Links the C compiler's static unwinder (`libgcc_eh.a`) in place of `libgcc_s.so.1`. That saves loading a library and some
//! 0.1 MB of peak memory, and the program needs nothing but glibc, as in the smallest container images. If the linker has
//! no static unwinder, or is for another target, the shared library is used as usual.
//!
//! It also sets up the allocator (see `build/allocator.c`), arranges the code of a release so that it takes little memory: see [`LAYOUT`], and compresses the
//! reference configuration, which `expvastic sample` prints.

use flate2::Compression;
use flate2::bufread::GzEncoder;
use std::env;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Linker options for a release, in this order:
///
/// - Leave out the index of the unwind tables (31 kB). A release aborts when it panics, and has no symbols that a backtrace
///   could show, so neither the index nor the tables are used: see [`WITHOUT_UNWIND_TABLES`].
/// - Align segments to 64 kB. When code runs, Linux maps the 64 kB around it (`fault_around_bytes`). With this alignment these
///   are always the same 64 kB; with the usual 4 kB, peak memory differs by 0.2 MB from start to start.
/// - Keep code that hardly ever runs (LLVM marks it as cold) apart, so that it is not mapped with the rest. This saves 0.1 MB.
///   GNU ld does so by default, and reports that it ignores the option.
///
/// lld, GNU ld, gold and mold know these options. GNU ld pads the file between segments by 0.1 MB. The option that would avoid
/// this (`-z noseparate-code`) is refused by gold.
const LAYOUT: [&str; 3] = ["-Wl,--no-eh-frame-hdr", "-Wl,-z,max-page-size=65536", "-Wl,-z,keep-text-section-prefix"];

/// Packs the list of pointers that the loader has to adjust, which a position-independent program has many of: 0.2 MB less,
/// all of which is read at each start. The loader of glibc knows the packed form from version 2.36 on.
const PACKED_RELOCATIONS: &str = "-Wl,-z,pack-relative-relocs";

/// What a glibc with such a loader says of itself.
const KNOWS_PACKED_RELOCATIONS: &[u8] = b"GLIBC_ABI_DT_RELR";

/// Leaves the unwind tables out: 0.35 MB. Every object brings some, those of the standard library and of C included, so no
/// option of the compiler does it. The start files of a static program refer to their own, which are empty.
const WITHOUT_UNWIND_TABLES: &str = "SECTIONS { /DISCARD/ : { *(EXCLUDE_FILE(*crtbeginT.o *crtend.o) .eh_frame) \
    *(.gcc_except_table .gcc_except_table.*) } } INSERT AFTER .rodata;\n";

/// The functions that run while documents are shipped, one per line. `benches/orderfile.rs` writes this file. Placed side by
/// side they take 0.7 MB less memory than in the linker's own order.
const ORDERFILE: &str = "build/orderfile.txt";

/// Settings of glibc's allocator. Only C can make them, as calling it is unsafe in Rust.
const ALLOCATOR_SETTINGS: &str = "build/allocator.c";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    compress("expvastic.reference.yml", "reference.yml.gz");
    compile_allocator_settings();
    let linker = linker();
    if is_dynamic_glibc() && linker.as_ref().is_some_and(|linker| find_file(linker, "libgcc_eh.a").is_some()) {
        println!("cargo::rustc-link-lib=gcc_eh");
    }
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") && is_linux() {
        for argument in LAYOUT {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
        if !has_other_linker() {
            if linker.is_some_and(|linker| can_load_packed_relocations(&linker)) {
                println!("cargo::rustc-link-arg-bins={PACKED_RELOCATIONS}");
            }
            use_linker_script();
        }
    }
}

/// Adds `build/allocator.c` to the program, which runs before `main`. The library leaves the allocator of its process alone.
fn compile_allocator_settings() {
    println!("cargo::rerun-if-changed={ALLOCATOR_SETTINGS}");
    if is_linux() && of_target("CARGO_CFG_TARGET_ENV") == "gnu" {
        for object in cc::Build::new().file(ALLOCATOR_SETTINGS).compile_intermediates() {
            println!("cargo::rustc-link-arg-bins={}", object.display());
        }
    }
}

/// Compresses a file for `include_bytes!`.
fn compress(from: &str, to: &str) {
    println!("cargo::rerun-if-changed={from}");
    let text = std::fs::read(from).unwrap_or_else(|error| panic!("{from}: {error}"));
    let mut packed = Vec::new();
    let encoded = GzEncoder::new(&*text, Compression::best()).read_to_end(&mut packed);
    let to = Path::new(&of_target("OUT_DIR")).join(to);
    encoded.and_then(|_| std::fs::write(&to, packed)).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
}

/// Whether `RUSTFLAGS` choose a linker. It may be gold, which knows neither packed relocations nor linker scripts; the usual
/// ones, lld and GNU ld, know both.
fn has_other_linker() -> bool {
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("fuse-ld"))
}

/// Passes the linker a script in addition to its own.
fn use_linker_script() {
    println!("cargo::rerun-if-changed={ORDERFILE}");
    let functions = std::fs::read_to_string(ORDERFILE).unwrap_or_default();
    let script = Path::new(&of_target("OUT_DIR")).join("layout.ld");
    if std::fs::write(&script, WITHOUT_UNWIND_TABLES.to_owned() + &side_by_side(&functions)).is_ok() {
        for argument in ["-Xlinker", "-T", "-Xlinker", &script.display().to_string()] {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
}

/// A linker script that places these functions before all others. Each function has a section that is named after it.
fn side_by_side(functions: &str) -> String {
    let names = functions.lines().filter(|line| !line.starts_with('#'));
    let sections: Vec<String> = names.map(|name| format!("*(.text.{name} .text.unlikely.{name})")).collect();
    format!("SECTIONS {{ .text.often : {{\n{}\n}} }} INSERT BEFORE .text;\n", sections.join("\n"))
}

fn of_target(key: &str) -> String {
    env::var(key).unwrap_or_default()
}

fn is_linux() -> bool {
    of_target("CARGO_CFG_TARGET_OS") == "linux"
}

fn is_dynamic_glibc() -> bool {
    is_linux()
        && of_target("CARGO_CFG_TARGET_ENV") == "gnu"
        && !of_target("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "crt-static")
}

/// The compiler driver that links for the target: the configured one, or that of this system if the target is the same.
fn linker() -> Option<String> {
    env::var("RUSTC_LINKER").ok().or_else(|| (env::var("HOST") == env::var("TARGET")).then(|| "cc".to_owned()))
}

/// Where a compiler driver finds a library. None if it does not, in which case it prints the bare name.
fn find_file(linker: &str, name: &str) -> Option<PathBuf> {
    let answer = Command::new(linker).arg(format!("-print-file-name={name}")).output().ok()?;
    let path = PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim());
    (answer.status.success() && path.is_absolute()).then_some(path)
}

/// Whether the glibc that the program is linked with is new enough. It is taken for the one that the program will run with:
/// a program needs the version that it was linked with in any case.
fn can_load_packed_relocations(linker: &str) -> bool {
    let library = find_file(linker, "libc.so.6").and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
    library.windows(KNOWS_PACKED_RELOCATIONS.len()).any(|window| window == KNOWS_PACKED_RELOCATIONS)
}
