//! Granted environment variables.

use super::HostError;
use crate::abi::{HostHandle, SecretsVtRef, View};
use std::fmt;

/// Access to granted variables of the gateway's environment, by name. The environment consists of
/// the process's variables, the `.env` file and the config's `environment_variables`. Granted are
/// the names in `grants: {secrets: [NAME]}` of the callback's entry, and those in the export's
/// `needs` that begin with the callback's own name.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use plugin_api::{Callback, Host, HostErrorKind, InitError};
/// use plugin_api::testing::{MockHost, Tester};
///
/// struct Keyed;
///
/// impl Callback for Keyed {
///     type Settings = serde_json::Value;
///     fn new(host: Host, _: Self::Settings) -> Result<Self, InitError> {
///         let secrets = host.secrets().ok_or(InitError::new("needs secrets"))?;
///         let key = secrets.get("KEYED_API_KEY").map_err(InitError::new)?;
///         assert_eq!(format!("{key:?}"), "***");
///         assert_eq!(secrets.get("HOME").unwrap_err().kind, HostErrorKind::NOT_GRANTED);
///         Ok(Self)
///     }
/// }
///
/// let host = MockHost::new();
/// host.set_secret("KEYED_API_KEY", "k-1");
/// Tester::on::<Keyed>(&host, serde_json::json!({}))?;
/// # Ok::<(), InitError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Secrets {
    pub(super) raw: HostHandle,
    pub(super) vt: SecretsVtRef,
}

impl Secrets {
    /// Returns whether a variable is granted and set. In `new`, a callback that cannot work without
    /// it can refuse to start, and so fails in `callgate check`. In the [probe](crate::is_probe),
    /// every variable counts as set, although none can be read.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match self.vt.has() {
            // SAFETY: as in `Host`; the view lives until the call returns.
            Some(has) => unsafe { has(self.raw.ctx, View::of(name.as_bytes())) != 0 },
            None => self.get(name).is_ok(),
        }
    }

    /// Returns the value of a granted variable.
    ///
    /// # Errors
    /// [`NOT_GRANTED`](super::HostErrorKind::NOT_GRANTED): the variable is not granted;
    /// [`NOT_SET`](super::HostErrorKind::NOT_SET): it is not set, or blank.
    pub fn get(&self, name: &str) -> Result<SecretText, HostError> {
        // SAFETY: as in `Host`; the view lives until the call returns.
        let value = unsafe { (self.vt.secret())(self.raw.ctx, View::of(name.as_bytes())) };
        Ok(SecretText(value.into_result()?.into()))
    }
}

/// The value of a secret. `Debug` shows it as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// Returns the value. Never log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}
