//! A request whose sender an authenticator is asked for.

use crate::{Auth, AuthCaller, Rejection, abi::Verdict, abi::serve::AuthAccess};
use std::time::Duration;

/// A request for [`Tester::auth`](super::Tester::auth): the values of the inputs that the export
/// declares.
#[derive(Debug, Clone, Default)]
pub struct TestRequest {
    inputs: Vec<(String, Vec<u8>)>,
    said: Option<Result<Auth, String>>,
}

impl TestRequest {
    /// A request without any input.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header.
    #[must_use]
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.input(&name.to_ascii_lowercase(), value.as_ref())
    }

    /// Sets the method.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        self.input(":method", method.as_bytes())
    }

    /// Sets the path.
    #[must_use]
    pub fn path(self, path: &str) -> Self {
        self.input(":path", path.as_bytes())
    }

    /// Sets the client's address.
    #[must_use]
    pub fn client_address(self, address: &str) -> Self {
        self.input(":client_address", address.as_bytes())
    }

    fn input(mut self, name: &str, value: &[u8]) -> Self {
        self.inputs.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What the hook decided; its fault as a text.
    pub(super) fn outcome(self, verdict: Verdict) -> Result<Auth, String> {
        match (verdict, self.said) {
            (Verdict::CONTINUE, _) => Ok(Auth::Pass),
            (Verdict::NOT_IMPLEMENTED, _) => Ok(Auth::NotImplemented),
            (Verdict::REPLY, Some(Ok(said @ Auth::Caller(_))))
            | (Verdict::REJECT, Some(Ok(said @ Auth::Refuse(..)))) => Ok(said),
            (_, Some(Err(fault))) => Err(fault),
            (verdict, _) => Err(format!("returned verdict {} without its content", verdict.0)),
        }
    }
}

impl AuthAccess for TestRequest {
    fn input(&self, name: &str) -> Option<&[u8]> {
        self.inputs.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    fn input_count(&self) -> usize {
        self.inputs.len()
    }

    fn input_at(&self, index: usize) -> Option<(&str, &[u8])> {
        self.inputs.get(index).map(|(name, value)| (&**name, &**value))
    }

    fn caller(&mut self, json: &str) {
        let caller = serde_json::from_str::<AuthCaller>(json);
        self.said = Some(caller.map(Auth::Caller).map_err(|error| error.to_string()));
    }

    fn refuse(&mut self, rejection: Rejection, keep_for: Duration) {
        self.said = Some(Ok(Auth::Refuse(rejection, keep_for)));
    }

    fn fault(&mut self, message: &str) {
        self.said = Some(Err(message.to_owned()));
    }
}
