//! Reading a plugin's file, for fuzz targets.

pub use super::{inspect::fuzzing::inspect, schema::fuzzing::settings};
