//! A config value that may depend on an unset environment variable. The calls that need it report
//! the variable, so that one missing key does not stop the other models.

use std::sync::Arc;

/// A value that may depend on a variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Setting<T> {
    /// Not configured.
    #[default]
    Absent,
    /// Configured.
    Set(T),
    /// Configured by a variable that is not set: calls that need it must fail and name it.
    Unset(Unset),
}

impl<T> Setting<T> {
    /// The value, if it is set.
    #[must_use]
    pub fn set(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Absent | Self::Unset(_) => None,
        }
    }

    /// The same with another value.
    #[must_use]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Setting<U> {
        match self {
            Self::Absent => Setting::Absent,
            Self::Set(value) => Setting::Set(change(value)),
            Self::Unset(unset) => Setting::Unset(unset),
        }
    }

    /// The unset variable, if there is one.
    #[must_use]
    pub fn unset(&self) -> Option<&Unset> {
        match self {
            Self::Unset(unset) => Some(unset),
            Self::Absent | Self::Set(_) => None,
        }
    }
}

/// The unset variable, and the config path that refers to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` needs the environment variable `{variable}`, which is not set or blank")]
pub struct Unset {
    /// Name of the variable.
    pub variable: Arc<str>,
    /// Key path of the value, such as `model_list[0].litellm_params.api_key`.
    pub path: Arc<str>,
}
