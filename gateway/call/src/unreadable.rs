//! Why a body cannot be read.

use callgate_failure::Failure;

/// Why a body is unreadable or ambiguous, and where: the client's error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(Box<Details>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Details {
    param: String,
    message: String,
}

impl Unreadable {
    pub(super) fn new(param: String, message: String) -> Self {
        Self(Box::new(Details { param, message }))
    }
}

impl From<&Unreadable> for Failure {
    fn from(unreadable: &Unreadable) -> Self {
        let Details { param, message } = &*unreadable.0;
        Self::invalid(message.clone()).param(param.clone())
    }
}
