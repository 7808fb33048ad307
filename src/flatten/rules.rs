//! Which variables are shipped: what is out is skipped before any work is spent on it.

/// Whether the member `key` of the object `path` stays out: the command line, which often holds secrets, and the 61
/// size classes of the allocator, which are noise. Both names are escaped as JSON; `path` is empty at the root.
pub(super) fn excluded(path: &[u8], key: &[u8]) -> bool {
    match path {
        b"" => key == b"cmdline",
        b"memstats" => key == b"BySize",
        _ => false,
    }
}

/// Whether `path` is one of the two ring buffers in which Go's runtime keeps its last 256 collections.
pub(super) fn is_gc_ring(path: &[u8]) -> bool {
    matches!(path, b"memstats.PauseNs" | b"memstats.PauseEnd")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts_defaults_stay_out() {
        assert!(excluded(b"", b"cmdline"));
        assert!(excluded(b"memstats", b"BySize"));
        assert!(!excluded(b"app", b"cmdline"));
        assert!(!excluded(b"", b"BySize"));
        assert!(is_gc_ring(b"memstats.PauseNs") && !is_gc_ring(b"PauseNs"));
    }
}
