//! Odd requests for `on_auth`.

use super::Violation;
use crate::{
    Auth, Rejection,
    testing::{TestRequest, Tester},
};

/// Runs `on_auth` on odd requests. Returns whether it is implemented.
pub(super) fn answers(tester: &Tester) -> Result<bool, Violation> {
    let long = "x".repeat(64 << 10);
    let sent = |value: &[u8]| TestRequest::new().header("authorization", value);
    let requests = [
        TestRequest::new(),
        sent(b""),
        sent(b"Bearer"),
        sent(b"Bearer wrong"),
        sent(b"Bearer \xff\xfe"),
        sent(long.as_bytes()).method("GET").path("/v1/models").client_address("::1"),
        sent(b"Bearer one").header("authorization", "Bearer two"),
    ];
    let _ = tester.auth_then_leave(&requests[3]);
    let mut implemented = false;
    for request in &requests {
        implemented |= sound(tester.auth(request))?;
    }
    Ok(implemented)
}

fn sound(outcome: Result<Auth, String>) -> Result<bool, Violation> {
    match outcome {
        Ok(Auth::NotImplemented) => Ok(false),
        Ok(Auth::Pass) => Ok(true),
        Ok(Auth::Refuse(Rejection { status: 400..=599, .. }, _)) => Ok(true),
        Ok(Auth::Refuse(Rejection { status, .. }, _)) => {
            Err(Violation(format!("`on_auth` refused with status {status}; expected 400 to 599")))
        }
        Ok(Auth::Caller(caller)) if caller.key_id.is_empty() => {
            Err(Violation("`on_auth` described a caller without a `key_id`".to_owned()))
        }
        Ok(Auth::Caller(_)) => Ok(true),
        Err(message) => Err(Violation(format!("`on_auth` failed: {message}"))),
    }
}
