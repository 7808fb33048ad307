#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| expvastic_fuzz::config_front(input));
