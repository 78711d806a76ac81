//! Reads a body below its top level: checks it and cuts it into messages.

use super::{messages::Messages, unreadable::Unreadable};
use callgate_json::{Body, check_names};
use std::sync::Arc;

/// A body's messages, or why it cannot be read. Clones of a call share it.
pub(crate) type Reading = Result<Arc<Messages>, Unreadable>;

/// Reads a body.
pub(super) fn read(body: &Body) -> Reading {
    for (name, json) in body.sent() {
        if name != "messages" && json.starts_with(['{', '[']) {
            check_names(json, &name, |_| {})?;
        }
    }
    Ok(Arc::new(Messages::cut(&body.member_bytes("messages").unwrap_or_default())?))
}
