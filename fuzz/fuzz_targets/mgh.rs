#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mused_fuzz::check("mgh", input));
