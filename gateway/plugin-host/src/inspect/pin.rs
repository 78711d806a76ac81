//! Compares a plugin's file with the SHA-256 that the config pins.

use callgate_config::CallbackEntry;
use thiserror::Error;

/// Why a file does not match its pin.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum PinMismatch {
    #[error("expected sha256 `{expected}`, found `{found}`: it is not the file that was pinned")]
    Mismatch { expected: String, found: String },
    #[error("expected a `sha256` in its entry, because of `callgate.require_pins`; found none")]
    Missing { found: String },
}

impl PinMismatch {
    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::Mismatch { .. } => "put the pinned file back; if you trust this one, pin it with the sha256 that was found".to_owned(),
            Self::Missing { found } => format!("if you trust this file, add `sha256: {found}` to its entry"),
        }
    }
}

/// Whether the file has the entry's pin, by all of the hash's digits or by the first ones.
pub(super) fn check(
    sha256: &[u8; 32],
    entry: &CallbackEntry,
    required: bool,
) -> Result<(), PinMismatch> {
    let found: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    match &entry.sha256 {
        Some(pin) if found.starts_with(pin.as_str()) => Ok(()),
        Some(pin) => Err(PinMismatch::Mismatch { expected: pin.clone(), found }),
        None if required => Err(PinMismatch::Missing { found }),
        None => Ok(()),
    }
}
