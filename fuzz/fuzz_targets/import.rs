//! libFuzzer's entry to `penjing_fuzz::import`, which says what is asserted. Nothing else is here.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| penjing_fuzz::import(data));
