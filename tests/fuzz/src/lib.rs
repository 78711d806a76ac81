//! Fuzz targets for every parser of foreign bytes: `targets` states the properties of any input,
//! `engine` tries the corpus and mutations of it, `corpus` reads and writes inputs, `mutate`
//! changes them, and `minimise` makes a finding small. CONTRIBUTING explains their use.
//!
//! The parsers are the gateway's; each of its packages exposes its own as `fuzzing`.

pub mod corpus;
pub mod engine;
mod minimise;
mod mutate;
#[expect(clippy::panic, clippy::expect_used, reason = "a panic is how a target says what it found")]
pub mod targets;
