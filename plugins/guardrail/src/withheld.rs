//! Why a text does not pass, and what the client is answered.

use crate::denial::Denial;
use plugin_api::{HookError, Rejection};

/// The reason why a text does not pass.
#[derive(Debug)]
pub(crate) enum Withheld {
    /// A rule denies it.
    Denied(Denial),
    /// It cannot be read.
    Unreadable,
    /// It is too long, or becomes too long when it is masked.
    TooLarge,
    /// A rule should mask a match at a place where nothing can replace it.
    NotMaskable(&'static str),
}

impl From<Denial> for Withheld {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl Withheld {
    /// Returns the rejection for the client. `place` names the searched part.
    pub(crate) fn refusal(self, place: &str) -> HookError {
        match self {
            Self::Denied(denial) => denial.into(),
            Self::Unreadable => unreadable(place),
            Self::TooLarge => too_large(place),
            Self::NotMaskable(why) => not_maskable(place, why),
        }
    }

    /// Returns the rejection of a reply, which the upstream caused.
    pub(crate) fn of_reply(self) -> HookError {
        match self {
            Self::Denied(denial) => denial.into(),
            Self::Unreadable | Self::NotMaskable(_) => {
                unexpected("choices whose content is text or a list of parts")
            }
            Self::TooLarge => withheld("it is too large once its matches are masked"),
        }
    }
}

/// Rejects content that cannot be searched. It is the client's mistake, not a fault of this
/// callback.
pub(crate) fn unreadable(place: &str) -> HookError {
    let message = format!(
        "{place}: expected an object whose `content` is text or a list of parts, each named once, \
         found something else"
    );
    Rejection::new(400, message).code("guardrail").into()
}

pub(crate) fn too_large(place: &str) -> HookError {
    let message = format!("{place}: too large to be searched and masked; send less at once");
    Rejection::new(400, message).code("guardrail").into()
}

/// Rejects a match that a rule should mask but cannot.
fn not_maskable(place: &str, why: &str) -> HookError {
    Rejection::new(400, format!("{place}: {why}")).code("guardrail").into()
}

/// Withholds a reply that cannot be searched. This is a rejection, because the upstream caused it.
pub(crate) fn withheld(why: &str) -> HookError {
    let message = format!("the reply is withheld: {why}");
    Rejection::new(502, message).code("guardrail").into()
}

pub(crate) fn unexpected(expected: &str) -> HookError {
    withheld(&format!("expected {expected}, found something else, which cannot be searched"))
}
