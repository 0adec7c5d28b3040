//! What every fuzz target does before it begins: its corpus gets inputs that the decoder takes.
//!
//! A fuzzer that begins with them reaches behind the first check at once. The targets stand in
//! `fuzz_targets`, one a file; the decoders and their inputs in `vitalog_server::fuzzing`.
#![forbid(unsafe_code)]

use std::path::Path;
use std::{fs, io};

/// Writes `seeds` into the corpus of the target `name`, from which libFuzzer reads next. Without
/// them it begins with nothing, which is slower and no reason to end.
pub fn plant(name: &str, seeds: &[Vec<u8>]) {
    if let Err(error) = write(name, seeds) {
        eprintln!("the corpus of {name} has no seeds: {error}");
    }
}

fn write(name: &str, seeds: &[Vec<u8>]) -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let corpus = corpus.join(name);
    fs::create_dir_all(&corpus)?;
    for (index, seed) in seeds.iter().enumerate() {
        fs::write(corpus.join(format!("seed-{index}")), seed)?;
    }
    Ok(())
}
