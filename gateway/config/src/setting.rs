//! A config value that may hang on an environment variable which is not there: carried to the calls
//! that need it, so that one missing key does not keep the other models from working.

use std::sync::Arc;

/// A value that may hang on a variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Setting<T> {
    /// Not configured.
    #[default]
    Absent,
    /// Configured.
    Set(T),
    /// Configured through a variable that is not set: calls that need it must fail, naming it.
    Unset(Unset),
}

impl<T> Setting<T> {
    /// The value, when there is one.
    #[must_use]
    pub fn set(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Absent | Self::Unset(_) => None,
        }
    }

    /// The missing variable, when that is why there is no value.
    #[must_use]
    pub fn unset(&self) -> Option<&Unset> {
        match self {
            Self::Unset(unset) => Some(unset),
            Self::Absent | Self::Set(_) => None,
        }
    }
}

/// The variable that is missing, and the config path that asks for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` needs the environment variable `{variable}`, which is not set or blank")]
pub struct Unset {
    /// Name of the variable.
    pub variable: Arc<str>,
    /// Key path of the value, such as `model_list[0].litellm_params.api_key`.
    pub path: Arc<str>,
}
