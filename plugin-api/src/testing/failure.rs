//! The failure that a test lends to `on_llm_error`.

use super::call::{OWNED, set_header};
use crate::{
    EditError, FailureKind,
    abi::serve::{Edited, FailureAccess},
    limits,
};
use std::time::Duration;

/// A failed call.
///
/// ```
/// use plugin_api::{FailureKind, testing::TestFailure};
///
/// let failure = TestFailure::new(FailureKind::UPSTREAM_STATUS, 503, "overloaded").code("busy");
/// assert_eq!(failure.shown(), (503, "overloaded"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestFailure {
    kind: FailureKind,
    status: u16,
    code: String,
    message: String,
    sent: bool,
    text: String,
    usage: [Option<u64>; 3],
    durations: [Option<u64>; 3],
    callback: Option<String>,
    error_type: String,
    headers: Vec<(String, String)>,
}

impl TestFailure {
    /// Creates a failure before anything was sent.
    #[must_use]
    pub fn new(kind: FailureKind, status: u16, message: &str) -> Self {
        Self {
            kind,
            status,
            code: status.to_string(),
            message: message.to_owned(),
            sent: false,
            text: String::new(),
            usage: [None; 3],
            durations: [Some(0), None, None],
            callback: None,
            error_type: "api_error".to_owned(),
            headers: Vec::new(),
        }
    }

    /// Sets the error object's code.
    #[must_use]
    pub fn code(mut self, code: &str) -> Self {
        code.clone_into(&mut self.code);
        self
    }

    /// Sets the text that was streamed to the client before the failure.
    #[must_use]
    pub fn sent(mut self, text: &str) -> Self {
        self.sent = true;
        text.clone_into(&mut self.text);
        self
    }

    /// Sets the time since the call was accepted.
    #[must_use]
    pub fn duration(mut self, time: Duration) -> Self {
        self.durations[0] = Some(nanos(time));
        self
    }

    /// Sets the time until the upstream began its answer.
    #[must_use]
    pub fn upstream_duration(mut self, time: Duration) -> Self {
        self.durations[1] = Some(nanos(time));
        self
    }

    /// Sets the time until the first chunk.
    #[must_use]
    pub fn time_to_first_token(mut self, time: Duration) -> Self {
        self.durations[2] = Some(nanos(time));
        self
    }

    /// Sets the tokens that the upstream counted before the failure.
    #[must_use]
    pub fn usage(mut self, prompt: u64, completion: u64) -> Self {
        self.usage = [Some(prompt), Some(completion), Some(prompt.saturating_add(completion))];
        self
    }

    /// Sets the callback that rejected the call or failed.
    #[must_use]
    pub fn callback(mut self, name: &str) -> Self {
        self.callback = Some(name.to_owned());
        self
    }

    /// Sets the error object's type.
    #[must_use]
    pub fn error_type(mut self, error_type: &str) -> Self {
        error_type.clone_into(&mut self.error_type);
        self
    }

    /// Returns the error object's type and code with all edits.
    #[must_use]
    pub fn type_and_code(&self) -> (&str, &str) {
        (&self.error_type, &self.code)
    }

    /// Returns a header that was set for the error response. Case does not matter.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }

    /// Returns status and message with all edits, as the client would get them.
    #[must_use]
    pub fn shown(&self) -> (u16, &str) {
        (self.status, &self.message)
    }

    fn editable(&self) -> Edited {
        if self.sent { Err(EditError::TooLate) } else { Ok(()) }
    }
}

impl FailureAccess for TestFailure {
    fn kind(&self) -> FailureKind {
        self.kind
    }
    fn status(&self) -> u16 {
        self.status
    }
    fn code(&self) -> &str {
        &self.code
    }
    fn message(&self) -> &str {
        &self.message
    }
    fn set_status(&mut self, status: u16) -> Edited {
        self.editable()?;
        if !(400..600).contains(&status) {
            return Err(EditError::NotAllowed);
        }
        self.status = status;
        Ok(())
    }
    fn set_message(&mut self, message: &str) -> Edited {
        self.editable()?;
        message.clone_into(&mut self.message);
        Ok(())
    }
    fn sent(&self) -> bool {
        self.sent
    }
    fn text(&self) -> &str {
        &self.text
    }
    fn usage(&self) -> [Option<u64>; 3] {
        self.usage
    }
    fn durations(&self) -> [Option<u64>; 3] {
        self.durations
    }
    fn callback(&self) -> Option<&str> {
        self.callback.as_deref()
    }
    fn error_type(&self) -> &str {
        &self.error_type
    }
    fn set_type(&mut self, error_type: &str) -> Edited {
        self.editable()?;
        within_code(error_type)?.clone_into(&mut self.error_type);
        Ok(())
    }
    fn set_code(&mut self, code: &str) -> Edited {
        self.editable()?;
        within_code(code)?.clone_into(&mut self.code);
        Ok(())
    }
    fn set_header(&mut self, name: &str, value: &str) -> Edited {
        self.editable()?;
        set_header(&mut self.headers, &OWNED, name, value)
    }
}

fn within_code(text: &str) -> Result<&str, EditError> {
    if text.len() > limits::CODE { Err(EditError::TooLarge) } else { Ok(text) }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1)
}
