//! The models of a listing, as the host lends them.

use super::Edited;
use crate::Rejection;

/// The models of a listing, as the host lends them to one `on_list_models`.
pub trait ModelListAccess {
    /// The number of names, with the hidden ones.
    fn count(&self) -> usize;
    /// The name at `index`; `None` if it is hidden.
    fn at(&self, index: usize) -> Option<&str>;
    /// Hides the name at `index`.
    fn hide(&mut self, index: usize) -> Edited;
    /// Adds a name, or shows it again.
    fn add(&mut self, model: &str) -> Edited;
    /// A fact about the caller.
    fn caller(&self, name: &str) -> Option<&str>;
    /// Takes the content of `Verdict::REJECT`.
    fn refuse(&mut self, rejection: Rejection);
    /// Takes the content of `Verdict::FAULT`.
    fn fault(&mut self, message: &str);
}
