//! The parsers of foreign bytes, for `tests/fuzz`: each room's adapter takes bytes, in pieces where
//! they arrive in pieces, and gives an outcome that can be compared. Not an interface for anybody
//! else.

pub use crate::{
    call::fuzzing as call, callbacks::fuzzing as plugin, coding::fuzzing as coding,
    config::fuzzing as config, json::fuzzing as json, provider::fuzzing as provider,
    server::fuzzing as server, telemetry::fuzzing as log, upstream::fuzzing as upstream,
};
