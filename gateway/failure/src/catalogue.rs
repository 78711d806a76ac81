//! The gateway's own failures: kind, status and code of each, in one table. Their texts are in
//! `request.rs`, `gateway.rs` and `upstream.rs`.
//!
//! `docs/reference.md` has the same table for clients; a test compares them. Failures that
//! upstreams and callbacks define themselves are in neither.

use plugin_api::FailureKind;

/// The kind, status and code of a [`Reason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub kind: FailureKind,
    pub status: u16,
    /// If `None`, the error object shows the status instead.
    pub code: Option<&'static str>,
}

/// Each line has the name, the kind, the status, and the code, if there is one.
macro_rules! catalogue {
    ($($(#[$doc:meta])* $reason:ident: $kind:ident $status:literal $($code:literal)?;)*) => {
        /// Why the gateway fails a call.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Reason {
            $($(#[$doc])* $reason,)*
        }

        impl Reason {
            pub const ALL: &[Self] = &[$(Self::$reason,)*];

            pub const fn row(self) -> Row {
                match self {
                    $(Self::$reason => Row {
                        kind: FailureKind::$kind,
                        status: $status,
                        code: catalogue!(@code $($code)?),
                    },)*
                }
            }
        }
    };
    (@code) => { None };
    (@code $code:literal) => { Some($code) };
}

catalogue! {
    /// A request with an invalid value.
    Invalid: INVALID 400;
    /// An entry of the config that can answer no call.
    ModelNotServed: INVALID 400 "model_not_served";
    /// A kind of call that the model's provider does not serve.
    EndpointNotServed: INVALID 400 "endpoint_not_served";
    /// The key is missing or wrong, or the client tries to choose the upstream.
    Unauthorized: INVALID 401;
    /// A key after its `expires`.
    ExpiredKey: INVALID 401 "expired_key";
    ForeignHost: INVALID 403 "foreign_host";
    ForeignOrigin: INVALID 403 "foreign_origin";
    /// A model that is not among the key's `models`.
    ModelNotForKey: INVALID 403 "key_model_access_denied";
    /// A path that the key's `scopes` do not allow.
    MissingScope: INVALID 403 "missing_scope";
    /// An administrator's path on a gateway without a key.
    NoMasterKey: INVALID 403 "no_master_key";
    UnknownPath: INVALID 404;
    ModelNotFound: INVALID 404 "model_not_found";
    WrongMethod: INVALID 405;
    BodyTooSlow: INVALID 408;
    BodyTooLarge: INVALID 413 "request_too_large";
    UrlTooLong: INVALID 414;
    RequestCoding: INVALID 415 "unsupported_content_encoding";
    HeadTooLarge: INVALID 431;
    ClientGone: CLIENT_GONE 499 "client_closed_request";
    /// An internal error, which should not happen.
    Internal: INTERNAL 500;
    MissingVariable: INVALID 500 "missing_variable";
    NoCompletion: UPSTREAM_UNREACHABLE 500;
    MalformedStream: BROKEN_STREAM 500 "malformed_stream";
    IncompleteReply: UPSTREAM_UNREACHABLE 502 "incomplete_reply";
    IncompleteStream: BROKEN_STREAM 502 "incomplete_stream";
    Unreachable: UPSTREAM_UNREACHABLE 502 "upstream_unreachable";
    /// No token could be fetched that the upstream expects.
    NoUpstreamToken: UPSTREAM_UNREACHABLE 502 "no_upstream_token";
    Redirected: UPSTREAM_UNREACHABLE 502 "upstream_redirect";
    /// A status that is neither a success nor an error.
    OddStatus: UPSTREAM_UNREACHABLE 502;
    ReplyTooLarge: UPSTREAM_UNREACHABLE 502 "reply_too_large";
    ReplyCoding: UPSTREAM_UNREACHABLE 502 "unsupported_content_encoding";
    StreamCoding: BROKEN_STREAM 502 "unsupported_content_encoding";
    OutOfDescriptors: UPSTREAM_UNREACHABLE 503 "out_of_descriptors";
    TooManyBytesInFlight: INTERNAL 503 "too_many_bytes_in_flight";
    WorkersStuck: INTERNAL 503 "workers_stuck";
    CallbackFailed: FAULT 503 "callback_failed";
    TooManyReloads: INTERNAL 503 "too_many_reloads";
    ShuttingDown: INTERNAL 503 "shutting_down";
    /// A request for a reload does not wait for it any longer.
    ReloadRunning: INTERNAL 504 "reload_running";
    Timeout: TIMEOUT 504 "timeout";
    LoopDetected: INVALID 508 "loop_detected";
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: &str = include_str!("../../../docs/reference.md");
    /// Codes of shipped callbacks; the reference lists them with the gateway's own.
    const OF_CALLBACKS: [(u16, &str); 1] = [(429, "rate_limit_exceeded")];

    /// The statuses and codes in each row of the reference's table of errors.
    fn documented() -> Vec<(Vec<u16>, Vec<&'static str>)> {
        let (_, errors) = REFERENCE.split_once("\n## Errors\n").unwrap();
        let lines = errors.lines().skip_while(|line| !line.starts_with("|---"));
        let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
        rows.map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let statuses = cells[1].split(", ").filter_map(|status| status.parse().ok()).collect();
            let codes = cells[2].split('`').skip(1).step_by(2).collect();
            (statuses, codes)
        })
        .filter(|(statuses, _): &(Vec<u16>, _)| !statuses.is_empty())
        .collect()
    }

    /// The `code` that a client gets.
    fn code(row: Row) -> String {
        row.code.map_or_else(|| row.status.to_string(), str::to_owned)
    }

    #[test]
    fn every_failure_is_in_the_reference() {
        let documented = documented();
        for reason in Reason::ALL {
            let row = reason.row();
            let found = documented.iter().any(|(statuses, codes)| {
                statuses.contains(&row.status) && codes.contains(&&*code(row))
            });
            assert!(found, "docs/reference.md has no {} with `{}`", row.status, code(row));
        }
    }

    #[test]
    fn the_reference_has_no_other_failures() {
        let rows = || Reason::ALL.iter().map(|reason| reason.row());
        let known = |status: u16, of: &str| {
            OF_CALLBACKS.contains(&(status, of))
                || rows().any(|row| row.status == status && code(row) == of)
        };
        for (statuses, codes) in documented() {
            for of in &codes {
                let found = statuses.iter().any(|status| known(*status, of));
                assert!(found, "no failure has one of {statuses:?} with the code `{of}`");
            }
            for status in statuses {
                let found = codes.iter().any(|of| known(status, of));
                assert!(found, "no failure has the status {status} with one of {codes:?}");
            }
        }
    }
}
