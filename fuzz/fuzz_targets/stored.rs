#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| daca_host::fuzzing::stored(input));
