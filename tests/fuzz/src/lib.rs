//! Fuzz targets for every parser of foreign bytes: `targets` says what must hold of any input,
//! `engine` tries the corpus and mutations of it, `corpus` reads and writes inputs, `mutate`
//! changes them and `minimise` makes a finding small. CONTRIBUTING says how to work with it.
//!
//! Not here: the parsers, which are the gateway's; each of its packages lends its own as `fuzzing`.

pub mod corpus;
pub mod engine;
mod minimise;
mod mutate;
#[expect(clippy::panic, clippy::expect_used, reason = "a panic is how a target says what it found")]
pub mod targets;
