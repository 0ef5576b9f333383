#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::labels(data));
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    fuzz_targets::mutate::in_place("labels", data, size, most, seed, libfuzzer_sys::fuzzer_mutate)
});
