//! What the fuzz targets share. There are none yet: `tests/payloads.rs` and the sanitiser's unit tests are what stands.
