//! Compresses bulks for sending.
//!
//! Memory: compression is given up as soon as its output is as long as the bulk. So the output takes at most as much
//! memory as the bulk, which `settings.memory_limit` bounds, and in practice a tenth of it. The compressor's state (some
//! 300 kB) exists only while a bulk is being compressed.

use crate::event_loop;
use crate::limits;
use flate2::Compression;
use flate2::bufread::GzEncoder;
use std::io::Read;
use std::sync::Arc;

/// gzip's level, 1 to 9. Level 1 already reduces 27 recorded payloads from 340 kB to 42 kB; zlib's default, level 6, takes
/// four times as long to save another sixth.
const COMPRESSION_LEVEL: u32 = 1;

/// Whether a host accepts compressed bulks, as far as is known. A host that refuses them gets uncompressed ones. From time to
/// time a compressed one is tried again, because the host may have been upgraded, or a proxy removed.
#[derive(Debug)]
pub(super) struct GzipSupport {
    /// Compressed bulks in a row that the host refused, but accepted uncompressed.
    refused: u32,
    /// Uncompressed bulks that are left to send before the next compressed one.
    plain_left: u32,
    /// The number of uncompressed bulks after the next refusal.
    plain_next: u32,
}

impl Default for GzipSupport {
    fn default() -> Self {
        Self { refused: 0, plain_left: 0, plain_next: limits::PLAIN_BULKS_MIN }
    }
}

impl GzipSupport {
    /// Decides whether the next bulk is compressed. Has to be called once for each bulk.
    pub(super) fn is_next_compressed(&mut self) -> bool {
        let is_compressed = self.plain_left == 0;
        self.plain_left = self.plain_left.saturating_sub(1);
        is_compressed
    }

    /// Records that the host could read a compressed bulk.
    pub(super) fn worked(&mut self) {
        *self = Self::default();
    }

    /// Records that a compressed bulk was refused, but accepted when it was sent uncompressed. `is_certain` says whether the
    /// answer gave the compression as the reason. Returns whether the host has just become one that gets no compressed
    /// bulks.
    pub(super) fn failed(&mut self, is_certain: bool) -> bool {
        self.refused += 1;
        if !is_certain && self.refused < limits::COMPRESSED_REFUSALS_MAX {
            return false;
        }
        self.plain_left = self.plain_next;
        self.plain_next = (self.plain_next * 2).min(limits::PLAIN_BULKS_MAX);
        self.plain_left == limits::PLAIN_BULKS_MIN
    }
}

/// Compresses bulks, and keeps the buffer for the next one.
#[derive(Debug, Default)]
pub(super) struct Gzip {
    spare: Vec<u8>,
}

impl Gzip {
    /// Compresses a bulk piece by piece. All other tasks run between the pieces, including those that a socket or a deadline
    /// wakes. Returns `None` if the bulk is too short, or would not become shorter.
    pub(super) async fn compress(&mut self, plain: &[u8]) -> Option<Arc<Vec<u8>>> {
        if plain.len() < limits::COMPRESSED_BYTES_MIN {
            return None;
        }
        let mut packed = std::mem::take(&mut self.spare);
        packed.clear();
        let mut encoder = GzEncoder::new(plain, Compression::new(COMPRESSION_LEVEL));
        loop {
            if packed.capacity() - packed.len() < limits::COMPRESSED_TURN_BYTES {
                // Doubling the buffer could allocate twice the length of the bulk.
                packed.reserve_exact(limits::COMPRESSED_TURN_BYTES.max(packed.len() / 4));
            }
            let read = (&mut encoder).take(limits::COMPRESSED_TURN_BYTES as u64).read_to_end(&mut packed);
            if read.is_err() || packed.len() >= plain.len() {
                self.set_spare(packed);
                return None;
            }
            if matches!(read, Ok(0)) {
                return Some(Arc::new(packed));
            }
            event_loop::yield_now().await;
        }
    }

    /// Keeps a buffer for the next bulk, if nothing else holds it.
    pub(super) fn recycle(&mut self, packed: Arc<Vec<u8>>) {
        if let Ok(buffer) = Arc::try_unwrap(packed) {
            self.set_spare(buffer);
        }
    }

