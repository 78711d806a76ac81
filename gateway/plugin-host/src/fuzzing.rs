//! What is read of a plugin's file.

pub use super::{inspect::fuzzing::inspect, schema::fuzzing::settings};
