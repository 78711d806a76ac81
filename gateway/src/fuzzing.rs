//! The parsers of foreign bytes, for `tests/fuzz`: each room's adapter takes bytes, in pieces where
//! they arrive in pieces, and gives an outcome that can be compared. Not an interface for anybody
//! else.

pub use crate::{
    call::fuzzing as call, coding::fuzzing as coding, config::fuzzing as config,
    json::fuzzing as json, plugin_host::fuzzing as plugin, providers::fuzzing as provider,
    server::fuzzing as server, telemetry::fuzzing as log, upstream::fuzzing as upstream,
};
