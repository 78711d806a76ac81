//! A sample call with a given body, for tests and fuzz targets.

use super::{Accepted, Call, Caller};
use callgate_json::Body;
use callgate_providers::CallKind;
use http::HeaderMap;
use std::{sync::Arc, time::Instant};

pub(super) fn call(body: Body) -> Call {
    Call::new(Accepted {
        id: "".into(),
        kind: CallKind::Chat,
        requested_model: "m".into(),
        stream: true,
        headers: HeaderMap::new(),
        caller: Arc::new(Caller::with_key_id("k")),
        path: "/v1/chat/completions".into(),
        key_header: None,
        accepted: Instant::now(),
        body,
    })
}
