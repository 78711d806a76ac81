//! The request of `on_auth`, as the host lends it.

use crate::Rejection;
use std::time::Duration;

/// A request, as the host lends it to one `on_auth`.
pub trait AuthAccess {
    /// The first value of a declared input, by its name in lower case.
    fn input(&self, name: &str) -> Option<&[u8]>;
    /// The number of values of all declared inputs.
    fn input_count(&self) -> usize;
    /// The name and value at `index`.
    fn input_at(&self, index: usize) -> Option<(&str, &[u8])>;
    /// Takes the content of `Verdict::REPLY`: who calls, as JSON.
    fn caller(&mut self, json: &str);
    /// Takes the content of `Verdict::REJECT`.
    fn refuse(&mut self, rejection: Rejection, keep_for: Duration);
    /// Takes the content of `Verdict::FAULT`.
    fn fault(&mut self, message: &str);
}