    fn set_spare(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() <= limits::POOLED_BULK_BYTES_MAX {
            self.spare = buffer;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_loop::Interest;
    use flate2::bufread::GzDecoder;
    use std::cell::Cell;
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::rc::Rc;

    #[test]
    fn one_refusal_is_none_and_after_more_it_is_tried_now_and_then() {
        let mut support = GzipSupport::default();
        for _ in 0..10 {
            assert!(support.is_next_compressed());
            assert!(!support.failed(false), "it may have been chance");
            assert!(support.is_next_compressed());
            support.worked();
        }
        assert!(!support.failed(false));
        assert!(support.failed(false));
        let mut plain = Vec::new();
        for _ in 0..12 {
            let mut bulks = 0;
            while !support.is_next_compressed() {
                bulks += 1;
            }
            plain.push(bulks);
            assert!(!support.failed(false), "it is told once");
        }
        let doubled = (0..12).map(|time| (limits::PLAIN_BULKS_MIN << time).min(limits::PLAIN_BULKS_MAX));
        assert_eq!(plain, doubled.collect::<Vec<_>>());
        while !support.is_next_compressed() {}
        support.worked();
        assert!(support.is_next_compressed());
        assert!(support.failed(true), "one that says so is believed at once");
        assert!(!support.is_next_compressed());
    }

    fn compressed(gzip: &mut Gzip, plain: &[u8]) -> Option<Arc<Vec<u8>>> {
        event_loop::block_on(gzip.compress(plain)).unwrap()
    }

    #[test]
    fn what_is_compressed_reads_back() {
        let mut gzip = Gzip::default();
        for length in [limits::COMPRESSED_BYTES_MIN, 10_000, 3 << 20] {
            let mut random = fastrand::Rng::with_seed(7);
            let plain: Vec<u8> = (0..length).map(|_| random.u8(b'a'..b'k')).collect();
            let packed = compressed(&mut gzip, &plain).unwrap();
            assert!(packed.len() < plain.len() * 2 / 3, "{length}: {}", packed.len());
            let mut back = Vec::new();
            GzDecoder::new(&packed[..]).read_to_end(&mut back).unwrap();
            assert!(back == plain, "{length}");
            gzip.recycle(packed);
        }
    }

    #[test]
    fn others_are_served_between_the_pieces() {
        let mut random = fastrand::Rng::with_seed(7);
        let plain: Vec<u8> = (0..3 << 20).map(|_| random.u8(b'a'..b'k')).collect();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (ours, served) = (Rc::new(ours), Cell::new(0));
        let executor = smol::LocalExecutor::new();
        // Each time something is there to be read, once it has been waited for.
        let other = async {
            loop {
                theirs.write_all(b"x").unwrap();
                event_loop::ready(ours.clone(), Interest::Read, None).await.unwrap();
                assert_eq!((&*ours).read(&mut [0; 8]).unwrap(), 1);
                served.set(served.get() + 1);
            }
        };
        executor.spawn(other).detach();
        let packed = event_loop::block_on(executor.run(Gzip::default().compress(&plain))).unwrap().unwrap();
        let turns = packed.len() / limits::COMPRESSED_TURN_BYTES;
        assert!(turns > 100 && served.get() >= turns / 2, "{} times in {turns} turns", served.get());
    }

    #[test]
    fn what_gains_nothing_is_left_as_it_is() {
        let mut gzip = Gzip::default();
        assert!(compressed(&mut gzip, &[b'a'; limits::COMPRESSED_BYTES_MIN - 1]).is_none());
        let mut random = fastrand::Rng::with_seed(7);
        let noise: Vec<u8> = (0..100_000).map(|_| random.u8(..)).collect();
        assert!(compressed(&mut gzip, &noise).is_none());
        // With room for the turn in which that was seen.
        let most = noise.len() + noise.len() / 4 + limits::COMPRESSED_TURN_BYTES;
        assert!(gzip.spare.capacity() <= most, "{}", gzip.spare.capacity());
    }

    #[test]
    fn buffers_are_used_again() {
        let mut gzip = Gzip::default();
        let packed = compressed(&mut gzip, &[b'a'; 10_000]).unwrap();
        let place = packed.as_ptr();
        let held = Arc::clone(&packed);
        gzip.recycle(packed);
        assert_eq!(gzip.spare.capacity(), 0, "somebody has it still");
        gzip.recycle(held);
        assert_eq!(compressed(&mut gzip, &[b'b'; 10_000]).unwrap().as_ptr(), place);
    }
}
